//! Text: the tables, their rows, and the expressions.

/// Created on MySQL and read by the planner.
pub(crate) const TABLES: &str = "
CREATE TABLE x (
  id INT PRIMARY KEY, i INT, d DECIMAL(10,2), dt DATE,
  s VARCHAR(40), s2 VARCHAR(40), sb VARCHAR(40) COLLATE utf8mb4_0900_bin, sp VARCHAR(40) COLLATE utf8mb4_bin,
  s3 VARCHAR(40) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin, g VARCHAR(40) COLLATE utf8mb4_general_ci,
  e ENUM('x','a','b'), st SET('p','q'), c CHAR(5), tx TEXT
);
CREATE TABLE k (
  id INT PRIMARY KEY, x_id INT, s VARCHAR(40), sp VARCHAR(40) COLLATE utf8mb4_bin, e ENUM('x','a','b')
)";

/// Written to MySQL.
pub(crate) const ROWS: &str = r#"
INSERT INTO x VALUES (1,5,1.50,'2024-02-29','Abc','aBC','Abc','Abc ','Abc','abc','x','p,q','abc','some Text');
INSERT INTO x (id) VALUES (2);
INSERT INTO x VALUES (3,0,0,'1000-01-01','','','','  ','','','a','','','');
INSERT INTO x VALUES (4,-3,-0.25,'9999-12-31','naïve "x" 😀','NAIVE "X" 😀','naïve "x" 😀','naïve ','naïve','naïve','b','q','é','100%_\\a');
INSERT INTO x VALUES (5,2,99999999.99,'2023-01-01','Straße','strasse','b','b  ','B','STRASSE','X','p','  x','ŉ ﬁ ɐ Ⅷ e\u0301');
INSERT INTO x VALUES (6,1,10,'2023-01-01','a\tb','a b','a\t','a','a\t','a','A','q','a','中文 가나 \t');
INSERT INTO k VALUES (1,1,'B','a ','x'),(2,1,'a','b','b'),(3,1,'Á','a','a'),(4,1,NULL,NULL,NULL),(5,4,'é','É','a'),(6,5,'SS','','x'),(7,5,'ß',' ','b')
"#;

/// One a line. `alone:` those that have no text or no place in JSON.
pub(crate) const EXPRESSIONS: &str = r#"
# which collation it has
s
sb
sp
s3
e
'constant'
CONCAT(s, 'x')
CONCAT(s, sb)
CONCAT(sb, s)
CONCAT(sp, s, 'x')
CONCAT(s3, s)
CONCAT(s3, 'x')
CONCAT(sb, s3)
CONCAT(i, d)
CONCAT(i, sp)
CONCAT_WS(sb, s, 'a')
CONCAT_WS(',', s, i)
CAST(s AS CHAR)
CAST(sb AS CHAR)
CAST(sp AS CHAR(2))
CAST(i AS CHAR)
CAST(e AS CHAR)
CONCAT(CAST(sb AS CHAR), 'x')
s COLLATE utf8mb4_0900_bin
s COLLATE utf8mb4_bin
sb COLLATE utf8mb4_0900_ai_ci
g COLLATE utf8mb4_0900_ai_ci
'a' COLLATE utf8mb4_bin
CONCAT(s COLLATE utf8mb4_0900_bin, sp)
CASE WHEN i = 5 THEN s ELSE sb END
CASE WHEN i = 5 THEN 'a' ELSE sp END
COALESCE(s, sb)
COALESCE(i, s)
COALESCE(i, 'x')
IF(i = 5, sp, s)
IFNULL(e, sb)
NULLIF(s, sb)
NULLIF(sb, s)
DATE_FORMAT(dt, '%Y')
GREATEST(s, sb)
LEAST('a', sp)
(SELECT k.s FROM k WHERE k.id = x.id)
(SELECT GROUP_CONCAT(k.sp ORDER BY k.id) FROM k WHERE k.x_id = x.id)
# comparisons
s = 'ABC'
s = 'abc '
s <=> NULL
s <> s2
s = s2
s < s2
s <=> s2
s >= 'b'
s > 'naive'
s = 'STRASSE'
s2 = 'straße'
s BETWEEN 'A' AND 'ABD'
s IN ('ABC', 'NAÏVE "X" 😀')
s NOT IN ('x', s2)
sb = 'abc'
sb = 'Abc'
sb = s
s = sb
sb < s
sp = 'Abc'
sp = 'Abc   '
sp = ''
sp = 'b'
sp < 'a'
sp = s
sp <> 'b \t'
sp > 'naïve\t'
sp BETWEEN 'a\t' AND 'b'
s3 = 'Abc'
s3 = s
s3 = 'B  '
s3 < sb
c = 'ABC'
tx > 'SOME'
s COLLATE utf8mb4_0900_bin = s2
s = s2 COLLATE utf8mb4_bin
sb COLLATE utf8mb4_0900_ai_ci = s
g COLLATE utf8mb4_0900_ai_ci = s2
'a' = 'A'
'a' = 'a '
'a' COLLATE utf8mb4_bin = 'a '
'ﬁ' = 'FI'
'\0' = ''
CAST(sb AS CHAR) = 'ABC'
CONCAT(sb) = 'ABC'
CONCAT(s, i) = CONCAT(s2, 5)
CONCAT(i) = '5'
CAST(i AS CHAR) = s
DATE_FORMAT(dt, '%b') = 'FEB'
# several compared with one: by the collation that they have together
s BETWEEN 'abc' AND sb
s IN ('abc', sb)
s2 IN ('abc', s)
CASE s WHEN 'abc' THEN 1 WHEN sb THEN 2 ELSE 3 END
CASE s WHEN 'abc' THEN 1 WHEN s2 THEN 2 ELSE 3 END
CASE s WHEN s2 THEN s ELSE sb END
NULLIF(s, s2)
NULLIF(s2, 'abc')
GREATEST(s, s2)
GREATEST(s2, s)
LEAST(s, s2)
LEAST(s2, s, 'a')
GREATEST(s, sb, 'ABC')
LEAST(sp, 'Abc', 'b')
GREATEST('a', 'A', 'á')
LEAST('á', 'A', 'a')
(SELECT k.s FROM k WHERE k.id = x.id) = 'b'
(SELECT COUNT(*) FROM k WHERE k.x_id = x.id AND k.s > 'a')
(SELECT COUNT(*) FROM k WHERE k.x_id = x.id AND k.s = x.s)
# orders
(SELECT GROUP_CONCAT(k.s ORDER BY k.s, k.id) FROM k WHERE k.x_id = x.id)
(SELECT GROUP_CONCAT(k.s ORDER BY k.s DESC, k.id DESC) FROM k WHERE k.x_id = x.id)
(SELECT GROUP_CONCAT(k.id ORDER BY k.sp, k.id) FROM k WHERE k.x_id = x.id)
(SELECT GROUP_CONCAT(k.id ORDER BY CONCAT(k.s), k.id) FROM k WHERE k.x_id = x.id)
(SELECT GROUP_CONCAT(k.id ORDER BY k.s COLLATE utf8mb4_0900_bin, k.id) FROM k WHERE k.x_id = x.id)
(SELECT k.id FROM k WHERE k.x_id = x.id ORDER BY k.s, k.id LIMIT 1)
(SELECT k.id FROM k WHERE k.x_id = x.id ORDER BY k.s DESC, k.id LIMIT 1)
(SELECT k.id FROM k WHERE k.x_id = x.id ORDER BY k.sp, k.id DESC LIMIT 1)
(SELECT MIN(k.s COLLATE utf8mb4_0900_bin) FROM k WHERE k.x_id = x.id)
# ENUM and SET
e = 'X'
e = 'q'
e < 'b'
e > 'A'
e IN ('X', 'B')
e = s
e = e
e <=> NULL
e BETWEEN 'a' AND 'b'
CASE e WHEN 'X' THEN 1 WHEN 'A' THEN 2 END
NULLIF(e, 'B')
GREATEST(e, 'b')
LEAST(e, 'b')
st = 'p,q'
st = 'Q'
st < 'q'
st <> ''
e = st
(SELECT COUNT(*) FROM k WHERE k.x_id = x.id AND k.e = x.e)
(SELECT GROUP_CONCAT(k.id ORDER BY CAST(k.e AS CHAR), k.id) FROM k WHERE k.x_id = x.id)
"#;

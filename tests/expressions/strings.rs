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
# LIKE
s LIKE 'abc'
s LIKE 'A%'
s LIKE '%B_'
s LIKE '___'
s LIKE '%"x"%'
s NOT LIKE 'n%'
NOT s LIKE 'n%'
s LIKE 'Strasse'
s LIKE 'Stra_e'
s LIKE 'stras%'
s LIKE ''
s LIKE '%'
s LIKE s2
s LIKE CONCAT(sb, '%')
sb LIKE 'abc'
sb LIKE 'A%'
sb LIKE 'na_ve%'
sp LIKE 'Abc'
sp LIKE 'Abc_'
sp LIKE '% '
s3 LIKE 'A__'
s COLLATE utf8mb4_bin LIKE 'a%'
tx LIKE '100\%\_%'
tx LIKE '100|%|_\\\\a' ESCAPE '|'
tx LIKE '%\\\\a'
tx LIKE '%e'
tx LIKE '% Ⅷ%'
tx LIKE '%ɐ%'
tx LIKE '中_ 가나%'
tx LIKE '100\%_\\\\a' ESCAPE ''
'a%b' LIKE 'a#%b' ESCAPE '#'
'a#' LIKE 'a#' ESCAPE '#'
'a#b' LIKE 'a##b' ESCAPE '#'
'aab' LIKE '%a%b'
'abcabd' LIKE '%abd'
'abcabd' LIKE 'a%c%d'
'mississippi' LIKE 'm%iss%ip%i'
'mississippi' LIKE 'm%issp%i'
'é' LIKE 'E'
'e\u0301' LIKE 'é'
'Æ' LIKE 'ae'
'Æ' LIKE 'æ'
i LIKE '5%'
d LIKE '%.5_'
dt LIKE '2024-%'
e LIKE 'X'
st LIKE '%Q'
s LIKE NULL
NULL LIKE s
s LIKE 'a' IS NULL
(s LIKE 'A%') + 1
CASE WHEN s LIKE '%c' THEN 'c' ELSE sb END
(SELECT COUNT(*) FROM k WHERE k.x_id = x.id AND k.s LIKE CONCAT(x.s, '%'))
# case
UPPER(s)
LOWER(s)
UPPER(tx)
LOWER(tx)
UCASE(sb)
LCASE(sb)
UPPER(sp)
LOWER(s3)
UPPER(e)
UPPER(i)
LOWER(d)
UPPER(dt)
UPPER('ßŉﬁɐ Ⅷ')
UPPER('ıɐ ɐ')
LOWER('İÀ Ⱥb')
UPPER('ɐbc' COLLATE utf8mb4_bin)
CONCAT(UPPER(s), LOWER(sb))
UPPER(s) = LOWER(s)
UPPER(sb) = sb
# parts
LEFT(s, 2)
LEFT(s, 0)
LEFT(s, -1)
LEFT(s, 99)
LEFT(s, i)
LEFT(s, 1.5)
LEFT(s, d)
LEFT(d, 3)
LEFT(s, NULL)
LEFT(tx, 18446744073709551615)
RIGHT(s, 2)
RIGHT(s, 0)
RIGHT(s, i)
RIGHT(tx, 3)
RIGHT(i, 1)
RIGHT(s, 99)
SUBSTRING(s, 2)
SUBSTRING(s, 0)
SUBSTRING(s, -2)
SUBSTRING(s, -3, 2)
SUBSTRING(s, -99, 100)
SUBSTRING(s, 2, 1)
SUBSTRING(s, 2, 0)
SUBSTRING(s, 2, -1)
SUBSTRING(s, i)
SUBSTRING(s, i, i)
SUBSTRING(s, 1.5)
SUBSTRING(s, 2.5, 1.5)
SUBSTRING(s, 9223372036854775807)
SUBSTRING(s, -9223372036854775808)
SUBSTRING(s, 1, 18446744073709551615)
SUBSTRING(s FROM 2)
SUBSTRING(s FROM -2 FOR 1)
SUBSTR(s, 2, 3)
SUBSTR(s FROM 2)
MID(s, 2, 1)
SUBSTRING(dt, 6, 2)
SUBSTRING(s, NULL)
SUBSTRING_INDEX(tx, ' ', 1)
SUBSTRING_INDEX(tx, ' ', -1)
SUBSTRING_INDEX(tx, ' ', 0)
SUBSTRING_INDEX(tx, ' ', 99)
SUBSTRING_INDEX(tx, ' ', -99)
SUBSTRING_INDEX(tx, '', 1)
SUBSTRING_INDEX(s, 'B', 1)
SUBSTRING_INDEX(s, 'b', i)
SUBSTRING_INDEX('aaaaa', 'aa', -2)
SUBSTRING_INDEX('aaaa', 'aa', 2)
SUBSTRING_INDEX('aaaa', 'aa', -1)
SUBSTRING_INDEX('a.b.c', '.', -9223372036854775808)
SUBSTRING_INDEX(dt, '-', 2)
# ends
TRIM(s)
TRIM(sp)
TRIM(c)
LTRIM(c)
RTRIM(sp)
LTRIM(sp)
TRIM(tx)
TRIM('a' FROM s)
TRIM(LEADING 'A' FROM s)
TRIM(TRAILING 'e' FROM s)
TRIM(BOTH 'A' FROM s)
TRIM('' FROM s)
TRIM(NULL FROM s)
TRIM(LEADING 'ab' FROM 'ababac')
TRIM(TRAILING 'ab' FROM 'cabab')
TRIM('aa' FROM 'aaa')
TRIM('é' FROM 'éaé')
TRIM(5 FROM 55155)
TRIM(0 FROM d)
LPAD(s, 6, 'é-')
LPAD(s, 2, '-')
LPAD(s, 0, '-')
LPAD(s, -1, '-')
LPAD(s, 6, '')
LPAD(s, 1, '')
LPAD(i, 5, 0)
LPAD(s, i, sb)
LPAD(s, NULL, 'x')
LPAD(s, 9223372036854775807, 'x')
RPAD(s, 6, 'é-')
RPAD(s, 2, '-')
RPAD(s, i, 'xyz')
RPAD(sb, 5, 'x')
RPAD(d, 12, '.')
# made of others
REPLACE(s, 'b', '--')
REPLACE(s, 'B', '--')
REPLACE(s, '', 'x')
REPLACE(s, 'a', '')
REPLACE(tx, ' ', '  ')
REPLACE('aaa', 'aa', 'b')
REPLACE(s, NULL, 'x')
REPLACE(d, '.', ',')
REPLACE(s, sb, s2)
INSERT(s, 2, 1, 'é')
INSERT(s, 0, 1, 'x')
INSERT(s, -1, 1, 'x')
INSERT(s, 3, -1, 'x')
INSERT(s, 3, 0, 'x')
INSERT(s, 99, 1, 'x')
INSERT(s, i, i, sb)
REVERSE(s)
REVERSE(tx)
REVERSE(i)
REPEAT(s, 2)
REPEAT(s, i)
REPEAT(s, 0)
REPEAT(s, 9223372036854775807)
REPEAT('', 9223372036854775807)
SPACE(i)
CONCAT('[', SPACE(2), ']')
ELT(i, s, sb)
ELT(2, 'a', s)
ELT(1, i, s)
ELT(0, s)
ELT(d, s, s2)
ELT(NULL, s)
HEX(s)
HEX(i)
HEX(d)
HEX(dt)
HEX(NULL)
HEX(18446744073709551615)
HEX(s) = 'e9'
# numbers of text
LENGTH(s)
OCTET_LENGTH(tx)
CHAR_LENGTH(s)
CHARACTER_LENGTH(tx)
BIT_LENGTH(s)
LENGTH(d)
LENGTH(dt)
CHAR_LENGTH(NULL)
LENGTH(e)
LENGTH(sp)
ASCII(s)
ASCII(tx)
ORD(s)
ORD(tx)
ORD('é')
LENGTH(s) > 3 AND CHAR_LENGTH(s) * 2
LOCATE('B', s)
LOCATE('B', sb)
LOCATE('b', s, 3)
LOCATE('', s)
LOCATE('', s, 4)
LOCATE('', s, 99)
LOCATE('', s, 0)
LOCATE('e', tx)
LOCATE('E', s, i)
LOCATE(s, s2)
LOCATE(sb, s)
LOCATE('ss', s)
LOCATE('s', 'Straße')
LOCATE('ß', 'Strasse')
LOCATE('a ', sp)
LOCATE('a', s, 1.5)
LOCATE('a', s, -1)
LOCATE(5, i)
INSTR(s, 'BC')
INSTR(tx, 'text')
INSTR(s, sb COLLATE utf8mb4_bin)
POSITION('c' IN s)
STRCMP(s, s2)
STRCMP(s, 'b')
STRCMP(sb, s)
STRCMP(sp, 'Abc')
STRCMP(i, 10)
STRCMP(s, NULL)
STRCMP(s, 'b') = -1
FIELD(s, 'x', 'ABC', 'naïve')
FIELD(sb, 'abc', 'Abc')
FIELD(s, sb, s2)
FIELD(i, 2, 5)
FIELD(e, 'b', 'A')
FIELD(s, NULL, s)
"#;

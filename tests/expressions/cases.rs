//! The tables, their rows, and the expressions.

/// Created on MySQL and read by the planner.
pub(crate) const TABLES: &str = "
CREATE TABLE x (
  id INT PRIMARY KEY,
  ti TINYINT, tu TINYINT UNSIGNED, si SMALLINT, mi MEDIUMINT, i INT, iu INT UNSIGNED,
  b BIGINT, bu BIGINT UNSIGNED, y YEAR, bt BIT(9), bo BOOLEAN,
  d DECIMAL(10,2), d5 DECIMAL(12,5), d0 DECIMAL(20,0), du DECIMAL(10,2) UNSIGNED, dl DECIMAL(38,10),
  f FLOAT, db DOUBLE,
  s VARCHAR(40), sb VARCHAR(40) COLLATE utf8mb4_0900_bin, c CHAR(5), tx TEXT,
  e ENUM('x','a'), st SET('p','q'), vb VARBINARY(8),
  dt DATE, tm TIME, tm3 TIME(3), dtm DATETIME, dtm6 DATETIME(6), ts TIMESTAMP NULL, ts6 TIMESTAMP(6) NULL,
  j JSON
);
CREATE TABLE k (
  id INT PRIMARY KEY, x_id INT, n INT, nu BIGINT UNSIGNED, d DECIMAL(10,2), d5 DECIMAL(12,5),
  sb VARCHAR(40) COLLATE utf8mb4_0900_bin, s VARCHAR(40), ts6 TIMESTAMP(6) NULL, dt DATE, db DOUBLE,
  f FLOAT, ti TINYINT, y YEAR, j JSON
)";

/// Written to MySQL.
pub(crate) const ROWS: &str = r#"
INSERT INTO x VALUES (1,-5,200,-300,70000,-100000,4000000000,-9000000000,18446744073709551615,2024,b'100000001',1,
  21.50,3.14159,99999999999999999999,7.25,1234567890123456789012345678.0123456789,1.1,2.5e-7,'Abc','Abc','ab','some text','x','p,q',x'00ff',
  '2024-02-29','-12:34:56','100:00:00.125','2024-09-02 17:21:02','2024-09-02 17:21:02.123456','2024-09-02 17:21:02','2024-09-02 17:21:02.987654',
  '{"b":1.50,"a":[1,null],"é":"x\\ny"}');
INSERT INTO x (id) VALUES (2);
INSERT INTO x VALUES (3,0,0,0,0,0,0,0,0,0000,b'0',0,0.00,0.00000,0,0.00,0,0,0,'','','','','a','',x'',
  '1000-01-01','00:00:00','00:00:00','1970-01-01 00:00:00','0001-01-01 00:00:00.000001','1970-01-01 00:00:01','1970-01-01 00:00:01.000001','[]');
INSERT INTO x VALUES (4,127,255,32767,8388607,2147483647,4294967295,9223372036854775807,9223372036854775808,2155,b'111111111',1,
  99999999.99,-9999999.99999,-99999999999999999999,99999999.99,-0.0000000001,-3.4e38,1.7976931348623157e308,'naïve "x" 😀','naïve "x" 😀','é',
  'a\\b','a','q',x'41','9999-12-31','838:59:59','838:59:59.000','9999-12-31 23:59:59','9999-12-31 23:59:59.999999',
  '2038-01-19 03:14:07','2038-01-19 03:14:07.999999','"text"');
INSERT INTO x VALUES (5,-128,1,-32768,-8388608,-2147483648,1,-9223372036854775808,1,2000,b'1',0,
  -0.05,-2.50000,7,0.01,2.5,0.1,-1.5,'5','5','  x','z','x','p',x'00','2023-01-01','00:00:01','-00:00:00.500','2023-01-01 00:00:00',
  '2020-12-31 12:00:00.5','2021-01-03 11:59:59','2024-12-30 00:30:00.5','null');
INSERT INTO k VALUES (1,1,3,18446744073709551615,1.50,0.33333,'b','B','2024-01-01 00:00:00.5','2024-01-01',0.5,0.1,1,2001,'{"z":1}'),
  (2,1,-7,1,2.25,-1.00000,'a','A','2024-01-01 00:00:00.25','2023-01-01',1.5,0.2,0,2002,'[2]'),
  (3,1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL),
  (4,3,0,0,0.00,0.00000,'','','1970-01-01 00:00:01','1970-01-01',0,0,0,1999,'3'),
  (5,4,5,5,10.10,3.33333,'é','É','2030-01-01','2030-01-01',2,2.5,1,2030,'"s"');
"#;

/// One a line. `alone:` those that have no text or no place in JSON.
pub(crate) const EXPRESSIONS: &str = r#"
# columns
ti
tu
si
mi
i
iu
b
bu
y
alone: bt
bo
d
d5
d0
du
dl
f
db
s
sb
c
tx
e
st
alone: vb
dt
tm
tm3
dtm
dtm6
ts
ts6
j
# constants
1
-1
1.5
.5
1e3
1.50e-3
'it''s'
'a\\b\n'
"dq"
alone: NULL
TRUE
FALSE
18446744073709551615
9223372036854775808
-9223372036854775808
99999999999999999999
DATE'2024-01-01'
TIMESTAMP'2024-01-01 00:00:00.5'
TIME'-10:00:00'
_utf8mb4'x'
# arithmetic
i + 1
i + iu
i + b
iu - 1
1 - iu
ti * 2
-ti
-i
-iu
-bu
-b
-d
-d5
-db
-f
-y
bu + 0
bu - 1
bu * 2
b + 1
b - 1
b * b
bt + 0
bt * 2
y + 1
bo + bo
i % 3
i % 0
i MOD 3
i MOD (si + 1)
(i) MOD MOD(b, 7)
x.`i` mod-d
y MOD 10 * 2
MOD(i, 3) MOD 2
MOD(i, 7)
-7 % 3
5 % (-3)
bu % 7
b % iu
d % 3
d5 % d
d0 % 7
db % 3
-5.5 % 2
i DIV 3
i DIV 0
bu DIV 7
d DIV 2
i DIV d
i / 3
iu / 7
bu / 3
i / 0
d / 0
d / 3
d5 / 3
d5 / d
d0 / 3
d / d5
1 / 3
2 / 3
2.00000 / 3
1.0 / 3.00
1 / 3 / 7
d / 3 * 3
d / 7 + d5 / 7
dl + 1
dl * 2
dl / 3
d * d5
d + i
d - d5
du - d
d * i
d * d * d * d
d0 * d0
d0 * d0 * d0
0.1 * 0.1 * 0.1
1.5 * 1.25
f + 1
f * 2
f + f
db * 2
db * db
db + d
i + db
d + f
db - db
db / 0
db / 3
1e200 * 1e200
i * d + d5 - 3 / 7
(i + 1) * 2
0.50 - d
d - d
d + -d
d + 0.00
0.01 / 1000000
1.5e-5 / 3
(d + 1) % 2
db DIV 3
f DIV 2
7.5e0 DIV 2
i DIV 2.5e0
bu DIV 1e0
i DIV db
d DIV 1e-200
CAST(1.123456789012345678901234567891 AS DECIMAL(40,30)) * 0.5
CAST(0.000000000000000000000000000001 AS DECIMAL(40,30)) * 0.5
CAST(d AS DECIMAL(30,20)) * CAST(1.00000000000000000005 AS DECIMAL(22,20))
d5 * d5 * 1.000000000000000000000000000000
CAST(d5 AS DECIMAL(36,30)) * d5 > 9.8695877281
# comparisons
i = 1
i <> 0
i != 0
i < iu
i >= b
bu > b
bu = -1
i <=> NULL
NULL <=> NULL
i <=> 0
d > 3
d = 21.5
d5 < d
d = db
f = 1.1
db < d
bo = TRUE
sb = 'Abc'
sb < 'b'
sb <=> NULL
sb = sb
s COLLATE utf8mb4_0900_bin = 'Abc'
vb = vb
ts > '2024-01-01'
ts >= '2024-09-02 17:21:02'
ts6 = '2024-09-02 17:21:02.987654'
dt = '2024-02-29'
dt < ts
ts = dtm
ts < ts6
dtm > dt
tm < '10:00:00'
tm < tm3
y = 2024
y = y
y = i
y < bu
y + 0 = 24
y <> 1900
y <=> d
YEAR(dt) = 2024
YEAR(dt) BETWEEN 2000 AND 2030
YEAR(dtm) >= y
y IN (2024, 1901, i)
i IS NULL
i IS NOT NULL
s IS NULL
j IS NULL
alone: bt IS NULL
alone: vb IS NOT NULL
bo IS TRUE
bo IS NOT TRUE
bo IS FALSE
bo IS NOT FALSE
(i = 1) IS TRUE
(i > 0) IS UNKNOWN
(i > 0) IS NOT UNKNOWN
NOT bo
NOT i > 0
i > 0 AND d > 0
i > 0 OR d > 0
i > 0 AND NULL
i > 0 OR NULL
bo AND i
bo OR d
NOT (i > 0 AND d > 0)
(i > 0) XOR (d > 0)
i XOR NULL
bo XOR d XOR TRUE
i BETWEEN 0 AND 10
i NOT BETWEEN -5 AND 5
d BETWEEN d5 AND 100
dt BETWEEN '2024-01-01' AND '2024-12-31'
i IN (0, 1, 2147483647)
i NOT IN (0, NULL)
i IN (NULL, 0)
d IN (21.5, 0)
sb IN ('Abc', '')
dt IN ('2024-02-29')
# choice
IF(bo, ti, i)
IF(bo, i, iu)
IF(bo, b, bu)
IF(bo, bu, 0)
IF(bo, tu, ti)
IF(bo, iu, bu)
IF(bo, i, d)
IF(bo, d, d5)
IF(bo, d, i)
IF(bo, d, db)
IF(bo, i, db)
IF(bo, i, s)
IF(bo, d, s)
IF(bo, db, s)
IF(bo, ts6, s)
IF(bo, dt, s)
IF(bo, y, s)
IF(bo, j, j)
IF(bo, s, sb)
IF(bo, e, s)
IF(bo, e, st)
IF(bo, dt, dtm)
IF(bo, ts, dtm6)
IF(bo, ts, ts6)
IF(bo, ts, NULL)
IF(bo, NULL, d)
alone: IF(bo, NULL, NULL)
IF(bo, y, i)
IF(bo, y, bu)
IF(bo, y, y)
IF(bo, tm, tm3)
IF(bo, TRUE, FALSE)
IF(bo, i = 1, i = 2)
IF(i, 1, 2)
IF(d5, 'yes', 'no')
CASE WHEN i > 0 THEN 'plus' WHEN i < 0 THEN 'minus' END
CASE WHEN i > 0 THEN 1 ELSE 2.50 END
CASE WHEN bo THEN d ELSE db END
CASE i WHEN 0 THEN 'none' WHEN 2147483647 THEN 'most' ELSE 'some' END
CASE bo WHEN 1 THEN ts ELSE ts6 END
CASE sb WHEN 'Abc' THEN 1 WHEN '' THEN 2 END
CASE WHEN bo THEN dt ELSE ts6 END
CASE WHEN bo THEN 1 WHEN i > 0 THEN 2.5 ELSE 3e0 END
COALESCE(i, d)
COALESCE(NULL, i, d)
COALESCE(d, 0)
COALESCE(d, 0.000)
COALESCE(i, 0)
COALESCE(bu, 0)
COALESCE(iu, 0)
COALESCE(b, bu)
COALESCE(ts, ts6)
COALESCE(ts, dt)
COALESCE(dt, ts)
COALESCE(tm, tm3)
COALESCE(i, s)
COALESCE(d, s)
COALESCE(COALESCE(NULL, 1, 2.50), s)
COALESCE(db, s)
COALESCE(ts6, s)
COALESCE(db, 1)
COALESCE(d, db)
COALESCE(s, '')
COALESCE(sb, s)
COALESCE(y, 0)
COALESCE(j, j)
COALESCE(NULL, 1, 2.50)
COALESCE(NULL, 1, 2.50) + 0
COALESCE(NULL, 1, 2.50) + 0.0
COALESCE(NULL, 1, 2.50) / 3
-COALESCE(NULL, 1, 2.50)
IF(1, 1, 2.50) + 0
IF(1, 1, 2.50) * 1.0
IF(1, 1, 2.50) / 3
IF(1, COALESCE(NULL, 1, 2.50), 3.000)
IFNULL(IF(1, 1, 2.50), 3)
IFNULL(d, 0)
IFNULL(i, 2.50)
IFNULL(ts, ts6)
IFNULL(dt, 'x')
IFNULL(NULL, 1)
NULLIF(i, 0)
NULLIF(d, 0)
NULLIF(sb, '')
NULLIF(ts, '2024-09-02 17:21:02')
NULLIF(db, 0)
NULLIF(y, 1901)
NULLIF(dt, dtm)
NULLIF(ti, 0)
NULLIF(COALESCE(NULL, 1, 2.50), 0)
NULLIF(IF(1, 1, 2.50), 0)
GREATEST(i, iu)
GREATEST(i, d)
GREATEST(d, d5)
GREATEST(ti, si, i)
GREATEST(ts, ts6)
GREATEST(dt, dtm)
GREATEST(i, db)
GREATEST(b, bu)
GREATEST(sb, 'x')
GREATEST(1, 0.50)
GREATEST(1, 0.50) * 1
GREATEST(tm, tm3)
LEAST(ts, ts6)
LEAST(i, 0, d)
LEAST(d, db)
LEAST(i, NULL)
LEAST(dt, ts)
# text
CONCAT(s, ' ', i)
CONCAT(i, d, d5)
CONCAT(f, ' ', db)
CONCAT(ts6, '/', dt, '/', tm3, '/', y)
CONCAT(e, st, j)
CONCAT('only')
CONCAT(s, NULL)
CONCAT(bo, i = 1)
CONCAT(d / 3, ' ', i / 3)
CONCAT_WS(', ', s, tx, NULL, i)
CONCAT_WS(s, 'a', 'b', 'c')
CONCAT_WS(NULL, 'a')
CONCAT_WS(',', NULL, NULL)
CONCAT_WS('', d, db)
CONCAT(CONCAT_WS('-', s, d), CONCAT('x', i))
CAST(i AS CHAR)
CAST(d AS CHAR)
CAST(db AS CHAR)
CAST(f AS CHAR)
CAST(s AS CHAR(2))
CAST(ts6 AS CHAR)
CAST(ts6 AS CHAR(10))
CAST(tm AS CHAR)
CAST(j AS CHAR)
CAST(e AS CHAR)
CAST(IF(bo, d, db) AS CHAR)
CAST(COALESCE(NULL, 1, 2.50) AS CHAR)
CAST(IF(1, 1, 2.50) AS CHAR)
s COLLATE utf8mb4_0900_bin
# conversion
CAST(s AS SIGNED)
CAST(sb AS UNSIGNED)
CAST(tx AS DECIMAL(10,2))
CAST(CONCAT(i, '.5') AS DECIMAL(20,3))
CAST(CONCAT(i, '.5e1') AS DOUBLE)
CAST(j->>'$.b' AS DECIMAL(10,3))
CAST('12.5' AS SIGNED)
CONVERT(d, SIGNED)
CONVERT(i, CHAR)
CONVERT(s, CHAR(2))
CONVERT(s USING utf8mb4)
CONVERT(d USING utf8mb4)
CONVERT(ts6, DATE)
ROUND(CAST(s AS DOUBLE), 1)
CAST(i AS SIGNED)
CAST(i AS UNSIGNED)
CAST(bu AS SIGNED)
CAST(d AS SIGNED)
CAST(d5 AS SIGNED)
CAST(d0 AS SIGNED)
CAST(d0 AS UNSIGNED)
CAST(-21.5 AS SIGNED)
CAST(-1.5 AS UNSIGNED)
CAST(y AS SIGNED)
CAST(bo AS UNSIGNED)
CAST(db AS SIGNED)
CAST(2.5e0 AS SIGNED)
CAST(3.5e0 AS SIGNED)
CAST(i AS DECIMAL(10,2))
CAST(i AS DECIMAL(4,2))
CAST(d5 AS DECIMAL(4,2))
CAST(d5 AS DECIMAL(10,2))
CAST(d AS DECIMAL)
CAST(bu AS DECIMAL(30,5))
CAST(IF(1, 1, 2.50) AS DECIMAL(10,2))
CAST(db AS DECIMAL(20,8))
CAST(db AS DECIMAL(65,30))
CAST(db * 3 AS DECIMAL(10,2))
CAST(f AS DECIMAL(20,10))
CAST(1.5e-40 AS DECIMAL(65,30))
CAST(1e22 AS DECIMAL(30,2))
CAST(-0.5e0 AS DECIMAL(5,0))
CAST(d0 AS DECIMAL(5,1))
ROUND(CAST(db AS DECIMAL(30,10)), 2)
CAST(d AS DOUBLE)
CAST(i AS DOUBLE)
CAST(f AS DOUBLE)
CAST(dl AS DOUBLE)
CAST(d0 AS DOUBLE)
CAST(ts6 AS DATETIME)
CAST(ts6 AS DATETIME(3))
CAST(ts AS DATETIME(6))
CAST(dt AS DATETIME)
CAST(ts AS DATE)
CAST(dtm6 AS DATE)
CAST(dtm AS DATETIME(2))
CAST(dtm6 AS DATETIME(2))
DATE(ts6)
DATE(dt)
# dates
DATE_FORMAT(ts6, '%Y-%m-%dT%H:%i:%sZ')
DATE_FORMAT(ts6, '%a %b %c %D %d %e %f %H %h %I %i %j %k %l %M %m %p %r %S %s %T')
DATE_FORMAT(dtm, '%U %u %V %v %W %w %X %x %Y %y %% %q %')
DATE_FORMAT(dt, '%U %u %V %v %W %w %X %x %Y %y')
DATE_FORMAT(dtm6, '%U %u %V %v %W %w %X %x %Y %y %f')
DATE_FORMAT(ts6, '%U %u %V %v %W %w %X %x %Y %y')
DATE_FORMAT(ts, '%U %u %V %v %W %w %X %x %j')
DATE_FORMAT(dt, '%H:%i %p %r')
DATE_FORMAT(IF(bo, ts, ts6), '%Y-%m-%dT%H:%i:%s.%f')
YEAR(dt)
YEAR(ts6)
YEAR(dtm6) + 1
-YEAR(dt)
QUARTER(dt)
MONTH(dtm)
DAY(dt)
DAYOFMONTH(ts)
WEEKDAY(dt)
DAYOFWEEK(dtm6)
DAYOFYEAR(dt)
WEEK(dt)
WEEK(dtm6, 0) * 100 + WEEK(dtm6, 1) * 10 + WEEK(dtm6, 2)
CONCAT_WS(' ', WEEK(dt, 0), WEEK(dt, 1), WEEK(dt, 2), WEEK(dt, 3), WEEK(dt, 4), WEEK(dt, 5), WEEK(dt, 6), WEEK(dt, 7))
CONCAT_WS(' ', WEEK(dtm6, 0), WEEK(dtm6, 1), WEEK(dtm6, 2), WEEK(dtm6, 3), WEEK(dtm6, 4), WEEK(dtm6, 5), WEEK(dtm6, 6), WEEK(dtm6, 7))
CONCAT_WS(' ', WEEK(ts6, 0), WEEK(ts6, 1), WEEK(ts6, 2), WEEK(ts6, 3), WEEK(ts6, 4), WEEK(ts6, 5), WEEK(ts6, 6), WEEK(ts6, 7))
CONCAT_WS(' ', YEARWEEK(ts), YEARWEEK(ts6, 0), YEARWEEK(dt, 1), YEARWEEK(dt, 4), YEARWEEK(ts6, 5))
WEEKOFYEAR(ts)
YEARWEEK(dt, 3)
HOUR(ts6)
HOUR(dt)
HOUR(tm)
MINUTE(tm3)
MINUTE(dtm)
SECOND(tm)
SECOND(dtm6)
MICROSECOND(ts6)
MICROSECOND(tm3)
TO_DAYS(dt)
TO_DAYS(dtm6)
LAST_DAY(dt)
LAST_DAY(dtm6)
DAYNAME(dt)
MONTHNAME(dtm6)
EXTRACT(YEAR FROM dt)
EXTRACT(QUARTER FROM dtm)
EXTRACT(MONTH FROM ts6)
EXTRACT(WEEK FROM dt)
EXTRACT(DAY FROM dtm6)
EXTRACT(HOUR FROM tm)
EXTRACT(MINUTE FROM tm3)
EXTRACT(SECOND FROM tm)
EXTRACT(MICROSECOND FROM dtm6)
EXTRACT(MICROSECOND FROM tm3)
DATE_ADD(dt, INTERVAL 1 DAY)
DATE_ADD(dt, INTERVAL i DAY)
DATE_ADD(dt, INTERVAL bu DAY)
DATE_ADD(dt, INTERVAL b WEEK)
DATE_SUB(dt, INTERVAL d DAY)
DATE_SUB(dt, INTERVAL 1.5 DAY)
DATE_SUB(dt, INTERVAL 2.5e0 DAY)
DATE_SUB(dt, INTERVAL db DAY)
DATE_ADD(dt, INTERVAL 1 MONTH)
DATE_ADD(dt, INTERVAL 12 MONTH)
DATE_SUB(dt, INTERVAL ti MONTH)
DATE_SUB(dt, INTERVAL 24277 MONTH)
DATE_ADD(dt, INTERVAL 3 QUARTER)
DATE_ADD(dt, INTERVAL -1 YEAR)
DATE_SUB(dt, INTERVAL 2024 YEAR)
DATE_SUB(dt, INTERVAL 738945 DAY)
DATE_SUB(dt, INTERVAL 738944 DAY)
DATE_SUB(dt, INTERVAL 739310 DAY)
DATE_SUB(dt, INTERVAL 739252 DAY)
DATE_SUB(dt, INTERVAL 739251 DAY)
DATE_SUB(dt, INTERVAL 365242 DAY)
DATE_SUB(dt, INTERVAL 364877 DAY)
DATE_SUB(dtm6, INTERVAL 1 DAY)
DATE_SUB(dtm6, INTERVAL 366 DAY)
DATE_SUB(dtm6, INTERVAL 367 DAY)
DATE_SUB(dtm6, INTERVAL 1 YEAR)
DATE_ADD(dt, INTERVAL 1 HOUR)
DATE_ADD(dt, INTERVAL i MINUTE)
DATE_ADD(dt, INTERVAL 1 SECOND)
DATE_ADD(dt, INTERVAL d SECOND)
DATE_ADD(dt, INTERVAL d5 SECOND)
DATE_ADD(dt, INTERVAL dl SECOND)
DATE_ADD(dt, INTERVAL db SECOND)
DATE_ADD(dt, INTERVAL 0.1234567 SECOND)
DATE_ADD(dt, INTERVAL '1.5' SECOND)
DATE_ADD(dt, INTERVAL '7' DAY)
DATE_ADD(dtm, INTERVAL bu MICROSECOND)
DATE_ADD(dtm, INTERVAL b MICROSECOND)
DATE_ADD(dtm6, INTERVAL 1 SECOND)
DATE_ADD(ts, INTERVAL 1 MONTH)
DATE_ADD(ts6, INTERVAL iu SECOND)
DATE_ADD(tm, INTERVAL 1 SECOND)
DATE_ADD(tm, INTERVAL d MINUTE)
DATE_SUB(tm, INTERVAL 838 HOUR)
DATE_SUB(tm, INTERVAL 839 HOUR)
DATE_ADD(tm, INTERVAL 3020399 SECOND)
ADDDATE(dt, 31)
ADDDATE(ts6, INTERVAL 1 HOUR)
SUBDATE(dtm, ti)
SUBDATE(dt, INTERVAL 1 QUARTER)
dt + INTERVAL 1 DAY
dt - INTERVAL i DAY
INTERVAL 1 MONTH + dtm
dtm - INTERVAL 1 DAY - INTERVAL 1 SECOND
TIMESTAMPADD(WEEK, 1, dt)
TIMESTAMPADD(SECOND, -d, dtm)
dt + INTERVAL 1 DAY > dtm
DATEDIFF(dtm, dt)
DATEDIFF(ts6, '2024-01-01')
DATEDIFF('2024-01-01 23:59:59', dtm6)
TIMESTAMPDIFF(YEAR, dt, dtm)
TIMESTAMPDIFF(QUARTER, dtm6, ts)
TIMESTAMPDIFF(MONTH, ts, dt)
TIMESTAMPDIFF(MONTH, '2024-01-31 10:00:00', ts6)
TIMESTAMPDIFF(WEEK, dt, ts)
TIMESTAMPDIFF(DAY, ts6, dt)
TIMESTAMPDIFF(HOUR, dtm, dtm6)
TIMESTAMPDIFF(MINUTE, dtm6, dtm)
TIMESTAMPDIFF(SECOND, dtm, ts6)
TIMESTAMPDIFF(MICROSECOND, ts, dtm6)
UNIX_TIMESTAMP(dt)
UNIX_TIMESTAMP(dtm)
UNIX_TIMESTAMP(ts)
UNIX_TIMESTAMP(ts6)
UNIX_TIMESTAMP(dtm6)
UNIX_TIMESTAMP(ts6) * 2
UNIX_TIMESTAMP(CAST(ts AS DATETIME(6))) / 7
UNIX_TIMESTAMP(ts6) / -12
JSON_ARRAY(UNIX_TIMESTAMP(CAST(ts AS DATETIME(6))), UNIX_TIMESTAMP(ts6))
SHA2(CONCAT(GREATEST('a', s)), 256)
UNIX_TIMESTAMP(ts) - UNIX_TIMESTAMP(ts6)
UNIX_TIMESTAMP(TIMESTAMP'1970-01-01 00:00:00.500000')
UNIX_TIMESTAMP(TIMESTAMP'3001-01-18 23:59:59.500000')
UNIX_TIMESTAMP(TIMESTAMP'3001-01-19 00:00:00')
FROM_UNIXTIME(i)
FROM_UNIXTIME(iu)
FROM_UNIXTIME(bu)
FROM_UNIXTIME(d)
FROM_UNIXTIME(d5)
FROM_UNIXTIME(dl)
FROM_UNIXTIME(db)
FROM_UNIXTIME(f)
FROM_UNIXTIME(1.9999999)
FROM_UNIXTIME(-0.5)
FROM_UNIXTIME(-0.0000004)
FROM_UNIXTIME(32536771199.999999)
FROM_UNIXTIME(32536771199.9999999)
FROM_UNIXTIME(32536771200)
FROM_UNIXTIME(iu, '%Y-%m-%d')
FROM_UNIXTIME(d5, '%Y %f')
FROM_UNIXTIME(UNIX_TIMESTAMP(ts6))
TIME(dtm)
TIME(ts6)
TIME(dt)
TIME(tm3)
TIMESTAMP(dt)
TIMESTAMP(ts6)
TIMESTAMP(dt, tm)
TIMESTAMP(dtm6, tm3)
TIME_TO_SEC(tm3)
TIME_TO_SEC(dtm6)
CAST(ts6 AS TIME)
CAST(ts6 AS TIME(3))
CAST(tm3 AS TIME)
CAST(tm AS TIME(6))
CAST(TIMESTAMP'2024-01-01 23:59:59.9' AS TIME)
CAST(TIME'838:59:58.9' AS TIME)
CAST(dt AS TIME)
IF(bo, YEAR(dt), 5)
COALESCE(YEAR(dt), y)
GREATEST(dt + INTERVAL 1 DAY, dtm)
JSON_OBJECT('a', YEAR(dt), 'b', LAST_DAY(dt), 'c', UNIX_TIMESTAMP(dtm6), 'd', dt + INTERVAL 1.5 SECOND, 'e', DAYNAME(dt))
(SELECT MAX(DATE_ADD(k.ts6, INTERVAL k.n DAY)) FROM k WHERE k.x_id = x.id)
(SELECT SUM(YEAR(k.dt)) FROM k WHERE k.x_id = x.id)
# numbers
ROUND(d)
ROUND(d, 1)
ROUND(d, 5)
ROUND(d, -1)
ROUND(d, -20)
ROUND(d5, 2)
ROUND(d5, 7)
ROUND(d0, -3)
ROUND(-2.5)
ROUND(i)
ROUND(i, -2)
ROUND(i, 2)
ROUND(iu, -2)
ROUND(b, -1)
ROUND(bu, -1)
ROUND(COALESCE(NULL, 1, 2.50), 1)
ROUND(IF(1, 1, 2.50), 1)
ROUND(d / 3, 2)
ROUND(db)
ROUND(db, 2)
ROUND(db, 9)
ROUND(db, -300)
ROUND(f)
ROUND(f, 1)
ROUND(f, -37)
ROUND(2.5e0)
ROUND(-3.5e0)
ROUND(0.15e0, 1)
ROUND(1.005e0, 2)
ROUND(2.675e0, 2)
ROUND(12345.678e0, -2)
ROUND(1.5e300, 300)
ROUND(d, ti)
ROUND(d5, ti)
ROUND(d5, MOD(ti, 7))
ROUND(i, MOD(ti, 7))
ROUND(bu, MOD(ti, 7))
ROUND(db, MOD(ti, 7))
ROUND(d, bu)
ROUND(d5, y)
TRUNCATE(d, 1)
TRUNCATE(d5, 2)
TRUNCATE(d5, -1)
TRUNCATE(d5, 9)
TRUNCATE(-d5, 0)
TRUNCATE(d5, MOD(ti, 7))
TRUNCATE(dl, 3)
TRUNCATE(i, 1)
TRUNCATE(i, -2)
TRUNCATE(b, -2)
TRUNCATE(bu, -2)
TRUNCATE(bu, -20)
TRUNCATE(db, 2)
TRUNCATE(f, 1)
TRUNCATE(f, -37)
TRUNCATE(0.29e0, 2)
TRUNCATE(-1.999e0, 2)
TRUNCATE(123456e0, -3)
TRUNCATE(d / 3, 2)
TRUNCATE(d / 3, ti)
SIGN(i)
SIGN(bu)
SIGN(d)
SIGN(dl)
SIGN(db)
SIGN(f)
SQRT(i)
SQRT(d)
SQRT(db)
SQRT(2)
ABS(i)
ABS(ti)
ABS(b)
ABS(bu)
ABS(d)
ABS(d5)
ABS(db)
ABS(COALESCE(NULL, 1, 2.50))
FLOOR(d)
FLOOR(-d)
FLOOR(d5)
FLOOR(db)
FLOOR(bu)
FLOOR(i)
CEIL(d)
CEIL(d5)
CEILING(i)
CEILING(d)
CEIL(db)
FLOOR(i / 7)
FLOOR(CAST(d AS DECIMAL(19,2)))
CEIL(CAST(d0 AS DECIMAL(18,0)))
CEIL(d / 7)
# JSON
JSON_OBJECT('a', d, 'bb', ts6, 'c', TRUE, 'd', 1 = 1, 'e', f, 'f', db, 'g', dt, 'h', tm3, 'i', j, 'a', 9)
JSON_OBJECT()
JSON_ARRAY()
JSON_ARRAY(s, e, st, y, bo, NULL, bu, 1e20, tm, dtm6, ts)
JSON_ARRAY(i IS NULL, NOT bo, i IN (1), i BETWEEN 1 AND 2, i AND 1, i <=> 1, bo IS TRUE, TRUE, 1)
JSON_ARRAY(IF(bo, i = 1, 1 = 0), COALESCE(NULL, i = 1), CAST(i = 1 AS SIGNED))
JSON_OBJECT('nested', JSON_OBJECT('x', JSON_ARRAY(i, JSON_OBJECT('y', sb))))
JSON_OBJECT('é', 1, 'zz', 2, 'z', 3, '', 4, 'a"b', s)
JSON_ARRAY(d / 3, COALESCE(d, 0), IF(bo, 1, 2.50), ROUND(d, 1), d * 1.000)
JSON_ARRAY(CONCAT(s, i), CAST(d AS CHAR), DATE_FORMAT(ts, '%Y'))
JSON_ARRAY(db * 2, f, 1e15, 1e-7, 123456789012345680.0)
JSON_ARRAY(i + 0.0, -d, dl, d0)
JSON_ARRAY(ROUND(d5, MOD(ti, 7)), TRUNCATE(d5, MOD(ti, 7)), ROUND(db, 1), SIGN(d), i XOR d)
j->'$.a'
j->'$.b'
j -> '$.a[0]'
x.j->'$.a[last]'
j->>'$.a[0]'
j->>'$."é"'
j->'$."é"'
j->>'$.nothing'
j->>'$'
j->'$[0]'
j->'$[last]'
j->'$[1]'
j->'$.*'
j->'$.a[*]'
j->'$[*]'
j->'$.a[last - 1]'
JSON_EXTRACT(j, '$.b', '$.a[0]', '$.a[0]')
JSON_EXTRACT(j, '$.nothing', '$.b')
JSON_EXTRACT(j, '$.nothing', '$.neither')
JSON_EXTRACT(tx, '$.a')
JSON_EXTRACT('{"b":{"x":1},"a":{"x":2},"cc":[{"x":5}]}', '$.*.x')
JSON_EXTRACT('[1.50, 1e2, 1.0, -0.0, -0, 123456789012345678901, 18446744073709551615, 1E5, 1e-5, 4.9e-324, 1e-400]', '$')
JSON_EXTRACT('{"a":"\\u00e9\\u0001\\/","a":[ ] }', '$')
JSON_EXTRACT('[1e400]', '$')
JSON_EXTRACT('[1,]', '$')
JSON_EXTRACT(JSON_OBJECT('a', d, 'b', ts6, 'c', JSON_ARRAY(i = 1, f)), '$.c[1]')
JSON_EXTRACT(JSON_OBJECT('a', d, 'b', ts6), '$.b')
JSON_UNQUOTE(JSON_EXTRACT(JSON_OBJECT('a', d, 'b', ts6), '$.b'))
JSON_UNQUOTE(j)
JSON_UNQUOTE(s)
JSON_UNQUOTE(tx)
JSON_UNQUOTE('"a\\tb\\u00e9"')
JSON_UNQUOTE('"abc')
JSON_UNQUOTE('"a"b"')
JSON_QUOTE(s)
JSON_QUOTE(tx)
JSON_LENGTH(j)
JSON_LENGTH(j, '$.a')
JSON_LENGTH('{"a":[1,2,3]}', '$.*')
JSON_KEYS(j)
JSON_KEYS(j, '$.a')
JSON_KEYS('{"b":1,"aa":2,"a\\"":3}')
JSON_VALID(j)
JSON_VALID(tx)
JSON_VALID(i)
JSON_VALID(NULL)
CAST(j AS JSON)
CAST('{"b": 1.50, "a": 2}' AS JSON)
CAST(tx AS JSON)
JSON_OBJECT(id, d)
JSON_OBJECT(CONCAT('n', id), i, 'n1', s, CONCAT('n', id), TRUE)
JSON_OBJECT(s, 1)
JSON_OBJECT(id, d, dt, 2, ROUND(id * 1.5, 1), i = 1)
JSON_OBJECT(COALESCE(s, 'none'), COALESCE(NULL, 1, 2.50))
JSON_OBJECT(TRUE, id, bo IS TRUE, 2)
JSON_ARRAY(j->'$.a', j->>'$.b', j->'$.b', JSON_LENGTH(j), JSON_KEYS(j))
CONCAT(j->'$.a', j->>'$.b')
IF(bo, j->'$.a', j)
COALESCE(j->>'$.b', 'none')
CAST(j->>'$.b' AS CHAR(2))
(SELECT JSON_ARRAYAGG(k.j->'$.z') FROM k WHERE k.x_id = x.id)
(SELECT GROUP_CONCAT(k.j->>'$.z' ORDER BY k.id) FROM k WHERE k.x_id = x.id)
(SELECT JSON_EXTRACT(JSON_ARRAYAGG(k.d), '$[last]') FROM k WHERE k.x_id = x.id AND k.id < 2)
(SELECT JSON_ARRAYAGG(JSON_OBJECT(k.id, k.n)) FROM k WHERE k.x_id = x.id)
# hashes
CRC32(s)
CRC32(i)
CRC32(vb)
CRC32(ts6) + 1
MD5(s)
CONVERT(MD5(s) USING utf8mb4) COLLATE utf8mb4_0900_bin
CONCAT(MD5(s), 'x') COLLATE utf8mb4_0900_bin
COALESCE(LEFT(SHA1(s), 8), 'none') COLLATE utf8mb4_0900_bin
MD5(vb)
MD5(CONCAT(i, d))
SHA(s)
SHA1(tx)
SHA2(s, 256)
SHA2(s, 0)
SHA2(i, 224)
SHA2(d, 384)
SHA2(j, 512)
SHA2(vb, 256)
SHA2(ts6, 256)
SHA2(db, 256)
SHA2(f, 256)
# constants of bytes
alone: X'4142ff'
alone: x''
alone: b'101'
alone: b'1010000010'
vb = X'00ff'
vb < X'41'
SHA2(X'4142ff', 256)
# collections
(SELECT COUNT(*) FROM k WHERE k.x_id = x.id)
(SELECT COUNT(k.n) FROM k WHERE k.x_id = x.id)
(SELECT SUM(k.n) FROM k WHERE k.x_id = x.id)
(SELECT SUM(k.nu) FROM k WHERE k.x_id = x.id)
(SELECT SUM(k.d) FROM k WHERE k.x_id = x.id)
(SELECT SUM(k.d5) FROM k WHERE k.x_id = x.id)
(SELECT SUM(k.n > 0) FROM k WHERE k.x_id = x.id)
(SELECT SUM(k.n * k.d) FROM k WHERE k.x_id = x.id)
(SELECT SUM(k.y) FROM k WHERE k.x_id = x.id)
(SELECT SUM(IF(k.n > 0, 1, 2.50)) FROM k WHERE k.x_id = x.id)
(SELECT SUM(COALESCE(NULL, 1, 2.50)) FROM k WHERE k.x_id = x.id)
(SELECT SUM(k.d) * 2 FROM k WHERE k.x_id = x.id)
(SELECT COALESCE(SUM(k.d), 0) FROM k WHERE k.x_id = x.id)
COALESCE((SELECT SUM(k.d) FROM k WHERE k.x_id = x.id), 0)
(SELECT SUM(k.d) / COUNT(*) FROM k WHERE k.x_id = x.id)
(SELECT IF(COUNT(*) > 1, 1, 2.50) FROM k WHERE k.x_id = x.id)
(SELECT COUNT(*) > 1 FROM k WHERE k.x_id = x.id)
(SELECT AVG(k.n) FROM k WHERE k.x_id = x.id)
(SELECT AVG(k.d) FROM k WHERE k.x_id = x.id)
(SELECT AVG(k.d5) FROM k WHERE k.x_id = x.id)
(SELECT AVG(k.nu) FROM k WHERE k.x_id = x.id)
(SELECT AVG(IF(k.n > 0, 1, 2.50)) FROM k WHERE k.x_id = x.id)
(SELECT AVG(k.n) * 1000000 FROM k WHERE k.x_id = x.id)
(SELECT AVG(k.n) > 1.3333 FROM k WHERE k.x_id = x.id)
(SELECT COALESCE(AVG(k.n), 0) FROM k WHERE k.x_id = x.id)
(SELECT IF(COUNT(*) > 0, AVG(k.n), 0) FROM k WHERE k.x_id = x.id)
(SELECT IF(COUNT(*) > 1, SUM(k.d), 1e0) FROM k WHERE k.x_id = x.id)
(SELECT IF(COUNT(*) > 1, SUM(k.d), 'few') FROM k WHERE k.x_id = x.id)
(SELECT CASE WHEN COUNT(*) > 1 THEN MAX(k.dt) ELSE MAX(k.ts6) END FROM k WHERE k.x_id = x.id)
(SELECT -AVG(k.n) FROM k WHERE k.x_id = x.id)
(SELECT CAST(AVG(k.n) AS DECIMAL(20,10)) FROM k WHERE k.x_id = x.id)
(SELECT SUM(-k.n * 1.50) + SUM(k.n * 1.50) FROM k WHERE k.x_id = x.id)
(SELECT AVG(k.d) + 0 FROM k WHERE k.x_id = x.id)
(SELECT ROUND(AVG(k.d5), 2) FROM k WHERE k.x_id = x.id)
(SELECT SUM(CAST(k.db AS DECIMAL(20,5))) FROM k WHERE k.x_id = x.id)
(SELECT MIN(k.n) FROM k WHERE k.x_id = x.id)
(SELECT MAX(k.nu) FROM k WHERE k.x_id = x.id)
(SELECT MAX(k.d) FROM k WHERE k.x_id = x.id)
(SELECT MIN(k.sb) FROM k WHERE k.x_id = x.id)
(SELECT MAX(k.ts6) FROM k WHERE k.x_id = x.id)
(SELECT MIN(k.dt) FROM k WHERE k.x_id = x.id)
(SELECT MAX(k.db) FROM k WHERE k.x_id = x.id)
(SELECT MAX(k.y) FROM k WHERE k.x_id = x.id)
(SELECT MIN(k.n > 0) FROM k WHERE k.x_id = x.id)
(SELECT MAX(IF(k.n > 0, 1, 2.50)) FROM k WHERE k.x_id = x.id)
(SELECT MAX(COALESCE(k.ts6, k.dt)) FROM k WHERE k.x_id = x.id)
(SELECT GROUP_CONCAT(k.s ORDER BY k.id) FROM k WHERE k.x_id = x.id)
(SELECT GROUP_CONCAT(k.s, k.d ORDER BY k.d DESC, k.id SEPARATOR ' | ') FROM k WHERE k.x_id = x.id)
(SELECT GROUP_CONCAT(k.n ORDER BY k.sb, k.id) FROM k WHERE k.x_id = x.id)
(SELECT GROUP_CONCAT(COALESCE(NULL, 1, 2.50) ORDER BY k.id) FROM k WHERE k.x_id = x.id)
(SELECT GROUP_CONCAT(IF(1, 1, 2.50) ORDER BY k.id SEPARATOR '') FROM k WHERE k.x_id = x.id)
(SELECT GROUP_CONCAT(k.f, ' ', k.db, ' ', k.ts6 ORDER BY k.ts6 DESC, k.id) FROM k WHERE k.x_id = x.id)
(SELECT GROUP_CONCAT(k.d / 3 ORDER BY k.id) FROM k WHERE k.x_id = x.id AND k.n > 0)
(SELECT JSON_ARRAYAGG(k.d) FROM k WHERE k.x_id = x.id)
(SELECT JSON_ARRAYAGG(COALESCE(k.d, 0)) FROM k WHERE k.x_id = x.id)
(SELECT JSON_ARRAYAGG(k.n > 0) FROM k WHERE k.x_id = x.id)
(SELECT JSON_ARRAYAGG(TRUE) FROM k WHERE k.x_id = x.id)
(SELECT JSON_ARRAYAGG(k.f) FROM k WHERE k.x_id = x.id)
(SELECT JSON_ARRAYAGG(k.ts6) FROM k WHERE k.x_id = x.id)
(SELECT JSON_ARRAYAGG(k.j) FROM k WHERE k.x_id = x.id)
(SELECT JSON_ARRAYAGG(JSON_OBJECT('n', k.n, 'x', x.d, 's', k.s)) FROM k WHERE k.x_id = x.id)
(SELECT k.d FROM k WHERE k.x_id = x.id ORDER BY k.id LIMIT 1)
(SELECT k.n > 0 FROM k WHERE k.x_id = x.id ORDER BY k.id LIMIT 1)
(SELECT IF(k.n > 0, 1, 2.50) FROM k WHERE k.x_id = x.id ORDER BY k.id LIMIT 1)
(SELECT COALESCE(NULL, 1, 2.50) FROM k WHERE k.x_id = x.id ORDER BY k.id LIMIT 1)
(SELECT k.s FROM k WHERE k.x_id = x.id ORDER BY k.n DESC, k.id LIMIT 1)
(SELECT k.s FROM k WHERE k.x_id = x.id ORDER BY k.n, k.id LIMIT 1)
(SELECT k.sb FROM k WHERE k.id = x.id)
(SELECT COUNT(*) FROM k JOIN x AS other ON other.id = k.x_id WHERE k.x_id = x.id AND other.bo)
(SELECT GROUP_CONCAT((SELECT other.i FROM x AS other WHERE other.id = k.x_id) ORDER BY k.id) FROM k WHERE k.x_id = x.id)
"#;

//! Whole views over random rows, with NULLs, orphans and ties: every document has to be the row
//! that MySQL answers, and there has to be no other.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use viewtide::sql::plan::ViewId;
use viewtide::sql::{Definitions, SourceFile, plan_views};

use crate::support::filled::{difference, documents, filled};
use crate::support::mysql::Server;

const TABLES: &str = "
CREATE TABLE countries (code CHAR(2) COLLATE utf8mb4_0900_bin PRIMARY KEY, name VARCHAR(20));
CREATE TABLE regions (id SMALLINT UNSIGNED PRIMARY KEY, name VARCHAR(20), country CHAR(2) COLLATE utf8mb4_0900_bin);
CREATE TABLE customers (id INT PRIMARY KEY, name VARCHAR(20), region_id TINYINT, level INT);
CREATE TABLE addresses (id INT PRIMARY KEY, customer_id INT, city VARCHAR(20), region_id SMALLINT UNSIGNED, main TINYINT(1));
CREATE TABLE orders (id BIGINT PRIMARY KEY, customer_id INT, total DECIMAL(10,2), status VARCHAR(10) COLLATE utf8mb4_0900_bin, at TIMESTAMP(3) NULL);
CREATE TABLE products (sku VARCHAR(10) COLLATE utf8mb4_0900_bin PRIMARY KEY, name VARCHAR(20), weight INT);
CREATE TABLE order_lines (order_id BIGINT, line INT, sku VARCHAR(10) COLLATE utf8mb4_0900_bin, quantity INT, price DECIMAL(10,2), PRIMARY KEY (order_id, line));
CREATE TABLE parts (id INT PRIMARY KEY, order_id INT, line INT, what VARCHAR(10) COLLATE utf8mb4_0900_bin);
CREATE TABLE prices (id INT PRIMARY KEY, sku VARCHAR(10) COLLATE utf8mb4_0900_bin, country CHAR(2) COLLATE utf8mb4_0900_bin, price DECIMAL(10,2), UNIQUE KEY (sku, country));
CREATE TABLE labels (sku VARCHAR(10) COLLATE utf8mb4_0900_bin, language CHAR(2) COLLATE utf8mb4_0900_bin, text VARCHAR(20), slot TINYINT UNIQUE, PRIMARY KEY (sku, language));
CREATE TABLE people (name VARCHAR(10) PRIMARY KEY, city VARCHAR(10), mood ENUM('fine', 'bad'));
CREATE TABLE places (area VARCHAR(10), place VARCHAR(10) COLLATE utf8mb4_bin, size INT, PRIMARY KEY (place, area));
CREATE TABLE visits (id INT PRIMARY KEY, person VARCHAR(10), area VARCHAR(10), place VARCHAR(10) COLLATE utf8mb4_bin, mood ENUM('bad', 'fine'))
";

/// Views that others read.
const INNER: [(&str, &str); 6] = [
    ("cards", "
SELECT c.id, c.name, r.country AS land, c.level > 1 AS senior, IF(c.level > 1, 1, 2.50) AS rate, c.region_id FROM customers c
LEFT JOIN regions r ON r.id = c.region_id WHERE c.level IS NOT NULL"),
    ("by_status", "
SELECT status, COUNT(*) AS n, SUM(total) AS total FROM orders GROUP BY status HAVING n > 1"),
    ("by_both", "
SELECT customer_id, status, COUNT(*) AS n, SUM(total) AS total FROM orders GROUP BY customer_id, status"),
    ("totals", "
SELECT o.id AS number, o.customer_id AS buyer, o.total, (SELECT COUNT(*) FROM order_lines l WHERE l.order_id = o.id) AS line_count,
  o.total > 20 AS large, IF(o.total > 20, 1, 2.50) AS rate FROM orders o"),
    ("priced", "
SELECT l.*, p.price AS listed, COALESCE(p.price, 7) AS price_or FROM order_lines l LEFT JOIN prices p ON p.sku = l.sku AND p.country = 'at'"),
    ("known", "
SELECT t.number, t.total, t.line_count, k.name AS buyer_name, k.senior, k.rate FROM totals t JOIN cards AS k ON k.id = t.buyer WHERE t.number > 3"),
];

const VIEWS: [(&str, &str); 65] = [
    ("groups of a column that can be NULL", "
SELECT o.customer_id, COUNT(*) AS n, SUM(o.total) AS total, MAX(o.at) AS newest, COUNT(DISTINCT o.status) AS statuses,
  GROUP_CONCAT(o.id ORDER BY o.total DESC, o.id) AS ids, IF(COUNT(*) > 2, 1, 2.50) AS rate FROM orders o GROUP BY o.customer_id"),
    ("groups of two columns, of which one is not shown first", "
SELECT COUNT(*) AS n, status, customer_id AS buyer, status IS NULL AS none, MIN(total) - customer_id AS less FROM orders GROUP BY customer_id, status"),
    ("groups while rows count", "
SELECT status, COUNT(*) AS n FROM orders WHERE total > 20 AND customer_id > 3 GROUP BY status"),
    ("groups by the name of a column of the SELECT list", "
SELECT o.status AS state, AVG(o.total) AS mean FROM orders o GROUP BY state"),
    ("groups that HAVING takes", "
SELECT o.customer_id, COUNT(*) AS n, SUM(o.total) AS total FROM orders o WHERE o.status <> 'sent' GROUP BY o.customer_id
HAVING n > 0 AND SUM(o.total) > 5 AND (o.customer_id IS NULL OR o.customer_id < 14) AND MIN(o.id) < 29"),
    ("groups and nothing of them", "
SELECT p.sku, p.country FROM prices p GROUP BY p.sku, p.country"),
    ("groups of a table that others are joined to", "
SELECT r.country, COUNT(*) AS orders, SUM(l.quantity) AS pieces, COUNT(DISTINCT c.id) AS customers, JSON_ARRAYAGG(l.price) AS prices FROM order_lines l
JOIN orders o ON o.id = l.order_id JOIN customers c ON c.id = o.customer_id JOIN regions r ON r.id = c.region_id
GROUP BY r.country HAVING COUNT(DISTINCT c.id) >= 1"),
    ("groups of the first table with others that may be missing", "
SELECT o.customer_id, COUNT(l.line) AS line_count, SUM(p.weight * l.quantity) AS weight FROM orders o
LEFT JOIN order_lines l ON l.order_id = o.id LEFT JOIN products p ON p.sku = l.sku AND p.weight > 1 GROUP BY o.customer_id"),
    ("a table's own rows as groups", "
SELECT c.id, c.name, COUNT(o.id) AS orders, COUNT(*) AS rows_, SUM(o.total) AS total, c.level + COUNT(o.id) AS sum FROM customers c
LEFT JOIN orders o ON o.customer_id = c.id AND o.status = 'paid' GROUP BY c.id"),
    ("a table's own rows as groups while they have others", "
SELECT COUNT(*) AS n, c.name, c.id FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.total < 90 GROUP BY c.id, c.name, c.level"),
    ("a composite key's rows as groups", "
SELECT l.line, l.order_id, l.sku, GROUP_CONCAT(p.what ORDER BY p.id) AS parts FROM order_lines l
JOIN parts p ON p.order_id = l.order_id AND p.line = l.line GROUP BY l.order_id, l.line HAVING parts <> 'nut'"),
    ("groups of an ENUM, and of text by its bytes", "
SELECT v.mood, v.place COLLATE utf8mb4_0900_bin AS spelled, COUNT(*) AS n, COUNT(v.person) AS people FROM visits v
GROUP BY v.mood, v.place COLLATE utf8mb4_0900_bin"),
    ("groups with subqueries tied to them", "
SELECT o.status, COUNT(*) AS n, (SELECT COUNT(*) FROM orders p WHERE p.status = o.status AND p.total > 50) AS large,
  EXISTS (SELECT 1 FROM orders q WHERE q.status = o.status AND q.customer_id IS NULL) AS loose FROM orders o GROUP BY o.status"),
    ("groups that are joined by their key", "
SELECT o.id, o.status, g.n, g.total FROM orders o LEFT JOIN by_status AS g ON g.status = o.status AND g.n > 2"),
    ("groups that rows are picked and collected of", "
SELECT c.id, (SELECT GROUP_CONCAT(g.status, ':', g.n ORDER BY g.status) FROM by_both g WHERE g.customer_id = c.id) AS statuses,
  p.n AS most FROM customers c
LEFT JOIN LATERAL (SELECT g.n FROM by_both g WHERE g.customer_id = c.id ORDER BY g.n DESC, g.status LIMIT 1) AS p ON TRUE"),
    ("groups of groups", "
SELECT g.status, COUNT(*) AS customers, SUM(g.n) AS orders, MAX(g.total) AS most FROM by_both g WHERE g.n > 0 GROUP BY g.status"),
    ("groups as they are", "
SELECT g.customer_id, g.status, g.n + 1 AS more FROM by_both g WHERE g.n > 1"),
    ("groups of a view", "
SELECT t.buyer, SUM(t.total) AS total, MAX(t.total) AS highest FROM totals AS t GROUP BY t.buyer"),
    ("look-ups under look-ups, either side first", "
SELECT o.id, c.name AS customer, r.name AS region, k.name AS country FROM orders AS o
LEFT JOIN customers AS c ON o.customer_id = c.id
LEFT JOIN regions AS r ON c.region_id = r.id
LEFT JOIN countries AS k ON k.code = r.country"),
    ("inner look-ups take rows away", "
SELECT o.id, c.name AS customer, k.name AS country FROM orders o
JOIN customers c ON c.id = o.customer_id JOIN regions r ON r.id = c.region_id
INNER JOIN countries k ON k.code = r.country"),
    ("further conditions of ON", "
SELECT o.id, c.name, r.name AS region FROM orders o
LEFT JOIN customers c ON c.id = o.customer_id AND c.level > 1 AND o.total < 60
LEFT JOIN regions r ON r.id = c.region_id AND (r.country IS NOT NULL OR c.level = 3)"),
    ("an inner look-up behind an outer one", "
SELECT o.id, c.level FROM orders o LEFT JOIN customers c ON c.id = o.customer_id
JOIN regions r ON r.id = c.region_id AND c.level <> 2"),
    ("WHERE over joined columns", "
SELECT o.id, o.status FROM orders o LEFT JOIN customers c ON c.id = o.customer_id
WHERE (c.level IS NULL OR c.level >= 2) AND o.status <> 'new' OR o.total BETWEEN 10 AND 30"),
    ("WHERE over a collection", "
SELECT o.id FROM orders o WHERE (SELECT COUNT(*) FROM order_lines l WHERE l.order_id = o.id) > 1"),
    ("the newest address and its region", "
SELECT c.id, a.city, r.name AS region FROM customers c
LEFT JOIN LATERAL (SELECT city, region_id FROM addresses WHERE customer_id = c.id ORDER BY id DESC LIMIT 1) AS a ON TRUE
LEFT JOIN regions r ON r.id = a.region_id"),
    ("a pick with inner look-ups and a filter", "
SELECT c.id, p.* FROM customers c
LEFT JOIN LATERAL (SELECT a.id AS address_id, a.main = 1 AS is_main, r.name AS region, a.id / 3 AS third
  FROM addresses a JOIN regions r ON r.id = a.region_id
  WHERE a.customer_id = c.id AND a.main IS NOT NULL ORDER BY a.main DESC, a.id LIMIT 1) AS p ON TRUE"),
    ("a pick that has to be there", "
SELECT c.id, a.city FROM customers c
JOIN LATERAL (SELECT city FROM addresses a WHERE a.customer_id = c.id AND c.level > 1 ORDER BY a.id LIMIT 1) AS a ON TRUE"),
    ("an alias in ORDER BY, NULLs first", "
SELECT c.id, p.id AS order_id, p.total FROM customers c
LEFT JOIN LATERAL (SELECT o.id, -o.total AS total FROM orders o WHERE o.customer_id = c.id ORDER BY total, o.id LIMIT 1) AS p ON TRUE"),
    ("the last order with its lines", "
SELECT c.id, p.id AS order_id, p.lines_, (SELECT COUNT(*) FROM parts WHERE parts.order_id = p.id) AS parts FROM customers c
LEFT JOIN LATERAL (SELECT o.id,
    (SELECT JSON_ARRAYAGG(JSON_OBJECT('sku', l.sku, 'sum', l.quantity * l.price)) FROM order_lines l WHERE l.order_id = o.id) AS lines_
  FROM orders o WHERE o.customer_id = c.id ORDER BY o.at DESC, o.id DESC LIMIT 1) AS p ON TRUE"),
    ("collections with look-ups inside", "
SELECT o.id,
  (SELECT SUM(l.quantity * p.weight) FROM order_lines l JOIN products p ON p.sku = l.sku WHERE l.order_id = o.id) AS weight,
  (SELECT GROUP_CONCAT(COALESCE(p.name, '?'), ' x', l.quantity ORDER BY p.weight DESC, l.line SEPARATOR '; ')
   FROM order_lines l LEFT JOIN products p ON p.sku = l.sku AND p.weight > 1 WHERE l.order_id = o.id AND l.quantity > 0) AS text
FROM orders o"),
    ("collections in collections in collections", "
SELECT c.id, (SELECT JSON_ARRAYAGG(JSON_OBJECT('id', o.id, 'customer', c.name, 'lines',
    (SELECT JSON_ARRAYAGG(JSON_OBJECT('line', l.line, 'of', o.status, 'parts',
        (SELECT JSON_ARRAYAGG(p.what) FROM parts p WHERE p.order_id = l.order_id AND p.line = l.line)))
     FROM order_lines l WHERE l.order_id = o.id))) FROM orders o WHERE o.customer_id = c.id) AS orders
FROM customers c"),
    ("a pick in a collection", "
SELECT o.id, (SELECT JSON_ARRAYAGG(JSON_OBJECT('line', l.line, 'part', f.what))
  FROM order_lines l
  LEFT JOIN LATERAL (SELECT p.what FROM parts p WHERE p.order_id = l.order_id AND p.line = l.line ORDER BY p.what DESC, p.id LIMIT 1) AS f ON TRUE
  WHERE l.order_id = o.id) AS firsts FROM orders o"),
    ("one table several times", "
SELECT o.id, (SELECT COUNT(*) FROM orders o2 WHERE o2.customer_id = o.customer_id AND o2.id <> o.id) AS others,
  (SELECT MAX(o3.total) FROM orders o3 WHERE o.customer_id = o3.customer_id AND o3.id < o.id) AS before_,
  (SELECT GROUP_CONCAT(o4.id ORDER BY o4.id) FROM orders o4 WHERE o4.status = o.status) AS same_status
FROM orders o"),
    ("edges between columns that are no keys", "
SELECT c.id, (SELECT GROUP_CONCAT(a.id ORDER BY a.id) FROM addresses a WHERE a.region_id = c.region_id) AS there,
  (SELECT COUNT(*) FROM addresses a WHERE a.region_id = c.region_id AND a.customer_id = c.id) AS own FROM customers c"),
    ("one subquery tied to two tables outside", "
SELECT o.id, (SELECT GROUP_CONCAT(l.sku, ':', (SELECT COUNT(*) FROM parts p WHERE p.order_id = o.id AND p.line = l.line) ORDER BY l.line)
  FROM order_lines l WHERE l.order_id = o.id) AS text FROM orders o"),
    ("single values by primary key", "
SELECT l.order_id, l.line, (SELECT p.name FROM products p WHERE p.sku = l.sku) AS product,
  (SELECT o.total FROM orders o WHERE o.id = l.order_id AND o.status = 'paid') AS paid,
  (SELECT p.what FROM parts p WHERE p.line = l.line AND p.order_id = l.order_id ORDER BY p.id DESC LIMIT 1) AS last_part
FROM order_lines l"),
    ("look-ups by a unique key, of columns that can be NULL", "
SELECT l.order_id, l.line, k.text, k.language FROM order_lines l LEFT JOIN labels k ON k.slot = l.line AND k.sku <> 'zz'"),
    ("a key of columns of two tables", "
SELECT l.order_id, l.line, p.price, r.country FROM order_lines l JOIN orders o ON o.id = l.order_id
JOIN customers c ON c.id = o.customer_id LEFT JOIN regions r ON r.id = c.region_id
LEFT JOIN prices p ON p.sku = l.sku AND p.country = r.country AND p.price > c.level * 10"),
    ("a key of a column and a constant", "
SELECT l.order_id, l.line, en.text AS english, COALESCE(se.text, en.text, l.sku) AS swedish FROM order_lines l
LEFT JOIN labels en ON en.sku = l.sku AND en.language = 'en'
LEFT JOIN labels AS se ON 'se' = se.language AND (se.sku = l.sku)"),
    ("unique keys in a collection", "
SELECT o.id, (SELECT SUM(l.quantity * p.price) FROM order_lines l JOIN prices p ON p.country = 'at' AND p.sku = l.sku WHERE l.order_id = o.id) AS cost,
  (SELECT GROUP_CONCAT(k.text ORDER BY l.line) FROM order_lines l JOIN labels k ON k.slot = l.quantity WHERE l.order_id = o.id) AS labels
FROM orders o"),
    ("a view as it is, merged", "
SELECT *, JSON_ARRAY(senior, rate, senior IS NULL) AS j, CONCAT(rate, '/', senior) AS text FROM cards WHERE land <> 'no' OR land IS NULL"),
    ("a view as it is, with a subquery", "
SELECT t.*, JSON_ARRAY(t.large, t.rate, t.line_count) AS j, CONCAT(t.rate, '/', t.large) AS text FROM totals t WHERE t.line_count > 0"),
    ("a view that may lack the row", "
SELECT o.id, k.name, k.land, k.senior, k.rate, JSON_ARRAY(k.senior, k.rate) AS j, CONCAT(k.rate, k.senior) AS text, r.name AS region FROM orders o
LEFT JOIN cards k ON k.id = o.customer_id AND k.senior LEFT JOIN regions AS r ON r.id = k.region_id"),
    ("a view that must have the row, joined on", "
SELECT l.order_id, l.line, t.large, t.rate, t.line_count, JSON_ARRAY(t.rate, t.large) AS j, k.land FROM order_lines l
JOIN totals t ON t.number = l.order_id LEFT JOIN cards k ON k.id = t.buyer"),
    ("a view of views", "
SELECT known.*, JSON_ARRAY(rate, senior) AS j, CONCAT(rate) AS text FROM known WHERE line_count < 4"),
    ("views in subqueries", "
SELECT c.id, (SELECT SUM(t.total) FROM totals t WHERE t.buyer = c.id AND t.line_count > 1) AS total,
  (SELECT JSON_ARRAYAGG(JSON_ARRAY(p.listed, p.price_or)) FROM priced AS p WHERE p.order_id = c.id) AS prices,
  (SELECT k.buyer_name FROM known k WHERE k.number = c.id) AS of_number,
  (SELECT t.rate FROM totals t WHERE t.buyer = c.id ORDER BY t.total DESC, t.number LIMIT 1) AS best
FROM customers c"),
    ("subqueries in FROM", "
SELECT x.*, y.name, JSON_ARRAY(x.rate, x.large, y.deep) AS j FROM (SELECT id, customer_id AS buyer, total > 20 AS large, IF(total > 20, 1, 2.50) AS rate FROM orders WHERE total IS NOT NULL) AS x
LEFT JOIN (SELECT c.*, z.country, (SELECT COUNT(*) FROM addresses a WHERE a.customer_id = c.id) + 0.50 AS deep FROM customers c JOIN (SELECT * FROM regions) z ON z.id = c.region_id) AS y ON y.id = x.buyer AND x.large"),
    ("a view joined by what it shows of two tables", "
SELECT c.id, t.number, t.total FROM customers c LEFT JOIN (SELECT o.id AS number, o.total, d.id AS buyer, d.level FROM orders o JOIN customers d ON d.id = o.customer_id) AS t
ON t.number = c.id AND t.number = t.buyer + 0 AND t.buyer = t.level"),
    ("the last of a view", "
SELECT c.id, n.number, n.large, n.rate, n.line_count FROM customers c
LEFT JOIN LATERAL (SELECT t.* FROM totals t WHERE t.buyer = c.id ORDER BY t.number DESC LIMIT 1) AS n ON TRUE"),
    ("all columns of two tables", "
SELECT l.*, p.name, p.weight FROM order_lines AS l LEFT JOIN products AS p ON p.sku = l.sku"),
    ("several aggregates in one expression", "
SELECT o.id, (SELECT CASE WHEN COUNT(*) = 0 THEN 'empty' WHEN SUM(l.quantity) > 5 THEN CONCAT('many: ', SUM(l.quantity)) ELSE MIN(l.sku) END
  FROM order_lines l WHERE l.order_id = o.id) AS kind,
  (SELECT ROUND(SUM(l.quantity * l.price) / NULLIF(SUM(l.quantity), 0), 2) FROM order_lines l WHERE l.order_id = o.id) AS mean
FROM orders o"),
    ("joins of several rows inside of aggregates", "
SELECT c.id, (SELECT COUNT(*) FROM orders o JOIN order_lines l ON l.order_id = o.id WHERE o.customer_id = c.id) AS inner_,
  (SELECT CONCAT(COUNT(*), ':', COUNT(l.line), ':', COUNT(p.id)) FROM orders o LEFT JOIN order_lines l ON l.order_id = o.id AND l.quantity > 1
   LEFT JOIN parts p ON p.order_id = o.id AND p.line = l.line WHERE o.customer_id = c.id AND (o.total > 5 OR p.what = 'nut')) AS outer_,
  (SELECT SUM(l.quantity * p.weight) FROM orders o JOIN order_lines l ON l.order_id = o.id AND l.price > 10 JOIN products p ON p.sku = l.sku AND p.weight > 1
   WHERE o.customer_id = c.id AND o.status <> 'new') AS weight,
  (SELECT GROUP_CONCAT(o.id, '/', l.line ORDER BY o.total DESC, l.order_id, l.line SEPARATOR ' ') FROM orders o JOIN order_lines l ON l.order_id = o.id WHERE o.customer_id = c.id) AS text_,
  (SELECT JSON_ARRAYAGG(JSON_ARRAY(o.id, l.line, a.city)) FROM orders o LEFT JOIN order_lines l ON l.order_id = o.id
   LEFT JOIN LATERAL (SELECT a.city FROM addresses a WHERE a.customer_id = o.customer_id AND a.id > l.line ORDER BY a.id LIMIT 1) AS a ON TRUE WHERE o.customer_id = c.id) AS array,
  EXISTS (SELECT 1 FROM orders o JOIN order_lines l ON l.order_id = o.id JOIN products p ON p.sku = l.sku WHERE o.customer_id = c.id AND p.weight = 2) AS heavy
FROM customers c"),
    ("many to many from the far side", "
SELECT o.id, (SELECT JSON_ARRAYAGG(p.name) FROM products p JOIN order_lines l ON l.sku = p.sku WHERE l.order_id = o.id) AS names,
  (SELECT GROUP_CONCAT(p.sku, l.line ORDER BY p.weight, l.line) FROM products p JOIN order_lines l ON l.sku = p.sku AND p.weight > 1 WHERE o.id = l.order_id AND l.quantity > 1) AS heavy
FROM orders o"),
    ("a way through four tables", "
SELECT r.id, s.* FROM regions r JOIN LATERAL (
  SELECT COUNT(*) AS lines_, SUM(l.quantity) AS quantity, MAX(o.total) AS most, COUNT(p.name) AS known
  FROM order_lines l JOIN orders o ON o.id = l.order_id JOIN customers c ON c.id = o.customer_id LEFT JOIN products p ON p.sku = l.sku
  WHERE c.region_id = r.id AND c.level >= 1) AS s ON TRUE"),
    ("rows of one table with each other", "
SELECT o.id, (SELECT COUNT(*) FROM order_lines a JOIN order_lines b ON b.order_id = a.order_id AND b.line > a.line WHERE a.order_id = o.id) AS pairs,
  (SELECT COUNT(*) FROM order_lines l JOIN parts p ON p.order_id = o.id AND p.line <> l.line WHERE l.order_id = o.id) AS others,
  (SELECT SUM(b.quantity - a.quantity) FROM order_lines a LEFT JOIN order_lines b ON b.order_id = a.order_id AND b.sku = a.sku AND b.line <> a.line WHERE a.order_id = o.id) AS more
FROM orders o"),
    ("unique keys inside of aggregates", "
SELECT o.id, (SELECT SUM(l.quantity * n.price) FROM order_lines l JOIN prices n ON n.sku = l.sku AND n.country = 'no' WHERE l.order_id = o.id) AS there,
  (SELECT COUNT(*) FROM order_lines l JOIN prices n ON n.sku = l.sku JOIN countries k ON k.code = n.country WHERE l.order_id = o.id) AS prices
FROM orders o"),
    ("distinct values, bits and objects", "
SELECT c.id, s.* FROM customers c JOIN LATERAL (
  SELECT COUNT(DISTINCT o.status) AS states, COUNT(DISTINCT o.status, o.total) AS pairs, COUNT(DISTINCT o.at) AS instants,
    SUM(DISTINCT o.total) AS total, AVG(DISTINCT o.total) AS mean, AVG(DISTINCT IF(o.total > 20, 2, 2.50)) AS mixed, MAX(DISTINCT o.total) AS most,
    GROUP_CONCAT(DISTINCT o.status ORDER BY o.status DESC SEPARATOR '; ') AS list, GROUP_CONCAT(DISTINCT o.total ORDER BY o.total) AS totals,
    GROUP_CONCAT(DISTINCT IF(o.total > 20, 2, 2.50) ORDER BY IF(o.total > 20, 2, 2.50)) AS rates,
    BIT_AND(o.id) AS every, BIT_OR(o.id) AS any_, BIT_XOR(o.id) AS odd, BIT_OR(-o.id) AS signed_, BIT_AND(o.total > 20) AS all_large,
    JSON_OBJECTAGG(o.id, JSON_ARRAY(o.total, o.status)) AS by_id, GROUP_CONCAT(IF(o.total > 20, 2, 2.50) ORDER BY o.id) AS rates_in_order
  FROM orders o WHERE o.customer_id = c.id) AS s ON TRUE"),
    ("distinct values and objects alone, and of several tables", "
SELECT o.id, (SELECT JSON_OBJECTAGG(l.line, l.sku) FROM order_lines l WHERE l.order_id = o.id) AS skus,
  (SELECT GROUP_CONCAT(DISTINCT l.sku ORDER BY l.sku) FROM order_lines l JOIN parts p ON p.order_id = l.order_id AND p.line = l.line WHERE l.order_id = o.id) AS with_parts,
  (SELECT COUNT(DISTINCT p.what) FROM order_lines l LEFT JOIN parts p ON p.order_id = l.order_id AND p.line = l.line WHERE l.order_id = o.id) AS kinds,
  (SELECT SUM(DISTINCT l.quantity) FROM order_lines l WHERE l.order_id = o.id) AS quantity
FROM orders o"),
    ("EXISTS and NOT EXISTS", "
SELECT o.id, EXISTS (SELECT 1 FROM order_lines l WHERE l.order_id = o.id AND l.quantity > 2) AS many,
  JSON_ARRAY(NOT EXISTS (SELECT * FROM parts p WHERE p.order_id = o.id LIMIT 1), EXISTS (SELECT p.id FROM parts p WHERE p.order_id = o.id) + 1) AS parts
FROM orders o
WHERE NOT EXISTS (SELECT 1 FROM customers c JOIN regions r ON r.id = c.region_id WHERE c.id = o.customer_id AND r.country = 'no')"),
    ("aggregates in a LATERAL subquery", "
SELECT o.id, s.*, JSON_ARRAY(s.several, s.mean, s.mixed) AS array, s.total / s.lines_ AS ratio, IF(s.seven > s.lines_, s.several, 9) AS less
FROM orders o LEFT JOIN LATERAL (
  SELECT COUNT(*) AS lines_, SUM(l.quantity * l.price) AS total, AVG(l.price) AS mean, COUNT(*) > 1 AS several,
    IF(COUNT(l.sku) > 1, 1, 2.50) AS mixed, 7 AS seven, MAX(l.quantity) AS most, COUNT(*) AS again,
    GROUP_CONCAT(l.line ORDER BY l.price, l.line) AS text_, JSON_ARRAYAGG(l.sku) AS skus, GROUP_CONCAT(l.sku ORDER BY l.line DESC) AS down
  FROM order_lines l WHERE l.order_id = o.id AND o.total > 5) AS s ON TRUE"),
    ("aggregates of LATERAL subqueries in each other", "
SELECT c.id, s.orders_, s.of_lines, p.n FROM customers c JOIN LATERAL (
  SELECT COUNT(*) AS orders_, MAX(o.total) AS most, SUM(t.n) AS of_lines FROM orders o JOIN LATERAL (
    SELECT COUNT(*) AS n, SUM(l.quantity) AS q FROM order_lines l WHERE l.order_id = o.id) AS t ON TRUE
  WHERE o.customer_id = c.id AND (t.q > 3 OR t.n = 0)) AS s ON TRUE
LEFT JOIN LATERAL (SELECT COUNT(*) AS n FROM addresses a WHERE a.customer_id = c.id AND s.most > 10) AS p ON TRUE
WHERE s.orders_ < 5 OR EXISTS (SELECT 1 FROM addresses a WHERE a.customer_id = c.id)"),
    ("look-ups by text in any spelling", "
SELECT v.id, v.person, p.name, p.city, q.place, q.area, q.size FROM visits v
LEFT JOIN people p ON p.name = v.person LEFT JOIN places q ON q.place = v.place AND q.area = v.area"),
    ("rows that hang on text in any spelling, in its order", "
SELECT p.name, p.city, (SELECT GROUP_CONCAT(v.person, v.id ORDER BY v.person DESC, v.place, v.id) FROM visits v WHERE v.person = p.name) AS visits,
  (SELECT v.id FROM visits v WHERE v.person = p.name ORDER BY v.area, v.id DESC LIMIT 1) AS first_,
  (SELECT COUNT(*) FROM people o WHERE o.city = p.city) AS neighbours, l.place
FROM people p LEFT JOIN LATERAL (SELECT v.place FROM visits v WHERE v.person = p.name AND v.place <> 'a' ORDER BY v.place DESC, v.id LIMIT 1) AS l ON TRUE
WHERE p.city <> 'ROME' OR p.name < 'C'"),
    ("a composite key with text in several collations", "
SELECT q.place, q.area, (SELECT JSON_ARRAYAGG(v.id) FROM visits v WHERE v.place = q.place AND v.area = q.area) AS visits,
  (SELECT COUNT(*) FROM visits v WHERE v.place = q.place) AS all_ FROM places q"),
    ("ENUMs tied by their text", "
SELECT p.name, p.mood, (SELECT GROUP_CONCAT(v.id ORDER BY v.id) FROM visits v WHERE v.mood = p.mood AND v.person <= p.name) AS alike FROM people p"),
];

#[tokio::test]
async fn views_are_what_mysql_says() {
    let mut server = Server::start("viewtide_views").await;
    for sql in TABLES.split(';').map(str::to_owned).chain(random_rows(7)) {
        server.run(&sql).await;
    }
    let mut differences = Vec::new();
    for (name, select) in VIEWS {
        let file = |path: &str, text: String| SourceFile { path: path.to_owned(), text };
        let view = |(name, select): &(&str, &str)| {
            file(&format!("{name}.sql"), format!("CREATE VIEW {name} AS {select};"))
        };
        let definitions = Definitions {
            tables: vec![file("schema.sql", TABLES.to_owned())],
            streams: Vec::new(),
            views: [("v", select)].iter().chain(&INNER).map(view).collect(),
        };
        let plan = plan_views(&definitions).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut engine = filled(&plan, &mut server).await;
        let ours = documents(&mut engine, ViewId(0));
        let theirs =
            server.view(&plan, &plan.views[0]).await.unwrap_or_else(|why| panic!("{name}: {why}"));
        assert!(theirs.len() > 3, "{name} has hardly a row");
        if let Some(difference) = difference(&plan.views[0], &ours, &theirs) {
            differences.push(format!("{name}: {difference}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// INSERTs of few distinct values, so that rows meet, miss each other, and tie.
fn random_rows(seed: u64) -> Vec<String> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut rows = Vec::new();
    let mut insert = |table: &str, count: i64, columns: &dyn Fn(&mut StdRng, i64) -> String| {
        for id in 1..=count {
            rows.push(format!("INSERT INTO {table} VALUES ({})", columns(&mut random, id)));
        }
    };
    fn maybe(random: &mut StdRng, value: String) -> String {
        if random.random_bool(0.15) { "NULL".to_owned() } else { value }
    }
    fn number(random: &mut StdRng, most: i64) -> String {
        let value = random.random_range(1..=most).to_string();
        maybe(random, value)
    }
    fn one_of(random: &mut StdRng, values: &[&str]) -> String {
        let value = format!("'{}'", values[random.random_range(0..values.len())]);
        maybe(random, value)
    }
    fn money(random: &mut StdRng) -> String {
        let value = format!("{}.{:02}", random.random_range(0..90), random.random_range(0..4) * 25);
        maybe(random, value)
    }
    const CODES: [&str; 5] = ["at", "AT", "se", "no", "xx"];
    const SKUS: [&str; 6] = ["a", "A", "b2", "", "é", "zz"];
    insert("countries", 4, &|_, id| format!("'{}', 'Country {id}'", CODES[id as usize - 1]));
    insert("regions", 6, &|r, id| format!("{id}, 'Region {id}', {}", one_of(r, &CODES)));
    insert("customers", 12, &|r, id| {
        format!("{id}, 'Customer {id}', {}, {}", number(r, 8), number(r, 3))
    });
    insert("addresses", 24, &|r, id| {
        let (customer, region, main) = (number(r, 14), number(r, 8), number(r, 2));
        format!("{id}, {customer}, 'City {id}', {region}, {main} - 1")
    });
    insert("orders", 30, &|r, id| {
        let at = format!("'2024-01-0{} 10:00:00.{}'", r.random_range(1..4), r.random_range(0..3));
        let (customer, total) = (number(r, 14), money(r));
        let status = one_of(r, &["new", "paid", "sent"]);
        format!("{id}, {customer}, {total}, {status}, {}", maybe(r, at))
    });
    insert("products", 5, &|r, id| {
        format!("'{}', 'Product {id}', {}", SKUS[id as usize - 1], number(r, 3))
    });
    insert("order_lines", 70, &|r, id| {
        let (order, line) = (id % 33 + 1, id / 33 + 1);
        format!("{order}, {line}, {}, {}, {}", one_of(r, &SKUS), number(r, 4), money(r))
    });
    const PRICED: [&str; 4] = ["at", "se", "no", "AT"];
    insert("prices", 18, &|r, id| {
        let (sku, country) = (SKUS[id as usize % 6], PRICED[id as usize / 6 % 4]);
        let country = maybe(r, format!("'{country}'"));
        format!("{id}, '{sku}', {country}, {}", money(r))
    });
    insert("labels", 11, &|r, id| {
        let (sku, language) = (SKUS[id as usize % 6], ["en", "se"][id as usize / 6]);
        let slot = maybe(r, id.to_string());
        format!("'{sku}', '{language}', 'Label {id}', {slot}")
    });
    const NAMES: [&str; 8] = ["Ann", "ANN", "ánn", "Bo", "bö", "ss", "ß", ""];
    const PLACES: [&str; 5] = ["a", "a ", "A", "b  ", "b"];
    insert("people", 6, &|r, id| {
        let name = ["Ann", "bö", "ß", "", "Zoë", "b!"][id as usize - 1];
        let (city, mood) = (one_of(r, &["Rome", "rome", "Oslo"]), one_of(r, &["fine", "bad"]));
        format!("'{name}', {city}, {mood}")
    });
    insert("places", 6, &|r, id| {
        let (area, place) = (["x", "É", "e f"][id as usize % 3], ["a", "b"][id as usize / 4]);
        format!("'{area}', '{place}', {}", number(r, 3))
    });
    insert("visits", 50, &|r, id| {
        let (person, area) = (one_of(r, &NAMES), one_of(r, &["X", "x", "e", "é", "E F"]));
        format!("{id}, {person}, {area}, {}, {}", one_of(r, &PLACES), one_of(r, &["fine", "bad"]))
    });
    insert("parts", 60, &|r, id| {
        let (order, line) = (number(r, 34), number(r, 3));
        format!("{id}, {order}, {line}, {}", one_of(r, &["nut", "bolt", "Bolt"]))
    });
    rows
}

-- A store's day. The day is computed by the table, so that rows can be grouped by it.
CREATE VIEW store_day AS
SELECT p.store_id, p.paid_on, COUNT(*) AS payments, SUM(p.amount) AS revenue, COUNT(DISTINCT p.customer_id) AS customers,
  MAX(p.amount) AS largest, SUM(p.amount) > 20 AS is_good,
  (SELECT t.name FROM stores AS s JOIN cities AS t ON t.city_id = s.city_id WHERE s.store_id = p.store_id) AS city
FROM payments AS p
GROUP BY p.store_id, p.paid_on;

CREATE INDEX paid_on ON store_day (paid_on);

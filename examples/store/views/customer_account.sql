-- What a customer has paid, the newest rental with its film, and whether something is still out.
CREATE VIEW customer_account AS
SELECT c.customer_id, CONCAT_WS(' ', c.first_name, c.last_name) AS name, LOWER(c.email) AS email,
  t.name AS city, n.name AS country,
  p.payments, COALESCE(p.paid, 0) AS paid, p.average, p.latest,
  r.rental_id AS last_rental, r.title, r.rented_at, r.due_at,
  EXISTS (SELECT 1 FROM rentals AS o WHERE o.customer_id = c.customer_id AND o.returned_at IS NULL) AS has_open,
  (SELECT COUNT(*) FROM rentals AS o JOIN copies AS k ON k.copy_id = o.copy_id JOIN films AS f ON f.film_id = k.film_id
    WHERE o.customer_id = c.customer_id AND DATEDIFF(o.returned_at, o.rented_at) > f.rental_days) AS late
FROM customers AS c
LEFT JOIN cities AS t ON t.city_id = c.city_id
LEFT JOIN countries AS n ON n.country_id = t.country_id
JOIN LATERAL (SELECT COUNT(*) AS payments, SUM(amount) AS paid, AVG(amount) AS average, MAX(paid_at) AS latest
  FROM payments WHERE customer_id = c.customer_id) AS p ON TRUE
LEFT JOIN LATERAL (SELECT x.rental_id, f.title, x.rented_at, DATE_ADD(x.rented_at, INTERVAL f.rental_days DAY) AS due_at
  FROM rentals AS x LEFT JOIN copies AS k ON k.copy_id = x.copy_id LEFT JOIN films AS f ON f.film_id = k.film_id
  WHERE x.customer_id = c.customer_id ORDER BY x.rented_at DESC, x.rental_id DESC LIMIT 1) AS r ON TRUE
WHERE c.active = 1;

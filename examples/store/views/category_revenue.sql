-- What each category brought in: the groups are at the other end of four joins.
CREATE VIEW category_revenue AS
SELECT c.category_id, c.name, COUNT(*) AS payments, COUNT(DISTINCT r.customer_id) AS customers,
  SUM(p.amount) AS revenue, MIN(p.amount) AS smallest, MAX(p.paid_at) AS latest
FROM payments AS p
JOIN rentals AS r ON r.rental_id = p.rental_id
JOIN copies AS k ON k.copy_id = r.copy_id
JOIN film_categories AS fc ON fc.film_id = k.film_id
JOIN categories AS c ON c.category_id = fc.category_id
WHERE p.amount > 0
GROUP BY c.category_id, c.name
HAVING revenue > 10;

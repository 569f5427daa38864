-- A film as the shop window shows it: many to many with actors and categories, each actor with the number of all films.
CREATE VIEW film_card AS
SELECT f.film_id, f.title, UPPER(LEFT(f.title, 1)) AS initial, f.release_year, f.rating, f.features,
  l.name AS language, o.name AS original_language,
  CONCAT(FLOOR(f.minutes / 60), ':', LPAD(MOD(f.minutes, 60), 2, '0')) AS duration,
  ROUND(f.rental_rate / NULLIF(f.rental_days, 0), 3) AS rate_per_day,
  (SELECT JSON_ARRAYAGG(JSON_OBJECT('id', a.actor_id, 'name', CONCAT_WS(' ', a.first_name, a.last_name),
      'films', (SELECT COUNT(*) FROM film_actors AS other WHERE other.actor_id = a.actor_id)))
    FROM film_actors AS fa JOIN actors AS a ON a.actor_id = fa.actor_id WHERE fa.film_id = f.film_id) AS actors,
  (SELECT GROUP_CONCAT(c.name ORDER BY c.category_id SEPARATOR ', ')
    FROM film_categories AS fc JOIN categories AS c ON c.category_id = fc.category_id WHERE fc.film_id = f.film_id) AS categories,
  k.copies, k.stores,
  (SELECT MAX(r.rented_at) FROM copies AS c JOIN rentals AS r ON r.copy_id = c.copy_id WHERE c.film_id = f.film_id) AS last_rented
FROM films AS f
JOIN languages AS l ON l.language_id = f.language_id
LEFT JOIN languages AS o ON o.language_id = f.original_language_id
JOIN LATERAL (SELECT COUNT(*) AS copies, COUNT(DISTINCT c.store_id) AS stores FROM copies AS c WHERE c.film_id = f.film_id) AS k ON TRUE;

CREATE INDEX initial ON film_card (initial);

-- One nested document per order: the user with all addresses, the items with their totals, and
-- everything that happened to the order.
CREATE VIEW order_documents AS
SELECT
  o.order_id,
  o.user_id,
  o.order_date,
  o.total,
  JSON_OBJECT(
    'id', u.user_id,
    'name', u.name,
    'email', u.email,
    'phone', u.phone,
    'orders', (SELECT COUNT(*) FROM orders AS other WHERE other.user_id = u.user_id),
    'addresses', (
      SELECT JSON_ARRAYAGG(JSON_OBJECT(
        'id', a.address_id,
        'street', a.street,
        'city', a.city,
        'state', a.state,
        'postal_code', a.postal_code,
        'country', a.country
      ))
      FROM addresses AS a
      WHERE a.user_id = u.user_id
    )
  ) AS user,
  JSON_OBJECT(
    'id', newest.address_id,
    'street', newest.street,
    'city', newest.city,
    'country', newest.country
  ) AS deliver_to,
  (
    SELECT JSON_ARRAYAGG(JSON_OBJECT(
      'id', i.id,
      'name', i.name,
      'quantity', i.quantity,
      'price', i.price,
      'total', i.quantity * i.price
    ))
    FROM order_items AS i
    WHERE i.order_id = o.order_id
  ) AS items,
  (SELECT COALESCE(SUM(i.quantity * i.price), 0) FROM order_items AS i WHERE i.order_id = o.order_id)
    AS items_total,
  (
    SELECT JSON_ARRAYAGG(JSON_OBJECT('status', e.status, 'at', e.updated_at))
    FROM order_updates AS e
    WHERE e.order_id = o.order_id
  ) AS history
FROM orders AS o
JOIN users AS u ON u.user_id = o.user_id
LEFT JOIN LATERAL (
  SELECT a.address_id, a.street, a.city, a.country
  FROM addresses AS a
  WHERE a.user_id = o.user_id
  ORDER BY a.address_id DESC
  LIMIT 1
) AS newest ON TRUE;

CREATE INDEX user_id ON order_documents (user_id);

-- One document per order whose user exists: who, where to, what, and how far it is.
--
-- The latest status wins by its timestamp, whatever the order of arrival: the order's own
-- (order_status at updated_date) or the newest event's. The event wins a tie, and no timestamp at
-- all loses to any.
CREATE VIEW order_details_mv AS
SELECT
  o.order_id,
  o.total,
  o.order_date,
  CASE
    WHEN e._offset IS NULL
      OR o.updated_date > e.updated_at
      OR (o.updated_date IS NOT NULL AND e.updated_at IS NULL) THEN o.order_status
    ELSE e.status
  END AS order_status,
  DATE_FORMAT(
    CASE
      WHEN e._offset IS NULL
        OR o.updated_date > e.updated_at
        OR (o.updated_date IS NOT NULL AND e.updated_at IS NULL) THEN o.updated_date
      ELSE e.updated_at
    END,
    '%Y-%m-%dT%H:%i:%sZ'
  ) AS last_order_update,
  o.user_id,
  u.phone AS user_phone,
  IF(a.address_id IS NULL, NULL,
    CONCAT_WS(', ', a.street, a.city, a.state, a.postal_code, a.country)) AS full_address,
  (
    SELECT GROUP_CONCAT(
      CONCAT(i.name, ' (Qty: ', i.quantity, ', Price: ', i.price, ', Total: ', i.quantity * i.price, ')')
      ORDER BY i.id SEPARATOR ' | '
    )
    FROM order_items AS i
    WHERE i.order_id = o.order_id
  ) AS order_items_details
FROM orders AS o
JOIN users AS u ON u.user_id = o.user_id
LEFT JOIN LATERAL (
  SELECT address_id, street, city, state, postal_code, country
  FROM addresses
  WHERE addresses.user_id = u.user_id
  ORDER BY address_id DESC
  LIMIT 1
) AS a ON TRUE
LEFT JOIN LATERAL (
  SELECT status, updated_at, _offset
  FROM order_updates
  WHERE order_updates.order_id = o.order_id
  ORDER BY updated_at DESC, id DESC, _partition DESC, _offset DESC
  LIMIT 1
) AS e ON TRUE;

CREATE INDEX user_id ON order_details_mv (user_id);
CREATE INDEX order_status ON order_details_mv (order_status);

-- The items as they are.
CREATE VIEW order_items AS
SELECT * FROM order_items;

CREATE INDEX order_id ON order_items (order_id);

-- The orders as they are.
CREATE VIEW orders AS
SELECT * FROM orders;

CREATE INDEX user_id ON orders (user_id);

-- The addresses as they are.
CREATE VIEW addresses AS
SELECT * FROM addresses;

CREATE INDEX user_id ON addresses (user_id);

-- The users as they are.
CREATE VIEW users AS
SELECT * FROM users;

CREATE INDEX email ON users (email);

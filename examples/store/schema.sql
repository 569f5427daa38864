-- A store that lends films: what is lent, to whom, and what was paid.

CREATE TABLE languages (
  language_id TINYINT UNSIGNED NOT NULL,
  name CHAR(20) NOT NULL,
  PRIMARY KEY (language_id)
);

CREATE TABLE films (
  film_id INT UNSIGNED NOT NULL,
  title VARCHAR(128) NOT NULL,
  release_year YEAR DEFAULT NULL,
  language_id TINYINT UNSIGNED NOT NULL,
  original_language_id TINYINT UNSIGNED DEFAULT NULL,
  rental_days TINYINT UNSIGNED NOT NULL,
  rental_rate DECIMAL(4,2) NOT NULL,
  minutes SMALLINT UNSIGNED DEFAULT NULL,
  rating ENUM('G', 'PG', 'PG-13', 'R') DEFAULT NULL,
  features SET('trailers', 'comments', 'cut scenes') DEFAULT NULL,
  PRIMARY KEY (film_id)
);

CREATE TABLE actors (
  actor_id INT UNSIGNED NOT NULL,
  first_name VARCHAR(45) NOT NULL,
  last_name VARCHAR(45) NOT NULL,
  PRIMARY KEY (actor_id)
);

CREATE TABLE film_actors (
  actor_id INT UNSIGNED NOT NULL,
  film_id INT UNSIGNED NOT NULL,
  PRIMARY KEY (actor_id, film_id)
);

CREATE TABLE categories (
  category_id TINYINT UNSIGNED NOT NULL,
  name VARCHAR(25) NOT NULL,
  PRIMARY KEY (category_id)
);

CREATE TABLE film_categories (
  film_id INT UNSIGNED NOT NULL,
  category_id TINYINT UNSIGNED NOT NULL,
  PRIMARY KEY (film_id, category_id)
);

CREATE TABLE countries (
  country_id SMALLINT UNSIGNED NOT NULL,
  name VARCHAR(50) NOT NULL,
  PRIMARY KEY (country_id)
);

CREATE TABLE cities (
  city_id SMALLINT UNSIGNED NOT NULL,
  name VARCHAR(50) NOT NULL,
  country_id SMALLINT UNSIGNED NOT NULL,
  PRIMARY KEY (city_id)
);

CREATE TABLE stores (
  store_id TINYINT UNSIGNED NOT NULL,
  city_id SMALLINT UNSIGNED NOT NULL,
  PRIMARY KEY (store_id)
);

CREATE TABLE copies (
  copy_id INT UNSIGNED NOT NULL,
  film_id INT UNSIGNED NOT NULL,
  store_id TINYINT UNSIGNED NOT NULL,
  PRIMARY KEY (copy_id)
);

CREATE TABLE customers (
  customer_id INT UNSIGNED NOT NULL,
  first_name VARCHAR(45) NOT NULL,
  last_name VARCHAR(45) DEFAULT NULL,
  email VARCHAR(50) DEFAULT NULL,
  city_id SMALLINT UNSIGNED DEFAULT NULL,
  active TINYINT(1) NOT NULL,
  PRIMARY KEY (customer_id)
);

CREATE TABLE rentals (
  rental_id INT UNSIGNED NOT NULL,
  copy_id INT UNSIGNED NOT NULL,
  customer_id INT UNSIGNED NOT NULL,
  rented_at DATETIME NOT NULL,
  returned_at DATETIME DEFAULT NULL,
  PRIMARY KEY (rental_id)
);

CREATE TABLE payments (
  payment_id BIGINT UNSIGNED NOT NULL,
  store_id TINYINT UNSIGNED DEFAULT NULL,
  customer_id INT UNSIGNED NOT NULL,
  rental_id INT UNSIGNED DEFAULT NULL,
  amount DECIMAL(5,2) NOT NULL,
  paid_at DATETIME(3) NOT NULL,
  paid_on DATE GENERATED ALWAYS AS (CAST(paid_at AS DATE)) STORED,
  PRIMARY KEY (payment_id)
);

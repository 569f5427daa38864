-- What MySQL needs before the shop's own tables: the database, its users and the heartbeat table.
-- Every statement may be repeated. The root password is set by whoever starts the server.

CREATE DATABASE IF NOT EXISTS `shop`;

CREATE USER IF NOT EXISTS 'shop'@'%' IDENTIFIED BY 'shop';
GRANT ALL PRIVILEGES ON `shop`.* TO 'shop'@'%';

-- The captured heartbeat: Debezium writes into it every second what the server has executed, so
-- that readers can wait for a transaction even when no captured table changes.
CREATE TABLE IF NOT EXISTS `shop`.`viewtide_heartbeat` (
  `id` INT NOT NULL,
  `executed` LONGTEXT NOT NULL,
  `updated_at` TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  PRIMARY KEY (`id`)
);

-- Debezium reads the binlog (the two REPLICATION rights), locks the tables for the moment in which a
-- snapshot starts (FLUSH_TABLES), reads this one database and writes this one table.
CREATE USER IF NOT EXISTS 'debezium'@'%' IDENTIFIED BY 'dbz';
GRANT REPLICATION SLAVE, REPLICATION CLIENT, FLUSH_TABLES ON *.* TO 'debezium'@'%';
GRANT SELECT ON `shop`.* TO 'debezium'@'%';
GRANT INSERT, UPDATE ON `shop`.`viewtide_heartbeat` TO 'debezium'@'%';

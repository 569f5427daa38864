-- A tracker of issues: projects in projects, issues with labels, comments with answers and votes.

CREATE TABLE users (
  user_id INT NOT NULL,
  login VARCHAR(39) NOT NULL,
  name VARCHAR(80) DEFAULT NULL,
  PRIMARY KEY (user_id)
);

CREATE TABLE projects (
  project_id INT NOT NULL,
  parent_id INT DEFAULT NULL,
  slug VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
  title VARCHAR(120) NOT NULL,
  archived TINYINT(1) NOT NULL,
  PRIMARY KEY (project_id)
);

CREATE TABLE issues (
  issue_id BIGINT UNSIGNED NOT NULL,
  project_id INT NOT NULL,
  title VARCHAR(200) NOT NULL,
  body TEXT,
  state ENUM('open', 'doing', 'done', 'rejected') NOT NULL,
  priority TINYINT NOT NULL,
  reporter_id INT DEFAULT NULL,
  assignee_id INT DEFAULT NULL,
  duplicate_of BIGINT UNSIGNED DEFAULT NULL,
  opened_at DATETIME(3) NOT NULL,
  closed_at DATETIME(3) DEFAULT NULL,
  estimate DECIMAL(6,2) DEFAULT NULL,
  details JSON DEFAULT NULL,
  PRIMARY KEY (issue_id)
);

CREATE TABLE labels (
  project_id INT NOT NULL,
  label VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
  color BINARY(3) DEFAULT NULL,
  PRIMARY KEY (project_id, label)
);

CREATE TABLE issue_labels (
  issue_id BIGINT UNSIGNED NOT NULL,
  project_id INT NOT NULL,
  label VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
  PRIMARY KEY (issue_id, project_id, label)
);

CREATE TABLE comments (
  comment_id BIGINT NOT NULL,
  issue_id BIGINT UNSIGNED NOT NULL,
  reply_to BIGINT DEFAULT NULL,
  author_id INT DEFAULT NULL,
  body TEXT NOT NULL,
  written_at DATETIME(3) NOT NULL,
  PRIMARY KEY (comment_id)
);

CREATE TABLE votes (
  comment_id BIGINT NOT NULL,
  user_id INT NOT NULL,
  value TINYINT NOT NULL,
  PRIMARY KEY (comment_id, user_id)
);

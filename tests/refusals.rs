//! What the planner does not support it refuses, with the place, the construct and the way out.

use viewtide::sql::{Definitions, SourceFile, plan_views};

/// Cases: SQL, then `=> ` and the message, with an empty line between. SQL that begins with SELECT
/// stands behind `CREATE VIEW v AS` and a line break, so its first line is line 2.
const CASES: &str = include_str!("refusals.txt");

const TABLES: &str = "
CREATE TABLE orders (order_id INT PRIMARY KEY, user_id INT NOT NULL, total DECIMAL(10,2),
  status VARCHAR(20), code VARCHAR(20) COLLATE utf8mb4_0900_bin, weight DOUBLE, at TIMESTAMP,
  day DATE, data JSON, flags BIT(4), padded INT ZEROFILL, fixed FLOAT(7,2), raw VARBINARY(9),
  y YEAR, f FLOAT, size ENUM('s','l'));
CREATE TABLE users (user_id INT PRIMARY KEY, name VARCHAR(20),
  code VARCHAR(20) COLLATE utf8mb4_0900_bin, age DECIMAL(10,0));
CREATE TABLE items (order_id INT, line INT, name VARCHAR(20), price DECIMAL(10,2), weight FLOAT,
  PRIMARY KEY (order_id, line));
CREATE TABLE notes (id BIGINT UNSIGNED PRIMARY KEY, order_id BIGINT, user_code VARCHAR(20),
  body TEXT, other VARCHAR(20) COLLATE utf8mb4_general_ci, padded VARCHAR(20) COLLATE utf8mb4_bin,
  narrow VARCHAR(20) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin, kind ENUM('y', 'x'),
  latin VARCHAR(20) CHARACTER SET latin1, twice INT GENERATED ALWAYS AS (order_id * 2) VIRTUAL);
CREATE TABLE log (order_id INT, body TEXT);
";

#[test]
fn refusals_say_where_what_and_what_to_write() {
    let mut wrong = Vec::new();
    let cases: Vec<(&str, &str)> =
        CASES.trim().split("\n\n").map(|case| case.split_once("\n=> ").unwrap()).collect();
    for (sql, message) in &cases {
        let found = refusal(sql);
        if found != format!("v.sql:{message}") && found != format!("w.sql:{message}") {
            wrong.push(format!("{sql}\n=> {message}\nbut is\n=> {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(cases.len() > 150, "only {} cases were read", cases.len());
}

fn refusal(sql: &str) -> String {
    let file = |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.to_owned() };
    let view = if sql.starts_with("SELECT") || sql.starts_with("WITH") {
        format!("CREATE VIEW v AS\n{sql};")
    } else {
        sql.to_owned()
    };
    let definitions = Definitions {
        tables: vec![file("schema.sql", TABLES)],
        streams: Vec::new(),
        views: vec![
            file("v.sql", &view),
            file("w.sql", "CREATE VIEW others AS SELECT user_id AS id, name FROM users;"),
            file("x.sql", "CREATE VIEW deep AS SELECT * FROM v;"),
        ],
    };
    plan_views(&definitions).map_or_else(|error| error.to_string(), |_| "planned".to_owned())
}

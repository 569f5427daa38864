//! A request: the number of the view, the key in its path, the query and the header
//! `Viewtide-After`, each on a line.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use viewtide::api::Requests;
use viewtide::sql::{Definitions, SourceFile, plan_views};

const TABLES: &str = "CREATE TABLE t (
    id bigint unsigned NOT NULL,
    name varchar(20) COLLATE utf8mb4_0900_bin NOT NULL,
    raw varbinary(9),
    at timestamp(3) NULL,
    price decimal(10,2),
    PRIMARY KEY (id, name)
);";
const VIEWS: [&str; 2] = [
    "CREATE VIEW a AS SELECT * FROM t; CREATE INDEX i ON a (raw, at); CREATE INDEX p ON a (price);",
    "CREATE VIEW b AS SELECT name, id FROM t; CREATE INDEX n ON b (name);",
];

static REQUESTS: LazyLock<Requests> = LazyLock::new(|| {
    let file = |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.to_owned() };
    let definitions = Definitions {
        tables: vec![file("t.sql", TABLES)],
        streams: Vec::new(),
        views: VIEWS.iter().enumerate().map(|(at, v)| file(&format!("{at}.sql"), v)).collect(),
    };
    Requests::new(&plan_views(&definitions).expect("it is planned"))
});

fuzz_target!(|text: &str| {
    let mut lines = text.splitn(4, '\n');
    let mut next = || lines.next().unwrap_or_default();
    let view = if next() == "1" { "b" } else { "a" };
    REQUESTS.read(view, next(), next(), next());
});

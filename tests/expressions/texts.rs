//! Numbers read from text, here and by MySQL, over texts of every kind.

use viewtide::sql::plan::ViewId;
use viewtide::sql::{Definitions, SourceFile, plan_views};

use crate::support::filled::{difference, documents, filled};
use crate::support::mysql::Server;

const VIEW: &str = "CREATE VIEW v AS SELECT id, CAST(s AS SIGNED) AS i, CAST(s AS UNSIGNED) AS u,
  CAST(s AS DECIMAL(65,30)) AS d, CAST(s AS DECIMAL(4,1)) AS e, CAST(s AS DOUBLE) AS f,
  CONVERT(s, DECIMAL(20,5)) AS g FROM texts;";

const TEXTS: [&str; 60] = [
    "",
    " ",
    "0",
    "-0",
    "+5",
    "5",
    "-5",
    "007",
    "12.9",
    "-12.9",
    "12.9abc",
    "abc",
    "a5",
    "- 5",
    "--5",
    "+-5",
    " 12",
    "\t12",
    "\n12",
    "\r\n 12",
    "\u{b}12",
    "\u{c}12",
    "\u{a0}12",
    "12 ",
    "1 2",
    ".5",
    "-.5",
    "5.",
    ".",
    "-",
    "1e3",
    "1E3",
    "1e-3",
    "1e+3",
    "1e",
    "1e+",
    "1e-",
    "e5",
    ".e5",
    "1.5e3abc",
    "1e3.5",
    "0x10",
    "1,000",
    "inf",
    "nan",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999",
    "-99999999999999999999999999",
    "0.00000000000000000000000000015",
    "123456789012345678901234567890.123456789",
    "1e100",
    "-1e100",
    "1e-100",
    "1e400",
    "4.9e-324",
    "999.95",
];

#[tokio::test]
async fn numbers_in_text_are_what_mysql_reads() {
    const TABLE: &str = "CREATE TABLE texts (id INT PRIMARY KEY, s VARCHAR(100))";
    let mut server = Server::start("viewtide_texts").await;
    server.run(TABLE).await;
    for (id, text) in TEXTS.iter().enumerate() {
        server.run(&format!("INSERT INTO texts VALUES ({id}, '{text}')")).await;
    }
    let file = |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.to_owned() };
    let definitions = Definitions {
        tables: vec![file("schema.sql", TABLE)],
        streams: Vec::new(),
        views: vec![file("v.sql", VIEW)],
    };
    let plan = plan_views(&definitions).unwrap();
    let mut engine = filled(&plan, &mut server).await;
    let ours = documents(&mut engine, ViewId(0));
    let theirs = server.view(&plan, &plan.views[0]).await.unwrap();
    assert_eq!(theirs.len(), TEXTS.len());
    let wrong = difference(&plan.views[0], &ours, &theirs);
    assert!(wrong.is_none(), "{}", wrong.unwrap());
}

//! The shipped views are planned from the files as shipped.

use std::fs;
use std::path::Path;

use viewtide::sql::plan::{JoinKind, Plan, View};
use viewtide::sql::{Definitions, SourceFile, plan_views};

fn shipped() -> Definitions {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    Definitions {
        tables: vec![file(&root.join("schema.sql"))],
        streams: files(&root.join("streams")),
        views: files(&root.join("views")),
    }
}

fn files(folder: &Path) -> Vec<SourceFile> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| file(path)).collect()
}

fn file(path: &Path) -> SourceFile {
    SourceFile { path: path.display().to_string(), text: fs::read_to_string(path).unwrap() }
}

fn plan() -> Plan {
    plan_views(&shipped()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_shipped_views_show_the_columns_of_their_contract() {
    let plan = plan();
    let columns: Vec<(&str, Vec<&str>)> = plan
        .views
        .iter()
        .map(|view| (view.name.as_str(), view.outputs.iter().map(|o| o.name.as_str()).collect()))
        .collect();
    let address = ["address_id", "user_id", "street", "city", "state", "postal_code", "country"];
    let expected = [
        ("addresses", [&address[..], &["created_at"]].concat()),
        (
            "order_details_mv",
            vec![
                "order_id",
                "total",
                "order_date",
                "order_status",
                "last_order_update",
                "user_id",
                "user_phone",
                "full_address",
                "order_items_details",
            ],
        ),
        (
            "order_documents",
            vec![
                "order_id",
                "user_id",
                "order_date",
                "total",
                "user",
                "deliver_to",
                "items",
                "items_total",
                "history",
            ],
        ),
        ("order_items", vec!["id", "order_id", "name", "quantity", "price"]),
        (
            "orders",
            vec!["order_id", "user_id", "total", "order_date", "order_status", "updated_date"],
        ),
        ("users", vec!["user_id", "name", "email", "phone", "created_at"]),
    ];
    assert_eq!(columns, expected);
    assert!(plan.views.iter().all(|view| view.key == [0]));
}

#[test]
fn order_details_hang_together() {
    let plan = plan();
    let view = plan.views.iter().find(|view| view.name == "order_details_mv").unwrap();
    assert_eq!(
        tree(&plan, view),
        [
            "0 orders reads order_id user_id total order_date order_status updated_date",
            "1 users of 0 by Primary/Index(0) reads user_id phone",
            "2 addresses of 1 by Index(0)/Primary reads address_id user_id street city state postal_code country",
            "3 order_updates of 0 by Index(0)/Primary reads id order_id status updated_at _partition _offset",
            "4 order_items of 0 by Index(0)/Primary reads id order_id name quantity price",
        ]
    );
    let joins: Vec<_> = view
        .scope
        .joins
        .iter()
        .map(|join| (matches!(join.kind, JoinKind::Lookup { .. }), join.required))
        .collect();
    assert_eq!(joins, [(true, true), (false, false), (false, false)]);
    let names: Vec<_> = view.indexes.iter().map(|index| index.name.as_str()).collect();
    assert_eq!(names, ["user_id", "order_status"]);
}

#[test]
fn what_no_column_needs_is_not_planned() {
    let select = "SELECT c.id, p.id AS order_id, (SELECT COUNT(*) FROM calls k WHERE k.customer_id = c.id) AS calls \
        FROM customers c LEFT JOIN LATERAL (SELECT o.id, \
          (SELECT SUM(l.price) FROM order_lines l JOIN products q ON q.id = l.product_id WHERE l.order_id = o.id) AS unused \
          FROM orders o WHERE o.customer_id = c.id ORDER BY o.id DESC LIMIT 1) AS p ON TRUE";
    let text = |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.to_owned() };
    let plan = plan_views(&Definitions {
        tables: vec![text(
            "schema.sql",
            "CREATE TABLE customers (id INT PRIMARY KEY, name TEXT);
             CREATE TABLE orders (id INT PRIMARY KEY, customer_id INT, note TEXT);
             CREATE TABLE order_lines (id INT PRIMARY KEY, order_id INT, product_id INT, price INT);
             CREATE TABLE products (id INT PRIMARY KEY);
             CREATE TABLE calls (id INT PRIMARY KEY, customer_id INT, minutes INT);",
        )],
        streams: Vec::new(),
        views: vec![text("v.sql", &format!("CREATE VIEW v AS {select}"))],
    })
    .unwrap();
    let view = &plan.views[0];
    assert_eq!(
        tree(&plan, view),
        [
            "0 customers reads id",
            "1 orders of 0 by Index(0)/Primary reads id customer_id",
            "2 calls of 0 by Index(0)/Primary reads customer_id",
        ]
    );
    assert_eq!(view.collections.len(), 1);
    let held: Vec<_> = plan.tables.iter().map(|t| (t.name.as_str(), t.columns.len())).collect();
    assert_eq!(held, [("customers", 1), ("orders", 2), ("calls", 2)]);
}

#[test]
fn fingerprints_change_with_what_documents_follow_from() {
    let fingerprint = |table: &str, view: &str| {
        let file = |text: &str| vec![SourceFile { path: "x.sql".into(), text: text.to_owned() }];
        let (tables, views) = (file(table), file(view));
        let plan = plan_views(&Definitions { tables, streams: Vec::new(), views }).unwrap();
        plan.views[0].fingerprint.clone()
    };
    let table = "CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT, other INT)";
    let view = "CREATE VIEW v AS SELECT id, a + b AS c FROM t;";
    let first = fingerprint(table, view);
    for (table, view) in [
        (table, "CREATE VIEW v AS -- why\n SELECT id,  a + b AS c\nFROM t;"),
        ("CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT, another TEXT)", view),
    ] {
        assert_eq!(fingerprint(table, view), first, "{view}");
    }
    for (table, view) in [
        (table, "CREATE VIEW v AS SELECT id, a - b AS c FROM t;"),
        (table, "CREATE VIEW v AS SELECT id, a + b AS d FROM t;"),
        (table, "CREATE VIEW v AS SELECT id, a + b AS c FROM t; CREATE INDEX i ON v (c);"),
        ("CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT UNSIGNED)", view),
        ("CREATE TABLE t (id INT PRIMARY KEY, a INT NOT NULL, b INT)", view),
        ("CREATE TABLE t (id BIGINT PRIMARY KEY, a INT, b INT)", view),
    ] {
        assert_ne!(fingerprint(table, view), first, "{table} {view}");
    }
}

#[test]
fn an_event_topic_can_be_a_view_of_its_own() {
    let mut definitions = shipped();
    let text = "CREATE VIEW updates AS SELECT * FROM order_updates /* all */;".to_owned();
    definitions.views = vec![SourceFile { path: "updates.sql".to_owned(), text }];
    let plan = plan_views(&definitions).unwrap();
    let view = &plan.views[0];
    let key: Vec<_> = view.key.iter().map(|&i| view.outputs[i].name.as_str()).collect();
    assert_eq!(key, ["_partition", "_offset"]);
    assert_eq!(
        view.select,
        "SELECT `order_updates`.`id`, `order_updates`.`order_id`, `order_updates`.`status`, \
         `order_updates`.`updated_at`, `order_updates`.`_partition`, `order_updates`.`_offset` \
         FROM order_updates"
    );
}

/// One line per node: its table, what it hangs on and how, and what it is read by.
fn tree(plan: &Plan, view: &View) -> Vec<String> {
    let line = |(i, node): (usize, &viewtide::sql::plan::Node)| {
        let table = plan.table(node.table);
        let edge = node.edge.as_ref().map_or(String::new(), |edge| {
            format!(" of {} by {:?}/{:?}", edge.parent.0, edge.down, edge.up)
        });
        let reads: Vec<_> = node.reads.iter().map(|&c| table.columns[c].name.as_str()).collect();
        format!("{i} {}{edge} reads {}", table.name, reads.join(" "))
    };
    view.nodes.iter().enumerate().map(line).collect()
}

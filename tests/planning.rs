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

//! What each statement is taken for.

use super::*;
use crate::sql::plan::{Column, TableSource};
use crate::value::{Collation, RowLayout, Type};

/// `orders`, with these columns that a view reads.
fn table(columns: &[&str]) -> Table {
    let column = |name: &&str| Column {
        name: (*name).to_owned(),
        ty: Type::Text(Collation::Other),
        nullable: true,
    };
    let columns: Vec<Column> = columns.iter().map(column).collect();
    let types: Vec<Type> = columns.iter().map(|column| column.ty).collect();
    Table {
        name: "orders".to_owned(),
        source: TableSource::Captured,
        columns,
        key: vec![0],
        indexes: Vec::new(),
        computed: Vec::new(),
        layout: RowLayout::new(&types),
    }
}

fn form(ty: &str) -> Form {
    let (ty, arguments) = ty.split_once('(').unwrap_or((ty, ""));
    let mut numbers = arguments.trim_end_matches(')').split(',').map(|n| n.parse().ok());
    Form {
        ty: ty.into(),
        length: numbers.next().flatten(),
        scale: numbers.next().flatten(),
        nullable: true,
        ..Form::default()
    }
}

fn columns(forms: &[(&str, Form)]) -> Columns {
    forms.iter().map(|(name, form)| ((*name).into(), form.clone())).collect()
}

fn before() -> Columns {
    columns(&[
        ("id", form("INT")),
        ("total", form("DECIMAL(10,2)")),
        ("name", form("VARCHAR(10)")),
        ("unread", form("INT")),
    ])
}

fn change(number: u64, ddl: &str, tables: &[(&str, Option<Columns>)]) -> SchemaChange {
    let server = "00000000-0000-0000-0000-000000000001".parse().unwrap();
    let told = |(name, columns): &(&str, Option<Columns>)| TableChange {
        name: (*name).into(),
        columns: columns.clone(),
    };
    SchemaChange {
        gtid: (number > 0).then_some(Gtid { server, number }),
        ddl: ddl.into(),
        tables: tables.iter().map(told).collect(),
    }
}

/// What is known of `orders` behind its snapshot.
fn known(columns: Columns) -> Forms {
    let mut forms = Forms::default();
    let found = change(0, "CREATE TABLE `orders` (…)", &[("orders", Some(columns))]);
    assert!(!take(&mut forms, &found), "a snapshot contains what it finds");
    forms
}

fn take(forms: &mut Forms, change: &SchemaChange) -> bool {
    let table = table(&["id", "total", "name"]);
    !forms.take(change, std::iter::once((TableId(0), &table))).is_empty()
}

/// Whether a statement that leaves the columns as they were rewrites `orders`.
fn rewrites(ddl: &str) -> bool {
    let of_orders = ddl.to_lowercase().replace('`', "").contains("table orders");
    let told = of_orders.then(|| ("orders", Some(before())));
    take(&mut known(before()), &change(1, ddl, told.as_slice()))
}

#[test]
fn statements_that_change_no_row_are_harmless() {
    for ddl in [
        "ALTER TABLE orders ADD INDEX by_total (total), ADD UNIQUE KEY u (name), DROP KEY k",
        "ALTER TABLE `orders` ADD CONSTRAINT c CHECK (total > 0), DROP FOREIGN KEY f, DROP CHECK c",
        "ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (name) REFERENCES users (name)",
        "CREATE UNIQUE INDEX i ON orders (total)",
        "DROP INDEX i ON orders",
        "ALTER TABLE orders COMMENT = 'DROP PARTITION p', AUTO_INCREMENT=7",
        "ALTER TABLE orders COMMENT 'x' ENGINE=InnoDB ROW_FORMAT = DYNAMIC",
        "ALTER TABLE orders DEFAULT CHARACTER SET = utf8mb4 COLLATE utf8mb4_bin",
        "ALTER TABLE orders ENGINE='innodb'",
        "ALTER TABLE orders FORCE, ALGORITHM=INPLACE, LOCK=NONE",
        "ALTER TABLE orders ALTER COLUMN total SET DEFAULT 7, ALTER name DROP DEFAULT",
        "ALTER TABLE orders ADD COLUMN extra INT NOT NULL DEFAULT 7 AFTER total",
        "ALTER TABLE orders ADD (extra INT, other VARCHAR(10) DEFAULT 'total')",
        "ALTER TABLE orders DROP COLUMN unread, DROP unread",
        "ALTER TABLE orders MODIFY unread DECIMAL(3,1)",
        "ALTER TABLE orders CHANGE unread extra BIGINT",
        "ALTER TABLE orders RENAME COLUMN unread TO extra, RENAME INDEX a TO total",
        "ALTER TABLE orders MODIFY total DECIMAL(10,2) COMMENT 'as before' FIRST",
        "ALTER TABLE orders ADD PARTITION (PARTITION p VALUES LESS THAN (9))",
        "ALTER TABLE orders REORGANIZE PARTITION p INTO (PARTITION q VALUES LESS THAN (9))",
        "ALTER TABLE orders PARTITION BY HASH (id) PARTITIONS 4",
        "ALTER TABLE orders COALESCE PARTITION 2",
        "/*!40000 ALTER TABLE `orders` DISABLE KEYS */",
        "ALTER TABLE orders ORDER BY total",
        "TRUNCATE TABLE orders",
        "ANALYZE TABLE orders",
        "CREATE TABLE others LIKE orders",
        "CREATE TABLE IF NOT EXISTS orders (id INT PRIMARY KEY)",
        "CREATE TABLE lines (id INT REFERENCES orders (id))",
        "CREATE OR REPLACE VIEW v AS SELECT * FROM orders",
        "CREATE DEFINER=`root`@`%` TRIGGER t AFTER INSERT ON orders FOR EACH ROW SET @n = 1",
        "ALTER TABLE lines DROP PARTITION p, ADD KEY orders (id), MODIFY total INT",
        "ALTER TABLE lines EXCHANGE PARTITION p WITH TABLE more",
        "ALTER DATABASE shop CHARACTER SET utf8mb4",
        "RENAME TABLE lines TO more",
        "`lines` TO `more`",
        "GRANT SELECT ON orders TO shop",
    ] {
        assert!(!rewrites(ddl), "{ddl}");
    }
}

#[test]
fn statements_that_may_change_rows_rewrite() {
    for ddl in [
        "ALTER TABLE orders ADD COLUMN total INT NOT NULL DEFAULT 7",
        "ALTER TABLE orders ADD total INT",
        "ALTER TABLE orders ADD (extra INT, `Total` INT)",
        "ALTER TABLE orders DROP COLUMN total, ADD COLUMN total DECIMAL(10,2)",
        "ALTER TABLE orders RENAME COLUMN total TO name, RENAME COLUMN name TO total",
        "ALTER TABLE orders CHANGE unread name VARCHAR(10), CHANGE name unread INT",
        "ALTER TABLE orders DROP PRIMARY KEY, ADD PRIMARY KEY (total)",
        "ALTER TABLE orders ADD CONSTRAINT PRIMARY KEY (total)",
        "ALTER TABLE orders DROP PARTITION p",
        "ALTER TABLE shop.orders TRUNCATE PARTITION p",
        "ALTER TABLE orders /*!50100 TRUNCATE PARTITION p */",
        "ALTER TABLE orders EXCHANGE PARTITION p WITH TABLE lines",
        "ALTER TABLE lines EXCHANGE PARTITION p WITH TABLE orders",
        "ALTER TABLE orders MODIFY total INT AS (unread + 1) STORED",
        "ALTER TABLE orders CHANGE COLUMN total total INT GENERATED ALWAYS AS (unread) STORED",
        "ALTER TABLE orders DISCARD TABLESPACE",
        "ALTER TABLE orders IMPORT PARTITION p TABLESPACE",
        "ALTER TABLE orders CONVERT TO CHARACTER SET latin1",
        "ALTER TABLE orders ENGINE=BLACKHOLE",
        "ALTER TABLE orders COMMENT 'x' ENGINE=MEMORY",
        "ALTER TABLE orders RENAME TO more",
        "ALTER TABLE lines RENAME AS `orders`",
        "ALTER TABLE orders SOMETHING NEW",
        "RENAME TABLE orders TO more, lines TO orders",
        "`orders` TO `more`",
        "lines TO `shop`.`orders`",
        "DROP TABLE `orders`",
        "DROP DATABASE shop",
        "SOMETHING NEW ABOUT orders",
        "ALTER TABLE orders ADD COLUMN 'unfinished",
    ] {
        let told = ddl.contains("TABLE `orders`").then_some(("orders", None));
        let is_told = told.is_some();
        let taken = take(&mut known(before()), &change(1, ddl, told.as_slice()));
        assert!(taken || (!is_told && rewrites(ddl)), "{ddl}");
    }
}

#[test]
fn a_column_keeps_its_values_only_where_it_certainly_does() {
    let is_rewritten = |from: Form, to: Form| {
        let with = |form: Form| {
            let mut columns = before();
            columns.insert("total".into(), form);
            columns
        };
        let ddl = "ALTER TABLE orders MODIFY COLUMN total …";
        take(&mut known(with(from)), &change(1, ddl, &[("orders", Some(with(to)))]))
    };
    for (from, to, wanted) in [
        ("DECIMAL(10,2)", "DECIMAL(10,2)", false),
        ("DECIMAL(10,2)", "DECIMAL(12,2)", false),
        ("DECIMAL(10,2)", "DECIMAL(10,1)", true),
        ("DECIMAL(10,2)", "DECIMAL(10,3)", true),
        ("DECIMAL(10,2)", "DECIMAL(9,2)", true),
        ("DECIMAL(10,2)", "DOUBLE", true),
        ("VARCHAR(10)", "VARCHAR(200)", false),
        ("VARCHAR(200)", "VARCHAR(10)", true),
        ("BINARY(4)", "BINARY(8)", true),
        ("TEXT", "LONGTEXT", false),
        ("LONGTEXT", "TEXT", true),
        ("TEXT", "TEXT(50)", true),
        ("INT", "BIGINT", false),
        ("BIGINT", "INT", true),
        ("INT", "INT UNSIGNED", true),
        ("SMALLINT UNSIGNED", "INT UNSIGNED", false),
        ("TIMESTAMP(6)", "TIMESTAMP", true),
        ("TIMESTAMP", "DATETIME", true),
    ] {
        assert_eq!(is_rewritten(form(from), form(to)), wanted, "{from} to {to}");
    }
    let text = |charset: &str| Form { charset: Some(charset.into()), ..form("VARCHAR(10)") };
    assert!(!is_rewritten(text("utf8mb4"), text("utf8mb4")));
    assert!(is_rewritten(text("utf8mb4"), text("latin1")), "a character set");
    let required = Form { nullable: false, ..form("INT") };
    assert!(is_rewritten(form("INT"), required.clone()), "NULL becomes something");
    assert!(!is_rewritten(required, form("INT")), "NULL is allowed");
    let values = |values: &[&str]| Form {
        values: values.iter().map(|value| (*value).into()).collect(),
        ..form("ENUM")
    };
    assert!(!is_rewritten(values(&["a"]), values(&["a", "b"])), "one more at the end");
    assert!(is_rewritten(values(&["a", "b"]), values(&["b"])), "one less");
}

/// What is computed from a column changes with it, read or not.
#[test]
fn computed_columns_are_rewritten_by_those_that_nobody_reads() {
    let told = [("orders", Some(before()))];
    let modify = change(2, "ALTER TABLE orders MODIFY unread INT", &told);
    assert!(!take(&mut known(before()), &modify));
    for ddl in [
        "CREATE TABLE orders (unread INT, total INT GENERATED ALWAYS AS (unread + 1) STORED)",
        "CREATE TABLE orders LIKE lines",
    ] {
        let mut forms = Forms::default();
        take(&mut forms, &change(0, ddl, &told));
        assert!(take(&mut forms, &modify), "{ddl}");
    }
    let mut forms = known(before());
    take(&mut forms, &change(1, "ALTER TABLE orders ADD extra INT AS (unread + 1) STORED", &told));
    assert!(take(&mut forms, &modify));
}

/// The connector tells a table's character set as that of columns that keep their own.
#[test]
fn a_column_keeps_its_character_set_until_it_is_changed_itself() {
    let with = |charset: &str| {
        let mut columns = before();
        columns
            .insert("name".into(), Form { charset: Some(charset.into()), ..form("VARCHAR(10)") });
        columns
    };
    let alter = |number, ddl: &str| change(number, ddl, &[("orders", Some(with("latin1")))]);
    let mut forms = known(with("utf8mb4"));
    assert!(!take(&mut forms, &alter(1, "ALTER TABLE orders DEFAULT CHARSET latin1")));
    assert!(take(&mut forms, &alter(2, "ALTER TABLE orders MODIFY name VARCHAR(10)")));
    assert!(!take(&mut forms, &alter(3, "ALTER TABLE orders MODIFY name VARCHAR(10)")));
    let both = "ALTER TABLE orders CHARACTER SET utf8mb4, DROP PARTITION p";
    assert!(take(&mut forms, &alter(4, both)));
    assert!(take(&mut forms, &alter(5, "ALTER TABLE orders MODIFY name VARCHAR(10)")));
    assert!(!take(&mut forms, &alter(6, "ALTER TABLE orders MODIFY name VARCHAR(10)")));
}

#[test]
fn what_a_table_looked_like_is_learned_and_else_not_guessed() {
    let modify = |number, form: Form| {
        let columns = columns(&[("total", form)]);
        change(number, "ALTER TABLE orders MODIFY total …", &[("orders", Some(columns))])
    };
    let mut forms = Forms::default();
    assert!(take(&mut forms, &modify(1, form("INT"))), "nothing is known");
    assert!(take(&mut forms, &modify(2, form("INT"))), "it may be computed");
    let mut forms = known(columns(&[("total", form("INT"))]));
    assert!(!take(&mut forms, &modify(2, form("BIGINT"))));
    assert!(take(&mut forms, &modify(3, form("INT"))));

    let drop = |number| change(number, "DROP TABLE IF EXISTS `orders`", &[("orders", None)]);
    let create = |number| {
        let ddl = "CREATE TABLE IF NOT EXISTS orders (…)";
        change(number, ddl, &[("orders", Some(before()))])
    };
    assert!(!take(&mut forms, &create(4)), "there is one");
    assert!(take(&mut forms, &drop(5)));
    assert!(!take(&mut forms, &drop(6)), "there is none");
    assert!(take(&mut forms, &create(7)));
    // Another table has the name.
    assert!(take(&mut forms, &change(8, "`orders` TO `more`", &[("more", Some(before()))])));
    assert!(take(&mut forms, &create(9)));
}

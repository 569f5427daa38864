use super::*;
use crate::sql::plan::{Stream, TimestampUnit};
use crate::value::Collation;

/// As MySQL 9.7 prints it.
const EVERYTHING: &str = r"
CREATE DATABASE shop; USE shop;
CREATE TABLE `everything` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT COMMENT 'it''s the key; PRIMARY',
  `tiny` tinyint(1) DEFAULT NULL,
  `small` smallint unsigned NOT NULL DEFAULT '0',
  `medium` mediumint DEFAULT NULL,
  `filled` int(5) unsigned zerofill DEFAULT NULL,
  `amount` decimal(10,2) unsigned NOT NULL,
  `f` float DEFAULT NULL,
  `fixed` double(10,2) DEFAULT NULL,
  `bits` bit(9) DEFAULT b'101',
  `name` varchar(300) CHARACTER SET latin1 COLLATE latin1_swedish_ci DEFAULT NULL,
  `code` varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
  `latin` char(3) CHARACTER SET latin1 DEFAULT NULL,
  `kind` enum('a','b,)') NOT NULL DEFAULT 'a',
  `flags` set('x','y') COLLATE utf8mb4_0900_bin DEFAULT NULL,
  `body` longtext,
  `raw` varbinary(16) DEFAULT NULL,
  `doc` json DEFAULT NULL,
  `day` date DEFAULT NULL,
  `clock` time(3) DEFAULT NULL,
  `at` datetime(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  `seen` timestamp NULL DEFAULT NULL,
  `y` year DEFAULT NULL,
  `total` decimal(12,2) GENERATED ALWAYS AS ((`amount` * 2)) STORED,
  `guess` decimal(12,2) GENERATED ALWAYS AS ((`amount` * 3)) VIRTUAL,
  `hidden` int DEFAULT NULL /*!80023 INVISIBLE */,
  `place` point /*!80003 SRID 0 */ DEFAULT NULL,
  `expr` int DEFAULT ((1 + 2)),
  PRIMARY KEY (`id`,`code`(10)),
  UNIQUE KEY `u` (`name`(10) DESC) USING BTREE COMMENT 'x',
  UNIQUE KEY `w` (`y`,`tiny` DESC),
  CONSTRAINT `e` UNIQUE ((`amount` + 1)),
  KEY `f` ((lower(`name`))),
  FULLTEXT KEY `t` (`body`),
  CONSTRAINT `c` FOREIGN KEY (`tiny`) REFERENCES `other` (`id`) ON DELETE CASCADE,
  CONSTRAINT `chk` CHECK ((`amount` >= 0)) /*!80016 NOT ENFORCED */
) ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin ROW_FORMAT=DYNAMIC COMMENT='a; b'
/*!50100 PARTITION BY RANGE (`id`)
(PARTITION p0 VALUES LESS THAN (10) ENGINE = InnoDB,
 PARTITION p1 VALUES LESS THAN MAXVALUE ENGINE = InnoDB) */;
";

fn one(text: &str) -> TableDefinition {
    captured_tables(text).unwrap().remove(0).1
}

#[test]
fn reads_what_show_create_table_prints() {
    let table = one(EVERYTHING);
    let column = |name: &str| &table.columns[table.column(name).unwrap()];
    for (name, declared, ty, nullable) in [
        ("id", "bigint unsigned", Type::Int { bytes: 8, unsigned: true }, false),
        ("tiny", "tinyint", Type::Int { bytes: 1, unsigned: false }, true),
        ("small", "smallint unsigned", Type::Int { bytes: 2, unsigned: true }, false),
        ("medium", "mediumint", Type::Int { bytes: 3, unsigned: false }, true),
        ("filled", "int unsigned zerofill", Type::Int { bytes: 4, unsigned: true }, true),
        ("amount", "decimal(10,2) unsigned", Type::Decimal { precision: 10, scale: 2 }, false),
        ("f", "float", Type::Float, true),
        ("bits", "bit(9)", Type::Bit { bits: 9 }, true),
        ("name", "varchar(300)", Type::Text(Collation::Foreign), true),
        ("code", "varchar(20)", Type::Text(Collation::Binary), false),
        ("latin", "char(3)", Type::Text(Collation::Foreign), true),
        ("kind", "enum('a','b,)')", Type::Text(Collation::Binary), false),
        ("flags", "set('x','y')", Type::Text(Collation::Binary), true),
        ("body", "longtext", Type::Text(Collation::Binary), true),
        ("raw", "varbinary(16)", Type::Bytes, true),
        ("doc", "json", Type::Json, true),
        ("day", "date", Type::Date, true),
        ("clock", "time(3)", Type::Time { fsp: 3 }, true),
        ("at", "datetime(6)", Type::DateTime { fsp: 6 }, true),
        ("seen", "timestamp", Type::Timestamp { fsp: 0 }, true),
        ("y", "year", Type::Year, true),
        ("total", "decimal(12,2)", Type::Decimal { precision: 12, scale: 2 }, true),
        ("hidden", "int", Type::Int { bytes: 4, unsigned: false }, true),
        ("expr", "int", Type::Int { bytes: 4, unsigned: false }, true),
    ] {
        let found = column(name);
        assert_eq!(
            (found.declared.as_str(), found.ty, found.nullable),
            (declared, Ok(ty), nullable)
        );
    }
    assert_eq!(column("fixed").ty, Err(Unreadable::FixedDigits));
    assert_eq!(column("guess").ty, Err(Unreadable::Virtual));
    assert_eq!(column("place").ty, Err(Unreadable::NoForm));
    assert!(column("hidden").invisible && !column("expr").invisible);
    assert!(column("filled").zerofill && !column("small").zerofill);
    assert_eq!(table.columns.len(), 27);
    assert_eq!(table.key, [0, 10]);
    let year_and_tiny = [table.column("y").unwrap(), table.column("tiny").unwrap()];
    assert_eq!(table.unique, [year_and_tiny]);
}

#[test]
fn text_has_the_collation_of_its_column_or_table() {
    let types = |columns: &str, options: &str| -> Vec<Collation> {
        let table = one(&format!("CREATE TABLE t (id INT PRIMARY KEY, {columns}) {options}"));
        let text = |column: &ColumnDefinition| match column.ty {
            Ok(Type::Text(collation)) => collation,
            other => panic!("{}: {other:?}", column.name),
        };
        table.columns[1..].iter().map(text).collect()
    };
    let columns = "a TEXT, b CHAR(3) COLLATE utf8mb4_bin, c TEXT CHARACTER SET utf8mb4, \
                   d TEXT CHARSET utf8mb3 COLLATE utf8mb3_bin, e NCHAR(3), f TEXT BINARY";
    use Collation::{Binary, Foreign, Insensitive, NarrowPadded, Padded};
    let own = [Padded, Insensitive, NarrowPadded, Foreign, Foreign];
    for (options, of_table) in [
        ("", Insensitive),
        ("ENGINE=InnoDB DEFAULT CHARSET=utf8mb4", Insensitive),
        ("CHARACTER SET = latin1", Foreign),
        ("DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin", Binary),
        ("COLLATE utf8mb4_bin CHARSET utf8mb4", Padded),
    ] {
        assert_eq!(types(columns, options), [&[of_table], &own[..]].concat(), "{options}");
    }
}

#[test]
fn reads_keys_beside_columns_and_other_names_of_types() {
    let table =
        one("CREATE TABLE t (a INTEGER PRIMARY KEY, b NUMERIC, c BOOL, d DOUBLE PRECISION, \
                     e CHARACTER VARYING(3), f FLOAT(30) UNIQUE, g SERIAL)");
    let declared: Vec<_> = table.columns.iter().map(|c| c.declared.as_str()).collect();
    let want =
        ["int", "decimal(10,0)", "tinyint", "double", "varchar(3)", "double", "bigint unsigned"];
    assert_eq!(declared, want);
    assert_eq!((table.key, table.unique), (vec![0], vec![vec![5], vec![6]]));
    assert!(!table.columns[0].nullable && !table.columns[6].nullable && table.columns[1].nullable);
}

#[test]
fn streams_have_their_place_as_last_columns_and_as_key() {
    let text = "CREATE TABLE e (id BIGINT, at TIMESTAMP(6)) COMMENT 'topic=t.x; format=json; timestamps=milliseconds';";
    let table = stream_tables(text).unwrap().remove(0).1;
    let names: Vec<_> = table.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["id", "at", "_partition", "_offset"]);
    assert_eq!(table.key, [2, 3]);
    let stream = Stream { topic: "t.x".to_owned(), timestamps: TimestampUnit::Milliseconds };
    assert_eq!(table.source, TableSource::Stream(stream));
    let text = "CREATE TABLE e (id BIGINT PRIMARY KEY) COMMENT='topic=t;format=json'";
    let table = stream_tables(text).unwrap().remove(0).1;
    assert_eq!((table.key, table.columns.len()), (vec![0], 3));
}

#[test]
fn refuses_what_cannot_be_a_table() {
    for (text, line, column, message) in [
        ("CREATE TABLE t LIKE u", 1, 14, "table `t` has no list of columns: write its columns out"),
        ("CREATE TABLE t (a INT,\n a INT)", 2, 2, "column `a` is declared twice: remove one"),
        ("CREATE TABLE t (a INTT)", 1, 19, "column `a` has no type of MySQL: `INTT`"),
        ("CREATE TABLE t (a INT, PRIMARY KEY (b))", 1, 37, "the primary key names no column: `b`"),
    ] {
        let refusal = captured_tables(text).unwrap_err();
        assert_eq!(
            (refusal.at.line, refusal.at.column, refusal.message.as_str()),
            (line, column, message)
        );
    }
}

#[test]
fn refuses_streams_that_do_not_say_what_they_are() {
    let example = "write COMMENT 'topic=NAME; format=json; timestamps=seconds'";
    for (comment, message) in [
        ("", format!("stream `e` has no COMMENT that names its topic: {example}")),
        ("COMMENT 'format=json'", format!("the COMMENT of stream `e` names no topic: {example}")),
        ("COMMENT 'topic=x'", format!("the COMMENT of stream `e` names no format: {example}")),
        ("COMMENT 'topic=x; format=avro'", "stream `e` has format `avro`: only `json` is read".to_owned()),
        (
            "COMMENT 'topic=x; format=json'",
            format!("the COMMENT of stream `e` does not say the unit of its timestamps: {example}"),
        ),
        (
            "COMMENT 'topic=x; format=json; timestamps=days'",
            "stream `e` counts timestamps in `days`: the units are `seconds`, `milliseconds` and `microseconds`".to_owned(),
        ),
        (
            "COMMENT 'topics=x'",
            "stream `e` has an unknown option `topics`: there are `topic`, `format` and `timestamps`".to_owned(),
        ),
    ] {
        let text = format!("CREATE TABLE e (at TIMESTAMP) {comment}");
        assert_eq!(stream_tables(&text).unwrap_err().message, message);
    }
    let text = "CREATE TABLE e (_offset INT) COMMENT 'topic=x; format=json'";
    assert_eq!(
        stream_tables(text).unwrap_err().message,
        "the column `_offset` of stream `e` is added by itself: leave it out"
    );
}

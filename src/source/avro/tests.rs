//! Records as Debezium 3.6 wrote them (`captured.json`: MySQL 9.7, a table of every type, by
//! snapshot and by binlog), and what must not be read.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::*;
use crate::change::{Change, Op};
use crate::gtid::Watermarks;
use crate::source::record::{BinlogPlace, Notice, PartitionId, SnapshotMark, TransactionEnd};
use crate::source::rewrites::{Form, SchemaChange, TableChange};
use crate::sql::plan::{Column, Table, TableId, TableSource};
use crate::value::{Collation, Key, Row, RowLayout, Type, Value, write_json};

const ID: TableId = TableId(4);
const INT: Type = Type::Int { bytes: 4, unsigned: false };
const TEXT: Type = Type::Text(Collation::Other);

/// What was captured.
struct Captured(Json);

/// Key and value of a record.
type Bytes = (Option<Vec<u8>>, Option<Vec<u8>>);

impl Captured {
    fn read() -> Captured {
        Captured(serde_json::from_str(include_str!("captured.json")).unwrap())
    }

    fn schema(&self, id: u32) -> String {
        self.0["schemas"][id.to_string()].to_string()
    }

    fn records(&self, topic: &str) -> Vec<Bytes> {
        let of_topic = |record: &&Json| record["topic"] == topic;
        let records = self.0["records"].as_array().unwrap().iter().filter(of_topic);
        records.map(|record| (unhex(&record["key"]), unhex(&record["value"]))).collect()
    }

    /// Decodes a record, handing over the schemas that are asked for.
    fn decode(&self, decoder: &mut TableDecoder, (key, value): &Bytes) -> Result<Decoded, Failure> {
        loop {
            match decoder.decode(key.as_deref(), value.as_deref()) {
                Err(Failure::Schema(side, id)) => {
                    decoder.add_schema(side, id, &self.schema(id)).unwrap();
                }
                other => return other,
            }
        }
    }
}

fn unhex(hex: &Json) -> Option<Vec<u8>> {
    let digits = hex.as_str()?.as_bytes().chunks(2);
    Some(digits.map(|d| u8::from_str_radix(str::from_utf8(d).unwrap(), 16).unwrap()).collect())
}

pub(super) fn table(name: &str, columns: &[(&str, Type)], key: &[usize]) -> Table {
    let types: Vec<Type> = columns.iter().map(|(_, ty)| *ty).collect();
    let column =
        |(name, ty): &(&str, Type)| Column { name: (*name).to_owned(), ty: *ty, nullable: true };
    Table {
        name: name.to_owned(),
        source: TableSource::Captured,
        columns: columns.iter().map(column).collect(),
        key: key.to_vec(),
        indexes: Vec::new(),
        computed: Vec::new(),
        layout: RowLayout::new(&types),
    }
}

/// The table that was captured, all but its POINT.
fn everything() -> Table {
    let int = |bytes, unsigned| Type::Int { bytes, unsigned };
    let decimal = |precision, scale| Type::Decimal { precision, scale };
    let columns = [
        ("id", int(8, true)),
        ("part", TEXT),
        ("i1", int(1, false)),
        ("i1u", int(1, true)),
        ("i2", int(2, false)),
        ("i2u", int(2, true)),
        ("i3", int(3, false)),
        ("i3u", int(3, true)),
        ("i4", INT),
        ("i4u", int(4, true)),
        ("i8", int(8, false)),
        ("i8u", int(8, true)),
        ("flag", int(1, false)),
        ("y", Type::Year),
        ("b1", Type::Bit { bits: 1 }),
        ("b10", Type::Bit { bits: 10 }),
        ("b64", Type::Bit { bits: 64 }),
        ("d", decimal(10, 2)),
        ("d0", decimal(5, 0)),
        ("d65", decimal(65, 30)),
        ("f", Type::Float),
        ("g", Type::Double),
        ("c", TEXT),
        ("v", TEXT),
        ("tx", TEXT),
        ("e", TEXT),
        ("s", TEXT),
        ("bi", Type::Bytes),
        ("da", Type::Date),
        ("ti", Type::Time { fsp: 0 }),
        ("ti6", Type::Time { fsp: 6 }),
        ("dt", Type::DateTime { fsp: 0 }),
        ("dt3", Type::DateTime { fsp: 3 }),
        ("dt6", Type::DateTime { fsp: 6 }),
        ("ts", Type::Timestamp { fsp: 0 }),
        ("ts3", Type::Timestamp { fsp: 3 }),
        ("ts6", Type::Timestamp { fsp: 6 }),
        ("js", Type::Json),
        ("odd-name é", INT),
    ];
    table("everything", &columns, &[1, 0])
}

fn single() -> Table {
    table("single", &[("id", INT), ("v", INT)], &[0])
}

/// A row as a document would show it.
fn shown(table: &Table, row: &Row) -> String {
    let mut out = b"{".to_vec();
    for (i, column) in table.columns.iter().enumerate() {
        let comma = if i > 0 { "," } else { "" };
        out.extend_from_slice(format!("{comma}\n{}: ", column.name).as_bytes());
        write_json(&mut out, &table.layout.value(row.as_bytes(), i), column.ty);
    }
    out.extend_from_slice(b"\n}");
    String::from_utf8(out).unwrap()
}

fn row_of(decoded: &Decoded) -> &Row {
    match &decoded.content {
        Content::Snapshot { change: Change { op: Op::Upsert(row), .. }, .. }
        | Content::Row { change: Change { op: Op::Upsert(row), .. }, .. } => row,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_type_reads_alike_by_snapshot_and_by_binlog() {
    let captured = Captured::read();
    let table = everything();
    let mut decoder = TableDecoder::new(ID, &table, "shop");
    let records = captured.records("mysql.shop.everything");
    let rows: Vec<String> = records
        .iter()
        .map(|record| shown(&table, row_of(&captured.decode(&mut decoder, record).unwrap())))
        .collect();
    // Updates append a mark to `v`; the snapshot of YEAR 0 says 2000.
    let updated = |row: &str, old: &str, new: &str| row.replace(old, new);
    assert_eq!(rows[4], updated(&rows[0], "naïve 😀", "naïve 😀!"));
    assert_eq!(rows[5], updated(&rows[1], "\nv: \"\"", "\nv: \"!\""));
    let zero = updated(&rows[3], "\nv: \"\"", "\nv: \"!\"");
    assert_eq!(rows[6], updated(&zero, "\ny: 2000", "\ny: 0"));
    let nulls = rows[2].matches(": null").count();
    assert_eq!(nulls, table.columns.len() - 2, "all but the key: {}", rows[2]);
    assert_eq!(rows[0], include_str!("captured_row.txt").trim_end());
    assert!(rows[3].contains("\nts: null,\nts3: null,\nts6: null,"), "zero dates: {}", rows[3]);
}

#[test]
fn changes_carry_their_transaction_and_snapshot_rows_their_mark() {
    let captured = Captured::read();
    let table = single();
    let mut decoder = TableDecoder::new(ID, &table, "shop");
    let records = captured.records("mysql.shop.single");
    let decoded = |record| captured.decode(&mut decoder, record).unwrap();
    let contents: Vec<Decoded> = records.iter().map(decoded).collect();
    assert!(matches!(contents[0].content, Content::Snapshot { mark: SnapshotMark::Last, .. }));
    let place = |order| Place {
        gtid: "f9922be6-e58e-11f1-8fa9-02fc00000001:77".parse().unwrap(),
        total_order: order,
        table_order: order,
    };
    let mut key = Key::new();
    key.push(&Value::Int(1));
    let delete = Change { table: ID, op: Op::Delete(key) };
    let want = Content::Row { place: place(1), change: delete };
    assert_eq!(contents[1], Decoded { content: want, committed_us: 1_795_253_894_338_755 });
    assert_eq!(contents[2].content, Content::Ignored, "the tombstone");
    let Content::Row { place: second, .. } = &contents[3].content else { panic!() };
    assert_eq!(*second, place(2));
    assert_eq!(table.layout.value(row_of(&contents[3]).as_bytes(), 0), Value::Int(5));
}

#[test]
fn truncate_and_a_new_column_order_go_on() {
    let captured = Captured::read();
    let mut decoder = TableDecoder::new(ID, &table("empty_one", &[("id", INT)], &[0]), "shop");
    let records = captured.records("mysql.shop.empty_one");
    let ids: Vec<Option<i64>> = records
        .iter()
        .map(|record| match captured.decode(&mut decoder, record).unwrap().content {
            Content::Truncate { table: ID, gtid } => {
                assert!(gtid.to_string().ends_with(":79"));
                None
            }
            Content::Row { change: Change { op: Op::Upsert(row), .. }, .. } => {
                match RowLayout::new(&[INT]).value(row.as_bytes(), 0) {
                    Value::Int(id) => Some(id),
                    other => panic!("{other:?}"),
                }
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids, [Some(1), Some(2), None, Some(3), Some(4), Some(5)]);
}

#[test]
fn ends_count_the_tables_that_are_read() {
    let captured = Captured::read();
    let tables = [("shop.orders", 7), ("shop.users", 8), ("shop.empty_one", 9)];
    let tables = tables.map(|(name, id)| (name.to_owned(), PartitionId(id)));
    let mut decoder = TransactionDecoder::new(HashMap::from(tables));
    let records = captured.records("mysql.transaction");
    let mut contents = Vec::new();
    for (_, value) in &records {
        let failure = decoder.decode(value.as_deref());
        if let Err(Failure::Schema(Side::Value, id)) = failure {
            decoder.add_schema(id, &captured.schema(id)).unwrap();
        }
        contents.push(decoder.decode(value.as_deref()).unwrap().content);
    }
    let end = |gtid: &str, counts: &[(u16, u64)]| {
        let gtid = format!("f9922be6-e58e-11f1-8fa9-02fc00000001:{gtid}").parse().unwrap();
        let counts = counts.iter().map(|(id, n)| (PartitionId(*id), *n)).collect();
        Content::End(Box::new(TransactionEnd { gtid, counts }))
    };
    let want = [
        Content::Ignored,
        end("48", &[(7, 2)]),
        end("75", &[(8, 1), (7, 3)]),
        end("src:1", &[(9, 1)]),
    ];
    assert_eq!(contents, want);
}

#[test]
fn notices_tell_what_was_scanned() {
    let captured = Captured::read();
    let tables = [("cap.users", TableId(0)), ("cap.empty_one", TableId(1))];
    let tables = tables.map(|(name, id)| (name.to_owned(), id));
    let mut decoder = NotificationDecoder::new(HashMap::from(tables));
    decoder.add_schema(2, &captured.schema(2)).unwrap();
    let records = captured.records("cap.notifications");
    let contents: Vec<Content> = records
        .iter()
        .map(|(_, value)| decoder.decode(value.as_deref()).unwrap().content)
        .filter(|content| *content != Content::Ignored)
        .collect();
    let (users, empty) = (TableId(0), TableId(1));
    let of = BinlogPlace { file: 1, position: 1_153_719 };
    let contains: Watermarks = "76d40a89-e5e6-11f1-a092-02fc00000001:1-3148".parse().unwrap();
    let reading = || Notice::Reading { of, tables: vec![users, empty], contains: contains.clone() };
    let read = |table, rows| Notice::Read { of, table, rows };
    let want = [reading(), read(empty, 0), reading(), read(users, 20), reading()];
    assert_eq!(contents, want.map(Content::Notice));
}

#[test]
fn statements_tell_what_became_of_tables() {
    let captured = Captured::read();
    let name = "rewritten_6b022224_3";
    let decoder = |database| {
        let mut decoder = SchemaChangeDecoder::new(database);
        decoder.add_schema(77, &captured.schema(77)).unwrap();
        decoder
    };
    let decode = |decoder: SchemaChangeDecoder| -> Vec<Content> {
        let records = captured.records("changed").into_iter();
        records.map(|(_, value)| decoder.decode(value.as_deref()).unwrap().content).collect()
    };
    let found = decode(decoder(name));
    let [
        Content::SchemaChange(created),
        Content::SchemaChange(altered),
        Content::SchemaChange(dropped),
    ] = found.as_slice()
    else {
        panic!("{found:?}");
    };
    let total = |change: &SchemaChange| {
        let table = &change.tables[0];
        assert_eq!((&*table.name, change.tables.len()), ("orders", 1));
        table.columns.as_ref().unwrap()["total"].clone()
    };
    assert_eq!(created.gtid, None, "a snapshot found it");
    assert!(created.ddl.starts_with("CREATE TABLE `orders` ("), "{}", created.ddl);
    let decimal = |scale| Form {
        ty: "DECIMAL".into(),
        length: Some(10),
        scale: Some(scale),
        ..Form::default()
    };
    assert_eq!(total(created), decimal(2));
    assert!(altered.gtid.is_some());
    assert_eq!(&*altered.ddl, "ALTER TABLE orders MODIFY total DECIMAL(10,1) NOT NULL");
    assert_eq!(total(altered), decimal(1));
    let status = &altered.tables[0].columns.as_ref().unwrap()["order_status"];
    let text = Form {
        ty: "VARCHAR".into(),
        length: Some(255),
        charset: Some("utf8mb4".into()),
        nullable: true,
        ..Form::default()
    };
    assert_eq!(*status, text);
    let gone = TableChange { name: "items_old".into(), columns: None };
    assert_eq!(dropped.tables, [gone]);
    // Nothing of another database.
    assert!(decode(decoder("other")).iter().all(|content| *content == Content::Ignored));
}

#[test]
fn a_notice_tells_which_tables_are_going_to_be_read_anew() {
    let tables = [("d.users", TableId(0)), ("d.orders", TableId(1)), ("d.items", TableId(2))];
    let tables = tables.map(|(name, id)| (name.to_owned(), id));
    let decoder = NotificationDecoder::new(HashMap::from(tables));
    let mut news = News {
        id: crate::source::anew::signal_id(7, ["items", "users"]),
        about: INCREMENTAL.to_owned(),
        kind: "STARTED".to_owned(),
        ..News::default()
    };
    let gtids = "76d40a89-e5e6-11f1-a092-02fc00000001:1-48";
    news.data.insert("binlog_gtids".to_owned(), gtids.to_owned());
    let tables = vec![TableId(0), TableId(2)];
    let contains = gtids.parse().unwrap();
    let want = Notice::ReadingAnew { id: 7, tables, contains };
    assert_eq!(decoder.notice(&news).unwrap(), Some(want));
    news.id = "viewtide-7".to_owned();
    assert_eq!(decoder.notice(&news).unwrap(), None);
}

#[test]
fn a_notice_that_does_not_say_of_which_snapshot_it_is_says_what_is_missing() {
    let mut news = News {
        about: "Initial Snapshot".to_owned(),
        kind: "IN_PROGRESS".to_owned(),
        ..News::default()
    };
    let decoder = NotificationDecoder::new(HashMap::new());
    let unplaced = decoder.notice(&news).unwrap_err().to_string();
    assert!(unplaced.contains("viewtide.connect.NameSnapshots"), "{unplaced}");
    for (name, value) in [("binlog_file", "binlog.000012"), ("binlog_pos", "157")] {
        news.data.insert(name.to_owned(), value.to_owned());
    }
    let of = BinlogPlace { file: 12, position: 157 };
    let (tables, contains) = (Vec::new(), Watermarks::default());
    assert_eq!(decoder.notice(&news).unwrap(), Some(Notice::Reading { of, tables, contains }));
}

/// A change of `single`, with its schemas known.
fn known() -> (TableDecoder, Vec<u8>, Vec<u8>) {
    let captured = Captured::read();
    let mut decoder = TableDecoder::new(ID, &single(), "shop");
    let record = captured.records("mysql.shop.single").swap_remove(3);
    captured.decode(&mut decoder, &record).unwrap();
    (decoder, record.0.unwrap(), record.1.unwrap())
}

fn unreadable(decoder: &mut TableDecoder, key: Option<&[u8]>, value: &[u8]) -> Unreadable {
    match decoder.decode(key, Some(value)) {
        Err(Failure::Unreadable(unreadable)) => *unreadable,
        other => panic!("{other:?}"),
    }
}

#[test]
fn bad_records_say_why_and_where_they_stand() {
    let (mut decoder, key, value) = known();
    for (bytes, want) in [
        (&[][..], "the value is empty"),
        (b"{\"id\": 1}", "it begins with byte 0x7b"),
        (&[0, 0, 0], "ends within the schema id"),
        (&value[..value.len() - 3], "cut off"),
        (&[&value[..], b"x"].concat(), "1 bytes are left over"),
    ] {
        let error = unreadable(&mut decoder, Some(&key), bytes);
        assert!(error.reason.to_string().contains(want), "{}", error.reason);
        assert_eq!(error.place, None);
    }
    let place = Place {
        gtid: "f9922be6-e58e-11f1-8fa9-02fc00000001:77".parse().unwrap(),
        total_order: 2,
        table_order: 2,
    };
    let other_key = [&key[..5], &[8]].concat();
    let at = value.iter().rposition(|byte| *byte == b'c').unwrap();
    let op = |op: u8| [&value[..at], &[op], &value[at + 1..]].concat();
    for (key, value, want) in [
        (None, &value, "the key is null"),
        (Some(&other_key), &value, "the key is not that of the row"),
        (Some(&key), &op(b'x'), "unknown operation `x`"),
        (Some(&key), &op(b'd'), "operation `d` without a row"),
    ] {
        let error = unreadable(&mut decoder, key.map(Vec::as_slice), value);
        assert_eq!(error.reason.to_string(), want);
        assert_eq!(error.place, Some(place.clone()), "its transaction can be read all the same");
    }
    let unknown = [&[0, 0, 0, 9, 9][..], &value[5..]].concat();
    assert_eq!(decoder.decode(Some(&key), Some(&unknown)), Err(Failure::Schema(Side::Value, 2313)));
    let mut other = TableDecoder::new(ID, &single(), "other");
    let captured = Captured::read();
    other.add_schema(Side::Value, 14, &captured.schema(14)).unwrap();
    let error = unreadable(&mut other, Some(&key), &value);
    assert_eq!(error.reason, Reason::OtherTable("shop.single".to_owned()));
}

#[test]
fn no_damage_to_the_bytes_makes_it_panic_or_loop() {
    let captured = Captured::read();
    let table = everything();
    let mut decoder = TableDecoder::new(ID, &table, "shop");
    for record in captured.records("mysql.shop.everything") {
        captured.decode(&mut decoder, &record).unwrap();
        let (key, value) = (record.0.unwrap(), record.1.unwrap());
        for at in 5..value.len() {
            assert!(decoder.decode(Some(&key), Some(&value[..at])).is_err(), "cut at {at}");
            for byte in [0x00, 0x01, 0x7F, 0x80, 0xFF] {
                let mut damaged = value.clone();
                damaged[at] = byte;
                // Some damage is another valid record; what counts is that it ends.
                let _ = decoder.decode(Some(&key), Some(&damaged));
            }
        }
    }
}

#[test]
fn invalid_text_is_a_bad_column_of_a_known_transaction() {
    let captured = Captured::read();
    let mut decoder = TableDecoder::new(ID, &everything(), "shop");
    let record = captured.records("mysql.shop.everything").swap_remove(5);
    captured.decode(&mut decoder, &record).unwrap();
    let (key, mut value) = (record.0.unwrap(), record.1.unwrap());
    let at = value.iter().rposition(|byte| *byte == b'!').unwrap();
    value[at] = 0xFF;
    let error = unreadable(&mut decoder, Some(&key), &value);
    assert_eq!(error.reason.to_string(), "column `v`: text is not UTF-8");
    assert_eq!(error.place.unwrap().table_order, 2);
}

#[test]
fn a_column_wider_than_declared_goes_on_within_what_is_declared() {
    let captured = Captured::read();
    let id = ("id", Type::Int { bytes: 8, unsigned: true });
    let mut decoder = TableDecoder::new(ID, &table("everything", &[id, ("i8", INT)], &[0]), "shop");
    let (mut within, mut beyond) = (0, 0);
    for record in captured.records("mysql.shop.everything") {
        match captured.decode(&mut decoder, &record) {
            Ok(_) => within += 1,
            Err(Failure::Unreadable(error)) => {
                assert_eq!(error.reason.to_string(), "column `i8`: the value is out of range");
                beyond += 1;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(within > 0 && beyond > 0, "{within} within, {beyond} beyond");
}

#[test]
fn a_schema_that_does_not_fit_names_table_and_column() {
    let captured = Captured::read();
    let records = captured.records("mysql.shop.everything");
    let id = ("id", Type::Int { bytes: 8, unsigned: true });
    // What the row of the first record lacks; its other columns are read all the same.
    let lacks = |name: &str, ty: Type| {
        let table = table("everything", &[id, (name, ty), ("tx", TEXT)], &[0]);
        let mut decoder = TableDecoder::new(ID, &table, "shop");
        let decoded = captured.decode(&mut decoder, &records[0]).unwrap();
        let row = row_of(&decoded).as_bytes();
        assert!(table.layout.value(row, 2) != Value::Null);
        let lacks = decoder.lacks().map(|lacks| lacks.as_ref().clone()).unwrap_or_default();
        assert!(lacks.keys().all(|lacking| **lacking == *name));
        assert_eq!(table.layout.value(row, 1) == Value::Null, !lacks.is_empty());
        lacks.into_values().next().unwrap_or_default()
    };
    assert_eq!(&*lacks("V", TEXT), "");
    let dropped = lacks("gone", INT);
    assert!(dropped.starts_with("column `gone` of table `everything` is not in schema 8"));
    for (column, written) in [
        (("v", INT), "declared INT, but schema 8 writes string (VARCHAR in MySQL)"),
        (("d65", Type::Decimal { precision: 65, scale: 2 }), "DECIMAL(65,2), but schema 8 writes"),
        (("ts", TEXT), "string (io.debezium.time.ZonedTimestamp, TIMESTAMP in MySQL)"),
        (("ti", Type::DateTime { fsp: 0 }), "declared DATETIME, but schema 8 writes long"),
        (("dt", Type::Time { fsp: 6 }), "declared TIME(6), but schema 8 writes long"),
        (("i4", Type::Date), "declared DATE, but schema 8 writes int (INT in MySQL)"),
        (("p", Type::Bytes), "schema 8 writes record (io.debezium.data.geometry.Point"),
        (("b10", Type::Bytes), "schema 8 writes bytes (io.debezium.data.Bits"),
    ] {
        let (name, ty) = column;
        let why = lacks(name, ty);
        assert!(why.contains(written), "{why}");
    }
    let keyed = |name: &str, ty: Type| {
        let table = table("everything", &[(name, ty), ("tx", TEXT)], &[0]);
        let mut decoder = TableDecoder::new(ID, &table, "shop");
        decoder.add_schema(Side::Value, 8, &captured.schema(8)).map_err(|unfit| unfit.to_string())
    };
    assert_eq!(keyed(id.0, id.1), Ok(()));
    assert!(keyed("gone", INT).unwrap_err().contains("is not in schema 8"));
    assert!(keyed("v", INT).unwrap_err().contains("declared INT, but schema 8 writes string"));
    let mut decoder = TableDecoder::new(ID, &single(), "shop");
    let error = decoder.add_schema(Side::Value, 2, &captured.schema(2)).unwrap_err();
    assert_eq!(error.to_string(), "schema 2 is none of Debezium's: it has no `before`");
    assert!(decoder.add_schema(Side::Key, 7, "{").is_err());
}

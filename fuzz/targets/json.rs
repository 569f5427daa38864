//! A record in JSON. The first byte says which: an event of a stream, or Debezium's of a table with
//! its schemas or without, of which two more bytes say how long the key is.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use viewtide::source::json::EventDecoder;
use viewtide::source::record::Content;
use viewtide::source::{Format, JsonRecords};
use viewtide::sql::plan::{Plan, TableId, TableSource};
use viewtide::sql::{Definitions, SourceFile, plan_views};

const STREAM: &str = include_str!("../../sql/streams/order_updates.sql");
const TABLE: &str = "CREATE TABLE t (
    id int NOT NULL,
    d decimal(10,2),
    n varchar(20),
    f float,
    doc json,
    at timestamp(6) NULL,
    bits bit(12),
    PRIMARY KEY (id)
);";

fn plan(table: &str, stream: &str, view: &str) -> Plan {
    let file = |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.to_owned() };
    let files = |path: &str, text: &str| match text {
        "" => Vec::new(),
        text => vec![file(path, text)],
    };
    let definitions = Definitions {
        tables: files("t.sql", table),
        streams: files("s.sql", stream),
        views: files("v.sql", view),
    };
    plan_views(&definitions).expect("it is planned")
}

fn events() -> EventDecoder {
    let plan = plan("", STREAM, "CREATE VIEW v AS SELECT * FROM order_updates;");
    let TableSource::Stream(stream) = &plan.tables[0].source else { panic!("it is a stream") };
    EventDecoder::new(TableId(0), &plan.tables[0], stream.timestamps)
}

fn records(format: Format) -> JsonRecords {
    JsonRecords::new(&plan(TABLE, "", "CREATE VIEW v AS SELECT * FROM t;"), format, "shop")
}

thread_local! {
    static EVENTS: RefCell<EventDecoder> = RefCell::new(events());
    static BARE: RefCell<JsonRecords> = RefCell::new(records(Format::JsonWithoutSchemas));
}

fuzz_target!(|data: &[u8]| {
    match data {
        [0, value @ ..] => EVENTS.with_borrow_mut(|decoder| {
            if let Ok(decoded) = decoder.decode(Some(value), 0, 7) {
                assert!(matches!(decoded.content, Content::Event(_)));
                // What can be read has a row, and one that is read again is the same.
                assert!(decoder.row_key(Some(value), 0, 7).is_some());
                assert_eq!(decoder.decode(Some(value), 0, 7), Ok(decoded));
            }
        }),
        [kind @ (1 | 2), low, high, rest @ ..] => {
            let length = usize::from(u16::from_le_bytes([*low, *high]));
            let (key, value) = rest.split_at(rest.len().min(length));
            match kind {
                // A decoder keeps the schemas that it meets.
                1 => records(Format::Json).read(key, value),
                _ => BARE.with_borrow_mut(|records| records.read(key, value)),
            }
        }
        _ => {}
    }
});

//! A record in Avro by schemas that Debezium wrote: key and value of a table's, the end of a
//! transaction, a notification, a schema change. The first byte says which; of a table's record two
//! more say how long its key is.
#![no_main]

use std::collections::HashMap;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use viewtide::source::avro::{
    Decoded, Failure, NotificationDecoder, SchemaChangeDecoder, TableDecoder, TransactionDecoder,
};
use viewtide::source::record::PartitionId;
use viewtide::sql::plan::TableId;
use viewtide::sql::{Definitions, SourceFile, plan_views};

const TABLE: &str = include_str!("../everything.sql");

static CAPTURED: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../src/source/avro/captured.json")).expect("it is JSON")
});

/// Decodes, handing over each schema that is asked for and known.
fn decode(
    mut decode: impl FnMut(
        Option<(viewtide::source::avro::Side, u32, &str)>,
    ) -> Result<Decoded, Failure>,
) {
    let mut given = None;
    for _ in 0..3 {
        match decode(
            given.as_ref().map(|(side, id, text): &(_, u32, String)| (*side, *id, text.as_str())),
        ) {
            Err(Failure::Schema(side, id)) => match CAPTURED["schemas"].get(id.to_string()) {
                Some(schema) => given = Some((side, id, schema.to_string())),
                None => return,
            },
            _ => return,
        }
    }
}

fn table_decoder() -> TableDecoder {
    let file = |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.to_owned() };
    let plan = plan_views(&Definitions {
        tables: vec![file("t.sql", TABLE)],
        streams: Vec::new(),
        views: vec![file("v.sql", "CREATE VIEW v AS SELECT * FROM everything;")],
    });
    TableDecoder::new(TableId(0), &plan.expect("it is planned").tables[0], "shop")
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind % 4 {
        0 => {
            let [low, high, rest @ ..] = rest else { return };
            let (key, value) =
                rest.split_at(rest.len().min(usize::from(u16::from_le_bytes([*low, *high]))));
            let mut decoder = table_decoder();
            decode(|schema| {
                if let Some((side, id, text)) = schema
                    && decoder.add_schema(side, id, text).is_err()
                {
                    return Err(Failure::Newer(0));
                }
                let _ = decoder.row_key(Some(key));
                decoder.decode(Some(key), Some(value))
            });
        }
        1 => {
            let tables = HashMap::from([("shop.everything".to_owned(), PartitionId(0))]);
            let mut decoder = TransactionDecoder::new(tables);
            decode(|schema| {
                if let Some((_, id, text)) = schema
                    && decoder.add_schema(id, text).is_err()
                {
                    return Err(Failure::Newer(0));
                }
                decoder.decode(Some(rest))
            });
        }
        2 => {
            let tables = HashMap::from([("shop.everything".to_owned(), TableId(0))]);
            let mut decoder = NotificationDecoder::new(tables);
            decode(|schema| {
                if let Some((_, id, text)) = schema
                    && decoder.add_schema(id, text).is_err()
                {
                    return Err(Failure::Newer(0));
                }
                decoder.decode(Some(rest))
            });
        }
        _ => {
            let mut decoder = SchemaChangeDecoder::new("shop");
            decode(|schema| {
                if let Some((_, id, text)) = schema
                    && decoder.add_schema(id, text).is_err()
                {
                    return Err(Failure::Newer(0));
                }
                decoder.decode(Some(rest))
            });
        }
    }
});

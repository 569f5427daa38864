//! Records as the converter writes them, and what must not be read.

use serde_json::{Value as Json, json};

use super::*;
use crate::change::{Change, Op};
use crate::source::avro::{Decoded, TableDecoder};
use crate::source::record::Content;
use crate::sql::plan::{Plan, TableId};
use crate::sql::{Definitions, SourceFile, plan_views};
use crate::value::{Key, Row, write_json};

const TABLE: &str = "CREATE TABLE t (
    id int unsigned NOT NULL,
    big bigint unsigned,
    flag tinyint(1),
    y year,
    bits bit(9),
    price decimal(10,2),
    f float,
    g double,
    name varchar(20),
    doc json,
    day date,
    at timestamp(3) NULL,
    PRIMARY KEY (id)
);";

fn plan(table: &str) -> Plan {
    let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
    plan_views(&Definitions {
        tables: vec![file("t.sql", table)],
        streams: Vec::new(),
        views: vec![file("v.sql", "CREATE VIEW v AS SELECT * FROM t;")],
    })
    .unwrap()
}

fn decode(
    decoder: &mut TableDecoder,
    translator: &mut Translator,
    key: &Json,
    value: &Json,
) -> Result<Decoded, String> {
    let shown = |failure: Failure| match failure {
        Failure::Unreadable(it) => it.reason.to_string(),
        other => format!("{other:?}"),
    };
    let (key, value) = (key.to_string(), value.to_string());
    let key = translator.translate(Side::Key, key.as_bytes()).map_err(shown)?;
    let value = translator.translate(Side::Value, value.as_bytes()).map_err(shown)?;
    loop {
        match decoder.decode(Some(&key), Some(&value)) {
            Err(Failure::Schema(side, id)) => {
                let text = translator.schema(side, id).unwrap();
                decoder.add_schema(side, id, text).map_err(|unfit| unfit.to_string())?;
            }
            other => return other.map_err(shown),
        }
    }
}

fn shown(plan: &Plan, row: &Row) -> Json {
    let table = &plan.tables[0];
    let member = |(at, column): (usize, &crate::sql::plan::Column)| {
        let mut out = Vec::new();
        write_json(&mut out, &table.layout.value(row.as_bytes(), at), column.ty);
        (column.name.clone(), serde_json::from_slice(&out).unwrap())
    };
    Json::Object(table.columns.iter().enumerate().map(member).collect())
}

fn row(content: &Content) -> &Row {
    match content {
        Content::Row { change: Change { op: Op::Upsert(row), .. }, .. } => row,
        other => panic!("{other:?}"),
    }
}

/// What stands around a row.
fn envelope(op: &str, before: Json, after: Json) -> Json {
    json!({
        "before": before, "after": after, "op": op, "ts_ms": 17,
        "source": {
            "version": "3.6.1.Final", "connector": "mysql", "ts_us": 1_725_290_973_000_001i64,
            "snapshot": "false", "db": "shop", "table": "t", "gtid": null, "file": "b.000003", "pos": 9,
        },
        "transaction": {
            "id": "7e897c59-e58f-11f1-b52e-02fc00000001:5", "total_order": 2,
            "data_collection_order": 1,
        },
    })
}

/// The schema of [`envelope`] around a row of these fields.
fn schema(fields: &[Json]) -> Json {
    let of = |kind: &str, name: &str| json!({"type": kind, "optional": true, "field": name});
    let row = |name: &str| json!({"type": "struct", "fields": fields, "optional": true, "name": "t.Value", "field": name});
    let source: Vec<Json> = ["version", "connector", "snapshot", "db", "table", "gtid", "file"]
        .map(|name| of("string", name))
        .into_iter()
        .chain(["ts_us", "pos"].map(|name| of("int64", name)))
        .collect();
    let block =
        [of("string", "id"), of("int64", "total_order"), of("int64", "data_collection_order")];
    json!({"type": "struct", "optional": false, "name": "t.Envelope", "fields": [
        row("before"), row("after"),
        {"type": "struct", "fields": source, "optional": false, "field": "source"},
        {"type": "struct", "fields": block, "optional": true, "field": "transaction"},
        {"type": "string", "optional": false, "field": "op"},
        of("int64", "ts_ms"),
    ]})
}

fn with_schemas(fields: &[Json], op: &str, before: Json, after: Json) -> Json {
    json!({"schema": schema(fields), "payload": envelope(op, before, after)})
}

fn key_with_schema(id: i64) -> Json {
    let field = json!({"type": "int64", "optional": false, "field": "id"});
    let schema = json!({"type": "struct", "fields": [field], "optional": false, "name": "t.Key"});
    json!({"schema": schema, "payload": {"id": id}})
}

#[test]
fn a_row_without_schemas_is_read_by_its_declaration() {
    let plan = plan(TABLE);
    let table = &plan.tables[0];
    let mut decoder = TableDecoder::new(TableId(0), table, "shop");
    let mut translator = Translator::bare(key_of(table).unwrap(), row_of(table).unwrap());
    let full = json!({
        "id": 4_000_000_000u32, "big": -1, "flag": 1, "y": 2026, "bits": "AgE=", "price": "-0.50",
        "f": 0.1, "g": 1e-7, "name": "é\"", "doc": "{\"b\": 1, \"a\": [null]}", "day": 20_000,
        "at": "2026-11-22T02:05:00.5Z", "unread": {"x": 1},
    });
    let mut empty = full.clone();
    for (name, value) in empty.as_object_mut().unwrap() {
        if name != "id" {
            *value = Json::Null;
        }
    }
    let key = json!({"id": 4_000_000_000u32});
    let decoded =
        decode(&mut decoder, &mut translator, &key, &envelope("c", Json::Null, full.clone()));
    let decoded = decoded.unwrap();
    assert_eq!(decoded.committed_us, 1_725_290_973_000_001);
    let want: Json = serde_json::from_str(
        r#"{"id": 4000000000, "big": 18446744073709551615, "flag": 1, "y": 2026, "bits": 258,
            "price": "-0.50", "f": 0.1, "g": 0.0000001, "name": "é\"", "doc": {"a": [null], "b": 1},
            "day": "2024-10-04", "at": "2026-11-22T02:05:00.500Z"}"#,
    )
    .unwrap();
    assert_eq!(shown(&plan, row(&decoded.content)), want);
    let decoded =
        decode(&mut decoder, &mut translator, &key, &envelope("u", full.clone(), empty.clone()));
    let shown = shown(&plan, row(&decoded.unwrap().content));
    assert!(shown["name"].is_null() && shown["price"].is_null() && shown["big"].is_null());
    let deleted = decode(&mut decoder, &mut translator, &key, &envelope("d", empty, Json::Null));
    let Content::Row { change: Change { op: Op::Delete(of), .. }, .. } = deleted.unwrap().content
    else {
        panic!("no deletion")
    };
    assert_eq!(of, Key::parse(&[table.columns[0].ty], &["4000000000"]).unwrap());

    for (member, value, want) in [
        ("price", json!("AMgA"), "member `after.price` is no decimal text"),
        ("price", json!(1.5), "decimal.handling.mode=string"),
        ("price", json!("1.005"), "column `price`: the value is out of range"),
        ("flag", json!(128), "column `flag`: the value is out of range"),
        ("name", json!("a\\,b"), "only a schema tells"),
        ("name", json!(7), "member `after.name` is of another type"),
        ("bits", json!("%"), "member `after.bits` is no base64"),
        ("big", json!(1.5), "member `after.big` is no whole number"),
        ("at", json!(17), "member `after.at` is of another type"),
        ("id", Json::Null, "member `after.id` is null"),
        ("id", json!(7), "the key is not that of the row"),
    ] {
        let mut after = full.clone();
        after[member] = value;
        let record = envelope("c", Json::Null, after);
        let reason = decode(&mut decoder, &mut translator, &key, &record).unwrap_err();
        assert!(reason.contains(want), "{member}: {reason}");
    }
    // A column that is gone is no NULL.
    let mut after = full.clone();
    after.as_object_mut().unwrap().remove("name");
    let reason =
        decode(&mut decoder, &mut translator, &key, &envelope("c", Json::Null, after)).unwrap_err();
    assert!(reason.contains("member `after.name` is not there"), "{reason}");
    for broken in ["{", "[1]", "7", "\"\"", "{\"schema\": {}, \"payload\": {}}"] {
        assert!(translator.translate(Side::Value, broken.as_bytes()).is_err(), "{broken}");
    }
}

#[test]
fn what_json_without_schemas_does_not_carry_is_named() {
    for (column, declared) in [
        ("x time(3)", "TIME(3)"),
        ("x datetime", "DATETIME"),
        ("x varbinary(9)", "bytes"),
        ("x decimal(9,0)", "DECIMAL(9,0)"),
    ] {
        let plan = plan(&format!("CREATE TABLE t (id int NOT NULL, {column}, PRIMARY KEY (id));"));
        let reason = row_of(&plan.tables[0]).unwrap_err().to_string();
        let want = format!("column `x` of table `t` is declared {declared}, of which JSON without");
        assert!(reason.starts_with(&want) && reason.contains("source.format"), "{reason}");
    }
}

#[test]
fn a_row_with_its_schema_is_read_by_that() {
    let plan = plan(
        "CREATE TABLE t (id bigint NOT NULL, d decimal(10,2), dt datetime(6), ti time, \
         raw varbinary(9), e enum('a,b'), PRIMARY KEY (id));",
    );
    let table = &plan.tables[0];
    let mut decoder = TableDecoder::new(TableId(0), table, "shop");
    let mut translator = Translator::by_schemas();
    let field = |name: &str, kind: &str, meaning: &str| {
        let mut field = json!({"type": kind, "optional": true, "field": name});
        if !meaning.is_empty() {
            field["name"] = json!(meaning);
        }
        field
    };
    let decimal = |scale: &str| {
        let mut decimal = field("d", "bytes", "org.apache.kafka.connect.data.Decimal");
        decimal["parameters"] = json!({"scale": scale});
        decimal
    };
    let id = json!({"type": "int64", "optional": false, "field": "id"});
    let fields = |d: Json| {
        vec![
            id.clone(),
            d,
            field("dt", "int64", "io.debezium.time.MicroTimestamp"),
            field("ti", "int64", "io.debezium.time.MicroTime"),
            field("raw", "bytes", ""),
            field("e", "string", "io.debezium.data.Enum"),
        ]
    };
    let after = |d: Json| {
        json!({"id": 5, "d": d, "dt": 1_725_290_973_000_001i64, "ti": -1_000_000, "raw": "AP8=",
            "e": "a\\,b"})
    };
    let want = json!({"id": 5, "d": "-1.50", "dt": "2024-09-02T15:29:33.000001",
        "ti": "-00:00:01", "raw": "AP8=", "e": "a,b"});
    // The same number of another scale, as text, and as a number: each with its own schema.
    for (d, value) in [
        (decimal("2"), json!("/2o=")),
        (decimal("1"), json!("8Q==")),
        (decimal("2"), serde_json::from_str("-1.50").unwrap()),
        (field("d", "string", ""), json!("-1.5")),
    ] {
        let record = with_schemas(&fields(d), "c", Json::Null, after(value));
        let decoded = decode(&mut decoder, &mut translator, &key_with_schema(5), &record);
        assert_eq!(shown(&plan, row(&decoded.unwrap().content)), want);
    }
    // Written as something else, the column is lacking; the others are read.
    let mut lacking = want.clone();
    lacking["d"] = Json::Null;
    for (d, value) in [(field("d", "double", ""), json!(1.5)), (decimal("3"), json!("AP8="))] {
        let record = with_schemas(&fields(d), "c", Json::Null, after(value));
        let decoded = decode(&mut decoder, &mut translator, &key_with_schema(5), &record);
        assert_eq!(shown(&plan, row(&decoded.unwrap().content)), lacking);
        let why = &decoder.lacks().unwrap()["d"];
        assert!(why.contains("is declared DECIMAL(10,2), but schema"), "{why}");
    }
    for (d, value, want) in [
        (decimal("2"), json!("%"), "member `after.d` is no base64"),
        (decimal("1"), serde_json::from_str("1.55").unwrap(), "is no number of its scale"),
    ] {
        let record = with_schemas(&fields(d), "c", Json::Null, after(value));
        let reason = decode(&mut decoder, &mut translator, &key_with_schema(5), &record);
        let reason = reason.unwrap_err();
        assert!(reason.contains(want), "{reason}");
    }
    let other = decode(
        &mut decoder,
        &mut translator,
        &key_with_schema(6),
        &with_schemas(&fields(decimal("2")), "c", Json::Null, after(Json::Null)),
    );
    assert_eq!(other.unwrap_err(), "the key is not that of the row");
    let bare = envelope("c", Json::Null, after(Json::Null));
    let reason = decode(&mut decoder, &mut translator, &key_with_schema(5), &bare).unwrap_err();
    assert!(reason.contains("the value is no JSON of kafka connect's"), "{reason}");
}

/// Against `apache-avro` as the reference: random schemas and values of them, as the converter
/// writes them, come out as they went in.
mod random {
    use apache_avro::Schema as AvroSchema;
    use apache_avro::reader::datum::GenericDatumReader;
    use apache_avro::types::Value as Avro;
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use proptest::prelude::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    /// A schema, and a value of it in JSON and as it must be in Avro.
    fn part(random: &mut StdRng, depth: usize) -> (Json, Json, Avro) {
        let kinds = if depth == 0 { 8 } else { 11 };
        let (mut schema, mut value, mut avro) = match random.random_range(0..kinds) {
            0 => {
                let truth = random.random();
                (json!({"type": "boolean"}), json!(truth), Avro::Boolean(truth))
            }
            1 => {
                let number = random.random::<i32>();
                (json!({"type": "int32"}), json!(number), Avro::Int(number))
            }
            2 => {
                let number = random.random::<i64>() >> random.random_range(0..64);
                (json!({"type": "int64"}), json!(number), Avro::Long(number))
            }
            3 => {
                let number = f32::from_bits(random.random_range(0..0x7F80_0000));
                (json!({"type": "float"}), json!(number), Avro::Float(number))
            }
            4 => {
                let number = -f64::from_bits(random.random_range(0..0x7FF0_0000_0000_0000));
                (json!({"type": "double"}), json!(number), Avro::Double(number))
            }
            5 => {
                let text: String =
                    (0..random.random_range(0..9)).map(|_| random.random::<char>()).collect();
                (json!({"type": "string"}), json!(text), Avro::String(text))
            }
            6 => {
                let bytes: Vec<u8> =
                    (0..random.random_range(0..200)).map(|_| random.random()).collect();
                (
                    json!({"type": "bytes"}),
                    json!(BASE64_STANDARD.encode(&bytes)),
                    Avro::Bytes(bytes),
                )
            }
            7 => {
                let number = random.random::<i8>();
                (json!({"type": "int8"}), json!(number), Avro::Int(number.into()))
            }
            8 => {
                let (kind, _, _) = part(random, 0);
                let of: Vec<(Json, Avro)> =
                    (0..random.random_range(0..4)).map(|_| value_of(random, &kind)).collect();
                let (values, avro) = of.into_iter().unzip();
                (json!({"type": "array", "items": kind}), Json::Array(values), Avro::Array(avro))
            }
            9 => {
                let (kind, _, _) = part(random, 0);
                let of = (0..random.random_range(0..4))
                    .map(|at| (format!("{at}é"), value_of(random, &kind)));
                let of: Vec<_> = of.collect();
                let json =
                    of.iter().map(|(name, (json, _))| (name.clone(), json.clone())).collect();
                let avro = of.into_iter().map(|(name, (_, avro))| (name, avro)).collect();
                let schema = json!({"type": "map", "keys": {"type": "string"}, "values": kind});
                (schema, Json::Object(json), Avro::Map(avro))
            }
            _ => {
                let (mut fields, mut json, mut avro) =
                    (Vec::new(), serde_json::Map::new(), Vec::new());
                for at in 0..random.random_range(0..5) {
                    let (mut field, value, of) = part(random, depth - 1);
                    let name = format!("f{at}");
                    field["field"] = json!(name);
                    fields.push(field);
                    json.insert(name.clone(), value);
                    avro.push((name, of));
                }
                (
                    json!({"type": "struct", "fields": fields}),
                    Json::Object(json),
                    Avro::Record(avro),
                )
            }
        };
        let optional = random.random_bool(0.3);
        schema["optional"] = json!(optional);
        if optional {
            avro = Avro::Union(1, Box::new(avro));
            if random.random_bool(0.3) {
                (value, avro) = (Json::Null, Avro::Union(0, Box::new(Avro::Null)));
            }
        }
        (schema, value, avro)
    }

    /// Another value of a schema that [`part`] made.
    fn value_of(random: &mut StdRng, schema: &Json) -> (Json, Avro) {
        loop {
            let (other, value, avro) = part(random, 0);
            if other == *schema {
                return (value, avro);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn what_is_translated_says_the_same(seed: u64) {
            let mut random = StdRng::seed_from_u64(seed);
            let (schema, value, want) = part(&mut random, 4);
            let record = json!({"schema": schema, "payload": value}).to_string();
            let mut translator = Translator::by_schemas();
            let avro = translator.translate(Side::Value, record.as_bytes()).unwrap();
            prop_assert_eq!(&avro[..5], [0, 0, 0, 0, 1]);
            let schema = AvroSchema::parse_str(translator.schema(Side::Value, 1).unwrap()).unwrap();
            let reader = GenericDatumReader::builder(&schema).build().unwrap();
            let mut rest = &avro[5..];
            prop_assert_eq!(reader.read_value(&mut rest).unwrap(), want);
            prop_assert!(rest.is_empty());
            // The same schema is known again.
            let again = translator.translate(Side::Value, record.as_bytes()).unwrap();
            prop_assert_eq!(again, avro);
        }
    }
}

//! Against `apache-avro` as the reference: random tables, written by random schemas of Debezium's
//! shape (fields in any order, null in either place, things nobody reads in between), random rows.

use apache_avro::Schema as AvroSchema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng, SeedableRng};
use serde_json::{Value as Json, json};

use super::tests::table;
use super::*;
use crate::change::{Change, Op};
use crate::sql::plan::TableId;
use crate::value::{Collation, Decimal, Key, Type, Value, normalize_json, write_datetime};

const ID: TableId = TableId(1);

/// A type as MySQL declares it and Debezium writes it.
struct Kind {
    ty: Option<Type>,
    schema: Json,
    /// A random value, as written.
    write: fn(&mut StdRng) -> Avro,
}

fn connect(base: &str, name: &str) -> Json {
    json!({"type": base, "connect.version": 1, "connect.name": name})
}

fn decimal(scale: u8, precision: u8) -> Json {
    json!({"type": "bytes", "scale": scale, "precision": precision, "logicalType": "decimal",
        "connect.name": "org.apache.kafka.connect.data.Decimal"})
}

/// Kinds of columns. `name` makes the names of types unique within a schema.
fn kind(number: usize, name: &str) -> Kind {
    let int = |bytes, unsigned| Some(Type::Int { bytes, unsigned });
    let text = Some(Type::Text(Collation::Binary));
    let (ty, schema, write): (_, _, fn(&mut StdRng) -> Avro) = match number {
        0 => (int(4, false), json!("int"), |r| Avro::Int(r.random())),
        1 => (int(8, false), json!({"type": "long"}), |r| Avro::Long(r.random())),
        2 => (int(4, true), json!("long"), |r| Avro::Long(r.random::<u32>().into())),
        3 => (int(1, false), json!("boolean"), |r| Avro::Boolean(r.random())),
        4 => (Some(Type::Float), json!("float"), |r| Avro::Float(r.random())),
        5 => (Some(Type::Double), json!("double"), |r| Avro::Double(r.random())),
        6 => (text, json!("string"), |r| Avro::String(random_text(r))),
        7 => (Some(Type::Bytes), json!("bytes"), |r| Avro::Bytes(random_bytes(r, 40))),
        8 => (
            Some(Type::Bytes),
            json!({"type": "fixed", "name": format!("F{name}"), "size": 3}),
            |r| Avro::Fixed(3, r.random::<[u8; 3]>().to_vec()),
        ),
        9 => (
            text,
            json!({"type": "enum", "name": format!("E{name}"), "symbols": ["a", "b", "c"]}),
            |r| {
                let at = r.random_range(0..3);
                Avro::Enum(at, ["a", "b", "c"][at as usize].to_owned())
            },
        ),
        10 => (Some(Type::Decimal { precision: 18, scale: 2 }), decimal(2, 18), |r| {
            Avro::Decimal(r.random_range(-(10i64.pow(18))..10i64.pow(18)).to_be_bytes().into())
        }),
        11 => (Some(Type::Decimal { precision: 38, scale: 9 }), decimal(9, 38), |r| {
            Avro::Decimal(r.random_range(-(10i128.pow(38))..10i128.pow(38)).to_be_bytes().into())
        }),
        12 => (int(8, true), decimal(0, 20), |r| {
            Avro::Decimal(i128::from(r.random::<u64>()).to_be_bytes().into())
        }),
        13 => (
            Some(Type::Timestamp { fsp: 6 }),
            connect("string", "io.debezium.time.ZonedTimestamp"),
            |r| {
                let mut text = Vec::new();
                let fsp = r.random_range(0..=6);
                write_datetime(&mut text, r.random_range(1..1 << 51), fsp, b'T');
                text.push(b'Z');
                Avro::String(String::from_utf8(text).unwrap())
            },
        ),
        14 => (
            Some(Type::DateTime { fsp: 6 }),
            connect("long", "io.debezium.time.MicroTimestamp"),
            |r| Avro::Long(r.random_range(-(1 << 55)..1 << 55)),
        ),
        15 => {
            (Some(Type::DateTime { fsp: 3 }), connect("long", "io.debezium.time.Timestamp"), |r| {
                Avro::Long(r.random_range(-(1 << 45)..1 << 45))
            })
        }
        16 => {
            (Some(Type::Date), connect("int", "io.debezium.time.Date"), |r| Avro::Int(r.random()))
        }
        17 => (Some(Type::Time { fsp: 6 }), connect("long", "io.debezium.time.MicroTime"), |r| {
            Avro::Long(r.random_range(-(1 << 40)..1 << 40))
        }),
        18 => (Some(Type::Bit { bits: 40 }), connect("bytes", "io.debezium.data.Bits"), |r| {
            Avro::Bytes(r.random::<[u8; 5]>().to_vec())
        }),
        19 => (Some(Type::Json), connect("string", "io.debezium.data.Json"), |r| {
            Avro::String(json!({"bb": random_text(r), "a": [r.random::<i32>(), null]}).to_string())
        }),
        20 => (Some(Type::Year), connect("int", "io.debezium.time.Year"), |r| {
            Avro::Int(r.random_range(1901..=2155))
        }),
        21 => (None, json!({"type": "array", "items": "string"}), |r| {
            Avro::Array((0..r.random_range(0..4)).map(|_| Avro::String(random_text(r))).collect())
        }),
        22 => (None, json!({"type": "map", "values": ["null", "long"]}), |r| {
            let value = |r: &mut StdRng| Avro::Union(1, Box::new(Avro::Long(r.random())));
            Avro::Map((0..r.random_range(0..3)).map(|i| (i.to_string(), value(r))).collect())
        }),
        _ => (
            None,
            json!({"type": "record", "name": format!("R{name}"), "fields": [
                {"name": "x", "type": "double"}, {"name": "wkb", "type": ["null", "bytes"]}]}),
            |r| {
                let wkb = Avro::Union(1, Box::new(Avro::Bytes(random_bytes(r, 9))));
                Avro::Record(vec![("x".into(), Avro::Double(1.0)), ("wkb".into(), wkb)])
            },
        ),
    };
    Kind { ty, schema, write }
}

const KINDS: usize = 24;

fn random_text(random: &mut StdRng) -> String {
    let letters = ['a', 'Z', ' ', '"', '\\', '\0', 'é', '😀', '{', '\n'];
    (0..random.random_range(0..80)).map(|_| letters[random.random_range(0..10)]).collect()
}

fn random_bytes(random: &mut StdRng, most: usize) -> Vec<u8> {
    (0..random.random_range(0..most)).map(|_| random.random()).collect()
}

/// A field of the row: its name, its kind, and where null stands in its union.
struct Field {
    name: String,
    kind: Kind,
    null: Option<u32>,
    held: bool,
}

fn random_fields(random: &mut StdRng) -> Vec<Field> {
    let mut fields: Vec<Field> = (0..random.random_range(1..20))
        .map(|i| {
            let kind = kind(random.random_range(0..KINDS), &i.to_string());
            let null = [None, Some(0), Some(1)][random.random_range(0..3)];
            let held = kind.ty.is_some() && random.random_bool(0.6);
            Field { name: format!("c{i}"), kind, null, held }
        })
        .collect();
    // The key: one number, one text.
    for (name, number) in [("k1", 1), ("k2", 6)] {
        fields.push(Field {
            name: name.to_owned(),
            kind: kind(number, name),
            null: None,
            held: true,
        });
    }
    fields.shuffle(random);
    fields
}

fn or_null(null: Option<u32>, schema: Json) -> Json {
    match null {
        None => schema,
        Some(0) => json!(["null", schema]),
        Some(_) => json!([schema, "null"]),
    }
}

fn wrapped(null: Option<u32>, value: Option<Avro>) -> Avro {
    match (null, value) {
        (None, Some(value)) => value,
        (Some(null), Some(value)) => Avro::Union(1 - null, Box::new(value)),
        (null, None) => Avro::Union(null.unwrap_or(0), Box::new(Avro::Null)),
    }
}

/// The envelope's schema, with its fields in random order (`before` defines the row, so it comes
/// in front of `after`).
fn envelope_schema(random: &mut StdRng, fields: &[Field]) -> Json {
    let columns: Vec<Json> = fields
        .iter()
        .map(|f| json!({"name": f.name, "type": or_null(f.null, f.kind.schema.clone())}))
        .collect();
    let value = json!({"type": "record", "name": "Value", "fields": columns});
    let mut source = vec![
        json!({"name": "version", "type": "string"}),
        json!({"name": "snapshot", "type": [{"type": "string", "connect.name": "io.debezium.data.Enum"}, "null"]}),
        json!({"name": "db", "type": "string"}),
        json!({"name": "ts_us", "type": ["null", "long"]}),
        json!({"name": "table", "type": ["null", "string"]}),
        json!({"name": "gtid", "type": ["null", "string"]}),
        json!({"name": "pos", "type": "long"}),
        json!({"name": "row", "type": "int"}),
    ];
    source.shuffle(random);
    let block = json!({"type": "record", "name": "block", "namespace": "event", "fields": [
        {"name": "id", "type": "string"}, {"name": "total_order", "type": "long"},
        {"name": "data_collection_order", "type": "long"}]});
    let mut parts = vec![
        json!({"name": "source", "type": {"type": "record", "name": "Source", "fields": source}}),
        json!({"name": "transaction", "type": ["null", block]}),
        json!({"name": "op", "type": "string"}),
        json!({"name": "ts_ms", "type": ["null", "long"]}),
    ];
    parts.shuffle(random);
    let at = random.random_range(0..=parts.len());
    parts.insert(at, json!({"name": "before", "type": ["null", value]}));
    let at = random.random_range(at + 1..=parts.len());
    parts.insert(at, json!({"name": "after", "type": ["null", "p.d.t.Value"]}));
    json!({"type": "record", "name": "Envelope", "namespace": "p.d.t", "fields": parts})
}

fn some(value: Avro) -> Avro {
    Avro::Union(1, Box::new(value))
}

/// A record of the schema, its fields in the schema's order.
fn envelope(schema: &Json, before: Option<Avro>, after: Option<Avro>, op: &str) -> Avro {
    let row = |row: Option<Avro>| row.map_or(Avro::Union(0, Box::new(Avro::Null)), some);
    let order = |name: &str| match name {
        "id" => Avro::String("00000000-0000-0000-0000-000000000001:9".to_owned()),
        _ => Avro::Long(if name == "total_order" { 300 } else { 200 }),
    };
    let field = |name: &str, field: &Json| match name {
        "before" => row(before.clone()),
        "after" => row(after.clone()),
        "source" => record(&field["type"], |name| match name {
            "version" => Avro::String("3.6.1.Final".to_owned()),
            "snapshot" => Avro::Union(0, Box::new(Avro::String("false".to_owned()))),
            "db" => Avro::String("d".to_owned()),
            "ts_us" => some(Avro::Long(1_725_297_662_123_456)),
            "table" => some(Avro::String("t".to_owned())),
            "gtid" => some(order("id")),
            "pos" => Avro::Long(40_857),
            _ => Avro::Int(-3),
        }),
        "transaction" => some(record(&field["type"][1], order)),
        "op" => Avro::String(op.to_owned()),
        _ => some(Avro::Long(5)),
    };
    let fields = schema["fields"].as_array().unwrap();
    let named =
        |f: &Json| (f["name"].as_str().unwrap().to_owned(), field(f["name"].as_str().unwrap(), f));
    Avro::Record(fields.iter().map(named).collect())
}

fn record(schema: &Json, value: impl Fn(&str) -> Avro) -> Avro {
    let fields = schema["fields"].as_array().unwrap().iter();
    let names = fields.map(|field| field["name"].as_str().unwrap());
    Avro::Record(names.map(|name| (name.to_owned(), value(name))).collect())
}

/// What a value that the reference read means in a column of a type.
fn meaning(ty: Type, value: &Avro) -> Value<'static> {
    let digits = |decimal: &apache_avro::Decimal| Vec::<u8>::try_from(decimal).unwrap();
    match (ty, value) {
        (_, Avro::Null) => Value::Null,
        (ty, Avro::Union(_, inner)) => meaning(ty, inner),
        (Type::Int { unsigned: true, .. }, Avro::Long(v)) => Value::UInt(*v as u64),
        (Type::Int { .. }, Avro::Int(v)) => Value::Int((*v).into()),
        (Type::Int { .. }, Avro::Long(v)) => Value::Int(*v),
        (Type::Int { .. }, Avro::Boolean(v)) => Value::Int((*v).into()),
        (Type::Int { .. }, Avro::Decimal(v)) => {
            let number = Decimal::from_be_bytes(&digits(v), 0).unwrap();
            Value::UInt(number.to_string().parse().unwrap())
        }
        (Type::Decimal { scale, .. }, Avro::Decimal(v)) => {
            Value::Decimal(Decimal::from_be_bytes(&digits(v), scale).unwrap())
        }
        (_, Avro::Float(v)) => Value::Float(*v),
        (_, Avro::Double(v)) => Value::Double(*v),
        (Type::Timestamp { .. }, Avro::String(v)) => {
            Value::Timestamp(crate::value::micros_from_iso(v).unwrap())
        }
        (Type::Json, Avro::String(v)) => Value::Json(normalize_json(v).unwrap().into()),
        (_, Avro::String(v) | Avro::Enum(_, v)) => Value::Text(v.clone().into()),
        (Type::Bit { .. }, Avro::Bytes(v)) => {
            Value::UInt(v.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte)))
        }
        (_, Avro::Bytes(v) | Avro::Fixed(_, v)) => Value::Bytes(v.clone().into()),
        (Type::DateTime { fsp: 3 }, Avro::Long(v)) => Value::DateTime(v * 1000),
        (Type::DateTime { .. }, Avro::Long(v)) => Value::DateTime(*v),
        (Type::Time { .. }, Avro::Long(v)) => Value::Time(*v),
        (Type::Date, Avro::Int(v)) => Value::Date(*v),
        (Type::Year, Avro::Int(v)) => Value::UInt(*v as u64),
        other => panic!("{other:?}"),
    }
}

/// The value of a record's field.
fn field<'a>(record: &'a Avro, name: &str) -> &'a Avro {
    match record {
        Avro::Record(fields) => &fields.iter().find(|(n, _)| n == name).unwrap().1,
        Avro::Union(_, inner) => field(inner, name),
        other => panic!("{other:?}"),
    }
}

fn framed(id: u8, body: Vec<u8>) -> Vec<u8> {
    [vec![0, 0, 0, 0, id], body].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn reads_what_the_reference_reads(seed: u64) {
        let mut random = StdRng::seed_from_u64(seed);
        let fields = random_fields(&mut random);
        let schema = envelope_schema(&mut random, &fields);
        let key_schema = json!({"type": "record", "name": "Key", "fields": [
            {"name": "k2", "type": "string"}, {"name": "k1", "type": "long"}]});
        // The columns held, declared in an order of their own.
        let mut held: Vec<&Field> = fields.iter().filter(|field| field.held).collect();
        held.shuffle(&mut random);
        let columns: Vec<(&str, Type)> =
            held.iter().map(|field| (field.name.as_str(), field.kind.ty.unwrap())).collect();
        let place = |name: &str| columns.iter().position(|(n, _)| *n == name).unwrap();
        let table = table("t", &columns, &[place("k1"), place("k2")]);
        let mut decoder = TableDecoder::new(ID, &table, "d");
        decoder.add_schema(Side::Value, 1, &schema.to_string()).unwrap();
        decoder.add_schema(Side::Key, 2, &key_schema.to_string()).unwrap();
        let writer = AvroSchema::parse(&schema).unwrap();
        let key_writer = AvroSchema::parse(&key_schema).unwrap();
        let encode = |schema: &AvroSchema, value: Avro| {
            GenericDatumWriter::builder(schema).build().unwrap().write_value_to_vec(value).unwrap()
        };

        for op in ["c", "u", "d", "u"] {
            let row = |random: &mut StdRng| {
                let value = |f: &Field| {
                    let present = f.null.is_none() || random.random_bool(0.7);
                    let value = present.then(|| (f.kind.write)(random));
                    (f.name.clone(), wrapped(f.null, value))
                };
                Avro::Record(fields.iter().map(value).collect())
            };
            let before = (op != "c").then(|| row(&mut random));
            let after = (op != "d").then(|| row(&mut random));
            let body = encode(&writer, envelope(&schema, before, after, op));
            let reader = GenericDatumReader::builder(&writer).build().unwrap();
            let read = reader.read_value(&mut body.as_slice()).unwrap();
            let image = field(&read, if op == "d" { "before" } else { "after" });
            let key = ["k2", "k1"].map(|name| (name.to_owned(), field(image, name).clone()));
            let key = framed(2, encode(&key_writer, Avro::Record(key.into())));
            let body = framed(1, body);

            let decoded = decoder.decode(Some(&key), Some(&body)).unwrap();
            prop_assert_eq!(decoded.committed_us, 1_725_297_662_123_456);
            let Content::Row { place, change: Change { table: ID, op: got } } = decoded.content
            else { panic!("{decoded:?}") };
            prop_assert_eq!((place.total_order, place.table_order, place.gtid.number), (300, 200, 9));
            match got {
                Op::Upsert(row) => for (at, (name, ty)) in columns.iter().enumerate() {
                    let want = meaning(*ty, field(image, name));
                    prop_assert_eq!(table.layout.value(row.as_bytes(), at), want, "{}", name);
                },
                Op::Delete(got) => {
                    let mut want = Key::new();
                    for &column in &table.key {
                        want.push(&meaning(columns[column].1, field(image, columns[column].0)));
                    }
                    prop_assert_eq!(got, want);
                }
                Op::Truncate => panic!("a truncate"),
            }
            // Cut anywhere it is an error, and with a byte more, too.
            let cut = random.random_range(0..body.len());
            prop_assert!(decoder.decode(Some(&key), Some(&body[..cut])).is_err());
            prop_assert!(decoder.decode(Some(&key), Some(&[&body[..], &[0]].concat())).is_err());
        }
    }
}

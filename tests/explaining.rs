//! `viewtide explain VIEW KEY` on the real services: the records that it names are those in Kafka, and
//! what it cannot know it says.

use std::net::TcpListener;
use std::time::Duration;

use mysql_async::prelude::Queryable as _;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use redis::Connection;
use serde_json::{Value, json};

use crate::support::deployment::{Deployment, PATIENCE};
use crate::support::events::push_event;
use crate::support::stack::{Stack, repository};
use viewtide::keyspace::Keyspace;

const ROWS: &str = "
INSERT INTO users (user_id, name, email, phone) VALUES (1, 'Ida Berg', 'ida@shop.example', '0301');
INSERT INTO addresses (address_id, user_id, street, city, country) VALUES
  (1, 1, '1 Elm Row', 'Nealview', 'Norway'), (2, 1, '2 Elm Row', 'Nealview', 'Norway');
INSERT INTO orders (order_id, user_id, total, order_status, updated_date) VALUES
  (7, 1, 25.50, 'Created', '2024-09-02 17:21:02'), (8, 1, 1.00, 'Created', '2024-09-02 17:21:02');
INSERT INTO order_items (id, order_id, name, quantity, price) VALUES
  (1, 7, 'Cotton Hat', 2, 10.25), (2, 7, 'Sleek Hat', 1, 5.00), (3, 8, 'Cap', 1, 1.00);
";

async fn filled_shop(purpose: &str) -> Deployment {
    let mut shop = Deployment::new(purpose, &repository().join("sql"), None).await;
    shop.execute(ROWS).await;
    for (order, status, at) in
        [(7, "cooked", 3), (8, "cooked", 9), (7, "preparing", 2), (8, "received", 1)]
    {
        let at = 1_900_000_000 + at;
        let event = json!({"id": 1, "order_id": order, "status": status, "updated_at": at});
        push_event(&shop, &event).await;
    }
    shop.capture();
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop
}

/// What `explain` tells as JSON: the document, its rows, the end.
pub(crate) fn explained(shop: &Deployment, arguments: &[&str]) -> (Value, Vec<Value>, Value) {
    let (code, text) = shop.told(&[&["explain", "--format", "json"], arguments].concat());
    assert_eq!(code, Some(0), "{text}");
    let mut lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let (end, document) = (lines.pop().unwrap(), lines.remove(0));
    assert_eq!((&document["type"], &end["type"]), (&json!("document"), &json!("end")), "{text}");
    (document, lines, end)
}

fn row<'r>(rows: &'r [Value], table: &str, key: &Value) -> &'r Value {
    let found = rows.iter().find(|row| row["table"] == table && row["key"] == *key);
    found.unwrap_or_else(|| panic!("no row {key} of {table} in {rows:?}"))
}

/// The records of a topic: partition, offset, key and value.
fn records(topic: &str) -> Vec<(i32, i64, Vec<u8>, Vec<u8>)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", Stack::shared().brokers())
        .set("group.id", "viewtide-tests")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
    let partitions = metadata.topics()[0].partitions();
    let mut all = TopicPartitionList::new();
    for partition in partitions {
        all.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
    }
    consumer.assign(&all).unwrap();
    let (mut records, mut ended) = (Vec::new(), 0);
    while ended < partitions.len() {
        match consumer.poll(PATIENCE).expect("the broker answers") {
            Ok(record) => {
                let bytes = |half: Option<&[u8]>| half.unwrap_or_default().to_vec();
                let (key, value) = (bytes(record.key()), bytes(record.payload()));
                records.push((record.partition(), record.offset(), key, value));
            }
            Err(KafkaError::PartitionEOF(_)) => ended += 1,
            Err(error) => panic!("{error}"),
        }
    }
    records
}

/// Runs a statement until nothing else was committed meanwhile: the GTID of its transaction.
async fn commit(shop: &Deployment, statement: impl Fn(u32) -> String) -> String {
    let mut mysql = shop.mysql().await;
    for attempt in 1..100 {
        let executed = "SELECT @@GLOBAL.gtid_executed";
        let before: String = mysql.query_first(executed).await.unwrap().unwrap();
        mysql.query_drop(statement(attempt)).await.unwrap();
        let new = format!("SELECT GTID_SUBTRACT(@@GLOBAL.gtid_executed, '{before}')");
        let new: String = mysql.query_first(new).await.unwrap().unwrap();
        if new.rsplit(':').next().is_some_and(|number| number.parse::<u64>().is_ok()) {
            mysql.disconnect().await.unwrap();
            return new;
        }
    }
    panic!("others commit all the time");
}

fn redis_of(shop: &Deployment) -> (Connection, String) {
    let url = format!("redis://127.0.0.1:{}", Stack::shared().port("REDIS_PORT"));
    let connection = redis::Client::open(url).unwrap().get_connection().unwrap();
    (connection, Keyspace::new(&shop.name).steps())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_record_of_every_row_is_named() {
    let mut shop = filled_shop("explained").await;
    let gtid =
        commit(&shop, |n| format!("UPDATE orders SET total = 100 + {n} WHERE order_id = 7")).await;
    // What comes later in the same topic is of other rows, and more than is searched at once.
    let others: Vec<String> = (1001..=2500).map(|id| format!("({id}, 1, 1.00)")).collect();
    let others = others.join(", ");
    shop.execute(&format!("INSERT INTO orders (order_id, user_id, total) VALUES {others}")).await;
    shop.eventually("/order_details_mv/2500", |status, _| status == 200).await;

    let (document, rows, end) = explained(&shop, &["order_details_mv", "7"]);
    let want = json!({
        "type": "document", "pipeline": shop.name, "version": 1, "view": "order_details_mv",
        "key": ["7"], "from_rows": true, "unread": [],
    });
    assert_eq!(document, want);
    assert_eq!(end, json!({"type": "end", "rows": 8, "cut": []}));

    let order = row(&rows, "orders", &json!(["7"]));
    let topic = shop.table_topic("orders");
    // Avro writes an INT of 7 as one byte of 14, behind a zero byte and the schema's number.
    let of_seven =
        |(_, _, key, value): &&(_, _, Vec<u8>, Vec<u8>)| key[5..] == [14] && !value.is_empty();
    let all = records(&topic);
    let (partition, offset, ..) = all.iter().rfind(of_seven).unwrap();
    assert!(*offset < all.last().unwrap().1);
    let record = &order["record"];
    assert_eq!(
        (&record["topic"], &record["partition"], &record["offset"], &record["op"], &record["gtid"]),
        (&json!(topic), &json!(partition), &json!(offset), &json!("u"), &json!(gtid))
    );
    assert!(record["file"].as_str().unwrap().contains('.') && record["position"].is_u64());
    let time = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let visible = &order["visible"];
    assert_eq!(visible["state"], "at", "{order}");
    // One machine, one clock; Redis' own counts in whole milliseconds.
    let took = time(&visible["time"]).duration_since(time(&record["committed"]));
    assert!(took.as_micros() > -1000 && took < PATIENCE.try_into().unwrap(), "{order}");
    assert!((visible["after_ms"].as_f64().unwrap() - took.as_secs_f64() * 1000.0).abs() < 0.01);

    // What a snapshot read has no commit, and was shown once the view was filled.
    let user = row(&rows, "users", &json!(["1"]));
    assert_eq!((&user["record"]["op"], &user["record"]["committed"]), (&json!("r"), &Value::Null));
    assert!(time(&user["record"]["read"]) <= time(&user["visible"]["time"]), "{user}");
    assert!(["at", "by"].contains(&user["visible"]["state"].as_str().unwrap()), "{user}");
    for item in ["1", "2"] {
        assert_eq!(row(&rows, "order_items", &json!([item]))["matters"], true);
    }
    for (address, matters) in [("1", false), ("2", true)] {
        assert_eq!(row(&rows, "addresses", &json!([address]))["matters"], matters);
    }

    // An event's row is named by its place.
    for (partition, offset, _, value) in records(&shop.event_topic()) {
        let event: Value = serde_json::from_slice(&value).unwrap();
        let key = json!([partition.to_string(), offset.to_string()]);
        if event["order_id"] != 7 {
            assert!(!rows.iter().any(|row| row["key"] == key), "{rows:?}");
            continue;
        }
        let row = row(&rows, "order_updates", &key);
        assert_eq!(row["matters"], event["status"] == "cooked");
        let record = &row["record"];
        assert_eq!(
            (&record["topic"], &record["partition"], &record["offset"], &record["op"]),
            (&json!(shop.event_topic()), &json!(partition), &json!(offset), &Value::Null)
        );
        assert!(record["written"].is_string(), "{row}");
    }

    // The same for people, asked for on another machine.
    let (code, text) = shop.twin().told(&["explain", "order_details_mv", "7"]);
    assert_eq!(code, Some(0), "{text}");
    for want in [
        "order_details_mv/7: the document is what these rows of MySQL's make\n".to_owned(),
        format!("│   7  update, {topic}:{partition}:{offset}\n"),
        format!("transaction {gtid}, "),
        format!("1  read by a snapshot, {}:0:0; without it the", shop.table_topic("addresses")),
        "; without it the document would be the same\n".to_owned(),
        " ms after\n".to_owned(),
    ] {
        assert!(text.contains(&want), "no `{want}` in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_known_is_said() {
    let mut shop = filled_shop("unexplained").await;
    for (key, code, want) in [
        ("9", 1, "view order_details_mv has no document 9; whether it should, `viewtide verify"),
        ("7,8", 2, "a key of view order_details_mv is order_id: percent-encoded"),
        ("x", 2, "`x` is no value of key column 1; a key of view order_details_mv is order_id"),
    ] {
        let (found, text) = shop.told(&["explain", "order_details_mv", key]);
        assert!(found == Some(code) && text.contains(want), "{found:?} {text}");
    }

    let order = |arguments: &[&str]| {
        let (document, rows, _) = explained(&shop, &[arguments, &["orders", "7"]].concat());
        (document, rows[0].clone())
    };
    let topic = shop.table_topic("orders");
    let (_, found) = order(&[]);
    assert_eq!((&found["record"]["offset"], &found["missing"]), (&json!(0), &Value::Null));
    // The last record is order 8's.
    let (_, found) = order(&["--search", "1"]);
    let missing =
        json!({"reason": "not_searched", "topic": topic, "partition": 0, "from_offset": 1});
    assert_eq!((&found["record"], &found["missing"]), (&Value::Null, &missing));

    // Nor are all events of the document looked at.
    let (document, rows, _) = explained(&shop, &["--search", "1", "order_details_mv", "7"]);
    let unread = document["unread"].as_array().unwrap();
    assert_eq!((&document["from_rows"], unread.is_empty()), (&Value::Null, false), "{document}");
    assert!(rows.iter().all(|row| row["matters"].is_null()), "{rows:?}");

    // Redis keeps no step of that time any more.
    let (mut redis, steps) = redis_of(&shop);
    let kept: u64 = redis::cmd("XTRIM").arg(&steps).arg("MAXLEN").arg(0).query(&mut redis).unwrap();
    assert!(kept > 0);
    let (_, found) = order(&[]);
    assert_eq!(found["visible"], json!({"state": "earlier", "time": null, "after_ms": null}));

    // A change that is in the topic, and not applied.
    shop.kill();
    shop.execute("UPDATE orders SET total = 3 WHERE order_id = 7").await;
    while records(&topic).len() < 3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (document, rows, _) = explained(&shop, &["orders", "7"]);
    assert_eq!((&document["from_rows"], &rows[0]["record"]["op"]), (&json!(false), &json!("u")));
    let waiting = json!({"state": "not_applied", "time": null, "after_ms": null});
    assert_eq!(rows[0]["visible"], waiting);
    shop.start();
    shop.eventually("/orders/7", |_, order| order["total"] == "3.00").await;
    let (document, rows, _) = explained(&shop, &["orders", "7"]);
    assert_eq!(
        (&document["from_rows"], &rows[0]["visible"]["state"]),
        (&json!(true), &json!("at"))
    );

    let end = records(&topic).last().unwrap().1 + 1;
    delete_records_before(&topic, end).await;
    let (document, rows, _) = explained(&shop, &["orders", "7"]);
    let missing = json!({"reason": "gone", "topic": topic, "partition": 0, "from_offset": end});
    assert_eq!((&rows[0]["record"], &rows[0]["missing"]), (&Value::Null, &missing));
    assert_eq!(document["from_rows"], true);

    // More than a MiB of events: as much as may be held is looked at, and that is said.
    let padding = "x".repeat(100 << 10);
    for id in 0..40 {
        let event =
            json!({"id": id, "order_id": 8, "status": "late", "updated_at": 1, "note": padding});
        push_event(&shop, &event).await;
    }
    shop.set("VIEWTIDE_LIMITS_QUEUE_BYTES_MAX", "1048576");
    let (document, ..) = explained(&shop, &["order_details_mv", "7"]);
    let mut unread = document["unread"].as_array().unwrap().iter();
    assert!(unread.any(|of| of["bound"] == "bytes"), "{document}");
    let (_, text) = shop.told(&["explain", "order_details_mv", "7"]);
    assert!(text.contains("a higher limits.queue_bytes_max looks further back"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_errors_and_keys_of_all_kinds_are_explained() {
    let mut ledger =
        Deployment::new("explained", &repository().join("tests/fixtures/ledger"), None).await;
    let totals = "CREATE VIEW totals AS SELECT owner, COUNT(*) AS accounts, SUM(credit) AS credit \
                  FROM accounts GROUP BY owner;";
    ledger.redefine("totals", Some(totals));
    for number in 0..4 {
        let event =
            json!({"tag": 18 + number % 2, "note": "n", "sum": 0.5, "at": 1_725_290_973_123u64});
        push_event(&ledger, &event).await;
    }
    ledger
        .execute(
            "INSERT INTO owners VALUES (1, 18, 'Ada', 1.2345678);\n\
             INSERT INTO accounts VALUES ('{a}', 1, 1, 9, 4), ('{a}', 2, 1, 3, 3), ('', 7, NULL, 5, 0)",
        )
        .await;
    ledger.capture();
    ledger.start();
    ledger.eventually("/readyz", |status, _| status == 200).await;

    let whole = |arguments: &[&str]| {
        let (document, rows, _) = explained(&ledger, arguments);
        assert_eq!(document["from_rows"], true, "{document} {rows:?}");
        assert!(
            rows.iter().all(|row| !row["record"].is_null() && row["matters"] == true),
            "{rows:?}"
        );
        let row = |row: &Value| format!("{} {}", row["table"], row["key"]);
        let rows: Vec<String> = rows.iter().map(row).collect();
        (document, rows)
    };
    // A text key, a FLOAT that text does not tell, events over another table's column.
    let (document, rows) = whole(&["balances", "%7Ba%7D,1"]);
    assert_eq!(document["key"], json!(["{a}", "1"]));
    assert_eq!(rows[..2], [r#""accounts" ["{a}","1"]"#, r#""owners" ["1"]"#]);
    assert_eq!(rows.iter().filter(|row| row.starts_with("\"pings\"")).count(), 2, "{rows:?}");
    // The rows of a group, and of that of NULL.
    assert_eq!(
        whole(&["totals", "1"]).1,
        [r#""accounts" ["{a}","1"]"#, r#""accounts" ["{a}","2"]"#]
    );
    assert_eq!(whole(&["totals", "~"]).1, [r#""accounts" ["","7"]"#]);
    let (code, text) = ledger.told(&["explain", "totals", "~"]);
    assert!(code == Some(0) && text.contains("accounts: a group\n"), "{text}");
    // MySQL raises 1690 for this row.
    ledger.execute("UPDATE accounts SET debit = 10 WHERE code = 1").await;
    ledger.eventually("/balances/%7Ba%7D,1", |status, _| status == 422).await;
    let (document, rows, _) = explained(&ledger, &["balances", "%7Ba%7D,1"]);
    let account = row(&rows, "accounts", &json!(["{a}", "1"]));
    assert_eq!(
        (&document["from_rows"], &account["record"]["op"], &account["matters"]),
        (&json!(true), &json!("u"), &json!(true))
    );

    // Who does not answer is named.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (variable, value, want) in [
        ("VIEWTIDE_MYSQL_PORT", nobody.port().to_string(), format!("mysql: {nobody}: ")),
        ("VIEWTIDE_KAFKA_BROKERS", nobody.to_string(), format!("kafka at {nobody}: ")),
        (
            "VIEWTIDE_REGISTRY_URL",
            format!("http://me:secret@{nobody}"),
            format!("registry: http://me:***@{nobody} "),
        ),
        ("VIEWTIDE_REDIS_URL", format!("redis://{nobody}"), format!("redis at {nobody}: ")),
    ] {
        let mut command = ledger.command(&["explain", "balances", ",7"]);
        let output = command.env(variable, value).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.code() == Some(1) && text.contains(&want), "no {want} in {text}");
        assert!(!text.contains("secret") && !text.contains("debezium"), "{text}");
    }
}

async fn delete_records_before(topic: &str, offset: i64) {
    let client = ClientConfig::new().set("bootstrap.servers", Stack::shared().brokers()).create();
    let client: AdminClient<DefaultClientContext> = client.unwrap();
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(topic, 0, Offset::Offset(offset)).unwrap();
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    client.delete_records(&before, &options).await.unwrap();
}

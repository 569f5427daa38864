//! Debezium's records in JSON instead of Avro: the same documents.

use serde_json::json;

use crate::explaining::explained;
use crate::schemas::every_type_is_exact;
use crate::support::deployment::Deployment;
use crate::support::events::push_event;
use crate::support::stack::repository;

/// Converters of Kafka Connect's own.
const JSON: [&str; 2] = [
    "key.converter=org.apache.kafka.connect.json.JsonConverter",
    "value.converter=org.apache.kafka.connect.json.JsonConverter",
];
const SCHEMAS: [&str; 2] =
    ["key.converter.schemas.enable=true", "value.converter.schemas.enable=true"];
const NO_SCHEMAS: [&str; 3] = [
    "key.converter.schemas.enable=false",
    "value.converter.schemas.enable=false",
    "decimal.handling.mode=string",
];

async fn deployment(fixture: &str, format: &str) -> Deployment {
    let folder = repository().join("tests/fixtures").join(fixture);
    let mut deployment = Deployment::new(fixture, &folder, None).await;
    deployment.set("VIEWTIDE_SOURCE_FORMAT", format);
    deployment
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_is_exact_with_schemas() {
    let types = deployment("types", "json").await;
    every_type_is_exact(types, &[&JSON[..], &SCHEMAS].concat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_of_what_needs_no_schema_is_maintained_without() {
    let mut ledger = deployment("ledger", "json_without_schemas").await;
    ledger
        .execute(
            "INSERT INTO owners VALUES (1, 18, 'Ada', 1.2345678), (2, 19, NULL, NULL);\n\
             INSERT INTO accounts VALUES ('{a}', 1, 1, 9, 4), ('{a}', 2, 2, 3, 3)",
        )
        .await;
    ledger.capture_with(&[&JSON[..], &NO_SCHEMAS].concat());
    ledger.start();
    ledger.eventually("/readyz", |status, _| status == 200).await;
    let document = ledger.eventually("/balances/%7Ba%7D,1", |status, _| status == 200).await;
    assert_eq!((&document["balance"], &document["name"]), (&json!(5), &json!("Ada")));
    push_event(&ledger, &json!({"tag": 18, "note": "n", "sum": 0.5, "at": 1_725_290_973_123u64}))
        .await;
    ledger.eventually("/balances/%7Ba%7D,1", |_, body| !body["pings"].is_null()).await;
    ledger.execute("UPDATE owners SET id = 3 WHERE id = 1").await;
    ledger.eventually("/balances/%7Ba%7D,1", |_, body| body["name"].is_null()).await;
    ledger.execute("DELETE FROM accounts WHERE code = 2").await;
    ledger.eventually("/balances/%7Ba%7D,2", |status, _| status == 404).await;
    ledger.assert_verified();
    // What tells of snapshots and of statements is read, too.
    let (code, text) = ledger.told(&["resnapshot", "accounts"]);
    assert_eq!(code, Some(0), "{text}");
    ledger.execute("ALTER TABLE owners MODIFY rating FLOAT COMMENT 'of five'").await;
    ledger.execute("INSERT INTO accounts VALUES ('b', 1, 3, 7, 2)").await;
    ledger.eventually("/balances/b,1", |_, body| body["name"] == "Ada").await;
    let (document, rows, _) = explained(&ledger, &["balances", "b,1"]);
    let record = &rows[0]["record"];
    assert_eq!((&document["from_rows"], &record["op"]), (&json!(true), &json!("c")), "{rows:?}");
    assert!(record["gtid"].is_string() && record["position"].is_u64(), "{record}");
    ledger.assert_verified();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_json_does_not_carry_without_schemas_stops_the_start() {
    let mut types = deployment("types", "json_without_schemas").await;
    let want = "column `counted` of table `things` is declared DECIMAL(40,0), of which JSON \
                without schemas does not tell what it means";
    let (code, text) = types.told(&["check"]);
    assert!(code == Some(1) && text.contains(want), "{text}");
    types.capture_with(&[&JSON[..], &NO_SCHEMAS].concat());
    types.start();
    let log = types.ends_by_itself().await;
    assert!(log.contains(want), "{log}");
}

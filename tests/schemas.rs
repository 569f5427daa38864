//! Other schemas through the same binary: nothing in it knows the shop.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::explaining::explained;
use crate::support::deployment::Deployment;
use crate::support::stack::repository;

fn fixture(name: &str) -> PathBuf {
    repository().join("tests/fixtures").join(name)
}

const CLINIC: &str = "
INSERT INTO wards VALUES ('A/1,x', 'Heart', 12), ('{b}:c', 'Lung', 8);
INSERT INTO patients VALUES (18446744073709551615, 'Ada Lind', '1990-02-28'), (7, 'Bo Ek', NULL);
INSERT INTO stays VALUES (18446744073709551615, '2026-01-05', 'A/1,x', NULL), (7, '2026-01-06', NULL, 'x');
INSERT INTO doses (id, patient, admitted, milligrams, given) VALUES
  (1, 18446744073709551615, '2026-01-05', 0.125, '2026-01-05 08:00:00.500'),
  (2, 18446744073709551615, '2026-01-05', 250, '2026-01-05 09:00:00');
";

#[tokio::test(flavor = "multi_thread")]
async fn text_and_composite_keys() {
    let mut clinic = Deployment::new("clinic", &fixture("clinic"), None).await;
    clinic.execute(CLINIC).await;
    clinic.capture();
    clinic.start();
    clinic.eventually("/readyz", |status, _| status == 200).await;
    let path = "/stay_sheets/18446744073709551615,2026-01-05";
    let sheet = clinic.eventually(path, |status, _| status == 200).await;
    assert_eq!(
        sheet,
        json!({
            "patient": 18446744073709551615u64, "admitted": "2026-01-05", "name": "Ada Lind",
            "born": "1990-02-28", "ward_title": "Heart", "note": null, "doses": 2,
            "milligrams": "250.125", "last_given": "2026-01-05T09:00:00.000",
        })
    );
    let list = clinic.get("/ward_lists/A%2F1%2Cx").await.1;
    assert_eq!(list["patients"][0]["doses"].to_string(), "[0.125,250.000]");

    clinic.execute("UPDATE stays SET ward = '{b}:c' WHERE patient = 7").await;
    clinic
        .eventually("/ward_lists/%7Bb%7D%3Ac", |_, body| body["patients"][0]["name"] == "Bo Ek")
        .await;
    clinic.execute("DELETE FROM doses WHERE id = 2").await;
    clinic.eventually(path, |_, body| body["milligrams"] == "0.125").await;
    clinic.execute("UPDATE stays SET admitted = '2026-02-01' WHERE patient = 7").await;
    clinic.eventually("/stay_sheets/7,2026-01-06", |status, _| status == 404).await;
    let moved = clinic.eventually("/stay_sheets/7,2026-02-01", |status, _| status == 200).await;
    assert_eq!((&moved["doses"], &moved["milligrams"]), (&json!(0), &Value::Null));
    let lung = clinic.get("/stay_sheets?ward_title=Lung").await.1;
    assert_eq!(lung.as_array().map(Vec::len), Some(1));
    clinic.assert_verified();
}

/// The extremes of every type, then nothing at all; `{id}` is the key.
const THINGS: &str = r#"
INSERT INTO things VALUES ({id}, -128, 255, 1, -32768, 16777215, 4294967295, -9223372036854775808,
  18446744073709551615, -0.05, -12345678901234567890123456789012345.012345678901234567890123456789,
  9999999999999999999999999999999999999999, 1.5, -0.1, b'101010101010', b'1', 'ab', 'é "x" </script> 🙂',
  REPEAT('long ', 5000), 'large', 'a,c', x'00ff10', x'000102', '9999-12-31', '-838:59:59',
  '12:00:00.000001', '1000-01-01 00:00:00', '9999-12-31 23:59:59.999', '2038-01-19 03:14:07',
  '1970-01-01 00:00:01.000001', 2155, '{"bb": [1, 2.5, null, true], "a": {"z": "é"}}',
  NULL, NULL, NULL);
INSERT INTO things (id) VALUES ({id} + 1);
INSERT INTO things (id, precise, ratio, clock, doc) VALUES ({id} + 2, 1e300, 1e-7, '100:00:00', '[]');
"#;

#[tokio::test(flavor = "multi_thread")]
async fn every_type_is_exact_by_snapshot_and_by_binlog() {
    let types = Deployment::new("types", &fixture("types"), None).await;
    every_type_is_exact(types, &[]).await;
}

/// Captures every type, with further settings of the connector.
pub(crate) async fn every_type_is_exact(mut types: Deployment, connector: &[&str]) {
    types.execute(&THINGS.replace("{id}", "10")).await;
    types.capture_with(connector);
    types.start();
    types.eventually("/readyz", |status, _| status == 200).await;
    types.eventually("/things/12", |status, _| status == 200).await;
    types.execute(&THINGS.replace("{id}", "20")).await;
    types.eventually("/things/22", |status, _| status == 200).await;
    for id in [10, 11, 12] {
        let mut by_snapshot = types.get(&format!("/things/{id}")).await.1;
        let by_binlog = types.get(&format!("/things/{}", id + 10)).await.1;
        by_snapshot["id"] = by_binlog["id"].clone();
        assert_eq!(by_snapshot, by_binlog);
    }
    let full = types.get("/things/20").await.1;
    for (column, expected) in [
        ("flag", json!(1)),
        ("big_u", json!(18446744073709551615u64)),
        ("money", json!("-0.05")),
        ("counted", json!("9999999999999999999999999999999999999999")),
        ("bits", json!(0b1010_1010_1010)),
        ("one_bit", json!(1)),
        ("fixed_text", json!("ab")),
        ("marks", json!("a,c")),
        ("raw", json!("AP8Q")),
        ("clock", json!("-838:59:59")),
        ("wall", json!("1000-01-01T00:00:00")),
        ("instant_us", json!("1970-01-01T00:00:01.000001Z")),
        ("in_year", json!(2155)),
        // NULL where the column has a default.
        ("number_or_one", json!(null)),
        ("text_or_x", json!(null)),
        ("money_or_some", json!(null)),
    ] {
        assert_eq!(full[column], expected, "{column}");
    }
    // What MySQL says of each value makes the same document, whatever the format of its record.
    for (id, op) in [("10", "r"), ("20", "c")] {
        let (document, rows, _) = explained(&types, &["things", id]);
        assert_eq!((&document["from_rows"], rows.len()), (&json!(true), 1), "{id}");
        assert_eq!((&rows[0]["record"]["op"], &rows[0]["matters"]), (&json!(op), &json!(true)));
    }
    types.assert_verified();
}

//! Views grouped by what is computed, on the real services: rows and events, defined while the process
//! runs, after a restart, and as `verify` and `explain` find their groups.

use serde_json::json;

use crate::explaining::explained;
use crate::support::deployment::Deployment;
use crate::support::events::push_event;
use crate::support::stack::repository;

const ROWS: &str = "
INSERT INTO owners VALUES (1, 18, 'Ada', 1.2345678);
INSERT INTO accounts VALUES ('a', 1, 1, 9, 4), ('a', 2, 1, 3, 3), ('b', 7, 2, 5, 0), ('b', 8, NULL, 12, 0);
";

const SPREADS: &str = "CREATE VIEW spreads AS
SELECT a.credit DIV 4 AS fours, CASE WHEN a.debit > 0 THEN 'used' END AS state, COUNT(*) AS n, SUM(a.credit) AS credit
FROM accounts AS a GROUP BY a.credit DIV 4, state;";

const MINUTES: &str = "CREATE VIEW minutes AS
SELECT DATE_FORMAT(p.`at`, '%Y-%m-%dT%H:%i') AS minute, COUNT(*) AS n, SUM(p.sum) AS sum
FROM pings AS p GROUP BY minute;";

async fn ledger(purpose: &str) -> Deployment {
    let mut ledger =
        Deployment::new(purpose, &repository().join("tests/fixtures/ledger"), None).await;
    ledger.execute(ROWS).await;
    for number in 0..9u64 {
        let at = 1_725_290_973_123 + number * 20_000;
        let event = json!({"tag": 18, "note": "n", "sum": number, "at": at});
        push_event(&ledger, &event).await;
    }
    ledger.capture();
    ledger.start();
    ledger.eventually("/readyz", |status, _| status == 200).await;
    ledger
}

fn told(ledger: &Deployment, arguments: &[&str]) -> String {
    let (code, text) = ledger.told(arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_what_is_computed_are_followed_and_verified() {
    let mut ledger = ledger("computed_groups").await;
    ledger.redefine("spreads", Some(SPREADS));
    ledger.redefine("minutes", Some(MINUTES));
    ledger.signal("-HUP");
    ledger.eventually("/spreads/2,used", |_, group| group["n"] == 1).await;
    ledger.eventually("/minutes/2024-09-02T15:30", |_, group| group["n"] == 3).await;
    ledger.eventually("/readyz", |status, _| status == 200).await;

    // A row of the same group as before, one that ends a group, and one that begins one.
    ledger.execute("UPDATE accounts SET credit = 10 WHERE code = 1").await;
    ledger.execute("UPDATE accounts SET debit = 1, credit = 7 WHERE code = 7").await;
    ledger.eventually("/spreads/1,used", |_, group| group["credit"] == "7").await;
    ledger.eventually("/spreads/2,used", |_, group| group["credit"] == "10").await;
    assert_eq!(ledger.get("/spreads/1,~").await.0, 404);
    ledger.assert_verified();

    let text = told(&ledger, &["verify", "--view", "spreads"]);
    assert!(text.starts_with("spreads: 4 documents, 0 missing, 0 extra, 0 different\n"), "{text}");
    let text = told(&ledger, &["verify", "--view", "minutes"]);
    assert!(text.starts_with("minutes: 4 documents, 0 missing, 0 extra, 0 different\n"), "{text}");
    let text = told(&ledger, &["verify", "--view", "spreads", "--keys", "2,used,3,~,9,~"]);
    assert!(text.contains("0 missing, 0 extra, 0 different\n"), "{text}");
    told(&ledger, &["verify", "--sample", "3", "--seed", "5"]);

    let text = told(&ledger, &["explain", "spreads"]);
    for want in [
        "its group by credit DIV 4, CASE WHEN debit > 0 THEN 'used' END",
        "by index credit DIV 4 = that of a AND CASE",
        "accounts AS a  1 document  credit, debit",
    ] {
        assert!(text.contains(want), "no `{want}` in\n{text}");
    }
    let (document, rows, _) = explained(&ledger, &["spreads", "2,used"]);
    assert_eq!(document["key"], json!(["2", "used"]), "{document}");
    let of_group: Vec<_> = rows.iter().filter(|row| row["table"] == "accounts").collect();
    assert!(of_group.iter().any(|row| row["key"] == json!(["a", "1"])), "{rows:?}");
    explained(&ledger, &["minutes", "2024-09-02T15:30"]);

    // The checkpoint holds the rows as they came.
    ledger.kill();
    ledger.start();
    ledger.eventually("/readyz", |status, _| status == 200).await;
    ledger.execute("DELETE FROM accounts WHERE code = 8").await;
    ledger.eventually("/spreads/3,~", |status, _| status == 404).await;
    ledger.assert_verified();

    // To other groups of the same table, and to none.
    ledger.redefine("spreads", Some(&SPREADS.replace("DIV 4", "DIV 5").replace("> 0", "> 3")));
    ledger.redefine("minutes", None);
    ledger.signal("-HUP");
    ledger.eventually("/minutes/2024-09-02T15:30", |status, _| status == 404).await;
    // A group of these alone: until they are filled readers see the others.
    ledger.eventually("/spreads/1,~", |_, group| group["credit"] == "7").await;
    ledger.eventually("/readyz", |status, _| status == 200).await;
    ledger.assert_verified();
    ledger.redefine("spreads", None);
    ledger.signal("-HUP");
    ledger.eventually("/spreads/2,used", |status, _| status == 404).await;
    ledger.execute("UPDATE accounts SET credit = 11 WHERE code = 1").await;
    ledger.eventually("/balances/a,1", |_, account| account["balance"] == 7).await;
    ledger.assert_verified();
}

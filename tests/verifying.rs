//! `viewtide verify` and `viewtide check` on the real services: what is right is called right, and
//! what is wrong is found, and mended where that is asked for.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use mysql_async::prelude::Queryable as _;
use redis::Connection;
use serde_json::json;

use crate::support::deployment::Deployment;
use crate::support::events::push_event;
use crate::support::http;
use crate::support::plan::key;
use crate::support::stack::{Stack, repository};
use viewtide::keyspace::{Keyspace, ViewFields, ViewKeys};
use viewtide::value::{Key, Value};

const ROWS: &str = "
INSERT INTO owners VALUES (1, 18, 'Ada', 1.2345678), (2, 19, NULL, NULL);
INSERT INTO accounts VALUES ('{a}', 1, 1, 9, 4), ('{a}', 2, 1, 3, 3), ('', 7, 2, 5, 0), ('é''\\\\', -1, NULL, 1, 0);
";

fn ledger() -> PathBuf {
    repository().join("tests/fixtures/ledger")
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn verify(deployment: &Deployment, arguments: &[&str]) -> (Option<i32>, String) {
    let output = deployment.command(&[&["verify"], arguments].concat()).output().unwrap();
    (output.status.code(), printed(&output))
}

async fn filled_ledger() -> Deployment {
    let mut ledger = Deployment::new("ledger", &ledger(), None).await;
    for number in 0..30u32 {
        let event = json!({
            "tag": 17 + number % 3, "note": format!("it's \"{number}\""), "sum": 0.1234 + f64::from(number),
            "at": 1_725_290_973_123u64 + u64::from(number),
        });
        push_event(&ledger, &event).await;
    }
    ledger.execute(ROWS).await;
    ledger.capture();
    ledger.start();
    ledger.eventually("/readyz", |status, _| status == 200).await;
    ledger
}

#[tokio::test(flavor = "multi_thread")]
async fn events_and_errors_are_compared_too() {
    let mut ledger = filled_ledger().await;
    let document = ledger.get("/balances/%7Ba%7D,1").await.1;
    assert_eq!(document["pings"].as_array().map(Vec::len), Some(10), "{document}");
    ledger.assert_verified();

    // MySQL raises 1690 for this row, and answers for all others.
    ledger.execute("UPDATE accounts SET debit = 10 WHERE code = 1").await;
    ledger.eventually("/balances/%7Ba%7D,1", |status, _| status == 422).await;
    let (code, text) = verify(&ledger, &["--view", "balances"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("balances: 4 documents, 0 missing, 0 extra, 0 different\n"), "{text}");
    assert!(!text.contains("pings: "), "{text}");
    let (_, text) = verify(&ledger, &["--view", "pings"]);
    assert!(text.starts_with("pings: 30 documents, 0 missing, 0 extra, 0 different\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tampering_is_found() {
    let ledger = filled_ledger().await;
    let mut redis = connection();
    let balances = keys_of(&ledger, "balances");
    remove(&mut redis, &balances, &account("", 7));
    put(&mut redis, &balances, &account("zz", 1), "{}");
    let stored = get(&mut redis, &balances, &account("{a}", 2));
    put(&mut redis, &balances, &account("{a}", 2), &stored.replace("10.1234", "10.12340001"));
    let stored = get(&mut redis, &balances, &account("é'\\", -1));
    put(
        &mut redis,
        &balances,
        &account("é'\\", -1),
        &stored.replace("\"balance\":1", "\"balance\":2"),
    );
    let place = |partition, offset| key(&[Value::Int(partition), Value::Int(offset)]);
    remove(&mut redis, &keys_of(&ledger, "pings"), &place(0, 3));

    let (code, text) = verify(&ledger, &[]);
    assert_eq!(code, Some(1), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "balances: 4 documents, 1 missing, 1 extra, 2 different", "{text}");
    for want in [
        "  balances/,7 missing: MySQL has this row, Redis no document",
        "  balances/zz,1 extra: Redis has this document, MySQL no row",
        "  balances/é'\\,-1 different: column balance: MySQL has 1, the document 2",
        "pings: 29 documents, 1 missing, 0 extra, 0 different",
        "  pings/0,3 missing: MySQL has this row, Redis no document",
        "total: 33 documents, 2 missing, 1 extra, 2 different",
    ] {
        assert!(lines.contains(&want), "no `{want}` in\n{text}");
    }
    let differs = "  balances/{a},2 different: column pings: MySQL has [";
    assert!(lines.iter().any(|line| line.starts_with(differs)), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_in_redis_is_written_again_by_the_pipeline() {
    let mut ledger = filled_ledger().await;
    let mut redis = connection();
    let balances = keys_of(&ledger, "balances");
    remove(&mut redis, &balances, &account("", 7));
    put(&mut redis, &balances, &account("zz", 1), "{}");
    let stored = get(&mut redis, &balances, &account("{a}", 2));
    put(&mut redis, &balances, &account("{a}", 2), &stored.replace("10.1234", "10.9"));

    let (code, text) = verify(&ledger, &["--repair"]);
    assert_eq!(code, Some(0), "{text}");
    for want in [
        "balances: 4 documents, 1 missing, 1 extra, 1 different, 3 repaired",
        "  balances/zz,1 extra: Redis has this document, MySQL no row; repaired",
        "pings: 30 documents, 0 missing, 0 extra, 0 different",
    ] {
        assert!(text.lines().any(|line| line == want), "no `{want}` in\n{text}");
    }
    assert_eq!(get(&mut redis, &balances, &account("{a}", 2)), stored);
    assert_eq!(ledger.get("/balances/,7").await.0, 200);
    assert_eq!(ledger.get("/balances/zz,1").await.0, 404);
    ledger.assert_verified();

    // A change that no event tells of: the pipeline's own row is wrong.
    let unlogged = "SET sql_log_bin = 0;\nUPDATE owners SET name = 'Eva' WHERE id = 1";
    ledger.execute(unlogged).await;
    let (code, text) = verify(&ledger, &["--repair", "--view", "balances"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("4 documents, 0 missing, 0 extra, 2 different\n"), "{text}");
    assert!(text.contains("\n  2 still differ: "), "{text}");
    assert!(text.contains("`viewtide resnapshot accounts owners`"), "{text}");
    let (code, text) = ledger.told(&["resnapshot", "accounts", "owners"]);
    assert_eq!(code, Some(0), "{text}");
    ledger.eventually("/balances/%7Ba%7D,1", |_, document| document["name"] == "Eva").await;
    ledger.assert_verified();
}

/// Another generation takes the place of the one that is compared: its documents are gone, not wrong.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_replaced_while_it_was_compared_is_not_mended() {
    const WAITING: &str = "SELECT COUNT(*) FROM information_schema.processlist
        WHERE db = DATABASE() AND state = 'Waiting for table metadata lock'";
    let ledger = filled_ledger().await;
    let (mut mysql, mut looking) = (ledger.mysql().await, ledger.mysql().await);
    mysql.query_drop("LOCK TABLES accounts WRITE").await.unwrap();
    let mut verifying = ledger.command(&["verify", "--repair", "--view", "balances"]);
    let verifying = verifying.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while looking.query_first::<u64, _>(WAITING).await.unwrap() == Some(0) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (mut redis, keyspace) = (connection(), Keyspace::new(&ledger.name));
    let field = ViewFields::new("balances").current;
    let ask = redis::cmd("HGET").arg(keyspace.meta()).arg(&field).query(&mut redis);
    let (before, mut renewed) = (keys_of(&ledger, "balances"), redis::pipe());
    let told: String = ask.unwrap();
    let after = keyspace.view("balances", 2);
    renewed.atomic().rename(&before.docs, &after.docs).rename(&before.keys, &after.keys);
    renewed.hset(keyspace.meta(), &field, told.replacen("1 ", "2 ", 1));
    renewed.exec(&mut redis).unwrap();
    mysql.query_drop("UNLOCK TABLES").await.unwrap();

    let output = verifying.wait_with_output().unwrap();
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("balances: 4 documents, 0 missing, 0 extra, 0 different"), "{text}");
    let metrics = http::get(&ledger.address(), "/metrics").await.body;
    let metrics = String::from_utf8(metrics).unwrap();
    assert!(!metrics.contains("command=\"republish\""), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn some_documents_are_compared_and_told_as_json() {
    let ledger = filled_ledger().await;
    let mut redis = connection();
    remove(&mut redis, &keys_of(&ledger, "balances"), &account("", 7));
    let told = |arguments: &[&str]| {
        let (code, text) = verify(&ledger, &[arguments, &["--format", "json"]].concat());
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        (code, lines)
    };
    // The second key: a comma in the text of a column is written as in an address.
    let given = ["--view", "balances", "--keys", "%7Ba%7D,1,x%2Cy,-5"];
    let (code, lines) = told(&given);
    assert_eq!(code, Some(0), "{lines:?}");
    let counts = json!({
        "type": "view", "view": "balances", "documents": 1, "missing": 0, "extra": 0,
        "different": 0, "undecided": 0, "repaired": 0, "unlisted": 0, "resnapshot": [],
    });
    assert_eq!(lines[1], counts);
    let (code, lines) = told(&["--view", "balances", "--keys", ",7"]);
    assert_eq!(
        (code, &lines[1]["kind"], &lines[1]["key"]),
        (Some(1), &json!("missing"), &json!(["", "7"]))
    );
    let (code, text) = verify(&ledger, &["--view", "balances", "--keys", "1"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("a key of view balances is region,code"), "{text}");

    let (code, lines) = told(&["--view", "pings", "--sample", "7", "--seed", "3"]);
    assert_eq!(code, Some(0), "{lines:?}");
    assert_eq!((&lines[0]["sample"], &lines[0]["seed"]), (&json!("7 documents"), &json!(3)));
    assert_eq!(lines[1]["documents"], 7);
    // As many keys as there are documents, of both sides.
    let (code, text) = verify(&ledger, &["--sample", "100%"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.starts_with("a sample of 100% of each view, by --seed "), "{text}");
    assert!(text.contains("balances: 2 documents, 1 missing, 0 extra, 0 different\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_are_told_while_the_pipeline_runs() {
    let mut ledger = filled_ledger().await;
    ledger.kill();
    ledger.set("VIEWTIDE_VERIFY_BACKGROUND", "true");
    ledger.set("VIEWTIDE_VERIFY_LOAD_PERCENT_MAX", "50");
    ledger.start();
    ledger.eventually("/readyz", |status, _| status == 200).await;
    let compared = "viewtide_verify_documents_total{view=\"pings\"} ";
    ledger.eventually_metric(compared, |documents| documents >= 60.0).await;
    let missing = "viewtide_verify_differences{view=\"balances\",kind=\"missing\"} ";
    assert_eq!(ledger.metric(missing).await, Some(0.0));
    let mut redis = connection();
    remove(&mut redis, &keys_of(&ledger, "balances"), &account("", 7));
    ledger.eventually_metric(missing, |documents| documents == 1.0).await;
    let (code, text) = verify(&ledger, &["--repair"]);
    assert_eq!(code, Some(0), "{text}");
    ledger.eventually_metric(missing, |documents| documents == 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_that_does_not_follow_is_no_verdict() {
    let mut ledger = filled_ledger().await;
    ledger.kill();
    ledger.execute("UPDATE owners SET name = 'Eva' WHERE id = 1").await;
    let (code, text) = verify(&ledger, &["--wait", "1"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("after 1 s the pipeline has not passed"), "{text}");
    ledger.start();
    ledger.assert_verified();
}

/// The others are verified all the same, and the total says that one is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_cannot_be_asked_leaves_the_others_their_verdict() {
    let mut ledger = filled_ledger().await;
    let pings = "pings: 30 documents, 0 missing, 0 extra, 0 different";
    let total = "total: 30 documents, 0 missing, 0 extra, 0 different; no verdict on 1 of 2 views";
    let expect = |ledger: &Deployment, arguments: &[&str], why: &str| {
        let (code, text) = verify(ledger, arguments);
        assert_eq!(code, Some(1), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        let why = format!("balances: no verdict: {why}");
        assert!(lines[0].starts_with(&why), "no `{why}` in\n{text}");
        assert_eq!(lines[1..], [pings, total], "{text}");
    };

    // Its rows are the same, so the pipeline knows of nothing yet.
    ledger.execute("ALTER TABLE owners DROP COLUMN rating").await;
    expect(
        &ledger,
        &[],
        "mysql refuses its SELECT: error 1054: Unknown column 'o.rating' in 'field list'",
    );
    let (code, text) = verify(&ledger, &["--format", "json"]);
    assert_eq!(code, Some(1), "{text}");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let told = |at: usize, member: &str| lines[at][member].as_str().unwrap_or_default().to_owned();
    assert_eq!((told(1, "type"), told(1, "view")), ("failure".to_owned(), "balances".to_owned()));
    assert!(told(1, "reason").contains("Unknown column 'o.rating'"), "{text}");
    assert_eq!((told(2, "type"), told(2, "view")), ("view".to_owned(), "pings".to_owned()));
    assert_eq!((&lines[3]["documents"], &lines[3]["failed"]), (&json!(30), &json!(1)));

    // With a row of the new shape the view stands still.
    ledger.execute("INSERT INTO owners VALUES (3, 20, 'Eva')").await;
    ledger.eventually("/readyz", |status, _| status == 503).await;
    expect(&ledger, &["--wait", "1"], "view balances is not complete after 1 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn select_is_all_the_rights_that_are_needed() {
    let ledger = filled_ledger().await;
    let user = format!("r{:08x}", rand::random::<u32>());
    ledger
        .execute(&format!(
            "CREATE USER '{user}'@'%' IDENTIFIED BY 'only reads';\n\
         GRANT SELECT ON `{}`.* TO '{user}'@'%'",
            ledger.name
        ))
        .await;
    for (command, want) in [
        ("verify", "balances: 4 documents, 0 missing, 0 extra, 0 different"),
        ("check", "ok    mysql     table accounts is as declared"),
    ] {
        let mut command = ledger.command(&[command]);
        command.env("VIEWTIDE_MYSQL_USER", &user).env("VIEWTIDE_MYSQL_PASSWORD", "only reads");
        let output = command.output().unwrap();
        let text = printed(&output);
        assert!(output.status.success() && text.contains(want), "{text}");
    }
    ledger.execute(&format!("DROP USER '{user}'@'%'")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_not_as_declared_fails_the_check() {
    let ledger = filled_ledger().await;
    ledger.execute("ALTER TABLE owners MODIFY name VARCHAR(60)").await;
    let output = ledger.command(&["check"]).output().unwrap();
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let want =
        "FAIL  mysql     table owners: column name is declared varchar(50), but is varchar(60); ";
    assert!(text.contains(want), "{text}");
    let output = ledger.command(&["check", "--write-tables"]).output().unwrap();
    assert!(output.status.success(), "{}", printed(&output));
    ledger.redefine("owner", Some("CREATE VIEW owner AS SELECT id, name FROM owners;"));
    ledger.execute("ALTER TABLE owners RENAME COLUMN name TO called").await;
    let text = printed(&ledger.command(&["check"]).output().unwrap());
    let refused = |line: &&str| {
        line.starts_with("FAIL  mysql     the server refuses the SELECT of view owner: ")
    };
    let line = text.lines().find(refused);
    assert!(line.is_some_and(|line| line.contains("Unknown column")), "{text}");
}

fn account(region: &'static str, code: i64) -> Key {
    key(&[Value::Text(region.into()), Value::Int(code)])
}

fn connection() -> Connection {
    let url = format!("redis://127.0.0.1:{}", Stack::shared().port("REDIS_PORT"));
    redis::Client::open(url).unwrap().get_connection().unwrap()
}

fn keys_of(deployment: &Deployment, view: &str) -> ViewKeys {
    Keyspace::new(&deployment.name).view(view, 1)
}

fn get(redis: &mut Connection, keys: &ViewKeys, key: &Key) -> String {
    redis::cmd("HGET").arg(&keys.docs).arg(key.as_bytes()).query(redis).unwrap()
}

fn put(redis: &mut Connection, keys: &ViewKeys, key: &Key, document: &str) {
    let mut both = redis::pipe();
    both.cmd("HSET").arg(&keys.docs).arg(key.as_bytes()).arg(document);
    both.cmd("ZADD").arg(&keys.keys).arg(0).arg(key.as_bytes());
    both.exec(redis).unwrap();
}

fn remove(redis: &mut Connection, keys: &ViewKeys, key: &Key) {
    let mut both = redis::pipe();
    both.cmd("HDEL").arg(&keys.docs).arg(key.as_bytes());
    both.cmd("ZREM").arg(&keys.keys).arg(key.as_bytes());
    both.exec(redis).unwrap();
}

//! Two processes of one pipeline: one runs it, the other follows and takes over when the first is
//! gone, frozen, or told to end.

use serde_json::Value;

use crate::support::deployment::Deployment;
use crate::support::redis::RedisServer;
use crate::support::stack::repository;

const ORDERS: u32 = 20;
const STANDING_BY: &str = "viewtide_standing_by";

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_follows_and_takes_over_where_the_owner_was() {
    let redis = RedisServer::start();
    let mut first = Deployment::new("standby", &repository().join("sql"), Some(&redis.url())).await;
    let orders: Vec<_> = (1..=ORDERS).map(|order| format!("({order}, 1, 10)")).collect();
    let user = "INSERT INTO users (user_id, name, email) VALUES (1, 'Ida', 'ida@shop.example')";
    first.execute(user).await;
    first
        .execute(&format!(
            "INSERT INTO orders (order_id, user_id, total) VALUES {}",
            orders.join(", ")
        ))
        .await;
    first.capture();
    first.start();
    first.eventually("/readyz", |status, _| status == 200).await;
    let mut second = first.twin();
    follow(&mut second, &first).await;
    let (status, body) = second.get("/readyz").await;
    assert_eq!(status, 503);
    assert!(body.to_string().contains("standing by: another process runs it"), "{body}");
    assert_eq!(second.get("/order_details_mv/7").await.0, 200, "reads are served");

    // Gone without a word: the lease has to end.
    set_total(&first, 7, 11).await;
    first.eventually("/order_details_mv/7", total("11.00")).await;
    first.kill();
    set_total(&second, 7, 12).await;
    leads(&mut second).await;
    second.eventually("/order_details_mv/7", total("12.00")).await;
    assert_eq!(published(&second).await, 1.0, "what redis has is not written again");
    second.assert_verified();

    // Frozen, it loses the pipeline, and notices when it wakes up.
    follow(&mut first, &second).await;
    second.signal("-STOP");
    set_total(&first, 8, 13).await;
    leads(&mut first).await;
    first.eventually("/order_details_mv/8", total("13.00")).await;
    second.signal("-CONT");
    let log = second.ends_by_itself().await;
    assert!(log.contains("another process has claimed the pipeline"), "{log}");
    assert_eq!(published(&first).await, 1.0);
    first.assert_verified();

    // A redis that forgets is the owner's to mend.
    follow(&mut second, &first).await;
    let _: String = redis.run(&["FLUSHALL"]);
    first.eventually_metric(PUBLISHED, |count| count > f64::from(ORDERS)).await;
    first.eventually("/readyz", |status, _| status == 200).await;
    set_total(&first, 9, 14).await;
    first.eventually("/order_details_mv/9", total("14.00")).await;
    assert_eq!(second.metric(STANDING_BY).await, Some(1.0));
    first.assert_verified();

    // Forgotten while the owner is gone, it is filled from what the other followed.
    first.kill();
    let _: String = redis.run(&["FLUSHALL"]);
    leads(&mut second).await;
    second.eventually("/readyz", |status, _| status == 200).await;
    second.eventually("/order_details_mv/9", total("14.00")).await;
    assert_eq!(published(&second).await, f64::from(ORDERS));
    second.assert_verified();

    // Told to end, it hands over at once.
    follow(&mut first, &second).await;
    second.signal("-TERM");
    leads(&mut first).await;
    set_total(&first, 9, 15).await;
    first.eventually("/order_details_mv/9", total("15.00")).await;
    first.assert_verified();
}

/// Starts a process and waits until it stands by with all that the owner has.
async fn follow(standby: &mut Deployment, owner: &Deployment) {
    standby.start();
    standby.eventually("/healthz", |status, _| status == 200).await;
    standby.eventually_metric(STANDING_BY, |standing_by| standing_by == 1.0).await;
    let rows = owner.metric("viewtide_rows").await.expect("the owner's rows");
    standby.eventually_metric("viewtide_rows", |followed| followed == rows).await;
}

async fn leads(deployment: &mut Deployment) {
    deployment.eventually_metric(STANDING_BY, |standing_by| standing_by == 0.0).await;
}

const PUBLISHED: &str = "viewtide_documents_published_total{view=\"order_details_mv\"}";

async fn published(deployment: &Deployment) -> f64 {
    deployment.metric(PUBLISHED).await.unwrap_or_default()
}

async fn set_total(shop: &Deployment, order: u32, total: u32) {
    shop.execute(&format!("UPDATE orders SET total = {total} WHERE order_id = {order}")).await;
}

fn total(wanted: &'static str) -> impl Fn(u16, &Value) -> bool {
    move |_, body| body["total"] == wanted
}

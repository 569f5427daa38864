//! The API against a real Redis: shapes, every status, paging, and what it does when Redis fails.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use viewtide::api::{Api, ApiError};
use viewtide::dial::Dialer;
use viewtide::engine::Document;
use viewtide::keyspace::{Generations, Keyspace};
use viewtide::sink::{Step, Target};
use viewtide::sql::plan::{Plan, ViewId};
use viewtide::telemetry::{Metrics, Readiness};
use viewtide::value::{Type, Value};

use crate::support::generations::{current, filling};
use crate::support::http::{Answer, Client, get};
use crate::support::plan::{INT, TEXT, add_view, int, key};
use crate::support::proxy::{Fault, Proxy};
use crate::support::redis::RedisServer;
use crate::support::service::{Service, present};

const ORDERS: ViewId = ViewId(0);
const PAIRS: ViewId = ViewId(1);

/// A mirror with indexes, and a view of its own shape with a key of two columns.
fn plan() -> Plan {
    let mut plan = Plan::default();
    let columns = [("id", INT), ("status", TEXT), ("day", Type::Date)];
    add_view(&mut plan, "orders", &columns, 1, &[&[1], &[2, 1]], true);
    add_view(&mut plan, "pairs <b>", &[("a", TEXT), ("b", Type::Bytes)], 2, &[], false);
    plan
}

fn text(text: &str) -> Value<'_> {
    Value::Text(text.into())
}

fn order(number: i64, status: Option<&str>) -> Document {
    let status = status.map_or(Value::Null, text);
    let index_values =
        [key(std::slice::from_ref(&status)), key(&[Value::Date(number as i32), status])];
    present(format!("{{\"id\":{number}}}"), &index_values)
}

fn ids(answer: &Answer) -> Vec<i64> {
    let rows = answer.json()["orders"].as_array().expect("a list of orders").clone();
    rows.iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

async fn complete() -> Service {
    let mut service = Service::start(plan()).await;
    service.complete().await;
    service
}

#[tokio::test]
async fn documents_and_lists_have_their_shapes() {
    let mut service = complete().await;
    let message = "out of \"range\"".to_owned();
    let broken = Document::Error { code: 1690, column: Some("total".into()), message };
    service.publish(ORDERS, [(int(7), order(7, None)), (int(-8), broken)]).await;
    let pair = key(&[text("x,/~é"), Value::Bytes(vec![0xFB, 0xFF].into())]);
    service.publish(PAIRS, [(pair, present("{\"a\":1}", &[]))]).await;

    let one = service.get("/orders/7").await;
    assert_eq!((one.status, one.body.as_slice()), (200, &b"{\"id\":7}"[..]));
    assert_eq!(one.headers["content-type"], "application/json");
    assert_eq!(one.headers["x-content-type-options"], "nosniff");
    let list = service.get("/orders").await;
    let want = r#"{"orders":[{"id":-8,"error":{"code":1690,"column":"total","message":"out of \"range\""}},{"id":7}]}"#;
    assert_eq!(String::from_utf8(list.body).unwrap(), want);
    let bare = service.get("/pairs%20%3Cb%3E").await;
    assert_eq!(bare.body, b"[{\"a\":1}]");
    let one = service.get("/pairs%20%3Cb%3E/x%2C%2F~%C3%A9,%2B%2F8%3D").await;
    assert_eq!(one.body, b"{\"a\":1}");

    let broken = service.get("/orders/-8").await;
    assert_eq!(broken.status, 422);
    assert_eq!(broken.error(), "MySQL error 1690: out of \"range\"");
    assert_eq!((&broken.json()["code"], &broken.json()["column"]), (&1690.into(), &"total".into()));
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_its_reason() {
    let service = complete().await;
    let long = "9".repeat(5000);
    for (path, reason) in [
        ("/orders/x", "`x` is no value of key column 1"),
        ("/orders/7%20OR%201=1", "is no value"),
        ("/orders/7%0D%0Ax:%20y", "is no value"),
        ("/orders/7%00", "is no value"),
        ("/orders/", "is no value"),
        ("/orders/99999999999", "is no value"),
        ("/orders/1,2", "1 column(s), 2 given; the key is id"),
        ("/pairs%20%3Cb%3E/a", "the key is a,b"),
        ("/pairs%20%3Cb%3E/a,!", "is no value of key column 2"),
        ("/orders/%FF", "not percent-encoded utf-8"),
        ("/orders/7?x=1", "takes no parameter `x`; there are after and wait"),
        (&format!("/orders/{long}"), "longer than 4096"),
        (&format!("/orders?status={long}"), "longer than 4096"),
        ("/orders?limit=0", "limit `0`"),
        ("/orders?limit=10001", "limit `10001`"),
        ("/orders?limit=+1", "limit ` 1`"),
        ("/orders?limit=1e3", "limit `1e3`"),
        ("/orders?limit=", "limit ``"),
        ("/orders?limit=1&limit=2", "`limit` is given twice"),
        ("/orders?status=a&status=a", "`status` is given twice"),
        ("/orders?cursor=x", "cursor `x`"),
        ("/orders?cursor=AAECAwQ", "cursor `AAECAwQ`"),
        ("/orders?id=7", "no index on `id`; indexes of this view: status, day&status"),
        ("/orders?day=2024-01-01", "no index on `day`"),
        ("/orders?status=a&x", "no index on `status&x`"),
        ("/orders?day=tomorrow&status=x", "`tomorrow` is no value of column day"),
        ("/pairs%20%3Cb%3E?a=1", "indexes of this view: none"),
    ] {
        let answer = service.get(path).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.error().contains(reason), "{path}: {}", answer.error());
    }
    for path in ["/nothing", "/orders/7/8", "/healthz/x", "//", "/%6frders/1/2"] {
        let answer = service.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(!answer.error().is_empty());
    }
    assert!(service.get("/nothing").await.error().contains("orders, pairs <b>"));
}

#[tokio::test]
async fn a_missing_document_is_404_only_in_a_complete_view() {
    let mut service = Service::start(plan()).await;
    service.publish(ORDERS, [(int(7), order(7, None))]).await;
    for (stage, status) in [("nothing known", 503), ("filling", 200)] {
        for path in ["/orders/1", "/orders", "/orders?status=x"] {
            let answer = service.get(path).await;
            assert_eq!(answer.status, 503, "{stage}: {path}");
            assert_eq!(answer.headers["retry-after"], "1");
            assert!(answer.error().contains("orders is not complete"));
        }
        assert_eq!(service.get("/orders/7").await.status, status, "{stage}");
        tell(&mut service, &filling(&plan().views[0], 1)).await;
    }
    service.complete().await;
    let answer = service.get("/orders/1").await;
    assert_eq!((answer.status, answer.error().as_str()), (404, "orders has no document 1"));
    service.publish(ORDERS, [(int(7), Document::Absent)]).await;
    assert_eq!(service.get("/orders/7").await.status, 404);
    assert_eq!(service.get("/orders").await.body, b"{\"orders\":[]}");
}

/// Look-ups that come at once are asked for together, and what is too much for one answer of Redis
/// once more.
#[tokio::test]
async fn look_ups_at_once_have_each_its_own_answer() {
    let mut service = complete().await;
    let body = |number: i64| format!("{{\"id\":{number},\"x\":\"{}\"}}", "x".repeat(100_000));
    let documents = (0..20).map(|number| (int(number), present(body(number), &[])));
    service.publish(ORDERS, documents).await;
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..30 {
        let address = service.address.clone();
        asking.spawn(async move { (number, get(&address, &format!("/orders/{number}")).await) });
    }
    while let Some(answered) = asking.join_next().await {
        let (number, answer) = answered.unwrap();
        if number < 20 {
            assert!(answer.status == 200 && answer.body == body(number).as_bytes(), "{number}");
        } else {
            let told = (answer.status, answer.error());
            assert_eq!(told, (404, format!("orders has no document {number}")));
        }
    }
}

/// Says what there is of the view of orders.
async fn tell(service: &mut Service, generations: &Generations) {
    let mut step = Step::new();
    step.generations("orders", generations);
    service.sink.commit(&step).await.unwrap();
}

/// While another generation is filled, whatever its definition, readers see what was there before,
/// as a whole; then the other, as a whole.
#[tokio::test]
async fn readers_see_one_generation_until_another_takes_its_place() {
    let mut service = complete().await;
    service.publish(ORDERS, [(int(7), order(7, Some("a"))), (int(8), order(8, None))]).await;
    let mut other = service.plan.view(ORDERS).clone();
    other.fingerprint.push('x');
    let (old, new) = (current(service.plan.view(ORDERS), 1), current(&other, 2));
    let renewing = Generations { next: new.current.clone(), ..old };
    let mut step = Step::new();
    let next = Target { view: ORDERS, generation: 2 };
    step.set(next, int(7), present("{\"id\":7,\"new\":1}", &[]));
    service.sink.commit(&step).await.unwrap();
    tell(&mut service, &renewing).await;
    assert_eq!(service.get("/orders/7").await.body, b"{\"id\":7}");
    assert_eq!(service.get("/orders/9").await.status, 404);
    assert_eq!(ids(&service.get("/orders").await), [7, 8]);
    assert_eq!(ids(&service.get("/orders?status=a").await), [7]);
    let ready = service.get("/readyz").await;
    assert_eq!((ready.status, ready.json()["ready"].clone()), (200, true.into()));
    let told = String::from_utf8(ready.body).unwrap();
    assert!(told.contains("view orders: its documents are being filled anew"), "{told}");

    tell(&mut service, &new).await;
    assert_eq!(service.get("/orders/7").await.body, b"{\"id\":7,\"new\":1}");
    assert_eq!(service.get("/orders/8").await.status, 404);
    assert_eq!(ids(&service.get("/orders").await), [7]);
}

/// A view is ready though documents of it are due; how old it may be is told.
#[tokio::test]
async fn what_lags_is_told_beside_readiness() {
    let mut service = complete().await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    for (ago, is_told) in [(100, true), (1, false)] {
        let committed = (now - Duration::from_secs(ago)).as_micros();
        let mut step = Step::new();
        step.behind(
            "orders",
            Some(format!("f9922be6-e58e-11f1-8fa9-02fc00000001:1-9  {committed}")),
        );
        service.sink.commit(&step).await.unwrap();
        let ready = service.get("/readyz").await;
        assert_eq!((ready.status, ready.json()["ready"].clone()), (200, true.into()));
        let told = String::from_utf8(ready.body).unwrap();
        let reason = "view orders: behind: documents of it are due since changes of up to 1";
        assert_eq!(told.contains(reason), is_told, "{told}");
    }
}

/// Under other keys or indexes a question means something else: it is not answered at all.
#[tokio::test]
async fn what_names_or_finds_documents_otherwise_is_not_asked() {
    let mut service = complete().await;
    service.publish(ORDERS, [(int(7), order(7, Some("a")))]).await;
    let mut indexed = service.plan.view(ORDERS).clone();
    indexed.indexes.swap(0, 1);
    tell(&mut service, &current(&indexed, 1)).await;
    let lookup = service.get("/orders?status=a").await;
    assert_eq!((lookup.status, lookup.headers["retry-after"].as_str()), (503, "1"));
    assert!(lookup.error().contains("keys or indexes are others"), "{}", lookup.error());
    assert_eq!(service.get("/orders").await.status, 200);
    assert_eq!(service.get("/orders/7").await.status, 200);
    let mut keyed = service.plan.view(ORDERS).clone();
    keyed.outputs[0].name = "user".to_owned();
    for generations in [current(&keyed, 1), filling(&keyed, 1)] {
        tell(&mut service, &generations).await;
        for path in ["/orders/7", "/orders/8", "/orders", "/orders?status=a"] {
            assert_eq!(service.get(path).await.status, 503, "{path} {generations:?}");
        }
    }
    let told = String::from_utf8(service.get("/readyz").await.body).unwrap();
    assert!(told.contains("view orders: its documents are of another definition"), "{told}");
}

#[tokio::test]
async fn tags_save_the_body_until_the_content_changes() {
    let mut service = complete().await;
    service.publish(ORDERS, [(int(1), order(1, None)), (int(2), order(2, None))]).await;
    let mut client = Client::connect(&service.address).await;
    for path in ["/orders/1", "/orders", "/orders?limit=1"] {
        let first = client.request("GET", path, &[]).await;
        let tag = first.headers["etag"].clone();
        let again = client.request("GET", path, &[("if-none-match", &tag)]).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        assert_eq!(again.headers["etag"], tag);
        let head = client.request("HEAD", path, &[]).await;
        assert_eq!((head.status, &head.headers["etag"]), (200, &tag));
        assert_eq!(head.headers["content-length"], first.body.len().to_string());
        let other = client.request("GET", path, &[("if-none-match", "\"x\"")]).await;
        assert_eq!(other.status, 200);
    }
    // The page's content stays, but now another page follows it.
    let last = client.request("GET", "/orders?limit=2", &[]).await;
    service.publish(ORDERS, [(int(3), order(3, None))]).await;
    let tag = last.headers["etag"].clone();
    let no_longer = client.request("GET", "/orders?limit=2", &[("if-none-match", &tag)]).await;
    assert_eq!(no_longer.status, 200);
    assert_eq!(no_longer.body, last.body);
}

/// Follows the links from an address to the last page.
async fn walk(service: &Service, path: &str) -> Vec<i64> {
    let mut next = Some(path.to_owned());
    let mut all = Vec::new();
    while let Some(path) = next {
        let page = service.get(&path).await;
        assert_eq!(page.status, 200, "{path}");
        all.extend(ids(&page));
        assert!(all.len() < 1000, "the walk does not end");
        next = page.next_page();
    }
    all
}

#[tokio::test]
async fn pages_hold_everything_once_in_key_order() {
    let mut service = complete().await;
    let status = |number: i64| if number % 2 == 0 { Some("a&b +~") } else { None };
    let all: Vec<i64> = (-10..15).collect();
    let documents = all.iter().map(|number| (int(*number), order(*number, status(*number))));
    service.publish(ORDERS, documents).await;
    for limit in [1, 3, 24, 25, 26] {
        assert_eq!(walk(&service, &format!("/orders?limit={limit}")).await, all, "{limit}");
    }
    let exact = service.get("/orders?limit=25").await;
    assert_eq!(exact.next_page(), None, "nothing follows");
    let even: Vec<i64> = all.iter().copied().filter(|number| number % 2 == 0).collect();
    let odd: Vec<i64> = all.iter().copied().filter(|number| number % 2 != 0).collect();
    for limit in [1, 4, 1000] {
        let path = format!("/orders?limit={limit}&status=a%26b+%2B~");
        assert_eq!(walk(&service, &path).await, even, "{path}");
        assert_eq!(walk(&service, &format!("/orders?status=~&limit={limit}")).await, odd);
    }
    assert_eq!(walk(&service, "/orders?status=~&day=1970-01-04").await, [3]);
    assert!(walk(&service, "/orders?status=nothing").await.is_empty());
}

#[tokio::test]
async fn a_walk_during_writes_misses_and_repeats_nothing_that_stays() {
    let mut service = complete().await;
    let stays: Vec<i64> = (0..60).map(|number| number * 10).collect();
    service.publish(ORDERS, stays.iter().map(|number| (int(*number), order(*number, None)))).await;
    let mut next = Some("/orders?limit=7".to_owned());
    let mut seen = Vec::new();
    let mut round = 0;
    while let Some(path) = next {
        let page = service.get(&path).await;
        seen.extend(ids(&page));
        assert!(round < 1000, "the walk does not end");
        next = page.next_page();
        // Between the pages others come everywhere, the last of this page among them, and go.
        let come =
            (0..60).map(|n| (int(n * 10 + 1 + round % 9), order(n * 10 + 1 + round % 9, None)));
        service.publish(ORDERS, come).await;
        let gone = (0..60).map(|n| (int(n * 10 + 1 + (round + 5) % 9), Document::Absent));
        service.publish(ORDERS, gone).await;
        round += 1;
    }
    assert!(seen.is_sorted_by(|a, b| a < b), "in order, none twice: {seen:?}");
    let stayed: Vec<i64> = seen.into_iter().filter(|number| number % 10 == 0).collect();
    assert_eq!(stayed, stays);
}

#[tokio::test]
async fn a_page_ends_early_when_documents_are_large() {
    let mut service = complete().await;
    for number in 0..5 {
        let body = format!("{{\"id\":{number},\"x\":\"{}\"}}", "x".repeat(3 << 20));
        let index_values = [key(&[Value::Null]), key(&[Value::Null, Value::Null])];
        service.publish(ORDERS, [(int(number), present(body, &index_values))]).await;
    }
    let first = service.get("/orders").await;
    assert_eq!(ids(&first), [0, 1]);
    assert!(first.next_page().is_some());
    assert_eq!(walk(&service, "/orders").await, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_redis_that_fails_is_503_and_comes_back_by_itself() {
    let mut redis = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let proxy = Proxy::start(redis.address()).await;
    let url = format!("redis://{}", proxy.address());
    // The API reaches Redis through the proxy, the test directly.
    let mut service = Service::start_behind(RedisServer::start(), &url, plan()).await;
    let mut sink = viewtide::sink::Sink::new(
        Dialer::new(&redis.url()).unwrap(),
        &Keyspace::new("test"),
        &service.plan,
    );
    sink.claim(0).await.unwrap();
    let mut step = Step::new();
    step.set(Target { view: ORDERS, generation: 1 }, int(1), order(1, None));
    step.generations("orders", &current(service.plan.view(ORDERS), 1));
    sink.commit(&step).await.unwrap();
    assert_eq!(service.get("/orders/1").await.status, 200);

    redis.kill();
    for path in ["/orders/1", "/orders", "/readyz"] {
        let answer = service.get(path).await;
        assert_eq!(answer.status, 503, "{path}");
        assert_eq!(answer.headers["retry-after"], "1");
    }
    let ready = service.get("/readyz").await.json();
    assert!(ready["reasons"][0].as_str().unwrap().starts_with("redis: "), "{ready}");
    assert_eq!(service.get("/healthz").await.status, 200);
    redis.start_again();
    recovers(&service).await;

    // Connections that are cut while idle cost nobody an answer.
    proxy.cut_all();
    assert_eq!(service.get("/orders/1").await.status, 200);
    redis.run::<()>(&["SCRIPT", "FLUSH"]);
    assert_eq!(service.get("/orders").await.status, 200);

    // Half-open: nothing comes back, for a bounded time.
    proxy.set(Fault::SwallowReplies);
    assert_eq!(service.get("/orders/1").await.status, 503);
    proxy.set(Fault::None);
    proxy.cut_all();
    recovers(&service).await;
    service.shut_down().await.unwrap();
}

async fn recovers(service: &Service) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while service.get("/orders/1").await.status != 200 {
        assert!(Instant::now() < deadline, "the api does not recover");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_port_that_is_no_redis_is_named() {
    let service = Service::start(plan()).await;
    // Its own HTTP port stands for any web server.
    let url = format!("redis://{}", service.address);
    let confused = Service::start_behind(RedisServer::start(), &url, plan()).await;
    assert_eq!(get(&confused.address, "/healthz").await.status, 200);
    let ready = get(&confused.address, "/readyz").await;
    assert_eq!(ready.status, 503);
    let reason = ready.json()["reasons"][0].to_string();
    assert!(reason.contains("speaks http") && reason.contains(&service.address), "{reason}");
}

#[tokio::test]
async fn readiness_tells_why_not() {
    let mut service = Service::start(plan()).await;
    let ready = service.get("/readyz").await;
    assert_eq!(ready.status, 503);
    let reasons = ready.json()["reasons"].clone();
    assert_eq!(reasons[0], "view orders: no documents have been published yet");
    service.readiness.block("view orders", "filling, 1 of 2 tables complete");
    let reasons = service.get("/readyz").await.json()["reasons"].clone();
    assert_eq!(reasons[0], "view orders: filling, 1 of 2 tables complete");
    assert_eq!(reasons.as_array().unwrap().len(), 2, "each view once: {reasons}");
    service.readiness.clear("view orders");
    service.complete().await;
    let ready = service.get("/readyz").await;
    assert_eq!(
        (ready.status, ready.body.as_slice()),
        (200, &br#"{"ready":true,"reasons":[]}"#[..])
    );
    service.readiness.block("kafka", "no broker answers");
    let reasons = service.get("/readyz").await.json()["reasons"].clone();
    assert_eq!(reasons, serde_json::json!(["kafka: no broker answers"]));
}

#[tokio::test]
async fn metrics_and_front_page_show_what_is_there() {
    let service = complete().await;
    service.get("/orders/1").await;
    let metrics = service.get("/metrics").await;
    assert!(metrics.headers["content-type"].starts_with("application/openmetrics-text"));
    let text = String::from_utf8(metrics.body).unwrap();
    assert!(text.contains("viewtide_http_requests_total{status=\"404\"} 1\n"), "{text}");

    let page = service.get("/").await;
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    assert!(page.headers["content-security-policy"].starts_with("default-src 'none'"));
    let html = String::from_utf8(page.body).unwrap();
    assert!(html.contains("<a href=\"/orders?limit=20\">orders</a>"), "{html}");
    assert!(html.contains("pairs &lt;b&gt;") && !html.contains("pairs <b>"), "{html}");
}

#[test]
fn views_with_the_apis_own_names_are_refused() {
    let mut plan = Plan::default();
    add_view(&mut plan, "metrics", &[("id", INT)], 1, &[], true);
    let dialer = Dialer::new("redis://127.0.0.1:1").unwrap();
    let api =
        Api::new(&dialer, &Keyspace::new("test"), &plan, Readiness::new(), Metrics::new().into());
    assert_eq!(api.unwrap_err(), ApiError::Reserved { view: "metrics".into() });
}

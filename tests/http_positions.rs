//! What the API says of where a view is, and how it waits for transactions, against a real Redis.

use viewtide::gtid::Watermarks;
use viewtide::sink::Step;
use viewtide::sql::plan::{Plan, ViewId};

use crate::support::http::{Answer, Client};
use crate::support::plan::{INT, add_view, int};
use crate::support::service::{Service, present};

const ORDERS: ViewId = ViewId(0);
const SERVER: &str = "f9922be6-e58e-11f1-8fa9-02fc00000001";
const OTHER: &str = "f9922be6-e58e-11f1-8fa9-02fc00000002";

async fn complete() -> Service {
    let mut plan = Plan::default();
    add_view(&mut plan, "orders", &[("id", INT)], 1, &[], true);
    let mut service = Service::start(plan).await;
    service.complete().await;
    service.publish(ORDERS, [(int(7), present("{\"id\":7}", &[]))]).await;
    service
}

async fn commit(service: &mut Service, fill: impl FnOnce(&mut Step)) {
    let mut step = Step::new();
    fill(&mut step);
    service.sink.commit(&step).await.unwrap();
}

/// All transactions of [`SERVER`] up to a number.
fn up_to(number: u64) -> Watermarks {
    format!("{SERVER}:1-{number}").parse().unwrap()
}

fn position(answer: &Answer) -> &str {
    &answer.headers["viewtide-position"]
}

#[tokio::test]
async fn every_answer_of_a_view_tells_its_position_and_age() {
    let mut service = complete().await;
    let answer = service.get("/orders/7").await;
    assert_eq!((answer.status, position(&answer)), (200, ""));
    assert!(!answer.headers.contains_key("viewtide-age"));
    commit(&mut service, |step| {
        step.applied(&up_to(9));
        step.committed(1_000_000);
    })
    .await;
    for (path, status) in
        [("/orders/7", 200), ("/orders/8", 404), ("/orders", 200), ("/orders?limit=1", 200)]
    {
        let answer = service.get(path).await;
        assert_eq!((answer.status, position(&answer)), (status, &*up_to(9).to_string()), "{path}");
        let age: f64 = answer.headers["viewtide-age"].parse().unwrap();
        assert!(age > 1e9, "{path}: committed in 1970, not {age} seconds ago");
    }
    let etag = service.get("/orders/7").await.headers["etag"].clone();
    let mut client = Client::connect(&service.address).await;
    let answer = client.request("GET", "/orders/7", &[("if-none-match", &etag)]).await;
    assert_eq!((answer.status, position(&answer)), (304, &*up_to(9).to_string()));
}

/// While documents are due, what is applied says nothing of the view.
#[tokio::test]
async fn a_view_with_documents_due_tells_what_it_contains_for_certain() {
    let mut service = complete().await;
    commit(&mut service, |step| {
        step.applied(&up_to(9));
        step.executed(&format!("{SERVER}:1-9,{OTHER}:1-3"));
        let due = format!("{} {OTHER}:1-2 1000000", up_to(4));
        step.behind("orders", Some(due));
    })
    .await;
    let answer = service.get("/orders/7").await;
    assert_eq!(position(&answer), up_to(4).to_string());
    assert!(answer.headers["viewtide-age"].parse::<f64>().unwrap() > 1e9, "committed in 1970");
    for contained in [format!("{SERVER}:4"), format!("{SERVER}:4,{OTHER}:1-2")] {
        let answer = service.get(&format!("/orders/7?after={contained}&wait=0")).await;
        assert_eq!(answer.status, 200, "{contained}");
    }
    for missing in [format!("{SERVER}:5"), format!("{OTHER}:3")] {
        for path in ["/orders/7", "/orders"] {
            let answer = service.get(&format!("{path}?after={missing}&wait=0")).await;
            assert_eq!(answer.status, 504, "{path} {missing}");
            assert_eq!(position(&answer), up_to(4).to_string());
            assert!(answer.error().contains("orders does not contain these transactions yet"));
        }
    }
    commit(&mut service, |step| step.behind("orders", None)).await;
    for contained in [format!("{SERVER}:5"), format!("{OTHER}:1-3"), format!("{SERVER}:1-9")] {
        let answer = service.get(&format!("/orders/7?after={contained}&wait=0")).await;
        assert_eq!((answer.status, position(&answer)), (200, &*up_to(9).to_string()));
    }
}

/// Both as a parameter and as a header; the parameter counts if both are there.
#[tokio::test]
async fn a_request_waits_until_the_view_contains_what_it_names() {
    let mut service = complete().await;
    commit(&mut service, |step| step.applied(&up_to(1))).await;
    let address = service.address.clone();
    let ask = |path: &str, header: Option<u64>| {
        let (address, path) = (address.clone(), path.to_owned());
        let header = header.map(|number| format!("{SERVER}:{number}"));
        tokio::spawn(async move {
            let mut client = Client::connect(&address).await;
            let after = header.iter().map(|set| ("viewtide-after", set.as_str()));
            client.request("GET", &path, &after.collect::<Vec<_>>()).await
        })
    };
    let waiting: Vec<_> = [
        (format!("/orders/7?after={SERVER}:2&wait=10000"), None),
        (format!("/orders?after={SERVER}:1-2&wait=10000"), None),
        ("/orders/7?wait=10000".to_owned(), Some(2)),
        (format!("/orders/7?after={SERVER}:2&wait=10000"), Some(3)),
    ]
    .iter()
    .map(|(path, header)| ask(path, *header))
    .collect();
    // Those that are answered already have not waited.
    let late = ask(&format!("/orders/7?after={SERVER}:3&wait=20"), None).await.unwrap();
    assert_eq!((late.status, position(&late)), (504, &*up_to(1).to_string()));
    assert!(waiting.iter().all(|asked| !asked.is_finished()));
    commit(&mut service, |step| step.applied(&up_to(2))).await;
    for asked in waiting {
        let answer = asked.await.unwrap();
        assert_eq!((answer.status, position(&answer)), (200, &*up_to(2).to_string()));
    }
}

#[tokio::test]
async fn what_names_no_transactions_is_refused() {
    let service = complete().await;
    for (query, reason) in [
        ("after=x", "after `x` is no set of transactions"),
        ("after=f9922be6:1", "is no set"),
        (&format!("after={SERVER}:0"), "is no set"),
        (&format!("after={SERVER}:5-4"), "is no set"),
        (&format!("after={SERVER}:1&after={SERVER}:1"), "`after` is given twice"),
        ("wait=10001", "wait `10001` is not a whole number of milliseconds from 0 to 10000"),
        ("wait=-1", "wait `-1`"),
        ("wait=", "wait ``"),
    ] {
        for path in ["/orders/7", "/orders"] {
            let answer = service.get(&format!("{path}?{query}")).await;
            assert_eq!(answer.status, 400, "{path}?{query}");
            assert!(answer.error().contains(reason), "{path}?{query}: {}", answer.error());
        }
    }
    assert_eq!(service.get(&format!("/orders/7?after={SERVER}:1&wait=0")).await.status, 504);
}

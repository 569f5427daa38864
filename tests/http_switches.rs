//! Names that another view answers for, as the API serves them, against a real Redis.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use viewtide::sink::Step;
use viewtide::sql::plan::{Plan, ViewId};
use viewtide::value::Value;

use crate::support::http::{Answer, get};
use crate::support::plan::{INT, TEXT, add_view, int, key};
use crate::support::service::{Service, present};

const ORDERS: ViewId = ViewId(0);
const NEWER: ViewId = ViewId(1);
const DOCUMENTS: i64 = 30;
const SERVER: &str = "f9922be6-e58e-11f1-8fa9-02fc00000001";

/// The view that is there first alone, or with its second version: one column and look-up more, and
/// the look-up that both have is another index.
fn plan(with_newer: bool) -> Plan {
    let mut plan = Plan::default();
    add_view(&mut plan, "orders", &[("id", INT), ("status", TEXT)], 1, &[&[1]], true);
    let columns = [("id", INT), ("status", TEXT), ("day", TEXT)];
    add_view(&mut plan, "orders v2", &columns, 1, &[&[2], &[1]], false);
    if !with_newer {
        plan.views.truncate(1);
    }
    plan
}

async fn complete() -> Service {
    let mut service = Service::start(plan(true)).await;
    service.complete().await;
    let text = |text: &str| key(&[Value::Text(text.to_owned().into())]);
    for id in 1..=DOCUMENTS {
        let body = |version| format!("{{\"id\":{id},\"version\":{version}}}");
        service.publish(ORDERS, [(int(id), present(body(1), &[text("open")]))]).await;
        let indexed = [text("monday"), text("open")];
        service.publish(NEWER, [(int(id), present(body(2), &indexed))]).await;
    }
    service
}

async fn switch(service: &mut Service, view: Option<&str>) {
    let mut step = Step::new();
    step.served("orders", view);
    service.sink.commit(&step).await.unwrap();
}

/// The version of each document of an answer.
fn versions(answer: &Answer) -> Vec<u64> {
    let version = |document: &serde_json::Value| document["version"].as_u64().unwrap();
    match answer.json() {
        serde_json::Value::Array(list) => list.iter().map(version).collect(),
        document => match document.get("orders") {
            Some(list) => list.as_array().unwrap().iter().map(version).collect(),
            None => vec![version(&document)],
        },
    }
}

#[tokio::test]
async fn readers_of_a_name_get_the_view_that_answers_for_it() {
    let mut service = complete().await;
    let all = DOCUMENTS as usize;
    for (view, version, told) in [(None, 1, "orders"), (Some("orders v2"), 2, "orders%20v2")] {
        switch(&mut service, view).await;
        for (path, count) in [("/orders/7", 1), ("/orders", all), ("/orders?status=open", all)] {
            // Twice: what was learned with the first answer must do as well.
            for _ in 0..2 {
                let answer = service.get(path).await;
                assert_eq!(answer.status, 200, "{path} of {told}");
                assert_eq!(versions(&answer), vec![version; count], "{path} of {told}");
                assert_eq!(answer.headers["viewtide-view"], told, "{path}");
            }
        }
        assert!(service.get("/orders").await.json().get("orders").is_some(), "it keeps its shape");
        assert_eq!(service.get("/orders/99").await.error(), "orders has no document 99");
        let by_day = service.get("/orders?day=monday").await;
        assert_eq!(by_day.status, if version == 1 { 400 } else { 200 });
        // The other view's own name is its own, whoever else it answers for.
        let own = service.get("/orders%20v2/7").await;
        assert_eq!(
            (versions(&own), own.headers["viewtide-view"].as_str()),
            (vec![2], "orders%20v2")
        );
        let ready = service.get("/readyz").await;
        let told = "name orders: answered by view orders v2";
        assert_eq!(String::from_utf8_lossy(&ready.body).contains(told), version == 2);
        let page = service.get("/").await;
        let told = "readers of this name get orders v2";
        assert_eq!(String::from_utf8_lossy(&page.body).contains(told), version == 2);
    }
    switch(&mut service, None).await;
    assert_eq!(service.get("/orders?day=monday").await.status, 400);
    assert_eq!(versions(&service.get("/orders?status=open").await), vec![1; all]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_of_two_views_and_every_page_goes_on() {
    const TURNS: u32 = 60;
    let mut service = complete().await;
    let paths = ["/orders?limit=7", "/orders?status=open&limit=7", "/orders/3"];
    let answers: Arc<[AtomicU64; 3]> = Arc::default();
    let stop = Arc::new(AtomicBool::new(false));
    let readers = [0, 1, 2].map(|reader| {
        let (address, answers) = (service.address.clone(), Arc::clone(&answers));
        let stop = Arc::clone(&stop);
        tokio::spawn(async move {
            let mut seen = [0; 3];
            while !stop.load(Ordering::Relaxed) {
                let (mut next, mut documents) = (Some(paths[reader].to_owned()), 0);
                while let Some(path) = next {
                    let answer = get(&address, &path).await;
                    let text = String::from_utf8_lossy(&answer.body);
                    assert_eq!(answer.status, 200, "{path}: {text}");
                    let versions = versions(&answer);
                    assert!(versions.iter().all(|v| *v == versions[0]), "{path}: {versions:?}");
                    let own = if versions[0] == 1 { "orders" } else { "orders%20v2" };
                    assert_eq!(answer.headers["viewtide-view"], own, "{path}");
                    seen[versions[0] as usize] += 1;
                    documents += versions.len();
                    next = answer.next_page();
                    answers[reader].fetch_add(1, Ordering::Relaxed);
                }
                let is_list = paths[reader].contains('?');
                let expected = if is_list { DOCUMENTS as usize } else { 1 };
                assert_eq!(documents, expected, "{}", paths[reader]);
            }
            seen
        })
    });
    for turn in 0..TURNS {
        switch(&mut service, (turn % 2 == 0).then_some("orders v2")).await;
        // Each reader has an answer that was asked for since.
        let before = [0, 1, 2].map(|reader| answers[reader].load(Ordering::Relaxed));
        let is_due = |reader: usize| answers[reader].load(Ordering::Relaxed) < before[reader] + 2;
        while (0..3).any(is_due) && !readers.iter().any(|reader| reader.is_finished()) {
            tokio::task::yield_now().await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        let seen = reader.await.unwrap();
        assert!(seen[1] > 0 && seen[2] > 0, "{seen:?}");
    }
}

/// A process whose files lack the view answers all the same: what keys and look-ups mean is told.
#[tokio::test]
async fn a_process_without_the_view_reads_it_where_it_means_the_same() {
    let mut service = complete().await;
    let other = service.serve(&plan(false)).await;
    switch(&mut service, Some("orders v2")).await;
    for path in ["/orders/7", "/orders?limit=3", "/orders"] {
        let answer = get(&other, path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(versions(&answer).iter().all(|version| *version == 2), "{path}");
    }
    let by_status = get(&other, "/orders?status=open").await;
    assert_eq!(by_status.status, 503);
    assert!(
        by_status.error().contains("whose keys or indexes are others"),
        "{}",
        by_status.error()
    );
    let ready = get(&other, "/readyz").await;
    let text = String::from_utf8_lossy(&ready.body);
    assert!(text.contains("of which this process has no file: send it SIGHUP"), "{text}");
    let after = |wait: u32| format!("/orders/7?after={SERVER}:1&wait={wait}");
    assert_eq!(get(&other, &after(0)).await.status, 504);
    let waiting = {
        let (address, path) = (other.clone(), after(10_000));
        tokio::spawn(async move { get(&address, &path).await })
    };
    // Who is answered already has not waited.
    assert_eq!(get(&other, &after(20)).await.status, 504);
    assert!(!waiting.is_finished());
    let mut step = Step::new();
    step.applied(&format!("{SERVER}:1-1").parse().unwrap());
    service.sink.commit(&step).await.unwrap();
    assert_eq!(waiting.await.unwrap().status, 200);
}

/// Whoever waits for a transaction waits for the view that answers.
#[tokio::test]
async fn a_request_waits_for_the_view_that_answers() {
    let mut service = complete().await;
    let commit = async |service: &mut Service, behind: Option<&str>, view: Option<&str>| {
        let mut step = Step::new();
        step.applied(&format!("{SERVER}:1-9").parse().unwrap());
        step.behind("orders v2", behind.map(str::to_owned));
        step.served("orders", view);
        service.sink.commit(&step).await.unwrap();
    };
    let due = format!("{SERVER}:1-4");
    commit(&mut service, Some(&due), None).await;
    let path = format!("/orders/7?after={SERVER}:5&wait=0");
    assert_eq!(service.get(&path).await.status, 200);
    commit(&mut service, Some(&due), Some("orders v2")).await;
    let late = service.get(&path).await;
    assert_eq!((late.status, late.headers["viewtide-position"].as_str()), (504, due.as_str()));
    let waiting = {
        let (address, path) = (service.address.clone(), path.replace("wait=0", "wait=10000"));
        tokio::spawn(async move { get(&address, &path).await })
    };
    commit(&mut service, None, Some("orders v2")).await;
    let answer = waiting.await.unwrap();
    assert_eq!((answer.status, versions(&answer)), (200, vec![2]));
}

/// A view whose documents are not there is a 503, never a 404.
#[tokio::test]
async fn a_view_that_is_not_there_is_not_an_absent_document() {
    let mut service = complete().await;
    switch(&mut service, Some("gone")).await;
    for path in ["/orders/7", "/orders", "/orders?status=open", "/orders/99"] {
        let answer = service.get(path).await;
        assert_eq!(answer.status, 503, "{path}");
        assert!(answer.error().contains("orders is not complete yet"), "{}", answer.error());
    }
}

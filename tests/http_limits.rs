//! Clients who send too much, too slowly, too many at once, or what contradicts itself.

use std::time::Duration;

use viewtide::sql::plan::{Plan, ViewId};

use crate::support::http::Client;
use crate::support::plan::{INT, add_view, int};
use crate::support::service::{CONNECTIONS_MAX, Service, present};

async fn service() -> Service {
    let mut plan = Plan::default();
    add_view(&mut plan, "orders", &[("id", INT)], 1, &[], true);
    let mut service = Service::start(plan).await;
    service.complete().await;
    service.publish(ViewId(0), [(int(1), present("{\"id\":1}", &[]))]).await;
    service
}

#[tokio::test]
async fn methods_that_write_are_405() {
    let service = service().await;
    let mut client = Client::connect(&service.address).await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        for path in ["/orders/1", "/orders", "/", "/healthz", "/nothing"] {
            let answer = client.request(method, path, &[]).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.headers["allow"], "GET, HEAD");
            assert!(answer.error().contains(method));
        }
    }
    client.send(b"POST /orders HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
    assert_eq!(client.answer("POST").await.unwrap().status, 405);
}

#[tokio::test]
async fn addresses_that_are_too_long_are_414() {
    let service = service().await;
    for length in [8200, 16 << 10, 60 << 10, 64 << 10, 70 << 10] {
        let mut client = Client::connect(&service.address).await;
        let answer = client.request("GET", &format!("/orders?x={}", "a".repeat(length)), &[]).await;
        assert_eq!(answer.status, 414, "{length}");
        assert!(client.is_closed().await);
    }
    let mut client = Client::connect(&service.address).await;
    let large = "a".repeat(400 << 10);
    assert_eq!(client.request("GET", "/orders", &[("x", &large)]).await.status, 431);
}

#[tokio::test]
async fn lengths_that_contradict_each_other_are_400() {
    let service = service().await;
    for request in [
        "POST /orders HTTP/1.1\r\nhost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
        "GET /orders HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 6\r\n\r\n0\r\n\r\nX",
        "GET /orders HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\ncontent-length: 7\r\n\r\n0\r\n\r\nX",
        "GET /orders HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        "GET /ord\0ers HTTP/1.1\r\nhost: x\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let mut client = Client::connect(&service.address).await;
        client.send(request.as_bytes()).await.unwrap();
        assert_eq!(client.answer("POST").await.unwrap().status, 400, "{request:?}");
        assert!(client.is_closed().await, "{request:?}");
    }
}

#[tokio::test]
async fn an_endless_body_is_413_and_not_taken_in() {
    let service = service().await;
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for head in [
        "POST /orders HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
        "GET /orders/1 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
        "GET /orders/1 HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n",
    ] {
        let mut client = Client::connect(&service.address).await;
        client.send(head.as_bytes()).await.unwrap();
        let answer = client.answer("GET").await.unwrap();
        assert_eq!(answer.status, 413, "{head}");
        assert_eq!(answer.headers["connection"], "close");
        // What lies between the two ends takes some; then nobody takes any more.
        let mut sent = 0usize;
        while client.send(chunk.as_bytes()).await.is_ok() {
            sent += chunk.len();
            assert!(sent < 64 << 20, "the body is read without end");
        }
    }
    assert_eq!(service.get("/orders/1").await.status, 200);
}

#[tokio::test]
async fn silent_clients_keep_nobody_out() {
    let service = service().await;
    let mut silent = Vec::new();
    for number in 0..CONNECTIONS_MAX * 8 {
        let mut client = Client::connect(&service.address).await;
        // Some say nothing, some begin to.
        if number % 2 == 0 {
            client.send(b"GET /orders/1 HTTP/1.1\r\nhost:").await.unwrap();
        }
        silent.push(client);
        if number % 16 == 0 {
            assert_eq!(service.get("/orders/1").await.status, 200, "beside {number} silent ones");
        }
    }
    assert_eq!(service.get("/orders/1").await.status, 200);
    let metrics = String::from_utf8(service.get("/metrics").await.body).unwrap();
    let line = metrics.lines().find(|l| l.starts_with("viewtide_http_connections ")).unwrap();
    let open: usize = line.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(open <= CONNECTIONS_MAX, "{open} connections are open");
}

#[tokio::test]
async fn a_shutdown_ends_idle_connections_and_takes_no_new_ones() {
    let mut service = service().await;
    let mut client = Client::connect(&service.address).await;
    assert_eq!(client.request("GET", "/orders/1", &[]).await.status, 200);
    let ended = tokio::time::timeout(Duration::from_secs(20), service.shut_down()).await;
    ended.expect("the server ends").unwrap();
    assert!(client.is_closed().await);
    assert!(tokio::net::TcpStream::connect(&service.address).await.is_err());
}

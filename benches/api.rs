//! What Redis and the API cost, in CPU time rather than wall time, which means little on a busy
//! machine: one document beside a bare warp handler that does the same look-up, a page of 1,000
//! documents from views of growing size, and steps by size.
//!
//! `cargo bench --bench api`, after `infra/install.sh`; `-- document` (or `steps`, `pages`) runs
//! that part alone. Load comes from child processes of the same binary, so that the CPU time of
//! this process is the server's alone.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../tests/support/plan.rs"]
mod plan;
#[path = "../tests/support/redis.rs"]
#[allow(dead_code)]
mod redis_server;

use std::convert::Infallible;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use viewtide::api::Api;
use viewtide::dial::Dialer;
use viewtide::engine::Document;
use viewtide::keyspace::{Generation, Generations, Keyspace};
use viewtide::sink::{Sink, Step, Target};
use viewtide::sql::plan::{Plan, ViewId};
use viewtide::telemetry::{Metrics, Readiness};
use warp::Filter as _;

use plan::{INT, TEXT, add_view, int};
use redis_server::RedisServer;

/// A/B pairs of which the median ratio is taken.
const PAIRS: usize = 5;

/// How long one run of load lasts.
const RUN: Duration = Duration::from_secs(2);

/// Connections that ask at once.
const CONNECTIONS: usize = 64;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, mode, address, path, seconds] = arguments.as_slice()
        && mode == "client"
    {
        return println!("{}", client(address, path, seconds.parse().unwrap()));
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let part = |name: &str| {
            let named = |argument: &String| ["steps", "document", "pages"].contains(&&**argument);
            !arguments.iter().any(named) || arguments.iter().any(|argument| argument == name)
        };
        if part("steps") {
            steps().await;
        }
        if part("document") {
            one_document().await;
        }
        if part("pages") {
            pages().await;
        }
    });
}

fn body(number: i64) -> String {
    format!("{{\"order_id\":{number},\"details\":\"{}\"}}", "x".repeat(740))
}

async fn fill(
    redis: &RedisServer,
    pipeline: &str,
    plan: &Plan,
    count: i64,
    step_size: i64,
) -> Sink {
    let dialer = Dialer::new(&redis.url()).unwrap();
    let mut sink = Sink::new(dialer, &Keyspace::new(pipeline), plan);
    sink.claim(0).await.unwrap();
    for from in (0..count).step_by(step_size as usize) {
        write(&mut sink, from, (from + step_size).min(count)).await;
    }
    let mut step = Step::new();
    let current = Some(Generation::of(plan.view(ViewId(0)), 1));
    step.generations("orders", &Generations { current, next: None });
    sink.commit(&step).await.unwrap();
    sink
}

async fn write(sink: &mut Sink, from: i64, until: i64) {
    let mut step = Step::new();
    for number in from..until {
        let document =
            Document::Present { body: body(number).into_bytes(), index_values: Vec::new() };
        step.set(Target { view: ViewId(0), generation: 1 }, int(number), document);
    }
    sink.commit(&step).await.unwrap();
}

fn one_view() -> Plan {
    let mut plan = Plan::default();
    add_view(&mut plan, "orders", &[("order_id", INT), ("details", TEXT)], 1, &[], false);
    plan
}

/// Documents written as new and again, by the size of a step.
async fn steps() {
    let count = 100_000;
    println!("steps, 770-byte documents: CPU us a document (sink, redis)");
    for step_size in [1, 32, 256, 4096] {
        let count = if step_size == 1 { count / 10 } else { count };
        let redis = RedisServer::start();
        let (own, theirs) = (own_cpu(), redis_cpu(&redis));
        let mut sink = fill(&redis, "bench", &one_view(), count, step_size).await;
        let (own_new, theirs_new) = (own_cpu() - own, redis_cpu(&redis) - theirs);
        let (own, theirs) = (own_cpu(), redis_cpu(&redis));
        for from in (0..count).step_by(step_size as usize) {
            write(&mut sink, from, (from + step_size).min(count)).await;
        }
        let (own_again, theirs_again) = (own_cpu() - own, redis_cpu(&redis) - theirs);
        let us = |seconds: f64| seconds * 1e6 / count as f64;
        println!(
            "  {step_size:>5} a step: new {:.2} {:.2}, again {:.2} {:.2}",
            us(own_new),
            us(theirs_new),
            us(own_again),
            us(theirs_again)
        );
    }
}

/// GET of one document: ours beside a bare handler.
async fn one_document() {
    let redis = RedisServer::start();
    let plan = one_view();
    fill(&redis, "bench", &plan, 1000, 1000).await;
    redis.run::<()>(&["SET", "bare:500", &body(500)]);
    let ours = serve(&redis, "bench", &plan).await;
    let bare = serve_bare(&redis).await;
    let mut ratios = Vec::new();
    println!("one document, {CONNECTIONS} connections: requests a second of server CPU");
    for _ in 0..PAIRS {
        let a = load(&bare, "/500").await;
        let b = load(&ours, "/orders/500").await;
        println!("  bare {a:.0}, ours {b:.0}, ratio {:.3}", b / a);
        ratios.push(b / a);
    }
    ratios.sort_by(f64::total_cmp);
    println!("  median ratio {:.3} (target 0.9)", ratios[PAIRS / 2]);
}

/// A page of 1,000 documents from the middle of views of growing size.
async fn pages() {
    println!("a page of 1000 documents: CPU ms a page (server, redis)");
    for count in [1_000, 10_000, 100_000] {
        let redis = RedisServer::start();
        let plan = one_view();
        fill(&redis, "bench", &plan, count, 1000).await;
        let address = serve(&redis, "bench", &plan).await;
        let path = middle_page(&address, count);
        let theirs = redis_cpu(&redis);
        let own = own_cpu();
        let answered = run_client(&address, &path).await;
        let per_page = |seconds: f64| seconds * 1e3 / answered as f64;
        println!(
            "  of {count:>6}: {:.3} {:.3}",
            per_page(own_cpu() - own),
            per_page(redis_cpu(&redis) - theirs)
        );
    }
}

/// Address of the page that begins half-way, or of the only one: the cursor is opaque, so it is
/// asked for.
fn middle_page(address: &str, count: i64) -> String {
    if count <= 1000 {
        return "/orders?limit=1000".to_owned();
    }
    let mut path = format!("/orders?limit={}", (count / 2).min(10_000));
    let mut left = count / 2;
    while left > 0 {
        let mut stream = BufReader::new(TcpStream::connect(address).unwrap());
        ask(&mut stream, address, &path);
        let link = read_answer(&mut stream).unwrap();
        path = link.split(['<', '>']).nth(1).unwrap().to_owned();
        left -= 10_000;
    }
    let cursor = path.split("cursor=").nth(1).unwrap();
    format!("/orders?limit=1000&cursor={cursor}")
}

async fn serve(redis: &RedisServer, pipeline: &str, plan: &Plan) -> String {
    let dialer = Dialer::new(&redis.url()).unwrap();
    let keyspace = Keyspace::new(pipeline);
    let metrics = Arc::new(Metrics::new());
    let api = Api::new(&dialer, &keyspace, plan, Readiness::new(), metrics).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(api.serve(listener, std::future::pending()));
    address
}

/// A warp handler that does nothing but the look-up, over one multiplexed connection.
async fn serve_bare(redis: &RedisServer) -> String {
    let client = redis::Client::open(redis.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let route = warp::path!(i64).and(warp::get()).then(move |number: i64| {
        let mut connection = connection.clone();
        async move {
            let mut get = redis::cmd("GET");
            get.arg(format!("bare:{number}"));
            let body: Vec<u8> = get.query_async(&mut connection).await.unwrap();
            warp::reply::with_header(body, "content-type", "application/json")
        }
    });
    let service = TowerToHyperService::new(warp::service(route));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let service = service.clone();
            tokio::spawn(async move {
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                Ok::<(), Infallible>(())
            });
        }
    });
    address
}

/// Requests answered per second of this process' CPU.
async fn load(address: &str, path: &str) -> f64 {
    let own = own_cpu();
    let answered = run_client(address, path).await;
    answered as f64 / (own_cpu() - own)
}

async fn run_client(address: &str, path: &str) -> u64 {
    let (address, path) = (address.to_owned(), path.to_owned());
    let client = move || {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["client", &address, &path, &RUN.as_secs().to_string()])
            .stdout(Stdio::piped())
            .output()
            .unwrap();
        String::from_utf8(child.stdout).unwrap().trim().parse().unwrap()
    };
    tokio::task::spawn_blocking(client).await.unwrap()
}

/// Asks for a path over many connections for so long; how often it was answered.
fn client(address: &str, path: &str, seconds: u64) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let asking = |_| {
        let (address, path) = (address.to_owned(), path.to_owned());
        std::thread::spawn(move || {
            let mut stream = BufReader::new(TcpStream::connect(&address).unwrap());
            stream.get_ref().set_nodelay(true).unwrap();
            let mut answered = 0;
            while Instant::now() < deadline {
                ask(&mut stream, &address, &path);
                read_answer(&mut stream);
                answered += 1;
            }
            answered
        })
    };
    let threads: Vec<_> = (0..CONNECTIONS).map(asking).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).sum()
}

fn ask(stream: &mut BufReader<TcpStream>, address: &str, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    stream.get_mut().write_all(request.as_bytes()).unwrap();
}

/// Reads a whole answer, which must be a 200; its Link header.
fn read_answer(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");
    let (mut length, mut link) = (0, None);
    loop {
        line.clear();
        stream.read_line(&mut line).unwrap();
        match line.trim_end().split_once(':') {
            Some(("content-length", value)) => length = value.trim().parse().unwrap(),
            Some(("link", value)) => link = Some(value.trim().to_owned()),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    link
}

/// Seconds of CPU that this process has used; the kernel counts 100 ticks a second.
fn own_cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn redis_cpu(redis: &RedisServer) -> f64 {
    let info: String = redis.run(&["INFO", "cpu"]);
    let of = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().parse::<f64>().unwrap()
    };
    of("used_cpu_sys:") + of("used_cpu_user:")
}

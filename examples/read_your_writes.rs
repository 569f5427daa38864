//! Writes to MySQL and reads the document that must show it, again and again.
//!
//! `cargo run --release --example read_your_writes -- --rounds 10000` against the running demo.
//! Each round sets the total of an order to an amount that nobody else writes, asks MySQL what it
//! has executed, and reads the order's document with `?after=` that. An answer with another total
//! would be stale. Drivers that track the session's own GTID (`session_track_gtids = OWN_GTID`)
//! can name that alone and wait for nothing else.

#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Parser;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::task::JoinSet;

#[derive(Debug, Parser)]
struct Options {
    /// Writes, each followed by its read.
    #[arg(long, default_value_t = 1000)]
    rounds: u32,
    /// Clients at once, each with orders of its own.
    #[arg(long, default_value_t = 4)]
    clients: u32,
    /// Where viewtide answers.
    #[arg(long, default_value = "http://127.0.0.1:8001")]
    viewtide: String,
    /// A user who may write to the orders.
    #[arg(long, env = "MYSQL_URL", default_value = "mysql://root:debezium@127.0.0.1:3306/shop")]
    mysql: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let mut clients = JoinSet::new();
    for client in 0..options.clients {
        clients.spawn(write_and_read(
            client,
            options.rounds.div_ceil(options.clients),
            options.clients,
            options.viewtide.clone(),
            Conn::from_url(&options.mysql).await.context("connecting to MySQL")?,
        ));
    }
    let mut taken = Vec::new();
    let mut stale = 0;
    while let Some(client) = clients.join_next().await {
        let (times, wrong) = client??;
        taken.extend(times);
        stale += wrong;
    }
    taken.sort_unstable();
    let at = |part: f64| taken[((taken.len() - 1) as f64 * part) as usize];
    println!(
        "{} reads of own writes, {stale} stale; from commit to answer p50 {:.1?}, p99 {:.1?}",
        taken.len(),
        at(0.5),
        at(0.99)
    );
    ensure!(stale == 0, "{stale} answers lacked the write before");
    Ok(())
}

/// Returns how long each answer took after its commit, and how many answers were stale.
async fn write_and_read(
    client: u32,
    rounds: u32,
    clients: u32,
    viewtide: String,
    mut mysql: Conn,
) -> anyhow::Result<(Vec<Duration>, u32)> {
    let orders: Vec<u64> = mysql
        .query(format!("SELECT order_id FROM orders WHERE order_id % {clients} = {client}"))
        .await?;
    ensure!(!orders.is_empty(), "there are too few orders for {clients} clients");
    let http = reqwest::Client::new();
    let (mut taken, mut stale) = (Vec::new(), 0);
    for (round, order) in (0..rounds).zip(orders.iter().cycle()) {
        let total = format!("{}.{:02}", round / 100 + 1, round % 100);
        mysql
            .query_drop(format!("UPDATE orders SET total = {total} WHERE order_id = {order}"))
            .await?;
        let committed = Instant::now();
        let executed: Option<String> = mysql.query_first("SELECT @@GLOBAL.gtid_executed").await?;
        let after = executed.unwrap_or_default().replace('\n', "");
        let document = http
            .get(format!("{viewtide}/order_details_mv/{order}?wait=10000"))
            .header("Viewtide-After", after)
            .send()
            .await?
            .error_for_status()?;
        let document: serde_json::Value = serde_json::from_slice(&document.bytes().await?)?;
        taken.push(committed.elapsed());
        stale += u32::from(document["total"] != *total);
    }
    Ok((taken, stale))
}

//! What a change costs where a group is small and where it is large: of 1,000 and of 1,000,000 rows
//! of one parent, first COUNT, SUM, MIN, MAX and the newest row, then values that differ and EXISTS.
//! Rows in the middle of a large table are in no cache, however large their groups are: a third
//! table has as many rows as the large group, in groups of 1,000; and a last view, of which nothing
//! changes, shows what replacing the row costs alone.
//!
//! `cargo bench --bench groups`; `-- --rows N` measures 1,000 and N. Times are those of one change and of
//! the document that it touches, the median of many, so that a page fault or a neighbour on the
//! machine does not count. Memory is what the process's resident set grew by when documents were made
//! first.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use viewtide::change::{Change, Op};
use viewtide::engine::Engine;
use viewtide::sql::plan::{Plan, TableId, ViewId};
use viewtide::sql::{Definitions, SourceFile, plan_views};
use viewtide::value::{Decimal, Key, Row, RowWriter, Value};

const VIEW: ViewId = ViewId(0);
const SMALL: i64 = 1_000;
const LARGE: i64 = 1_000_000;
/// Changes of each kind that are measured.
const CHANGES: i64 = 2_000;
/// Changes of one group before it is the other's turn.
const TURN: usize = 100;

/// Makes the change of a number.
type MakeChange = fn(&mut Payments, i64) -> Change;

/// By what they do to the group. The least and the greatest of all amounts come and go.
const KINDS: [(&str, MakeChange); 6] = [
    ("insert of the newest", |g, i| g.upsert(g.rows + 1 + i, 700_000 + i)),
    ("update of the newest", |g, i| g.upsert(g.rows + CHANGES, 600_000 + i)),
    ("delete of the newest", |g, i| g.delete(g.rows + CHANGES - i)),
    ("update in the middle", |g, i| g.upsert(i * 7919 % g.rows + 1, 400_000 + i)),
    ("update of the MIN", |g, i| g.upsert(g.middle(i), if i % 2 == 0 { -1 } else { 500_000 })),
    ("update of the MAX", |g, i| {
        g.upsert(g.middle(i), if i % 2 == 0 { 90_000_000 } else { 500_000 })
    }),
];

const TABLES: &str = "
CREATE TABLE accounts (id INT PRIMARY KEY, name VARCHAR(20));
CREATE TABLE payments (id INT PRIMARY KEY, account INT, shop INT, amount DECIMAL(10,2), at TIMESTAMP(6) NULL);
";
const SUMS: &str = "
CREATE VIEW v AS SELECT a.id, s.payments, s.total, s.least, s.most, n.amount AS newest, n.at
FROM accounts AS a
JOIN LATERAL (SELECT COUNT(*) AS payments, SUM(p.amount) AS total, MIN(p.amount) AS least, MAX(p.amount) AS most
  FROM payments AS p WHERE p.account = a.id) AS s ON TRUE
LEFT JOIN LATERAL (SELECT p.amount, p.at FROM payments AS p WHERE p.account = a.id ORDER BY p.at DESC, p.id DESC LIMIT 1) AS n ON TRUE;
";
const SHOPS: &str = "
CREATE VIEW v AS SELECT a.id,
  (SELECT COUNT(DISTINCT p.shop) FROM payments AS p WHERE p.account = a.id) AS shops,
  EXISTS (SELECT 1 FROM payments AS p WHERE p.account = a.id AND p.amount < 0) AS refunded
FROM accounts AS a;
";
const ANY: &str = "
CREATE VIEW v AS SELECT a.id, EXISTS (SELECT 1 FROM payments AS p WHERE p.account = a.id) AS paid FROM accounts AS a;
";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let given = arguments.iter().position(|argument| argument == "--rows");
    let large = given.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(LARGE);
    for (view, select) in [("sums, newest", SUMS), ("shops, refunded", SHOPS), ("any", ANY)] {
        let [small, many, one] = [(SMALL, 1), (large, large / SMALL), (large, 1)]
            .map(|(rows, groups)| Payments::new(select, rows, groups));
        println!(
            "{view:<20}  {:>15}  {:>15}  {:>15}  one, by small  by many",
            "1 of 1000",
            format!("{} of 1000", large / SMALL),
            format!("1 of {large}")
        );
        println!(
            "{:<20}  {:>12.0} B  {:>12.0} B  {:>12.0} B",
            "kept of a row", small.kept, many.kept, one.kept
        );
        let mut tables = [small, many, one];
        let mut sums = [0.0; 3];
        for (kind, change) in KINDS {
            let times = medians(&mut tables, change);
            show(kind, times);
            for (sum, time) in sums.iter_mut().zip(times) {
                *sum += time / KINDS.len() as f64;
            }
        }
        show("a change of any kind", sums);
    }
}

/// Prints a line of the table, in µs.
fn show(kind: &str, [small, many, one]: [f64; 3]) {
    let ratios = (one / small, one / many);
    println!(
        "{kind:<20}  {small:>12.2} µs  {many:>12.2} µs  {one:>12.2} µs  {:>13.2}  {:>7.2}",
        ratios.0, ratios.1
    );
}

/// The medians of a change and its document, in µs, in each of the tables: by turns, so that what the
/// machine is about is the same for all.
fn medians(tables: &mut [Payments; 3], change: MakeChange) -> [f64; 3] {
    let mut times = [const { Vec::new() }; 3];
    for start in (0..CHANGES).step_by(TURN) {
        for (table, times) in tables.iter_mut().zip(&mut times) {
            times.extend((start..start + TURN as i64).map(|i| table.time(change, i)));
        }
    }
    times.map(median)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Accounts with many payments.
struct Payments {
    engine: Engine,
    payments: TableId,
    /// Those that the view reads.
    columns: Vec<String>,
    writer: RowWriter,
    rows: i64,
    accounts: i64,
    /// What the process grew by with the first documents, in bytes a payment.
    kept: f64,
}

impl Payments {
    fn new(select: &str, rows: i64, accounts: i64) -> Payments {
        let plan = plan(select);
        let table = |name: &str| plan.tables_with_ids().find(|(_, t)| t.name == name).unwrap();
        let ((owners, account), (payments, payment)) = (table("accounts"), table("payments"));
        let mut engine = Engine::new(Arc::clone(&plan));
        let mut row = RowWriter::new(&account.layout);
        for id in 1..=accounts {
            row.set_number(0, id);
            engine.apply(Change { table: owners, op: Op::Upsert(row.finish()) });
        }
        let writer = RowWriter::new(&payment.layout);
        let columns = payment.columns.iter().map(|column| column.name.clone()).collect();
        let mut made = Payments { engine, payments, columns, writer, rows, accounts, kept: 0.0 };
        for id in 1..=rows {
            let row = made.payment(id, amount(id));
            made.engine.apply(Change { table: payments, op: Op::Upsert(row) });
        }
        made.engine.set_live(VIEW, true);
        // What is kept of a long list is made when it is needed again.
        let before = resident_bytes();
        for id in (0..3).flat_map(|_| 1..=accounts) {
            black_box(made.engine.document(VIEW, &key(id)));
        }
        made.kept = resident_bytes().saturating_sub(before) as f64 / rows as f64;
        made
    }

    /// The time of a change and its document, in µs.
    fn time(&mut self, change: MakeChange, i: i64) -> f64 {
        let change = change(self, i);
        let start = Instant::now();
        self.engine.apply(change);
        let touched = self.engine.take_touched();
        for (view, key) in &touched.documents {
            black_box(self.engine.assemble(*view, key));
        }
        start.elapsed().as_secs_f64() * 1e6
    }

    /// A row of some in the middle.
    fn middle(&self, i: i64) -> i64 {
        self.rows / 2 + i % 7
    }

    fn upsert(&mut self, id: i64, amount: i64) -> Change {
        let row = self.payment(id, amount);
        Change { table: self.payments, op: Op::Upsert(row) }
    }

    fn delete(&mut self, id: i64) -> Change {
        Change { table: self.payments, op: Op::Delete(key(id)) }
    }

    fn payment(&mut self, id: i64, amount: i64) -> Row {
        for (i, name) in self.columns.iter().enumerate() {
            let value = match name.as_str() {
                "id" => Value::Int(id),
                "account" => Value::Int(1 + id % self.accounts),
                "shop" => Value::Int(amount % 97),
                "amount" => Value::Decimal(Decimal::new(amount, 2)),
                _ => Value::Timestamp(1_700_000_000_000_000 + id * 1_000_000),
            };
            self.writer.set(i, &value);
        }
        self.writer.finish()
    }
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// An amount in cents.
fn amount(id: i64) -> i64 {
    100_000 + id * 7919 % 600_000
}

fn key(id: i64) -> Key {
    let mut key = Key::new();
    key.push(&Value::Int(id));
    key
}

fn plan(select: &str) -> Arc<Plan> {
    let file = |text: &str| vec![SourceFile { path: "bench.sql".into(), text: text.into() }];
    let (tables, views) = (file(TABLES), file(select));
    Arc::new(plan_views(&Definitions { tables, streams: Vec::new(), views }).unwrap())
}

//! Writes orders with their items in single transactions, and events, until told to stop.
//!
//! Every transaction leaves what a reader can hold against itself (see the view `order_sheets`).
//! New values follow from those in the database alone, so that a commit whose answer was lost with
//! MySQL does no harm. Ids are never used twice: who was deleted does not come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::json;
use tokio::task::JoinHandle;

/// Customers at all times.
pub(crate) const CUSTOMERS: i64 = 40;

/// Orders in the beginning.
const ORDERS: i64 = 160;

/// Most orders, so that a list shows all of them on one page.
const ORDERS_MAX: usize = 400;

/// Items of each order.
const ITEMS: i64 = 3;

/// Wait before MySQL is asked again after it refused.
const RETRY: Duration = Duration::from_millis(200);

/// How long an event may wait for the broker.
const EVENT_WAIT: Duration = Duration::from_secs(120);

/// Where to write.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) mysql_url: String,
    pub(crate) brokers: String,
    pub(crate) event_topic: String,
}

/// How much and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) transactions_per_second: u64,
    pub(crate) events_per_second: u64,
    /// MySQL's clock jumps an hour back and forth between transactions.
    pub(crate) clock_jumps: bool,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { transactions_per_second: 25, events_per_second: 15, clock_jumps: false }
    }
}

/// What has been written.
#[derive(Debug, Default)]
struct Done {
    transactions: AtomicU64,
    events: AtomicU64,
    stopped: AtomicBool,
}

/// Writers at work.
pub(crate) struct Load {
    done: Arc<Done>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts both writers.
    pub(crate) fn start(target: &Target, seed: u64, pace: Pace) -> Load {
        let done = Arc::new(Done::default());
        let random = StdRng::seed_from_u64(seed);
        let writer = Writer {
            url: target.mysql_url.clone(),
            random: random.clone(),
            orders: Vec::new(),
            next: ORDERS + 1,
            pace,
        };
        let tasks = vec![
            tokio::spawn(writer.run(Arc::clone(&done))),
            tokio::spawn(push_events(target.clone(), random, pace, Arc::clone(&done))),
        ];
        Load { done, tasks }
    }

    /// Transactions committed and events acknowledged so far.
    pub(crate) fn written(&self) -> (u64, u64) {
        (self.done.transactions.load(Ordering::Relaxed), self.done.events.load(Ordering::Relaxed))
    }

    /// Ends both writers after what they are at.
    pub(crate) async fn stop(&mut self) {
        self.done.stopped.store(true, Ordering::Relaxed);
        for task in self.tasks.drain(..) {
            task.await.unwrap();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Orders that others than the load write to.
pub(crate) const OWN_ORDERS: [i64; 3] = [1_000_000, 1_000_001, 1_000_002];

/// The load's own orders.
const ORDERS_THERE: &str = "SELECT order_id FROM orders WHERE order_id < 1000000 ORDER BY order_id";

/// The rows that are there before anything is captured.
pub(crate) fn first_rows() -> String {
    let customers = (1..=CUSTOMERS).map(|id| format!("({id}, '0', 0)")).collect::<Vec<_>>();
    let orders = (1..=ORDERS)
        .map(|id| format!("({id}, {}, {ITEMS}, 0, 0)", 1 + id % CUSTOMERS))
        .collect::<Vec<_>>();
    let items = (1..=ORDERS)
        .flat_map(|id| (0..ITEMS).map(move |_| format!("({id}, 1, 1, 0)")))
        .collect::<Vec<_>>();
    let own = OWN_ORDERS.map(|order| new_order(order, 1)).concat();
    format!(
        "{own}INSERT INTO customers VALUES {};\n\
         INSERT INTO orders VALUES {};\n\
         INSERT INTO order_items (order_id, quantity, price, version) VALUES {};\n",
        customers.join(", "),
        orders.join(", "),
        items.join(", ")
    )
}

/// Changes an order and all its items; `credit` is added to what the order has.
pub(crate) fn change_order(order: i64, credit: i64, quantity: i64) -> String {
    format!(
        "UPDATE orders SET version = version + 1, credit = credit + {credit} WHERE order_id = {order};\n\
         UPDATE order_items SET quantity = 1 + (quantity + {quantity} + id) % 50, version = version + 1 \
           WHERE order_id = {order};\n\
         UPDATE orders SET total = (SELECT SUM(i.quantity * i.price) FROM order_items AS i \
           WHERE i.order_id = {order}) WHERE order_id = {order};\n"
    )
}

/// Statements that take effect at once: the witness looks on.
pub(crate) fn in_one_transaction(statements: &str) -> String {
    format!("BEGIN;\n{statements}COMMIT;\n")
}

/// A new order with its items.
pub(crate) fn new_order(order: i64, customer: i64) -> String {
    let items = (1..=ITEMS).map(|n| format!("({order}, {n}, {n}.25, 1)")).collect::<Vec<_>>();
    let total: i64 = (1..=ITEMS).map(|n| n * (100 * n + 25)).sum();
    format!(
        "INSERT INTO orders VALUES ({order}, {customer}, {}.{:02}, 0, 1);\n\
         INSERT INTO order_items (order_id, quantity, price, version) VALUES {};\n",
        total / 100,
        total % 100,
        items.join(", ")
    )
}

struct Writer {
    url: String,
    random: StdRng,
    orders: Vec<i64>,
    next: i64,
    pace: Pace,
}

impl Writer {
    async fn run(mut self, done: Arc<Done>) {
        let mut connection = None;
        while !done.stopped.load(Ordering::Relaxed) {
            let wait = match self.transact(&mut connection).await {
                Ok(()) => {
                    done.transactions.fetch_add(1, Ordering::Relaxed);
                    let mean = 1_000_000 / self.pace.transactions_per_second;
                    Duration::from_micros(self.random.random_range(0..2 * mean))
                }
                Err(_) => {
                    connection = None;
                    RETRY
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    async fn transact(&mut self, connection: &mut Option<Conn>) -> mysql_async::Result<()> {
        let connection = match connection {
            Some(connection) => connection,
            None => {
                let mut new = Conn::from_url(&self.url).await?;
                // Whether the last transaction was committed nobody has said.
                self.orders = new.query(ORDERS_THERE).await?;
                connection.insert(new)
            }
        };
        let clock = match self.pace.clock_jumps {
            true => {
                let jump = self.random.random_range(-3600..3600);
                format!("SET timestamp = UNIX_TIMESTAMP(SYSDATE()) + {jump};\n")
            }
            false => String::new(),
        };
        let statements = self.statements();
        connection.query_drop(format!("{clock}BEGIN;\n{statements}COMMIT")).await
    }

    /// One transaction.
    fn statements(&mut self) -> String {
        let customer = self.random.random_range(1..=CUSTOMERS);
        match self.random.random_range(0..20) {
            0..=2 => format!(
                "UPDATE customers SET phone = CONCAT('0', version), version = version + 1 \
                 WHERE customer_id = {customer};\n"
            ),
            3 | 4 if self.orders.len() < ORDERS_MAX => {
                let order = self.next;
                self.next += 1;
                self.orders.push(order);
                new_order(order, customer)
            }
            5 => format!(
                "{}UPDATE orders SET customer_id = {customer} WHERE order_id = {};\n",
                self.transfer(),
                self.any_order()
            ),
            6 | 7 if self.orders.len() > 10 => {
                let at = self.random.random_range(0..self.orders.len());
                let gone = self.orders.swap_remove(at);
                let heir = self.any_order();
                format!(
                    "SET @credit = (SELECT COALESCE(SUM(credit), 0) FROM orders WHERE order_id = {gone});\n\
                     UPDATE orders SET credit = credit + @credit WHERE order_id = {heir};\n\
                     DELETE FROM orders WHERE order_id = {gone};\n\
                     DELETE FROM order_items WHERE order_id = {gone};\n"
                )
            }
            _ => self.transfer(),
        }
    }

    /// Credit from one order to another, both changed in full.
    fn transfer(&mut self) -> String {
        let [from, to] = [self.any_order(), self.any_order()];
        let (credit, quantity) =
            (self.random.random_range(1..100), self.random.random_range(0..50));
        change_order(from, -credit, quantity) + &change_order(to, credit, quantity)
    }

    fn any_order(&mut self) -> i64 {
        *self.orders.choose(&mut self.random).unwrap()
    }
}

async fn push_events(target: Target, mut random: StdRng, pace: Pace, done: Arc<Done>) {
    if pace.events_per_second == 0 {
        return;
    }
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &target.brokers).set("acks", "all");
    client.set("message.timeout.ms", EVENT_WAIT.as_millis().to_string());
    let producer: FutureProducer = client.create().unwrap();
    for id in 1_u64.. {
        if done.stopped.load(Ordering::Relaxed) {
            return;
        }
        let order = random.random_range(1..=ORDERS);
        let event = json!({"id": id, "order_id": order, "status": id.to_string(), "updated_at": 1_900_000_000 + id});
        let body = event.to_string();
        let record: FutureRecord<'_, (), String> =
            FutureRecord::to(&target.event_topic).payload(&body);
        // Whether a failed one is there after all is Kafka's to say: it is the judge of events.
        if producer.send(record, EVENT_WAIT).await.is_ok() {
            done.events.fetch_add(1, Ordering::Relaxed);
        }
        let mean = 1_000_000 / pace.events_per_second;
        tokio::time::sleep(Duration::from_micros(random.random_range(0..2 * mean))).await;
    }
}

//! The events, and the producer that sends them.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::Rng as _;
use rand::rngs::StdRng;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, ProducerContext, ThreadedProducer};

use crate::Tally;

/// The way of every order.
const STATUSES: [&str; 5] = ["received", "preparing", "cooked", "delivered", "finished"];
/// Events that may wait for the brokers.
const QUEUE_EVENTS_MAX: &str = "100000";
/// How long an event is tried for, in milliseconds.
const EVENT_TIMEOUT_MS: &str = "120000";

/// Makes events: each takes a random order one status further.
pub(crate) struct Events {
    orders: Range<i64>,
    /// Place in STATUSES of each order's next event.
    next: Vec<u8>,
    last_id: u64,
    jitter: Duration,
    random: StdRng,
}

/// One event of one order.
pub(crate) struct Event {
    id: u64,
    order_id: i64,
    status: &'static str,
    /// Microseconds since 1970.
    updated_at: u64,
}

impl Events {
    pub(crate) fn new(orders: Range<i64>, jitter: Duration, random: StdRng) -> Events {
        let next = vec![0; (orders.end - orders.start) as usize];
        Events { orders, next, last_id: 0, jitter, random }
    }

    pub(crate) fn next_event(&mut self) -> Event {
        let place = self.random.random_range(0..self.next.len());
        let status = STATUSES[usize::from(self.next[place])];
        self.next[place] = (self.next[place] + 1) % STATUSES.len() as u8;
        self.last_id += 1;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let back = self.random.random_range(0..=self.jitter.as_micros() as u64);
        Event {
            id: self.last_id,
            order_id: self.orders.start + place as i64,
            status,
            updated_at: now.as_micros() as u64 - back,
        }
    }
}

impl Event {
    fn to_json(&self) -> String {
        let Event { id, order_id, status, updated_at } = self;
        let (seconds, micros) = (updated_at / 1_000_000, updated_at % 1_000_000);
        format!(
            r#"{{"id": {id}, "order_id": {order_id}, "status": "{status}", "updated_at": {seconds}.{micros:06}}}"#
        )
    }
}

/// Sends events in the background, each written once and to all replicas.
pub(crate) struct Sender {
    producer: ThreadedProducer<Deliveries>,
    topic: String,
    tally: Arc<Tally>,
}

impl Sender {
    /// Does not wait for the brokers.
    pub(crate) fn new(brokers: &str, topic: &str, tally: Arc<Tally>) -> anyhow::Result<Sender> {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", "2")
            .set("message.timeout.ms", EVENT_TIMEOUT_MS)
            .set("queue.buffering.max.messages", QUEUE_EVENTS_MAX)
            .create_with_context(Deliveries {
                tally: Arc::clone(&tally),
                trouble: Mutex::default(),
            })?;
        Ok(Sender { producer, topic: topic.to_owned(), tally })
    }

    /// Hands an event over; false if the queue is full.
    pub(crate) fn send(&self, event: &Event) -> anyhow::Result<bool> {
        let (key, value) = (event.order_id.to_string(), event.to_json());
        match self.producer.send(BaseRecord::to(&self.topic).key(&key).payload(&value)) {
            Ok(()) => Ok(true),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Ok(false),
            Err((error, _)) => Err(error.into()),
        }
    }

    /// Waits until everything sent is acknowledged or has failed, at most this long. (The
    /// producer's own count of what is under way falls before its answers are counted here.)
    pub(crate) async fn wait_until_acknowledged(&self, at_most: Duration) {
        let deadline = Instant::now() + at_most;
        while self.tally.is_waiting_for_events() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Counts what the brokers acknowledge.
struct Deliveries {
    tally: Arc<Tally>,
    /// What was last said about the brokers.
    trouble: Mutex<String>,
}

impl ClientContext for Deliveries {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        // That all brokers are down follows from what was said about each.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            self.tell(reason);
        }
    }
}

impl Deliveries {
    /// Says it once, not at every attempt.
    fn tell(&self, reason: &str) {
        // What follows differs from one attempt to the next.
        let reason = reason.split(" (after").next().unwrap_or(reason);
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if *trouble != reason {
            eprintln!("event-pusher: kafka: {reason}");
            reason.clone_into(&mut trouble);
        }
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let counter = match result {
            Ok(_) => &self.tally.events_acknowledged,
            Err((error, _)) => {
                self.tell(&error.to_string());
                &self.tally.events_failed
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn each_order_goes_through_its_statuses() {
        let mut events = Events::new(5..8, Duration::from_secs(10), StdRng::seed_from_u64(1));
        let mut seen = vec![Vec::new(); 3];
        for id in 1..=100 {
            let event = events.next_event();
            assert_eq!(event.id, id);
            seen[(event.order_id - 5) as usize].push(event.status);
        }
        for statuses in seen {
            assert!(statuses.len() > 5);
            assert!(statuses.iter().zip(STATUSES.iter().cycle()).all(|(a, b)| a == b));
        }
    }

    #[test]
    fn an_event_is_json_with_a_fraction_of_six_digits() {
        let event =
            Event { id: 1, order_id: 17, status: "cooked", updated_at: 1_725_290_973_000_450 };
        let want =
            r#"{"id": 1, "order_id": 17, "status": "cooked", "updated_at": 1725290973.000450}"#;
        assert_eq!(event.to_json(), want);
        serde_json::from_str::<serde_json::Value>(&event.to_json()).unwrap();
    }
}

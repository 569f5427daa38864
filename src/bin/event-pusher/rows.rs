//! Row changes in the shop's tables: everything that a view has to follow.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error, Opts, Params, params};
use rand::Rng as _;
use rand::rngs::StdRng;
use tokio::sync::watch;

use crate::Tally;

/// How long to wait before MySQL is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// Orders and users of our own that are kept at once; older ones are deleted first.
const OWN_MAX: usize = 50;

const NAMES: [&str; 6] = ["Linen Shirt", "Oak Chair", "Tin Lamp", "Wool Hat", "Glass Bowl", "Rug"];
const CITIES: [&str; 5] = ["Nealview", "Port Callista", "Lakemoor", "East Holloway", "Marlin Bay"];

/// Changes rows of a range of orders and what belongs to them, one transaction after another.
pub(crate) struct Changer {
    options: Opts,
    orders: Range<i64>,
    random: StdRng,
    tally: Arc<Tally>,
    /// Orders inserted here, oldest first.
    own_orders: Vec<i64>,
    /// Users inserted here, oldest first.
    own_users: Vec<i64>,
}

/// How a transaction ended.
enum Outcome {
    Committed,
    RolledBack,
}

impl Changer {
    pub(crate) fn new(
        options: Opts,
        orders: Range<i64>,
        random: StdRng,
        tally: Arc<Tally>,
    ) -> Changer {
        Changer { options, orders, random, tally, own_orders: Vec::new(), own_users: Vec::new() }
    }

    /// Changes rows at this rate, in transactions a second, until stopped. What MySQL could not
    /// keep up with is not made up for.
    pub(crate) async fn run(mut self, rate: f64, mut stopped: watch::Receiver<bool>) {
        let period = Duration::from_secs_f64(1.0 / rate);
        let mut due = Instant::now();
        let mut connection: Option<Conn> = None;
        while !*stopped.borrow() {
            let result = match &mut connection {
                Some(open) => self.change(open).await,
                None => match Conn::new(self.options.clone()).await {
                    Ok(open) => {
                        connection = Some(open);
                        continue;
                    }
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = result {
                eprintln!("event-pusher: mysql: {error}");
                connection = None;
                self.tally.transactions_failed.fetch_add(1, Ordering::Relaxed);
                due = Instant::now() + RETRY;
            }
            due = (due + period).max(Instant::now() - period);
            tokio::select! {
                () = tokio::time::sleep_until(due.into()) => {}
                _ = stopped.changed() => {}
            }
        }
        if let Some(open) = connection {
            let _ = open.disconnect().await;
        }
    }

    /// One transaction. What MySQL refuses (a deadlock, a parent that is gone) is rolled back.
    async fn change(&mut self, connection: &mut Conn) -> Result<(), Error> {
        connection.query_drop("START TRANSACTION").await?;
        let outcome = match self.statements(connection).await {
            Ok(outcome) => outcome,
            Err(Error::Server(_)) => Outcome::RolledBack,
            Err(error) => return Err(error),
        };
        let counter = match outcome {
            Outcome::Committed => {
                connection.query_drop("COMMIT").await?;
                &self.tally.transactions_committed
            }
            Outcome::RolledBack => {
                connection.query_drop("ROLLBACK").await?;
                &self.tally.transactions_rolled_back
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn statements(&mut self, connection: &mut Conn) -> Result<Outcome, Error> {
        let order = self.random.random_range(self.orders.clone());
        match self.random.random_range(0..100) {
            0..15 => self.change_phone(connection, order).await?,
            15..35 => self.change_price(connection, order).await?,
            35..50 => self.change_order(connection, order).await?,
            50..58 => self.insert_item(connection, order).await?,
            58..64 => self.delete_item(connection, order).await?,
            64..70 => self.insert_address(connection, order).await?,
            70..75 => self.delete_address(connection, order).await?,
            75..80 => self.move_order(connection, order).await?,
            80..87 => self.insert_order(connection, order).await?,
            87..91 => self.delete_order(connection).await?,
            91..93 => self.insert_user(connection).await?,
            93..95 => self.delete_user(connection).await?,
            95..98 => {
                self.change_phone(connection, order).await?;
                self.change_order(connection, order).await?;
                self.change_price(connection, order).await?;
                self.insert_item(connection, order).await?;
            }
            _ => {
                self.change_phone(connection, order).await?;
                return Ok(Outcome::RolledBack);
            }
        }
        Ok(Outcome::Committed)
    }

    async fn change_phone(&mut self, connection: &mut Conn, order: i64) -> Result<(), Error> {
        let phone = match self.random.random_range(0..20) {
            0 => None,
            _ => Some(format!("1{:09}", self.random.random_range(0..1_000_000_000))),
        };
        let statement = "UPDATE users JOIN orders USING (user_id) SET phone = :phone \
                         WHERE order_id = :order";
        run(connection, statement, params! { phone, order }).await
    }

    async fn change_price(&mut self, connection: &mut Conn, order: i64) -> Result<(), Error> {
        let (price, quantity) = (self.price(), self.random.random_range(1..10));
        let statement = "UPDATE order_items SET price = :price, quantity = :quantity \
                         WHERE order_id = :order ORDER BY id LIMIT 1";
        run(connection, statement, params! { price, quantity, order }).await
    }

    async fn change_order(&mut self, connection: &mut Conn, order: i64) -> Result<(), Error> {
        let total = self.price();
        let statement = if self.random.random_bool(0.5) {
            "UPDATE orders SET total = :total WHERE order_id = :order"
        } else {
            "UPDATE orders SET total = :total, order_status = 'Changed', updated_date = NOW() \
             WHERE order_id = :order"
        };
        run(connection, statement, params! { total, order }).await
    }

    async fn insert_item(&mut self, connection: &mut Conn, order: i64) -> Result<(), Error> {
        let name = NAMES[self.random.random_range(0..NAMES.len())];
        let (quantity, price) = (self.random.random_range(1..10), self.price());
        let statement = "INSERT INTO order_items (order_id, name, quantity, price) \
                         VALUES (:order, :name, :quantity, :price)";
        run(connection, statement, params! { order, name, quantity, price }).await
    }

    async fn delete_item(&mut self, connection: &mut Conn, order: i64) -> Result<(), Error> {
        let statement = "DELETE FROM order_items WHERE order_id = :order ORDER BY id DESC LIMIT 1";
        run(connection, statement, params! { order }).await
    }

    async fn insert_address(&mut self, connection: &mut Conn, order: i64) -> Result<(), Error> {
        let city = CITIES[self.random.random_range(0..CITIES.len())];
        let street = format!("{} Harbour Row", self.random.random_range(1..1000));
        let state = self.random.random_bool(0.7).then_some("Louisiana");
        let statement = "INSERT INTO addresses (user_id, street, city, state, country) \
                         SELECT user_id, :street, :city, :state, 'Rwanda' FROM orders \
                         WHERE order_id = :order";
        run(connection, statement, params! { street, city, state, order }).await
    }

    async fn delete_address(&mut self, connection: &mut Conn, order: i64) -> Result<(), Error> {
        let statement = "DELETE FROM addresses WHERE user_id = \
                         (SELECT user_id FROM orders WHERE order_id = :order) \
                         ORDER BY address_id DESC LIMIT 1";
        run(connection, statement, params! { order }).await
    }

    /// To the user of another order.
    async fn move_order(&mut self, connection: &mut Conn, order: i64) -> Result<(), Error> {
        let other = self.random.random_range(self.orders.clone());
        let statement = "UPDATE orders JOIN (SELECT user_id FROM orders WHERE order_id = :other) \
                         AS other SET orders.user_id = other.user_id WHERE order_id = :order";
        run(connection, statement, params! { other, order }).await
    }

    /// A new order of the user of another one, with two items.
    async fn insert_order(&mut self, connection: &mut Conn, order: i64) -> Result<(), Error> {
        let total = self.price();
        let statement = "INSERT INTO orders (user_id, total, order_status) \
                         SELECT user_id, :total, 'Created' FROM orders WHERE order_id = :order";
        run(connection, statement, params! { total, order }).await?;
        let Some(inserted) = inserted(connection) else { return Ok(()) };
        self.insert_item(connection, inserted).await?;
        self.insert_item(connection, inserted).await?;
        self.own_orders.push(inserted);
        if self.own_orders.len() > OWN_MAX {
            self.delete_order(connection).await?;
        }
        Ok(())
    }

    /// The oldest order inserted here, every other time without its items.
    async fn delete_order(&mut self, connection: &mut Conn) -> Result<(), Error> {
        if self.own_orders.is_empty() {
            return Ok(());
        }
        let order = self.own_orders.remove(0);
        run(connection, "DELETE FROM orders WHERE order_id = :order", params! { order }).await?;
        if self.random.random_bool(0.5) {
            let statement = "DELETE FROM order_items WHERE order_id = :order";
            run(connection, statement, params! { order }).await?;
        }
        Ok(())
    }

    /// A user with an address and an order.
    async fn insert_user(&mut self, connection: &mut Conn) -> Result<(), Error> {
        let email = format!("{:016x}@example.com", self.random.random::<u64>());
        let statement = "INSERT INTO users (name, email) VALUES ('Ada Example', :email)";
        run(connection, statement, params! { email }).await?;
        let Some(user) = inserted(connection) else { return Ok(()) };
        let statement = "INSERT INTO addresses (user_id, street, city, country) \
                         VALUES (:user, '1 Quay', 'Nealview', 'Rwanda')";
        run(connection, statement, params! { user }).await?;
        let statement = "INSERT INTO orders (user_id, total) VALUES (:user, 1.00)";
        run(connection, statement, params! { user }).await?;
        self.own_users.push(user);
        if self.own_users.len() > OWN_MAX {
            self.delete_user(connection).await?;
        }
        Ok(())
    }

    /// The oldest user inserted here, and by cascade all that refers to it.
    async fn delete_user(&mut self, connection: &mut Conn) -> Result<(), Error> {
        if self.own_users.is_empty() {
            return Ok(());
        }
        let user = self.own_users.remove(0);
        run(connection, "DELETE FROM users WHERE user_id = :user", params! { user }).await
    }

    fn price(&mut self) -> String {
        format!("{}.{:02}", self.random.random_range(1..500), self.random.random_range(0..100))
    }
}

async fn run(connection: &mut Conn, statement: &str, params: Params) -> Result<(), Error> {
    connection.exec_drop(statement, params).await
}

/// The key that the last INSERT was given.
fn inserted(connection: &Conn) -> Option<i64> {
    connection.last_insert_id().filter(|id| *id > 0).map(|id| id as i64)
}

//! The shop at a given size and what happens to it, the same for every run: a fixed seed.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Zipf};
use viewtide::change::{Change, Op};
use viewtide::sql::plan::{Plan, TableId};
use viewtide::value::{Decimal, Key, Row, RowWriter, Value};

const SEED: u64 = 17;
/// 2024-09-02T17:21:02Z.
const EPOCH: i64 = 1_725_297_662_000_000;
const SECOND: i64 = 1_000_000;

const FIRST: [&str; 8] =
    ["Ada", "Bartholomew", "Chidi", "Dolores", "Emil", "Fatoumata", "Guadalupe", "Hana"];
const LAST: [&str; 8] =
    ["Abernathy", "Berge", "Cruickshank", "Dach", "Emmerich", "Feest", "Gutkowski", "Herzog"];
const PLACES: [(&str, &str, &str); 6] = [
    ("Nealview", "Louisiana", "Rwanda"),
    ("West Cordieport", "North Carolina", "Trinidad and Tobago"),
    ("Lake Ubaldo", "Maine", "France"),
    ("Port Hermina", "New Mexico", "Cote d'Ivoire"),
    ("Yundtburgh", "Iowa", "Norway"),
    ("Schroedermouth", "Hawaii", "Netherlands"),
];
const PRODUCTS: [&str; 6] = [
    "Modern Cotton Hat",
    "Sleek Hat",
    "Handcrafted Granite Chair",
    "Ergonomic Rubber Gloves",
    "Tasty Soap",
    "Intelligent Steel Keyboard",
];
const STATUSES: [&str; 5] = ["received", "preparing", "cooked", "delivered", "finished"];

/// How keys are chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keys {
    /// All alike.
    Uniform,
    /// Zipf with exponent 0.99, the hot ones scattered.
    Zipf,
}

/// Makes changes.
pub(crate) struct Workload {
    tables: BTreeMap<&'static str, Packer>,
    orders: u64,
    rng: StdRng,
    keys: Keys,
    zipf: Zipf<f64>,
    next_event: i64,
    last: Option<Change>,
}

/// Packs rows of one table, as far as it is held.
struct Packer {
    table: TableId,
    writer: RowWriter,
    places: BTreeMap<String, usize>,
}

impl Workload {
    /// A shop of so many orders, for a plan over its tables.
    pub(crate) fn new(plan: &Arc<Plan>, orders: u64) -> Workload {
        let names = ["users", "addresses", "orders", "order_items", "order_updates"];
        let packer = |name: &'static str| {
            let (table, plan) =
                plan.tables_with_ids().find(|(_, table)| table.name == name).expect("a shop table");
            let columns = plan.columns.iter().enumerate();
            let places = columns.map(|(place, column)| (column.name.clone(), place)).collect();
            (name, Packer { table, writer: RowWriter::new(&plan.layout), places })
        };
        Workload {
            tables: names.into_iter().map(packer).collect(),
            orders,
            rng: StdRng::seed_from_u64(SEED),
            keys: Keys::Uniform,
            zipf: Zipf::new(orders as f64, 0.99).expect("an exponent above 0"),
            next_event: 0,
            last: None,
        }
    }

    /// Chooses keys in another way from now on.
    pub(crate) fn choose(&mut self, keys: Keys) {
        self.keys = keys;
    }

    /// All rows: users, addresses, orders, items, one status event an order.
    pub(crate) fn load(&mut self) -> impl Iterator<Item = Change> {
        let orders = self.orders;
        let parts = [orders / 5, orders / 4, orders, orders * 5 / 2, orders];
        let all = parts
            .into_iter()
            .enumerate()
            .flat_map(|(part, count)| (1..=count as i64).map(move |id| (part, id)));
        all.map(|(part, id)| match part {
            0 => self.user(id),
            1 => self.address(id),
            2 => self.order(id, None),
            3 => self.item(id, None),
            _ => self.event(id, 0),
        })
    }

    /// The next change of the steady mix.
    pub(crate) fn next(&mut self) -> Change {
        let draw = self.rng.random_range(0..1000);
        let change = match draw {
            0..10 => self.removal_or_move(),
            10..20 if self.last.is_some() => return self.last.clone().expect("just seen"),
            20..610 => {
                let late = if self.rng.random_range(0..100) == 0 { 3600 } else { 0 };
                let order = self.draw(self.orders);
                self.event(order, late)
            }
            610..860 => {
                let id = self.draw(self.orders * 5 / 2);
                self.item(id, None)
            }
            860..955 => {
                let id = self.draw(self.orders);
                self.order(id, None)
            }
            955..978 => {
                let id = self.draw(self.orders / 5);
                self.user(id)
            }
            _ => {
                let id = self.draw(self.orders / 4);
                self.address(id)
            }
        };
        self.last = Some(change.clone());
        change
    }

    /// An order that goes to this user.
    pub(crate) fn hand_over(&mut self, order: i64, user: i64) -> Change {
        self.order(order, Some(user - 1))
    }

    /// Something about this user changes.
    pub(crate) fn change_user(&mut self, user: i64) -> Change {
        self.user(user)
    }

    fn removal_or_move(&mut self) -> Change {
        let (order, other) = (self.draw(self.orders), self.draw(self.orders));
        match self.rng.random_range(0..4) {
            0 => self.order(order, Some(other)),
            1 => self.item(order, Some(other)),
            2 => self.delete("order_items", &Value::UInt(order as u64)),
            _ => self.delete("orders", &Value::Int(order)),
        }
    }

    fn draw(&mut self, count: u64) -> i64 {
        let rank = match self.keys {
            Keys::Uniform => self.rng.random_range(0..count),
            Keys::Zipf => self.zipf.sample(&mut self.rng) as u64,
        };
        // A multiplier prime to the counts in use scatters neighbouring ranks.
        (rank.wrapping_mul(7_368_787) % count + 1) as i64
    }

    fn user(&mut self, id: i64) -> Change {
        let name = format!("{} {}", self.any(&FIRST), self.any(&LAST));
        let phone = format!("{:010}", self.rng.random_range(0..10_000_000_000u64));
        let email = format!("{}.{id}@example.net", name.to_lowercase().replace(' ', "."));
        self.upsert(
            "users",
            &[
                ("user_id", Value::Int(id)),
                ("name", Value::Text(name.into())),
                ("email", Value::Text(email.into())),
                ("phone", Value::Text(phone.into())),
                ("created_at", Value::Timestamp(EPOCH)),
            ],
        )
    }

    fn address(&mut self, id: i64) -> Change {
        let users = (self.orders / 5) as i64;
        let (city, state, country) = PLACES[self.rng.random_range(0..PLACES.len())];
        let street = format!("{} {} Dam", self.rng.random_range(1..999), self.any(&LAST));
        let postal_code = format!("{:05}-{:04}", self.rng.random_range(0..99_999), id % 9999);
        self.upsert(
            "addresses",
            &[
                ("address_id", Value::Int(id)),
                ("user_id", Value::Int(id % users + 1)),
                ("street", Value::Text(street.into())),
                ("city", Value::Text(city.into())),
                ("state", Value::Text(state.into())),
                ("postal_code", Value::Text(postal_code.into())),
                ("country", Value::Text(country.into())),
                ("created_at", Value::Timestamp(EPOCH)),
            ],
        )
    }

    fn order(&mut self, id: i64, moved_to: Option<i64>) -> Change {
        let users = (self.orders / 5) as i64;
        let updated = EPOCH + id % 100_000 * SECOND;
        let total = self.rng.random_range(100..99_999);
        self.upsert(
            "orders",
            &[
                ("order_id", Value::Int(id)),
                ("user_id", Value::Int(moved_to.unwrap_or(id * 31) % users + 1)),
                ("total", Value::Decimal(Decimal::new(total, 2))),
                ("order_date", Value::Timestamp(EPOCH + id % 100_000 * SECOND)),
                ("order_status", Value::Text("Created".into())),
                ("updated_date", Value::Timestamp(updated)),
            ],
        )
    }

    fn item(&mut self, id: i64, moved_to: Option<i64>) -> Change {
        let order = moved_to.unwrap_or(id * 2 / 5) % self.orders as i64 + 1;
        let name = self.any(&PRODUCTS);
        let price = self.rng.random_range(100..99_999);
        let quantity = self.rng.random_range(1..10);
        self.upsert(
            "order_items",
            &[
                ("id", Value::UInt(id as u64)),
                ("order_id", Value::UInt(order as u64)),
                ("name", Value::Text(name.into())),
                ("quantity", Value::Int(quantity)),
                ("price", Value::Decimal(Decimal::new(price, 2))),
            ],
        )
    }

    fn event(&mut self, order: i64, seconds_late: i64) -> Change {
        let at = EPOCH + (200_000 + (self.next_event + 1) / 100 - seconds_late) * SECOND;
        let status = self.any(&STATUSES);
        self.status(order, status, at)
    }

    /// An order's status at a time, in microseconds since 1970.
    pub(crate) fn status(&mut self, order: i64, status: &str, at: i64) -> Change {
        self.next_event += 1;
        let offset = self.next_event;
        self.upsert(
            "order_updates",
            &[
                ("id", Value::Int(offset)),
                ("order_id", Value::Int(order)),
                ("status", Value::Text(status.into())),
                ("updated_at", Value::Timestamp(at)),
                ("_partition", Value::Int(0)),
                ("_offset", Value::Int(offset)),
            ],
        )
    }

    fn any(&mut self, words: &[&'static str]) -> &'static str {
        words[self.rng.random_range(0..words.len())]
    }

    fn upsert(&mut self, table: &'static str, columns: &[(&str, Value<'_>)]) -> Change {
        let packer = self.tables.get_mut(table).expect("a shop table");
        for (name, value) in columns {
            if let Some(&place) = packer.places.get(*name) {
                assert!(packer.writer.set(place, value), "{table}.{name} cannot be {value:?}");
            }
        }
        let row: Row = packer.writer.finish();
        Change { table: packer.table, op: Op::Upsert(row) }
    }

    fn delete(&self, table: &'static str, id: &Value<'_>) -> Change {
        let mut key = Key::new();
        key.push(id);
        Change { table: self.tables[table].table, op: Op::Delete(key) }
    }
}

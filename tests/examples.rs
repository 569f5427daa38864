//! The example schemas on the real services: random rows, then random commands while viewtide
//! follows, and in the end every document is what MySQL says.

use std::fmt::Write as _;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use crate::support::deployment::Deployment;
use crate::support::stack::repository;

/// Commands that follow the first rows.
const COMMANDS: usize = 2_000;
/// Commands of one connection's round, a transaction now and then among them.
const ROUND: usize = 100;

/// What a column takes.
#[derive(Clone, Copy)]
enum Kind {
    /// The key of another table, from 1 to this.
    Of(u32),
    /// The same, or NULL.
    MaybeOf(u32),
    /// An integer from 0 to this.
    Upto(u32),
    /// An amount of two digits.
    Money,
    /// A moment of a few days.
    Moment,
    /// The same, or NULL.
    MaybeMoment,
    /// One of these, as SQL.
    Any(&'static [&'static str]),
}

/// A table, and how its rows come about. The first columns are its key: many in small tables, so
/// that rows meet.
struct Table {
    name: &'static str,
    key: usize,
    columns: &'static [(&'static str, Kind)],
    /// Of all commands, about how many in a hundred are on it.
    share: u32,
}

const NAMES: &[&str] = &["'Ada'", "'Bo'", "'ada'", "'Çağla'", "'O''Brien'", "'李'", "''"];
const WORDS: &[&str] = &[
    "'Blue \"Door\"'",
    "'an urgent matter'",
    "'Zürich | Bern'",
    "'URGENT'",
    "'ok'",
    "'\\\\'",
    "'😀 done'",
];
const MAYBE_WORDS: &[&str] = &["'first'", "'Second'", "NULL", "''"];

const STORE: &[Table] = &[
    table("languages", 1, 2, &[("language_id", Kind::Of(4)), ("name", Kind::Any(NAMES))]),
    table(
        "films",
        1,
        10,
        &[
            ("film_id", Kind::Of(30)),
            ("title", Kind::Any(WORDS)),
            ("release_year", Kind::Any(&["1999", "2024", "NULL"])),
            ("language_id", Kind::Of(5)),
            ("original_language_id", Kind::MaybeOf(4)),
            ("rental_days", Kind::Upto(5)),
            ("rental_rate", Kind::Money),
            ("minutes", Kind::Any(&["45", "60", "187", "NULL"])),
            ("rating", Kind::Any(&["'G'", "'PG-13'", "NULL"])),
            ("features", Kind::Any(&["'trailers'", "'comments,cut scenes'", "''", "NULL"])),
        ],
    ),
    table(
        "actors",
        1,
        6,
        &[
            ("actor_id", Kind::Of(12)),
            ("first_name", Kind::Any(NAMES)),
            ("last_name", Kind::Any(NAMES)),
        ],
    ),
    table("film_actors", 2, 12, &[("actor_id", Kind::Of(13)), ("film_id", Kind::Of(31))]),
    table("categories", 1, 3, &[("category_id", Kind::Of(6)), ("name", Kind::Any(NAMES))]),
    table("film_categories", 2, 8, &[("film_id", Kind::Of(31)), ("category_id", Kind::Of(7))]),
    table("countries", 1, 2, &[("country_id", Kind::Of(4)), ("name", Kind::Any(WORDS))]),
    table(
        "cities",
        1,
        3,
        &[("city_id", Kind::Of(8)), ("name", Kind::Any(WORDS)), ("country_id", Kind::Of(5))],
    ),
    table("stores", 1, 2, &[("store_id", Kind::Of(3)), ("city_id", Kind::Of(8))]),
    table(
        "copies",
        1,
        10,
        &[("copy_id", Kind::Of(60)), ("film_id", Kind::Of(31)), ("store_id", Kind::Of(3))],
    ),
    table(
        "customers",
        1,
        8,
        &[
            ("customer_id", Kind::Of(20)),
            ("first_name", Kind::Any(NAMES)),
            ("last_name", Kind::Any(MAYBE_WORDS)),
            ("email", Kind::Any(&["'Ada@Shop.Example'", "NULL"])),
            ("city_id", Kind::MaybeOf(9)),
            ("active", Kind::Any(&["0", "1", "1"])),
        ],
    ),
    table(
        "rentals",
        1,
        17,
        &[
            ("rental_id", Kind::Of(150)),
            ("copy_id", Kind::Of(61)),
            ("customer_id", Kind::Of(21)),
            ("rented_at", Kind::Moment),
            ("returned_at", Kind::MaybeMoment),
        ],
    ),
    table(
        "payments",
        1,
        17,
        &[
            ("payment_id", Kind::Of(200)),
            ("store_id", Kind::MaybeOf(3)),
            ("customer_id", Kind::Of(21)),
            ("rental_id", Kind::MaybeOf(151)),
            ("amount", Kind::Money),
            ("paid_at", Kind::Moment),
        ],
    ),
];

const TRACKER: &[Table] = &[
    table(
        "users",
        1,
        6,
        &[("user_id", Kind::Of(8)), ("login", Kind::Any(NAMES)), ("name", Kind::Any(MAYBE_WORDS))],
    ),
    table(
        "projects",
        1,
        6,
        &[
            ("project_id", Kind::Of(5)),
            ("parent_id", Kind::MaybeOf(6)),
            ("slug", Kind::Any(&["'web'", "'API'", "'über'"])),
            ("title", Kind::Any(WORDS)),
            ("archived", Kind::Any(&["0", "0", "1"])),
        ],
    ),
    table(
        "issues",
        1,
        30,
        &[
            ("issue_id", Kind::Of(60)),
            ("project_id", Kind::Of(6)),
            ("title", Kind::Any(WORDS)),
            ("body", Kind::Any(MAYBE_WORDS)),
            ("state", Kind::Any(&["'open'", "'doing'", "'done'", "'rejected'"])),
            ("priority", Kind::Upto(4)),
            ("reporter_id", Kind::MaybeOf(9)),
            ("assignee_id", Kind::MaybeOf(9)),
            ("duplicate_of", Kind::MaybeOf(61)),
            ("opened_at", Kind::Moment),
            ("closed_at", Kind::MaybeMoment),
            ("estimate", Kind::Any(&["0.5", "13.25", "NULL"])),
            (
                "details",
                Kind::Any(&[
                    "'{\"browser\": \"é\", \"steps\": [1, {\"b\": null}]}'",
                    "'{}'",
                    "NULL",
                ]),
            ),
        ],
    ),
    table(
        "labels",
        2,
        6,
        &[
            ("project_id", Kind::Of(6)),
            ("label", Kind::Any(LABELS)),
            ("color", Kind::Any(&["x'00ff7f'", "NULL"])),
        ],
    ),
    table(
        "issue_labels",
        3,
        16,
        &[("issue_id", Kind::Of(61)), ("project_id", Kind::Of(6)), ("label", Kind::Any(LABELS))],
    ),
    table(
        "comments",
        1,
        22,
        &[
            ("comment_id", Kind::Of(120)),
            ("issue_id", Kind::Of(61)),
            ("reply_to", Kind::MaybeOf(121)),
            ("author_id", Kind::MaybeOf(9)),
            ("body", Kind::Any(WORDS)),
            ("written_at", Kind::Moment),
        ],
    ),
    table(
        "votes",
        2,
        14,
        &[
            ("comment_id", Kind::Of(121)),
            ("user_id", Kind::Of(9)),
            ("value", Kind::Any(&["-1", "1", "2"])),
        ],
    ),
];
const LABELS: &[&str] = &["'bug'", "'Bug'", "'help wanted'"];

const fn table(
    name: &'static str,
    key: usize,
    share: u32,
    columns: &'static [(&'static str, Kind)],
) -> Table {
    Table { name, key, columns, share }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_follows_random_commands() {
    let views = ["film_card", "customer_account", "category_revenue", "store_day"];
    follows("store", STORE, &views, 11).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tracker_follows_random_commands() {
    let views = ["issue_rows", "issue_page", "project_board", "label_use", "workload"];
    follows("tracker", TRACKER, &views, 12).await;
}

async fn follows(example: &str, tables: &[Table], views: &[&str], seed: u64) {
    let folder = repository().join("examples").join(example);
    let mut deployment = Deployment::new(example, &folder, None).await;
    let mut random = StdRng::seed_from_u64(seed);
    let mut rows = String::new();
    for table in tables {
        for _ in 0..40 {
            let _ = writeln!(rows, "{};", table.insert(&mut random));
        }
    }
    deployment.execute(&rows).await;
    deployment.capture();
    deployment.start();
    deployment.eventually("/readyz", |status, _| status == 200).await;
    deployment.assert_verified();
    let shares: u32 = tables.iter().map(|table| table.share).sum();
    for _ in 0..COMMANDS / ROUND {
        let mut commands = String::new();
        for at in 0..ROUND {
            let mut place = random.random_range(0..shares);
            let table = tables.iter().find(|table| {
                let found = place < table.share;
                place = place.saturating_sub(table.share);
                found
            });
            let command = table.unwrap().command(&mut random);
            let (before, after) = match at % 20 {
                7 => ("BEGIN;\n", ""),
                12 => ("", ";\nCOMMIT"),
                _ => ("", ""),
            };
            let _ = writeln!(commands, "{before}{command}{after};");
        }
        deployment.execute(&commands).await;
    }
    deployment.assert_verified();
    for view in views {
        let (_, body) = deployment.get(&format!("/{view}?limit=1")).await;
        assert_ne!(body.as_array().map(Vec::len), Some(0), "{view} is empty: {body}");
        assert_ne!(body, Value::Null, "{view} cannot be read");
    }
}

impl Table {
    /// A row, or another one in the place of that with its key.
    fn insert(&self, random: &mut StdRng) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        let values: Vec<String> = self.columns.iter().map(|(_, kind)| kind.value(random)).collect();
        let (name, names, values) = (self.name, names.join(", "), values.join(", "));
        format!("REPLACE INTO {name} ({names}) VALUES ({values})")
    }

    fn command(&self, random: &mut StdRng) -> String {
        let data = &self.columns[self.key..];
        match random.random_range(0..20) {
            0..9 => self.insert(random),
            9..12 => format!("DELETE FROM {} WHERE {}", self.name, self.one(random)),
            // Many rows at once, by what refers to another table.
            12 => {
                let (column, kind) = self.columns.choose(random).unwrap();
                let value = kind.value(random);
                format!("DELETE FROM {} WHERE {column} = {value} LIMIT 3", self.name)
            }
            13..15 if !data.is_empty() => {
                let (column, kind) = data.choose(random).unwrap();
                let (by, of) = self.columns.choose(random).unwrap();
                let (value, wanted) = (kind.value(random), of.value(random));
                format!("UPDATE {} SET {column} = {value} WHERE {by} = {wanted}", self.name)
            }
            // A row under another key.
            15 => {
                let (column, kind) = self.columns[0];
                let value = kind.value(random);
                format!(
                    "UPDATE IGNORE {} SET {column} = {value} WHERE {}",
                    self.name,
                    self.one(random)
                )
            }
            _ => match data.choose(random) {
                Some((column, kind)) => {
                    let value = kind.value(random);
                    format!(
                        "UPDATE {} SET {column} = {value} WHERE {}",
                        self.name,
                        self.one(random)
                    )
                }
                None => self.insert(random),
            },
        }
    }

    /// The condition of one key.
    fn one(&self, random: &mut StdRng) -> String {
        let columns = self.columns[..self.key].iter();
        let terms: Vec<String> =
            columns.map(|(name, kind)| format!("{name} = {}", kind.value(random))).collect();
        terms.join(" AND ")
    }
}

impl Kind {
    /// A value, as SQL.
    fn value(self, random: &mut StdRng) -> String {
        let moment = |random: &mut StdRng| {
            let (day, hour) = (random.random_range(1..6), random.random_range(0..24));
            format!("'2024-03-0{day} {hour:02}:15:{:02}'", random.random_range(0..60))
        };
        match self {
            Kind::MaybeOf(_) | Kind::MaybeMoment if random.random_bool(0.3) => "NULL".to_owned(),
            Kind::Of(last) | Kind::MaybeOf(last) => random.random_range(1..=last).to_string(),
            Kind::Upto(last) => random.random_range(0..=last).to_string(),
            Kind::Money => {
                format!("{}.{:02}", random.random_range(0..9), random.random_range(0..100))
            }
            Kind::Moment | Kind::MaybeMoment => moment(random),
            Kind::Any(values) => (*values.choose(random).unwrap()).to_owned(),
        }
    }
}

//! Random tables: every column type that views can use, keys of one and of two columns, columns
//! that refer to keys of other tables.

use std::fmt::{self, Display};

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::tree::Class;

/// Tables of a case at most.
const TABLES_MAX: usize = 5;

/// A table as its DDL declares it.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    /// The primary key: the first so many columns.
    pub(crate) key: usize,
    /// The columns of a UNIQUE, if there is one.
    pub(crate) unique: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) ty: ColumnType,
    pub(crate) nullable: bool,
}

/// A type, with the values that rows take of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ColumnType {
    /// As declared.
    pub(crate) sql: &'static str,
    pub(crate) class: Class,
    /// Which columns it can be tied to by equality; 0: none.
    pub(crate) ties: u8,
    /// Values that most rows have, as constants of SQL.
    usual: &'static [&'static str],
    /// Values that few have: the ends of the type and the like.
    rare: &'static [&'static str],
}

const INTS: &[&str] = &["0", "1", "2", "3", "4", "5", "6", "7"];
const SIGNED: &[&str] = &["0", "1", "2", "3", "4", "-1", "-7", "100"];
const WORDS: &[&str] = &["'a'", "'A'", "'b'", "'ab'", "''", "'é'"];
const ODD_WORDS: &[&str] = &[
    "' a'",
    "'a '",
    "'x\"y\\\\z'",
    "'😀'",
    "'12'",
    "'a,b'",
    "'ß'",
    "'\\n'",
    "'ss'",
    "'ﬁ'",
    "'ǅ'",
    "'ıİ'",
    "'7.5e1x'",
    "'[1, {\"a\": 2}]'",
    "'e\u{301}'",
    "'%_'",
    "'中文'",
];
const DATES: &[&str] = &["'2024-01-01'", "'2024-02-29'", "'2023-12-31'", "'1999-06-15'"];
const INSTANTS: &[&str] = &[
    "'2024-01-01 00:00:00'",
    "'2024-01-01 00:00:00.5'",
    "'2024-02-29 12:34:56.789'",
    "'1999-06-15 23:59:59'",
];
const TIMES: &[&str] = &["'00:00:00'", "'10:20:30'", "'-01:00:00.25'", "'100:00:00.5'"];

const fn column_type(
    sql: &'static str,
    class: Class,
    ties: u8,
    usual: &'static [&'static str],
    rare: &'static [&'static str],
) -> ColumnType {
    ColumnType { sql, class, ties, usual, rare }
}

/// Keys, and what refers to them.
const KEYS: &[ColumnType] = &[
    column_type("INT", Class::Number, 1, INTS, &["-2147483648", "2147483647", "-1"]),
    column_type("BIGINT", Class::Number, 1, INTS, &["-9223372036854775808", "9007199254740993"]),
    column_type("BIGINT UNSIGNED", Class::Number, 1, INTS, &["18446744073709551615"]),
    column_type("SMALLINT UNSIGNED", Class::Number, 1, INTS, &["65535"]),
    column_type("MEDIUMINT", Class::Number, 1, INTS, &["-8388608"]),
    column_type("TINYINT", Class::Number, 1, INTS, &["-128", "127"]),
    column_type("VARCHAR(10) COLLATE utf8mb4_0900_bin", Class::Text, 2, WORDS, ODD_WORDS),
    column_type("VARCHAR(10)", Class::Text, 18, WORDS, ODD_WORDS),
    column_type("VARCHAR(8) COLLATE utf8mb4_bin", Class::Text, 19, WORDS, ODD_WORDS),
    column_type("DATE", Class::Date, 3, DATES, &["'9999-12-31'", "'1000-01-01'"]),
    column_type(
        "DECIMAL(10,2)",
        Class::Number,
        4,
        &["0.00", "1.50", "2.25", "-3.10"],
        &["99999999.99"],
    ),
    column_type("DATETIME(3)", Class::Instant, 5, INSTANTS, &["'9999-12-31 23:59:59.999'"]),
];

/// What else a row holds.
const PAYLOADS: &[ColumnType] = &[
    column_type("INT", Class::Number, 1, SIGNED, &["-2147483648", "2147483647"]),
    column_type("INT UNSIGNED", Class::Number, 1, INTS, &["4294967295"]),
    column_type(
        "BIGINT",
        Class::Number,
        1,
        SIGNED,
        &["-9223372036854775808", "9223372036854775807"],
    ),
    column_type("BIGINT UNSIGNED", Class::Number, 1, INTS, &["18446744073709551615"]),
    column_type("TINYINT(1)", Class::Number, 1, &["0", "1"], &["-128"]),
    column_type("TINYINT UNSIGNED", Class::Number, 1, INTS, &["255"]),
    column_type(
        "DECIMAL(10,2)",
        Class::Number,
        4,
        &["0.00", "1.50", "2.25", "-3.10", "10.00"],
        &["99999999.99"],
    ),
    column_type(
        "DECIMAL(12,5)",
        Class::Number,
        6,
        &["0.00000", "3.14159", "-2.50000"],
        &["9999999.99999"],
    ),
    column_type("DECIMAL(20,0)", Class::Number, 7, &["0", "7", "-12"], &["99999999999999999999"]),
    column_type(
        "DOUBLE",
        Class::Floating,
        0,
        &["0", "1.5", "-2.25", "0.1", "1e10"],
        &["1.7e308", "2.5e-7", "-0.0"],
    ),
    column_type("FLOAT", Class::Float, 0, &["0", "1.1", "-2.5", "100"], &["3.4e38", "1e-7"]),
    column_type("VARCHAR(20) COLLATE utf8mb4_0900_bin", Class::Text, 2, WORDS, ODD_WORDS),
    column_type("CHAR(3) COLLATE utf8mb4_0900_bin", Class::Text, 2, WORDS, &["'a\\\\'", "'zzz'"]),
    column_type("VARCHAR(20)", Class::Text, 18, WORDS, ODD_WORDS),
    column_type("CHAR(4)", Class::Text, 18, WORDS, ODD_WORDS),
    column_type("TEXT", Class::Text, 0, WORDS, ODD_WORDS),
    column_type("VARCHAR(12) COLLATE utf8mb4_bin", Class::Text, 19, WORDS, ODD_WORDS),
    column_type(
        "VARCHAR(12) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin",
        Class::Text,
        20,
        WORDS,
        ODD_WORDS,
    ),
    column_type("VARCHAR(20) COLLATE utf8mb4_general_ci", Class::Loose, 0, WORDS, ODD_WORDS),
    column_type("ENUM('x','a','B')", Class::Listed, 0, &["'x'", "'a'", "'B'"], &[]),
    column_type("SET('p','q','r')", Class::Listed, 0, &["'p'", "'p,q'", "''", "'r'"], &[]),
    column_type("DATE", Class::Date, 3, DATES, &["'9999-12-31'", "'1000-01-01'"]),
    column_type(
        "DATETIME",
        Class::Instant,
        9,
        INSTANTS,
        &["'9999-12-31 23:59:59'", "'1000-01-01 00:00:00'"],
    ),
    column_type("DATETIME(3)", Class::Instant, 5, INSTANTS, &["'9999-12-31 23:59:59.999'"]),
    column_type(
        "TIMESTAMP",
        Class::Instant,
        10,
        INSTANTS,
        &["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'"],
    ),
    column_type("TIMESTAMP(6)", Class::Instant, 11, INSTANTS, &["'2038-01-19 03:14:07.999999'"]),
    column_type("TIME", Class::Time, 12, TIMES, &["'838:59:59'", "'-838:59:59'"]),
    column_type("TIME(3)", Class::Time, 13, TIMES, &["'-00:00:00.001'"]),
    column_type("YEAR", Class::Year, 14, &["2024", "1999", "2000"], &["1901", "2155", "0"]),
    column_type("BIT(9)", Class::Bit, 15, &["0", "1", "257"], &["511"]),
    column_type("VARBINARY(8)", Class::Bytes, 16, &["x'00ff'", "x''", "'ab'"], &["x'f09f9880'"]),
    column_type("BLOB", Class::Bytes, 17, &["x'00ff'", "x''", "'ab'"], &[]),
    column_type(
        "JSON",
        Class::Json,
        0,
        &[
            "'{\"a\": 1, \"bb\": [1, null]}'",
            "'[]'",
            "'[1, 2.5, \"x\"]'",
            "'\"text\"'",
            "'null'",
            "'7'",
        ],
        &["'{\"é\": \"x\\\\ny\", \"\": true}'", "'1e100'", "'[1.50, 18446744073709551615]'"],
    ),
];

impl ColumnType {
    /// Of a view's column that is no table's.
    pub(crate) fn computed(class: Class) -> ColumnType {
        column_type("", class, 0, &[], &[])
    }

    /// Whether it is of a view's column that is no table's.
    pub(crate) fn is_computed(self) -> bool {
        self.sql.is_empty()
    }

    /// A value of it, as a constant of SQL.
    pub(crate) fn value(self, random: &mut StdRng, rare: f64) -> &'static str {
        let values =
            if !self.rare.is_empty() && random.random_bool(rare) { self.rare } else { self.usual };
        values.choose(random).copied().unwrap_or("NULL")
    }
}

impl Table {
    pub(crate) fn place(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|other| other.name == column)
    }
}

/// Random tables, each with columns that may refer to the keys of others.
pub(crate) fn tables(random: &mut StdRng) -> Vec<Table> {
    let count = random.random_range(2..=TABLES_MAX);
    let mut tables: Vec<Table> = (0..count).map(|at| keyed(random, at)).collect();
    for at in 0..count {
        for _ in 0..random.random_range(0..=2) {
            let target = random.random_range(0..count);
            refer(random, &mut tables, at, target);
        }
        let payloads = random.random_range(2..=6);
        for _ in 0..payloads {
            let ty = *PAYLOADS.choose(random).unwrap_or(&PAYLOADS[0]);
            add(random, &mut tables[at], ty);
        }
        unique(random, &mut tables[at]);
    }
    tables
}

fn keyed(random: &mut StdRng, at: usize) -> Table {
    let parts = if random.random_bool(0.3) { 2 } else { 1 };
    let column = |part: usize| {
        // Numbers are what most keys are.
        let among = if random.random_bool(0.7) { &KEYS[..6] } else { KEYS };
        let ty = *among.choose(random).unwrap_or(&KEYS[0]);
        Column { name: format!("k{part}"), ty, nullable: false }
    };
    let columns = (0..parts).map(column).collect();
    Table { name: format!("t{at}"), columns, key: parts, unique: Vec::new() }
}

/// Adds columns that hold a key of `target`.
fn refer(random: &mut StdRng, tables: &mut [Table], at: usize, target: usize) {
    let key: Vec<ColumnType> =
        tables[target].columns[..tables[target].key].iter().map(|column| column.ty).collect();
    for ty in key {
        let alike: Vec<ColumnType> =
            KEYS.iter().copied().filter(|other| other.ties == ty.ties).collect();
        let ty = *alike.choose(random).unwrap_or(&ty);
        add(random, &mut tables[at], ty);
    }
}

fn add(random: &mut StdRng, table: &mut Table, ty: ColumnType) {
    let name = format!("c{}", table.columns.len());
    table.columns.push(Column { name, ty, nullable: random.random_bool(0.8) });
}

fn unique(random: &mut StdRng, table: &mut Table) {
    let able = |column: &&Column| matches!(column.ty.ties, 1..=3 | 18 | 19);
    let columns: Vec<&Column> = table.columns[table.key..].iter().filter(able).collect();
    if random.random_bool(0.3) {
        let count = random.random_range(1..=2);
        let columns = columns.choose_multiple(random, count);
        table.unique = columns.map(|column| column.name.clone()).collect();
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CREATE TABLE {} (", self.name)?;
        for column in &self.columns {
            let null = if column.nullable { "NULL" } else { "NOT NULL" };
            write!(f, "{} {} {null}, ", column.name, column.ty.sql)?;
        }
        if !self.unique.is_empty() {
            write!(f, "UNIQUE KEY u ({}), ", self.unique.join(", "))?;
        }
        let key: Vec<&str> =
            self.columns[..self.key].iter().map(|column| column.name.as_str()).collect();
        write!(f, "PRIMARY KEY ({}))", key.join(", "))
    }
}

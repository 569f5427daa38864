//! The database of the simulation: accounts with entries and notes, owners, and marks that come as
//! events; and what the documents must be, worked out from scratch.
//!
//! Whoever writes an entry writes its account in the same transaction, so an account's `entries`
//! always equals the number of its entries, and its `v` (the transaction that wrote it last) is at
//! least that of each of them. A document that shows otherwise shows half a transaction.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use viewtide::change::{Change, Op};
use viewtide::keyspace::index_prefix;
use viewtide::sql::plan::{Plan, TableId};
use viewtide::sql::{Definitions, SourceFile, plan_views};
use viewtide::value::{Key, RowWriter, Value};

/// The captured tables, by their places here and in the log.
pub(super) const OWNERS: usize = 0;
pub(super) const ACCOUNTS: usize = 1;
pub(super) const ENTRIES: usize = 2;
pub(super) const NOTES: usize = 3;
pub(super) const TABLES: usize = 4;

/// The views; the first of them has an index.
pub(super) const ACCOUNTS_MV: usize = 0;
pub(super) const VIEWS: [&str; 2] = ["accounts_mv", "entries_mv"];

/// The captured tables that each view reads.
pub(super) const READS: [&[usize]; 2] = [&[OWNERS, ACCOUNTS, ENTRIES, NOTES], &[ACCOUNTS, ENTRIES]];

const NAMES: [&str; TABLES] = ["owners", "accounts", "entries", "notes"];
const COLUMNS: [&[&str]; TABLES] =
    [&["id", "v"], &["id", "owner", "entries", "v"], &["id", "account", "v"], &["id", "account"]];
const MARK_COLUMNS: [&str; 4] = ["account", "n", "_partition", "_offset"];

const DDL: &str = "
CREATE TABLE owners (id int NOT NULL, v bigint NOT NULL, PRIMARY KEY (id));
CREATE TABLE accounts (id int NOT NULL, owner int NOT NULL, entries int NOT NULL, v bigint NOT NULL, PRIMARY KEY (id));
CREATE TABLE entries (id int NOT NULL, account int NOT NULL, v bigint NOT NULL, PRIMARY KEY (id));
CREATE TABLE notes (id int NOT NULL, account int NOT NULL, PRIMARY KEY (id));";
const STREAM: &str = "CREATE TABLE marks (account int, n int) COMMENT 'topic=marks; format=json';";
const ACCOUNTS_SQL: &str = "CREATE VIEW accounts_mv AS
SELECT a.id, a.owner, a.v, o.v AS owner_v, a.entries,
  (SELECT COUNT(*) FROM entries e WHERE e.account = a.id) AS counted,
  (SELECT MAX(e.v) FROM entries e WHERE e.account = a.id) AS newest,
  (SELECT COUNT(*) FROM notes n WHERE n.account = a.id) AS notes,
  m.n AS mark
FROM accounts a
JOIN owners o ON o.id = a.owner
LEFT JOIN LATERAL (SELECT n FROM marks WHERE marks.account = a.id
  ORDER BY n DESC, _partition DESC, _offset DESC LIMIT 1) AS m ON TRUE;
CREATE INDEX by_owner ON accounts_mv (owner);";
const ENTRIES_SQL: &str = "CREATE VIEW entries_mv AS
SELECT e.id, e.v, a.v AS account_v FROM entries e LEFT JOIN accounts a ON a.id = e.account;";

/// The same views by other statements: one reads a column less and is looked up by another, one
/// tells a column more.
const OTHER_ACCOUNTS_SQL: &str = "CREATE VIEW accounts_mv AS
SELECT a.id, a.owner, a.v, a.entries,
  (SELECT COUNT(*) FROM entries e WHERE e.account = a.id) AS counted,
  (SELECT MAX(e.v) FROM entries e WHERE e.account = a.id) AS newest,
  (SELECT COUNT(*) FROM notes n WHERE n.account = a.id) AS notes,
  m.n AS mark
FROM accounts a
JOIN owners o ON o.id = a.owner
LEFT JOIN LATERAL (SELECT n FROM marks WHERE marks.account = a.id
  ORDER BY n DESC, _partition DESC, _offset DESC LIMIT 1) AS m ON TRUE;
CREATE INDEX by_entries ON accounts_mv (entries);";
const OTHER_ENTRIES_SQL: &str = "CREATE VIEW entries_mv AS
SELECT e.id, e.v, a.v AS account_v, e.account FROM entries e LEFT JOIN accounts a ON a.id = e.account;";

/// By which statements the views are defined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Definition {
    #[default]
    One,
    Other,
}

/// A row by its columns, as many as its table has.
pub(super) type Row = [i64; 4];

/// What a table holds, by primary key.
pub(super) type Rows = BTreeMap<i64, Row>;

/// All rows at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bank {
    pub(super) tables: [Rows; TABLES],
    /// The greatest mark of each account.
    pub(super) marks: BTreeMap<i64, i64>,
}

/// What is stored of a view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Documents {
    pub(super) bodies: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Members of the index.
    pub(super) index: Vec<Vec<u8>>,
}

/// The plan of the views, with what makes rows of it.
pub(super) struct Schema {
    pub(super) plan: Arc<Plan>,
    pub(super) tables: [TableId; TABLES],
    pub(super) marks: TableId,
    /// By table, the marks last: the column of the plan that each of ours is.
    columns: [Vec<Option<usize>>; TABLES + 1],
}

impl Schema {
    /// Those of all simulations.
    pub(super) fn get(definition: Definition) -> &'static Schema {
        static SCHEMAS: [OnceLock<Schema>; 2] = [OnceLock::new(), OnceLock::new()];
        SCHEMAS[definition as usize].get_or_init(|| match definition {
            Definition::One => Schema::new(ACCOUNTS_SQL, ENTRIES_SQL),
            Definition::Other => Schema::new(OTHER_ACCOUNTS_SQL, OTHER_ENTRIES_SQL),
        })
    }

    fn new(accounts: &str, entries: &str) -> Schema {
        let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
        let definitions = Definitions {
            tables: vec![file("tables.sql", DDL)],
            streams: vec![file("marks.sql", STREAM)],
            views: vec![file("accounts_mv.sql", accounts), file("entries_mv.sql", entries)],
        };
        let plan = plan_views(&definitions).unwrap();
        let table = |name: &str| plan.tables_with_ids().find(|(_, t)| t.name == name).unwrap();
        let columns = |name: &str, ours: &[&str]| {
            let held = &table(name).1.columns;
            ours.iter().map(|ours| held.iter().position(|c| c.name == *ours)).collect()
        };
        Schema {
            tables: NAMES.map(|name| table(name).0),
            marks: table("marks").0,
            columns: std::array::from_fn(|at| match NAMES.get(at) {
                Some(name) => columns(name, COLUMNS[at]),
                None => columns("marks", &MARK_COLUMNS),
            }),
            plan: Arc::new(plan),
        }
    }

    /// A row that is now so, or is gone.
    pub(super) fn change(&self, table: usize, id: i64, row: Option<Row>) -> Change {
        let op = match row {
            Some(row) => Op::Upsert(self.pack(table, self.tables[table], &row)),
            None => Op::Delete(key(id)),
        };
        Change { table: self.tables[table], op }
    }

    /// An event.
    pub(super) fn mark(&self, partition: i64, offset: i64, account: i64, n: i64) -> Change {
        let row = self.pack(TABLES, self.marks, &[account, n, partition, offset]);
        Change { table: self.marks, op: Op::Upsert(row) }
    }

    fn pack(&self, place: usize, table: TableId, cells: &Row) -> viewtide::value::Row {
        let mut row = RowWriter::new(&self.plan.table(table).layout);
        for (column, cell) in self.columns[place].iter().zip(cells) {
            if let Some(column) = column {
                row.set_number(*column, *cell);
            }
        }
        row.finish()
    }
}

impl Bank {
    /// Sets or removes a row.
    pub(super) fn set(&mut self, table: usize, id: i64, row: Option<Row>) {
        match row {
            Some(row) => drop(self.tables[table].insert(id, row)),
            None => drop(self.tables[table].remove(&id)),
        }
    }

    /// Notes an event.
    pub(super) fn mark(&mut self, account: i64, n: i64) {
        let greatest = self.marks.entry(account).or_insert(n);
        *greatest = n.max(*greatest);
    }

    /// What a view must hold.
    pub(super) fn documents(&self, view: usize, definition: Definition) -> Documents {
        if view == ACCOUNTS_MV { self.accounts(definition) } else { self.entries(definition) }
    }

    fn accounts(&self, definition: Definition) -> Documents {
        let mut counted: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        for [_, account, v, _] in self.tables[ENTRIES].values() {
            let (count, newest) = counted.entry(*account).or_default();
            (*count, *newest) = (*count + 1, (*newest).max(*v));
        }
        let mut documents = Documents::default();
        for [id, owner, entries, v] in self.tables[ACCOUNTS].values() {
            let Some([_, owner_v, ..]) = self.tables[OWNERS].get(owner) else { continue };
            let (counted, newest) = match counted.get(id) {
                Some((count, newest)) => (*count, newest.to_string()),
                None => (0, "null".to_owned()),
            };
            let notes = self.tables[NOTES].values().filter(|note| note[1] == *id).count();
            let mark = self.marks.get(id).map_or("null".to_owned(), i64::to_string);
            let (owner_v, indexed) = match definition {
                Definition::One => (format!("\"owner_v\":{owner_v},"), owner),
                Definition::Other => (String::new(), entries),
            };
            let body = format!(
                "{{\"id\":{id},\"owner\":{owner},\"v\":{v},{owner_v}\
                 \"entries\":{entries},\"counted\":{counted},\"newest\":{newest},\
                 \"notes\":{notes},\"mark\":{mark}}}"
            );
            let key_of = key(*id).as_bytes().to_vec();
            let mut member = index_prefix(0, &key(*indexed));
            member.extend_from_slice(&key_of);
            documents.index.push(member);
            documents.bodies.insert(key_of, body.into_bytes());
        }
        documents.index.sort();
        documents
    }

    fn entries(&self, definition: Definition) -> Documents {
        let document = |[id, account, v, _]: &Row| {
            let account_v = self.tables[ACCOUNTS].get(account).map(|account| account[3]);
            let account_v = account_v.map_or("null".to_owned(), |v| v.to_string());
            let more = match definition {
                Definition::One => String::new(),
                Definition::Other => format!(",\"account\":{account}"),
            };
            let body = format!("{{\"id\":{id},\"v\":{v},\"account_v\":{account_v}{more}}}");
            (key(*id).as_bytes().to_vec(), body.into_bytes())
        };
        let bodies = self.tables[ENTRIES].values().map(document).collect();
        Documents { bodies, index: Vec::new() }
    }
}

/// A key of one number.
fn key(number: i64) -> Key {
    let mut key = Key::new();
    key.push(&Value::Int(number));
    key
}

/// What a document says under a name; `None` for null.
fn said(body: &[u8], name: &str) -> Option<i64> {
    let body = std::str::from_utf8(body).ok()?;
    let at = body.find(&format!("\"{name}\":"))? + name.len() + 3;
    let rest = &body[at..];
    rest[..rest.find([',', '}'])?].parse().ok()
}

/// The transaction that wrote a document's root row, or what is wrong with the document by itself.
pub(super) fn version(view: usize, body: &[u8]) -> Result<i64, String> {
    let text = || String::from_utf8_lossy(body).into_owned();
    let v = said(body, "v").ok_or_else(text)?;
    let whole = if view == ACCOUNTS_MV {
        said(body, "entries") == said(body, "counted") && said(body, "newest") <= Some(v)
    } else {
        said(body, "account_v").is_some_and(|account_v| account_v >= v)
    };
    if whole { Ok(v) } else { Err(format!("half a transaction is visible in {}", text())) }
}

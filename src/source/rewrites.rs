//! Which statements change rows of a table although no change event tells of it.
//!
//! A statement that alters a table writes no row events: a column's values are converted in place,
//! a partition goes with its rows, another table takes the name. Debezium tells the statement, and
//! what the table looks like behind it. Both are compared with what the table looked like before
//! and with the columns that are held of it: what can be shown to leave all of their values alone
//! is harmless, everything else is taken to rewrite the table. So is what is not understood.
//!
//! Absent: statements that the connector keeps to itself. It does not tell what takes a table to
//! another database or brings it from there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlparser::tokenizer::Token;

use crate::gtid::Gtid;
use crate::sql::plan::{Table, TableId};
use crate::sql::tokens::{self, Lexeme, split_commas};

/// A statement that the schema-change topic tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaChange {
    /// The statement's own transaction id; `None` for what a snapshot from nothing found.
    pub gtid: Option<Gtid>,
    /// The statement, or what of it is about these tables.
    pub ddl: Box<str>,
    /// The tables of the captured database that it changed.
    pub tables: Vec<TableChange>,
}

/// What became of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableChange {
    /// Its name, of a table that was renamed the new one.
    pub name: Box<str>,
    /// What it looks like now; `None` if it is gone.
    pub columns: Option<Columns>,
}

/// Columns by their names in lower case.
pub type Columns = BTreeMap<Box<str>, Form>;

/// What decides how a column's values are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// Its type's name, in upper case, as `INT UNSIGNED`.
    pub ty: Box<str>,
    /// Its length or precision, if it has one.
    pub length: Option<i64>,
    /// Its digits after the point, if it has any.
    pub scale: Option<i64>,
    /// Its character set.
    pub charset: Option<Box<str>>,
    /// The values of an ENUM or SET.
    pub values: Vec<Box<str>>,
    /// Whether it can be NULL.
    pub nullable: bool,
}

/// What captured tables look like, as far as that was told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Forms(BTreeMap<Box<str>, Known>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Known {
    /// There is no such table.
    Gone,
    There {
        /// Those of its columns that are held.
        columns: Columns,
        /// Whether some may be computed from others: the connector does not say which.
        computes: bool,
    },
}

impl Forms {
    /// Takes what a statement did, and tells which of these tables it may have rewritten.
    pub(super) fn take<'t>(
        &mut self,
        change: &SchemaChange,
        tables: impl Iterator<Item = (TableId, &'t Table)>,
    ) -> Vec<TableId> {
        let lexemes = tokens::statement(&change.ddl);
        let statement = lexemes.as_deref().map_or(Statement::Unreadable, Statement::of);
        let mut rewritten = Vec::new();
        for (id, table) in tables {
            let told = change.tables.iter().find(|told| is_name(&told.name, &table.name));
            let before = self.0.get(table.name.as_str());
            let mut now = told.map(|told| Known::of(told, table, before, &statement));
            let case = Case { table, before, now: now.as_ref() };
            let rewrites = change.gtid.is_some() && case.is_rewritten(&statement);
            if rewrites {
                rewritten.push(id);
            } else if let (Some(before), Some(now), Some(_)) = (before, &mut now, &change.gtid) {
                now.keep_charsets(before);
            }
            match now {
                Some(mut now) => {
                    if rewrites && statement.sets_charset() {
                        now.forget_columns();
                    }
                    self.0.insert(table.name.as_str().into(), now);
                }
                // It may have got another name.
                None if rewrites => drop(self.0.remove(table.name.as_str())),
                None => {}
            }
        }
        rewritten
    }

    /// Whether nothing was told.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Known {
    fn of(
        told: &TableChange,
        table: &Table,
        before: Option<&Known>,
        statement: &Statement<'_>,
    ) -> Known {
        let Some(columns) = &told.columns else { return Known::Gone };
        let held = columns.iter().filter(|(name, _)| is_held(table, name));
        let computed = before.is_some_and(Known::may_compute);
        let computes = match statement {
            Statement::Create { may_compute, .. } => *may_compute,
            Statement::Alter(_, actions) => {
                (computed || before.is_none())
                    || actions.iter().any(|action| has_word(action, "AS"))
            }
            Statement::Harmless => computed || before.is_none(),
            _ => true,
        };
        Known::There { columns: held.map(|(n, f)| (n.clone(), f.clone())).collect(), computes }
    }

    fn may_compute(&self) -> bool {
        !matches!(self, Known::There { computes: false, .. })
    }

    /// Which of them has which character set is not sure.
    fn forget_columns(&mut self) {
        if let Known::There { columns, .. } = self {
            columns.clear();
        }
    }

    /// Columns keep their character set when that of the table changes.
    fn keep_charsets(&mut self, before: &Known) {
        let (Known::There { columns, .. }, Known::There { columns: before, .. }) = (self, before)
        else {
            return;
        };
        for (name, form) in columns {
            if let Some(before) = before.get(name) {
                form.charset.clone_from(&before.charset);
            }
        }
    }
}

/// What a statement is.
enum Statement<'l> {
    /// It changes no row of any table, or tells so by events of its own.
    Harmless,
    /// CREATE TABLE.
    Create {
        /// It says IF NOT EXISTS.
        unless_there: bool,
        /// Columns may be computed from others.
        may_compute: bool,
    },
    /// DROP TABLE.
    Drop,
    /// DROP DATABASE.
    DropAll,
    /// ALTER TABLE: the table, and what is done to it.
    Alter(&'l str, Vec<&'l [Lexeme]>),
    /// A change of names, or what is not understood.
    Unclear(&'l [Lexeme]),
    /// No SQL.
    Unreadable,
}

/// What else can be created, altered or dropped; none of it has rows.
const NO_TABLES: [&str; 24] = [
    "AGGREGATE",
    "ALGORITHM",
    "DEFINER",
    "EVENT",
    "FULLTEXT",
    "FUNCTION",
    "INDEX",
    "INSTANCE",
    "LIBRARY",
    "LOGFILE",
    "OR",
    "PREPARE",
    "PROCEDURE",
    "RESOURCE",
    "ROLE",
    "SERVER",
    "SPATIAL",
    "SQL",
    "TEMPORARY",
    "TRIGGER",
    "UNDO",
    "UNIQUE",
    "USER",
    "VIEW",
];

/// What begins statements that change no rows, or whose row events tell what they change.
const NO_DEFINITIONS: [&str; 19] = [
    "ANALYZE",
    "BEGIN",
    "CHECK",
    "CHECKSUM",
    "COMMIT",
    "FLUSH",
    "GRANT",
    "INSTALL",
    "LOCK",
    "OPTIMIZE",
    "REPAIR",
    "RESET",
    "REVOKE",
    "SAVEPOINT",
    "SET",
    "TRUNCATE",
    "UNINSTALL",
    "UNLOCK",
    "USE",
];

impl<'l> Statement<'l> {
    fn of(lexemes: &'l [Lexeme]) -> Statement<'l> {
        let is =
            |at: usize, words: &[&str]| word(lexemes, at).is_some_and(|w| words.contains(&&*w));
        if is(0, &NO_DEFINITIONS) {
            return Statement::Harmless;
        }
        if is(0, &["CREATE", "ALTER", "DROP"]) && is(1, &NO_TABLES) {
            return Statement::Harmless;
        }
        if is(0, &["CREATE"]) && is(1, &["TABLE"]) {
            // LIKE copies what is computed.
            let may_compute = has_word(lexemes, "AS") || has_word(lexemes, "LIKE");
            return Statement::Create { unless_there: is(2, &["IF"]), may_compute };
        }
        if is(0, &["DROP"]) && is(1, &["TABLE", "TABLES"]) {
            return Statement::Drop;
        }
        if is(1, &["DATABASE", "SCHEMA"]) {
            return match is(0, &["DROP"]) {
                true => Statement::DropAll,
                false if is(0, &["CREATE", "ALTER"]) => Statement::Harmless,
                false => Statement::Unclear(lexemes),
            };
        }
        match (is(0, &["ALTER"]) && is(1, &["TABLE"])).then(|| qualified(&lexemes[2..])).flatten() {
            Some((table, rest)) => Statement::Alter(table, split_commas(rest)),
            None => Statement::Unclear(lexemes),
        }
    }

    /// Whether it alters a table and says something of character sets.
    fn sets_charset(&self) -> bool {
        let words = ["CHARACTER", "CHARSET", "COLLATE"];
        match self {
            Statement::Alter(_, actions) => {
                actions.iter().any(|action| words.iter().any(|word| has_word(action, word)))
            }
            _ => false,
        }
    }
}

/// A table that a statement may be about.
struct Case<'c> {
    table: &'c Table,
    before: Option<&'c Known>,
    /// What is told of it.
    now: Option<&'c Known>,
}

impl Case<'_> {
    fn is_rewritten(&self, statement: &Statement<'_>) -> bool {
        match statement {
            Statement::Harmless => false,
            // Where there is one already, nothing happens.
            Statement::Create { unless_there: true, .. }
                if matches!(self.before, Some(Known::There { .. })) =>
            {
                false
            }
            Statement::Drop if matches!(self.before, Some(Known::Gone)) => false,
            Statement::Create { .. } | Statement::Drop => self.now.is_some(),
            Statement::DropAll | Statement::Unreadable => true,
            Statement::Alter(name, actions) if is_name(name, &self.table.name) => {
                actions.iter().any(|action| self.is_rewritten_by(action))
            }
            // Another table may get this one's name, or exchange rows with it.
            Statement::Alter(_, actions) => actions.iter().any(|action| {
                matches!(word(action, 0).as_deref(), Some("RENAME" | "EXCHANGE"))
                    && self.is_named_in(action)
            }),
            Statement::Unclear(lexemes) => self.now.is_some() || self.is_named_in(lexemes),
        }
    }

    fn is_named_in(&self, lexemes: &[Lexeme]) -> bool {
        lexemes.iter().filter_map(Lexeme::name).any(|name| is_name(name, &self.table.name))
    }

    /// Whether one action of ALTER TABLE may change what is held of the table.
    fn is_rewritten_by(&self, action: &[Lexeme]) -> bool {
        let second = word(action, 1);
        let second = second.as_deref();
        // COLUMN is left out as often as not.
        let columns = &action[if second == Some("COLUMN") { 2 } else { 1 }.min(action.len())..];
        match word(action, 0).as_deref() {
            Some("ADD") => match second {
                Some("CONSTRAINT") => has_word(action, "PRIMARY"),
                Some(
                    "INDEX" | "KEY" | "UNIQUE" | "FULLTEXT" | "SPATIAL" | "FOREIGN" | "CHECK"
                    | "PARTITION",
                ) => false,
                Some("PRIMARY") => true,
                _ => self.is_added(columns),
            },
            Some("DROP") => matches!(second, Some("PARTITION" | "PRIMARY")),
            Some("MODIFY") => match name(columns, 0) {
                Some(column) => is_computed(action) || self.is_converted(column),
                None => true,
            },
            Some("CHANGE") if is_computed(action) => true,
            Some("CHANGE") => match (name(columns, 0), name(columns, 1)) {
                (Some(from), Some(to)) if is_name(from, to) => self.is_converted(to),
                (Some(_), Some(to)) => is_held(self.table, to) || self.may_compute(),
                _ => true,
            },
            Some("RENAME") => match second {
                Some("INDEX" | "KEY") => false,
                Some("COLUMN") => match (name(columns, 0), name(columns, 2)) {
                    (Some(from), Some(to)) => !is_name(from, to) && is_held(self.table, to),
                    _ => true,
                },
                _ => true,
            },
            Some(
                "ALTER" | "ANALYZE" | "CHECK" | "COALESCE" | "DISABLE" | "ENABLE" | "OPTIMIZE"
                | "ORDER" | "REBUILD" | "REMOVE" | "REORGANIZE" | "REPAIR" | "WITH" | "WITHOUT",
            ) => false,
            _ => !are_harmless_options(action),
        }
    }

    /// Whether a column that is held is among those added: its rows have a default.
    fn is_added(&self, columns: &[Lexeme]) -> bool {
        let elements = match columns.split_first() {
            Some((first, [inner @ .., _])) if first.token == Token::LParen => split_commas(inner),
            _ => vec![columns],
        };
        elements.iter().any(|element| match name(element, 0) {
            Some(column) => is_held(self.table, column) || has_word(element, "PRIMARY"),
            None => true,
        })
    }

    /// Whether another definition of a column may change values that are held.
    fn is_converted(&self, column: &str) -> bool {
        if self.may_compute() {
            return true;
        }
        let (Some(Known::There { columns: before, .. }), Some(Known::There { columns: now, .. })) =
            (self.before, self.now)
        else {
            return is_held(self.table, column);
        };
        let column = column.to_lowercase();
        match (before.get(column.as_str()), now.get(column.as_str())) {
            (Some(before), Some(now)) => !before.keeps_values_as(now),
            _ => is_held(self.table, &column),
        }
    }

    /// Whether a column that is held may be computed from others.
    fn may_compute(&self) -> bool {
        self.before.is_none_or(Known::may_compute)
    }
}

impl Form {
    /// Whether every value that was stored in this form is the same in another.
    fn keeps_values_as(&self, now: &Form) -> bool {
        let grows = self.length <= now.length;
        let same_type = self.ty == now.ty;
        let is_wider = || {
            let among = |names: &[&str]| {
                let place = |form: &Form| names.iter().position(|name| *name == &*form.ty);
                place(self).zip(place(now)).is_some_and(|(before, now)| before <= now)
            };
            among(&["TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT"])
                || among(&[
                    "TINYINT UNSIGNED",
                    "SMALLINT UNSIGNED",
                    "MEDIUMINT UNSIGNED",
                    "INT UNSIGNED",
                    "BIGINT UNSIGNED",
                ])
                // A length may make it a shorter type than it is said to be.
                || (now.length.is_none()
                    && (among(&["TINYTEXT", "TEXT", "MEDIUMTEXT", "LONGTEXT"])
                        || among(&["TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB"])))
                || (matches!(&*self.ty, "VARCHAR" | "VARBINARY" | "DECIMAL") && same_type && grows)
                || (&*self.ty == "ENUM" && same_type && now.values.starts_with(&self.values))
        };
        let same = same_type && self.length == now.length && self.values == now.values;
        self.charset == now.charset
            && self.scale == now.scale
            && (now.nullable || !self.nullable)
            && (same || is_wider())
    }
}

/// Whether these are options of a table, of which none concerns its rows.
fn are_harmless_options(mut action: &[Lexeme]) -> bool {
    while let Some((first, rest)) = action.split_first() {
        let Some(option) = first.word() else { return false };
        let is_alone = match option.as_str() {
            "PARTITION" => return rest.first().is_some_and(|next| next.is_word("BY")),
            "CHARACTER" | "DEFAULT" | "FORCE" => true,
            "ALGORITHM" | "AUTO_INCREMENT" | "AVG_ROW_LENGTH" | "CHARSET" | "CHECKSUM"
            | "COLLATE" | "COMMENT" | "COMPRESSION" | "DELAY_KEY_WRITE" | "ENCRYPTION"
            | "ENGINE" | "KEY_BLOCK_SIZE" | "LOCK" | "MAX_ROWS" | "MIN_ROWS" | "PACK_KEYS"
            | "ROW_FORMAT" | "SET" | "STATS_AUTO_RECALC" | "STATS_PERSISTENT"
            | "STATS_SAMPLE_PAGES" => false,
            _ => return false,
        };
        if is_alone {
            action = rest;
            continue;
        }
        let rest = match rest.split_first() {
            Some((equals, rest)) if equals.token == Token::Eq => rest,
            _ => rest,
        };
        let Some((value, rest)) = rest.split_first() else { return false };
        // Other engines may lose rows, or have no place for them.
        if option == "ENGINE" {
            let engine = value.name().map(str::to_owned).or_else(|| value.string());
            if !engine.is_some_and(|engine| engine.eq_ignore_ascii_case("InnoDB")) {
                return false;
            }
        }
        action = rest;
    }
    true
}

/// A name with its database, if that is there; and what follows.
fn qualified(lexemes: &[Lexeme]) -> Option<(&str, &[Lexeme])> {
    let first = name(lexemes, 0)?;
    match lexemes.get(1).is_some_and(|next| next.token == Token::Period) {
        true => Some((name(lexemes, 2)?, &lexemes[3..])),
        false => Some((first, &lexemes[1..])),
    }
}

fn word(lexemes: &[Lexeme], at: usize) -> Option<String> {
    lexemes.get(at)?.word()
}

fn name(lexemes: &[Lexeme], at: usize) -> Option<&str> {
    lexemes.get(at)?.name()
}

fn has_word(lexemes: &[Lexeme], word: &str) -> bool {
    lexemes.iter().any(|lexeme| lexeme.is_word(word))
}

/// Whether a column's definition computes it from others.
fn is_computed(definition: &[Lexeme]) -> bool {
    has_word(definition, "AS")
}

fn is_held(table: &Table, column: &str) -> bool {
    table.columns.iter().any(|held| is_name(&held.name, column))
}

/// Names that may be the same: servers differ in whether case counts.
fn is_name(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

#[cfg(test)]
mod tests;

//! Reads CREATE TABLE as SHOW CREATE TABLE prints it.
//!
//! Only what decides names, types and keys is read; indexes, foreign keys, checks, partitions and
//! options are skipped as balanced tokens, so that no clause of a newer server stops the planner.
//! Statements other than CREATE TABLE are skipped too.

use sqlparser::tokenizer::{Location, Token};

use super::catalog::{ColumnDefinition, TableDefinition, Unreadable};
use super::column_type::{self, DeclaredType};
use super::error::{Refusal, Refused};
use super::plan::TableSource;
use super::stream;
use super::tokens::{Lexeme, lexemes, split_commas};
use crate::value::Type;

/// Words that open an element of CREATE TABLE that is no column.
const NO_COLUMN: [&str; 9] =
    ["PRIMARY", "UNIQUE", "KEY", "INDEX", "FULLTEXT", "SPATIAL", "CONSTRAINT", "FOREIGN", "CHECK"];

/// The tables of a file of captured tables.
pub(super) fn captured_tables(text: &str) -> Refused<Vec<(Location, TableDefinition)>> {
    let tables = create_tables(text)?;
    tables.into_iter().map(|table| Ok((table.at, table.define(TableSource::Captured)?))).collect()
}

/// The event topics of a file of stream declarations.
pub(super) fn stream_tables(text: &str) -> Refused<Vec<(Location, TableDefinition)>> {
    create_tables(text)?
        .into_iter()
        .map(|mut table| {
            let comment = table.comment.as_deref();
            let instants = table
                .columns
                .iter()
                .any(|c| matches!(c.ty.kind, Ok(Type::Timestamp { .. } | Type::DateTime { .. })));
            let stream = stream::options(comment, instants, &table.name)
                .map_err(|message| Refusal::at(table.comment_at.unwrap_or(table.at), message))?;
            let keyed_by_place = table.key.is_empty();
            for (name, bytes) in [("_partition", 4), ("_offset", 8)] {
                if let Some(taken) = table.columns.iter().find(|c| c.name.to_lowercase() == name) {
                    let message = format!(
                        "the column `{name}` of stream `{}` is added by itself: leave it out",
                        table.name
                    );
                    return Err(Refusal::at(taken.at, message));
                }
                table.columns.push(Column::place(name, bytes, table.at));
                if keyed_by_place {
                    table.key.push((name.to_owned(), table.at));
                }
            }
            Ok((table.at, table.define(TableSource::Stream(stream))?))
        })
        .collect()
}

/// A CREATE TABLE as written.
struct CreateTable {
    at: Location,
    name: String,
    columns: Vec<Column>,
    key: Vec<(String, Location)>,
    unique: Vec<Vec<(String, Location)>>,
    collation: Option<String>,
    comment: Option<String>,
    comment_at: Option<Location>,
}

struct Column {
    at: Location,
    name: String,
    ty: DeclaredType,
    not_null: bool,
    generated_virtual: bool,
    invisible: bool,
    /// COLLATE, or the default that CHARACTER SET brings.
    collation: Option<String>,
}

fn create_tables(text: &str) -> Refused<Vec<CreateTable>> {
    let lexemes = lexemes(text)?;
    let mut tables = Vec::new();
    for statement in lexemes.split(|lexeme| lexeme.token == Token::SemiColon) {
        let mut reader = Reader { rest: statement };
        if reader.skip_words(&["CREATE"]) {
            reader.skip_words(&["TEMPORARY"]);
            if reader.skip_words(&["TABLE"]) {
                reader.skip_words(&["IF", "NOT", "EXISTS"]);
                tables.push(reader.table()?);
            }
        }
    }
    Ok(tables)
}

/// Reads lexemes one after another.
struct Reader<'l> {
    rest: &'l [Lexeme],
}

impl<'l> Reader<'l> {
    fn next(&mut self) -> Option<&'l Lexeme> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn here(&self) -> Location {
        self.rest.first().map_or(Location { line: 0, column: 0 }, |lexeme| lexeme.start)
    }

    /// Skips these words if they all come next.
    fn skip_words(&mut self, words: &[&str]) -> bool {
        let there = self.rest.len() >= words.len()
            && words.iter().zip(self.rest).all(|(word, lexeme)| lexeme.is_word(word));
        if there {
            self.rest = &self.rest[words.len()..];
        }
        there
    }

    fn skip(&mut self, token: &Token) -> bool {
        let there = self.rest.first().is_some_and(|lexeme| lexeme.token == *token);
        if there {
            self.rest = &self.rest[1..];
        }
        there
    }

    fn name(&mut self) -> Refused<(String, Location)> {
        let at = self.here();
        match self.next().and_then(Lexeme::name) {
            Some(name) => Ok((name.to_owned(), at)),
            None => Err(Refusal::at(at, "a name is missing here")),
        }
    }

    /// What stands between the parenthesis that comes next and its partner, which is skipped.
    fn parenthesized(&mut self) -> Option<&'l [Lexeme]> {
        if !self.skip(&Token::LParen) {
            return None;
        }
        let mut depth = 1;
        let end = self.rest.iter().position(|lexeme| {
            depth = lexeme.depth_after(depth);
            depth == 0
        })?;
        let inner = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        Some(inner)
    }

    /// Everything behind `CREATE TABLE`.
    fn table(&mut self) -> Refused<CreateTable> {
        let (mut name, at) = self.name()?;
        if self.skip(&Token::Period) {
            name = self.name()?.0;
        }
        let body = self.parenthesized().ok_or_else(|| {
            Refusal::at(at, format!("table `{name}` has no list of columns: write its columns out"))
        })?;
        let mut table = CreateTable {
            at,
            name,
            columns: Vec::new(),
            key: Vec::new(),
            unique: Vec::new(),
            collation: None,
            comment: None,
            comment_at: None,
        };
        for element in split_commas(body) {
            table.element(element)?;
        }
        while let Some(lexeme) = self.next() {
            match lexeme.word().as_deref() {
                Some("COLLATE") => {
                    self.skip(&Token::Eq);
                    table.collation = Some(self.name()?.0);
                }
                // `CHARSET = x` or `CHARACTER SET = x`.
                Some("CHARSET" | "SET") if table.collation.is_none() => {
                    self.skip(&Token::Eq);
                    table.collation = Some(default_collation(&self.name()?.0));
                }
                Some("COMMENT") => {
                    self.skip(&Token::Eq);
                    table.comment_at = Some(self.here());
                    table.comment = self.next().and_then(Lexeme::string);
                }
                _ => {}
            }
        }
        Ok(table)
    }
}

impl CreateTable {
    fn element(&mut self, element: &[Lexeme]) -> Refused<()> {
        let Some(first) = element.first() else { return Ok(()) };
        let word = first.word();
        if word.as_deref().is_some_and(|word| NO_COLUMN.contains(&word)) {
            return self.constraint(element);
        }
        let column = Column::read(element)?;
        if has_words(element, &["PRIMARY", "KEY"]) {
            self.key.push((column.name.clone(), column.at));
        } else if has_words(element, &["UNIQUE"]) || has_words(element, &["SERIAL"]) {
            self.unique.push(vec![(column.name.clone(), column.at)]);
        }
        if self.columns.iter().any(|c| c.name.to_lowercase() == column.name.to_lowercase()) {
            let message = format!("column `{}` is declared twice: remove one", column.name);
            return Err(Refusal::at(column.at, message));
        }
        self.columns.push(column);
        Ok(())
    }

    /// `[CONSTRAINT [name]] PRIMARY KEY (…)` or `… UNIQUE [KEY] [name] (…)`; the others say nothing
    /// about which rows there can be.
    fn constraint(&mut self, element: &[Lexeme]) -> Refused<()> {
        let unique = |lexeme: &Lexeme| lexeme.is_word("UNIQUE");
        let primary = |lexeme: &Lexeme| lexeme.is_word("PRIMARY");
        let kind = element.iter().take(3).position(|lexeme| unique(lexeme) || primary(lexeme));
        let Some(kind) = kind else { return Ok(()) };
        let mut reader = Reader { rest: &element[kind + 1..] };
        while !reader.rest.is_empty() && reader.rest[0].token != Token::LParen {
            reader.next();
        }
        let parts = split_commas(reader.parenthesized().unwrap_or_default());
        if primary(&element[kind]) {
            for part in parts {
                self.key.push(Reader { rest: part }.name()?);
            }
        // A prefix or an expression says nothing about whole columns.
        } else if parts.iter().all(|part| part.iter().all(|l| l.token != Token::LParen)) {
            let names = parts.into_iter().map(|part| Reader { rest: part }.name());
            self.unique.push(names.collect::<Refused<_>>()?);
        }
        Ok(())
    }

    fn define(self, source: TableSource) -> Refused<TableDefinition> {
        let places = |names: &[(String, Location)], what: &str| {
            let place = |(name, at): &(String, Location)| {
                let lower = name.to_lowercase();
                let place = self.columns.iter().position(|c| c.name.to_lowercase() == lower);
                place.ok_or_else(|| {
                    Refusal::at(*at, format!("the {what} names no column: `{name}`"))
                })
            };
            names.iter().map(place).collect::<Refused<Vec<usize>>>()
        };
        let key = places(&self.key, "primary key")?;
        let unique: Refused<Vec<_>> =
            self.unique.iter().map(|names| places(names, "unique key")).collect();
        let unique = unique?;
        let collation = self.collation;
        let columns = self.columns.into_iter().enumerate().map(|(i, column)| {
            let ty = match column.ty.kind {
                Ok(_) if column.generated_virtual => Err(Unreadable::Virtual),
                Ok(ty) => Ok(with_collation(ty, &column, collation.as_deref())),
                Err(unreadable) => Err(unreadable),
            };
            ColumnDefinition {
                nullable: !column.not_null && !key.contains(&i),
                name: column.name,
                declared: column.ty.declared,
                ty,
                invisible: column.invisible,
                zerofill: column.ty.zerofill,
                by_index: column.ty.by_index,
            }
        });
        Ok(TableDefinition { columns: columns.collect(), name: self.name, source, key, unique })
    }
}

impl Column {
    fn read(element: &[Lexeme]) -> Refused<Column> {
        let mut reader = Reader { rest: element };
        let (name, at) = reader.name()?;
        let ty = column_type::read(reader.rest).ok_or_else(|| {
            let what = reader.rest.first().and_then(Lexeme::name).unwrap_or_default();
            Refusal::at(reader.here(), format!("column `{name}` has no type of MySQL: `{what}`"))
        })?;
        let national = ["NATIONAL", "NCHAR", "NVARCHAR"];
        let is_national = reader.rest.first().and_then(Lexeme::word);
        let is_national = is_national.is_some_and(|word| national.contains(&word.as_str()));
        let mut column = Column {
            at,
            name,
            ty,
            not_null: has_words(element, &["NOT", "NULL"]) || has_words(element, &["SERIAL"]),
            generated_virtual: false,
            invisible: has_words(element, &["INVISIBLE"]),
            collation: is_national.then(|| default_collation("utf8mb3")),
        };
        column.generated_virtual = has_words(element, &["AS"]) && !has_words(element, &["STORED"]);
        while !reader.rest.is_empty() {
            if reader.parenthesized().is_some() {
                continue;
            }
            match reader.next().and_then(Lexeme::word).as_deref() {
                Some("COLLATE") => column.collation = Some(reader.name()?.0),
                // `CHARACTER SET x`; the type SET is followed by a parenthesis.
                Some("SET")
                    if column.collation.is_none()
                        && reader.rest.first().is_some_and(|next| next.token != Token::LParen) =>
                {
                    column.collation = Some(default_collation(&reader.name()?.0));
                }
                Some("CHARSET") if column.collation.is_none() => {
                    column.collation = Some(default_collation(&reader.name()?.0));
                }
                // A collation by an attribute: that of bytes, or of another character set.
                Some("ASCII" | "BINARY" | "UNICODE") if column.collation.is_none() => {
                    column.collation = Some(default_collation("another"));
                }
                _ => {}
            }
        }
        Ok(column)
    }

    /// A column that every stream has.
    fn place(name: &str, bytes: u8, at: Location) -> Column {
        let declared = if bytes == 4 { "int" } else { "bigint" };
        Column {
            at,
            name: name.to_owned(),
            ty: DeclaredType {
                declared: declared.to_owned(),
                kind: Ok(Type::Int { bytes, unsigned: false }),
                zerofill: false,
                by_index: false,
            },
            not_null: true,
            generated_virtual: false,
            invisible: false,
            collation: None,
        }
    }
}

/// Text types with what their collation says; without one the server's default is taken.
fn with_collation(ty: Type, column: &Column, table: Option<&str>) -> Type {
    use crate::value::Collation;
    let Type::Text(_) = ty else { return ty };
    let collation = column.collation.as_deref().or(table);
    Type::Text(collation.map_or(Collation::Insensitive, Collation::named))
}

/// The collation that a character set alone stands for.
fn default_collation(charset: &str) -> String {
    match charset.to_ascii_lowercase().as_str() {
        "utf8mb4" => "utf8mb4_0900_ai_ci".to_owned(),
        other => format!("default of {other}"),
    }
}

/// Whether these words stand in a column's declaration, outside parentheses and one behind another.
fn has_words(element: &[Lexeme], words: &[&str]) -> bool {
    let mut depth = 0;
    let outside: Vec<&Lexeme> = element
        .iter()
        .skip(1)
        .filter(|lexeme| {
            let before = depth;
            depth = lexeme.depth_after(depth);
            before == 0
        })
        .collect();
    outside
        .windows(words.len())
        .any(|window| window.iter().zip(words).all(|(lexeme, word)| lexeme.is_word(word)))
}

#[cfg(test)]
#[path = "ddl_tests.rs"]
mod tests;

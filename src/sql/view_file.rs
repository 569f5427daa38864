//! Reads a file of `sql/views`: one CREATE VIEW and its CREATE INDEXes.

use sqlparser::ast::{
    CreateIndex, CreateView, Expr, Ident, ObjectName, OrderBySort, Query, Statement,
};
use sqlparser::dialect::MySqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Location;

use super::depth;
use super::error::{Refusal, Refused};
use super::tokens::{tokenize, with_arrows_called, with_mod_as_sign};

/// A view as written.
pub(super) struct ViewFile {
    pub(super) name: Ident,
    pub(super) query: Box<Query>,
    pub(super) indexes: Vec<IndexDeclaration>,
}

/// A view with the file that it stands in.
pub(super) struct ViewSource<'f> {
    pub(super) path: &'f str,
    pub(super) text: &'f str,
    pub(super) file: ViewFile,
}

impl ViewSource<'_> {
    pub(super) fn name(&self) -> &str {
        &self.file.name.value
    }
}

/// `CREATE INDEX name ON view (columns)`.
pub(super) struct IndexDeclaration {
    pub(super) name: Ident,
    pub(super) columns: Vec<Ident>,
}

const WHOLE_FILE: &str = "a view's file holds one CREATE VIEW name AS SELECT …; and any CREATE INDEX name ON view (columns);";

/// Reads a view's file.
pub(super) fn read(text: &str) -> Refused<ViewFile> {
    if let Some(at) = text.find("/*!") {
        let before = &text[..at];
        let line = before.matches('\n').count() as u64 + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() as u64 + 1;
        return Err(Refusal::at(
            Location { line, column },
            "a conditional comment /*! … */ means something else on every server version: write its SQL out",
        ));
    }
    let tokens = tokenize(text)?;
    depth::check(&tokens)?;
    let tokens = with_mod_as_sign(with_arrows_called(tokens));
    let statements = Parser::new(&MySqlDialect {})
        .with_tokens_with_locations(tokens)
        .parse_statements()
        .map_err(refusal)?;
    let mut view: Option<CreateView> = None;
    let mut indexes = Vec::new();
    for statement in statements {
        match statement {
            Statement::CreateView(create) if view.is_none() => view = Some(create),
            Statement::CreateView(create) => {
                let message = "a second CREATE VIEW in one file: give each view a file of its own";
                return Err(Refusal::on(&create.name, message));
            }
            Statement::CreateIndex(index) => indexes.push(index),
            other => {
                return Err(Refusal::on(
                    &other,
                    format!("this statement is no view: {WHOLE_FILE}"),
                ));
            }
        }
    }
    let at = Location { line: 1, column: 1 };
    let view = view.ok_or_else(|| Refusal::at(at, format!("no CREATE VIEW: {WHOLE_FILE}")))?;
    let name = last_name(&view.name)?;
    plain_name(&name)?;
    if let Some(column) = view.columns.first() {
        let message =
            "a list of column names behind the view's name: name the columns in the SELECT with AS";
        return Err(Refusal::at(column.name.span.start, message));
    }
    let indexes = indexes.iter().map(|index| declaration(index, &name)).collect::<Refused<_>>()?;
    Ok(ViewFile { name, query: view.query, indexes })
}

fn declaration(index: &CreateIndex, view: &Ident) -> Refused<IndexDeclaration> {
    let Some(name) = &index.name else {
        return Err(Refusal::on(
            &index.table_name,
            "an index without a name: write CREATE INDEX name ON …",
        ));
    };
    let name = last_name(name)?;
    plain_name(&name)?;
    let on = last_name(&index.table_name)?;
    if on.value != view.value {
        let message = format!(
            "an index on `{}` in the file of view `{}`: move it to its own view's file",
            on.value, view.value
        );
        return Err(Refusal::at(on.span.start, message));
    }
    if index.unique {
        let message =
            "CREATE UNIQUE INDEX: a view's look-up index does not constrain it, write CREATE INDEX";
        return Err(Refusal::at(name.span.start, message));
    }
    let columns = index.columns.iter().map(|column| match &column.column.expr {
        Expr::Identifier(name)
            if !matches!(column.column.options.sort, Some(OrderBySort::Desc)) =>
        {
            Ok(name.clone())
        }
        other => Err(Refusal::on(
            other,
            "an index holds plain columns of the view, ascending: name an output column",
        )),
    });
    Ok(IndexDeclaration { name, columns: columns.collect::<Refused<_>>()? })
}

/// The name without its database.
fn last_name(name: &ObjectName) -> Refused<Ident> {
    match name.0.last().and_then(|part| part.as_ident()) {
        Some(ident) => Ok(ident.clone()),
        None => Err(Refusal::on(name, "a name is missing here")),
    }
}

/// Names that stand in addresses and in Redis keys.
fn plain_name(name: &Ident) -> Refused<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.value.chars().all(plain) && !name.value.is_empty() {
        return Ok(());
    }
    let message =
        format!("the name `{}` stands in addresses: use letters, digits, `_` and `-`", name.value);
    Err(Refusal::at(name.span.start, message))
}

/// sqlparser puts the place into the text of its message.
fn refusal(error: ParserError) -> Refusal {
    let message = match error {
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => message,
        ParserError::RecursionLimitExceeded => "SQL nested too deeply".to_owned(),
    };
    let (text, at) = message.rsplit_once(" at Line: ").unwrap_or((&message, ""));
    let (line, column) = at.split_once(", Column: ").unwrap_or_default();
    let at = Location { line: line.parse().unwrap_or(1), column: column.parse().unwrap_or(1) };
    let mut text = text.to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    Refusal::at(at, format!("not understood as SQL: {text}"))
}

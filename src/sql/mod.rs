//! A view's SELECT becomes a [`plan`].
//!
//! ```text
//! CREATE TABLE … ─▶ ddl, column_type, stream ─▶ catalog ─┐
//! CREATE VIEW …  ─▶ view_file ───────────────────────────┴▶ tree ─▶ finish, prune ─▶ plan
//!                                                           │
//!              FROM, JOIN, WHERE, GROUP BY: tree, joins, ties, edges, inline, with, grouping, computed · SELECT list, subqueries: subquery, membership, aggregates, order
//!              names · expressions: build, calls, functions, casts, literals, typing ─▶ expr
//! ```
//!
//! What the planner does not support it refuses, with the place, the construct and what to write
//! instead: a view that is planned gives MySQL's own answer or no answer. Nothing here does I/O.
//!
//! Absent: joins that multiply documents, groups by values of several tables, most
//! collations in comparisons, window functions, and everything that changes without a row changing.

mod aggregates;
mod build;
mod calls;
mod casts;
mod catalog;
mod clauses;
mod collations;
mod column_type;
mod computed;
mod conditions;
mod ddl;
mod depth;
mod eager;
mod edges;
mod error;
mod explain;
pub mod expr;
mod finish;
mod functions;
mod group_values;
mod grouping;
mod inline;
mod intervals;
mod joins;
mod literals;
mod membership;
mod names;
mod operators;
mod order;
pub mod plan;
mod prune;
mod select_text;
mod shared;
mod stream;
mod subquery;
mod switch;
mod ties;
pub(crate) mod tokens;
mod tree;
mod typing;
mod using;
mod view_file;
mod with;

use sqlparser::ast::Spanned;
use sqlparser::tokenizer::Location;

pub use catalog::{Catalog, ColumnDefinition, TableDefinition, Unreadable};
pub use error::PlanError;
pub use explain::explain;
pub use switch::{CannotAnswer, Unanswered, can_answer, go_on_answering};

use clauses::{distinct_as_groups, view_select};
use error::{Refusal, Refused, did_you_mean, listed};
use expr::{Expr, ExprKind};
use finish::DraftView;
use grouping::{Grouped, group_terms};
use names::Names;
use plan::{Computed, NodeId, Output, Plan, View, ViewIndex};
use subquery::Item;
use tree::{Planner, Rows, Tied};
use view_file::{ViewFile, ViewSource};

/// All SQL that a pipeline is made of, as read from its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definitions {
    /// CREATE TABLE of the captured tables.
    pub tables: Vec<SourceFile>,
    /// CREATE TABLE of the event topics.
    pub streams: Vec<SourceFile>,
    /// CREATE VIEW and CREATE INDEX.
    pub views: Vec<SourceFile>,
}

/// One file of SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path, for messages.
    pub path: String,
    /// Its content.
    pub text: String,
}

/// Changes when the same SQL over the same tables comes to other documents: then every view is
/// filled again.
const ENGINE_SEMANTICS: u32 = 2;

/// What the address of a list may say besides the columns of an index.
pub const QUERY_PARAMETERS: [&str; 4] = ["limit", "cursor", "after", "wait"];

/// Plans all views over the declared tables.
///
/// # Errors
/// The first SQL that is not understood or not supported, with its place and the way out.
pub fn plan_views(definitions: &Definitions) -> Result<Plan, PlanError> {
    plan_or_refusals(definitions).map_err(|mut refused| refused.swap_remove(0))
}

/// Plans all views over the declared tables.
///
/// # Errors
/// At least one: what is not understood or not supported of each view's file, with its place and
/// the way out; of tables, and of files that hold no view, what is found first.
pub fn plan_or_refusals(definitions: &Definitions) -> Result<Plan, Vec<PlanError>> {
    let catalog = read_catalog(definitions).map_err(|error| vec![error])?;
    let views = read_views(definitions).map_err(|error| vec![error])?;
    let (mut drafts, mut refused) = (Vec::new(), Vec::new());
    let mut computed = vec![Vec::new(); catalog.tables.len()];
    for view in &views {
        match plan_view(&catalog, &mut computed, &views, view) {
            Ok(draft) => drafts.push(draft),
            Err(refusal) => {
                refused.push(refusal.in_file(view.path, view.file.query.span().start));
            }
        }
    }
    if !refused.is_empty() {
        return Err(refused);
    }
    let mut plan = finish::plan(&catalog, &computed, drafts);
    fingerprint(&mut plan);
    Ok(plan)
}

fn read_views(definitions: &Definitions) -> Result<Vec<ViewSource<'_>>, PlanError> {
    let start = Location { line: 1, column: 1 };
    let mut views: Vec<ViewSource<'_>> = Vec::new();
    for SourceFile { path, text } in &definitions.views {
        let file = view_file::read(text).map_err(|r| r.in_file(path, start))?;
        let name = &file.name;
        if let Some(other) = views.iter().find(|other| other.name() == name.value) {
            let message =
                format!("view `{}` is declared in {} too: remove one", name.value, other.path);
            return Err(Refusal::at(name.span.start, message).in_file(path, start));
        }
        views.push(ViewSource { path, text, file });
    }
    Ok(views)
}

/// All declared tables with all their columns, whether views read them or not.
///
/// # Errors
/// SQL that is not understood, with its place and the way out.
pub fn read_catalog(definitions: &Definitions) -> Result<Catalog, PlanError> {
    let start = Location { line: 1, column: 1 };
    let captured = definitions.tables.iter().map(|file| (file, false));
    let streams = definitions.streams.iter().map(|file| (file, true));
    let mut catalog = Catalog::default();
    for (file, is_stream) in captured.chain(streams) {
        let read = if is_stream { ddl::stream_tables } else { ddl::captured_tables };
        for (at, table) in read(&file.text).map_err(|r| r.in_file(&file.path, start))? {
            if catalog.table(&table.name).is_some() {
                let message = format!("table `{}` is declared twice: remove one", table.name);
                return Err(Refusal::at(at, message).in_file(&file.path, start));
            }
            catalog.tables.push(table);
        }
    }
    Ok(catalog)
}

fn plan_view(
    catalog: &Catalog,
    computed: &mut [Vec<Computed>],
    views: &[ViewSource<'_>],
    source: &ViewSource<'_>,
) -> Refused<DraftView> {
    let file = &source.file;
    let mut planner = Planner {
        catalog,
        computed,
        views,
        reading: vec![source.name()],
        nodes: Vec::new(),
        collections: Vec::new(),
        named: Vec::new(),
        edits: Vec::new(),
    };
    let select = &*distinct_as_groups(view_select(&file.query)?)?;
    if let Some(order_by) = &file.query.order_by {
        let message = "ORDER BY of a view: its documents come in key order, leave it out";
        return Err(Refusal::on(order_by, message));
    }
    if let Some(limit) = &file.query.limit_clause {
        let message =
            "LIMIT of a view: it holds a document for every key, leave it out and write a WHERE";
        return Err(Refusal::on(limit, message));
    }
    let (scope, items, key) = planner.with(&file.query, |planner| {
        if !group_terms(select).is_empty() {
            let Grouped { scope, items, key, .. } = planner.grouped(select)?;
            return Ok((scope, items, key));
        }
        let planned = planner.scope(select, Tied::Nothing, Rows::One)?;
        let items = planner.items(select, &planned.names)?;
        let key = row_key(planner, &planned.names);
        Ok((planned.scope, items, key))
    })?;
    let key = document_key(&key, &items, file)?;
    let indexes = view_indexes(file, &items)?;
    let view = View {
        name: file.name.value.clone(),
        select: source.select_text(&planner.edits)?,
        nodes: Vec::new(),
        scope,
        collections: planner.collections,
        outputs: items
            .into_iter()
            .map(|item| Output { name: item.name, expr: item.value })
            .collect(),
        conditions: 0,
        key,
        indexes,
        fingerprint: String::new(),
    };
    Ok(DraftView { view, nodes: planner.nodes })
}

/// What tells a table's rows apart, each value with what it is called: its primary key.
fn row_key(planner: &Planner<'_>, names: &Names<'_>) -> Vec<(Expr, String)> {
    let root = NodeId(0);
    let term = |&column: &usize| {
        let ty = planner.column_type(root, column)?;
        let value = Expr::new(ExprKind::Column { node: root, column }, ty, true);
        Some((value, planner.called(root, column, names)))
    };
    planner.key(root).iter().filter_map(term).collect()
}

/// The outputs that are the key.
fn document_key(key: &[(Expr, String)], items: &[Item], file: &ViewFile) -> Refused<Vec<usize>> {
    let place_of = |value: &Expr| items.iter().position(|item| item.value.kind == value.kind);
    let missing = key.iter().filter(|(value, _)| place_of(value).is_none());
    let missing: Vec<&str> = missing.map(|(_, name)| name.as_str()).collect();
    if missing.is_empty() {
        return Ok(key.iter().filter_map(|(value, _)| place_of(value)).collect());
    }
    let message = format!(
        "view `{}` does not show the key of its documents: add {} to its columns",
        file.name.value,
        listed(missing.into_iter())
    );
    Err(Refusal::at(file.name.span.start, message))
}

fn view_indexes(file: &ViewFile, items: &[Item]) -> Refused<Vec<ViewIndex>> {
    let mut indexes: Vec<ViewIndex> = Vec::new();
    for index in &file.indexes {
        if indexes.iter().any(|other| other.name == index.name.value) {
            let message =
                format!("two indexes are called `{}`: give one another name", index.name.value);
            return Err(Refusal::at(index.name.span.start, message));
        }
        let mut columns = Vec::new();
        for name in &index.columns {
            let lower = name.value.to_lowercase();
            let place = items.iter().position(|item| item.name.to_lowercase() == lower);
            let Some(place) = place else {
                let known = items.iter().map(|item| item.name.as_str());
                let hint = did_you_mean(&name.value, known);
                let message =
                    format!("view `{}` has no column `{}`{hint}", file.name.value, name.value);
                return Err(Refusal::at(name.span.start, message));
            };
            if QUERY_PARAMETERS.contains(&lower.as_str()) {
                let message = format!(
                    "an index on `{}`, which every list's address takes for a parameter of its own: call the column otherwise with AS",
                    name.value
                );
                return Err(Refusal::at(name.span.start, message));
            }
            if items[place].value.ty == crate::value::Type::Json {
                let message =
                    format!("an index on the JSON column `{}`: index a number or text", name.value);
                return Err(Refusal::at(name.span.start, message));
            }
            columns.push(place);
        }
        indexes.push(ViewIndex { name: index.name.value.clone(), columns });
    }
    Ok(indexes)
}

/// Hashes everything that documents and their index entries follow from: the SQL, the types, the
/// engine's semantics.
fn fingerprint(plan: &mut Plan) {
    let of = |view: &View| {
        let mut text = format!("{ENGINE_SEMANTICS}\n{}\n", view.select);
        for output in &view.outputs {
            text.push_str(&format!("{} {:?}\n", output.name, output.expr.ty));
        }
        for index in &view.indexes {
            text.push_str(&format!("{} {:?}\n", index.name, index.columns));
        }
        for node in &view.nodes {
            let table = plan.table(node.table);
            let read = table.held(&node.reads).into_iter().map(|column| {
                let column = &table.columns[column];
                format!("{} {:?} {}", column.name, column.ty, column.nullable)
            });
            text.push_str(&format!(
                "{} {:?} {:?}\n",
                table.name,
                table.source,
                read.collect::<Vec<_>>()
            ));
        }
        format!("{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
    };
    let fingerprints: Vec<String> = plan.views.iter().map(of).collect();
    for (view, fingerprint) in plan.views.iter_mut().zip(fingerprints) {
        view.fingerprint = fingerprint;
    }
}

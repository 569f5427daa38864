//! What the documents must be: nested loops over sorted maps, from scratch, over the same plan.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use viewtide::engine::Document;
use viewtide::sql::expr::{Bindings, EvalError, Expr};
use viewtide::sql::plan::*;
use viewtide::value::{
    Decimal, Key, Type, Value, compare, compare_as, to_text, write_json, write_json_element,
    write_json_string,
};

/// One row by its columns.
pub(super) type Values = Vec<Value<'static>>;

/// All rows of all tables, by table and primary key.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    tables: Vec<BTreeMap<Key, Values>>,
    /// By table: the types of its columns.
    types: Vec<Vec<Type>>,
}

impl Rows {
    pub(super) fn new(plan: &Plan) -> Rows {
        let types = |table: &Table| table.columns.iter().map(|column| column.ty).collect();
        Rows {
            tables: vec![BTreeMap::new(); plan.tables.len()],
            types: plan.tables.iter().map(types).collect(),
        }
    }

    pub(super) fn upsert(&mut self, plan: &Plan, table: TableId, row: Values) {
        self.tables[usize::from(table.0)].insert(key_of(plan.table(table), &row), row);
    }

    pub(super) fn delete(&mut self, table: TableId, key: &Key) {
        self.tables[usize::from(table.0)].remove(key);
    }

    pub(super) fn truncate(&mut self, table: TableId) {
        self.tables[usize::from(table.0)].clear();
    }

    /// The same rows, their columns of another plan's types.
    pub(super) fn replan(&mut self, plan: &Plan) {
        self.types = Rows::new(plan).types;
    }

    /// A column of all rows of a table is NULL from here on; whether there is a row.
    pub(super) fn forget(&mut self, table: TableId, column: usize) -> bool {
        let rows = &mut self.tables[usize::from(table.0)];
        rows.values_mut().for_each(|row| row[column] = Value::Null);
        !rows.is_empty()
    }

    /// Every row, table by table.
    pub(super) fn all(&self) -> impl Iterator<Item = (TableId, &Values)> {
        let tables = self.tables.iter().enumerate();
        tables.flat_map(|(i, rows)| rows.values().map(move |row| (TableId(i as u16), row)))
    }

    /// Each combination of values that rows are grouped by, by key.
    fn groups(&self, grouping: &Grouping) -> BTreeMap<Key, Values> {
        let group = |row: &Values| {
            let group: Values = grouping.columns.iter().map(|&at| row[at].clone()).collect();
            (key_of(&grouping.table, &group), group)
        };
        self.tables[usize::from(grouping.of.0)].values().map(group).collect()
    }

    /// The documents of a view.
    pub(super) fn documents(&self, plan: &Plan, view: &View) -> BTreeMap<Key, Document> {
        let scan = Scan { view, rows: self, bound: RefCell::new(BTreeMap::new()) };
        let id = view.nodes[0].table;
        let groups = plan.grouping(id).map(|grouping| self.groups(grouping));
        let root = groups.as_ref().unwrap_or_else(|| &self.tables[usize::from(id.0)]);
        let documents = root.iter().map(|(key, row)| (key.clone(), scan.document(row)));
        documents.filter(|(_, document)| *document != Document::Absent).collect()
    }
}

/// The primary key of a row.
pub(super) fn key_of(table: &Table, row: &Values) -> Key {
    let mut key = Key::new();
    table.key.iter().for_each(|&column| key.push(&row[column]));
    key
}

/// Each value once.
fn different(values: Vec<Value<'static>>) -> Vec<Value<'static>> {
    let mut different: Vec<Value<'static>> = Vec::new();
    for value in values {
        if !different.contains(&value) {
            different.push(value);
        }
    }
    different
}

fn is_true(value: &Value<'_>) -> bool {
    !matches!(value, Value::Null | Value::Int(0) | Value::UInt(0))
}

struct Scan<'a> {
    view: &'a View,
    rows: &'a Rows,
    bound: RefCell<BTreeMap<NodeId, Option<&'a Values>>>,
}

/// What a scope yields: the rows bound when one of its rows counts.
type Binding<'a> = BTreeMap<NodeId, Option<&'a Values>>;

impl<'a> Scan<'a> {
    fn document(&self, row: &'a Values) -> Document {
        self.bound.borrow_mut().clear();
        match self.admitted(&self.view.scope, row) {
            Ok(Some(binding)) => *self.bound.borrow_mut() = binding,
            Ok(None) => return Document::Absent,
            Err(error) => {
                let (code, message) = error.into_parts();
                return Document::Error { code, column: None, message };
            }
        }
        let mut body = b"{".to_vec();
        let mut values = Vec::new();
        for output in &self.view.outputs {
            let value = match output.expr.eval_stored(self) {
                Ok(value) => value.into_owned(),
                Err(error) => {
                    let (code, message) = error.into_parts();
                    return Document::Error { code, column: Some(output.name.clone()), message };
                }
            };
            if body.len() > 1 {
                body.push(b',');
            }
            write_json_string(&mut body, &output.name);
            body.push(b':');
            write_json(&mut body, &value, output.expr.ty);
            values.push(value);
        }
        body.push(b'}');
        let index_values = self.view.indexes.iter().map(|index| {
            let mut key = Key::new();
            index.columns.iter().for_each(|&column| key.push(&values[column]));
            key
        });
        Document::Present { body, index_values: index_values.collect() }
    }

    /// The binding of a scope's row, on top of what is bound; `None` if the row does not count.
    fn admitted(
        &self,
        scope: &'a Scope,
        row: &'a Values,
    ) -> Result<Option<Binding<'a>>, EvalError> {
        Ok(self.joined(scope, row)?.into_iter().next())
    }

    /// The bindings that count of a row of a scope's FROM, on top of what is bound.
    fn joined(&self, scope: &'a Scope, row: &'a Values) -> Result<Vec<Binding<'a>>, EvalError> {
        let mut first = self.bound.borrow().clone();
        first.insert(scope.from, Some(row));
        let mut bindings = vec![first];
        for join in &scope.joins {
            let mut next = Vec::new();
            for binding in bindings {
                let outside = self.bound.replace(binding);
                let found = self.join(join);
                let binding = self.bound.replace(outside);
                let found = found?;
                if found.is_empty() && !join.required {
                    next.push(self.without(binding, join));
                } else {
                    next.extend(found);
                }
            }
            bindings = next;
        }
        let mut counting = Vec::new();
        for binding in bindings {
            let counts = match &scope.filter {
                Some(filter) => is_true(&self.under(&binding, filter)?),
                None => true,
            };
            counting.extend(counts.then_some(binding));
        }
        Ok(counting)
    }

    /// What is bound now with each row that a join finds.
    fn join(&self, join: &'a Join) -> Result<Vec<Binding<'a>>, EvalError> {
        let (node, on) = match &join.kind {
            JoinKind::Lookup { node, on } => (*node, on),
            JoinKind::Each { scope } => return self.every(scope),
            JoinKind::Pick { scope, order_by } => {
                return Ok(self.sorted(scope, order_by)?.into_iter().take(1).collect());
            }
        };
        let mut found = Vec::new();
        for row in self.hanging(node).into_iter().take(1) {
            let mut binding = self.bound.borrow().clone();
            binding.insert(node, Some(row));
            let holds = match on {
                Some(on) => is_true(&self.under(&binding, on)?),
                None => true,
            };
            found.extend(holds.then_some(binding));
        }
        Ok(found)
    }

    /// A binding without a row of what an outer join found nothing of.
    fn without(&self, mut binding: Binding<'a>, join: &'a Join) -> Binding<'a> {
        match &join.kind {
            JoinKind::Lookup { node, .. } => {
                binding.insert(*node, None);
            }
            JoinKind::Pick { scope, .. } | JoinKind::Each { scope } => {
                binding.insert(scope.from, None);
                for join in &scope.joins {
                    binding = self.without(binding, join);
                }
            }
        }
        binding
    }

    /// Every row of a scope that counts, as a binding.
    fn every(&self, scope: &'a Scope) -> Result<Vec<Binding<'a>>, EvalError> {
        let mut bindings = Vec::new();
        for row in self.hanging(scope.from) {
            bindings.extend(self.joined(scope, row)?);
        }
        Ok(bindings)
    }

    fn sorted(
        &self,
        scope: &'a Scope,
        order_by: &'a [OrderBy],
    ) -> Result<Vec<Binding<'a>>, EvalError> {
        let mut keyed = Vec::new();
        for binding in self.every(scope)? {
            let terms = order_by.iter().map(|term| self.under(&binding, &term.expr));
            keyed.push((terms.collect::<Result<Vec<_>, _>>()?, binding));
        }
        keyed.sort_by(|(a, _), (b, _)| {
            let terms = a.iter().zip(b).zip(order_by).map(|((a, b), term)| {
                let ty = term.expr.ty;
                if term.descending { compare_as(ty, b, a) } else { compare_as(ty, a, b) }
            });
            terms.fold(Ordering::Equal, Ordering::then)
        });
        Ok(keyed.into_iter().map(|(_, binding)| binding).collect())
    }

    /// The value of an expression under a binding.
    fn under(&self, binding: &Binding<'a>, expr: &'a Expr) -> Result<Value<'static>, EvalError> {
        let outside = self.bound.replace(binding.clone());
        let value = expr.eval(self).map(Value::into_owned);
        self.bound.replace(outside);
        value
    }

    /// The same with the scale of its type, as it is printed.
    fn stored_under(
        &self,
        binding: &Binding<'a>,
        expr: &'a Expr,
    ) -> Result<Value<'static>, EvalError> {
        let outside = self.bound.replace(binding.clone());
        let value = expr.eval_stored(self).map(Value::into_owned);
        self.bound.replace(outside);
        value
    }

    /// The rows of a node whose edge matches the row bound to its parent.
    fn hanging(&self, node: NodeId) -> Vec<&'a Values> {
        let edge = self.view.node(node).edge.as_ref().unwrap();
        let parent = self.bound.borrow().get(&edge.parent).copied().flatten();
        let Some(parent) = parent else { return Vec::new() };
        let table = usize::from(self.view.node(node).table.0);
        let matches = |row: &&Values| {
            let mut pairs = edge.parent_columns.iter().zip(&edge.child_columns);
            pairs.all(|(&up, &down)| match (&parent[up], &row[down]) {
                (a, b) if edge.as_groups => a == b,
                (Value::Null, _) | (_, Value::Null) => false,
                (a, b) => compare_as(self.rows.types[table][down], a, b).is_eq(),
            })
        };
        self.rows.tables[table].values().filter(matches).collect()
    }

    fn aggregate(
        &self,
        scope: &'a Scope,
        aggregate: &'a Aggregate,
    ) -> Result<Value<'static>, EvalError> {
        let values = |expr: &'a Expr| -> Result<Vec<Value<'static>>, EvalError> {
            let all = self.every(scope)?.into_iter().map(|binding| self.under(&binding, expr));
            all.filter(|value| !matches!(value, Ok(Value::Null))).collect()
        };
        let total = |values: &[Value<'static>]| {
            values.iter().fold(Decimal::new(0, 2), |sum, value| match value {
                Value::Decimal(value) => sum.checked_add(*value).unwrap(),
                other => panic!("not a decimal: {other:?}"),
            })
        };
        Ok(match aggregate {
            Aggregate::Exists => Value::Int(i64::from(!self.every(scope)?.is_empty())),
            Aggregate::CountRows => Value::Int(self.every(scope)?.len() as i64),
            Aggregate::Count(expr) => Value::Int(values(expr)?.len() as i64),
            Aggregate::Sum(expr) => match values(expr)?.as_slice() {
                [] => Value::Null,
                values => Value::Decimal(total(values)),
            },
            Aggregate::Avg(expr) => match values(expr)?.as_slice() {
                [] => Value::Null,
                values => {
                    let count = Decimal::new(values.len() as u64, 0);
                    // MySQL's own average, not yet printed, is cut off behind nine digits.
                    Value::Decimal(total(values).checked_div_cut(count, 9).unwrap())
                }
            },
            Aggregate::CountDistinct(exprs) => {
                let mut different: Vec<Vec<Value<'static>>> = Vec::new();
                for binding in self.every(scope)? {
                    let row = exprs.iter().map(|expr| self.stored_under(&binding, expr));
                    let row = row.collect::<Result<Vec<_>, _>>()?;
                    if !row.iter().any(Value::is_null) && !different.contains(&row) {
                        different.push(row);
                    }
                }
                Value::Int(different.len() as i64)
            }
            Aggregate::SumDistinct(expr) => match different(values(expr)?).as_slice() {
                [] => Value::Null,
                values => Value::Decimal(total(values)),
            },
            Aggregate::AvgDistinct(expr) => match different(values(expr)?).as_slice() {
                [] => Value::Null,
                values => {
                    let count = Decimal::new(values.len() as u64, 0);
                    Value::Decimal(total(values).checked_div_cut(count, 9).unwrap())
                }
            },
            Aggregate::Bits(op, expr) => {
                let bits = values(expr)?.into_iter().map(|value| match value {
                    Value::Int(value) => value as u64,
                    other => panic!("no integer: {other:?}"),
                });
                Value::UInt(match op {
                    BitOp::And => bits.fold(u64::MAX, |all, bits| all & bits),
                    BitOp::Or => bits.fold(0, |all, bits| all | bits),
                    BitOp::Xor => bits.fold(0, |all, bits| all ^ bits),
                })
            }
            Aggregate::ConcatDistinct { value, descending, separator } => {
                let mut values = different(values(value)?);
                values.sort_by(compare);
                if *descending {
                    values.reverse();
                }
                let texts = values.iter().map(|text| to_text(text, value.ty));
                match texts.collect::<Vec<_>>() {
                    texts if texts.is_empty() => Value::Null,
                    texts => Value::Text(texts.join(separator).into()),
                }
            }
            Aggregate::JsonObject { name, value } => {
                let mut members = BTreeMap::new();
                for binding in self.every(scope)? {
                    let text = to_text(&self.under(&binding, name)?, name.ty);
                    let (mut json, mut element) = (Vec::new(), Vec::new());
                    write_json_string(&mut json, &text);
                    json.extend_from_slice(b": ");
                    let value_here = self.under(&binding, value)?;
                    write_json_element(&mut element, &value_here, value.ty);
                    json.extend_from_slice(&element);
                    members.insert((text.len(), text), String::from_utf8(json).unwrap());
                }
                match members.into_values().collect::<Vec<_>>() {
                    members if members.is_empty() => Value::Null,
                    members => Value::Json(format!("{{{}}}", members.join(", ")).into()),
                }
            }
            Aggregate::Min(expr) => {
                values(expr)?.into_iter().min_by(compare).unwrap_or(Value::Null)
            }
            Aggregate::Max(expr) => {
                values(expr)?.into_iter().max_by(compare).unwrap_or(Value::Null)
            }
            Aggregate::First { value, order_by } => match self.sorted(scope, order_by)?.first() {
                Some(binding) => self.under(binding, value)?,
                None => Value::Null,
            },
            Aggregate::GroupConcat { value, order_by, separator } => {
                let mut texts = Vec::new();
                for binding in self.sorted(scope, order_by)? {
                    let value_here = self.stored_under(&binding, value)?;
                    if !value_here.is_null() {
                        texts.push(to_text(&value_here, value.ty));
                    }
                }
                match texts.as_slice() {
                    [] => Value::Null,
                    texts => Value::Text(texts.join(separator).into()),
                }
            }
            // Rows come out of the map in primary-key order.
            Aggregate::JsonArray(expr) => {
                let mut elements = Vec::new();
                for binding in self.every(scope)? {
                    let mut element = Vec::new();
                    write_json_element(&mut element, &self.under(&binding, expr)?, expr.ty);
                    elements.push(String::from_utf8(element).unwrap());
                }
                match elements.as_slice() {
                    [] => Value::Null,
                    elements => Value::Json(format!("[{}]", elements.join(", ")).into()),
                }
            }
        })
    }
}

impl Bindings for Scan<'_> {
    fn column(&self, node: NodeId, column: usize) -> Value<'_> {
        match self.bound.borrow().get(&node).copied().flatten() {
            Some(row) => row[column].clone(),
            None => Value::Null,
        }
    }

    fn is_present(&self, node: NodeId) -> bool {
        self.bound.borrow().get(&node).copied().flatten().is_some()
    }

    fn collection(&self, collection: usize, aggregate: usize) -> Result<Value<'_>, EvalError> {
        let Collection { scope, aggregates } = &self.view.collections[collection];
        self.aggregate(scope, &aggregates[aggregate])
    }
}

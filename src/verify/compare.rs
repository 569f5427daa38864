//! One document beside MySQL's answer for its key.
//!
//! Values are compared as JSON means them: numbers by their exact value, objects by their members.
//! The order of a JSON_ARRAYAGG is left open by MySQL, so JSON columns of views that use it have
//! their arrays compared as multisets; everything else in order.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value as Json;

use crate::keyspace::ErrorDocument;
use crate::sql::plan::{Aggregate, View};
use crate::value::{Type, Value, write_json, write_json_string};

/// Most characters of a value that a difference shows.
const SHOWN_MAX: usize = 200;

/// What MySQL answers for a key that has a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The row, by [`View::outputs`].
    Row(Vec<Value<'static>>),
    /// An error that the row raises.
    Error {
        /// MySQL's number.
        code: u16,
        /// MySQL's text.
        message: String,
    },
}

/// How a document differs from MySQL's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// MySQL has a row, Redis no document.
    Missing,
    /// Redis has a document, MySQL no row.
    Extra,
    /// Both are there.
    Different {
        /// The first column that differs; empty if it is not about one column.
        column: String,
        /// MySQL's value, shortened.
        mysql: String,
        /// The document's value, shortened.
        document: String,
    },
    /// Redis has not as many documents of the view as keys in their order.
    Uneven {
        /// How many documents.
        documents: u64,
        /// How many keys.
        keys: u64,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Missing => f.write_str("missing: MySQL has this row, Redis no document"),
            Difference::Extra => f.write_str("extra: Redis has this document, MySQL no row"),
            Difference::Different { column, mysql, document } if column.is_empty() => {
                write!(f, "different: MySQL has {mysql}, the document {document}")
            }
            Difference::Different { column, mysql, document } => {
                write!(f, "different: column {column}: MySQL has {mysql}, the document {document}")
            }
            Difference::Uneven { documents, keys } => {
                write!(f, "different: Redis has {documents} documents, but {keys} keys in order")
            }
        }
    }
}

/// Compares documents of one view.
#[derive(Clone, Copy, Debug)]
pub struct Comparer<'a> {
    /// The view.
    pub view: &'a View,
    /// Above this an error document stands for the row, in bytes.
    pub document_bytes_max: u64,
}

impl Comparer<'_> {
    /// Compares MySQL's answer for a key with the stored document; `None` if they agree.
    pub fn compare(self, answer: Option<&Answer>, stored: Option<&[u8]>) -> Option<Difference> {
        match (answer, stored) {
            (None, None) => None,
            (Some(_), None) => Some(Difference::Missing),
            (None, Some(_)) => Some(Difference::Extra),
            (Some(answer), Some(stored)) => {
                self.compare_both(answer, stored, ErrorDocument::from_stored(stored))
            }
        }
    }

    fn compare_both(
        self,
        answer: &Answer,
        stored: &[u8],
        error: Option<ErrorDocument>,
    ) -> Option<Difference> {
        match (answer, error) {
            (Answer::Row(values), None) => compare_row(self.view, values, stored),
            (Answer::Row(values), Some(error)) => {
                let is_too_large = document_bytes(self.view, values) > self.document_bytes_max;
                (!is_too_large).then(|| different("", "a row".to_owned(), of(&error)))
            }
            (Answer::Error { code, .. }, Some(error)) if *code == error.code => None,
            (Answer::Error { code, message }, other) => {
                let document = other.map_or_else(|| "is no error".to_owned(), |error| of(&error));
                Some(different("", format!("error {code} ({message})"), document))
            }
        }
    }
}

/// How large the document of a row is, in bytes.
fn document_bytes(view: &View, values: &[Value<'static>]) -> u64 {
    let mut text = Vec::new();
    for (output, value) in view.outputs.iter().zip(values) {
        write_json_string(&mut text, &output.name);
        write_json(&mut text, value, output.expr.ty);
    }
    // A colon and a comma or brace for each column, and the first brace.
    (text.len() + 2 * values.len() + 1) as u64
}

fn compare_row(view: &View, values: &[Value<'static>], stored: &[u8]) -> Option<Difference> {
    let Ok(Members(members)) = serde_json::from_slice(stored) else {
        let shown = shorten(&String::from_utf8_lossy(stored));
        return Some(different("", "a row".to_owned(), format!("is no JSON object: {shown}")));
    };
    let is_open = |aggregate: &Aggregate| matches!(aggregate, Aggregate::JsonArray(_));
    let any_order = view.collections.iter().any(|c| c.aggregates.iter().any(is_open));
    for (place, (output, value)) in view.outputs.iter().zip(values).enumerate() {
        let mut text = Vec::new();
        write_json(&mut text, value, output.expr.ty);
        let text = String::from_utf8_lossy(&text);
        let Some((name, found)) = members.get(place) else {
            return Some(different(&output.name, shorten(&text), "lacks it".to_owned()));
        };
        if *name != output.name {
            let document = format!("has column {name} in its place");
            return Some(different(&output.name, shorten(&text), document));
        }
        let Ok(wanted) = serde_json::from_str::<Json>(&text) else {
            return Some(different(name, shorten(&text), "MySQL's value is no JSON".to_owned()));
        };
        let any_order = any_order && output.expr.ty == Type::Json;
        if canonical(&wanted, any_order) != canonical(found, any_order) {
            return Some(different(name, shorten(&text), shorten(&found.to_string())));
        }
    }
    let (name, _) = members.get(view.outputs.len())?;
    Some(different(name, "no such column".to_owned(), "has it".to_owned()))
}

/// The members of an object in the order in which they stand there.
struct Members(Vec<(String, Json)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// Text that is equal exactly for JSON that means the same.
fn canonical(json: &Json, any_order: bool) -> String {
    let mut out = String::new();
    write_canonical(&mut out, json, any_order);
    out
}

fn write_canonical(out: &mut String, json: &Json, any_order: bool) {
    match json {
        Json::Number(number) => write_number(out, number.as_str()),
        Json::Array(items) => {
            let mut items: Vec<String> = items.iter().map(|i| canonical(i, any_order)).collect();
            if any_order {
                items.sort_unstable();
            }
            out.push('[');
            for item in items {
                out.push_str(&item);
                out.push(',');
            }
            out.push(']');
        }
        Json::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            out.push('{');
            for (name, member) in members {
                out.push_str(&Json::from(name.as_str()).to_string());
                out.push(':');
                write_canonical(out, member, any_order);
                out.push(',');
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

/// A number as its significant digits and a power of ten: `1.50`, `15e-1` and `1.5` are the same.
fn write_number(out: &mut String, text: &str) {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    let trimmed = significant.trim_end_matches('0');
    if trimmed.is_empty() {
        out.push('0');
        return;
    }
    let cut = (significant.len() - trimmed.len()) as i64;
    let exponent = exponent.parse::<i64>().unwrap_or(0).saturating_add(cut - fraction.len() as i64);
    out.push_str(&format!("{sign}{trimmed}e{exponent}"));
}

fn different(column: &str, mysql: String, document: String) -> Difference {
    Difference::Different { column: column.to_owned(), mysql, document }
}

fn of(error: &ErrorDocument) -> String {
    match &error.column {
        Some(column) => format!("error {} in column {column} ({})", error.code, error.message),
        None => format!("error {} ({})", error.code, error.message),
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::expr::{Expr, ExprKind};
    use crate::sql::plan::{Collection, NodeId, Output, Scope};
    use crate::value::{Collation, Decimal};

    /// A view of a key, a decimal and a JSON column.
    fn view(collections: Vec<Collection>) -> View {
        let output = |name: &str, ty| Output {
            name: name.to_owned(),
            expr: Expr { kind: ExprKind::Literal(Value::Null), ty, nullable: true },
        };
        View {
            name: "v".into(),
            select: String::new(),
            nodes: Vec::new(),
            scope: scope(),
            collections,
            outputs: vec![
                output("id", Type::Int { bytes: 4, unsigned: false }),
                output("total", Type::Decimal { precision: 10, scale: 2 }),
                output("items", Type::Json),
                output("name", Type::Text(Collation::Other)),
            ],
            conditions: 0,
            key: vec![0],
            indexes: Vec::new(),
            fingerprint: String::new(),
        }
    }

    fn scope() -> Scope {
        Scope { from: NodeId(0), joins: Vec::new(), filter: None }
    }

    fn array_agg() -> Vec<Collection> {
        let expr = Expr { kind: ExprKind::Literal(Value::Null), ty: Type::Json, nullable: true };
        vec![Collection { scope: scope(), aggregates: vec![Aggregate::JsonArray(expr)] }]
    }

    fn row(total: &str, items: &str) -> Answer {
        Answer::Row(vec![
            Value::Int(7),
            Decimal::parse(total).map_or(Value::Null, Value::Decimal),
            Value::Json(items.to_owned().into()),
            Value::Text("a\"b".into()),
        ])
    }

    fn compare(view: &View, answer: Option<&Answer>, stored: Option<&[u8]>) -> Option<Difference> {
        Comparer { view, document_bytes_max: 1000 }.compare(answer, stored)
    }

    fn check(collections: Vec<Collection>, answer: &Answer, document: &str) -> Option<Difference> {
        compare(&view(collections), Some(answer), Some(document.as_bytes()))
    }

    fn column(difference: Option<Difference>) -> String {
        match difference {
            Some(Difference::Different { column, .. }) => column,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sizes_are_those_of_documents() {
        let document = r#"{"id":7,"total":"1.00","items":[1],"name":"a\"b"}"#;
        let Answer::Row(values) = row("1.00", "[1]") else { unreachable!() };
        assert_eq!(document_bytes(&view(Vec::new()), &values), document.len() as u64);
    }

    #[test]
    fn equal_documents_agree_whatever_their_spelling() {
        let answer = row("21.50", r#"[{"p": 1.50, "q": null}, 2]"#);
        for document in [
            r#"{"id":7,"total":"21.50","items":[{"q":null,"p":15e-1},2.0],"name":"a\"b"}"#,
            r#"{"id": 7, "total": "21.50", "items": [{"p": 1.5, "q": null}, 2], "name": "a\u0022b"}"#,
        ] {
            assert_eq!(check(Vec::new(), &answer, document), None);
        }
    }

    #[test]
    fn the_first_column_that_differs_is_named() {
        let answer = row("21.50", "[1]");
        for (document, want) in [
            (r#"{"id":8,"total":"21.5","items":[1],"name":"a\"b"}"#, "id"),
            (r#"{"id":7,"total":"21.5","items":[1],"name":"a\"b"}"#, "total"),
            (r#"{"id":7,"total":21.50,"items":[1],"name":"a\"b"}"#, "total"),
            (
                r#"{"id":7,"total":"21.50","items":[1.0000000000000000000001],"name":"a\"b"}"#,
                "items",
            ),
            (r#"{"id":7,"total":"21.50","items":[1]}"#, "name"),
            (r#"{"id":7,"items":[1],"total":"21.50","name":"a\"b"}"#, "total"),
            (r#"{"id":7,"total":"21.50","items":[1],"name":"a\"b","more":1}"#, "more"),
            ("[1]", ""),
        ] {
            assert_eq!(column(check(Vec::new(), &answer, document)), want, "{document}");
        }
        let null = check(Vec::new(), &row("x", "[1]"), r#"{"id":7,"total":"0.00"}"#);
        assert_eq!(column(null), "total");
    }

    #[test]
    fn arrays_are_multisets_only_where_mysql_leaves_their_order_open() {
        let answer = row("1.00", r#"[{"a": 1}, {"a": 2}, {"a": 1}]"#);
        let document =
            |items: &str| format!(r#"{{"id":7,"total":"1.00","items":{items},"name":"a\"b"}}"#);
        let turned = document(r#"[{"a":2},{"a":1},{"a":1}]"#);
        assert_eq!(check(array_agg(), &answer, &turned), None);
        assert_eq!(column(check(Vec::new(), &answer, &turned)), "items");
        let other_count = document(r#"[{"a":2},{"a":1},{"a":2}]"#);
        assert_eq!(column(check(array_agg(), &answer, &other_count)), "items");
    }

    #[test]
    fn absence_and_errors_are_told() {
        let v = view(Vec::new());
        let stored = |code| {
            ErrorDocument { code, column: Some("total".into()), message: "out".into() }.to_stored()
        };
        let raised = Answer::Error { code: 1690, message: "out".into() };
        let good = row("1.00", "[]");
        assert_eq!(compare(&v, None, None), None);
        assert_eq!(compare(&v, Some(&good), None), Some(Difference::Missing));
        assert_eq!(compare(&v, None, Some(b"{}")), Some(Difference::Extra));
        assert_eq!(compare(&v, Some(&raised), Some(&stored(1690))), None);
        for (answer, stored) in
            [(&raised, stored(3141)), (&raised, b"{}".to_vec()), (&good, stored(1690))]
        {
            assert_eq!(column(compare(&v, Some(answer), Some(&stored))), "");
        }
        let large = row("1.00", &format!("\"{}\"", "x".repeat(1000)));
        assert_eq!(compare(&v, Some(&large), Some(&stored(1301))), None);
    }
}

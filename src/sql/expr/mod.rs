//! Scalar expressions: typed when the view is planned, evaluated once per document.
//!
//! An [`Expr`] knows its MySQL result type, so evaluation decides nothing but the value. What an
//! expression reads comes through [`Bindings`], which the engine implements over its tables.
//!
//! MySQL has one value in several forms, and they differ: `COALESCE(n, 2.50)` for `n` = 1 is `1` as
//! a number (arithmetic, JSON) and `1.00` as text (documents, CONCAT), but `IF(true, 1, 2.50)` is
//! `1` as text too. Hence the ways to evaluate: [`Expr::eval`] as a number, [`Expr::append_text`] as
//! text, [`Expr::append_document`] and [`Expr::append_element`] as JSON outside and inside of
//! MySQL's JSON functions, [`Expr::eval_stored`] as a column of its type would hold it.

mod arithmetic;
mod calendar;
mod convert;
mod date_format;
mod eval;
pub(super) mod kernels;
mod numerals;

pub use arithmetic::{add, divide};
pub use date_format::DateFormat;
pub use kernels::{Compute, Kernel};

use super::plan::NodeId;
use crate::value::{Collation, JsonPath, Type, Value, write_json, write_text};

/// A typed expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What is computed.
    pub kind: ExprKind,
    /// MySQL's type of the result.
    pub ty: Type,
    /// Whether the result can be NULL.
    pub nullable: bool,
}

/// What an expression computes.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A column of a node's row; NULL while the node has none.
    Column {
        /// The node.
        node: NodeId,
        /// Place in the columns of its table.
        column: usize,
    },
    /// A condition that several columns of a view ask for, by a number: found out once a document.
    Once(usize, Box<Expr>),
    /// A constant.
    Literal(Value<'static>),
    /// TRUE or FALSE, which JSON functions tell from 1 and 0.
    Boolean(bool),
    /// The value of `View::collections[i].aggregates[j]`.
    Collection(usize, usize),
    /// The inner expression if the node has a row, else NULL: an output column of a pick.
    IfPresent(NodeId, Box<Expr>),
    /// The value of a subquery: comparisons are numbers, DECIMALs print with their type's scale.
    Subquery(Box<Expr>),
    /// The value converted to the expression's type: CAST, and what a pick hands out.
    Cast(Box<Expr>),
    /// The text with a collation of its own.
    Collated(Box<Expr>, Derivation),
    /// The value as text, cut to a number of characters: CAST(… AS CHAR(n)).
    Text(Box<Expr>, Option<usize>),
    /// `left op right` on numbers.
    Arithmetic(Box<Arithmetic>),
    /// `left op right`.
    Compare(Box<Comparison>),
    /// Whether the value is NULL; never NULL itself.
    IsNull(Box<Expr>),
    /// Whether the value is true; never NULL itself.
    IsTrue(Box<Expr>),
    /// NOT.
    Not(Box<Expr>),
    /// AND of all.
    And(Vec<Expr>),
    /// AND of all where NULL is as good as FALSE: the first that is not true decides.
    Every(Vec<Expr>),
    /// OR of all.
    Or(Vec<Expr>),
    /// The result of the first branch whose condition is true.
    Case {
        /// Conditions and results.
        branches: Vec<(Expr, Expr)>,
        /// ELSE; NULL without one.
        otherwise: Option<Box<Expr>>,
    },
    /// The first that is not NULL.
    Coalesce(Vec<Expr>),
    /// CONCAT: NULL if any part is.
    Concat(Vec<Expr>),
    /// CONCAT_WS: the first stands between the others that are not NULL; NULL if it is.
    ConcatSeparated(Vec<Expr>),
    /// JSON_OBJECT, its members in MySQL's order; each name as JSON.
    JsonObject(Vec<(Vec<u8>, Expr)>),
    /// JSON_OBJECT of computed names, each before its value.
    JsonObjectOf(Vec<Expr>),
    /// JSON_ARRAY.
    JsonArray(Vec<Expr>),
    /// JSON_EXTRACT: the value that a path leads to, or an array of all where there may be more.
    JsonExtract(Box<Expr>, Vec<JsonPath>),
    /// DATE_FORMAT.
    DateFormat(Box<Expr>, DateFormat),
    /// A function of the values of its arguments.
    Call(Kernel, Vec<Expr>),
}

/// A calculation with two numbers; the expression's type says with which kind of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Arithmetic {
    /// What is done.
    pub op: ArithmeticOp,
    /// Left of the operator.
    pub left: Expr,
    /// Right of the operator.
    pub right: Expr,
    /// The calculation as written, for messages.
    pub sql: String,
}

/// An operator on numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArithmeticOp {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`, NULL by zero.
    Divide,
    /// `DIV`, NULL by zero.
    DivideWhole,
    /// `%`, NULL by zero; the sign is the left number's.
    Remainder,
}

/// A comparison; NULL if either side is, but for `<=>`.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// What is asked.
    pub op: CompareOp,
    /// Left of the operator.
    pub left: Expr,
    /// Right of the operator.
    pub right: Expr,
    /// How the sides are compared.
    pub by: CompareBy,
}

/// What two sides are compared as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareBy {
    /// Values of their own types.
    Value,
    /// DOUBLEs.
    Double,
    /// The 64-bit numbers that stand for both: columns of one type that orders so.
    Ordinal,
    /// Texts of one collation, which does not go by their bytes.
    Collation(Collation),
}

/// How much a text holds on to its collation, the most first: of several texts the strongest one's
/// collation is that of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Derivation {
    /// COLLATE says so.
    Explicit,
    /// A column's.
    Implicit,
    /// A constant's, or that of what is made of another type.
    Coercible,
}

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareOp {
    /// `=`
    Equal,
    /// `<=>`: NULLs are equal.
    NullSafeEqual,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// What expressions read.
pub trait Bindings {
    /// A column of a node's row; NULL while the node has none.
    fn column(&self, node: NodeId, column: usize) -> Value<'_>;
    /// Appends a column's value as text, or, for a `document`, as JSON; `false`, and nothing
    /// appended, for NULL.
    fn append_column(
        &self,
        (node, column): (NodeId, usize),
        ty: Type,
        document: bool,
        out: &mut Vec<u8>,
    ) -> bool {
        let value = self.column(node, column);
        if value.is_null() {
            return false;
        }
        if document {
            write_json(out, &value, ty)
        } else {
            write_text(out, &value, ty)
        }
        true
    }
    /// The number that a column compares by whose type orders as its numbers do; `None` for NULL.
    fn ordinal(&self, node: NodeId, column: usize) -> Option<i64> {
        self.column(node, column).ordinal()
    }
    /// The digits and the scale of a column that is an exact number of at most 64 bits.
    fn short(&self, node: NodeId, column: usize) -> Option<(i64, u8)> {
        match self.column(node, column) {
            Value::Int(v) => Some((v, 0)),
            Value::Decimal(v) => Some((v.small()?, v.scale())),
            _ => None,
        }
    }
    /// Whether a column is NULL.
    fn is_null(&self, node: NodeId, column: usize) -> bool {
        self.column(node, column).is_null()
    }
    /// Whether a condition is true that several columns of the document ask for.
    ///
    /// # Errors
    /// Those of `find`, which finds it out.
    fn once(
        &self,
        _condition: usize,
        find: impl FnOnce() -> Result<Option<bool>, EvalError>,
    ) -> Result<Option<bool>, EvalError> {
        find()
    }
    /// Whether a node has a row.
    fn is_present(&self, node: NodeId) -> bool;
    /// The value of an aggregate of a collection for the rows bound now.
    ///
    /// # Errors
    /// Where MySQL raises an error for one of its rows.
    fn collection(&self, collection: usize, aggregate: usize) -> Result<Value<'_>, EvalError>;
    /// Appends the value of an aggregate that is text or JSON; `false`, and nothing appended, if it
    /// is NULL.
    ///
    /// # Errors
    /// Where MySQL raises an error for one of its rows; what was appended then means nothing.
    fn append_collection(
        &self,
        (collection, aggregate): (usize, usize),
        out: &mut Vec<u8>,
    ) -> Result<bool, EvalError> {
        let value = self.collection(collection, aggregate)?;
        let (Value::Text(text) | Value::Json(text)) = value else { return Ok(false) };
        out.extend_from_slice(text.as_bytes());
        Ok(true)
    }
}

/// An error that MySQL itself raises for a row; the document becomes an error document.
///
/// It is one pointer, since every evaluation returns it or a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("MySQL error {}: {}", .0.0, .0.1)]
pub struct EvalError(Box<(u16, String)>);

impl EvalError {
    /// An error with MySQL's number, as 1690 for a value out of range, and what happened.
    pub fn new(code: u16, message: String) -> EvalError {
        EvalError(Box::new((code, message)))
    }

    /// MySQL's error number and what happened.
    pub fn into_parts(self) -> (u16, String) {
        *self.0
    }

    /// MySQL's error 1690: `kind` as in `BIGINT UNSIGNED`, `sql` the expression.
    pub fn out_of_range(kind: &str, sql: &str) -> EvalError {
        EvalError::new(1690, format!("{kind} value is out of range in '{sql}'"))
    }
}

impl Expr {
    pub(super) fn new(kind: ExprKind, ty: Type, nullable: bool) -> Expr {
        Expr { kind, ty, nullable }
    }

    /// Whether JSON functions make `true` and `false` of the result.
    pub(super) fn is_boolean(&self) -> bool {
        matches!(
            self.kind,
            ExprKind::Boolean(_)
                | ExprKind::Compare(_)
                | ExprKind::IsNull(_)
                | ExprKind::IsTrue(_)
                | ExprKind::Not(_)
                | ExprKind::And(_)
                | ExprKind::Every(_)
                | ExprKind::Or(_)
                | ExprKind::Once(..)
        ) || matches!(&self.kind, ExprKind::Call(kernel, _) if kernel.tells())
    }

    /// Whether this is the constant NULL.
    pub(super) fn is_null_literal(&self) -> bool {
        matches!(self.kind, ExprKind::Literal(Value::Null))
    }

    /// Calls `each` with this expression and every one inside of it.
    pub(super) fn each(&self, each: &mut impl FnMut(&Expr)) {
        each(self);
        self.children().into_iter().for_each(|child| child.each(each));
    }

    /// Whether the value follows from the row of this node alone.
    pub(super) fn follows_from(&self, from: NodeId) -> bool {
        let mut follows = true;
        self.each(&mut |expr| follows &= expr.reads_but(from));
        follows
    }

    /// The column of this node that the expression itself is.
    pub(super) fn column_of(&self, from: NodeId) -> Option<usize> {
        match self.kind {
            ExprKind::Column { node, column } if node == from => Some(column),
            _ => None,
        }
    }

    /// Whether the expression itself, those inside of it aside, reads nothing but the row of this
    /// node.
    pub(super) fn reads_but(&self, from: NodeId) -> bool {
        match self.kind {
            ExprKind::Column { node, .. } | ExprKind::IfPresent(node, _) => node == from,
            ExprKind::Collection(..) => false,
            _ => true,
        }
    }

    /// The expressions directly inside of this one.
    pub(super) fn children(&self) -> Vec<&Expr> {
        match &self.kind {
            ExprKind::Column { .. }
            | ExprKind::Literal(_)
            | ExprKind::Boolean(_)
            | ExprKind::Collection(..) => Vec::new(),
            ExprKind::IfPresent(_, inner)
            | ExprKind::Once(_, inner)
            | ExprKind::Subquery(inner)
            | ExprKind::Cast(inner)
            | ExprKind::Collated(inner, _)
            | ExprKind::Text(inner, _)
            | ExprKind::IsNull(inner)
            | ExprKind::IsTrue(inner)
            | ExprKind::Not(inner)
            | ExprKind::DateFormat(inner, _)
            | ExprKind::JsonExtract(inner, _) => vec![inner],
            ExprKind::Arithmetic(arithmetic) => vec![&arithmetic.left, &arithmetic.right],
            ExprKind::Compare(comparison) => vec![&comparison.left, &comparison.right],
            ExprKind::Case { branches, otherwise } => branches
                .iter()
                .flat_map(|(condition, result)| [condition, result])
                .chain(otherwise.as_deref())
                .collect(),
            ExprKind::JsonObject(members) => members.iter().map(|(_, member)| member).collect(),
            ExprKind::And(parts)
            | ExprKind::Every(parts)
            | ExprKind::Or(parts)
            | ExprKind::Coalesce(parts)
            | ExprKind::Concat(parts)
            | ExprKind::ConcatSeparated(parts)
            | ExprKind::JsonArray(parts)
            | ExprKind::JsonObjectOf(parts)
            | ExprKind::Call(_, parts) => parts.iter().collect(),
        }
    }

    /// Like [`Expr::children`], to change them.
    pub(super) fn children_mut(&mut self) -> Vec<&mut Expr> {
        match &mut self.kind {
            ExprKind::Column { .. }
            | ExprKind::Literal(_)
            | ExprKind::Boolean(_)
            | ExprKind::Collection(..) => Vec::new(),
            ExprKind::IfPresent(_, inner)
            | ExprKind::Once(_, inner)
            | ExprKind::Subquery(inner)
            | ExprKind::Cast(inner)
            | ExprKind::Collated(inner, _)
            | ExprKind::Text(inner, _)
            | ExprKind::IsNull(inner)
            | ExprKind::IsTrue(inner)
            | ExprKind::Not(inner)
            | ExprKind::DateFormat(inner, _)
            | ExprKind::JsonExtract(inner, _) => vec![inner],
            ExprKind::Arithmetic(arithmetic) => vec![&mut arithmetic.left, &mut arithmetic.right],
            ExprKind::Compare(comparison) => vec![&mut comparison.left, &mut comparison.right],
            ExprKind::Case { branches, otherwise } => branches
                .iter_mut()
                .flat_map(|(condition, result)| [condition, result])
                .chain(otherwise.as_deref_mut())
                .collect(),
            ExprKind::JsonObject(members) => members.iter_mut().map(|(_, m)| m).collect(),
            ExprKind::And(parts)
            | ExprKind::Every(parts)
            | ExprKind::Or(parts)
            | ExprKind::Coalesce(parts)
            | ExprKind::Concat(parts)
            | ExprKind::ConcatSeparated(parts)
            | ExprKind::JsonArray(parts)
            | ExprKind::JsonObjectOf(parts)
            | ExprKind::Call(_, parts) => parts.iter_mut().collect(),
        }
    }
}

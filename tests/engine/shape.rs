//! Random schemas and views: a small description, and the plan it stands for.

mod planned;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use viewtide::value::{Collation, Type, Value};

pub(super) use planned::plan;

/// Tables of every schema.
pub(super) const TABLES: usize = 4;

const BIGINT: Type = Type::Int { bytes: 8, unsigned: false };
const UNSIGNED: Type = Type::Int { bytes: 8, unsigned: true };
const TEXT: Type = Type::Text(Collation::Binary);
/// What [`TEXT`] is in a schema whose text goes by its letters.
const LETTERS: Type = Type::Text(Collation::Insensitive);
const DECIMAL: Type = Type::Decimal { precision: 10, scale: 2 };

/// The columns of every table: two that the key is made of, references, data.
pub(super) const COLUMNS: [(&str, Type); 8] = [
    ("k", BIGINT),
    ("t", TEXT),
    ("ref_int", BIGINT),
    ("ref_unsigned", UNSIGNED),
    ("ref_text", TEXT),
    ("v", BIGINT),
    ("d", DECIMAL),
    ("w", TEXT),
];
const V: usize = 5;
const D: usize = 6;
const W: usize = 7;

/// What a table's primary key is.
#[derive(Clone, Copy, Debug)]
pub(super) enum KeyKind {
    Signed,
    Unsigned,
    Text,
    Composite,
}

impl KeyKind {
    /// The key's columns, in key order.
    pub(super) fn columns(self) -> Vec<usize> {
        match self {
            KeyKind::Signed | KeyKind::Unsigned => vec![0],
            KeyKind::Text => vec![1],
            KeyKind::Composite => vec![1, 0],
        }
    }

    /// Columns of another table that refer to such a key.
    fn references(self, unsigned: bool) -> Vec<usize> {
        let number = if unsigned { 3 } else { 2 };
        match self {
            KeyKind::Signed | KeyKind::Unsigned => vec![number],
            KeyKind::Text => vec![4],
            KeyKind::Composite => vec![4, number],
        }
    }
}

/// One table reference below another.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    parent: usize,
    table: usize,
    kind: Kind,
    unsigned: bool,
    by_columns: bool,
    required: bool,
    filtered: bool,
    descending: bool,
    inner: Vec<Branch>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Lookup,
    Pick,
    /// A join of every row; a pick where each row has to stay one.
    Each,
    /// The first of what it is made into, and what else; [`FIRST`] and [`EXISTS`] stand alone.
    Collection([u8; 3]),
}

/// Kinds of aggregates, by number.
const FIRST: u8 = 6;
const EXISTS: u8 = 7;
const AGGREGATES: u8 = 15;
/// No further aggregate.
const NONE: u8 = u8::MAX;

/// One view.
#[derive(Clone, Debug)]
pub(super) struct ViewShape {
    root: usize,
    /// Columns that the root's rows are grouped by; those of its key if there are none.
    grouped: Option<&'static [usize]>,
    filtered: bool,
    branches: Vec<Branch>,
}

/// A whole schema.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) keys: Vec<KeyKind>,
    /// Whether text compares by its letters, whatever their case and accents.
    letters: bool,
    views: Vec<ViewShape>,
}

/// What rows are grouped by.
const GROUPS: [&[usize]; 5] = [&[2], &[4], &[7, 3], &[3], &[]];

/// Random schemas with one or two views, nested up to depth three.
pub(super) fn shapes() -> impl Strategy<Value = Shape> {
    let key = prop_oneof![
        Just(KeyKind::Signed),
        Just(KeyKind::Unsigned),
        Just(KeyKind::Text),
        Just(KeyKind::Composite)
    ];
    let grouped = prop_oneof![2 => Just(None), 1 => select(GROUPS.to_vec()).prop_map(Some)];
    let view = (0..TABLES, grouped, 0..4u8, vec(branches(), 0..4), 0..3u8);
    let view = view.prop_map(|(root, grouped, filtered, mut branches, twin)| {
        // The same rows hang there once more, for another purpose.
        if let (0, Some(first)) = (twin, branches.first().cloned()) {
            let inner = Vec::new();
            branches.insert(0, Branch { kind: Kind::Collection([0, NONE, NONE]), inner, ..first });
        }
        ViewShape { root, grouped, filtered: filtered == 0, branches }
    });
    let shape = (vec(key, TABLES), any::<bool>(), vec(view, 1..3));
    shape.prop_map(|(keys, letters, views)| Shape { keys, letters, views })
}

/// A chain of lookups: every row of table 0 has one of table 1, and that one of table 2.
pub(super) fn chain() -> Shape {
    let branches = vec![by_key(0, 1, Kind::Lookup), by_key(1, 2, Kind::Lookup)];
    let views = vec![ViewShape { root: 0, grouped: None, filtered: false, branches }];
    Shape { keys: vec![KeyKind::Signed; TABLES], letters: false, views }
}

/// Rows of table 0 that show the first of many rows of table 1, and those that show their parent:
/// both go through the same lists.
pub(super) fn siblings() -> Shape {
    let first = vec![by_key(0, 1, Kind::Pick)];
    let parent = vec![by_key(0, 0, Kind::Lookup)];
    let views = vec![
        ViewShape { root: 0, grouped: None, filtered: false, branches: first },
        ViewShape { root: 1, grouped: None, filtered: false, branches: parent },
    ];
    Shape { keys: vec![KeyKind::Signed; TABLES], letters: false, views }
}

/// Rows of table 0 that show what many rows of table 1 come to: aggregates with a filter and
/// without, also of values that differ, and first rows by an order that their list has, by another, and of those that count.
pub(super) fn lists(letters: bool) -> Shape {
    let collection = |kinds, filtered| {
        let kind = Kind::Collection(kinds);
        Branch { filtered, ..by_key(0, 1, kind) }
    };
    let branches = vec![
        by_key(0, 1, Kind::Pick),
        collection([0, 2, 4], false),
        collection([3, 1, 12], true),
        collection([9, 10, 13], false),
        collection([13, NONE, NONE], true),
        collection([EXISTS, NONE, NONE], true),
        Branch {
            filtered: true,
            descending: false,
            ..by_key(0, 1, Kind::Collection([FIRST, NONE, NONE]))
        },
    ];
    let branches =
        branches.into_iter().map(|branch| Branch { required: false, ..branch }).collect();
    let views = vec![ViewShape { root: 0, grouped: None, filtered: false, branches }];
    Shape { keys: vec![KeyKind::Signed; TABLES], letters, views }
}

fn by_key(parent: usize, table: usize, kind: Kind) -> Branch {
    let (unsigned, by_columns, filtered, descending) = (false, false, false, true);
    let (required, inner) = (true, Vec::new());
    Branch { parent, table, kind, unsigned, by_columns, required, filtered, descending, inner }
}

fn branches() -> impl Strategy<Value = Branch> {
    branch(Just(Vec::new())).prop_recursive(2, 6, 2, |inner| branch(vec(inner, 0..3)))
}

fn branch(inner: impl Strategy<Value = Vec<Branch>>) -> impl Strategy<Value = Branch> {
    let kind = prop_oneof![
        Just(Kind::Lookup),
        Just(Kind::Pick),
        Just(Kind::Each),
        aggregates().prop_map(Kind::Collection)
    ];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), 0..4u8, any::<bool>());
    (0..4usize, 0..TABLES, kind, flags, inner).prop_map(|(parent, table, kind, flags, inner)| {
        let (unsigned, by_columns, required, filtered, descending) = flags;
        let filtered = filtered == 0;
        Branch { parent, table, kind, unsigned, by_columns, required, filtered, descending, inner }
    })
}

/// One to three aggregates.
fn aggregates() -> impl Strategy<Value = [u8; 3]> {
    let further = || prop_oneof![2 => Just(NONE), 1 => 0..AGGREGATES];
    (0..AGGREGATES, further(), further()).prop_map(|(first, second, third)| [first, second, third])
}

impl Shape {
    /// The same with other primary keys.
    pub(super) fn with_keys(self, keys: &[KeyKind]) -> Shape {
        Shape { keys: keys.to_vec(), ..self }
    }
}

/// The values of a row from small numbers, so that rows meet. `spread` makes the integers sparse.
pub(super) fn row(kind: KeyKind, key: u8, numbers: [u8; 6], spread: i64) -> Vec<Value<'static>> {
    let int = |n: u8| Value::Int((i64::from(n) - 1) * spread);
    let unsigned = |n: u8| Value::UInt(((i64::from(n) - 1) * spread) as u64);
    let text =
        |n: u8| Value::Text(["", "a", "ä", "a\0", "B|", "\"", "zz"][usize::from(n) % 7].into());
    let [a, b, c, v, d, w] = numbers;
    let or_null = |n: u8, value: Value<'static>| if n == 0 { Value::Null } else { value };
    vec![
        if matches!(kind, KeyKind::Unsigned) { unsigned(key) } else { int(key) },
        text(if matches!(kind, KeyKind::Composite) { key / 2 } else { key }),
        or_null(a, int(a - u8::from(a > 0))),
        or_null(b, unsigned(b - u8::from(b > 0))),
        or_null(c, text(c - u8::from(c > 0))),
        or_null(v, Value::Int(i64::from(v) - 1)),
        or_null(d, Value::Decimal(viewtide::value::Decimal::new(i64::from(d) * 105 - 300, 2))),
        or_null(w, text(w - u8::from(w > 0))),
    ]
}

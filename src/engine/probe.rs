//! What indexes are asked for, and how values are told apart in them.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

use crate::sql::plan::{Edge, TableIndex};
use crate::value::{Collation, Key, RowLayout, Type, Value};

/// Fixed, so that the engine stays a function of its input.
const HASHER: FixedState = FixedState::with_seed(0x7669_6577);

/// What an index is asked for.
#[derive(Clone, Debug)]
pub(super) enum Probe<'a> {
    /// A value is NULL: equals nothing.
    Nothing,
    /// The value of a single integer column.
    Number(Number),
    /// The values of any other columns of a row, and their hash.
    Row { layout: &'a RowLayout, row: &'a [u8], columns: &'a [usize], hash: u32 },
    /// Any other values, and their hash.
    Values { values: Vec<Value<'static>>, hash: u32 },
}

/// As much of a probe as it takes to add a slot, and to recognise one that is held.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fingerprint {
    /// The value of a single integer column.
    Number(Number),
    /// The hash of any other values.
    Hash(u32),
}

/// An integer, which may be looked for in columns of any integer type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    /// Of a negative one, its two's complement.
    pub(super) bits: u64,
    pub(super) unsigned: bool,
}

impl Number {
    /// Its code in an index over a column, in the order of the numbers; `None` if such a column
    /// cannot hold it.
    #[inline]
    pub(super) fn code(self, unsigned: bool) -> Option<u64> {
        if self.unsigned != unsigned && self.bits >> 63 == 1 {
            return None;
        }
        Some(if unsigned { self.bits } else { self.bits ^ (1 << 63) })
    }

    /// The number that has a code there.
    #[inline]
    pub(super) fn of_code(code: u64, unsigned: bool) -> Number {
        Number { bits: if unsigned { code } else { code ^ (1 << 63) }, unsigned }
    }
}

impl<'a> Probe<'a> {
    /// The values of some columns of a row.
    #[inline]
    pub(super) fn of_row(
        layout: &'a RowLayout,
        row: &'a [u8],
        columns: &'a [usize],
        told: Told,
    ) -> Probe<'a> {
        if let [column] = columns
            && let Some(unsigned) = unsigned(layout.column_type(*column))
        {
            match layout.integer(row, *column) {
                Some(bits) => return Probe::Number(Number { bits, unsigned }),
                None if told != Told::AsGroups => return Probe::Nothing,
                None => {}
            }
        }
        Probe::of_columns(layout, row, columns, told)
    }

    fn of_columns(
        layout: &'a RowLayout,
        row: &'a [u8],
        columns: &'a [usize],
        told: Told,
    ) -> Probe<'a> {
        let mut hasher = HASHER.build_hasher();
        for &column in columns {
            match layout.integer(row, column) {
                Some(number) => hasher.write_u64(number),
                None if told != Told::AsGroups && layout.is_null(row, column) => {
                    return Probe::Nothing;
                }
                None => {
                    let collation = told.collation(layout.column_type(column));
                    hash_value(&mut hasher, &layout.value(row, column), collation);
                }
            }
        }
        Probe::Row { layout, row, columns, hash: finish(&hasher) }
    }

    /// The values that a key of these column types has.
    pub(super) fn of_key(key: &Key, types: &[Type], told: Told) -> Probe<'static> {
        if let [Type::Int { unsigned, .. }] = types
            && let Some(code) = code_of_key(key)
        {
            return Probe::Number(Number::of_code(code, *unsigned));
        }
        match key.values(types) {
            Some(values) if told != Told::AsGroups && values.iter().any(Value::is_null) => {
                Probe::Nothing
            }
            Some(values) => match values.as_slice() {
                [Value::Int(v)] => Probe::Number(Number { bits: *v as u64, unsigned: false }),
                [Value::UInt(v)] => Probe::Number(Number { bits: *v, unsigned: true }),
                _ => {
                    let mut hasher = HASHER.build_hasher();
                    for (value, ty) in values.iter().zip(types) {
                        hash_value(&mut hasher, value, told.collation(*ty));
                    }
                    Probe::Values { hash: finish(&hasher), values }
                }
            },
            None => Probe::Nothing,
        }
    }

    /// `None` if it equals nothing.
    #[inline]
    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        match self {
            Probe::Nothing => None,
            Probe::Number(number) => Some(Fingerprint::Number(*number)),
            Probe::Row { hash, .. } | Probe::Values { hash, .. } => Some(Fingerprint::Hash(*hash)),
        }
    }
}

impl Fingerprint {
    #[inline]
    pub(super) fn hash(self) -> u32 {
        match self {
            Fingerprint::Hash(hash) => hash,
            Fingerprint::Number(number) => {
                let mut hasher = HASHER.build_hasher();
                hasher.write_u64(number.bits);
                finish(&hasher)
            }
        }
    }
}

/// What tells values apart in an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Of text its bytes: rows are known by those. NULL equals nothing.
    ByBytes,
    /// Of text the collation of the column, as a comparison does. NULL equals nothing.
    ByCollation,
    /// Of text its bytes. NULL equals NULL.
    AsGroups,
}

impl Told {
    /// What an edge tells its values apart by.
    #[inline]
    pub(super) fn by(edge: &Edge) -> Told {
        if edge.as_groups { Told::AsGroups } else { Told::ByCollation }
    }

    /// What an index of a table tells its values apart by.
    pub(super) fn in_index(index: &TableIndex) -> Told {
        if index.as_groups { Told::AsGroups } else { Told::ByCollation }
    }

    /// The collation that texts of a column are compared by; `None` if their bytes are.
    #[inline]
    pub(super) fn collation(self, ty: Type) -> Option<Collation> {
        match ty {
            Type::Text(collation) if self == Told::ByCollation && !collation.is_exact() => {
                Some(collation)
            }
            _ => None,
        }
    }
}

/// Whether columns of a type are unsigned, if they hold integers.
#[inline]
pub(super) fn unsigned(ty: Type) -> Option<bool> {
    match ty {
        Type::Int { unsigned, .. } => Some(unsigned),
        Type::Year | Type::Bit { .. } => Some(true),
        _ => None,
    }
}

#[inline]
fn finish(hasher: &impl Hasher) -> u32 {
    (hasher.finish() >> 32) as u32
}

fn hash_value(hasher: &mut impl Hasher, value: &Value<'_>, collation: Option<Collation>) {
    match value {
        Value::Null => hasher.write_u8(0),
        Value::Int(v) => hasher.write_u64(*v as u64),
        Value::UInt(v) => hasher.write_u64(*v),
        Value::Decimal(v) => hasher.write(&v.unscaled().to_le_bytes()),
        Value::Float(v) => hasher.write_u64(u64::from((v + 0.0).to_bits())),
        Value::Double(v) => hasher.write_u64((v + 0.0).to_bits()),
        Value::Text(v) | Value::Json(v) => match collation {
            Some(collation) => collation.hash(v, hasher),
            None => hasher.write(v.as_bytes()),
        },
        Value::Bytes(v) => hasher.write(v),
        Value::Date(v) => hasher.write_u64(*v as u64),
        Value::Time(v) | Value::DateTime(v) | Value::Timestamp(v) => hasher.write_u64(*v as u64),
    }
}

/// Whether values are equal: integers by number, whatever their signedness.
pub(super) fn equal(
    a: &Value<'_>,
    b: &Value<'_>,
    collation: Option<Collation>,
    told: Told,
) -> bool {
    match (a, b) {
        (Value::Null, Value::Null) => told == Told::AsGroups,
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::Int(a), Value::UInt(b)) | (Value::UInt(b), Value::Int(a)) => {
            u64::try_from(*a) == Ok(*b)
        }
        (Value::Text(a), Value::Text(b)) => match collation {
            Some(collation) => collation.compare(a, b).is_eq(),
            None => a == b,
        },
        _ => a == b,
    }
}

/// A key of one integer column is a marker and the code, big-endian.
pub(super) fn code_of_key(key: &Key) -> Option<u64> {
    match key.as_bytes() {
        [1, code @ ..] => code.try_into().ok().map(u64::from_be_bytes),
        _ => None,
    }
}

/// The reverse.
pub(super) fn key_of_code(code: u64) -> Key {
    let mut key = Key::new();
    key.push(&Value::UInt(code));
    key
}

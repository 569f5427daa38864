//! Rows packed into bytes.
//!
//! Layout: a bitmap of NULLs, then one fixed-width cell per column (for text and bytes: where they
//! end), then the text and bytes themselves. Any column is found without looking at the others.

use std::borrow::Cow;

use ethnum::I256;

use super::decimal::push_scaled;
use super::{Decimal, Type, Value, write_json, write_json_string, write_text};

/// A packed row; only its [`RowLayout`] can read it. Equal bytes are equal rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Row(Box<[u8]>);

impl Row {
    /// The packed bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A row from bytes that [`Row::as_bytes`] gave under the same layout.
    pub fn from_bytes(bytes: Box<[u8]>) -> Row {
        Row(bytes)
    }
}

/// Where each column of a table lies within its packed rows.
#[derive(Clone, Debug)]
pub struct RowLayout {
    cells: Box<[Cell]>,
    /// Bytes before the text and bytes area.
    fixed: usize,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    ty: Type,
    offset: u32,
    width: u8,
    /// For text and bytes: the cell of the one before, whose end is this one's start.
    previous: Option<u32>,
}

impl RowLayout {
    /// The layout of rows with these column types, in this order.
    pub fn new(types: &[Type]) -> RowLayout {
        let mut offset = types.len().div_ceil(8) as u32;
        let mut previous = None;
        let cells = types.iter().map(|&ty| {
            let width = cell_width(ty);
            let cell = Cell { ty, offset, width, previous: None };
            offset += u32::from(width);
            if is_variable(ty) {
                let cell = Cell { previous, ..cell };
                previous = Some(cell.offset);
                cell
            } else {
                cell
            }
        });
        let cells: Box<[Cell]> = cells.collect();
        RowLayout { cells, fixed: offset as usize }
    }

    /// Whether bytes can be a row of this layout: where its parts end fits its length.
    pub fn is_row(&self, bytes: &[u8]) -> bool {
        let Some(heap) = bytes.len().checked_sub(self.fixed) else { return false };
        let ends = self.cells.iter().filter(|cell| is_variable(cell.ty));
        let mut last = 0;
        for cell in ends {
            let end = self.unsigned(bytes, cell) as usize;
            if end < last {
                return false;
            }
            last = end;
        }
        last == heap
    }

    /// Number of columns.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether there are no columns.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The type of a column.
    pub fn column_type(&self, column: usize) -> Type {
        self.cells[column].ty
    }

    /// Whether a column of a row is NULL.
    #[inline]
    pub fn is_null(&self, row: &[u8], column: usize) -> bool {
        row[column / 8] & (1 << (column % 8)) != 0
    }

    /// Whether a column is the same in two rows of this layout: both NULL, or equal bytes.
    pub fn same(&self, a: &[u8], b: &[u8], column: usize) -> bool {
        let null = self.is_null(a, column);
        if null || self.is_null(b, column) {
            return null == self.is_null(b, column);
        }
        let cell = &self.cells[column];
        if is_variable(cell.ty) {
            self.variable(a, cell) == self.variable(b, cell)
        } else if cell.width <= 8 {
            self.unsigned(a, cell) == self.unsigned(b, cell)
        } else {
            self.cell(a, cell) == self.cell(b, cell)
        }
    }

    /// The value of a column of a row of this layout.
    #[inline]
    pub fn value<'r>(&self, row: &'r [u8], column: usize) -> Value<'r> {
        if self.is_null(row, column) {
            return Value::Null;
        }
        let cell = &self.cells[column];
        match cell.ty {
            Type::Int { unsigned: false, .. } => Value::Int(self.signed(row, cell)),
            Type::Int { unsigned: true, .. } | Type::Year | Type::Bit { .. } => {
                Value::UInt(self.unsigned(row, cell))
            }
            Type::Decimal { scale, .. } => {
                let bytes = self.cell(row, cell);
                Value::Decimal(match cell.width {
                    32 => Decimal::new(
                        I256::from_le_bytes(bytes.try_into().unwrap_or([0; 32])),
                        scale,
                    ),
                    16 => Decimal::new(
                        i128::from_le_bytes(bytes.try_into().unwrap_or([0; 16])),
                        scale,
                    ),
                    _ => Decimal::new(self.signed(row, cell), scale),
                })
            }
            Type::Float => Value::Float(f32::from_bits(self.unsigned(row, cell) as u32)),
            Type::Double => Value::Double(f64::from_bits(self.unsigned(row, cell))),
            Type::Date => Value::Date(self.signed(row, cell) as i32),
            Type::Time { .. } => Value::Time(self.signed(row, cell)),
            Type::DateTime { .. } => Value::DateTime(self.signed(row, cell)),
            Type::Timestamp { .. } => Value::Timestamp(self.signed(row, cell)),
            Type::Bytes => Value::Bytes(Cow::Borrowed(self.variable(row, cell))),
            Type::Text(_) => Value::Text(text(self.variable(row, cell))),
            Type::Json => Value::Json(text(self.variable(row, cell))),
        }
    }

    /// Appends the value of a column as text, or, for a `document`, as JSON; `false`, and nothing
    /// appended, for NULL.
    #[inline]
    pub(crate) fn append(
        &self,
        row: &[u8],
        column: usize,
        document: bool,
        out: &mut Vec<u8>,
    ) -> bool {
        if self.is_null(row, column) {
            return false;
        }
        let cell = &self.cells[column];
        match cell.ty {
            Type::Int { unsigned: false, .. } => {
                let number = self.signed(row, cell);
                out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
            }
            Type::Decimal { scale, .. } if cell.width == 8 => {
                if document {
                    out.push(b'"');
                }
                push_scaled(out, self.signed(row, cell), scale);
                if document {
                    out.push(b'"');
                }
            }
            Type::Text(_) if document => write_json_string(out, self.variable(row, cell)),
            Type::Text(_) => out.extend_from_slice(self.variable(row, cell)),
            ty if document => write_json(out, &self.value(row, column), ty),
            ty => write_text(out, &self.value(row, column), ty),
        }
        true
    }

    /// The number that a column orders by, where [`Type::is_ordinal`]; `None` for NULL. Unsigned
    /// numbers are moved by half their range.
    #[inline]
    pub(crate) fn ordinal(&self, row: &[u8], column: usize) -> Option<i64> {
        if self.is_null(row, column) {
            return None;
        }
        let cell = &self.cells[column];
        Some(match cell.ty {
            Type::Int { unsigned: true, .. } | Type::Year | Type::Bit { .. } => {
                (self.unsigned(row, cell) ^ (1 << 63)) as i64
            }
            _ => self.signed(row, cell),
        })
    }

    /// The digits and the scale of a column that is an exact number of at most 64 bits; `None` for
    /// any other, and for NULL.
    #[inline]
    pub(crate) fn short(&self, row: &[u8], column: usize) -> Option<(i64, u8)> {
        let cell = &self.cells[column];
        let scale = match cell.ty {
            Type::Int { unsigned: false, .. } => 0,
            Type::Decimal { scale, .. } if cell.width == 8 => scale,
            _ => return None,
        };
        (!self.is_null(row, column)).then(|| (self.signed(row, cell), scale))
    }

    /// The number in a column, a negative one by its two's complement; `None` for NULL and where
    /// not [`Type::is_integer`].
    #[inline]
    pub(crate) fn integer(&self, row: &[u8], column: usize) -> Option<u64> {
        let cell = &self.cells[column];
        match cell.ty {
            _ if self.is_null(row, column) => None,
            Type::Int { unsigned: false, .. } => Some(self.signed(row, cell) as u64),
            ty => ty.is_integer().then(|| self.unsigned(row, cell)),
        }
    }

    /// The number in a cell of at most 8 bytes.
    #[inline]
    fn signed(&self, row: &[u8], cell: &Cell) -> i64 {
        let unused = 64 - 8 * u32::from(cell.width);
        (self.word(row, cell) << unused) as i64 >> unused
    }

    /// The number in a cell of at most 8 bytes, of an unsigned type.
    #[inline]
    fn unsigned(&self, row: &[u8], cell: &Cell) -> u64 {
        let unused = 64 - 8 * u32::from(cell.width);
        self.word(row, cell) << unused >> unused
    }

    /// A cell of at most 8 bytes and whatever follows it: one read, without a look at the width.
    #[inline]
    fn word(&self, row: &[u8], cell: &Cell) -> u64 {
        if let Some(word) = row[cell.offset as usize..].first_chunk() {
            return u64::from_le_bytes(*word);
        }
        let mut word = [0; 8];
        word[..usize::from(cell.width)].copy_from_slice(self.cell(row, cell));
        u64::from_le_bytes(word)
    }

    #[inline]
    fn cell<'r>(&self, row: &'r [u8], cell: &Cell) -> &'r [u8] {
        &row[cell.offset as usize..cell.offset as usize + usize::from(cell.width)]
    }

    #[inline]
    fn variable<'r>(&self, row: &'r [u8], cell: &Cell) -> &'r [u8] {
        let end_at = |offset: u32| match row[offset as usize..].first_chunk() {
            Some(end) => u32::from_le_bytes(*end) as usize,
            None => 0,
        };
        let start = cell.previous.map_or(0, end_at);
        &row[self.fixed + start..self.fixed + end_at(cell.offset)]
    }
}

/// Builds rows of one layout, reusing its buffers. Columns may be set in any order; what is not
/// set is NULL.
#[derive(Debug)]
pub struct RowWriter {
    layout: RowLayout,
    fixed: Vec<u8>,
    heap: Vec<u8>,
    /// Per column: its range in `heap`, for text and bytes.
    ranges: Vec<(u32, u32)>,
}

impl RowWriter {
    /// A writer of rows of this layout.
    pub fn new(layout: &RowLayout) -> RowWriter {
        let mut writer = RowWriter {
            layout: layout.clone(),
            fixed: Vec::new(),
            heap: Vec::new(),
            ranges: Vec::new(),
        };
        writer.clear();
        writer
    }

    /// Sets every column to NULL.
    pub fn clear(&mut self) {
        self.fixed.clear();
        self.fixed.resize(self.layout.fixed, 0);
        let bitmap = self.layout.len().div_ceil(8);
        self.fixed[..bitmap].fill(0xFF);
        self.heap.clear();
        self.ranges.clear();
        self.ranges.resize(self.layout.len(), (0, 0));
    }

    /// Sets a column of an integer type, an instant, or a date from its number (signed types as
    /// they are, unsigned ones by their bits). Keeps the low bytes of the column's width.
    #[inline]
    pub fn set_number(&mut self, column: usize, number: i64) {
        let cell = self.layout.cells[column];
        self.store(column, &number.to_le_bytes()[..usize::from(cell.width.min(8))]);
    }

    /// Sets a text, JSON or bytes column.
    #[inline]
    pub fn set_bytes(&mut self, column: usize, bytes: &[u8]) {
        let start = self.heap.len() as u32;
        self.heap.extend_from_slice(bytes);
        self.ranges[column] = (start, self.heap.len() as u32);
        self.mark_present(column);
    }

    /// Sets a decimal column; `false` if the digits do not fit the declared type.
    #[inline]
    pub fn set_decimal(&mut self, column: usize, decimal: Decimal) -> bool {
        let cell = self.layout.cells[column];
        let Type::Decimal { scale, .. } = cell.ty else { return false };
        let Some(decimal) = decimal.rescale(scale) else { return false };
        let unscaled = decimal.unscaled();
        match cell.width {
            8 => match i64::try_from(unscaled) {
                Ok(v) => self.store(column, &v.to_le_bytes()),
                Err(_) => return false,
            },
            16 => match i128::try_from(unscaled) {
                Ok(v) => self.store(column, &v.to_le_bytes()),
                Err(_) => return false,
            },
            _ => self.store(column, &unscaled.to_le_bytes()),
        }
        true
    }

    /// Sets a column from a value of its own type; `false` if the value is of another.
    pub fn set(&mut self, column: usize, value: &Value<'_>) -> bool {
        let ty = self.layout.cells[column].ty;
        match (ty, value) {
            (_, Value::Null) => self.mark_null(column),
            (Type::Int { unsigned: false, .. }, Value::Int(v)) => self.set_number(column, *v),
            (Type::Int { unsigned: true, .. } | Type::Year | Type::Bit { .. }, Value::UInt(v)) => {
                self.set_number(column, *v as i64)
            }
            (Type::Decimal { .. }, Value::Decimal(v)) => return self.set_decimal(column, *v),
            (Type::Float, Value::Float(v)) => self.set_number(column, i64::from(v.to_bits())),
            (Type::Double, Value::Double(v)) => self.set_number(column, v.to_bits() as i64),
            (Type::Date, Value::Date(v)) => self.set_number(column, i64::from(*v)),
            (Type::Time { .. }, Value::Time(v))
            | (Type::DateTime { .. }, Value::DateTime(v))
            | (Type::Timestamp { .. }, Value::Timestamp(v)) => self.set_number(column, *v),
            (Type::Text(_), Value::Text(v)) | (Type::Json, Value::Json(v)) => {
                self.set_bytes(column, v.as_bytes());
            }
            (Type::Bytes, Value::Bytes(v)) => self.set_bytes(column, v),
            _ => return false,
        }
        true
    }

    /// The row as set, and every column back to NULL.
    pub fn finish(&mut self) -> Row {
        let total = self.layout.fixed + self.heap.len();
        let mut bytes = Vec::with_capacity(total);
        let mut end = 0u32;
        for (column, cell) in self.layout.cells.iter().enumerate() {
            if is_variable(cell.ty) {
                let (from, to) = self.ranges[column];
                end += to - from;
                let at = cell.offset as usize;
                self.fixed[at..at + 4].copy_from_slice(&end.to_le_bytes());
            }
        }
        bytes.extend_from_slice(&self.fixed);
        for (column, cell) in self.layout.cells.iter().enumerate() {
            if is_variable(cell.ty) {
                let (from, to) = self.ranges[column];
                bytes.extend_from_slice(&self.heap[from as usize..to as usize]);
            }
        }
        self.clear();
        Row(bytes.into_boxed_slice())
    }

    fn store(&mut self, column: usize, bytes: &[u8]) {
        let at = self.layout.cells[column].offset as usize;
        self.fixed[at..at + bytes.len()].copy_from_slice(bytes);
        self.mark_present(column);
    }

    fn mark_present(&mut self, column: usize) {
        self.fixed[column / 8] &= !(1 << (column % 8));
    }

    fn mark_null(&mut self, column: usize) {
        self.fixed[column / 8] |= 1 << (column % 8);
        let cell = self.layout.cells[column];
        let at = cell.offset as usize;
        self.fixed[at..at + usize::from(cell.width)].fill(0);
        self.ranges[column] = (0, 0);
    }
}

fn is_variable(ty: Type) -> bool {
    matches!(ty, Type::Text(_) | Type::Bytes | Type::Json)
}

fn cell_width(ty: Type) -> u8 {
    match ty {
        Type::Int { bytes: 3, .. } => 4,
        Type::Int { bytes, .. } => bytes,
        Type::Year => 2,
        Type::Bit { bits } => {
            [1, 2, 4, 8][usize::from(bits > 8) + usize::from(bits > 16) + usize::from(bits > 32)]
        }
        Type::Decimal { precision, .. } if precision <= 18 => 8,
        Type::Decimal { precision, .. } if precision <= 38 => 16,
        Type::Decimal { .. } => 32,
        Type::Float | Type::Date => 4,
        Type::Double | Type::Time { .. } | Type::DateTime { .. } | Type::Timestamp { .. } => 8,
        Type::Text(_) | Type::Bytes | Type::Json => 4,
    }
}

/// Text was checked to be UTF-8 when the row was decoded; the check here is cheap for short text
/// and keeps this file free of `unsafe`.
#[inline]
fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Collation;
    use super::*;

    #[test]
    fn every_type_reads_back_in_any_order() {
        let columns = [
            (Type::Int { bytes: 1, unsigned: false }, Value::Int(-128)),
            (Type::Int { bytes: 3, unsigned: true }, Value::UInt(16_777_215)),
            (Type::Text(Collation::Other), Value::Text("naïve".into())),
            (Type::Int { bytes: 8, unsigned: true }, Value::UInt(u64::MAX)),
            (Type::Decimal { precision: 10, scale: 2 }, Value::Decimal(Decimal::new(-2150, 2))),
            (
                Type::Decimal { precision: 65, scale: 0 },
                Value::Decimal(Decimal::parse(&"9".repeat(65)).unwrap()),
            ),
            (Type::Decimal { precision: 30, scale: 9 }, Value::Decimal(Decimal::new(-1, 9))),
            (Type::Bytes, Value::Bytes(Cow::Borrowed(&[0, 255]))),
            (Type::Year, Value::UInt(2155)),
            (Type::Bit { bits: 33 }, Value::UInt(1 << 32)),
            (Type::Float, Value::Float(1.5)),
            (Type::Double, Value::Double(-0.1)),
            (Type::Date, Value::Date(-1)),
            (Type::Time { fsp: 6 }, Value::Time(-5)),
            (Type::DateTime { fsp: 0 }, Value::DateTime(-5)),
            (Type::Timestamp { fsp: 3 }, Value::Timestamp(7)),
            (Type::Json, Value::Json("{}".into())),
            (Type::Text(Collation::Binary), Value::Null),
        ];
        let layout = RowLayout::new(&columns.iter().map(|(ty, _)| *ty).collect::<Vec<_>>());
        let mut writer = RowWriter::new(&layout);
        for (i, (_, value)) in columns.iter().enumerate().rev() {
            assert!(writer.set(i, value));
        }
        let row = writer.finish();
        for (i, (_, value)) in columns.iter().enumerate() {
            assert_eq!(&layout.value(row.as_bytes(), i), value);
        }
        let bytes = row.as_bytes();
        assert!(layout.is_row(bytes) && layout.is_row(writer.finish().as_bytes()));
        assert!((0..bytes.len()).all(|length| !layout.is_row(&bytes[..length])));
        assert!(!layout.is_row(&[bytes, &[0]].concat()));
        let empty = writer.finish();
        assert!((0..columns.len()).all(|i| layout.value(empty.as_bytes(), i).is_null()));
    }

    #[test]
    fn equal_rows_have_equal_bytes_whatever_was_set_before() {
        let layout = RowLayout::new(&[Type::Double, Type::Bytes]);
        let mut writer = RowWriter::new(&layout);
        let plain = writer.finish();
        assert!(
            writer.set(0, &Value::Double(1.0)) && writer.set(1, &Value::Bytes(Cow::Borrowed(b"x")))
        );
        assert!(writer.set(0, &Value::Null) && writer.set(1, &Value::Null));
        // A replaced value leaves its bytes in the scratch heap, never in the row.
        assert_eq!(writer.finish(), plain);
        assert!(!writer.set(0, &Value::Int(1)));
    }
}

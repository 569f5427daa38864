//! Reads Avro's binary encoding, never past the end of the record, never allocating by a length
//! that the record claims.

use super::schema::{NodeId, Schema, Shape};

/// Why a record's bytes are no value of its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The record ends inside a value.
    #[error("the record is cut off at byte {0}")]
    CutOff(usize),
    /// A number of more than 64 bits.
    #[error("the number at byte {0} is too long")]
    Number(usize),
    /// A length or count that the rest of the record cannot hold.
    #[error("the length at byte {0} exceeds the record")]
    Length(usize),
    /// A union's branch that the schema lacks.
    #[error("the union at byte {0} has no such branch")]
    Branch(usize),
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("values nest too deeply at byte {0}")]
    Depth(usize),
    /// Bytes behind the value.
    #[error("{0} bytes are left over")]
    LeftOver(usize),
}

/// Values nested deeper than this are refused.
const DEPTH_MAX: usize = 64;

/// A place in a record's bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Cursor<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Cursor<'b> {
        Cursor { bytes, at: 0 }
    }

    /// The same bytes from another place on.
    pub(super) fn starting_at(&self, at: usize) -> Cursor<'b> {
        Cursor { bytes: self.bytes, at: at.min(self.bytes.len()) }
    }

    /// The place, in bytes from the start.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// What lies between two places.
    pub(super) fn span(&self, from: usize, to: usize) -> &'b [u8] {
        self.bytes.get(from..to).unwrap_or_default()
    }

    /// An error unless everything was read.
    pub(super) fn finish(&self) -> Result<(), Malformed> {
        match self.bytes.len() - self.at {
            0 => Ok(()),
            rest => Err(Malformed::LeftOver(rest)),
        }
    }

    /// An int or long.
    #[inline]
    pub(super) fn number(&mut self) -> Result<i64, Malformed> {
        let raw = self.varint()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Malformed> {
        let &byte = self.bytes.get(self.at).ok_or(Malformed::CutOff(self.at))?;
        self.at += 1;
        if byte < 0x80 {
            return Ok(u64::from(byte));
        }
        self.long_varint(byte)
    }

    fn long_varint(&mut self, first: u8) -> Result<u64, Malformed> {
        let mut number = u64::from(first & 0x7F);
        let mut shift = 7;
        loop {
            let &byte = self.bytes.get(self.at).ok_or(Malformed::CutOff(self.at))?;
            // The tenth byte has room for one bit.
            if shift == 63 && byte > 1 {
                return Err(Malformed::Number(self.at));
            }
            self.at += 1;
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
            shift += 7;
        }
    }

    /// So many bytes.
    #[inline]
    pub(super) fn take(&mut self, length: usize) -> Result<&'b [u8], Malformed> {
        let end = self.at.checked_add(length).ok_or(Malformed::Length(self.at))?;
        let taken = self.bytes.get(self.at..end).ok_or(Malformed::CutOff(self.at))?;
        self.at = end;
        Ok(taken)
    }

    /// Bytes or a string, by their length.
    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'b [u8], Malformed> {
        let at = self.at;
        let length = usize::try_from(self.number()?).map_err(|_| Malformed::Length(at))?;
        if length > self.bytes.len() - self.at {
            return Err(Malformed::Length(at));
        }
        self.take(length)
    }

    /// So many bytes, as an array.
    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let at = self.at;
        self.take(N)?.try_into().map_err(|_| Malformed::CutOff(at))
    }

    /// The branch of a union of null and one other type: whether it is null.
    #[inline]
    pub(super) fn is_null(&mut self, null: u8) -> Result<bool, Malformed> {
        match self.bytes.get(self.at) {
            Some(0) => {
                self.at += 1;
                Ok(null == 0)
            }
            Some(2) => {
                self.at += 1;
                Ok(null == 1)
            }
            Some(_) => Err(Malformed::Branch(self.at)),
            None => Err(Malformed::CutOff(self.at)),
        }
    }

    /// The next block of an array or map: its number of items, 0 at the end. An item takes a byte
    /// at least, so more of them than bytes are refused rather than counted through.
    pub(super) fn block(&mut self) -> Result<usize, Malformed> {
        let at = self.at;
        let count = self.number()?;
        if count < 0 {
            self.number()?;
        }
        let count = usize::try_from(count.unsigned_abs()).map_err(|_| Malformed::Length(at))?;
        if count > self.bytes.len() - self.at {
            return Err(Malformed::Length(at));
        }
        Ok(count)
    }

    /// Passes a value of any type.
    pub(super) fn skip(&mut self, schema: &Schema, node: NodeId) -> Result<(), Malformed> {
        self.skip_nested(schema, node, 0)
    }

    fn skip_nested(
        &mut self,
        schema: &Schema,
        node: NodeId,
        depth: usize,
    ) -> Result<(), Malformed> {
        if depth > DEPTH_MAX {
            return Err(Malformed::Depth(self.at));
        }
        match &schema.node(node).shape {
            Shape::Null => {}
            Shape::Boolean => drop(self.take(1)?),
            Shape::Int | Shape::Long | Shape::Enum(_) => drop(self.number()?),
            Shape::Float => drop(self.take(4)?),
            Shape::Double => drop(self.take(8)?),
            Shape::Bytes | Shape::String => drop(self.bytes()?),
            Shape::Fixed(size) => drop(self.take(*size)?),
            Shape::Union(branches) => {
                let at = self.at;
                let branch = usize::try_from(self.number()?).ok();
                let branch = branch.and_then(|branch| branches.get(branch));
                self.skip_nested(schema, *branch.ok_or(Malformed::Branch(at))?, depth + 1)?;
            }
            Shape::Record(fields) => {
                for field in fields {
                    self.skip_nested(schema, field.node, depth + 1)?;
                }
            }
            Shape::Array(items) => {
                self.skip_blocks(|cursor| cursor.skip_nested(schema, *items, depth + 1))?;
            }
            Shape::Map(values) => self.skip_blocks(|cursor| {
                cursor.bytes()?;
                cursor.skip_nested(schema, *values, depth + 1)
            })?,
        }
        Ok(())
    }

    fn skip_blocks(
        &mut self,
        mut item: impl FnMut(&mut Cursor<'b>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        loop {
            match self.block()? {
                0 => return Ok(()),
                count => (0..count).try_for_each(|_| item(self))?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_zigzag_and_at_most_ten_bytes() {
        for (bytes, want) in [
            (&[0][..], Ok(0)),
            (&[1], Ok(-1)),
            (&[0x80, 0x01], Ok(64)),
            (&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], Ok(i64::MIN)),
            (&[0xFF; 10], Err(Malformed::Number(9))),
            (&[0x80], Err(Malformed::CutOff(1))),
        ] {
            assert_eq!(Cursor::new(bytes).number(), want);
        }
    }

    #[test]
    fn huge_lengths_and_counts_are_refused_before_anything_is_done() {
        let huge = [0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01, 0];
        assert_eq!(Cursor::new(&huge).bytes(), Err(Malformed::Length(0)));
        for schema in
            [r#"{"type": "array", "items": "null"}"#, r#"{"type": "map", "values": "int"}"#]
        {
            let schema = Schema::parse(schema).unwrap();
            assert_eq!(Cursor::new(&huge).skip(&schema, schema.root()), Err(Malformed::Length(0)));
        }
    }

    #[test]
    fn blocks_may_tell_their_size() {
        let schema = Schema::parse(r#"{"type": "array", "items": "long"}"#).unwrap();
        // Two items in two bytes, then one more, then the end.
        let mut cursor = Cursor::new(&[3, 4, 10, 20, 2, 30, 0]);
        cursor.skip(&schema, schema.root()).unwrap();
        assert_eq!(cursor.finish(), Ok(()));
        let endless = Cursor::new(&[1, 2, 1, 2, 1, 2]).skip(&schema, schema.root());
        assert!(endless.is_err(), "{endless:?}");
    }

    #[test]
    fn a_type_within_itself_has_a_depth() {
        let schema = Schema::parse(
            r#"{"type": "record", "name": "R", "fields": [{"name": "r", "type": ["null", "R"]}]}"#,
        )
        .unwrap();
        assert!(Cursor::new(&[2, 2, 2, 0]).skip(&schema, schema.root()).is_ok());
        let deep = Cursor::new(&[2; 10_000]).skip(&schema, schema.root());
        assert!(matches!(deep, Err(Malformed::Depth(_))), "{deep:?}");
    }
}

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
    /// Nested deeper than is walked.
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
    whole: &'b [u8],
    /// What is not read yet.
    rest: &'b [u8],
}

impl<'b> Cursor<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Cursor<'b> {
        Cursor { whole: bytes, rest: bytes }
    }

    /// The same bytes from another place on.
    pub(super) fn starting_at(&self, at: usize) -> Cursor<'b> {
        Cursor { whole: self.whole, rest: self.whole.get(at..).unwrap_or_default() }
    }

    /// The place, in bytes from the start.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.whole.len() - self.rest.len()
    }

    /// What lies between two places.
    #[inline]
    pub(super) fn span(&self, from: usize, to: usize) -> &'b [u8] {
        self.whole.get(from..to).unwrap_or_default()
    }

    /// An error unless everything was read.
    pub(super) fn finish(&self) -> Result<(), Malformed> {
        match self.rest.len() {
            0 => Ok(()),
            rest => Err(Malformed::LeftOver(rest)),
        }
    }

    /// An int or long.
    #[inline]
    pub(super) fn number(&mut self) -> Result<i64, Malformed> {
        let raw = match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                u64::from(*byte)
            }
            _ => self.long_varint()?,
        };
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// Passes an int or long: the first byte without its high bit ends it.
    #[inline]
    pub(super) fn skip_number(&mut self) -> Result<(), Malformed> {
        const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
        if let Some(next) = self.rest.first_chunk::<8>() {
            let ends = !u64::from_le_bytes(*next) & HIGH_BITS;
            if ends != 0 {
                self.rest = &self.rest[ends.trailing_zeros() as usize / 8 + 1..];
                return Ok(());
            }
            if let [_, _, _, _, _, _, _, _, 0..0x80, rest @ ..] = self.rest {
                self.rest = rest;
                return Ok(());
            }
        }
        self.number().map(drop)
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for (i, &byte) in self.rest.iter().enumerate() {
            // The tenth byte has room for one bit.
            if i == 9 && byte > 1 {
                return Err(Malformed::Number(self.at() + i));
            }
            number |= u64::from(byte & 0x7F) << (7 * i);
            if byte < 0x80 {
                self.rest = &self.rest[i + 1..];
                return Ok(number);
            }
        }
        Err(Malformed::CutOff(self.whole.len()))
    }

    /// So many bytes.
    #[inline]
    pub(super) fn take(&mut self, length: usize) -> Result<&'b [u8], Malformed> {
        match self.rest.split_at_checked(length) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(Malformed::CutOff(self.whole.len())),
        }
    }

    /// Bytes or a string, by their length.
    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'b [u8], Malformed> {
        let before = self.rest;
        // A negative length becomes one that no record has.
        let length = self.number()? as usize;
        match self.rest.split_at_checked(length) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(Malformed::Length(self.whole.len() - before.len())),
        }
    }

    /// So many bytes, as an array.
    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        match self.rest.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(Malformed::CutOff(self.whole.len())),
        }
    }

    /// The branch of a union of null and one other type: whether it is null.
    #[inline]
    pub(super) fn is_null(&mut self, null: u8) -> Result<bool, Malformed> {
        match self.rest {
            [branch @ (0 | 2), rest @ ..] => {
                self.rest = rest;
                Ok(branch / 2 == null)
            }
            [] => Err(Malformed::CutOff(self.whole.len())),
            _ => Err(Malformed::Branch(self.at())),
        }
    }

    /// The next block of an array or map: its number of items, 0 at the end. An item takes a byte
    /// at least, so more of them than bytes are refused rather than counted through.
    pub(super) fn block(&mut self) -> Result<usize, Malformed> {
        let at = self.at();
        let count = self.number()?;
        if count < 0 {
            self.number()?;
        }
        let count = usize::try_from(count.unsigned_abs()).map_err(|_| Malformed::Length(at))?;
        if count > self.rest.len() {
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
            return Err(Malformed::Depth(self.at()));
        }
        match &schema.node(node).shape {
            Shape::Null => {}
            Shape::Boolean => drop(self.take(1)?),
            Shape::Int | Shape::Long | Shape::Enum(_) => self.skip_number()?,
            Shape::Float => drop(self.take(4)?),
            Shape::Double => drop(self.take(8)?),
            Shape::Bytes | Shape::String => drop(self.bytes()?),
            Shape::Fixed(size) => drop(self.take(*size)?),
            Shape::Union(branches) => {
                let at = self.at();
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

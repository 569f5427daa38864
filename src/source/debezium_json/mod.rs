//! Debezium's records in JSON, with their schemas or without.
//!
//! A record is translated into the Avro that says the same, and decoded by what decodes that: so a
//! value means what it means there, and what cannot be meant is refused there. With schemas every
//! record brings its own; it is translated once, and recognised by its text. Without, the declared
//! tables say what is in a record, as far as JSON can carry it ([`bare`]).

mod bare;
mod schema;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::avro::{Failure, Reason, Side};
use schema::Inexpressible;

pub(super) use bare::{key_of, no_key, notification, row_of, schema_change, transaction};
pub(super) use schema::Field;

/// Most schemas of one half of a partition's records that are told apart.
const SCHEMAS_MAX: usize = 1024;

/// Why JSON is no record of Debezium's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// No JSON, or not what its converter writes.
    #[error("the {side} is no JSON of kafka connect's: {reason}")]
    Form {
        /// Which half.
        side: Side,
        /// What is wrong.
        reason: String,
    },
    /// Not what its schema says.
    #[error("the {side} is not what its schema says: member `{member}` {reason}")]
    Value {
        /// Which half.
        side: Side,
        /// The member.
        member: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// More schemas than are told apart.
    #[error("more than {SCHEMAS_MAX} schemas of one topic")]
    Schemas,
}

/// What brings each half of a record's schema.
#[derive(Debug)]
pub(super) struct Translator {
    key: Half,
    value: Half,
}

#[derive(Debug)]
struct Half {
    side: Side,
    /// The schema of records without one.
    bare: Option<Known>,
    known: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    /// As it stands in records.
    text: Box<str>,
    field: Field,
    /// The same for Avro.
    avro: String,
}

/// A record with its schema.
#[derive(Deserialize)]
struct Whole<'j> {
    #[serde(borrow)]
    schema: &'j RawValue,
    #[serde(borrow)]
    payload: &'j RawValue,
}

impl Translator {
    /// Of records that bring their schemas.
    pub(super) fn by_schemas() -> Translator {
        let half = |side| Half { side, bare: None, known: Vec::new() };
        Translator { key: half(Side::Key), value: half(Side::Value) }
    }

    /// Of records without, which have these schemas.
    pub(super) fn bare(key: Field, value: Field) -> Translator {
        let half = |side, field| {
            let avro = schema::to_avro(&field);
            let bare = Some(Known { text: "".into(), field, avro });
            Half { side, bare, known: Vec::new() }
        };
        Translator { key: half(Side::Key, key), value: half(Side::Value, value) }
    }

    /// A half of a record as Avro. What is empty or no UTF-8 is left as it is, for a decoder to say.
    pub(super) fn translate<'b>(
        &mut self,
        side: Side,
        bytes: &'b [u8],
    ) -> Result<Cow<'b, [u8]>, Failure> {
        let half = match side {
            Side::Key => &mut self.key,
            Side::Value => &mut self.value,
        };
        if bytes.is_empty() {
            return Ok(Cow::Borrowed(bytes));
        }
        half.translate(bytes).map(Cow::Owned)
    }

    /// The schema of this number, which a translated half begins with.
    pub(super) fn schema(&self, side: Side, id: u32) -> Option<&str> {
        let half = match side {
            Side::Key => &self.key,
            Side::Value => &self.value,
        };
        let known = match id {
            0 => half.bare.as_ref(),
            _ => half.known.get(id as usize - 1),
        };
        known.map(|known| known.avro.as_str())
    }
}

impl Half {
    fn translate(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
        let side = self.side;
        let form = |reason: String| Reason::from(JsonError::Form { side, reason });
        let text = std::str::from_utf8(bytes).map_err(|_| form("it is not UTF-8".to_owned()))?;
        let (id, payload) = match &self.bare {
            Some(_) => (0, text),
            None => {
                let whole: Whole<'_> =
                    serde_json::from_str(text).map_err(|error| form(error.to_string()))?;
                (self.number_of(whole.schema.get())?, whole.payload.get())
            }
        };
        let payload: Json =
            serde_json::from_str(payload).map_err(|error| form(error.to_string()))?;
        let known = match id {
            0 => self.bare.as_ref(),
            _ => self.known.get(id - 1),
        };
        let mut out = vec![0];
        out.extend_from_slice(&(id as u32).to_be_bytes());
        if let Some(known) = known {
            schema::encode(&known.field, Some(&payload), &mut out).map_err(|wrong| {
                let Inexpressible { path, reason } = wrong;
                let member = path.into_iter().rev().collect::<Vec<_>>().join(".");
                Reason::from(JsonError::Value { side, member, reason })
            })?;
        }
        Ok(out)
    }

    /// The number of a schema, from 1.
    fn number_of(&mut self, text: &str) -> Result<usize, Failure> {
        // The newest is nearly always the one.
        if let Some(at) = self.known.iter().rposition(|known| *known.text == *text) {
            return Ok(at + 1);
        }
        if self.known.len() == SCHEMAS_MAX {
            return Err(Reason::from(JsonError::Schemas).into());
        }
        let side = self.side;
        let form = |reason: String| Reason::from(JsonError::Form { side, reason });
        let json: Json = serde_json::from_str(text).map_err(|error| form(error.to_string()))?;
        let field = schema::read(&json).map_err(|kind| form(format!("`{kind}` is no schema")))?;
        let avro = schema::to_avro(&field);
        self.known.push(Known { text: text.into(), field, avro });
        Ok(self.known.len())
    }
}

#[cfg(test)]
mod tests;

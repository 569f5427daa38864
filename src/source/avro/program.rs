//! Walking a record by a list of steps made once from its writer schema: nested records lie flat
//! in it, a null is a jump, and what nobody reads is passed in runs.

use std::sync::Arc;

use super::column::{Fault, Misfit, Read};
use super::cursor::{Cursor, Malformed};
use super::schema::{NodeId, Schema, Shape};
use crate::value::{RowWriter, Type};

/// A writer schema's steps.
#[derive(Debug)]
pub(super) struct Program {
    schema: Arc<Schema>,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    /// A union with null; where it is null, so many steps are left out.
    Optional { null: u8, steps: u32 },
    /// So many numbers that nobody reads.
    SkipNumbers(u32),
    /// So many bytes that nobody reads.
    SkipBytes(u32),
    /// So many texts or byte strings that nobody reads.
    SkipSized(u32),
    /// A number or null that nobody reads.
    SkipOptionalNumber { null: u8 },
    /// A text, byte string or null that nobody reads.
    SkipOptionalSized { null: u8 },
    /// Any value that nobody reads.
    Skip(NodeId),
    /// Notes a number.
    Number(Slot),
    /// Notes where a text lies.
    Text(Slot),
    /// Notes the place.
    Mark(Slot),
    /// Reads a column of the row; for a column of the key, notes where it lies.
    Column { column: usize, read: Read, node: NodeId, ty: Type, span: Option<Slot> },
    /// Notes where a value lies.
    Span { node: NodeId, slot: Slot },
}

/// Where a step notes what it found.
pub(super) type Slot = usize;

/// What was found, by slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing: null, or not in the schema.
    #[default]
    Nothing,
    /// A number.
    Number(i64),
    /// Where text or a value lies.
    Span(u32, u32),
}

/// Makes a program, step by step.
#[derive(Debug)]
pub(super) struct Builder {
    schema: Arc<Schema>,
    steps: Vec<Step>,
    /// Records that are being passed, to stop at types within themselves.
    within: Vec<NodeId>,
}

impl Builder {
    pub(super) fn new(schema: Arc<Schema>) -> Builder {
        Builder { schema, steps: Vec::new(), within: Vec::new() }
    }

    pub(super) fn finish(self) -> Program {
        Program { schema: self.schema, steps: self.steps }
    }

    /// Passes a value.
    pub(super) fn skip(&mut self, node: NodeId) {
        if let Some((inner, null)) = self.schema.optional(node) {
            let step = match &self.schema.node(inner).shape {
                Shape::Int | Shape::Long | Shape::Enum(_) => Step::SkipOptionalNumber { null },
                Shape::Bytes | Shape::String => Step::SkipOptionalSized { null },
                _ => return self.optional(null, |builder| builder.skip(inner)),
            };
            return self.steps.push(step);
        }
        let step = match &self.schema.node(node).shape {
            Shape::Null => return,
            Shape::Int | Shape::Long | Shape::Enum(_) => Step::SkipNumbers(1),
            Shape::Bytes | Shape::String => Step::SkipSized(1),
            Shape::Boolean => Step::SkipBytes(1),
            Shape::Float => Step::SkipBytes(4),
            Shape::Double => Step::SkipBytes(8),
            Shape::Record(fields) if !self.within.contains(&node) => {
                let fields: Vec<NodeId> = fields.iter().map(|field| field.node).collect();
                self.within.push(node);
                fields.into_iter().for_each(|field| self.skip(field));
                self.within.pop();
                return;
            }
            _ => Step::Skip(node),
        };
        // A run inside of an optional value must not take in what follows the value.
        let joins = !self.is_jump_target();
        match (self.steps.last_mut().filter(|_| joins), &step) {
            (Some(Step::SkipNumbers(run)), Step::SkipNumbers(more))
            | (Some(Step::SkipSized(run)), Step::SkipSized(more))
            | (Some(Step::SkipBytes(run)), Step::SkipBytes(more)) => *run += more,
            _ => self.steps.push(step),
        }
    }

    /// Whether a jump over what came before leads here.
    fn is_jump_target(&self) -> bool {
        self.steps.iter().enumerate().any(|(at, step)| match step {
            Step::Optional { steps, .. } => at + 1 + *steps as usize == self.steps.len(),
            _ => false,
        })
    }

    /// Steps for a value that may be null.
    pub(super) fn optional(&mut self, null: u8, inner: impl FnOnce(&mut Builder)) {
        let at = self.steps.len();
        self.steps.push(Step::Optional { null, steps: 0 });
        inner(self);
        let inside = (self.steps.len() - at - 1) as u32;
        self.steps[at] = Step::Optional { null, steps: inside };
    }

    /// Notes a number or text; false when the value is neither.
    pub(super) fn note(&mut self, node: NodeId, slot: Slot) -> bool {
        if let Some((inner, null)) = self.schema.optional(node) {
            let mut noted = false;
            self.optional(null, |builder| noted = builder.note(inner, slot));
            return noted;
        }
        match &self.schema.node(node).shape {
            Shape::Int | Shape::Long => self.steps.push(Step::Number(slot)),
            Shape::String => self.steps.push(Step::Text(slot)),
            _ => {
                self.skip(node);
                return false;
            }
        }
        true
    }

    /// Notes the place.
    pub(super) fn mark(&mut self, slot: Slot) {
        self.steps.push(Step::Mark(slot));
    }

    /// Reads a column; `span` notes where the bytes of its value lie.
    pub(super) fn column(
        &mut self,
        column: usize,
        read: Read,
        node: NodeId,
        ty: Type,
        span: Option<Slot>,
    ) {
        self.steps.push(Step::Column { column, read, node, ty, span });
    }

    /// Notes where the bytes of a value lie; nothing for null.
    pub(super) fn span(&mut self, node: NodeId, slot: Slot) {
        match self.schema.optional(node) {
            Some((inner, null)) => self.optional(null, |builder| builder.span(inner, slot)),
            None => self.steps.push(Step::Span { node, slot }),
        }
    }
}

impl Program {
    /// Walks a value. A column that cannot be read does not end the walk: the first of them is
    /// returned with its misfit.
    pub(super) fn run(
        &self,
        cursor: &mut Cursor<'_>,
        found: &mut [Found],
        row: &mut RowWriter,
    ) -> Result<Option<(usize, Misfit)>, Malformed> {
        let mut misfit = None;
        let mut at = 0;
        while let Some(step) = self.steps.get(at) {
            at += 1;
            match step {
                Step::Optional { null, steps } => {
                    if cursor.is_null(*null)? {
                        at += *steps as usize;
                    }
                }
                Step::SkipNumbers(count) => {
                    for _ in 0..*count {
                        cursor.skip_number()?;
                    }
                }
                Step::SkipSized(count) => {
                    for _ in 0..*count {
                        cursor.bytes()?;
                    }
                }
                Step::SkipOptionalNumber { null } => {
                    if !cursor.is_null(*null)? {
                        cursor.skip_number()?;
                    }
                }
                Step::SkipOptionalSized { null } => {
                    if !cursor.is_null(*null)? {
                        cursor.bytes()?;
                    }
                }
                Step::SkipBytes(count) => drop(cursor.take(*count as usize)?),
                Step::Skip(node) => cursor.skip(&self.schema, *node)?,
                Step::Number(slot) => found[*slot] = Found::Number(cursor.number()?),
                Step::Text(slot) => {
                    let length = cursor.bytes()?.len();
                    found[*slot] = Found::Span((cursor.at() - length) as u32, cursor.at() as u32);
                }
                Step::Mark(slot) => found[*slot] = Found::Number(cursor.at() as i64),
                Step::Span { node, slot } => {
                    let from = cursor.at();
                    cursor.skip(&self.schema, *node)?;
                    found[*slot] = Found::Span(from as u32, cursor.at() as u32);
                }
                Step::Column { column, read, node, ty, span } => {
                    let from = cursor.at();
                    match read.read(cursor, &self.schema, *node, row, *column, *ty) {
                        Ok(()) => {}
                        Err(Fault::Malformed(error)) => return Err(error),
                        Err(Fault::Misfit(fault)) => {
                            misfit.get_or_insert((*column, fault));
                        }
                    }
                    if let Some(slot) = span {
                        found[*slot] = Found::Span(from as u32, cursor.at() as u32);
                    }
                }
            }
        }
        Ok(misfit)
    }
}

impl Found {
    /// The number, if one was found.
    pub(super) fn number(self) -> Option<i64> {
        match self {
            Found::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The bytes, if a place was found.
    pub(super) fn bytes<'b>(self, cursor: &Cursor<'b>) -> Option<&'b [u8]> {
        match self {
            Found::Span(from, to) => Some(cursor.span(from as usize, to as usize)),
            _ => None,
        }
    }
}

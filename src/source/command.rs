//! Commands: what an operator asks of a running pipeline, as records of a topic of its own.
//!
//! They change what is published, so they are read with positions like any source, and a replay
//! repeats them in their places. A command is one JSON object:
//!
//! ```json
//! {"version": 1, "pipeline": "shop", "command": "replay", "topic": "mysql.shop.orders", "partition": 0,
//!  "offset": 17, "fingerprint": "00c0ffee00c0ffee", "key": "AAAAAAEI", "value": "AAAAAAI="}
//! ```
//!
//! | command | members besides |
//! |---|---|
//! | `replay` | `topic`, `partition`, `offset`, `fingerprint` of a dead letter; `key` and `value` as they were, in base64 or absent |
//! | `drop` | `topic`, `partition`, `offset`, `fingerprint` |
//! | `republish` | `view`; `keys`, each a list of its columns as the API's addresses have them |
//! | `switch` | `name`; `view`, the one whose documents readers of the name get |
//!
//! A replay carries the bytes itself: what it does must not depend on another topic's retention.
//! They are decoded as of their own place, by the declarations of today.
//!
//! A republish names documents and says nothing of what is in them: that is what the state has when
//! the command is obeyed. A replay passes it over, for what it asked for was written, or is in the
//! backlog.
//!
//! A switch counts whichever views there are when it is read: which one answers for a name follows
//! from the commands alone, the last one of each name.
//!
//! Commands of other pipelines, of topics that no view reads, and of documents of views that are not
//! there, are passed over. What is no
//! command of version 1 is unreadable, like any record. A later version stops the pipeline: passed
//! over, its effect would be missing for good once a program that knows it takes over.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use super::avro::{Decoded, Failure, Reason, Side};
use super::decode::Decoder;
use super::record::{Command, Content, LetterId, PartitionId, PartitionSpec};
use crate::change::{Change, Op, Partition};
use crate::sql::plan::{Plan, ViewId};
use crate::value::{Key, Type};

/// The version that this program writes, and the last that it reads.
pub const VERSION: u32 = 1;

/// A command as an operator gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Apply a dead letter in its place.
    Replay {
        /// Which.
        letter: LetterPlace,
        /// Its key as it was.
        key: Option<Vec<u8>>,
        /// Its value as it was.
        value: Option<Vec<u8>>,
    },
    /// Wait for a dead letter no more.
    Drop {
        /// Which.
        letter: LetterPlace,
    },
    /// Write documents again as the state has them.
    Republish {
        /// Of this view.
        view: String,
        /// Their keys, as of [`Key::texts`].
        keys: Vec<Vec<String>>,
    },
    /// Have a view answer for a name.
    Switch {
        /// The name.
        name: String,
        /// The view.
        view: String,
    },
}

/// Where an unreadable record lies, and which it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterPlace {
    /// Its partition.
    pub partition: Partition,
    /// Its offset.
    pub offset: i64,
    /// Hash of its timestamp and key.
    pub fingerprint: u64,
}

/// Why a record of the topic is no command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Not one JSON object with known members.
    #[error("the command cannot be read: {0}")]
    Json(String),
    /// A command that this version does not have.
    #[error("there is no command `{0}`")]
    Unknown(String),
    /// A member is missing.
    #[error("command `{command}` lacks `{member}`")]
    Lacks {
        /// The command.
        command: String,
        /// The member.
        member: &'static str,
    },
    /// A member is not what it has to be.
    #[error("`{0}` is not what it has to be")]
    Member(&'static str),
}

/// The members of every command. Flat: the JSON library keeps numbers as text, which its tagged
/// enumerations cannot read.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    pipeline: String,
    command: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    view: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<Vec<Vec<String>>>,
}

/// What every version has.
#[derive(Deserialize)]
struct Head {
    version: u32,
}

impl Order {
    /// The record to write for a pipeline.
    pub fn to_json(&self, pipeline: &str) -> Vec<u8> {
        let mut written =
            Written { version: VERSION, pipeline: pipeline.to_owned(), ..Written::default() };
        let encode = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|b| BASE64_STANDARD.encode(b));
        match self {
            Order::Replay { letter, key, value } => {
                written.of_letter("replay", letter);
                (written.key, written.value) = (encode(key), encode(value));
            }
            Order::Drop { letter } => written.of_letter("drop", letter),
            Order::Republish { view, keys } => {
                "republish".clone_into(&mut written.command);
                (written.view, written.keys) = (Some(view.clone()), Some(keys.clone()));
            }
            Order::Switch { name, view } => {
                "switch".clone_into(&mut written.command);
                (written.name, written.view) = (Some(name.clone()), Some(view.clone()));
            }
        }
        serde_json::to_vec(&written).unwrap_or_default()
    }

    /// Reads a record: the pipeline that it is for, and what it says.
    ///
    /// # Errors
    /// Text that is no command of this version; [`Failure::Newer`] for a later one.
    fn parse(value: &[u8]) -> Result<(String, Order), Failure> {
        let json = |error: serde_json::Error| Reason::from(CommandError::Json(error.to_string()));
        let written: Written = match serde_json::from_slice(value) {
            Ok(written) => written,
            // A later version may have other members.
            Err(error) => match serde_json::from_slice::<Head>(value) {
                Ok(head) if head.version > VERSION => return Err(Failure::Newer(head.version)),
                _ => return Err(json(error).into()),
            },
        };
        if written.version > VERSION {
            return Err(Failure::Newer(written.version));
        }
        let pipeline = written.pipeline.clone();
        Ok((pipeline, written.into_order().map_err(Reason::from)?))
    }
}

impl Written {
    fn of_letter(&mut self, command: &str, letter: &LetterPlace) {
        command.clone_into(&mut self.command);
        self.topic = Some(letter.partition.topic.clone());
        self.partition = Some(letter.partition.number);
        self.offset = Some(letter.offset);
        self.fingerprint = Some(format!("{:016x}", letter.fingerprint));
    }

    fn into_order(self) -> Result<Order, CommandError> {
        if self.version != VERSION {
            return Err(CommandError::Member("version"));
        }
        let decode = |text: &Option<String>, member| {
            let decoded = text.as_ref().map(|text| BASE64_STANDARD.decode(text)).transpose();
            decoded.map_err(|_| CommandError::Member(member))
        };
        match self.command.as_str() {
            "replay" => Ok(Order::Replay {
                key: decode(&self.key, "key")?,
                value: decode(&self.value, "value")?,
                letter: self.into_letter()?,
            }),
            "drop" => Ok(Order::Drop { letter: self.into_letter()? }),
            "republish" => {
                let command = self.command;
                let lacks = |member| CommandError::Lacks { command: command.clone(), member };
                let view = self.view.ok_or_else(|| lacks("view"))?;
                Ok(Order::Republish { view, keys: self.keys.ok_or_else(|| lacks("keys"))? })
            }
            "switch" => {
                let command = self.command;
                let lacks = |member| CommandError::Lacks { command: command.clone(), member };
                let name = self.name.ok_or_else(|| lacks("name"))?;
                Ok(Order::Switch { name, view: self.view.ok_or_else(|| lacks("view"))? })
            }
            _ => Err(CommandError::Unknown(self.command)),
        }
    }

    fn into_letter(self) -> Result<LetterPlace, CommandError> {
        let lacks = |member| CommandError::Lacks { command: self.command.clone(), member };
        let fingerprint = self.fingerprint.as_ref().ok_or_else(|| lacks("fingerprint"))?;
        let fingerprint = u64::from_str_radix(fingerprint, 16);
        Ok(LetterPlace {
            partition: Partition {
                topic: self.topic.clone().ok_or_else(|| lacks("topic"))?,
                number: self.partition.ok_or_else(|| lacks("partition"))?,
            },
            offset: self.offset.ok_or_else(|| lacks("offset"))?,
            fingerprint: fingerprint.map_err(|_| CommandError::Member("fingerprint"))?,
        })
    }
}

/// Decodes the records of the commands topic.
#[derive(Debug)]
pub(super) struct CommandDecoder {
    pipeline: String,
    /// All views with the types of their keys.
    views: Vec<(String, ViewId, Vec<Type>)>,
    /// Partitions of tables, with a decoder for replays of each.
    partitions: Vec<Target>,
    /// The place in `partitions` whose decoder has asked for a schema.
    asking: usize,
}

#[derive(Debug)]
struct Target {
    id: PartitionId,
    partition: Partition,
    decoder: Decoder,
    /// The schema just asked for cannot be had or used, and why: that leaves the dead letter
    /// unread, and stops nothing.
    unusable: Option<(Side, u32, Box<str>)>,
}

impl CommandDecoder {
    /// A decoder of the commands for a pipeline that reads these partitions of tables.
    pub(super) fn new(
        plan: &Plan,
        pipeline: &str,
        partitions: impl IntoIterator<Item = (PartitionId, PartitionSpec, Decoder)>,
    ) -> CommandDecoder {
        let target = |(id, spec, decoder): (PartitionId, PartitionSpec, Decoder)| {
            spec.role.table()?;
            Some(Target { id, partition: spec.partition, decoder, unusable: None })
        };
        let views = plan.views_with_ids().map(|(id, v)| (v.name.clone(), id, v.key_types()));
        CommandDecoder {
            pipeline: pipeline.to_owned(),
            views: views.collect(),
            partitions: partitions.into_iter().filter_map(target).collect(),
            asking: 0,
        }
    }

    /// Decodes a record from its value.
    ///
    /// # Errors
    /// What is no command, a later version, or a schema that a replay needs first.
    pub(super) fn decode(&mut self, value: Option<&[u8]>) -> Result<Decoded, Failure> {
        let ignored = Ok(Decoded { content: Content::Ignored, committed_us: 0 });
        let (pipeline, order) = Order::parse(value.ok_or(Reason::Empty(Side::Value))?)?;
        if pipeline != self.pipeline {
            return ignored;
        }
        let command = match order {
            Order::Drop { letter } => {
                let Some(at) = self.find(&letter.partition) else { return ignored };
                Command::Drop { letter: self.partitions[at].id_of(&letter) }
            }
            Order::Replay { letter, key, value } => {
                let Some(at) = self.find(&letter.partition) else { return ignored };
                self.asking = at;
                let target = &mut self.partitions[at];
                let change = target.replay(&letter, key.as_deref(), value.as_deref())?;
                Command::Replay { letter: target.id_of(&letter), change }
            }
            Order::Republish { view, keys } => {
                let Some((_, view, types)) = self.views.iter().find(|(name, ..)| *name == view)
                else {
                    return ignored;
                };
                // Of another definition of the view: its documents are filled anew anyway.
                let keys = keys.iter().filter_map(|parts| Key::parse(types, parts).ok()).collect();
                Command::Republish { view: *view, keys }
            }
            Order::Switch { name, view } => Command::Switch { name, view },
        };
        Ok(Decoded { content: Content::Command(Box::new(command)), committed_us: 0 })
    }

    /// Takes the schema that a replay asked for.
    pub(super) fn add_schema(&mut self, side: Side, id: u32, text: &str) {
        let Some(target) = self.partitions.get_mut(self.asking) else { return };
        if let Err(unfit) = target.decoder.add_schema(side, id, text) {
            target.unusable = Some((side, id, unfit.to_string().into()));
        }
    }

    /// Notes that nobody knows the schema that a replay asked for.
    pub(super) fn lacks_schema(&mut self, side: Side, id: u32) {
        if let Some(target) = self.partitions.get_mut(self.asking) {
            let reason = format!("the registry does not know schema {id}");
            target.unusable = Some((side, id, reason.into()));
        }
    }

    fn find(&self, partition: &Partition) -> Option<usize> {
        self.partitions.iter().position(|target| target.partition == *partition)
    }
}

impl Target {
    fn id_of(&self, letter: &LetterPlace) -> LetterId {
        let LetterPlace { offset, fingerprint, .. } = *letter;
        LetterId { partition: self.id, offset, fingerprint }
    }

    /// What a dead letter says today, or why it still cannot be applied.
    fn replay(
        &mut self,
        letter: &LetterPlace,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<Result<Change, Box<str>>, Failure> {
        let LetterPlace { partition, offset, .. } = letter;
        let change = match self.decoder.decode(partition.number, *offset, key, value) {
            Ok(Decoded { content, .. }) => match content {
                Content::Row { change, .. }
                | Content::Snapshot { change, .. }
                | Content::Event(change) => change,
                Content::Truncate { .. } => return Ok(Err("it is a TRUNCATE".into())),
                _ => return Ok(Err("it changes no row".into())),
            },
            Err(Failure::Unreadable(unreadable)) => {
                return Ok(Err(unreadable.reason.to_string().into()));
            }
            Err(Failure::Schema(side, id)) => {
                let known = self.unusable.take().filter(|(s, i, _)| (*s, *i) == (side, id));
                let (_, _, reason) = known.ok_or(Failure::Schema(side, id))?;
                return Ok(Err(reason));
            }
            Err(Failure::Unfit(unfit)) => return Ok(Err(unfit.to_string().into())),
            Err(newer @ Failure::Newer(_)) => return Err(newer),
        };
        debug_assert!(!matches!(change.op, Op::Truncate));
        // A column that is not there must not become NULL in a row that is certain otherwise.
        let lacking = self.decoder.lacks().and_then(|lacks| lacks.values().next());
        Ok(lacking.map_or(Ok(change), |reason| Err(reason.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> LetterPlace {
        let partition = Partition { topic: "a:b".into(), number: 2 };
        LetterPlace { partition, offset: 17, fingerprint: u64::MAX - 1 }
    }

    #[test]
    fn what_is_written_is_read() {
        for order in [
            Order::Replay { letter: letter(), key: Some(vec![0, 255]), value: None },
            Order::Drop { letter: letter() },
            Order::Republish {
                view: "v".into(),
                keys: vec![vec!["1".into(), "a,b".into()], vec!["2".into(), "~".into()]],
            },
            Order::Switch { name: "v".into(), view: "v_2".into() },
        ] {
            let read = Order::parse(&order.to_json("shop")).unwrap();
            assert_eq!(read, ("shop".to_owned(), order));
        }
    }

    #[test]
    fn what_is_no_command_says_why_and_a_later_version_is_told_apart() {
        for (text, why) in [
            ("", "cannot be read: EOF"),
            ("[1]", "cannot be read"),
            (r#"{"version":1,"pipeline":"p","command":"dance"}"#, "no command `dance`"),
            (r#"{"version":1,"pipeline":"p","command":"drop"}"#, "`drop` lacks `fingerprint`"),
            (r#"{"version":1,"pipeline":"p","command":"drop","who":1}"#, "unknown field `who`"),
            (r#"{"version":1,"pipeline":"p","command":"republish","view":"v"}"#, "lacks `keys`"),
            (r#"{"version":1,"pipeline":"p","command":"switch","view":"v"}"#, "lacks `name`"),
            (r#"{"version":0,"pipeline":"p","command":"drop"}"#, "`version` is not"),
            (r#"{"version":1,"pipeline":"p","command":"replay","value":"?"}"#, "`value` is not"),
        ] {
            match Order::parse(text.as_bytes()) {
                Err(Failure::Unreadable(unreadable)) => {
                    let reason = unreadable.reason.to_string();
                    assert!(reason.contains(why), "{text}: {reason}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
        for later in [
            r#"{"version":2}"#,
            r#"{"version":2,"pipeline":"p","command":"drop","who":1}"#,
            r#"{"version":9,"pipeline":"p","command":"drop"}"#,
        ] {
            assert!(matches!(Order::parse(later.as_bytes()), Err(Failure::Newer(_))), "{later}");
        }
    }
}

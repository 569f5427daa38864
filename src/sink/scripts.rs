//! The scripts that run inside Redis, and what they answer.
//!
//! Each begins with `#!lua`, so that Redis refuses it as a whole, before its first write, when it
//! is out of memory, a replica or unable to save. Those that only renew, claim or delete may run
//! without memory to spare.

use redis::{Cmd, Value};

use super::store::{Ownership, Reply};

/// A script and the name Redis knows it by once it is loaded.
#[derive(Debug)]
pub(super) struct Script {
    code: &'static str,
    hash: String,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) step: Script,
    /// The same though memory is full.
    pub(super) drop: Script,
    pub(super) sweep: Script,
    pub(super) claim: Script,
    pub(super) renew: Script,
}

impl Scripts {
    pub(super) fn new() -> Scripts {
        Scripts {
            step: Script::new(concat!(
                "#!lua\n",
                include_str!("prelude.lua"),
                include_str!("step.lua")
            )),
            drop: Script::new(concat!(
                "#!lua flags=allow-oom\n",
                include_str!("prelude.lua"),
                include_str!("step.lua")
            )),
            sweep: Script::new(concat!(
                "#!lua flags=allow-oom\n",
                include_str!("prelude.lua"),
                include_str!("sweep.lua")
            )),
            claim: Script::new(concat!(
                "#!lua flags=allow-oom\n",
                include_str!("prelude.lua"),
                include_str!("claim.lua")
            )),
            renew: Script::new(concat!(
                "#!lua flags=allow-oom\n",
                include_str!("prelude.lua"),
                include_str!("renew.lua")
            )),
        }
    }
}

impl Script {
    fn new(code: &'static str) -> Script {
        Script { code, hash: redis::Script::new(code).get_hash().to_owned() }
    }

    /// A call with these keys; arguments are added to it.
    pub(super) fn call(&self, keys: &[String]) -> Cmd {
        let mut call = redis::cmd("EVALSHA");
        call.arg(&self.hash).arg(keys.len()).arg(keys);
        call
    }

    /// Makes it known to Redis.
    pub(super) fn load(&self) -> Cmd {
        let mut load = redis::cmd("SCRIPT");
        load.arg("LOAD").arg(self.code);
        load
    }
}

impl Reply {
    /// Reads an answer; `None` if no script of ours answers so.
    pub(super) fn read(answer: &Value) -> Option<Reply> {
        let Value::Array(parts) = answer else { return None };
        let (name, rest) = parts.split_first()?;
        Some(match (text(name)?, rest) {
            ("done", []) => Reply::Done,
            ("owner", [epoch, token, seq]) => Reply::Owner(Ownership {
                epoch: text(epoch)?.parse().ok(),
                token: text(token)?.to_owned(),
                seq: text(seq)?.parse().ok(),
            }),
            ("type", [key, found]) => {
                Reply::WrongType { key: text(key)?.to_owned(), found: text(found)?.to_owned() }
            }
            ("crowded", [view, range]) => {
                Reply::Crowded { view: number(view)? as usize, range: number(range)? as usize }
            }
            ("swept", [Value::BulkString(last)]) => Reply::Swept(last.clone()),
            ("claimed", [epoch, seq]) => {
                Reply::Claimed { epoch: text(epoch)?.parse().ok()?, seq: text(seq)?.parse().ok()? }
            }
            ("held", [for_ms]) => Reply::Held { for_ms: number(for_ms)? },
            _ => return None,
        })
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

//! MySQL's global transaction identifiers, and how far each server's transactions are applied.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A server (and tag) that numbers transactions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Server {
    uuid: u128,
    tag: Option<Box<str>>,
}

/// `UUID:NUMBER` or `UUID:TAG:NUMBER`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Gtid {
    /// Who numbered it.
    pub server: Server,
    /// Its number, from 1.
    pub number: u64,
}

/// Text that is no transaction identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no global transaction identifier (UUID:NUMBER or UUID:TAG:NUMBER)")]
pub struct GtidError(pub String);

/// The number of the last transaction applied, per server: every earlier one is applied too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermarks(BTreeMap<Server, u64>);

impl Watermarks {
    /// Whether a transaction is applied.
    pub fn covers(&self, gtid: &Gtid) -> bool {
        self.number(&gtid.server) >= gtid.number
    }

    /// Whether all transactions below others are below these.
    pub fn include(&self, others: &Watermarks) -> bool {
        others.iter().all(|(server, number)| self.number(server) >= number)
    }

    /// The last transaction applied of a server; 0 before the first.
    pub fn number(&self, server: &Server) -> u64 {
        self.0.get(server).copied().unwrap_or(0)
    }

    /// The last transaction applied of the server of another; that one itself if there is none.
    pub fn last(&self, of: &Gtid) -> Gtid {
        let number = self.0.get(&of.server).copied().unwrap_or(of.number);
        Gtid { server: of.server.clone(), number }
    }

    /// Notes a transaction as applied; watermarks never go back.
    pub fn raise(&mut self, gtid: &Gtid) {
        match self.0.get_mut(&gtid.server) {
            Some(number) => *number = gtid.number.max(*number),
            None => drop(self.0.insert(gtid.server.clone(), gtid.number)),
        }
    }

    /// Forgets the servers for which `keep` does not hold.
    pub fn retain(&mut self, keep: impl Fn(&Server) -> bool) {
        self.0.retain(|server, _| keep(server));
    }

    /// Every server with the number of its last transaction applied.
    pub fn iter(&self) -> impl Iterator<Item = (&Server, u64)> {
        self.0.iter().map(|(server, number)| (server, *number))
    }
}

/// `UUID:1-9,UUID:TAG:1-3`: as a set of all transactions up to each.
impl fmt::Display for Watermarks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (server, number)) in self.0.iter().enumerate() {
            write!(f, "{}{server}:1-{number}", if at > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

impl FromStr for Watermarks {
    type Err = GtidError;

    fn from_str(text: &str) -> Result<Watermarks, GtidError> {
        let set: GtidSet = text.parse()?;
        let last = |(server, runs): (Server, Vec<(u64, u64)>)| {
            (server, runs.iter().map(|(_, last)| *last).max().unwrap_or(0))
        };
        Ok(set.0.into_iter().map(last).collect())
    }
}

/// A set of transactions, as MySQL writes it: `UUID:1-5:7:TAG:1-3,UUID:9`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GtidSet(BTreeMap<Server, Vec<(u64, u64)>>);

impl GtidSet {
    /// Of each server the transactions from the first on without a gap.
    pub fn prefixes(&self) -> Watermarks {
        let prefix = |(server, runs): (&Server, &Vec<(u64, u64)>)| {
            let (_, last) = *runs.iter().find(|(first, _)| *first == 1)?;
            Some((server.clone(), last))
        };
        self.0.iter().filter_map(prefix).collect()
    }

    /// Whether every transaction of this set is applied: at or below a watermark, or one of those
    /// that a server had `executed` that everything of is applied.
    pub fn is_contained(&self, applied: &Watermarks, executed: &GtidSet) -> bool {
        self.0.iter().all(|(server, runs)| {
            let others = executed.0.get(server).map_or(&[][..], Vec::as_slice);
            runs.iter().all(|&(first, last)| {
                applied.number(server) >= last
                    || others.iter().any(|&(from, to)| from <= first && last <= to)
            })
        })
    }
}

impl FromStr for GtidSet {
    type Err = GtidError;

    fn from_str(text: &str) -> Result<GtidSet, GtidError> {
        let bad = || GtidError(text.to_owned());
        let mut set: BTreeMap<Server, Vec<(u64, u64)>> = BTreeMap::new();
        for server in text.split(',').map(str::trim).filter(|server| !server.is_empty()) {
            let (uuid, parts) = server.split_once(':').ok_or_else(bad)?;
            let mut origin: Server = uuid.trim().parse().map_err(|_| bad())?;
            // Of a tag alone nothing is named: a slip, which must not pass for an empty set.
            let mut named = false;
            for part in parts.split(':').map(str::trim) {
                if part.starts_with(|c: char| c.is_ascii_digit()) {
                    let run = parse_run(part).ok_or_else(bad)?;
                    set.entry(origin.clone()).or_default().push(run);
                    named = true;
                } else {
                    origin = format!("{}:{part}", uuid.trim()).parse().map_err(|_| bad())?;
                    named = false;
                }
            }
            if !named {
                return Err(bad());
            }
        }
        Ok(GtidSet(set))
    }
}

/// Reads `7` or `1-5`.
fn parse_run(text: &str) -> Option<(u64, u64)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (0 < first && first <= last).then_some((first, last))
}

impl FromIterator<(Server, u64)> for Watermarks {
    fn from_iter<T: IntoIterator<Item = (Server, u64)>>(items: T) -> Watermarks {
        Watermarks(items.into_iter().collect())
    }
}

/// Reads `UUID` or `UUID:TAG`.
impl FromStr for Server {
    type Err = GtidError;

    fn from_str(text: &str) -> Result<Server, GtidError> {
        let bad = || GtidError(text.to_owned());
        let (uuid, tag) = match text.split_once(':') {
            Some((uuid, tag)) => (uuid, Some(tag)),
            None => (text, None),
        };
        let tag = tag.map(str::to_ascii_lowercase);
        let is_tag = |tag: &String| {
            let letters = tag.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric());
            letters && tag.len() <= 32 && !tag.starts_with(|c: char| c.is_ascii_digit())
        };
        if tag.as_ref().is_some_and(|tag| tag.is_empty() || !is_tag(tag)) {
            return Err(bad());
        }
        let uuid = parse_uuid(uuid).ok_or_else(bad)?;
        Ok(Server { uuid, tag: tag.map(String::into_boxed_str) })
    }
}

impl TryFrom<String> for Server {
    type Error = GtidError;

    fn try_from(text: String) -> Result<Server, GtidError> {
        text.parse()
    }
}

impl From<Server> for String {
    fn from(server: Server) -> String {
        server.to_string()
    }
}

impl FromStr for Gtid {
    type Err = GtidError;

    fn from_str(text: &str) -> Result<Gtid, GtidError> {
        let bad = || GtidError(text.to_owned());
        let (server, number) = text.rsplit_once(':').ok_or_else(bad)?;
        let number = number.parse().ok().filter(|n| *n > 0).ok_or_else(bad)?;
        Ok(Gtid { server: server.parse().map_err(|_| bad())?, number })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let u = self.uuid;
        let (a, b, c) = ((u >> 96) as u32, (u >> 80) as u16, (u >> 64) as u16);
        let (d, e) = ((u >> 48) as u16, u & 0xFFFF_FFFF_FFFF);
        write!(f, "{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}")?;
        match &self.tag {
            Some(tag) => write!(f, ":{tag}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.server, self.number)
    }
}

fn parse_uuid(text: &str) -> Option<u128> {
    let bytes = text.as_bytes();
    if bytes.len() != 36 {
        return None;
    }
    let mut uuid = 0u128;
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return None;
            }
            continue;
        }
        uuid = uuid << 4 | u128::from(char::from(*byte).to_digit(16)?);
    }
    Some(uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_read_back() {
        for text in [
            "f9922be6-e58e-11f1-8fa9-02fc00000001:76",
            "00000000-0000-0000-0000-000000000001:src:18446744073709551615",
        ] {
            assert_eq!(text.parse::<Gtid>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "file=binlog.000001,pos=4",
            "f9922be6-e58e-11f1-8fa9-02fc00000001",
            "f9922be6-e58e-11f1-8fa9-02fc00000001:0",
            "f9922be6-e58e-11f1-8fa9-02fc00000001:a:b:1",
            "f9922be6+e58e-11f1-8fa9-02fc00000001:1",
            "g9922be6-e58e-11f1-8fa9-02fc00000001:1",
        ] {
            assert!(text.parse::<Gtid>().is_err(), "{text}");
        }
    }

    #[test]
    fn sets_are_contained_by_watermarks_or_by_what_was_executed() {
        const A: &str = "f9922be6-e58e-11f1-8fa9-02fc00000001";
        const B: &str = "f9922be6-e58e-11f1-8fa9-02fc00000002";
        let applied: Watermarks = format!("{A}:1-7,{A}:src:1-2").parse().unwrap();
        assert_eq!(applied.to_string(), format!("{A}:1-7,{A}:src:1-2"));
        let executed: GtidSet = format!("{B}:1-3:9").parse().unwrap();
        for (set, contained) in [
            (String::new(), true),
            (format!("{A}:7"), true),
            (format!("{A}:1-8"), false),
            (format!("{A}:1-5:7:src:2"), true),
            (format!("{A}:1-5:src:3"), false),
            (format!("{A}:7, {B}:2-3:9"), true),
            (format!("{B}:4"), false),
            (format!("{B}:2-9"), false),
        ] {
            let set: GtidSet = set.parse().unwrap_or_else(|_| panic!("{set}"));
            assert_eq!(set.is_contained(&applied, &executed), contained, "{set:?}");
        }
        for text in ["x", A, &format!("{A}:0"), &format!("{A}:5-3"), &format!("{A}:1-"), "a:1"] {
            assert!(text.parse::<GtidSet>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_set_that_names_nothing_is_a_slip() {
        const SERVER: &str = "f9922be6-e58e-11f1-8fa9-02fc00000001";
        for parts in ["x", "-9", "1-9:tag", "tag", "", "tag:x", "a-b:1", "9tag", "1:tag,"] {
            assert!(format!("{SERVER}:{parts}").parse::<GtidSet>().is_err(), "{parts}");
        }
        let lower: GtidSet = format!("{SERVER}:src:5").parse().unwrap();
        assert_eq!(format!("{SERVER}:SRC:5").parse::<GtidSet>().unwrap(), lower);
    }

    #[test]
    fn tags_number_for_themselves() {
        let plain: Gtid = "f9922be6-e58e-11f1-8fa9-02fc00000001:7".parse().unwrap();
        let tagged: Gtid = "f9922be6-e58e-11f1-8fa9-02fc00000001:src:7".parse().unwrap();
        let mut watermarks = Watermarks::default();
        watermarks.raise(&plain);
        assert!(watermarks.covers(&plain) && !watermarks.covers(&tagged));
        watermarks.raise(&Gtid { number: 3, ..plain.clone() });
        assert_eq!(watermarks.number(&plain.server), 7);
        watermarks.raise(&tagged);
        let text = serde_json::to_string(&watermarks).unwrap();
        assert_eq!(serde_json::from_str::<Watermarks>(&text).unwrap(), watermarks);
    }
}

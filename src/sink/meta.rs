//! What Redis knows of the pipeline: the `meta` hash, read.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::change::{Partition, Position, Positions};
use crate::gtid::Watermarks;
use crate::keyspace::{Contained, Generation, Generations, StaleRow, Unfollowed, meta};

/// The whole of `meta`; empty in an empty Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Number of the last claim; 0 when there was none.
    pub epoch: u64,
    /// Token of the last claim; empty when there was none.
    pub token: String,
    /// How long the owner's lease still lasts; zero when it has ended.
    pub lease_left: Duration,
    /// The owner gave the pipeline back: it will not renew its lease.
    pub is_given_back: bool,
    /// Number of the last step.
    pub seq: u64,
    /// How far each partition has been applied.
    pub positions: Positions,
    /// Applied transactions.
    pub applied: Watermarks,
    /// Further ones that a server had executed.
    pub executed: String,
    /// Commit time of the newest change applied, in microseconds since 1970.
    pub committed_us: Option<u64>,
    /// What each view contains of them while documents of it are due, by name: as of
    /// [`Contained::to_field`].
    pub behind: BTreeMap<String, String>,
    /// Work not yet published, as the pipeline wrote it.
    pub backlog: Option<String>,
    /// What there is of each view, by name.
    pub views: BTreeMap<String, Generations>,
    /// The view that answers for a name, where that is another than the name's own.
    pub served: BTreeMap<String, String>,
    /// Rows whose last change could not be read, by where that lies.
    pub stale_rows: BTreeMap<(Partition, i64), StaleRow>,
    /// How many more there are that are not followed one by one.
    pub unfollowed: BTreeMap<Partition, Unfollowed>,
}

/// A field of `meta` that we did not write so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field `{field}` holds `{value}`")]
pub struct MetaError {
    /// Name of the field.
    pub field: String,
    /// What stands there.
    pub value: String,
}

impl Meta {
    /// Reads the fields of the hash; `now_ms` is Redis' own time, milliseconds since 1970. Fields
    /// that nobody here knows are left alone.
    ///
    /// # Errors
    /// A field that does not hold what it should.
    pub fn from_fields(fields: BTreeMap<String, String>, now_ms: u64) -> Result<Meta, MetaError> {
        let mut read = Meta::default();
        for (field, value) in fields {
            if read.take(&field, &value, now_ms).is_none() {
                return Err(MetaError { field, value });
            }
        }
        Ok(read)
    }

    /// What views contain of which no document is due.
    pub fn contained(&self) -> Contained {
        Contained {
            applied: self.applied.to_string(),
            executed: self.executed.clone(),
            committed_us: self.committed_us,
        }
    }

    fn take(&mut self, field: &str, value: &str, now_ms: u64) -> Option<()> {
        match field {
            meta::EPOCH => self.epoch = value.parse().ok()?,
            meta::TOKEN => value.clone_into(&mut self.token),
            meta::SEQ => self.seq = value.parse().ok()?,
            meta::LEASE => {
                let ends: u64 = value.parse().ok()?;
                self.is_given_back = ends == 0;
                self.lease_left = Duration::from_millis(ends.saturating_sub(now_ms));
            }
            meta::APPLIED => self.applied = value.parse().ok()?,
            meta::EXECUTED => value.clone_into(&mut self.executed),
            meta::COMMITTED => self.committed_us = Some(value.parse().ok()?),
            meta::BACKLOG => self.backlog = Some(value.to_owned()),
            _ => {
                if let Some(place) = field.strip_prefix(meta::POSITION) {
                    self.positions.insert(parse_partition(place)?, parse_position(value)?);
                } else if let Some(place) = field.strip_prefix(meta::STALE) {
                    let (partition, offset) = place.rsplit_once(':')?;
                    let place = (parse_partition(partition)?, offset.parse().ok()?);
                    self.stale_rows.insert(place, serde_json::from_str(value).ok()?);
                } else if let Some(place) = field.strip_prefix(meta::UNFOLLOWED) {
                    let (from, count) = value.split_once(':')?;
                    let (from, count) = (from.parse().ok()?, count.parse().ok()?);
                    self.unfollowed.insert(parse_partition(place)?, Unfollowed { from, count });
                } else if let Some(view) = field.strip_prefix(meta::BEHIND) {
                    self.behind.insert(view.to_owned(), value.to_owned());
                } else if let Some(view) = field.strip_prefix(meta::VIEW) {
                    // What cannot be read is of an earlier layout: the view is filled anew.
                    self.view(view).current = Generation::from_field(value);
                } else if let Some(view) = field.strip_prefix(meta::NEXT) {
                    self.view(view).next = Generation::from_field(value);
                } else if let Some(name) = field.strip_prefix(meta::SERVED) {
                    self.served.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        Some(())
    }

    fn view(&mut self, name: &str) -> &mut Generations {
        self.views.entry(name.to_owned()).or_default()
    }
}

fn parse_partition(place: &str) -> Option<Partition> {
    let (topic, number) = place.rsplit_once(':')?;
    Some(Partition { topic: topic.to_owned(), number: number.parse().ok()? })
}

fn parse_position(value: &str) -> Option<Position> {
    let (next_offset, fingerprint) = value.split_once(':')?;
    Some(Position {
        next_offset: next_offset.parse().ok()?,
        fingerprint: u64::from_str_radix(fingerprint, 16).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[(&str, &str)]) -> Result<Meta, MetaError> {
        let owned = fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Meta::from_fields(owned, 1_000)
    }

    #[test]
    fn fields_are_read_by_name() {
        let meta = read(&[
            ("epoch", "7"),
            ("lease", "3500"),
            ("position:mysql.shop.orders:0", "17:00000000000000ff"),
            ("applied", "3e11fa47-71ca-11e1-9e33-c80aa9429562:tag:1-9"),
            ("executed", "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-3"),
            ("committed", "5"),
            ("behind:v", ""),
            ("view:a:b", "3 f k i"),
            ("next:a:b", "4 g k i"),
            ("view:c", "complete f"),
            ("served:c", "a:b"),
            ("stale:mysql.shop.orders:0:16", r#"{"table":"orders","key":["7"]}"#),
            ("unfollowed:events:2", "40:3"),
            ("of later versions", "?"),
        ])
        .unwrap();
        assert_eq!((meta.epoch, meta.lease_left), (7, Duration::from_millis(2500)));
        let partition = Partition { topic: "mysql.shop.orders".into(), number: 0 };
        assert_eq!(meta.positions[&partition], Position { next_offset: 17, fingerprint: 255 });
        assert!(!meta.is_given_back && read(&[("lease", "0")]).unwrap().is_given_back);
        assert_eq!(meta.applied.to_string(), "3e11fa47-71ca-11e1-9e33-c80aa9429562:tag:1-9");
        assert_eq!(meta.contained().to_field(), format!("{} {} 5", meta.applied, meta.executed));
        assert_eq!((meta.behind["v"].as_str(), meta.committed_us), ("", Some(5)));
        let numbers: Vec<u64> = meta.views["a:b"].all().map(|of| of.number).collect();
        assert_eq!((numbers, &meta.views["c"]), (vec![3, 4], &Generations::default()));
        assert_eq!(meta.served, [("c".to_owned(), "a:b".to_owned())].into());
        let row = &meta.stale_rows[&(partition, 16)];
        assert_eq!((row.table.as_str(), &row.key), ("orders", &Some(vec!["7".to_owned()])));
        let events = Partition { topic: "events".into(), number: 2 };
        assert_eq!(meta.unfollowed[&events], Unfollowed { from: 40, count: 3 });
    }

    #[test]
    fn a_field_that_is_not_ours_is_named() {
        let error = read(&[("position:t:0", "x")]).unwrap_err();
        assert_eq!(error.to_string(), "field `position:t:0` holds `x`");
    }
}

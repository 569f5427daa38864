//! Own copies of writer schemas: what a record says must not depend on a registry that forgets.
//!
//! A schema is kept in a file of its own once it is taken to read records by. Copies are told
//! apart by topic and half of the record, not by the id alone: an emptied registry gives its ids
//! out anew, to other topics' schemas mostly. Where it may have been to the same topic's, it is
//! asked ([`super::registry`]).
//!
//! A file holds one JSON object, gets its name when it is on the disk, and never changes. One that
//! is not as it was written is passed over, so that the registry is asked again.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tracing::warn;
use xxhash_rust::xxh3::xxh3_64;

use super::avro::Side;

/// Raised when the meaning of a file changes.
const VERSION: u32 = 1;

/// Largest file that is read, in bytes; MySQL's 4,096 columns of a table take some 2 MiB.
const FILE_BYTES_MAX: u64 = 16 << 20;

const SUFFIX: &str = ".json";

/// Where a schema is met.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Met {
    pub(super) topic: String,
    pub(super) side: Side,
    pub(super) id: u32,
}

/// The copies of one pipeline, all in memory.
#[derive(Debug)]
pub(super) struct Copies {
    folder: PathBuf,
    texts: HashMap<Met, String>,
}

#[derive(Serialize, Deserialize)]
struct Content {
    version: u32,
    met: Met,
    schema: String,
    /// Of all others.
    checksum: String,
}

impl Copies {
    /// Reads what former runs have left in a folder, which need not be there.
    pub(super) fn open(folder: &Path) -> Copies {
        let mut texts = HashMap::new();
        for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if !path.to_string_lossy().ends_with(SUFFIX) {
                continue;
            }
            match read(&path) {
                Ok(Content { met, schema, .. }) => drop(texts.insert(met, schema)),
                Err(error) => warn!(file = %path.display(), %error, "a schema's copy is not used"),
            }
        }
        Copies { folder: folder.to_owned(), texts }
    }

    /// The text that earlier records of this kind were read by.
    pub(super) fn get(&self, met: &Met) -> Option<&str> {
        self.texts.get(met).map(String::as_str)
    }

    /// Keeps a text; where the disk does not take it, as long as the process lives.
    pub(super) fn keep(&mut self, met: Met, schema: &str) {
        if let Err(error) = self.write(&met, schema) {
            let (folder, topic, id) = (self.folder.display(), &met.topic, met.id);
            warn!(%folder, topic, id, %error, "no copy of a schema could be written");
        }
        self.texts.insert(met, schema.to_owned());
    }

    /// Where the copies are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn write(&self, met: &Met, schema: &str) -> io::Result<()> {
        let content = Content::new(met.clone(), schema.to_owned());
        fs::create_dir_all(&self.folder)?;
        let name = format!("{:016x}{SUFFIX}", xxh3_64(format!("{met:?}").as_bytes()));
        let path = self.folder.join(name);
        // Another process on the folder writes the same under a name of its own.
        let aside = path.with_extension(format!("{}.tmp", std::process::id()));
        let mut file = File::create(&aside)?;
        file.write_all(&serde_json::to_vec(&content)?)?;
        file.sync_all()?;
        fs::rename(&aside, &path)?;
        File::open(&self.folder)?.sync_all()
    }
}

impl Content {
    fn new(met: Met, schema: String) -> Content {
        let summed = format!("{VERSION} {met:?} {schema}");
        let checksum = format!("{:016x}", xxh3_64(summed.as_bytes()));
        Content { version: VERSION, met, schema, checksum }
    }
}

fn read(path: &Path) -> io::Result<Content> {
    if fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let content: Content = serde_json::from_slice(&fs::read(path)?)?;
    let Content { version, met, schema, checksum } = content;
    if version != VERSION {
        let text = format!("it is of format {version}, this version reads format {VERSION}");
        return Err(io::Error::other(text));
    }
    let whole = Content::new(met, schema);
    match whole.checksum == checksum {
        true => Ok(whole),
        false => Err(io::Error::other("it is damaged")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A folder of its own below the system's, gone when dropped.
    pub(in crate::source) struct Folder(PathBuf);

    impl Folder {
        pub(in crate::source) fn new(name: &str) -> Folder {
            let id = std::process::id();
            Folder(std::env::temp_dir().join(format!("viewtide-copies-{id}-{name}")))
        }

        pub(in crate::source) fn path(&self) -> &Path {
            &self.0
        }

        fn files(&self) -> Vec<PathBuf> {
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    pub(in crate::source) fn met(topic: &str, side: Side, id: u32) -> Met {
        Met { topic: topic.to_owned(), side, id }
    }

    #[test]
    fn copies_are_there_after_a_restart_apart_by_topic_and_half() {
        let folder = Folder::new("restart");
        let mut copies = Copies::open(folder.path());
        let of = [met("a", Side::Key, 1), met("a", Side::Value, 1), met("b", Side::Value, 1)];
        for (number, met) in of.iter().enumerate() {
            assert_eq!(copies.get(met), None);
            copies.keep(met.clone(), &format!("schema {number}"));
        }
        let again = Copies::open(folder.path());
        for (number, met) in of.iter().enumerate() {
            assert_eq!(again.get(met), Some(format!("schema {number}").as_str()));
        }
        assert_eq!(folder.files().len(), of.len(), "{:?}", folder.files());
    }

    #[test]
    fn what_is_not_as_it_was_written_does_not_count() {
        let folder = Folder::new("damaged");
        let one = met("a", Side::Key, 1);
        Copies::open(folder.path()).keep(one.clone(), r#"{"type": "int"}"#);
        let file = folder.files().remove(0);
        let whole = fs::read_to_string(&file).unwrap();
        for damaged in [
            whole.replace("int", "long"),
            whole.replace("\"a\"", "\"b\""),
            whole.replace("\"version\":1", "\"version\":2"),
            whole[..whole.len() / 2].to_owned(),
        ] {
            assert_ne!(damaged, whole);
            fs::write(&file, damaged).unwrap();
            let copies = Copies::open(folder.path());
            assert!(copies.texts.is_empty(), "{:?}", copies.texts);
        }
        fs::write(&file, whole).unwrap();
        assert!(Copies::open(folder.path()).get(&one).is_some());
    }
}

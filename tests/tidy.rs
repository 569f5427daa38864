//! The rules of the layout, checked on the source itself.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules that must stay free of I/O and clocks, and what would break that.
const PURE: [&str; 14] = [
    "src/value",
    "src/sql",
    "src/engine",
    "src/change.rs",
    "src/source/avro",
    "src/source/debezium_json",
    "src/gtid.rs",
    "src/source/record.rs",
    "src/source/snapshot.rs",
    "src/source/transactions",
    "src/state/block.rs",
    "src/state/contents.rs",
    "src/state/dump.rs",
    "src/state/load.rs",
];
const IMPURE: [&str; 9] = [
    "std::fs",
    "std::net",
    "std::thread",
    "std::time",
    "std::env",
    "tokio",
    "rdkafka",
    "redis::",
    "mysql_async",
];
/// Modules that must not know of each other.
const APART: [(&str, &str); 9] = [
    ("src/source", "crate::sink"),
    ("src/source", "crate::api"),
    ("src/sink", "crate::source"),
    ("src/sink", "crate::api"),
    ("src/api", "crate::source"),
    ("src/api", "crate::sink"),
    ("src/state", "crate::sink"),
    ("src/state", "crate::api"),
    ("src/source", "crate::state"),
];

#[test]
fn the_core_does_no_io() {
    for root in PURE {
        for file in rust_files(Path::new(root)) {
            let text = code_of(&file);
            for word in IMPURE {
                assert!(!text.contains(word), "{} uses {word}", file.display());
            }
        }
    }
}

#[test]
fn the_ends_do_not_know_each_other() {
    for (root, other) in APART {
        for file in rust_files(Path::new(root)) {
            assert!(!code_of(&file).contains(other), "{} uses {other}", file.display());
        }
    }
}

/// A file's code without its comments.
fn code_of(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn rust_files(root: &Path) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
    if root.is_file() {
        return vec![root];
    }
    let Ok(entries) = fs::read_dir(&root) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| rust_files(&path))
        .filter(|p| p.extension().is_some_and(|e| e == "rs"))
        .collect()
}

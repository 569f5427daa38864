//! Mistakes made in the product's own source: each `mutants/*.patch` is applied to a copy of the
//! checkout, which is built and judged. Takes a build for each, so it is run by command only.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::support::stack::repository;

/// Views within which a mistake has to be caught.
const VIEWS_MAX: usize = 120;

/// Tries every patch and prints what came of it; whether all were caught.
pub(crate) fn hunt(seed: u64) -> bool {
    let folder = repository().join("target/judge-mutants");
    let copy = folder.join("source");
    let mut all = true;
    println!("| mistake in the source | caught |\n|---|---|");
    for patch in patches() {
        fresh_copy(&copy);
        run(Command::new("patch").args(["-p1", "-s", "-i"]).arg(&patch).current_dir(&copy));
        let mut build = cargo(&copy, &folder);
        run(build.args(["test", "--test", "judge", "--no-run", "--quiet"]));
        let mut judge = cargo(&copy, &folder);
        judge.args(["test", "--test", "judge", "--quiet", "--", "--without-stack", "--first"]);
        judge.args(["--views", &VIEWS_MAX.to_string(), "--seed", &seed.to_string()]);
        let output = judge.output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let first = printed.lines().find(|line| line.starts_with("seed "));
        let outcome = match (output.status.success(), first) {
            (true, _) => format!("NOT within {VIEWS_MAX} views"),
            (false, Some(first)) => first.chars().take(100).collect(),
            (false, None) => {
                panic!("no judgement:\n{printed}{}", String::from_utf8_lossy(&output.stderr))
            }
        };
        all &= !outcome.starts_with("NOT");
        let text = fs::read_to_string(&patch).unwrap();
        println!("| {} | {outcome} |", text.lines().next().unwrap_or_default());
    }
    all
}

fn patches() -> Vec<PathBuf> {
    let folder = repository().join("tests/judge/mutants");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut patches: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "patch")).collect();
    patches.sort();
    patches
}

/// The checkout's files as they are, and nothing else. A file that is the same keeps its time, so
/// that little is built anew.
fn fresh_copy(copy: &Path) {
    let listed = run(Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(repository()));
    for file in listed.lines() {
        let (from, to) = (repository().join(file), copy.join(file));
        let Ok(content) = fs::read(&from) else { continue };
        if fs::read(&to).is_ok_and(|old| old == content) {
            continue;
        }
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(&from, &to).unwrap();
    }
}

fn cargo(copy: &Path, folder: &Path) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(copy).env("CARGO_TARGET_DIR", folder.join("target"));
    // Its services are those of this run.
    if std::env::var_os("VIEWTIDE_TEST_STACK_DIR").is_none() {
        cargo.env("VIEWTIDE_TEST_STACK_DIR", repository().join(".local/test"));
    }
    cargo
}

/// What a command prints; it has to succeed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed:\n{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

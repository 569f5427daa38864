//! What came of it, as text for people or as JSON for programs.
//!
//! JSON is one object a line. Its members stay as they are; further ones may come.
//!
//! | `type` | members |
//! |---|---|
//! | `start` | `pipeline`, `version` (1), `sample` (as given, or null), `seed` (of the sample, or null) |
//! | `difference` | `view`, `key` (the text of each column, as addresses have it; null where it is about no single key), `kind` (`missing`, `extra`, `different`), `column`, `mysql`, `document` (null unless `different`; `column` null where it is about no single column, and `mysql` where Redis has not as many documents as keys), `repaired` |
//! | `view` | `view`, `documents`, `missing`, `extra`, `different`, `undecided`, `repaired`, `unlisted` (differences without a line), `resnapshot` (tables to read anew) |
//! | `failure` | `view`, `reason`: instead of `view`, where there is no verdict |
//! | `total` | `documents`, `missing`, `extra`, `different`, `undecided`, `repaired`, `failed` (views without a verdict) |

use std::io::{self, Write};

use serde::Serialize;

use super::compare::Difference;
use super::pick::{Pick, Share};
use super::{LISTED_MAX, Options, VerifyError};
use crate::sql::plan::View;
use crate::value::Key;

/// Version of the JSON form: rises where a member goes or changes its meaning.
const VERSION: u32 = 1;

/// How a report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What came of one view, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Documents seen in Redis.
    pub documents: u64,
    /// Rows of MySQL without a document.
    pub missing: u64,
    /// Documents without a row in MySQL.
    pub extra: u64,
    /// Documents that are not what MySQL answers.
    pub different: u64,
    /// Documents that changed whenever they were looked at.
    pub undecided: u64,
    /// Differences that are none any more.
    pub repaired: u64,
}

/// What came of one view.
#[derive(Clone, Debug, Default)]
pub struct ViewReport {
    /// Its name.
    pub view: String,
    /// How much of what.
    pub counts: Counts,
    /// The differences listed.
    pub differences: Vec<Found>,
    /// Tables whose rows are not MySQL's, so that writing documents again does not help.
    pub resnapshot: Vec<String>,
    /// Why there is no verdict; nothing is counted then.
    pub failure: Option<String>,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The key, as the columns of an address; `None` if it is about no single key.
    pub key: Option<Vec<String>>,
    /// What differs.
    pub difference: Difference,
    /// It was written again, and is right.
    pub repaired: bool,
}

impl Counts {
    /// Differences that are left.
    pub fn left(&self) -> u64 {
        (self.missing + self.extra + self.different).saturating_sub(self.repaired)
    }

    /// Adds a difference.
    pub(super) fn add(&mut self, difference: &Difference, repaired: bool) {
        *match difference {
            Difference::Missing => &mut self.missing,
            Difference::Extra => &mut self.extra,
            Difference::Different { .. } | Difference::Uneven { .. } => &mut self.different,
        } += 1;
        self.repaired += u64::from(repaired);
    }

    /// The sum of both.
    pub(super) fn plus(self, other: Counts) -> Counts {
        Counts {
            documents: self.documents + other.documents,
            missing: self.missing + other.missing,
            extra: self.extra + other.extra,
            different: self.different + other.different,
            undecided: self.undecided + other.undecided,
            repaired: self.repaired + other.repaired,
        }
    }

    fn text(&self) -> String {
        let Counts { documents, missing, extra, different, repaired, .. } = self;
        let mut text = format!(
            "{documents} documents, {missing} missing, {extra} extra, {different} different"
        );
        if *repaired > 0 {
            text.push_str(&format!(", {repaired} repaired"));
        }
        text
    }
}

impl ViewReport {
    pub(super) fn of(view: &View) -> ViewReport {
        ViewReport { view: view.name.clone(), ..ViewReport::default() }
    }

    pub(super) fn without_verdict(view: &View, why: &VerifyError) -> ViewReport {
        ViewReport { failure: Some(why.to_string()), ..ViewReport::of(view) }
    }

    /// Whether every document is what MySQL answers, by now.
    pub fn is_right(&self) -> bool {
        self.failure.is_none() && self.counts.left() + self.counts.undecided == 0
    }

    /// Adds a difference; `all` are listed, or the first.
    pub(super) fn add(&mut self, found: Found, all: bool) {
        self.counts.add(&found.difference, found.repaired);
        if all || self.differences.len() < LISTED_MAX {
            self.differences.push(found);
        }
    }

    fn unlisted(&self) -> u64 {
        let Counts { missing, extra, different, .. } = self.counts;
        (missing + extra + different).saturating_sub(self.differences.len() as u64)
    }

    fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let ViewReport { view, counts, .. } = self;
        if let Some(failure) = &self.failure {
            return writeln!(out, "{view}: no verdict: {failure}");
        }
        write!(out, "{view}: {}", counts.text())?;
        if counts.undecided > 0 {
            let undecided = counts.undecided;
            write!(out, ", {undecided} undecided: changing whenever they were looked at")?;
        }
        writeln!(out)?;
        for Found { key, difference, repaired } in &self.differences {
            let key = key.as_ref().map_or("*".to_owned(), |columns| columns.join(","));
            let repaired = if *repaired { "; repaired" } else { "" };
            writeln!(out, "  {view}/{key} {difference}{repaired}")?;
        }
        if self.unlisted() > 0 {
            writeln!(out, "  … and {} more; --all lists them", self.unlisted())?;
        }
        if !self.resnapshot.is_empty() {
            let (left, tables) = (counts.left(), self.resnapshot.join(" "));
            writeln!(
                out,
                "  {left} still differ: the rows that the pipeline holds are not MySQL's; \
                 `viewtide resnapshot {tables}` reads them anew"
            )?;
        }
        Ok(())
    }

    fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        if let Some(reason) = &self.failure {
            return Line::Failure { view: &self.view, reason }.write(out);
        }
        for Found { key, difference, repaired } in &self.differences {
            let uneven;
            let (kind, column, mysql, document) = match difference {
                Difference::Missing => ("missing", None, None, None),
                Difference::Extra => ("extra", None, None, None),
                Difference::Different { column, mysql, document } => {
                    let column = Some(column.as_str()).filter(|column| !column.is_empty());
                    ("different", column, Some(mysql.as_str()), Some(document.as_str()))
                }
                Difference::Uneven { documents, keys } => {
                    uneven = format!("{documents} documents, {keys} keys");
                    ("different", None, None, Some(uneven.as_str()))
                }
            };
            let (view, key, repaired) = (self.view.as_str(), key.as_deref(), *repaired);
            let line = Line::Difference { view, key, kind, column, mysql, document, repaired };
            line.write(out)?;
        }
        let ViewReport { view, counts, resnapshot, .. } = self;
        Line::View { view, counts, unlisted: self.unlisted(), resnapshot }.write(out)
    }
}

impl Format {
    /// Says what is going to be compared.
    pub(super) fn start(
        self,
        pipeline: &str,
        options: &Options,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let sample = match options.pick {
            Pick::Sample { share, seed } => Some((share_text(share), seed)),
            Pick::All | Pick::Keys(_) => None,
        };
        let (sample, seed) = sample.unzip();
        match (self, sample, seed) {
            (Format::Text, Some(sample), Some(seed)) => {
                writeln!(out, "a sample of {sample} of each view, by --seed {seed}")
            }
            (Format::Text, ..) => Ok(()),
            (Format::Json, sample, seed) => {
                Line::Start { pipeline, version: VERSION, sample, seed }.write(out)
            }
        }
    }

    /// Writes what came of a view.
    pub(super) fn view(self, report: &ViewReport, out: &mut impl Write) -> io::Result<()> {
        match self {
            Format::Text => report.write_text(out)?,
            Format::Json => report.write_json(out)?,
        }
        out.flush()
    }

    /// Writes what came of all.
    pub(super) fn total(self, reports: &[ViewReport], out: &mut impl Write) -> io::Result<()> {
        let all = reports.iter().map(|report| report.counts);
        let counts = &all.fold(Counts::default(), Counts::plus);
        let failed = reports.iter().filter(|report| report.failure.is_some()).count();
        match self {
            Format::Text if failed == 0 => writeln!(out, "total: {}", counts.text())?,
            Format::Text => {
                let (views, text) = (reports.len(), counts.text());
                writeln!(out, "total: {text}; no verdict on {failed} of {views} views")?;
            }
            Format::Json => Line::Total { counts, failed }.write(out)?,
        }
        out.flush()
    }
}

/// A key's columns, each as addresses have it.
pub(super) fn texts(key: &Key, view: &View) -> Vec<String> {
    let other = || vec![format!("(key bytes {:02x?})", key.as_bytes())];
    key.texts(&view.key_types()).unwrap_or_else(other)
}

fn share_text(share: Share) -> String {
    match share {
        Share::Documents(count) => format!("{count} documents"),
        Share::Percent(percent) => format!("{percent}%"),
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Start {
        pipeline: &'a str,
        version: u32,
        sample: Option<String>,
        seed: Option<u64>,
    },
    Difference {
        view: &'a str,
        key: Option<&'a [String]>,
        kind: &'a str,
        column: Option<&'a str>,
        mysql: Option<&'a str>,
        document: Option<&'a str>,
        repaired: bool,
    },
    View {
        view: &'a str,
        #[serde(flatten)]
        counts: &'a Counts,
        unlisted: u64,
        resnapshot: &'a [String],
    },
    Failure {
        view: &'a str,
        reason: &'a str,
    },
    Total {
        #[serde(flatten)]
        counts: &'a Counts,
        failed: usize,
    },
}

impl Line<'_> {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        writeln!(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> ViewReport {
        let mut report = ViewReport { view: "v".into(), ..ViewReport::default() };
        report.counts.documents = 9;
        let different = |column: &str| Difference::Different {
            column: column.into(),
            mysql: "1".into(),
            document: "2".into(),
        };
        for (key, difference, repaired) in [
            (Some(vec!["1".into(), "~".into()]), Difference::Missing, true),
            (Some(vec!["2".into(), "".into()]), different("n"), false),
            (None, different(""), false),
        ] {
            report.add(Found { key, difference, repaired }, false);
        }
        report.resnapshot = vec!["t".into()];
        report
    }

    #[test]
    fn a_report_is_one_object_a_line() {
        let mut out = Vec::new();
        let share = Share::Percent(0.5);
        let options = Options { pick: Pick::Sample { share, seed: 7 }, ..Options::default() };
        Format::Json.start("p", &options, &mut out).unwrap();
        Format::Json.view(&report(), &mut out).unwrap();
        let failed = ViewReport { failure: Some("why".into()), ..ViewReport::default() };
        let failed = ViewReport { view: "w".into(), ..failed };
        Format::Json.view(&failed, &mut out).unwrap();
        Format::Json.total(&[report(), failed, report()], &mut out).unwrap();
        let want = [
            r#"{"type":"start","pipeline":"p","version":1,"sample":"0.5%","seed":7}"#,
            r#"{"type":"difference","view":"v","key":["1","~"],"kind":"missing","column":null,"mysql":null,"document":null,"repaired":true}"#,
            r#"{"type":"difference","view":"v","key":["2",""],"kind":"different","column":"n","mysql":"1","document":"2","repaired":false}"#,
            r#"{"type":"difference","view":"v","key":null,"kind":"different","column":null,"mysql":"1","document":"2","repaired":false}"#,
            r#"{"type":"view","view":"v","documents":9,"missing":1,"extra":0,"different":2,"undecided":0,"repaired":1,"unlisted":0,"resnapshot":["t"]}"#,
            r#"{"type":"failure","view":"w","reason":"why"}"#,
            r#"{"type":"total","documents":18,"missing":2,"extra":0,"different":4,"undecided":0,"repaired":2,"failed":1}"#,
            "",
        ];
        assert_eq!(String::from_utf8(out).unwrap(), want.join("\n"));
    }

    #[test]
    fn what_is_not_repaired_is_not_right() {
        let mut report = report();
        assert!(!report.is_right());
        let mut out = Vec::new();
        Format::Text.view(&report, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let want = "v: 9 documents, 1 missing, 0 extra, 2 different, 1 repaired\n  v/1,~ missing: \
                    MySQL has this row, Redis no document; repaired\n";
        assert!(text.starts_with(want), "{text}");
        assert!(text.contains("\n  2 still differ: ") && text.contains("`viewtide resnapshot t`"));
        report.counts.repaired = 3;
        assert!(report.is_right());
        report.counts.undecided = 1;
        assert!(!report.is_right());
        (0..LISTED_MAX).for_each(|_| {
            report.add(Found { key: None, difference: Difference::Extra, repaired: false }, false);
        });
        assert_eq!((report.counts.extra, report.unlisted()), (LISTED_MAX as u64, 3));
    }
}

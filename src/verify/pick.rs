//! Which documents of a view to compare.

use std::str::FromStr;

use percent_encoding::percent_decode_str;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::index;

use super::VerifyError;
use crate::sql::plan::View;
use crate::value::{Key, KeyError};

/// Most documents compared side by side of a sample: neighbours cost MySQL little, and the places
/// where they lie are many.
const RUN: u64 = 50;

/// Which documents to compare.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Pick {
    /// All of them.
    #[default]
    All,
    /// Some of each view.
    Sample {
        /// How many.
        share: Share,
        /// Which: equal seeds choose equally among equally many.
        seed: u64,
    },
    /// Those with these keys: the columns of one after the other, each as addresses have it.
    Keys(Vec<String>),
}

/// How many documents of a view make a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Share {
    /// So many.
    Documents(u64),
    /// So many of a hundred.
    Percent(f64),
}

/// Where the runs of a sample begin, and how long each is.
#[derive(Debug, PartialEq)]
pub(super) struct Runs {
    /// Ranks among the view's keys, ascending.
    pub(super) ranks: Vec<usize>,
    /// Documents of each.
    pub(super) length: usize,
}

impl FromStr for Share {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Share, &'static str> {
        let share = match text.strip_suffix('%') {
            None => text.parse().ok().map(Share::Documents),
            Some(percent) => percent.parse().ok().map(Share::Percent),
        };
        let is_some = |share: &Share| match *share {
            Share::Documents(count) => count > 0,
            Share::Percent(percent) => percent > 0.0 && percent <= 100.0,
        };
        share
            .filter(is_some)
            .ok_or("allowed: a number of documents from 1 on, or 5%, 0.1%, above 0 and up to 100")
    }
}

impl Share {
    /// The runs of a sample of a view with so many documents: of its key order, cut into pieces of
    /// one length, as many as make the share, none twice.
    pub(super) fn runs(self, documents: u64, seed: u64) -> Runs {
        let wanted = match self {
            Share::Documents(count) => count,
            Share::Percent(percent) => (documents as f64 * percent / 100.0).ceil() as u64,
        };
        let wanted = wanted.clamp(1, documents.max(1));
        let length = wanted.min(RUN);
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let pieces = size(documents.max(1).div_ceil(length));
        let count = size(wanted.div_ceil(length)).min(pieces);
        let chosen = index::sample(&mut StdRng::seed_from_u64(seed), pieces, count);
        let mut ranks: Vec<usize> = chosen.iter().map(|piece| piece * size(length)).collect();
        ranks.sort_unstable();
        Runs { ranks, length: size(length) }
    }
}

/// The keys of a view that are given as the columns of one after the other, percent-encoded.
pub(super) fn parse_keys(view: &View, columns: &[String]) -> Result<Vec<Key>, VerifyError> {
    let types = view.key_types();
    let names: Vec<&str> = view.key.iter().map(|&at| view.outputs[at].name.as_str()).collect();
    let wrong = |reason: String| {
        let columns = names.join(",");
        VerifyError::Keys { view: view.name.clone(), columns, reason }
    };
    let decode = |text: &String| match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(wrong(format!("`{text}` is not percent-encoded utf-8"))),
    };
    let columns = columns.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
    if !columns.len().is_multiple_of(types.len()) {
        return Err(wrong(format!("{} values are no whole keys", columns.len())));
    }
    let key = |parts: &[String]| {
        Key::parse(&types, parts).map_err(|error: KeyError| wrong(error.to_string()))
    };
    columns.chunks(types.len()).map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Definitions, SourceFile, plan_views};

    #[test]
    fn shares_are_numbers_or_percent() {
        assert_eq!("7".parse(), Ok(Share::Documents(7)));
        assert_eq!("0.5%".parse(), Ok(Share::Percent(0.5)));
        for text in ["", "0", "-1", "0%", "101%", "NaN%", "x", "5 %%"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_sample_is_as_large_as_asked_and_nothing_is_in_it_twice() {
        for (share, documents, count, length) in [
            (Share::Documents(1000), 100_000, 20, 50),
            (Share::Documents(7), 100_000, 1, 7),
            (Share::Documents(1000), 120, 3, 50),
            (Share::Percent(1.0), 10_000, 2, 50),
            (Share::Percent(100.0), 10_000, 200, 50),
            (Share::Percent(0.001), 10, 1, 1),
            (Share::Documents(5), 0, 1, 1),
        ] {
            let runs = share.runs(documents, 3);
            assert_eq!((runs.ranks.len(), runs.length), (count, length), "{share:?}");
            assert!(runs.ranks.is_sorted_by(|a, b| a + length <= *b));
            assert!(runs.ranks.iter().all(|rank| (*rank as u64) < documents.max(1)));
            assert_eq!(runs, share.runs(documents, 3));
        }
        let ranks = |seed| Share::Documents(100).runs(100_000, seed).ranks;
        assert_ne!(ranks(1), ranks(2));
    }

    #[test]
    fn keys_are_read_column_by_column() {
        let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
        let table = "CREATE TABLE t (a int NOT NULL, b varchar(9) COLLATE utf8mb4_0900_bin \
                     NOT NULL, PRIMARY KEY (a, b));";
        let plan = plan_views(&Definitions {
            tables: vec![file("t.sql", table)],
            streams: Vec::new(),
            views: vec![file("v.sql", "CREATE VIEW v AS SELECT a, b FROM t;")],
        });
        let view = &plan.unwrap().views[0];
        let parse = |texts: &[&str]| {
            parse_keys(view, &texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
        };
        let keys = parse(&["1", "x%2Cy", "-2", ""]).unwrap();
        let texts: Vec<_> = keys.iter().map(|key| key.texts(&view.key_types()).unwrap()).collect();
        assert_eq!(texts, [["1", "x,y"], ["-2", ""]]);
        for texts in [&["1"][..], &["x", "y"], &["1", "%ff"]] {
            let text = parse(texts).unwrap_err().to_string();
            assert!(text.ends_with("a key of view v is a,b"), "{text}");
        }
    }
}

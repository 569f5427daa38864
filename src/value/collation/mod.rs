//! How text compares, as MySQL's collations have it.
//!
//! The weights of `utf8mb4_0900_ai_ci` and the letters of UPPER and LOWER are MySQL's own, taken
//! from a server by a test (`tests/collations.rs` says how) and compared with it by another. Other
//! collations than these are absent: text of them can be carried, not compared.

mod casing;
mod weights;

use std::cmp::Ordering;
use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use weights::Weights;

/// How text compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Collation {
    /// `utf8mb4_0900_bin`: by bytes, which for UTF-8 is by code point.
    Binary,
    /// `utf8mb4_bin`: by bytes, the shorter text filled up with spaces.
    Padded,
    /// `utf8mb3_bin`: the same of a character set that ends at U+FFFF.
    NarrowPadded,
    /// `utf8mb4_0900_ai_ci`: by letters, whatever their case and accents. The collation of
    /// constants and of text made of other types.
    Insensitive,
    /// Any other of `utf8mb4`: text of it can be carried and shown, not compared or ordered.
    Other,
    /// Any other of another character set: text of it can be shown and converted. MySQL counts other
    /// bytes in it, and has not all characters.
    Foreign,
}

/// Bytes that stand for a text among others of its collation; most are short.
type Fold = SmallVec<[u8; 64]>;

impl Collation {
    /// The collation of constants, and of text that MySQL makes of other types.
    pub const CONNECTION: Collation = Collation::Insensitive;

    /// The collation of this name in MySQL.
    pub fn named(name: &str) -> Collation {
        const NAMES: [(&str, Collation); 4] = [
            ("utf8mb4_0900_ai_ci", Collation::Insensitive),
            ("utf8mb4_0900_bin", Collation::Binary),
            ("utf8mb4_bin", Collation::Padded),
            ("utf8mb3_bin", Collation::NarrowPadded),
        ];
        let known = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let is_utf8mb4 = name.get(..8).is_some_and(|set| set.eq_ignore_ascii_case("utf8mb4_"));
        let unknown = if is_utf8mb4 { Collation::Other } else { Collation::Foreign };
        known.map_or(unknown, |(_, collation)| *collation)
    }

    /// Whether texts are equal only if their bytes are.
    #[inline]
    pub fn is_exact(self) -> bool {
        matches!(self, Collation::Binary | Collation::Other | Collation::Foreign)
    }

    /// The order of two texts; by bytes where the collation is not known.
    #[inline]
    pub fn compare(self, a: &str, b: &str) -> Ordering {
        match self {
            Collation::Binary | Collation::Other | Collation::Foreign => a.cmp(b),
            Collation::Padded | Collation::NarrowPadded => compare_padded(a, b),
            Collation::Insensitive if a == b => Ordering::Equal,
            Collation::Insensitive => weights::compare(a, b),
        }
    }

    /// The byte at which a text is found first in another, as LOCATE finds it: where the weights
    /// from a character on begin with its weights.
    pub fn find(self, wanted: &str, text: &str) -> Option<usize> {
        if self != Collation::Insensitive || wanted.is_empty() {
            return text.find(wanted);
        }
        let wanted: SmallVec<[u16; 32]> = Weights::of(wanted).collect();
        let begins = |at: &usize| {
            let mut weights = Weights::of(&text[*at..]);
            wanted.iter().all(|weight| weights.next() == Some(*weight))
        };
        text.char_indices().map(|(at, _)| at).find(begins)
    }

    /// Whether two characters are the same one to LIKE.
    pub fn same_character(self, a: char, b: char) -> bool {
        a == b || self == Collation::Insensitive && weights::same_character(a, b)
    }

    /// Feeds a hasher with what is the same for texts that are equal.
    pub(crate) fn hash(self, text: &str, hasher: &mut impl Hasher) {
        match self {
            Collation::Binary | Collation::Other | Collation::Foreign => {
                hasher.write(text.as_bytes());
            }
            Collation::Padded | Collation::NarrowPadded => {
                hasher.write(text.trim_end_matches(' ').as_bytes());
            }
            Collation::Insensitive => {
                let mut fold = Fold::new();
                Weights::of(text).for_each(|weight| fold.extend(weight.to_be_bytes()));
                hasher.write(&fold);
            }
        }
    }

    /// Appends bytes that are the same for texts that are equal, and for no others: of
    /// [`Collation::Insensitive`] those of `WEIGHT_STRING`.
    pub fn fold(self, text: &str, out: &mut Vec<u8>) {
        match self {
            Collation::Binary | Collation::Other | Collation::Foreign => {
                out.extend_from_slice(text.as_bytes());
            }
            Collation::Padded | Collation::NarrowPadded => {
                out.extend_from_slice(text.trim_end_matches(' ').as_bytes());
            }
            Collation::Insensitive => {
                Weights::of(text).for_each(|weight| out.extend(weight.to_be_bytes()));
            }
        }
    }

    /// UPPER.
    pub fn upper(self, text: &str) -> String {
        casing::upper(text, self.has_old_letters())
    }

    /// LOWER.
    pub fn lower(self, text: &str) -> String {
        casing::lower(text, self.has_old_letters())
    }

    /// The collations that are older than those of Unicode 9 know fewer letters.
    fn has_old_letters(self) -> bool {
        matches!(self, Collation::Padded | Collation::NarrowPadded)
    }
}

/// What the longer text has beyond the shorter one compares with spaces.
fn compare_padded(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let common = a.len().min(b.len());
    let beyond = |rest: &[u8]| {
        let first = rest.iter().find(|byte| **byte != b' ');
        first.map_or(Ordering::Equal, |byte| byte.cmp(&b' '))
    };
    let longer = || beyond(&a[common..]).then_with(|| beyond(&b[common..]).reverse());
    a[..common].cmp(&b[..common]).then_with(longer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Collation; 6] = [
        Collation::Binary,
        Collation::Padded,
        Collation::NarrowPadded,
        Collation::Insensitive,
        Collation::Other,
        Collation::Foreign,
    ];

    #[test]
    fn letters_are_equal_whatever_their_case_and_accents() {
        let equal = |a, b| Collation::Insensitive.compare(a, b).is_eq();
        for (a, b) in [
            ("Straße", "STRASSE"),
            ("naïve", "NAIVE"),
            ("e\u{301}", "É"),
            ("", "\0\u{1}"),
            ("\u{AC01}", "\u{1100}\u{1161}\u{11A8}"),
            ("ﬁ", "FI"),
        ] {
            assert!(equal(a, b), "{a} {b}");
        }
        for (a, b) in [("a", "a "), ("a", "b"), ("中", "丱"), ("😀", "😁"), ("ø", "p")] {
            assert!(!equal(a, b), "{a} {b}");
        }
    }

    #[test]
    fn orders_are_total_and_agree_with_what_is_equal() {
        let texts = [
            "",
            " ",
            "  ",
            "\t",
            "a",
            "A",
            "a ",
            "a\t",
            "á",
            "ab",
            "aé",
            "b",
            "B ",
            "ß",
            "ss",
            "中",
            "\u{1}",
            "😀",
            "\u{AC00}",
            "\u{10FFFF}",
            "\u{FFFD}",
            "a\u{1}b",
            "z",
        ];
        for collation in ALL {
            for a in texts {
                for b in texts {
                    let order = collation.compare(a, b);
                    assert_eq!(order, collation.compare(b, a).reverse(), "{a:?} {b:?}");
                    let (mut x, mut y) = (Vec::new(), Vec::new());
                    collation.fold(a, &mut x);
                    collation.fold(b, &mut y);
                    assert_eq!(order.is_eq(), x == y, "{collation:?} {a:?} {b:?}");
                    for c in texts {
                        if order.is_le() && collation.compare(b, c).is_le() {
                            assert!(collation.compare(a, c).is_le(), "{a:?} {b:?} {c:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn spaces_at_the_end_count_for_nothing_where_they_are_filled_up() {
        let order = |a, b| Collation::Padded.compare(a, b);
        assert_eq!(order("a", "a  "), Ordering::Equal);
        assert_eq!(order("a\t", "a"), Ordering::Less);
        assert_eq!(order("a!", "a "), Ordering::Greater);
        assert_eq!(order("a ", "A"), Ordering::Greater);
    }
}

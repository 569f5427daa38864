//! UPPER and LOWER as MySQL has them: letter by letter, each becoming one.
//!
//! `casing.bin` holds four lists, each its length in 16 bits and then its letters in order, three
//! bytes for the letter and three for what it becomes, all little-endian: UPPER and LOWER of the
//! collations of Unicode 9, then of the older ones.

static TABLE: &[u8] = include_bytes!("casing.bin");

const LETTER: usize = 6;

/// Where the four lists begin, past their lengths, and how many letters each has.
static LISTS: [(usize, usize); 4] = {
    let mut lists = [(0, 0); 4];
    let (mut list, mut at) = (0, 0);
    while list < 4 {
        let letters = u16::from_le_bytes([TABLE[at], TABLE[at + 1]]) as usize;
        lists[list] = (at + 2, letters);
        at += 2 + letters * LETTER;
        list += 1;
    }
    lists
};

/// UPPER; `old` by the older collations.
pub(super) fn upper(text: &str, old: bool) -> String {
    if text.is_ascii() {
        return text.to_ascii_uppercase();
    }
    changed(text, if old { 2 } else { 0 })
}

/// LOWER; `old` by the older collations.
pub(super) fn lower(text: &str, old: bool) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    changed(text, if old { 3 } else { 1 })
}

/// MySQL writes over the text it reads. So the rest is lost behind a letter that becomes longer
/// where those before have not made room for it, and so is that letter itself at the end.
fn changed(text: &str, list: usize) -> String {
    let mut out = String::with_capacity(text.len());
    let mut read = 0;
    for c in text.chars() {
        read += c.len_utf8();
        let becomes = letter(c, list);
        if out.len() + becomes.len_utf8() > text.len() {
            break;
        }
        out.push(becomes);
        if out.len() > read {
            break;
        }
    }
    out
}

fn letter(c: char, list: usize) -> char {
    let (start, letters) = LISTS[list];
    let number = |at: usize| u32::from_le_bytes([TABLE[at], TABLE[at + 1], TABLE[at + 2], 0]);
    let (mut low, mut high) = (0, letters);
    while low < high {
        let middle = (low + high) / 2;
        let at = start + middle * LETTER;
        match number(at).cmp(&(c as u32)) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
            std::cmp::Ordering::Equal => return char::from_u32(number(at + 3)).unwrap_or(c),
        }
    }
    c
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_become_one_each() {
        assert_eq!(upper("naïve Straße ŉ", false), "NAÏVE STRAßE ŉ");
        assert_eq!(lower("ÀÉÎ İ", false), "àéî i");
        assert_eq!(upper("ƀ", false), "Ƀ");
        assert_eq!(upper("ƀ", true), "ƀ");
    }

    #[test]
    fn what_becomes_longer_loses_what_is_behind_it() {
        for (text, want) in [("aɐ", "A"), ("ɐabc", "Ɐ"), ("ıɐb", "IⱯB"), ("ɐıb", "Ɐ")] {
            assert_eq!(upper(text, false), want, "{text}");
        }
        assert_eq!(lower("Ⱥ", false), "");
    }
}

//! The primary weights of `utf8mb4_0900_ai_ci`: a text compares by those of its characters, one
//! behind the other, and those without a weight are passed over.
//!
//! `weights.bin` holds little-endian numbers: a byte for each 256 code points, the number of their
//! page; the pages, 256 entries of 16 bits each; then sequences of weights, each behind its length.
//! An entry is a weight, or 0 for none, or [`SEQUENCE`] and where the sequence begins, or
//! [`COMPUTED`]: Hangul syllables have the weights of their letters, and ideographs and what
//! Unicode 9 had not assigned have weights made of the code point.

use std::cmp::Ordering;
use std::str::Chars;

static TABLE: &[u8] = include_bytes!("weights.bin");

/// Code points of a page.
const PAGE: usize = 256;
/// The pages' numbers, one a byte.
const NUMBERS: usize = 0x11_0000 / PAGE;
/// Pages in the table.
const PAGES: usize = {
    let mut largest = 0;
    let mut at = 0;
    while at < NUMBERS {
        if TABLE[at] > largest {
            largest = TABLE[at];
        }
        at += 1;
    }
    largest as usize + 1
};
/// Where the sequences begin.
const SEQUENCES: usize = NUMBERS + PAGES * PAGE * 2;

/// The least entry that is the place of a sequence.
const SEQUENCE: u16 = 0x8000;
/// An entry whose weights are made of the code point.
const COMPUTED: u16 = 0xFFFF;
/// The most weights that a character has.
const MOST: usize = 8;

/// The weights of ASCII, 0 for none: each character has at most one.
static ASCII: [u16; 128] = {
    let mut weights = [0; 128];
    let mut at = 0;
    while at < 128 {
        weights[at] = entry(at);
        at += 1;
    }
    weights
};

/// The weights of a text, in order.
pub(super) struct Weights<'t> {
    chars: Chars<'t>,
    /// Those of the last character, which are given out one by one.
    pending: [u16; MOST],
    given: usize,
    held: usize,
}

impl<'t> Weights<'t> {
    pub(super) fn of(text: &'t str) -> Weights<'t> {
        Weights { chars: text.chars(), pending: [0; MOST], given: 0, held: 0 }
    }
}

impl Iterator for Weights<'_> {
    type Item = u16;

    #[inline]
    fn next(&mut self) -> Option<u16> {
        while self.given == self.held {
            let c = self.chars.next()?;
            if let Some(weight) = ASCII.get(c as usize) {
                if *weight != 0 {
                    return Some(*weight);
                }
                continue;
            }
            (self.given, self.held) = (0, weights_of(c, &mut self.pending));
        }
        self.given += 1;
        Some(self.pending[self.given - 1])
    }
}

/// Compares two texts by their weights.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let pairs = a.as_bytes().iter().zip(b.as_bytes());
    let mut same = 0;
    for (&x, &y) in pairs {
        let (Some(&x), Some(&y)) = (ASCII.get(usize::from(x)), ASCII.get(usize::from(y))) else {
            break;
        };
        if x == 0 || y == 0 {
            break;
        }
        if x != y {
            return x.cmp(&y);
        }
        same += 1;
    }
    Weights::of(&a[same..]).cmp(Weights::of(&b[same..]))
}

/// Whether two characters have the same weights.
pub(super) fn same_character(a: char, b: char) -> bool {
    let (mut x, mut y) = ([0; MOST], [0; MOST]);
    let (held, other) = (weights_of(a, &mut x), weights_of(b, &mut y));
    x[..held] == y[..other]
}

/// Puts down the weights of a character; how many there are.
fn weights_of(c: char, out: &mut [u16; MOST]) -> usize {
    match entry(c as usize) {
        0 => 0,
        COMPUTED => computed(c as u32, out),
        place if place >= SEQUENCE => {
            let start = SEQUENCES + usize::from(place - SEQUENCE) * 2;
            let length = usize::from(number(start));
            for (i, weight) in out[..length].iter_mut().enumerate() {
                *weight = number(start + 2 + 2 * i);
            }
            length
        }
        weight => {
            out[0] = weight;
            1
        }
    }
}

const fn entry(code_point: usize) -> u16 {
    let page = TABLE[code_point / PAGE] as usize;
    number(NUMBERS + (page * PAGE + code_point % PAGE) * 2)
}

const fn number(at: usize) -> u16 {
    u16::from_le_bytes([TABLE[at], TABLE[at + 1]])
}

fn computed(code_point: u32, out: &mut [u16; MOST]) -> usize {
    const LEADING: u32 = 0x1100;
    const VOWEL: u32 = 0x1161;
    const BEFORE_TRAILING: u32 = 0x11A7;
    let two = |first: u32, second: u32| [first as u16, (second | 0x8000) as u16];
    let implicit = |base: u32| two(base + (code_point >> 15), code_point & 0x7FFF);
    let weights = match code_point {
        0xAC00..=0xD7A3 => {
            let syllable = code_point - 0xAC00;
            let letters = [
                LEADING + syllable / (21 * 28),
                VOWEL + syllable / 28 % 21,
                BEFORE_TRAILING + syllable % 28,
            ];
            let held = if letters[2] == BEFORE_TRAILING { 2 } else { 3 };
            for (weight, letter) in out.iter_mut().zip(&letters[..held]) {
                *weight = entry(*letter as usize);
            }
            return held;
        }
        0x1_7000..=0x1_8AFF => two(0xFB00, code_point - 0x1_7000),
        0x4E00..=0x9FD5
        | 0xFA0E..=0xFA0F
        | 0xFA11
        | 0xFA13..=0xFA14
        | 0xFA1F
        | 0xFA21
        | 0xFA23..=0xFA24
        | 0xFA27..=0xFA29 => implicit(0xFB40),
        0x3400..=0x4DB5
        | 0x2_0000..=0x2_A6D6
        | 0x2_A700..=0x2_B734
        | 0x2_B740..=0x2_B81D
        | 0x2_B820..=0x2_CEA1 => implicit(0xFB80),
        _ => implicit(0xFBC0),
    };
    out[..2].copy_from_slice(&weights);
    2
}

//! The collations here and the server's own: every code point, and random strings.
//!
//! `weights.bin` and `casing.bin` are written anew from the server of the test stack by
//!
//! ```sh
//! cargo test --test tests -- --ignored collations::written_from_the_server
//! ```

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use viewtide::value::Collation;

use crate::support::mysql::Server;

const CODE_POINTS: u32 = 0x11_0000;
/// Code points asked for at once.
const ASKED: u32 = 0x2000;

/// What the server says of one code point.
struct Said {
    c: char,
    weights: Vec<u16>,
    /// UPPER and LOWER by a collation of Unicode 9, then by an older one.
    letters: [char; 4],
}

#[tokio::test]
async fn every_code_point_is_as_the_server_has_it() {
    let mut server = Server::start("viewtide_code_points").await;
    let mut wrong = Vec::new();
    let mut compared = 0;
    for said in said(&mut server).await {
        compared += 1;
        let text = said.c.to_string();
        let mut fold = Vec::new();
        Collation::Insensitive.fold(&text, &mut fold);
        let weights: Vec<u8> =
            said.weights.iter().flat_map(|weight| weight.to_be_bytes()).collect();
        // Behind letters that become shorter there is room for one that becomes longer.
        let cased = |collation: Collation| {
            let last = |text: String| text.chars().last().unwrap();
            [
                last(collation.upper(&format!("{ROOM_ABOVE}{text}"))),
                last(collation.lower(&format!("{ROOM_BELOW}{text}"))),
            ]
        };
        let letters = [cased(Collation::Insensitive), cased(Collation::Padded)].concat();
        if fold != weights || letters != said.letters {
            wrong.push(format!("{:?}", said.c));
        }
    }
    assert_eq!(compared, CODE_POINTS - 0x800);
    assert!(wrong.is_empty(), "{} code points: {}", wrong.len(), wrong.join(" "));
}

/// A text's weights are those of its characters one behind the other: no characters together have
/// weights of their own. That is tried where Unicode's own tables have such, and at random.
#[tokio::test]
async fn texts_are_as_the_server_has_them() {
    let mut server = Server::start("viewtide_random_texts").await;
    let mut random = StdRng::seed_from_u64(9);
    let mut texts = together();
    texts.extend((0..60_000).map(|_| text(&mut random)));
    let mut wrong = Vec::new();
    for texts in texts.chunks(2000) {
        let rows: Vec<String> =
            texts.iter().map(|text| format!("ROW(_utf8mb4 x'{}')", hex(text.as_bytes()))).collect();
        let sql = format!(
            "SELECT s, HEX(WEIGHT_STRING(s)), UPPER(s), LOWER(s), UPPER(s COLLATE utf8mb4_bin), \
             LOWER(s COLLATE utf8mb4_bin), UPPER(CONVERT(s USING utf8mb3) COLLATE utf8mb3_bin), \
             LOWER(CONVERT(s USING utf8mb3) COLLATE utf8mb3_bin) FROM (VALUES {}) AS t (s)",
            rows.join(", ")
        );
        for row in server.rows(&sql).await {
            let row: Vec<String> =
                row.into_iter().map(|v| String::from_utf8(v.unwrap()).unwrap()).collect();
            let text = row[0].as_str();
            let mut fold = Vec::new();
            Collation::Insensitive.fold(text, &mut fold);
            let mut ours = vec![hex(&fold)];
            for collation in [Collation::Insensitive, Collation::Padded] {
                ours.extend([collation.upper(text), collation.lower(text)]);
            }
            let narrow = text.chars().all(|c| c <= '\u{FFFF}');
            if narrow {
                let collation = Collation::NarrowPadded;
                ours.extend([collation.upper(text), collation.lower(text)]);
            }
            if ours[..] != row[1..1 + ours.len()] {
                wrong.push(format!("{text:?}: {ours:?}, MySQL {:?}", &row[1..]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn texts_compare_as_the_server_compares_them() {
    const COLLATIONS: [(&str, Collation); 3] = [
        ("utf8mb4_0900_ai_ci", Collation::Insensitive),
        ("utf8mb4_bin", Collation::Padded),
        ("utf8mb4_0900_bin", Collation::Binary),
    ];
    let mut server = Server::start("viewtide_compared_texts").await;
    let mut random = StdRng::seed_from_u64(5);
    let pairs: Vec<(String, String)> = (0..30_000).map(|_| alike(&mut random)).collect();
    let mut seen: HashMap<(Collation, i64), usize> = HashMap::new();
    for pairs in pairs.chunks(2000) {
        let rows: Vec<String> = pairs
            .iter()
            .map(|(a, b)| {
                format!("ROW(_utf8mb4 x'{}', _utf8mb4 x'{}')", hex(a.as_bytes()), hex(b.as_bytes()))
            })
            .collect();
        let compared = COLLATIONS.map(|(name, _)| format!("STRCMP(a COLLATE {name}, b)"));
        let sql = format!(
            "SELECT a, b, {} FROM (VALUES {}) AS t (a, b)",
            compared.join(", "),
            rows.join(", ")
        );
        for row in server.rows(&sql).await {
            let row: Vec<String> =
                row.into_iter().map(|v| String::from_utf8(v.unwrap()).unwrap()).collect();
            for ((_, collation), theirs) in COLLATIONS.iter().zip(&row[2..]) {
                let ours = collation.compare(&row[0], &row[1]) as i64;
                assert_eq!(ours.to_string(), *theirs, "{:?} {:?} {collation:?}", row[0], row[1]);
                *seen.entry((*collation, ours)).or_default() += 1;
            }
        }
    }
    for (_, collation) in COLLATIONS {
        for order in [-1, 0, 1] {
            let times = seen.get(&(collation, order)).copied().unwrap_or(0);
            assert!(times > 500, "{collation:?} came out as {order} {times} times only");
        }
    }
}

#[tokio::test]
#[ignore = "writes src/value/collation/*.bin"]
async fn written_from_the_server() {
    let mut server = Server::start("viewtide_code_points").await;
    let said = said(&mut server).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/value/collation");
    fs::write(folder.join("weights.bin"), weights_file(&said)).unwrap();
    fs::write(folder.join("casing.bin"), casing_file(&said)).unwrap();
}

/// Entries of the table of weights; see `src/value/collation/weights.rs`.
fn weights_file(said: &[Said]) -> Vec<u8> {
    const COMPUTED: u16 = 0xFFFF;
    let by_char: HashMap<char, &[u16]> = said.iter().map(|s| (s.c, s.weights.as_slice())).collect();
    let mut sequences: Vec<u16> = Vec::new();
    let mut places: HashMap<&[u16], u16> = HashMap::new();
    let mut pages: Vec<Vec<u16>> = Vec::new();
    let mut file = Vec::new();
    for start in (0..CODE_POINTS).step_by(256) {
        let entry = |code_point: u32| {
            let Some(c) = char::from_u32(code_point) else { return COMPUTED };
            match by_char[&c] {
                weights if is_computed(c, weights, &by_char) => COMPUTED,
                [] => 0,
                [weight @ ..0x8000] => *weight,
                weights => *places.entry(weights).or_insert_with(|| {
                    let place = 0x8000 + sequences.len() as u16;
                    sequences.push(weights.len() as u16);
                    sequences.extend(weights);
                    place
                }),
            }
        };
        let page: Vec<u16> = (start..start + 256).map(entry).collect();
        let number = pages.iter().position(|known| *known == page).unwrap_or(pages.len());
        if number == pages.len() {
            pages.push(page);
        }
        file.push(u8::try_from(number).unwrap());
    }
    let numbers = pages.into_iter().flatten().chain(sequences);
    file.extend(numbers.flat_map(u16::to_le_bytes));
    file
}

/// Whether the weights follow from the code point alone.
fn is_computed(c: char, weights: &[u16], by_char: &HashMap<char, &[u16]>) -> bool {
    let code_point = c as u32;
    if let 0xAC00..=0xD7A3 = code_point {
        let syllable = code_point - 0xAC00;
        let letters =
            [0x1100 + syllable / 588, 0x1161 + syllable / 28 % 21, 0x11A7 + syllable % 28];
        let held = if syllable.is_multiple_of(28) { 2 } else { 3 };
        let letters = letters[..held].iter().map(|c| by_char[&char::from_u32(*c).unwrap()]);
        return weights == letters.collect::<Vec<_>>().concat();
    }
    let with = |base: u32, code_point: u32| {
        weights == [(base + (code_point >> 15)) as u16, (code_point & 0x7FFF | 0x8000) as u16]
    };
    (0x1_7000..=0x1_8AFF).contains(&code_point) && with(0xFB00, code_point - 0x1_7000)
        || [0xFB40, 0xFB80, 0xFBC0].iter().any(|base| with(*base, code_point))
}

/// The lists of letters; see `src/value/collation/casing.rs`.
fn casing_file(said: &[Said]) -> Vec<u8> {
    let mut file = Vec::new();
    for list in 0..4 {
        let changed = said.iter().filter(|said| said.letters[list] != said.c);
        let letters: BTreeMap<char, char> = changed.map(|s| (s.c, s.letters[list])).collect();
        file.extend((letters.len() as u16).to_le_bytes());
        for (c, becomes) in letters {
            file.extend(&(c as u32).to_le_bytes()[..3]);
            file.extend(&(becomes as u32).to_le_bytes()[..3]);
        }
    }
    file
}

/// Letters that are shorter in the other case: MySQL needs their room for one that is longer.
const ROOM_ABOVE: &str = "ıııı";
const ROOM_BELOW: &str = "\u{212A}\u{212A}\u{212A}\u{212A}";

async fn said(server: &mut Server) -> Vec<Said> {
    server.run(&format!("SET cte_max_recursion_depth = {ASKED}")).await;
    let mut all = Vec::new();
    for first in (0..CODE_POINTS).step_by(ASKED as usize) {
        let sql = format!(
            "WITH RECURSIVE n (i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {}) \
             SELECT i, HEX(WEIGHT_STRING(c)), UPPER(CONCAT('{ROOM_ABOVE}', c)), LOWER(CONCAT('{ROOM_BELOW}', c)), \
             UPPER(CONCAT('{ROOM_ABOVE}', c) COLLATE utf8mb4_bin), LOWER(CONCAT('{ROOM_BELOW}', c) COLLATE utf8mb4_bin) \
             FROM (SELECT i, CONVERT(CONVERT(UNHEX(LPAD(HEX(i), 8, '0')) USING utf32) USING utf8mb4) AS c \
             FROM n WHERE i NOT BETWEEN 0xD800 AND 0xDFFF) AS t",
            first + ASKED - 1
        );
        for row in server.rows(&sql).await {
            let row: Vec<String> =
                row.into_iter().map(|v| String::from_utf8(v.unwrap()).unwrap()).collect();
            let weights = row[1].as_bytes().chunks(4);
            let weight = |digits: &[u8]| {
                u16::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()
            };
            all.push(Said {
                c: char::from_u32(row[0].parse().unwrap()).unwrap(),
                weights: weights.map(weight).collect(),
                letters: [2, 3, 4, 5].map(|at: usize| row[at].chars().last().unwrap()),
            });
        }
    }
    all
}

/// Characters that Unicode's own table of weights has together.
fn together() -> Vec<String> {
    let mut texts = Vec::new();
    for (first, second) in [
        (0x0E40..=0x0E44, 0x0E01..=0x0E2E),
        (0x0EC0..=0x0EC4, 0x0E81..=0x0EAE),
        (0x0FB2..=0x0FB3, 0x0F71..=0x0F81),
        (0x0F71..=0x0F71, 0x0F72..=0x0F80),
        (0x0413..=0x0427, 0x0300..=0x0308),
        (0x0430..=0x0447, 0x0300..=0x0308),
        (0x09C7..=0x09C7, 0x09BE..=0x09D7),
        (0x0B92..=0x0B92, 0x0BD7..=0x0BD7),
        (0x0BC6..=0x0BC7, 0x0BBE..=0x0BD7),
        (0x1025..=0x1025, 0x102E..=0x102E),
        (0x19B5..=0x19BA, 0x1980..=0x19AB),
        (0x1B05..=0x1B11, 0x1B35..=0x1B35),
        (0xAAB5..=0xAABC, 0xAA80..=0xAAAF),
        (0x1100..=0x1112, 0x1161..=0x1175),
        (0x4C..=0x4C, 0xB7..=0xB7),
    ] {
        for a in first {
            for b in second.clone() {
                texts.extend([a, b].iter().map(|c| char::from_u32(*c)).collect::<Option<String>>());
            }
        }
    }
    texts
}

/// Some characters of one neighbourhood.
fn text(random: &mut StdRng) -> String {
    let start: u32 = match random.random_range(0..4) {
        0 => 0x20,
        1 => random.random_range(0..0x3400),
        2 => random.random_range(0xA000..0x1_0000),
        _ => random.random_range(0x1_0000..0x2_0000),
    };
    let near = |random: &mut StdRng| char::from_u32(start + random.random_range(0..200));
    (0..random.random_range(1..8)).filter_map(|_| near(random)).collect()
}

/// Two texts of few letters, so that they are often equal in part.
fn alike(random: &mut StdRng) -> (String, String) {
    const LETTERS: [&str; 16] = [
        "a", "A", "á", "b", " ", "ss", "ß", "\u{301}", "\u{1}", "\t", "中", "😀", "ﬁ", "fi", "가",
        "\u{1100}",
    ];
    let text = |random: &mut StdRng| -> String {
        (0..random.random_range(0..4))
            .map(|_| LETTERS[random.random_range(0..LETTERS.len())])
            .collect()
    };
    (text(random), text(random))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

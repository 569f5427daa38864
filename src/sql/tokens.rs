//! A file of SQL as tokens that know their place in the text.

use std::ops::Range;

use sqlparser::dialect::MySqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Whitespace};

use super::error::{Refusal, Refused};

/// One token that is neither blank nor comment.
#[derive(Clone, Debug)]
pub(crate) struct Lexeme {
    pub(crate) token: Token,
    pub(super) start: Location,
    /// Its bytes in the file.
    pub(super) bytes: Range<usize>,
    /// Whether blanks or comments stand before it.
    pub(super) spaced: bool,
}

impl Lexeme {
    /// An unquoted word, in upper case.
    pub(crate) fn word(&self) -> Option<String> {
        match &self.token {
            Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_uppercase()),
            _ => None,
        }
    }

    pub(crate) fn is_word(&self, expected: &str) -> bool {
        match &self.token {
            Token::Word(word) => {
                word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected)
            }
            _ => false,
        }
    }

    /// A name, quoted or not.
    pub(crate) fn name(&self) -> Option<&str> {
        match &self.token {
            Token::Word(word) => Some(&word.value),
            _ => None,
        }
    }

    /// A string constant.
    pub(crate) fn string(&self) -> Option<String> {
        match &self.token {
            Token::SingleQuotedString(raw) => Some(unquote(raw, '\'')),
            Token::DoubleQuotedString(raw) => Some(unquote(raw, '"')),
            _ => None,
        }
    }

    /// How deep the parentheses are nested behind this token, if they are `depth` before it.
    pub(super) fn depth_after(&self, depth: usize) -> usize {
        match self.token {
            Token::LParen => depth + 1,
            Token::RParen => depth.saturating_sub(1),
            _ => depth,
        }
    }
}

/// The tokens of a file. Strings stay as written; [`unquote`] reads them.
pub(super) fn tokenize(text: &str) -> Refused<Vec<TokenWithSpan>> {
    Tokenizer::new(&MySqlDialect {}, text)
        .with_unescape(false)
        .tokenize_with_location()
        .map_err(|error| Refusal::at(error.location, error.message.to_lowercase()))
}

/// `column->'path'` as JSON_EXTRACT, `->>` as JSON_UNQUOTE of it: MySQL ties them to their column
/// before anything else, the parser after most operators. Others stay as they are.
pub(super) fn with_arrows_called(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut called: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let names: &[&str] = match token.token {
            Token::Arrow => &["JSON_EXTRACT"],
            Token::LongArrow => &["JSON_UNQUOTE", "JSON_EXTRACT"],
            _ => &[],
        };
        let blanks = std::iter::from_fn(|| tokens.next_if(|next| is_blank(&next.token)));
        let before_path: Vec<TokenWithSpan> =
            if names.is_empty() { Vec::new() } else { blanks.collect() };
        let path = tokens.peek().map(|next| matches!(next.token, Token::SingleQuotedString(_)));
        match column_start(&called) {
            Some(start) if !names.is_empty() && path == Some(true) => {
                let span = called[start].span;
                let call = |name: &&str| [Token::make_word(name, None), Token::LParen];
                let opening =
                    names.iter().flat_map(call).map(|token| TokenWithSpan { token, span });
                called.splice(start..start, opening);
                called.push(TokenWithSpan { token: Token::Comma, span: token.span });
                called.extend(before_path);
                called.extend(tokens.next());
                let closing = TokenWithSpan { token: Token::RParen, span: token.span };
                called.extend(names.iter().map(|_| closing.clone()));
            }
            _ => {
                called.push(token);
                called.extend(before_path);
            }
        }
    }
    called
}

/// `a MOD b` as `a % b`, which the parser knows; MOD(a, b) stays a call. The word is no one's name.
pub(super) fn with_mod_as_sign(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let visible: Vec<usize> =
        (0..tokens.len()).filter(|at| !is_blank(&tokens[*at].token)).collect();
    for pair in visible.windows(3) {
        let &[before, at, behind] = pair else { continue };
        let is_mod = matches!(&tokens[at].token, Token::Word(word)
            if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("MOD"));
        let ends_operand = match &tokens[before].token {
            Token::Word(word) => word.quote_style.is_some() || word.keyword == Keyword::NoKeyword,
            Token::Number(..) | Token::SingleQuotedString(_) | Token::RParen => true,
            _ => false,
        };
        if is_mod && (ends_operand || tokens[behind].token != Token::LParen) {
            tokens[at].token = Token::Mod;
        }
    }
    tokens
}

/// Where the column name begins that the tokens end in.
fn column_start(tokens: &[TokenWithSpan]) -> Option<usize> {
    let end = tokens.iter().rposition(|token| !is_blank(&token.token))?;
    let is_word = |at: usize| matches!(tokens[at].token, Token::Word(_));
    let mut start = Some(end).filter(|end| is_word(*end))?;
    while start >= 2 && tokens[start - 1].token == Token::Period && is_word(start - 2) {
        start -= 2;
    }
    Some(start)
}

fn is_blank(token: &Token) -> bool {
    matches!(token, Token::Whitespace(_))
}

/// The tokens of a file without blanks and comments.
pub(super) fn lexemes(text: &str) -> Refused<Vec<Lexeme>> {
    let places = Places::new(text);
    let mut spaced = false;
    let mut lexemes = Vec::new();
    for TokenWithSpan { token, span } in tokenize(text)? {
        if matches!(token, Token::Whitespace(_)) {
            spaced |= !matches!(token, Token::Whitespace(Whitespace::MultiLineComment(ref c)) if c.starts_with('!'));
            continue;
        }
        let bytes = places.byte(span.start)..places.byte(span.end);
        lexemes.push(Lexeme { token, start: span.start, bytes, spaced });
        spaced = false;
    }
    Ok(lexemes)
}

/// The tokens of one statement; `None` if it is no SQL.
pub(crate) fn statement(text: &str) -> Option<Vec<Lexeme>> {
    lexemes(text).ok()
}

/// Splits at the commas outside parentheses.
pub(crate) fn split_commas(lexemes: &[Lexeme]) -> Vec<&[Lexeme]> {
    let mut parts = Vec::new();
    let (mut start, mut depth) = (0, 0);
    for (i, lexeme) in lexemes.iter().enumerate() {
        if depth == 0 && lexeme.token == Token::Comma {
            parts.push(&lexemes[start..i]);
            start = i + 1;
        }
        depth = lexeme.depth_after(depth);
    }
    parts.push(&lexemes[start..]);
    parts
}

/// Characters from one mark of [`Places`] to the next.
const MARKED: usize = 128;

/// Translates lines and characters to bytes, at the same cost however long a line is.
pub(super) struct Places<'t> {
    text: &'t str,
    /// The number of each line's first character.
    lines: Vec<usize>,
    /// The byte of each of those characters that are marked.
    marks: Vec<usize>,
}

impl<'t> Places<'t> {
    pub(super) fn new(text: &'t str) -> Places<'t> {
        let (mut lines, mut marks) = (vec![0], Vec::new());
        for (number, (byte, char)) in text.char_indices().enumerate() {
            if number.is_multiple_of(MARKED) {
                marks.push(byte);
            }
            if char == '\n' {
                lines.push(number + 1);
            }
        }
        Places { text, lines, marks }
    }

    pub(super) fn byte(&self, at: Location) -> usize {
        let end = self.text.len();
        let line = (at.line.max(1) - 1) as usize;
        let Some(first) = self.lines.get(line) else { return end };
        let number = first + (at.column.max(1) - 1) as usize;
        let Some(&mark) = self.marks.get(number / MARKED) else { return end };
        let mut rest = self.text[mark..].char_indices();
        rest.nth(number % MARKED).map_or(end, |(byte, _)| mark + byte)
    }
}

/// What a string constant written in these quotes stands for, by MySQL's escapes.
pub(super) fn unquote(raw: &str, quote: char) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('0') => out.push('\0'),
                Some('b') => out.push('\u{8}'),
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('t') => out.push('\t'),
                Some('Z') => out.push('\u{1A}'),
                // Outside patterns these two keep their backslash.
                Some(c @ ('%' | '_')) => out.extend(['\\', c]),
                Some(c) => out.push(c),
                None => out.push('\\'),
            },
            c if c == quote && chars.peek() == Some(&quote) => {
                chars.next();
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_know_their_bytes() {
        let text = "-- é\nSELECT 'ü',`x`  /* y */ FROM t";
        let found: Vec<_> = lexemes(text).unwrap();
        let slices: Vec<_> = found.iter().map(|l| (&text[l.bytes.clone()], l.spaced)).collect();
        let want = [
            ("SELECT", true),
            ("'ü'", true),
            (",", false),
            ("`x`", false),
            ("FROM", true),
            ("t", true),
        ];
        assert_eq!(slices, want);
    }

    #[test]
    fn places_are_found_however_long_a_line_is() {
        let text = format!("a\n{}é{}\nü, b", "x, ".repeat(100), "é, ".repeat(100));
        let places = Places::new(&text);
        let mut at = Location { line: 1, column: 1 };
        for (byte, char) in text.char_indices() {
            assert_eq!(places.byte(at), byte, "{at:?}");
            at = match char {
                '\n' => Location { line: at.line + 1, column: 1 },
                _ => Location { line: at.line, column: at.column + 1 },
            };
        }
        for at in [at, Location { line: 9, column: 1 }, Location { line: 1, column: 9999 }] {
            assert_eq!(places.byte(at), text.len());
        }
    }

    #[test]
    fn strings_read_by_mysqls_escapes() {
        for (raw, want) in [("it''s", "it's"), (r"a\'\n\\", "a'\n\\"), (r"5\%", r"5\%")] {
            assert_eq!(unquote(raw, '\''), want);
        }
    }
}

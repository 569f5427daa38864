//! The SELECT as MySQL runs it, so that documents can be compared with MySQL's own answer.
//!
//! It is the text of the view's file, blanks and comments aside: MySQL reads what the user wrote,
//! not what the planner understood. Only `*` is written out, for a column that is added later is
//! no column of the view. Event topics appear by their tables' names, so whoever asks puts
//! `WITH name AS (…)` before it.

use sqlparser::tokenizer::{Location, Span, Token};

use super::tokens::{Lexeme, Places};

/// Other text for a part of a view's file.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    pub(super) span: Span,
    pub(super) with: String,
}

/// Cuts a view's SELECT out of its file, whose tokens `lexemes` are.
pub(super) fn normalized(
    text: &str,
    lexemes: &[Lexeme],
    select: Location,
    edits: &[Edit],
) -> String {
    let places = Places::new(text);
    let begin = places.byte(select);
    let inside = lexemes
        .iter()
        .skip_while(|lexeme| lexeme.bytes.start < begin)
        .take_while(|lexeme| lexeme.token != Token::SemiColon);
    let mut out = String::new();
    let mut skip_to = 0;
    for lexeme in inside {
        if lexeme.bytes.start < skip_to {
            continue;
        }
        if lexeme.spaced && !out.is_empty() {
            out.push(' ');
        }
        let at = lexeme.bytes.start;
        match edits.iter().find(|edit| places.byte(edit.span.start) == at) {
            Some(edit) => {
                skip_to = places.byte(edit.span.end);
                out.push_str(&edit.with);
            }
            None => out.push_str(&text[lexeme.bytes.clone()]),
        }
    }
    out
}

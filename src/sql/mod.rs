//! A view's SELECT becomes a [`plan`].

pub mod expr;
pub mod plan;

/// All SQL that a pipeline is made of, as read from its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definitions {
    /// CREATE TABLE of the captured tables.
    pub tables: Vec<SourceFile>,
    /// CREATE TABLE of the event topics.
    pub streams: Vec<SourceFile>,
    /// CREATE VIEW and CREATE INDEX.
    pub views: Vec<SourceFile>,
}

/// One file of SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path, for messages.
    pub path: String,
    /// Its content.
    pub text: String,
}

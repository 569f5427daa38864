//! Documents against MySQL's own answer.

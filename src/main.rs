//! The command line: parse, log, call the library.

fn main() {}

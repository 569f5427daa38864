//! The tables in memory and the documents made of them: pure, synchronous, without I/O or clock.

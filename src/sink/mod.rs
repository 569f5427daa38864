//! Documents into Redis: one atomic, fenced step at a time.

//! The loop: source, engine, sink; the one place that decides what an error means.

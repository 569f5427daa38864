//! From Kafka records to ordered row changes.

//! The HTTP API: documents from Redis, and nothing else.

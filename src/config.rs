//! Settings: a file and the environment, validated once.

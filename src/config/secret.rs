//! Text that must not be shown.

use std::fmt;

use serde::Deserialize;

/// A password or an address that may hold one: never printed, neither by `Debug` nor by `Display`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// What is printed instead.
    pub(super) const SHOWN: &str = "(secret)";

    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself: to connect with, not to log.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// A text without the password that an address in it may have: `user:***@host`.
pub fn without_password(text: &str, address: &str) -> String {
    let authority = address.split_once("://").and_then(|(_, rest)| rest.split('/').next());
    let user = authority.and_then(|authority| authority.rsplit_once('@'));
    match user.and_then(|(user, _)| user.split_once(':')) {
        Some((_, password)) if !password.is_empty() => {
            text.replace(&format!(":{password}@"), ":***@")
        }
        _ => text.to_owned(),
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Secret::SHOWN)
    }
}

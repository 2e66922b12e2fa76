//! Text that cannot be printed by accident.
//!
//! A `Secret` has no `Display`, `Clone` or `Serialize`, and its `Debug` shows nothing. The only way to its text is
//! [`Secret::expose`], for which a lint (`clippy::disallowed_methods`, .ci/clippy.toml) requires a written reason.

use std::fmt;

/// A refresh token, an access token, a client secret, or text that holds one of them.
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text. Each use says, in its lint exception, where it goes.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A copy, made on purpose.
    #[expect(clippy::disallowed_methods, reason = "from secret to secret")]
    pub fn copy(&self) -> Self {
        Self::new(self.expose())
    }

    /// The text without a public prefix.
    #[expect(clippy::disallowed_methods, reason = "from secret to secret")]
    pub fn without_prefix(&self, prefix: &str) -> Self {
        Self::new(self.expose().strip_prefix(prefix).unwrap_or(self.expose()))
    }

    /// The text with a public prefix.
    #[expect(clippy::disallowed_methods, reason = "from secret to secret")]
    pub fn with_prefix(&self, prefix: &str) -> Self {
        Self::new(format!("{prefix}{}", self.expose()))
    }

    #[expect(clippy::disallowed_methods, reason = "measured, not shown")]
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }

    /// Whether all of it can be on one line, as in a header field. RFC 6749, appendix A.12, allows only printable ASCII
    /// in an access token.
    #[expect(clippy::disallowed_methods, reason = "looked through, not shown")]
    pub fn is_one_line(&self) -> bool {
        self.expose().bytes().all(|byte| matches!(byte, b' '..=b'~'))
    }

    /// Whether both hold the same text.
    #[expect(clippy::disallowed_methods, reason = "compared, not shown")]
    pub fn is_same(&self, other: &Secret) -> bool {
        self.expose() == other.expose()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[masked]")
    }
}

//! What a system knows of a file beyond its owner and mode.

/// What prevents a rename over a file, and is not in its mode.
pub struct Attributes {
    /// It can't be replaced.
    pub is_immutable: bool,
    /// It is mounted by itself. None if the system does not tell.
    pub is_mount: Option<bool>,
}

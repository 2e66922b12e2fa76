//! What a system knows of a file beyond its owner and mode.

/// What stands in the way of a rename over a file, and no mode tells.
pub struct Attributes {
    /// It can't be replaced.
    pub is_immutable: bool,
    /// It is mounted by itself. None if the system does not tell.
    pub is_mount: Option<bool>,
}

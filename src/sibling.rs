//! Paths in the directory of a file, whose names are that file's and a suffix.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

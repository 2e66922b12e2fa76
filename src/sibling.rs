//! Names of files, and of those next to a file, which are its name and a suffix.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Whether only a directory can have this name: it ends in a separator, or in one and a dot. Such an end is not a
/// part of the last component.
pub fn is_of_directory(path: &Path) -> bool {
    path.components().as_path().as_os_str() != path.as_os_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_separator_at_the_end_makes_a_directory() {
        for name in ["a/", "a//", "a/.", "./a/", "a/./", "/a/b/"] {
            assert!(is_of_directory(Path::new(name)), "{name}");
        }
        for name in ["a", "./a", "/a", "a/b", "a//b", "a/./b", "a.", "/", ".", "..", "a/.."] {
            assert!(!is_of_directory(Path::new(name)), "{name}");
        }
    }
}

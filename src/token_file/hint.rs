//! Hints that lock and draft share.

use std::fs;
use std::io;
use std::path::Path;

/// What to do if the lock file or a draft cannot be created, read or written before the request.
pub fn cannot_write(error: &io::Error, path: &Path) -> String {
    let directory = path.parent().unwrap_or(Path::new("/")).display();
    match error.kind() {
        _ if fs::symlink_metadata(path).is_ok_and(|metadata| !metadata.is_file()) => {
            format!("nothing was sent; remove or rename {}, which is not a regular file", path.display())
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            format!("nothing was sent; {directory} is on a read-only file system: mount it writable")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("nothing was sent; make room in {directory}")
        }
        io::ErrorKind::FileTooLarge => "nothing was sent; raise the file size limit (ulimit -f)".to_owned(),
        io::ErrorKind::PermissionDenied => {
            format!(
                "nothing was sent; run as the token file's owner, who must be able to write in {directory}, and must own \
                 this file if it exists"
            )
        }
        _ => "nothing was sent".to_owned(),
    }
}

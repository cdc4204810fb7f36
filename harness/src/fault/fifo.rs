//! A FIFO: whoever opens it for writing waits until somebody reads.

use super::reason;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::path::Path;

/// Makes a FIFO that its owner alone may use.
///
/// # Errors
/// Why not, for instance because something of that name is there.
pub fn make(path: &Path) -> Result<(), String> {
    mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).map_err(|e| reason("mkfifo", path.display(), &e.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};

    #[test]
    fn it_is_a_fifo_of_its_owner_and_nothing_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        make(&path).unwrap();
        let metadata = std::fs::metadata(&path).unwrap();
        assert!(metadata.file_type().is_fifo());
        assert_eq!(metadata.permissions().mode() & 0o177, 0);
        let again = make(&path).unwrap_err();
        assert_eq!(again, format!("mkfifo {}: File exists (EEXIST)", path.display()));
    }
}

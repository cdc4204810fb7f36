//! The folder of one browser: its profile, what its fake devices play, what it printed. It goes with its owner.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

const PREFIX: &str = "sidetone-browser-";
const LOCK: &str = "owned";

/// A new folder in the system's place for temporary files, for nobody else's eyes; removed on drop.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes one, and removes those whose owners were killed before they could.
    ///
    /// # Errors
    /// The folder cannot be made; names it.
    pub(super) fn new() -> Result<Self, String> {
        Self::below(&std::env::temp_dir())
    }

    fn below(parent: &Path) -> Result<Self, String> {
        sweep(parent);
        let path = parent.join(format!("{PREFIX}{}-{:08x}", std::process::id(), rand::random::<u32>()));
        let failed = |error: io::Error| {
            format!(
                "{}: a folder for the browser cannot be made: {error}; set TMPDIR to a place with room",
                path.display()
            )
        };
        DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
        let lock = File::create_new(path.join(LOCK)).and_then(|file| {
            file.lock()?;
            Ok(file)
        });
        match lock {
            Ok(lock) => Ok(Self { path, _lock: lock }),
            Err(error) => {
                drop(fs::remove_dir_all(&path));
                Err(failed(error))
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A dying browser may still write into it; the second round finds a quiet folder.
        if fs::remove_dir_all(&self.path).is_err() {
            drop(fs::remove_dir_all(&self.path));
        }
    }
}

/// A folder whose lock is free has no owner any more. A failure leaves it to the next one.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten().filter(|e| e.file_name().to_string_lossy().starts_with(PREFIX)) {
        let path = entry.path();
        let mine = fs::symlink_metadata(&path).is_ok_and(|m| m.is_dir() && m.uid() == nix::unistd::geteuid().as_raw());
        // one without a lock may be in the making
        let Ok(lock) = File::open(path.join(LOCK)) else { continue };
        if mine && lock.try_lock().is_ok() {
            drop(fs::remove_dir_all(&path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_folder_goes_with_its_owner_and_one_without_owner_with_the_next() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::below(parent.path()).unwrap();
        let orphan = parent.path().join(format!("{PREFIX}1-00000000"));
        fs::create_dir(&orphan).unwrap();
        fs::write(orphan.join(LOCK), "").unwrap();
        let stranger = parent.path().join("other");
        fs::create_dir(&stranger).unwrap();
        assert_eq!(fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o700);

        let second = Folder::below(parent.path()).unwrap();
        assert!(folder.path().is_dir() && second.path().is_dir() && stranger.is_dir());
        assert!(!orphan.exists());
        let path = second.path().to_owned();
        fs::write(path.join("file"), "x").unwrap();
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let error = Folder::below(Path::new("/proc/nowhere")).unwrap_err();
        assert!(error.contains("/proc/nowhere/sidetone-browser-") && error.contains("TMPDIR"), "{error}");
    }
}

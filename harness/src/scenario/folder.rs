//! Where runs are written: `reports/20261122T213000Z/`, `reports/latest`, the newest ten kept.

use nix::errno::Errno;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Why something could not be written, with the name of the error: `ENOSPC (No space left on device)`.
pub fn reason(error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(errno) if errno != Errno::UnknownErrno => format!("{errno:?} ({})", errno.desc()),
        _ => error.to_string(),
    }
}

/// Compact UTC time, the name of a run and of its folder.
pub fn run_id(rfc3339: &str) -> String {
    let digits: String = rfc3339.split('.').next().unwrap_or(rfc3339).chars().filter(|c| !"-:Z".contains(*c)).collect();
    format!("{digits}Z")
}

/// The folder of a run that is being written. While it lives, [`prune`] leaves the folder alone.
#[derive(Debug)]
pub struct Claim {
    /// Where.
    pub path: PathBuf,
    _lock: Option<File>,
}

impl Claim {
    /// The name of the run: unique below its root.
    pub fn run_id(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// Makes the folder of a run below `root`; a second run of the same second gets `-2`.
///
/// # Errors
/// `root` cannot be made or written.
pub fn create(root: &Path, run_id: &str) -> io::Result<Claim> {
    fs::create_dir_all(root)?;
    // a number is never used again, also if an earlier run of this second was removed since
    let used = fs::read_dir(root)?.flatten().filter_map(|e| split(&e.file_name().to_string_lossy()));
    let last = used.filter(|(time, _)| time == run_id).map(|(_, number)| number).max().unwrap_or(0);
    for attempt in last + 1..last + 1_000 {
        let name = if attempt == 1 { run_id.to_owned() } else { format!("{run_id}-{attempt}") };
        let path = root.join(name);
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result.map(|()| Claim { _lock: lock(&path).ok().flatten(), path }),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "a thousand runs in one second"))
}

/// Ends with the process, whatever ends it. `Err`: somebody else holds it. `None`: there are no locks here.
fn lock(folder: &Path) -> Result<Option<File>, TryLockError> {
    let Ok(file) = File::open(folder) else { return Ok(None) };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(TryLockError::WouldBlock),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Points `latest` at a run, in one step.
///
/// # Errors
/// `root` cannot be written.
pub fn point_latest(root: &Path, folder: &Path) -> io::Result<()> {
    let name = folder.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let unfinished = root.join(format!(".latest-{}", std::process::id()));
    drop(fs::remove_file(&unfinished)); // of an earlier process of the same number
    std::os::unix::fs::symlink(name, &unfinished)?;
    fs::rename(&unfinished, root.join("latest"))
}

/// Removes all but the newest `keep` runs; anything that is not named like a run stays, and so does a run that another
/// harness is writing or removing.
///
/// # Errors
/// An old run cannot be removed.
pub fn prune(root: &Path, keep: usize) -> io::Result<()> {
    let mut runs: Vec<PathBuf> = fs::read_dir(root)?
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| {
            path.is_dir()
                && !path.is_symlink()
                && path.file_name().is_some_and(|n| split(&n.to_string_lossy()).is_some())
        })
        .collect();
    // by time, and by number within a second (-2 before -10)
    runs.sort_by_key(|path| split(&path.file_name().unwrap_or_default().to_string_lossy()));
    let old = runs.len().saturating_sub(keep.max(1));
    for run in &runs[..old] {
        let Ok(_claimed) = lock(run) else { continue };
        match fs::remove_dir_all(run) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {} // another harness was faster
            result => result?,
        }
    }
    Ok(())
}

/// Time and number of a run by the name of its folder; `None`: it is no run's.
fn split(name: &str) -> Option<(String, u32)> {
    let (time, number) = name.split_once('-').unwrap_or((name, "1"));
    let bytes = time.as_bytes();
    let is_time = bytes.len() == 16
        && bytes[8] == b'T'
        && bytes[15] == b'Z'
        && bytes.iter().enumerate().all(|(i, b)| i == 8 || i == 15 || b.is_ascii_digit());
    number.parse().ok().filter(|_| is_time).map(|number| (time.to_owned(), number))
}

/// sha256 of every file below a folder, by its path inside it. What cannot be read has none.
pub(super) fn artefacts(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for path in fs::read_dir(next).into_iter().flatten().flatten().map(|e| e.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if !path.is_file() {
                // a FIFO without a writer would be read for ever
            } else if let (Ok(name), Some(hash)) = (path.strip_prefix(folder), sha256(&path)) {
                found.insert(name.display().to_string(), hash);
            }
        }
    }
    found
}

fn sha256(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        match file.read(&mut piece).ok()? {
            0 => break,
            count => hasher.update(&piece[..count]),
        }
    }
    Some(hasher.finalize().iter().fold(String::new(), |hex, b| hex + &format!("{b:02x}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_runs_stay_and_strangers_too() {
        let root = tempfile::tempdir().unwrap();
        let ids = ["20261122T213000Z", "20261122T213001Z", "20261122T213001Z", "20261122T213002Z"];
        let claims: Vec<_> = ids.iter().map(|id| create(root.path(), id).unwrap()).collect();
        assert_eq!(claims[2].run_id(), "20261122T213001Z-2");
        let folders: Vec<_> = claims.iter().map(|c| c.path.clone()).collect();
        prune(root.path(), 1).unwrap();
        assert!(folders.iter().all(|f| f.is_dir()), "runs that are being written");
        drop(claims);
        assert_eq!(create(root.path(), "20261122T213001Z").unwrap().run_id(), "20261122T213001Z-3");
        fs::remove_dir(root.path().join("20261122T213001Z")).unwrap();
        assert_eq!(create(root.path(), "20261122T213001Z").unwrap().run_id(), "20261122T213001Z-4");
        fs::create_dir(root.path().join("sample")).unwrap();
        point_latest(root.path(), &folders[2]).unwrap();
        point_latest(root.path(), &folders[3]).unwrap();
        prune(root.path(), 2).unwrap();
        let mut left: Vec<_> =
            fs::read_dir(root.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["20261122T213001Z-4", "20261122T213002Z", "latest", "sample"]);
        assert_eq!(fs::read_link(root.path().join("latest")).unwrap(), Path::new("20261122T213002Z"));
    }

    #[test]
    fn run_ids_are_compact() {
        assert_eq!(run_id("2026-11-22T21:30:00.123456Z"), "20261122T213000Z");
    }
}

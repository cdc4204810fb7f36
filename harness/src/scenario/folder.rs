//! Where runs are written: `reports/20261122T213000Z/`, `reports/latest`, the newest ten kept.

use nix::errno::Errno;
use std::fs::{self, File};
use std::io;
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
    for attempt in 1..1_000 {
        let name = if attempt == 1 { run_id.to_owned() } else { format!("{run_id}-{attempt}") };
        let path = root.join(name);
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result.map(|()| Claim { _lock: lock(&path), path }),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "a thousand runs in one second"))
}

/// Ends with the process, whatever ends it. `None`: somebody holds it, or this file system has no locks.
fn lock(folder: &Path) -> Option<File> {
    let file = File::open(folder).ok()?;
    file.try_lock().is_ok().then_some(file)
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
            path.is_dir() && !path.is_symlink() && path.file_name().is_some_and(|n| is_run(&n.to_string_lossy()))
        })
        .collect();
    // by time, and by number within a second (-2 before -10)
    runs.sort_by_key(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (time, number) = name.split_once('-').map_or((name.as_str(), 1), |(t, n)| (t, n.parse().unwrap_or(0)));
        (time.to_owned(), number)
    });
    let old = runs.len().saturating_sub(keep.max(1));
    for run in &runs[..old] {
        if let Some(_claimed) = lock(run) {
            fs::remove_dir_all(run)?;
        }
    }
    Ok(())
}

fn is_run(name: &str) -> bool {
    let (time, number) = name.split_once('-').unwrap_or((name, "1"));
    let bytes = time.as_bytes();
    bytes.len() == 16
        && bytes[8] == b'T'
        && bytes[15] == b'Z'
        && bytes.iter().enumerate().all(|(i, b)| i == 8 || i == 15 || b.is_ascii_digit())
        && number.parse::<u32>().is_ok()
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
        fs::create_dir(root.path().join("sample")).unwrap();
        point_latest(root.path(), &folders[2]).unwrap();
        point_latest(root.path(), &folders[3]).unwrap();
        prune(root.path(), 2).unwrap();
        let mut left: Vec<_> =
            fs::read_dir(root.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["20261122T213001Z-2", "20261122T213002Z", "latest", "sample"]);
        assert_eq!(fs::read_link(root.path().join("latest")).unwrap(), Path::new("20261122T213002Z"));
    }

    #[test]
    fn run_ids_are_compact() {
        assert_eq!(run_id("2026-11-22T21:30:00.123456Z"), "20261122T213000Z");
    }
}

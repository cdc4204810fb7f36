//! A full disk and a folder that may not be written, with the powers that such a user has.
//!
//! Both need root to arrange (a mount in a namespace of its own, another user). Without root, or where the system forbids
//! it, these tests say so on stderr and check nothing.
#![cfg(test)] // so that the lints know the helpers for test code

use super::place::{Ended, Place, harness, sidetone};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tokio::process::Command;

/// Whether a command works here, and if not, says what is not tested.
pub(crate) async fn possible(program: &str, args: &[&str], what: &str) -> bool {
    let output = Command::new(program).args(args).output().await;
    let works = nix::unistd::geteuid().is_root() && output.as_ref().is_ok_and(|o| o.status.success());
    if !works {
        eprintln!("NOT TESTED: {what}: `{program} {}` does not work here: {output:?}", args.join(" "));
    }
    works
}

#[tokio::test]
async fn a_full_disk_is_named_and_the_verdict_is_still_told() {
    if !possible("unshare", &["-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], "a full disk under the report").await {
        return;
    }
    let place = Place::new();
    let out = place.arg("out");
    std::fs::create_dir(&out).unwrap();
    let script = "mount -t tmpfs -o size=200k tmpfs \"$1\" && exec \"$2\" run --duration 2s --out \"$1\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh", &out, harness().to_str().unwrap()]);
    place.prepare(&mut command);
    let ended = place.end(command.spawn().unwrap()).await;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let told: Vec<_> = ended.stderr.lines().filter(|l| l.contains("not written")).collect();
    assert!(told.iter().any(|l| l.contains(&out) && l.contains("ENOSPC")), "{ended:?}");
    assert!(told.iter().any(|l| l.contains("report.md: ENOSPC")), "{told:#?}");
    let last = ended.stdout.split_once("FAIL     the disk").map(|(_, last)| last);
    assert!(last.is_some_and(|l| l.contains("ENOSPC")), "the verdict blames the disk: {}", ended.stdout);
    assert!(!ended.stdout.contains("media.silence"), "and not the server: {}", ended.stdout);
    assert!(ended.stdout.contains("ready line after"), "what is known is told: {}", ended.stdout);
}

/// Copies of the binaries where anybody may read them, as an unprivileged user finds them.
pub(crate) fn for_everybody(place: &Place) {
    let mode = |path: &Path, mode: u32| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(place.path(), 0o755);
    for binary in [harness(), &sidetone()] {
        let copy = place.join(binary.file_name().unwrap().to_str().unwrap());
        std::fs::copy(binary, &copy).unwrap();
        mode(&copy, 0o755);
    }
}

pub(crate) const NOBODY: [&str; 3] = ["--reuid=65534", "--regid=65534", "--clear-groups"];

pub(crate) async fn as_nobody(place: &Place, args: &[&str]) -> Ended {
    let mut command = Command::new("setpriv");
    command.args(NOBODY).arg(place.join("sidetone-harness")).args(["run"]).args(args);
    place.prepare(&mut command);
    place.end(command.spawn().unwrap()).await
}

#[tokio::test]
async fn a_folder_without_permission_is_named_with_the_remedy() {
    let what = "a reports folder without permission";
    if !possible("setpriv", &[&NOBODY[..], &["true"]].concat(), what).await {
        return;
    }
    let place = Place::new();
    for_everybody(&place);
    let ended = as_nobody(&place, &["--out", "out", "--duration", "1s"]).await;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    for words in ["out: the run cannot be written there", "Permission denied", "--out FOLDER"] {
        assert!(ended.stderr.contains(words), "{words:?} is missing: {}", ended.stderr);
    }
    assert!(!place.join("out").exists());
}

#[tokio::test]
async fn an_unprivileged_user_runs_the_whole_call() {
    if !possible("setpriv", &[&NOBODY[..], &["true"]].concat(), "the call of an unprivileged user").await {
        return;
    }
    let place = Place::new();
    for_everybody(&place);
    std::fs::create_dir(place.join("out")).unwrap();
    std::os::unix::fs::chown(place.join("out"), Some(65534), Some(65534)).unwrap();
    let ended = as_nobody(&place, &["--out", "out", "--duration", "2s"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report = place.report();
    assert_eq!(report["reports"][0]["environment"]["user_id"], 65534);
    assert!(place.read("report.md").contains("processes of other users"), "what such a user cannot see is told");
}

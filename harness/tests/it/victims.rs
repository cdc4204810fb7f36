//! A program of the call is killed or stopped by somebody else: the report names it, and accuses nobody else.
#![cfg(test)] // so that the lints know the helpers for test code

use super::interrupts::in_the_call;
use super::place::{Ended, Place, causes, check, ids, sidetone};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The one process of this place that runs the shipped binary with these arguments.
fn victim(place: &Place, args: &[u8]) -> Pid {
    let mark = place.path().to_str().unwrap().as_bytes();
    let program = sidetone().canonicalize().unwrap();
    let holds = |bytes: &[u8], wanted: &[u8]| bytes.windows(wanted.len()).any(|w| w == wanted);
    let found = std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
        let ours = std::fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe == program);
        (ours && holds(&read("environ"), mark) && holds(&read("cmdline"), args)).then(|| Pid::from_raw(pid))
    });
    found.expect("the victim runs")
}

/// Runs a call of 6 s and hits one of its programs in the middle.
async fn hit(place: &Place, args: &[u8], signal: Signal) -> Ended {
    let child = place.command(&["run", "--out", "out", "--duration", "6s"]).spawn().unwrap();
    in_the_call(place).await;
    kill(victim(place, args), signal).unwrap();
    place.end(child).await
}

#[tokio::test]
async fn a_killed_client_has_not_completed_its_recording_and_nobody_is_accused_of_silence() {
    let place = Place::new();
    let ended = hit(&place, b"--name\0a\0", Signal::SIGKILL).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = place.report();
    let sentence = report["verdict"]["sentence"].as_str().unwrap();
    assert!(
        sentence.starts_with("somebody, not the harness, ended a (pid ") && sentence.contains("with SIGKILL"),
        "{sentence}"
    );
    assert_eq!(check(&report, "media.hears/a")["status"], "unknown");
    assert_eq!(check(&report, "resource.descriptors")["status"], "pass");
    assert_eq!(causes(&report), ["process.killed_by_third_party"]);
}

#[tokio::test]
async fn a_killed_server_is_named_first() {
    let place = Place::new();
    let ended = hit(&place, b"sidetone\0server\0", Signal::SIGKILL).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = place.report();
    let sentence = report["verdict"]["sentence"].as_str().unwrap();
    assert!(
        sentence.starts_with("somebody, not the harness, ended the server (pid ") && sentence.contains("SIGKILL"),
        "{sentence}"
    );
    assert_eq!(causes(&report), ["process.killed_by_third_party"], "silence after its end is not the mixer's");
    assert!(ids(&report, "fail").contains(&"session.stayed"));
    assert!(ids(&report, "fail").iter().all(|id| !id.starts_with("media.")), "{:?}", ids(&report, "fail"));
}

#[tokio::test]
async fn a_stopped_server_leaks_nothing() {
    let place = Place::new();
    let ended = hit(&place, b"sidetone\0server\0", Signal::SIGSTOP).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = place.report();
    let sentence = report["verdict"]["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("the server (pid ") && sentence.contains("is stopped (state T"), "{sentence}");
    assert_ne!(check(&report, "resource.descriptors")["status"], "fail", "three sessions were still open");
    assert_eq!(causes(&report), ["process.stopped"]);
}

#[tokio::test]
async fn a_stopped_client_is_not_excused_by_a_busy_machine() {
    let place = Place::new();
    let ended = hit(&place, b"--name\0b\0", Signal::SIGSTOP).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = place.report();
    let sentence = report["verdict"]["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("b (pid ") && sentence.contains("is stopped (state T"), "{sentence}");
    let excused = ids(&report, "warn").into_iter().filter(|id| id.starts_with("media.concealment/"));
    assert_eq!(excused.collect::<Vec<_>>(), [] as [&str; 0], "all who lost sound were to hear b");
    assert_eq!(causes(&report), ["process.stopped"]);
}

//! A run that is cut short: what was known is written, and nothing is left behind.
#![cfg(test)] // so that the lints know the helpers for test code

use super::place::{Ended, Place, SOON, check, ids, json};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::path::PathBuf;
use std::time::Duration;

/// The folder of the one run.
fn run_folder(place: &Place) -> Option<PathBuf> {
    let mut runs = std::fs::read_dir(place.join("out")).ok()?.flatten().map(|e| e.path());
    runs.find(|p| p.is_dir() && !p.is_symlink())
}

/// Until both talkers are in the call: they say so in their logs.
pub(crate) async fn in_the_call(place: &Place) {
    let joined = |name: &str| {
        let log = run_folder(place).map(|f| f.join(format!("call/{name}.stderr.jsonl")));
        log.and_then(|f| std::fs::read_to_string(f).ok()).is_some_and(|text| text.contains("client.joined"))
    };
    let both = async {
        while !(joined("a") && joined("b") && joined("c")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, both).await.expect("the call did not begin");
}

/// Starts a long call in a group of its own, hits it in the middle.
async fn hit(place: &Place, signal: Signal, group: bool) -> Ended {
    let mut command = place.command(&["run", "--out", "out", "--duration", "60s"]);
    let child = command.process_group(0).spawn().unwrap();
    let pid = Pid::from_raw(child.id().unwrap().cast_signed());
    in_the_call(place).await;
    assert!(place.left().len() >= 5, "harness, server and clients: {:?}", place.left());
    if group { killpg(pid, signal) } else { kill(pid, signal) }.unwrap();
    place.end(child).await
}

#[tokio::test]
async fn several_scenarios_cut_short_are_not_called_well() {
    let place = Place::new();
    let child = place.command(&["run", "--out", "out", "--repeat", "3", "--duration", "60s"]).spawn().unwrap();
    let pid = Pid::from_raw(child.id().unwrap().cast_signed());
    let begun = async {
        while !run_folder(&place).is_some_and(|run| run.join("call-001/a.stderr.jsonl").is_file()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, begun).await.expect("the first call did not begin");
    kill(pid, Signal::SIGINT).unwrap();
    let ended = place.end(child).await;
    assert_eq!(ended.code, Some(130), "{ended:?}");
    let verdict = &place.report()["verdict"];
    let sentence = verdict["sentence"].as_str().unwrap();
    assert_eq!(verdict["status"], "unknown", "{sentence}");
    assert!(sentence.starts_with("cut short: SIGINT; 1 of 3 runs were begun"), "{sentence}");
}

async fn cut_short(signal: Signal, group: bool, code: i32) {
    let place = Place::new();
    let ended = hit(&place, signal, group).await;
    assert_eq!(ended.code, Some(code), "{ended:?}");
    let report = place.report();
    assert_eq!(
        (report["exit_code"].as_i64(), report["verdict"]["status"].as_str()),
        (Some(code.into()), Some("unknown"))
    );
    let sentence = report["verdict"]["sentence"].as_str().unwrap();
    assert!(sentence.contains(&format!("cut short: {signal}")), "{sentence}");
    assert!(ended.stdout.contains("cut short"), "{}", ended.stdout);
    assert!(place.read("report.md").starts_with("**UNKNOWN** cut short"));
    for id in ["bind.kernel/netlink", "bind.kernel/proc", "tcp.connect", "session.hello", "process.no_orphans"] {
        assert_eq!(check(&report, id)["status"], "pass", "{}", check(&report, id));
    }
    assert_eq!(ids(&report, "fail"), [] as [&str; 0], "nobody is to blame");
    assert!(place.read("junit.xml").contains("<error") && place.read("call/report.md").contains("cut short"));
    let evidence = json(&place.read("call/evidence.json"));
    let seen = |kind: &str| evidence["observations"].as_array().unwrap().iter().filter(|o| o["kind"] == kind).count();
    assert!(seen("interrupted") == 1 && seen("process_exited") == 4 && seen("socket_table") >= 4, "{evidence}");
}

#[tokio::test]
async fn sigint_in_the_middle() {
    cut_short(Signal::SIGINT, false, 130).await;
}

#[tokio::test]
async fn sigterm_in_the_middle() {
    cut_short(Signal::SIGTERM, false, 143).await;
}

#[tokio::test]
async fn ctrl_c_hits_the_whole_group() {
    cut_short(Signal::SIGINT, true, 130).await;
}

#[tokio::test]
async fn sigkill_leaves_no_process() {
    let place = Place::new();
    // `end` fails if anything is left
    let ended = hit(&place, Signal::SIGKILL, false).await;
    assert_eq!(ended.code, None, "{ended:?}");
    let log = std::fs::read_to_string(run_folder(&place).unwrap().join("call/server.stderr.jsonl")).unwrap();
    assert!(log.contains("listener.bound"), "what was logged until then is kept");
}

#[tokio::test]
async fn sigkill_of_the_whole_group_leaves_no_process() {
    let place = Place::new();
    assert_eq!(hit(&place, Signal::SIGKILL, true).await.code, None);
}

#[tokio::test]
async fn an_interruption_at_any_moment_blames_nobody() {
    // moments of the start, one after the other: each must end well, whatever it hits
    for ms in [15, 25, 40, 60, 90, 130, 180, 250, 350, 500] {
        let place = Place::new();
        let child = place.command(&["run", "--out", "out", "--duration", "60s"]).spawn().unwrap();
        let begun = async {
            while run_folder(&place).is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(SOON, begun).await.unwrap();
        tokio::time::sleep(Duration::from_millis(ms)).await; // the moment itself, not a wait for something
        kill(Pid::from_raw(child.id().unwrap().cast_signed()), Signal::SIGINT).unwrap();
        let ended = place.end(child).await;
        assert_eq!(ended.code, Some(130), "after {ms} ms: {ended:?}");
        let report = place.report();
        let failed: Vec<_> = ids(&report, "fail").iter().map(|id| check(&report, id)["message"].to_string()).collect();
        assert_eq!(failed, [] as [String; 0], "after {ms} ms");
    }
}

//! Negative controls: a call against a server that misbehaves must fail, and say what is wrong.
#![cfg(test)] // so that the lints know the helpers for test code

use super::place::{Place, call_toml, causes, check, ids, list, saboteur, sidetone};
use serde_json::Value;

/// A kind of sabotage, the cause that must be found, and words of the first sentence.
struct Control {
    switch: &'static str,
    cause: &'static str,
    sentence: &'static [&'static str],
    /// Checks that must be named as consequences.
    consequences: &'static [&'static str],
}

async fn fails(control: &Control) {
    let place = Place::new();
    let sabotage = format!("mdns = true\nargs = [\"--sabotage\", \"{}\"]", control.switch);
    let scenario = place.write("call.toml", &call_toml().replace("mdns = true", &sabotage));
    let ended = place.run(&[&scenario, "--duration", "2s", "--sidetone", saboteur().to_str().unwrap()]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = place.report();
    let verdict = &report["verdict"];
    let sentence = verdict["sentence"].as_str().unwrap();
    assert_eq!((verdict["status"].as_str(), causes(&report)), (Some("fail"), vec![control.cause]), "{sentence}");
    for words in control.sentence {
        assert!(sentence.contains(words), "{words:?} is missing: {sentence}");
    }
    let first = place.read("report.md").lines().next().unwrap().to_owned();
    assert!(first.starts_with("**FAIL** ") && first.contains(control.sentence[0]), "{first}");
    assert!(ended.stdout.trim_end().lines().last().is_some(), "{ended:?}");
    explained(&report, control);
    let junit = place.read("junit.xml");
    assert!(junit.contains("<failure") && !junit.contains("failures=\"0\""), "{junit}");
}

/// Everything that fails is explained by the one cause, and nothing else is in doubt.
fn explained(report: &Value, control: &Control) {
    assert_eq!(ids(report, "unknown"), [] as [&str; 0]);
    for id in ids(report, "fail") {
        assert_eq!(check(report, id)["caused_by"], control.cause, "{id}: {}", check(report, id)["message"]);
    }
    for id in control.consequences {
        assert_eq!(check(report, id)["status"], "fail", "{}", check(report, id));
    }
    let chain = list(&report["reports"][0]["findings"][0]["chain"]);
    assert!(!chain.is_empty() && chain.iter().all(|link| !list(&link["evidence"]).is_empty()), "{chain:?}");
}

#[tokio::test]
async fn a_server_that_mutes() {
    fails(&Control {
        switch: "mute",
        cause: "media.silence",
        sentence: &["nobody hears anything", "packets of sound reached the server, it sent 0"],
        consequences: &["media.hears/a", "media.hears/b", "media.hears/c", "media.concealment/a"],
    })
    .await;
}

#[tokio::test]
async fn a_server_that_swaps_speakers() {
    fails(&Control {
        switch: "swap",
        cause: "media.echo",
        sentence: &["a and b hear themselves", "a's own 440 Hz", "b's own 660 Hz"],
        consequences: &["media.hears/a", "media.hears/b", "media.hears/c"],
    })
    .await;
}

#[tokio::test]
async fn a_server_that_loops_speakers_back() {
    fails(&Control {
        switch: "loopback",
        cause: "media.echo",
        sentence: &["a and b hear themselves", "a's own 440 Hz", "b's own 660 Hz"],
        consequences: &["media.hears/a", "media.hears/b"],
    })
    .await;
}

#[tokio::test]
async fn a_server_that_drops_pictures() {
    fails(&Control {
        switch: "drop-pictures",
        cause: "media.no_video_frame",
        sentence: &["nobody sees anybody", "pictures reached the server, it sent 0"],
        consequences: &[
            "media.picture/a/b",
            "media.picture/b/a",
            "media.picture/c/a",
            "media.snapshot/c",
            "process.exit/c",
        ],
    })
    .await;
}

#[tokio::test]
async fn a_server_that_leaks_a_descriptor_at_each_join() {
    fails(&Control {
        switch: "leak-descriptor",
        cause: "resource.fd_limit",
        sentence: &["the server leaks descriptors", "3 leaked"],
        consequences: &["resource.descriptors"],
    })
    .await;
}

#[tokio::test]
async fn a_server_that_claims_a_listener_that_is_not_there() {
    fails(&Control {
        switch: "phantom-listener",
        cause: "log.contradicts_observation",
        sentence: &["listens, the kernel says no", "the log says that 127.0.0.1:"],
        consequences: &["bind.log_agrees", "bind.kernel/netlink", "bind.kernel/proc", "tcp.connect"],
    })
    .await;
}

#[tokio::test]
async fn the_same_binary_without_sabotage_passes() {
    let place = Place::new();
    let scenario = place.write("call.toml", &call_toml());
    let ended = place.run(&[&scenario, "--duration", "2s", "--sidetone", saboteur().to_str().unwrap()]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(causes(&place.report()), [] as [&str; 0]);
}

#[tokio::test]
async fn the_shipped_binary_knows_no_sabotage() {
    let place = Place::new();
    let mut command = tokio::process::Command::new(sidetone());
    command.args(["server", "--port", "0", "--websocket-port", "0", "--no-mdns", "--sabotage", "mute"]);
    place.prepare(&mut command);
    let ended = place.end(command.spawn().unwrap()).await;
    assert!(ended.code == Some(2) && ended.stderr.contains("--sabotage"), "{ended:?}");
}

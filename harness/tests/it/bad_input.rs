//! Whatever is wrong with what the harness is given: a clear message, the right exit code, nothing left behind.
#![cfg(test)] // so that the lints know the helpers for test code

use super::place::{Ended, Place, call_toml, check, json, list, sidetone};
use std::path::PathBuf;

/// Usage and scenario errors: exit code 2, words of the message, and nothing ran.
async fn refused(place: &Place, args: &[&str], words: &[&str]) {
    let ended = place.run(args).await;
    assert_eq!(ended.code, Some(2), "{args:?}: {ended:?}");
    for word in words {
        assert!(ended.stderr.contains(word), "{word:?} is missing for {args:?}: {}", ended.stderr);
    }
    assert!(ended.stdout.is_empty() && !place.join("out").exists(), "{args:?} ran something: {ended:?}");
}

#[tokio::test]
async fn scenarios_that_are_wrong() {
    let place = Place::new();
    let changed = |name: &str, old: &str, new: &str| {
        let text = call_toml();
        assert!(text.contains(old), "{old:?} is no part of call.toml");
        place.write(name, &text.replacen(old, new, 1))
    };
    let unknown = changed("unknown.toml", "timeout =", "timeuot =");
    refused(&place, &[&unknown], &["unknown.toml:5", "timeuot", "did you mean \"timeout\"?"]).await;
    let port = changed("port.toml", "mdns = true", "args = [\"--port\", \"70000\"]");
    refused(&place, &[&port], &["port.toml", "--port 70000", "0 to 65535"]).await;
    let media = changed("media.toml", "tone:440", "wav:none.wav");
    refused(&place, &[&media], &["media.toml", "none.wav", "No such file"]).await;
    let nobody = changed("nobody.toml", "hears = [\"b\"]", "hears = [\"bb\"]");
    refused(&place, &[&nobody], &["nobody.toml", "there is no client \"bb\""]).await;
    let text = place.write("text.toml", "this is no scenario");
    refused(&place, &[&text], &["text.toml:1"]).await;
    let short = changed("short.toml", "duration = \"3s\"", "duration = \"300ms\"");
    refused(&place, &[&short], &["short.toml", "at least 1s"]).await;
    refused(&place, &["call", "--duration", "300ms"], &["--duration", "at least 1s"]).await;
    let none = place.arg("none.toml");
    refused(&place, &[&none], &["none.toml", "no such scenario or file", "shipped: call"]).await;
    refused(&place, &["cal"], &["cal: no such scenario", "did you mean \"call\"?"]).await;
    let twin = place.write("twin.toml", &call_toml());
    refused(&place, &["call", &twin], &["twin.toml", "two scenarios of the name \"call\"", "rename"]).await;
    let browser = changed("browser.toml", "transport = \"tcp\"", "kind = \"browser\"\ntransport = \"tcp\"");
    refused(&place, &[&browser], &["browser.toml", "client \"a\"", "websocket transport"]).await;
    let way = changed("way.toml", "transport = \"tcp\"\n", "");
    refused(&place, &[&way], &["way.toml", "transport is missing"]).await;
    let step = format!("{}\n[[step]]\nafter = \"1s\"\nclient = \"x\"\ndo = \"mute\"\n", call_toml());
    refused(&place, &[&place.write("step.toml", &step)], &["step.toml", "there is no client \"x\""]).await;
    let late = step.replace("\"x\"", "\"a\"").replace("after = \"1s\"", "after = \"9s\"");
    refused(&place, &[&place.write("late.toml", &late)], &["late.toml", "less than the duration"]).await;
    let fault = format!("{}\n[[fault]]\nkind = \"deny_capture\"\nclient = \"a\"\n", call_toml());
    refused(&place, &[&place.write("fault.toml", &fault)], &["fault.toml", "\"a\"", "of kind \"browser\""]).await;
    let restart = format!("{}\n[[fault]]\nkind = \"restart_server\"\nafter = \"2s\"\ndown = \"2s\"\n", call_toml());
    refused(&place, &[&place.write("restart.toml", &restart)], &["restart.toml", "less than the duration"]).await;
    std::fs::create_dir(place.join("empty")).unwrap();
    refused(&place, &[&place.arg("empty")], &["empty", "no scenario"]).await;
}

#[tokio::test]
async fn options_that_are_wrong() {
    let place = Place::new();
    refused(&place, &["--sidetone", "/nowhere"], &["--sidetone /nowhere", "no such file", "cargo build"]).await;
    refused(&place, &["--report", "nonsense=x"], &["nonsense", "markdown, json, junit"]).await;
    refused(&place, &["--report", "jsn=x"], &["did you mean \"json\"?"]).await;
    refused(&place, &["--report", "json"], &["FORMAT=PATH"]).await;
    refused(&place, &["--report", "json="], &["the path is missing"]).await;
    refused(&place, &["--keep", "0"], &["--keep"]).await;
    refused(&place, &["--repeat", "0"], &["--repeat"]).await;
    refused(&place, &["--timeout", "soon"], &["--timeout", "500ms"]).await;
    refused(&place, &["--sabotage"], &["--sabotage"]).await;
    // a browser that was named and is not there is no reason to skip
    refused(&place, &["call-browser", "--browser", "/nowhere"], &["/nowhere", "--browser", "install chromium"]).await;
}

/// `call` with a server that is something else.
async fn with_sidetone(place: &Place, program: &str) -> Ended {
    let scenario = place.write("call.toml", &call_toml());
    place.run(&[&scenario, "--sidetone", program]).await
}

/// The check fails with these words, which are in the verdict too.
fn failed(place: &Place, ended: &Ended, id: &str, words: &[&str]) {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = place.report();
    let check = check(&report, id);
    let (message, verdict) = (check["message"].as_str().unwrap(), report["verdict"]["sentence"].as_str().unwrap());
    assert_eq!(check["status"], "fail", "{check}");
    for word in words {
        assert!(message.contains(word) && verdict.contains(word), "{word:?} is missing: {message} | {verdict}");
    }
    assert!(place.read("report.md").starts_with("**FAIL** "));
}

#[tokio::test]
async fn a_sidetone_that_cannot_be_executed() {
    let place = Place::new();
    let text = place.write("text", "not a program");
    let ended = with_sidetone(&place, &text).await;
    failed(&place, &ended, "process.started/server", &["text could not be started", "Permission denied"]);
    assert!(ended.stdout.contains("--sidetone PATH"), "the remedy: {}", ended.stdout);
    assert!(place.report()["reports"][0]["run"]["sidetone_version"].is_null());
}

#[tokio::test]
async fn a_sidetone_that_is_a_text_file() {
    let place = Place::new();
    let text = place.script("text", "");
    std::fs::write(&text, "just-some-words in a text\n").unwrap();
    // the system gives a text without #! to a shell, as any shell would
    let ended = with_sidetone(&place, &text).await;
    failed(&place, &ended, "process.ready", &["exit code 127", "just-some-words", "not found"]);
}

#[tokio::test]
async fn a_sidetone_that_ends_at_once() {
    let place = Place::new();
    let program = place.script("program", "echo 'the licence has expired' >&2; exit 9");
    let ended = with_sidetone(&place, &program).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = place.report();
    let verdict = report["verdict"]["sentence"].as_str().unwrap();
    assert!(verdict.contains("exit code 9") && verdict.contains("the licence has expired"), "{verdict}");
    assert_eq!(check(&report, "process.ready")["status"], "fail");
}

#[tokio::test]
async fn a_sidetone_that_prints_garbage_and_never_gets_ready() {
    let place = Place::new();
    let program = place.script("program", "while :; do echo '{\"garbage'; echo '\\001\\377' >&2; sleep 0.1; done");
    let scenario = place.write("call.toml", &call_toml().replace("timeout = \"30s\"", "timeout = \"5s\""));
    let ended = place.run(&[&scenario, "--sidetone", &program]).await;
    assert_eq!(ended.code, Some(124), "{ended:?}");
    let report = place.report();
    let verdict = report["verdict"]["sentence"].as_str().unwrap();
    for words in ["no ready line within", "the run was cut short: the scenario's deadline of 5000 ms"] {
        assert!(verdict.contains(words), "{words:?} is missing: {verdict}");
    }
}

#[tokio::test]
async fn a_sidetone_that_gets_ready_and_dies() {
    let place = Place::new();
    let ready = r#"{"ready":true,"name":"x","pid":1,"tcp":["127.0.0.1:1"],"websocket":["127.0.0.1:1"],"websocket_path":"/ws","degraded":[],"startup_us":1}"#;
    let program = place.script("program", &format!("echo '{ready}'; exec kill -9 $$"));
    let ended = with_sidetone(&place, &program).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = place.report();
    let verdict = report["verdict"]["sentence"].as_str().unwrap();
    assert!(verdict.contains("ended the server (pid ") && verdict.contains("with SIGKILL"), "{verdict}");
    assert_eq!(check(&report, "process.ready")["status"], "pass");
    for id in ["process.exit/server", "tcp.connect"] {
        assert_eq!(check(&report, id)["status"], "fail", "{}", check(&report, id));
    }
    assert_eq!(check(&report, "session.hello")["status"], "skip", "nothing above TCP can be asked");
}

/// A server alone: nothing in it is a matter of milliseconds.
fn alone(place: &Place) -> String {
    place.write("alone.toml", "name = \"alone\"\n[server]\nbind = [\"127.0.0.1\"]\n")
}

#[tokio::test]
async fn a_report_that_cannot_be_written_does_not_stop_the_others() {
    let place = Place::new();
    let (markdown, alone) = (format!("markdown={}", place.arg("copy.md")), alone(&place));
    let ended = place.run(&[&alone, "--report", "json=/nowhere/x.json", "--report", &markdown]).await;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stderr.contains("not written: /nowhere/x.json: ENOENT (No such file"), "{}", ended.stderr);
    assert!(ended.stdout.contains("PASS"), "{}", ended.stdout);
    assert_eq!(std::fs::read_to_string(place.join("copy.md")).unwrap(), place.read("report.md"));
    assert_eq!(place.report()["verdict"]["status"], "pass");
}

#[tokio::test]
async fn json_on_stdout_is_json_and_nothing_else() {
    let place = Place::new();
    let ended = place.run(&[&alone(&place), "--seed", "4711", "--report", "json=-"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(json(&ended.stdout), place.report());
    assert_eq!(place.report()["reports"][0]["run"]["seed"], 4711);
    let reproduce = list(&place.report()["reports"][0]["reproduce"])[0].clone();
    assert!(reproduce.as_str().unwrap().contains("--seed 4711"), "{reproduce}");
    assert!(place.read("report.md").contains("| 4711"));
}

#[tokio::test]
async fn a_warning_fails_only_when_strict() {
    let place = Place::new();
    let scenario = place.write("call.toml", &format!("{}\n[limits]\nrss_growth_bytes = 0\n", call_toml()));
    let lax = place.run(&[&scenario, "--duration", "1s"]).await;
    assert_eq!(lax.code, Some(0), "{lax:?}");
    let strict = place.run(&[&scenario, "--duration", "1s", "--strict"]).await;
    assert_eq!(strict.code, Some(1), "{strict:?}");
    assert_eq!(check(&place.report(), "resource.memory")["status"], "warn");
    assert!(place.read("report.md").starts_with("**WARN** "), "the report says what was observed");
}

#[tokio::test]
async fn a_deadline_cuts_the_call_short_and_the_report_is_written() {
    let place = Place::new();
    let ended = place.run(&["--duration", "25s", "--timeout", "8s"]).await;
    assert_eq!(ended.code, Some(124), "{ended:?}");
    let report = place.report();
    assert_eq!(report["exit_code"], 124);
    let verdict = report["verdict"]["sentence"].as_str().unwrap();
    assert!(verdict.contains("cut short: the deadline of the run (--timeout)"), "{verdict}");
    assert_eq!(check(&report, "bind.kernel/proc")["status"], "pass");
    assert!(place.read("call/evidence.json").contains("interrupted") && place.read("junit.xml").contains("<error"));
}

#[tokio::test]
async fn repeats_are_aggregated() {
    let place = Place::new();
    let ended = place.run(&[&alone(&place), "--repeat", "2", "--seed", "7"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report = place.report();
    let summary = &report["scenarios"][0];
    assert_eq!((summary["name"].as_str(), summary["repeats"].as_u64()), (Some("alone"), Some(2)), "{summary}");
    let counted: u64 = summary["by_status"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(counted, 2, "{summary}");
    for (folder, seed) in [("alone-001", 7), ("alone-002", 8)] {
        let evidence = json(&place.read(&format!("{folder}/evidence.json")));
        assert_eq!(evidence["run"]["seed"], seed, "a repeat has a seed of its own");
    }
    let first = place.read("report.md").lines().next().unwrap().to_owned();
    assert!(first.contains("2 runs of alone"), "{first}");
}

#[tokio::test]
async fn without_a_sidetone_beside_it_the_harness_says_what_to_do() {
    let place = Place::new();
    let alone: PathBuf = place.join("sidetone-harness");
    std::fs::copy(super::place::harness(), &alone).unwrap();
    let mut command = tokio::process::Command::new(&alone);
    command.args(["run", "--out", "out"]).env("PATH", "/nowhere");
    place.prepare(&mut command);
    let ended = place.end(command.spawn().unwrap()).await;
    assert!(ended.code == Some(2) && ended.stderr.contains("--sidetone PATH"), "{ended:?}");
    std::os::unix::fs::symlink(sidetone(), place.join("sidetone")).unwrap();
    let mut command = tokio::process::Command::new(&alone);
    command.args(["run", "--list"]);
    place.prepare(&mut command);
    let ended = place.end(command.spawn().unwrap()).await;
    assert!(ended.code == Some(0) && ended.stdout.contains("call-speech"), "{ended:?}");
}

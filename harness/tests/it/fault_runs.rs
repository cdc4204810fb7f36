//! Scenarios that break something: what they must find although the log is of no help, and when they must say nothing.
#![cfg(test)] // so that the lints know the helpers for test code

use super::disk::{as_nobody, for_everybody, possible};
use super::offline::{cited, diagnose};
use super::place::{Ended, Place, causes, check, harness, ids, list, sidetone};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// A server alone, whose WebSocket port is held; `more` goes to the fault, `policy` to the server.
fn held(policy: &str, more: &str) -> String {
    format!(
        "name = \"held\"\ntimeout = \"90s\"\n[server]\nready_within = \"80s\"\nbind = [\"127.0.0.1\"]\n\
         args = [\"--on-bind-failure\", \"{policy}\"]\n[[fault]]\nkind = \"hold_port\"\nlistener = \"websocket\"\n\
         by = \"listener\"\n{more}\n[expect]\ncause = \"bind.port_in_use\"\n"
    )
}

fn sentence(report: &Value) -> &str {
    report["verdict"]["sentence"].as_str().unwrap()
}

/// The scenario says nothing: neither passed nor failed, with the reason, and an exit code of its own.
fn says_nothing(place: &Place, ended: &Ended, why: &str) {
    assert_eq!(ended.code, Some(4), "{ended:?}");
    let report = place.report();
    assert_eq!(report["verdict"]["status"], "unknown", "{report}");
    assert!(sentence(&report).contains(why), "{why:?} is missing: {}", sentence(&report));
    assert_eq!(check(&report, "harness.fault")["status"], "unknown");
    assert!(place.read("report.md").starts_with("**UNKNOWN** nothing is known"), "{}", place.read("report.md"));
    let junit = place.read("junit.xml");
    assert!(junit.contains("<error") && junit.contains("failures=\"0\""), "{junit}");
}

#[tokio::test]
async fn a_port_that_is_free_again_says_nothing() {
    let place = Place::new();
    let scenario = place.write("held.toml", &held("degrade", "ends_after = \"0s\""));
    let ended = place.run(&[&scenario]).await;
    says_nothing(&place, &ended, "was free again when the server asked for it");
}

#[tokio::test]
async fn without_a_server_that_misbehaves_its_scenarios_say_nothing() {
    let place = Place::new();
    // copies, beside which there is no such server
    for_everybody(&place);
    let mut command = tokio::process::Command::new(place.join("sidetone-harness"));
    command.args(["run", "--out", "out", "claims-to-listen"]);
    place.prepare(&mut command);
    let ended = place.end(command.spawn().unwrap()).await;
    says_nothing(&place, &ended, "`make sabotage` builds one");
    let none = place.run(&["claims-to-listen", "--saboteur", "/nowhere/sidetone"]).await;
    assert!(none.code == Some(2) && none.stderr.contains("--saboteur /nowhere/sidetone"), "{none:?}");
}

#[tokio::test]
async fn without_the_right_to_a_network_of_its_own_a_scenario_says_nothing() {
    let switch = "echo 0 > /proc/sys/user/max_user_namespaces";
    let drop = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"];
    if !possible("unshare", &["-Ur", "sh", "-c", &format!("{switch}; {} true", drop.join(" "))], "a missing right")
        .await
    {
        return;
    }
    let place = Place::new();
    let mut command = tokio::process::Command::new("unshare");
    command.args(["-Ur", "sh", "-c", &format!("{switch}; exec {} \"$@\"", drop.join(" ")), "sh"]);
    command.arg(harness()).args(["run", "--out", "out", "no-server"]);
    place.prepare(&mut command);
    let ended = place.end(command.spawn().unwrap()).await;
    says_nothing(&place, &ended, "max_user_namespaces");
}

#[tokio::test]
async fn a_holder_that_ends_while_it_is_looked_at_is_still_named() {
    let place = Place::new();
    let call = "[[client]]\nname = \"a\"\ntransport = \"tcp\"\nfamily = \"ipv4\"\nmic = \"tone:440\"\n";
    let text = held("degrade", "ends_after = \"5s\"").replace("[expect]", &format!("{call}[expect]"));
    let scenario = place.write("held.toml", &text);
    // it outlives the start of the server, and ends before the call does
    let ended = place.run(&[&scenario, "--duration", "6s"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report = place.report();
    assert_eq!(causes(&report), ["bind.port_in_use"]);
    let told = sentence(&report);
    assert!(told.contains("(sidetone-harness) listened on 127.0.0.1:") && told.contains("it is free again"), "{told}");
    let finding = &report["reports"][0]["findings"][0];
    let moment = list(&finding["hypotheses"]).iter().find(|h| h["statement"] == "a passing condition");
    assert_eq!(moment.unwrap()["state"], "confirmed");
}

/// A server that logs what `instead` writes and nothing else.
async fn with_log(place: &Place, instead: &str) -> Ended {
    let real = sidetone();
    let real = real.to_str().unwrap();
    let body =
        format!("if [ \"$1\" = server ]; then\n{instead}\nexec {real} \"$@\" 2>/dev/null\nfi\nexec {real} \"$@\"");
    let program = place.script("program", &body);
    let scenario = place.write("held.toml", &held("degrade", ""));
    place.run(&[&scenario, "--sidetone", &program]).await
}

/// The kernel and the harness's own attempt name the cause, and the report says that the log did not.
fn found_without_the_log(place: &Place, ended: &Ended) {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report = place.report();
    assert_eq!(causes(&report)[0], "bind.port_in_use", "{}", sentence(&report));
    let told = sentence(&report);
    assert!(told.contains("(sidetone-harness hold --by listener"), "{told}");
    let chain = list(&report["reports"][0]["findings"][0]["chain"]);
    let says = |words: &str| chain.iter().any(|link| link["statement"].as_str().unwrap().contains(words));
    assert!(says("the server's log does not say so"), "{chain:#?}");
}

#[tokio::test]
async fn a_log_that_is_empty() {
    let place = Place::new();
    let ended = with_log(&place, "").await;
    found_without_the_log(&place, &ended);
    assert_eq!(check(&place.report(), "bind.no_failure")["status"], "unknown", "no word of a bind is no success");
}

#[tokio::test]
async fn a_log_that_is_binary() {
    let place = Place::new();
    let ended = with_log(&place, "head -c 300000 /dev/urandom >&2").await;
    found_without_the_log(&place, &ended);
    assert_eq!(check(&place.report(), "log.structured")["status"], "warn");
}

#[tokio::test]
async fn a_log_of_a_gigabyte() {
    let place = Place::new();
    let line = "x".repeat(1_000);
    let ended = with_log(&place, &format!("yes {line} | head -c 1073741824 >&2")).await;
    found_without_the_log(&place, &ended);
    let log = std::fs::metadata(place.latest("held/server.stderr.jsonl")).unwrap().len();
    assert!(log <= 300 << 20, "{log} bytes are kept");
}

#[tokio::test]
async fn a_log_that_claims_everything_is_fine() {
    let place = Place::new();
    let claim = r#"for word in "$@"; do [ "$last" = --websocket-port ] && port=$word; last=$word; done
printf '{"time":"2026-11-24T12:00:00.000000Z","monotonic_ns":1,"level":"INFO","source":"a.rs:1","pid":%d,"event":"listener.bound","fields":{"listener":"websocket","address":"127.0.0.1:%d","family":"ipv4","asked":"127.0.0.1:%d","backlog":1024},"message":"websocket listens on 127.0.0.1:%d"}\n' $$ $port $port $port >&2"#;
    let ended = with_log(&place, claim).await;
    found_without_the_log(&place, &ended);
    let report = place.report();
    assert!(causes(&report).contains(&"log.contradicts_observation"), "{:?}", causes(&report));
    let agrees = &check(&report, "bind.log_agrees")["message"];
    assert!(agrees.as_str().unwrap().contains("the kernel says that pid"), "{agrees}");
}

#[tokio::test]
async fn two_faults_are_both_named_and_neither_takes_the_other_s_consequences() {
    let place = Place::new();
    let more = "[[fault]]\nkind = \"hold_port\"\nlistener = \"tcp\"\nby = \"listener\"\non = [\"::1\"]\n\
                [[fault]]\nkind = \"signal\"\nprocess = \"server\"\nsignal = \"SIGSTOP\"\n";
    let text = held("degrade", more).replace("[\"127.0.0.1\"]\nargs", "[\"127.0.0.1\", \"::1\"]\nargs");
    let text = text.replace("timeout", "patience = \"600ms\"\ntimeout");
    let scenario = place.write("held.toml", &text.replace("bind.port_in_use", "process.stopped"));
    let ended = place.run(&[&scenario]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report = place.report();
    assert_eq!(causes(&report), ["process.stopped", "bind.port_in_use", "bind.port_in_use"]);
    let findings = list(&report["reports"][0]["findings"]);
    let says = |i: usize, words: &str| findings[i]["summary"].as_str().unwrap().contains(words);
    assert!(
        says(1, "TCP clients over IPv6") && says(1, "WebSocket clients and browsers over IPv4"),
        "{}",
        findings[1]["summary"]
    );
    assert_eq!(check(&report, "bind.no_failure")["caused_by"], "bind.port_in_use", "it failed before the stop");
    assert_eq!(check(&report, "session.hello")["caused_by"], "process.stopped");
}

#[tokio::test]
async fn the_same_report_again_from_the_evidence_of_a_fault() {
    let place = Place::new();
    let run = place.run(&["websocket-port-held"]).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    let report = place.report();
    assert_eq!((causes(&report), ids(&report, "unknown")), (vec!["bind.port_in_use"], vec![]));
    assert!(
        list(&report["reports"][0]["follow_ups"]).len() >= 8 && list(&report["reports"][0]["considered"]).len() == 6
    );
    cited(&place, "websocket-port-held");
    let file = place.latest("websocket-port-held/evidence.json");
    let again = diagnose(&place, file.to_str().unwrap(), &["--format", "markdown"]).await;
    assert_eq!((again.code, again.stdout), (run.code, place.read("websocket-port-held/report.md")));
    let json = diagnose(&place, file.to_str().unwrap(), &["--format", "json"]).await;
    let again: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(again["reports"], report["reports"], "finding for finding");
}

#[tokio::test]
async fn everything_is_also_true_for_an_ordinary_user() {
    if !possible(
        "setpriv",
        &["--reuid=65534", "--clear-groups", "unshare", "-Urn", "true"],
        "faults as an ordinary user",
    )
    .await
    {
        return;
    }
    let place = Place::new();
    for_everybody(&place);
    std::fs::set_permissions(place.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let scenarios = ["websocket-port-held", "privileged-port", "wildcard-conflict", "no-server", "server-stopped"];
    let ended = as_nobody(&place, &[&["--out", "out"], &scenarios[..]].concat()).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// A call of a minute in a network of its own.
fn isolated_call(place: &Place) -> String {
    let text = super::place::call_toml().replace("duration = \"3s\"", "duration = \"60s\"");
    place.write("call.toml", &text.replace("timeout = \"30s\"", "timeout = \"90s\"\nnetwork = \"private\""))
}

async fn hit_in_a_private_network(signal: Signal) -> Option<(Place, Ended)> {
    if !possible("unshare", &["-n", "true"], "a run in a network of its own").await {
        return None;
    }
    let place = Place::new();
    let scenario = isolated_call(&place);
    let child = place.command(&["run", "--out", "out", &scenario]).spawn().unwrap();
    super::interrupts::in_the_call(&place).await;
    kill(Pid::from_raw(child.id().unwrap().cast_signed()), signal).unwrap();
    let ended = place.end(child).await;
    Some((place, ended))
}

#[tokio::test]
async fn a_run_in_a_network_of_its_own_ends_when_it_is_told_to() {
    let Some((place, ended)) = hit_in_a_private_network(Signal::SIGINT).await else { return };
    assert_eq!(ended.code, Some(130), "{ended:?}");
    let report = place.report();
    assert!(sentence(&report).contains("cut short: SIGINT"), "{}", sentence(&report));
    assert_eq!(check(&report, "bind.kernel/netlink")["status"], "pass", "the namespace's own table was read");
}

#[tokio::test]
async fn nothing_of_a_private_network_outlives_a_killed_harness() {
    // `Place::end` fails if anything is left
    let Some((_, ended)) = hit_in_a_private_network(Signal::SIGKILL).await else { return };
    assert_eq!(ended.code, None, "{ended:?}");
}

#[tokio::test]
async fn causes_are_explained() {
    let place = Place::new();
    let one = place.harness(&["explain", "bind.port_taken_by_outgoing"]).await;
    assert!(one.code == Some(0) && one.stdout.contains("ip_local_port_range"), "{one:?}");
    let all = place.harness(&["explain"]).await;
    for code in ["bind.port_in_use", "process.stopped", "media.underrun_late_data"] {
        assert!(all.stdout.contains(code), "{}", all.stdout);
    }
    let wrong = place.harness(&["explain", "bind.port_in_usee"]).await;
    assert!(wrong.code == Some(2) && wrong.stderr.contains("bind.port_in_use") && wrong.stdout.is_empty(), "{wrong:?}");
    let end = place.harness(&["run", "--list"]).await;
    assert!(end.stdout.contains("websocket-port-outgoing") && end.stdout.contains("faults"), "{}", end.stdout);
}

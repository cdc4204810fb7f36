//! The command line of `probe`: rounds, waiting, comparison, thresholds, files, secrets, signals.
#![cfg(test)] // so that the lints know the helpers for test code

use super::place::{Ended, Place, SOON, json, root, sidetone};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

/// The arguments of a probe whose layers may take long, unless they say otherwise: what comes is waited for.
pub(crate) fn patient<'a>(args: &[&'a str]) -> Vec<&'a str> {
    let patience: &[&str] = if args.contains(&"--timeout") { &[] } else { &["--timeout", "30s"] };
    [&["probe"], patience, args].concat()
}

async fn probe(place: &Place, args: &[&str]) -> Ended {
    let child = place.command(&patient(args)).spawn().unwrap();
    // not `Place::end`: a server may still run
    tokio::time::timeout(SOON, child.wait_with_output()).await.expect("the probe did not end").unwrap().into()
}

/// A server with the addresses of its two listeners.
async fn server(place: &Place, more: &[&str]) -> (Child, SocketAddr, SocketAddr) {
    let mut command = Command::new(sidetone());
    command.args(["server", "--port", "0", "--websocket-port", "0", "--no-mdns", "--bind", "127.0.0.1"]);
    command.args(["--log-format", "json"]).args(more);
    place.prepare(&mut command);
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = tokio::time::timeout(SOON, lines.next_line()).await.unwrap().unwrap().unwrap();
    let address = |kind: &str| json(&ready)[kind][0].as_str().unwrap().parse().unwrap();
    (child, address("tcp"), address("websocket"))
}

/// A port on which nobody listens.
fn dead() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Closes every connection, and tells of each.
fn closing() -> (SocketAddr, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            drop(stream);
            if tell.send(()).is_err() {
                break;
            }
        }
    });
    (address, told)
}

/// Sends back what it gets.
fn parrot() -> SocketAddr {
    late(0)
}

/// Closes so many connections, then sends back what it gets on each.
fn late(closed: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok).skip(closed) {
            std::thread::spawn(move || {
                let mut bytes = [0; 1024];
                while let Ok(n @ 1..) = stream.read(&mut bytes) {
                    if stream.write_all(&bytes[..n]).is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn thresholds_are_checks_and_a_name_that_matches_nothing_is_an_error() {
    let place = Place::new();
    let (mut child, tcp, _) = server(&place, &[]).await;
    let target = format!("tcp://{tcp}");
    let kept = probe(&place, &["--max", "tcp.connect.p95=1h", "--max", "session.hello=1h", &target]).await;
    assert_eq!(kept.code, Some(0), "{kept:?}");
    assert!(kept.stdout.contains("tcp.connect.p95 at most"), "{}", kept.stdout);
    let broken = probe(&place, &["--max", "probe.total=0ms", &target]).await;
    assert_eq!(broken.code, Some(1), "{broken:?}");
    assert!(broken.stdout.lines().last().unwrap().contains("probe.total at most"), "{}", broken.stdout);
    for (args, part) in [
        (["--max", "tcp.conect=1s"], "did you mean \"tcp.connect\"?"),
        (["--min", "tls.expiry=14d"], "tls.expiry is not measured there"),
        (["--max", "echo.rtt=1s"], "it needs --deep"),
        (["--max", "tcp.connect=fast"], "write tcp.connect=50ms"),
    ] {
        let wrong = probe(&place, &[args[0], args[1], &target]).await;
        assert_eq!(wrong.code, Some(2), "{wrong:?}");
        assert!(wrong.stderr.contains(part) && wrong.stdout.is_empty(), "{}", wrong.stderr);
    }
    let unknown = format!("tcp://{}", dead());
    let not_measured = probe(&place, &["--max", "session.hello=1s", &unknown]).await;
    assert_eq!(not_measured.code, Some(1), "a failure is not hidden by an unknown: {not_measured:?}");
    child.kill().await.unwrap();
}

#[tokio::test]
async fn rounds_give_percentiles_and_json_keeps_its_schema() {
    let place = Place::new();
    let (mut child, tcp, _) = server(&place, &[]).await;
    let (prometheus, evidence) = (place.arg("figures.prom"), place.arg("evidence.json"));
    let target = format!("tcp://{tcp}");
    let args = ["--json", "--count", "5", "--interval", "10ms", "--prometheus", &prometheus, "--evidence", &evidence];
    let ended = probe(&place, &[&args[..], &[&target]].concat()).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report = json(&ended.stdout);
    let schema: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(root().join("fixtures/schema/report.schema.json")).unwrap())
            .unwrap();
    let errors: Vec<_> =
        jsonschema::validator_for(&schema).unwrap().iter_errors(&report).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(report["scenarios"][0]["repeats"], 5);
    let metrics = &report["reports"][0]["metrics"];
    for name in ["tcp.connect", "tcp.connect.p95", "session.hello.max"] {
        assert!(metrics[name]["value"].as_f64().is_some_and(|value| value > 0.0), "{name}: {metrics}");
    }
    let figures = std::fs::read_to_string(&prometheus).unwrap();
    assert!(figures.contains(&format!("sidetone_probe_success{{target=\"{target}\"}} 1")), "{figures}");
    assert!(figures.contains("sidetone_probe_tcp_connect_p95_seconds{"), "{figures}");
    let again = place.command(&["diagnose", &evidence]).output().await.map(Ended::from).unwrap();
    assert_eq!(again.code, Some(0), "{again:?}");
    let sentence = report["reports"][0]["verdict"]["sentence"].as_str().unwrap();
    let flat = again.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains(sentence), "offline it says the same: {sentence}\n{flat}");
    child.kill().await.unwrap();
}

#[tokio::test]
async fn it_waits_for_a_server_and_says_why_it_did_not_come() {
    let place = Place::new();
    let nobody = format!("tcp://{}", dead());
    let ended = probe(&place, &["--until", "healthy", "--for", "300ms", "--interval", "50ms", &nobody]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("NOT as expected: healthy within 0.3 s"), "{}", ended.stdout);
    let failing = probe(&place, &["--until", "failing", "--for", "1m", &nobody]).await;
    assert_eq!(failing.code, Some(0), "{failing:?}");
    let comes = late(2);
    let target = format!("tcp://{comes}");
    let args = ["--until", "healthy", "--for", "30s", "--interval", "20ms", "--send", "hi", "--expect", "hi", &target];
    let came = probe(&place, &args).await;
    assert_eq!(came.code, Some(0), "{came:?}");
    assert!(came.stdout.contains("As expected: healthy within 30 s"), "{}", came.stdout);
    let alone = probe(&place, &["--until", "healthy", &nobody]).await;
    assert_eq!(alone.code, Some(2), "{alone:?}");
}

#[tokio::test]
async fn targets_come_from_files_and_are_told_apart() {
    let place = Place::new();
    let (mut child, tcp, _) = server(&place, &[]).await;
    let nobody = dead();
    let text = format!("# ours\ntcp://{tcp} # the one\n\ntcp://{nobody}\n");
    let file = place.write("targets", &text);
    let ended = probe(&place, &["--targets", &file, "--json"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = json(&ended.stdout);
    let of = |index: usize| report["scenarios"][index]["verdict"]["status"].as_str().unwrap().to_owned();
    assert_eq!((of(0), of(1)), ("pass".to_owned(), "fail".to_owned()));
    assert_eq!(report["comparison"]["columns"].as_array().unwrap().len(), 2);

    let mut command = place.command(&["probe", "--targets", "-"]);
    let mut waiting = command.stdin(Stdio::piped()).spawn().unwrap();
    waiting.stdin.take().unwrap().write_all(format!("tcp://{tcp}\n").as_bytes()).await.unwrap();
    let ended = Ended::from(waiting.wait_with_output().await.unwrap());
    assert_eq!(ended.code, Some(0), "{ended:?}");

    for (content, part) in [("# nothing\n", "no target in it"), ("gopher://a\n", "is not spoken here")] {
        let file = place.write("wrong", content);
        let wrong = probe(&place, &["--targets", &file]).await;
        assert_eq!(wrong.code, Some(2), "{wrong:?}");
        assert!(wrong.stderr.contains(part), "{}", wrong.stderr);
    }
    let missing = probe(&place, &["--targets", "no/such/file"]).await;
    assert_eq!(missing.code, Some(2), "{missing:?}");
    child.kill().await.unwrap();
}

#[tokio::test]
async fn a_process_is_probed_wherever_it_listens() {
    let place = Place::new();
    let (mut child, tcp, websocket) = server(&place, &[]).await;
    let ended = probe(&place, &[&format!("pid:{}", child.id().unwrap())]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for address in [tcp, websocket] {
        assert!(ended.stdout.contains(&address.to_string()), "{}", ended.stdout);
    }
    let own = probe(&place, &["pid:4194303"]).await;
    assert_eq!(own.code, Some(1), "{own:?}");
    child.kill().await.unwrap();
}

#[tokio::test]
async fn words_are_sent_and_what_comes_back_is_compared() {
    let place = Place::new();
    let address = parrot();
    let target = format!("tcp://{address}");
    let good = probe(&place, &["--send", "hello\\r\\n", "--expect", "^hel+o", &target]).await;
    assert_eq!(good.code, Some(0), "{good:?}");
    let bad = probe(&place, &["--send", "hello", "--expect", "goodbye", "--timeout", "2s", &target]).await;
    assert_eq!(bad.code, Some(1), "{bad:?}");
    assert!(bad.stdout.contains("goodbye"), "{}", bad.stdout);
    let wrong = probe(&place, &["--expect", "(", &target]).await;
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
}

#[tokio::test]
async fn no_secret_is_written_anywhere() {
    let place = Place::new();
    let (mut child, _, websocket) = server(&place, &[]).await;
    let evidence = place.arg("evidence.json");
    let markdown = format!("markdown={}", place.arg("report.md"));
    let target = format!("ws://me:s3cret@{websocket}/ws");
    let file = place.write("headers", "X-Token: s3cret\n");
    let args = ["-v", "--json", "--evidence", &evidence, "--report", &markdown, "-H", "Authorization: Bearer s3cret"];
    let ended = probe(&place, &[&args[..], &["-H", &format!("@{file}"), &target]].concat()).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let read = |name: &str| std::fs::read_to_string(place.join(name)).unwrap();
    for text in [ended.stdout, ended.stderr, read("evidence.json"), read("report.md")] {
        assert!(!text.contains("s3cret"), "{text}");
    }
    child.kill().await.unwrap();
}

#[tokio::test]
async fn a_signal_ends_it_with_a_report() {
    let place = Place::new();
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let (address, connections) = closing();
        let target = format!("tcp://{address}");
        let mut command = place.command(&["probe", "--until", "healthy", "--for", "1h", "--interval", "20ms", &target]);
        let child = command.spawn().unwrap();
        // no round makes so many connections: the first one has ended
        for _ in 0..20 {
            connections.recv_timeout(SOON).unwrap();
        }
        kill(Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()), signal).unwrap();
        let ended = place.end(child).await;
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(ended.stdout.contains("cut short"), "{ended:?}");
    }
}

#[tokio::test]
async fn a_log_explains_why_nobody_answers() {
    let place = Place::new();
    // held by this test; the server's other listener keeps it alive
    let held = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let log = place.arg("server.jsonl");
    let mut command = Command::new(sidetone());
    let port_text = port.to_string();
    command.args(["server", "--port", &port_text, "--websocket-port", "0", "--no-mdns", "--bind", "0.0.0.0"]);
    command.args(["--log-format", "json", "--log-file", &log]);
    place.prepare(&mut command);
    let ended = tokio::time::timeout(SOON, command.spawn().unwrap().wait_with_output()).await.unwrap().unwrap();
    assert_eq!(ended.status.code(), Some(3));
    let ended = probe(&place, &["--log", &log, &format!("tcp://127.0.0.1:{port}")]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("bind.wildcard_conflict"), "{}", ended.stdout);
    let missing = probe(&place, &["--log", "no/such.log", &format!("tcp://127.0.0.1:{port}")]).await;
    assert!(missing.stdout.contains("the log could not be read"), "{}", missing.stdout);
}

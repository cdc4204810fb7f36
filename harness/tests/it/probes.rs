//! `probe` against servers that are there, silent, talking nonsense, or not there.
#![cfg(test)] // so that the lints know the helpers for test code

use super::place::{Ended, Place, SOON, json, saboteur, sidetone};
use super::probe_commands::patient;
use sidetone_harness::evidence::{Answer, Observation, Question};
use sidetone_harness::probe::follow_up;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

async fn probe(place: &Place, args: &[&str]) -> Ended {
    let mut command = place.command(&patient(args));
    let child = command.spawn().unwrap();
    // not `Place::end`: a server may still run
    tokio::time::timeout(SOON, child.wait_with_output()).await.expect("the probe did not end").unwrap().into()
}

/// A running server and its TCP and WebSocket addresses.
async fn server(place: &Place) -> (Child, SocketAddr, SocketAddr) {
    let mut command = Command::new(sidetone());
    command.args(["server", "--port", "0", "--websocket-port", "0", "--no-mdns", "--bind", "127.0.0.1"]);
    command.args(["--log-format", "json"]);
    place.prepare(&mut command);
    let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = tokio::time::timeout(SOON, lines.next_line()).await.unwrap().unwrap().unwrap();
    let address = |kind: &str| json(&ready)[kind][0].as_str().unwrap().parse().unwrap();
    (child, address("tcp"), address("websocket"))
}

#[tokio::test]
async fn a_server_that_is_there() {
    let place = Place::new();
    let (mut child, tcp, websocket) = server(&place).await;
    let targets =
        [format!("tcp://{tcp}"), format!("ws://{websocket}"), format!("ws://{websocket}/ws"), tcp.to_string()];
    for target in &targets {
        let ended = probe(&place, &[target]).await;
        assert_eq!(ended.code, Some(0), "{target}: {ended:?}");
        assert!(ended.stdout.contains("Sidetone (sidetone/"), "it is known for what it is: {}", ended.stdout);
        let last = ended.stdout.trim_end().lines().last().unwrap();
        assert!(ended.stdout.contains("PASS ") && !last.contains("FAIL"), "{}", ended.stdout);
    }
    let both = probe(&place, &[&targets[0], &targets[1]]).await;
    assert_eq!(both.code, Some(0), "{both:?}");
    let mixed = probe(&place, &[&targets[0], "tcp://127.0.0.1:1"]).await;
    assert_eq!(mixed.code, Some(1), "a failure is not hidden by a pass: {mixed:?}");
    // a transport: what speaks there is another matter, unless the user says what it is
    let other = probe(&place, &[&format!("tcp://{websocket}"), "--timeout", "30s"]).await;
    assert!(other.code == Some(0) && other.stdout.contains("works: HTTP"), "{other:?}");
    let wrong = probe(&place, &["--sidetone", &format!("tcp://{websocket}"), "--timeout", "30s"]).await;
    assert_eq!(wrong.code, Some(1), "the WebSocket port does not speak the TCP framing: {wrong:?}");
    child.kill().await.unwrap();
    place.nothing_left().await;
}

/// Starts a server that announces itself on loopback, sees it announce itself, and asks for it.
async fn browsed(place: &Place, program: std::path::PathBuf, args: &[&str]) -> (Answer, String) {
    let mut command = Command::new(program);
    let instance = format!("browsed {} {}", std::process::id(), args.len());
    command.args(["server", "--port", "0", "--websocket-port", "0", "--mdns-interface", "lo", "--name", &instance]);
    command.args(["--log-format", "json"]).args(args);
    place.prepare(&mut command);
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let announced =
        async { while json(&lines.next_line().await.unwrap().expect("it ended"))["event"] != "mdns.announced" {} };
    tokio::time::timeout(SOON, announced).await.unwrap();
    let question = Question::Browse { instance };
    // on a busy machine a packet may be late: a server that is there is asked until it answers
    let asking = async {
        loop {
            let seen = follow_up::answer(&question, "a test asks").await;
            let Observation::FollowUp { answer, .. } = seen else { panic!("{seen:?}") };
            let silent = !args.is_empty() && matches!(answer, Answer::NotFound { .. });
            if silent || matches!(answer, Answer::Found { .. }) {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(SOON, asking).await.expect("it is never found");
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM).unwrap();
    let mut rest = String::new();
    while let Some(line) = tokio::time::timeout(SOON, lines.next_line()).await.unwrap().unwrap() {
        rest.push_str(&line);
    }
    assert!(child.wait().await.unwrap().success());
    (answer, rest)
}

#[tokio::test]
async fn a_browse_finds_the_server_that_answers_and_not_the_one_that_only_says_so() {
    let place = Place::new();
    let (answer, log) = browsed(&place, sidetone(), &[]).await;
    assert!(matches!(&answer, Answer::Found { ports } if ports.len() == 2 && !ports.contains(&0)), "{answer:?}");
    assert!(log.contains("mdns.withdrawn"), "{log}");
    let (answer, log) = browsed(&place, saboteur(), &["--sabotage", "silent-mdns"]).await;
    assert!(matches!(answer, Answer::NotFound { waited_ms: 1_200.., .. }), "{answer:?}");
    assert!(log.contains("mdns.withdrawn"), "{log}");
    place.nothing_left().await;
}

#[tokio::test]
async fn nothing_listens() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    for target in [format!("tcp://127.0.0.1:{port}"), format!("ws://127.0.0.1:{port}"), format!("127.0.0.1:{port}")] {
        let ended = probe(&place, &[&target]).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let last = ended.stdout.trim_end().to_owned();
        assert!(last.contains("ECONNREFUSED") && last.contains(&port.to_string()), "{last}");
    }
}

/// A listener that says `greeting` to everybody, and nothing more.
fn listener(greeting: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            drop(stream.write_all(greeting)); // the other side may have gone
            kept.push(stream);
        }
    });
    address
}

#[tokio::test]
async fn a_listener_that_says_nothing() {
    let place = Place::new();
    let address = listener(b"");
    let transport = format!("tcp://{address}");
    let asked = [&["--sidetone", transport.as_str()][..], &[&format!("ws://{address}")]];
    for args in asked {
        let ended = probe(&place, &[args, &["--timeout", "2s"]].concat()).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stdout.contains("no byte within 2000 ms"), "{}", ended.stdout);
        assert!(ended.stdout.contains("PASS"), "the connection itself works: {}", ended.stdout);
    }
    let unknown = probe(&place, &[&transport, "--timeout", "2s"]).await;
    assert_eq!(unknown.code, Some(4), "many protocols wait to be spoken to: {unknown:?}");
    let pid = format!("its listener is pid {}", std::process::id());
    let flat = unknown.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("the protocol is not known to this probe") && flat.contains(&pid), "{}", unknown.stdout);
}

#[tokio::test]
async fn a_silent_datagram_server_of_this_machine_is_called_neither_broken_nor_another_machine() {
    let place = Place::new();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = format!("udp://{}", socket.local_addr().unwrap());
    let ended = probe(&place, &[&target, "--send", "hello", "--timeout", "500ms"]).await;
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.stdout.contains(&format!("pid {}", std::process::id())), "who has the port: {}", ended.stdout);
    assert!(!ended.stdout.contains("another machine"), "{}", ended.stdout);
}

#[tokio::test]
async fn the_questions_of_an_identification_are_listed() {
    let place = Place::new();
    let address = listener(b"");
    let ended = probe(&place, &["-v", &address.to_string(), "--timeout", "2s"]).await;
    let flat = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("asked on 6 connections: HTTP: waits, a Sidetone hello: waits"), "{}", ended.stdout);
}

#[tokio::test]
async fn a_listener_that_talks_nonsense() {
    let place = Place::new();
    for greeting in
        [&b"SSH-2.0-OpenSSH_9.9\r\n"[..], b"\x90\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"]
    {
        let address = listener(greeting);
        let transport = format!("tcp://{address}");
        for args in [&["--sidetone", transport.as_str()][..], &[&format!("ws://{address}")]] {
            let ended = probe(&place, &[args, &["--timeout", "30s"]].concat()).await;
            assert_eq!(ended.code, Some(1), "{args:?} {greeting:?}: {ended:?}");
            assert!(ended.stdout.contains("FAIL"), "{}", ended.stdout);
        }
        let other = probe(&place, &[&transport, "--timeout", "30s"]).await;
        assert_eq!(other.code, Some(0), "something speaks there, and nobody said what it has to be: {other:?}");
    }
}

#[tokio::test]
async fn targets_that_are_none() {
    let place = Place::new();
    for (target, words) in [("tcp://127.0.0.1:99999", "99999"), ("gopher://x:1", "gopher"), ("", "is no host")] {
        let ended = probe(&place, &[target]).await;
        assert!(ended.code == Some(2) && ended.stderr.contains(words), "{target}: {ended:?}");
    }
    // no resolver knows names under .invalid (RFC 6761)
    let ended = probe(&place, &["tcp://nobody.invalid:7460", "--timeout", "30s"]).await;
    assert!(ended.code == Some(1) && ended.stdout.contains("nobody.invalid"), "{ended:?}");
}

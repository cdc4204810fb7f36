//! What a server does when a listener cannot be bound.

use super::http::get;
use super::support::{Peer, Program, Server, sidetone};
use sidetone::event::{Event, ListenerKind, Transport};
use std::net::TcpListener;

fn held() -> (TcpListener, String) {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port().to_string();
    (holder, port)
}

fn start(arguments: &[&str]) -> Program {
    let mut all = vec!["server", "--no-mdns", "--bind", "127.0.0.1", "--log-format", "json"];
    all.extend(arguments);
    Program::start(&all)
}

#[test]
fn fail_names_the_holder_and_ends_with_3() {
    for (flag, other, kind) in
        [("--port", "--websocket-port", ListenerKind::Tcp), ("--websocket-port", "--port", ListenerKind::WebSocket)]
    {
        let (_holder, port) = held();
        let mut program = start(&[flag, &port, other, "0"]);
        assert_eq!(program.code(), 3, "{}", program.story());
        assert_eq!(program.out, Vec::<String>::new(), "no ready line");
        let [line] = &program.text[..] else { panic!("one line for people: {:?}", program.text) };
        let pid = std::process::id();
        for part in [format!("sidetone: {kind} on 127.0.0.1:{port}"), "EADDRINUSE (98)".into(), format!("pid {pid} ")] {
            assert!(line.contains(&part), "{part:?} in {line}");
        }
        let failed = program.named("listener.bind_failed");
        let Event::ListenerBindFailed { listener, holders, remedy, .. } = failed else { unreachable!() };
        assert_eq!((listener, holders[0].pid), (kind, Some(pid)));
        assert!(remedy.contains(flag), "{remedy}");
    }
}

#[test]
fn fail_reports_both_listeners_at_once() {
    let ((_one, tcp), (_two, websocket)) = (held(), held());
    let mut program = start(&["--port", &tcp, "--websocket-port", &websocket]);
    assert_eq!(program.code(), 3);
    assert_eq!(program.text.len(), 2, "a line each: {:?}", program.text);
}

#[test]
fn next_takes_another_port_announces_it_and_works() {
    let (_holder, port) = held();
    let mut server = Server::with(&["--websocket-port", &port, "--on-bind-failure", "next"]);
    let asked: u16 = port.parse().unwrap();
    assert_ne!(server.websocket().port(), asked);
    assert_eq!(server.ready.degraded, Vec::<String>::new());
    let fell_back = server.program.named("listener.fell_back");
    let port = server.websocket().port();
    assert_eq!(fell_back, Event::ListenerFellBack { listener: ListenerKind::WebSocket, asked, port });
    Peer::join(&server, Transport::WebSocket, "ada", "lobby");
    server.stop();
}

#[test]
fn degrade_goes_on_with_what_is_there_and_says_so_everywhere() {
    let (_holder, port) = held();
    let server = Server::with(&["--port", &port, "--on-bind-failure", "degrade"]);
    assert_eq!(server.ready.tcp, []);
    let [missing] = &server.ready.degraded[..] else { panic!("{:?}", server.ready) };
    assert!(missing.contains(&format!("tcp on 127.0.0.1:{port} is missing")), "{missing}");
    let health: serde_json::Value = serde_json::from_str(&get(&server, "/healthz").2).unwrap();
    assert_eq!((&health["status"], &health["degraded"][0]), (&"degraded".into(), &missing.clone().into()));
    Peer::join(&server, Transport::WebSocket, "ada", "lobby");
    server.stop();

    let server = Server::with(&["--websocket-port", &port, "--on-bind-failure", "degrade"]);
    assert_eq!((server.ready.websocket.len(), server.ready.degraded.len()), (0, 1));
    Peer::join(&server, Transport::Tcp, "ada", "lobby");
    server.stop();
}

#[test]
fn degrade_without_any_listener_is_no_server() {
    let ((_one, tcp), (_two, websocket)) = (held(), held());
    let mut program = start(&["--port", &tcp, "--websocket-port", &websocket, "--on-bind-failure", "degrade"]);
    assert_eq!(program.code(), 3, "{}", program.story());
    assert!(program.text.iter().any(|l| l.contains("no listener could be bound")), "{:?}", program.text);
    assert_eq!(program.out, Vec::<String>::new());
}

#[test]
fn usage_errors_are_told_before_anything_is_bound() {
    let cases: [(&[&str], &str); 8] = [
        (&["--port", "7000", "--websocket-port", "7000"], "--port and --websocket-port are both 7000"),
        (&["--name", "a\u{1b}[2J"], "--name: a name has no control characters"),
        (&["--name", ""], "--name: a name has 1 to 32 characters"),
        (&["--bind", "localhost"], "--bind"),
        (&["--port", "70000"], "--port"),
        (&["--on-bind-failure", "panic"], "fail"),
        (&["--max-clients", "0"], "--max-clients"),
        (&["--log-format", "xml"], "pretty or json"),
    ];
    for (arguments, part) in cases {
        let output = sidetone(&["server", "--no-mdns"]).args(arguments).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
        assert!(!text.contains('\u{1b}'), "an escape sequence in {text:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

//! The end of a server: everybody is told, the ports are free, the code is 0.

use super::support::peer::BOTH;
use super::support::{Peer, Server, sidetone};
use nix::sys::signal::Signal;
use sidetone::event::{Event, Ready, Transport};
use std::net::TcpStream;

#[test]
fn a_signal_says_goodbye_to_all_and_frees_the_ports() {
    for (signal, name) in [(Signal::SIGTERM, "SIGTERM"), (Signal::SIGINT, "SIGINT")] {
        let mut server = Server::start();
        let ports = [server.tcp().port().to_string(), server.websocket().port().to_string()];
        let mut peers: Vec<_> =
            BOTH.iter().map(|&transport| Peer::join(&server, transport, &transport.to_string(), "lobby").0).collect();
        peers.extend(BOTH.map(|transport| Peer::connect(&server, transport))); // these never say hello
        server.program.signal(signal);
        for peer in &mut peers {
            let (code, reason) = peer.closed();
            assert_eq!((code, reason.as_str()), (Some(1001), "the server is going down"), "{name}");
        }
        drop(peers);
        assert_eq!(server.program.code(), 0, "{}", server.program.story());
        let draining = server.program.named("server.draining");
        assert_eq!(draining, Event::ServerDraining { signal: name.to_owned(), connections: 4 });
        let stopped = server.program.named("server.stopped");
        assert!(
            matches!(stopped, Event::ServerStopped { connections_served: 4, connections_cut: 0, .. }),
            "{stopped:?}"
        );
        let closed = server.program.records.iter().filter(|r| r.event.name() == "listener.closed").count();
        assert_eq!(closed, 2);
        assert!(TcpStream::connect(server.tcp()).is_err(), "nothing listens any more");
        // the connections' remains (TIME_WAIT) do not hold the ports
        let again = Server::with(&["--port", &ports[0], "--websocket-port", &ports[1]]);
        assert_eq!((again.tcp(), again.websocket()), (server.tcp(), server.websocket()));
        again.stop();
    }
}

#[test]
fn a_peer_that_does_not_go_is_cut() {
    let mut server = Server::start();
    let (stubborn, _) = Peer::join(&server, Transport::Tcp, "stubborn", "lobby");
    server.program.signal(Signal::SIGTERM);
    assert_eq!(server.program.code(), 0, "{}", server.program.story());
    drop(stubborn);
}

#[test]
fn the_ready_file_says_what_the_ready_line_says_and_comes_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ready.json");
    let server = Server::with(&["--ready-file", path.to_str().unwrap(), "--bind", "127.0.0.1", "--bind", "::1"]);
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(serde_json::from_str::<Ready>(&text).unwrap(), server.ready);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no half file is left");
    let ready = &server.ready;
    assert_eq!((ready.pid, ready.websocket_path.as_str()), (server.program.pid(), "/ws"));
    for addresses in [&ready.tcp, &ready.websocket] {
        assert_eq!(addresses.len(), 2);
        assert_eq!(addresses[0].port(), addresses[1].port(), "one number for both families");
        for address in addresses {
            TcpStream::connect(address).unwrap();
        }
    }
    server.stop();
}

#[test]
fn a_ready_file_that_cannot_be_written_is_an_error() {
    let mut command = sidetone(&["server", "--no-mdns", "--port", "0", "--websocket-port", "0"]);
    let output = command.args(["--ready-file", "/nowhere/ready"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("--ready-file /nowhere/ready: No such file"), "{text}");
}

#[test]
fn without_json_the_ready_line_is_for_people() {
    let mut program = super::support::Program::start(&[
        "server",
        "--no-mdns",
        "--bind",
        "127.0.0.1",
        "--port",
        "0",
        "--websocket-port",
        "0",
        "--name",
        "here",
    ]);
    let line = program.first_line();
    assert!(line.starts_with("here is ready: tcp 127.0.0.1:"), "{line}");
    program.signal(Signal::SIGTERM);
    assert_eq!(program.code(), 0);
    assert!(program.text.iter().any(|l| l.contains("listener.bound")), "events for people: {:?}", program.text);
}

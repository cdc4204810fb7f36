//! Which pages get a WebSocket, through real sockets.

use super::http::ask;
use super::support::{Program, Server, sidetone};
use sidetone::event::{Event, Record};

const UPGRADE: &str = "Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The status of an upgrade with those lines more; one that is granted is left at once.
fn upgrade(server: &Server, lines: &str) -> (u16, String) {
    let request = format!("GET /ws HTTP/1.1\r\nHost: {}\r\n{UPGRADE}{KEY}{lines}\r\n", server.websocket());
    let mut stream = std::net::TcpStream::connect(server.websocket()).unwrap();
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    stream.set_read_timeout(Some(super::support::PATIENCE)).unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && std::io::Read::read(&mut stream, &mut byte).unwrap() == 1 {
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut body = String::new();
    if status != 101 {
        std::io::Read::read_to_string(&mut stream, &mut body).unwrap();
    }
    (status, body)
}

fn refused(records: &[Record]) -> Vec<(String, String, String)> {
    let told = |record: &Record| match &record.event {
        Event::HttpOriginRefused { origin, host, remedy, .. } => Some((origin.clone(), host.clone(), remedy.clone())),
        _ => None,
    };
    records.iter().filter_map(told).collect()
}

#[test]
fn its_own_page_and_native_clients_come_in() {
    for bind in ["127.0.0.1", "::1", "0.0.0.0", "::"] {
        let server = Server::with(&["--bind", bind]);
        let listener = server.websocket();
        let port = listener.port();
        // behind a listener on all addresses, the one that was asked for counts
        let literal = if listener.is_ipv4() { "127.0.0.1".to_owned() } else { "[::1]".to_owned() };
        assert_eq!(upgrade(&server, "").0, 101, "{bind}: no origin");
        for host in ["localhost", "me.localhost", &literal] {
            let (status, body) = upgrade(&server, &format!("Origin: http://{host}:{port}\r\n"));
            assert_eq!(status, 101, "{bind}: {host}: {body}");
        }
        let records = server.stop();
        assert_eq!(refused(&records), [], "{bind}");
    }
}

#[test]
fn a_foreign_page_gets_403_with_the_remedy_and_one_event() {
    let server = Server::start();
    let (host, port) = (server.websocket(), server.websocket().port());
    let foreign = [
        "https://evil.example".to_owned(),
        "null".to_owned(),
        format!("http://localhost.evil.example:{port}"),
        format!("http://evillocalhost:{port}"),
        format!("http://localhost:{port}@evil.example"),
        format!("http://LOCALHOST:{port}"),
        format!("http://localhost:{}", port.wrapping_add(1)),
        "http://localhost".to_owned(),
    ];
    for origin in &foreign {
        let (status, body) = upgrade(&server, &format!("Origin: {origin}\r\n"));
        assert_eq!(status, 403, "{origin}: {body}");
    }
    let (_, body) = upgrade(&server, "Origin: https://evil.example\r\n");
    assert_eq!(
        body,
        "a page of https://evil.example may not open a WebSocket here: if that page is yours, start the server with \
         --allow-origin https://evil.example\n"
    );
    let own = format!("http://localhost:{port}");
    assert_eq!(upgrade(&server, &format!("Origin: {own}\r\nOrigin: https://evil.example\r\n")).0, 403);
    let records = server.stop();
    let mut told = refused(&records);
    assert_eq!(told.len(), foreign.len() + 2, "{told:?}");
    assert_eq!(told.pop().unwrap().0, format!("{own}, https://evil.example"));
    for ((origin, asked, remedy), sent) in told.iter().zip(&foreign) {
        assert_eq!((origin, asked), (sent, &host.to_string()));
        assert!(!remedy.is_empty());
    }
    assert!(!records.iter().any(|r| r.event.name() == "connection.malformed"), "a foreign page breaks no format");
}

#[test]
fn half_an_upgrade_of_a_foreign_page_is_told_apart() {
    let server = Server::start();
    let origin = "Host: a\r\nOrigin: https://evil.example\r\n";
    for (request, status) in [
        (format!("GET /ws HTTP/1.1\r\n{origin}Connection: close\r\n\r\n"), 426),
        (format!("GET /ws HTTP/1.1\r\n{origin}{UPGRADE}\r\n"), 400),
        (format!("HEAD /ws HTTP/1.1\r\n{origin}{UPGRADE}{KEY}\r\n"), 426),
        (format!("GET /healthz HTTP/1.1\r\n{origin}Connection: close\r\n\r\n"), 200),
    ] {
        assert_eq!(ask(&server, &request).0, status, "{request}");
    }
    let records = server.stop();
    assert_eq!(refused(&records), []);
}

#[test]
fn what_is_allowed_comes_in_and_nonsense_is_a_usage_error() {
    let server =
        Server::with(&["--allow-origin", "https://chat.example", "--allow-origin", "other.example", "--name", "a"]);
    let port = server.websocket().port();
    for (origin, status) in [
        ("https://chat.example".to_owned(), 101),
        ("http://chat.example".to_owned(), 403),
        ("http://other.example:3000".to_owned(), 101),
        ("http://a.other.example".to_owned(), 403),
        (format!("http://localhost:{port}"), 101),
    ] {
        assert_eq!(upgrade(&server, &format!("Origin: {origin}\r\n")).0, status, "{origin}");
    }
    server.stop();
    let server = Server::with(&["--allow-origin", "*"]);
    assert_eq!(upgrade(&server, "Origin: https://evil.example\r\n").0, 101);
    server.stop();
    let mut program = Program::spawn(sidetone(&["server", "--allow-origin", "https://chat.example/room"]));
    assert_eq!(program.code(), 2, "{}", program.story());
    assert!(program.story().contains("without a path"), "{}", program.story());
}

//! The HTTP side of the WebSocket port.

use super::support::{PATIENCE, Server};
use std::io::{Read, Write};
use std::net::TcpStream;

/// Status, head and body of the answer.
pub(crate) fn ask(server: &Server, request: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(server.websocket()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), body.to_owned())
}

pub(crate) fn get(server: &Server, path: &str) -> (u16, String, String) {
    ask(server, &format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
}

#[test]
fn every_path_answers() {
    let server = Server::with(&["--name", "A <b>&amp; server"]);
    let cases = [
        ("/", 200, "text/html", "A &lt;b&gt;&amp;amp; server"),
        ("/healthz", 200, "application/json", "\"status\":\"ok\""),
        ("/readyz", 200, "text/plain", "ready"),
        ("/metrics", 200, "application/openmetrics-text", "# TYPE sidetone_connections gauge\nsidetone_connections "),
        ("/ws", 426, "text/plain", "WebSocket"),
        ("/nowhere", 404, "text/plain", "/healthz"),
        ("/healthz/", 404, "text/plain", "/healthz"),
        ("/healthz?verbose=1", 200, "application/json", "\"degraded\":[]"),
    ];
    for (path, status, content_type, part) in cases {
        let (got, head, body) = get(&server, path);
        assert_eq!(got, status, "{path}: {head}");
        assert!(head.contains(&format!("content-type: {content_type}")), "{path}: {head}");
        let kept = if path == "/" { "cache-control: no-cache" } else { "cache-control: no-store" };
        assert!(head.contains(kept) && head.contains("nosniff"), "{path}: {head}");
        assert!(body.contains(part), "{path}: {body}");
    }
    server.stop();
}

#[test]
fn health_is_json_and_metrics_end_as_they_should() {
    let server = Server::start();
    let health: serde_json::Value = serde_json::from_str(&get(&server, "/healthz").2).unwrap();
    assert_eq!((&health["draining"], &health["name"]), (&false.into(), &server.ready.name.clone().into()));
    let metrics = get(&server, "/metrics").2;
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    let (status, head, body) = get(&server, "/ws");
    assert_eq!((status, body.is_empty()), (426, false));
    assert!(head.contains("upgrade: websocket") && head.contains("sec-websocket-version: 13"), "{head}");
    server.stop();
}

#[test]
fn other_methods_are_refused() {
    let server = Server::start();
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        for path in ["/", "/healthz", "/ws"] {
            let request =
                format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            let (status, head, _) = ask(&server, &request);
            assert_eq!(status, 405, "{method} {path}");
            assert!(head.contains("allow: get, head"), "{head}");
        }
    }
    let (status, head, body) = ask(&server, "HEAD /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!((status, body.as_str()), (200, ""), "{head}");
    server.stop();
}

#[test]
fn half_an_upgrade_is_none() {
    let server = Server::start();
    let upgrade = "Host: a\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n";
    let cases = [
        ("Sec-WebSocket-Version: 13\r\n", 400),
        ("Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", 426),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", 426),
    ];
    for (more, status) in cases {
        assert_eq!(ask(&server, &format!("GET /ws HTTP/1.1\r\n{upgrade}{more}\r\n")).0, status, "{more}");
    }
    server.stop();
}

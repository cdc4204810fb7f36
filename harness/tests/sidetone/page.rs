//! The browser client's files, as a browser asks for them.

use super::support::{PATIENCE, Program, Server, sidetone};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// An answer as it came.
struct Answer {
    status: u16,
    head: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

fn ask(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let more = headers.iter().fold(String::new(), |more, (name, value)| more + name + ": " + value + "\r\n");
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{more}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let lines = head.lines().skip(1).map(|line| line.split_once(": ").unwrap());
    let head = lines.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    Answer { status, head, body: answer[end + 4..].to_vec() }
}

fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, "GET", path, &[])
}

/// The paths that a document names, in the order in which it does.
fn named(html: &str) -> Vec<String> {
    let after = html.split("\"/page-").skip(1).map(|rest| rest.split('"').next().unwrap());
    after.map(|rest| format!("/page-{rest}")).collect()
}

#[test]
fn the_page_and_its_parts_come_with_strict_headers_over_both_families() {
    let server = Server::with(&["--bind", "127.0.0.1", "--bind", "::1"]);
    let mut families = 0;
    for &address in &server.ready.websocket {
        let index = get(address, "/");
        let parts = named(&index.text());
        assert!(parts.len() >= 2, "{}", index.text());
        for path in parts.iter().map(String::as_str).chain(["/"]) {
            let answer = get(address, path);
            assert_eq!(answer.status, 200, "{path}");
            let policy = answer.header("content-security-policy").unwrap();
            for part in ["default-src 'none'; script-src 'self'; style-src 'self'", "frame-ancestors 'none'"] {
                assert!(policy.contains(part), "{path}: {policy}");
            }
            assert!(!policy.contains("unsafe") && policy.ends_with("require-trusted-types-for 'script'"), "{policy}");
            for (name, value) in [
                ("cross-origin-opener-policy", "same-origin"),
                ("cross-origin-embedder-policy", "require-corp"),
                ("cross-origin-resource-policy", "same-origin"),
                ("permissions-policy", "camera=(self), microphone=(self)"),
                ("referrer-policy", "no-referrer"),
                ("x-content-type-options", "nosniff"),
                ("vary", "Accept-Encoding"),
                ("cache-control", if path == "/" { "no-cache" } else { "public, max-age=31536000, immutable" }),
            ] {
                assert_eq!(answer.header(name), Some(value), "{path}: {name}");
            }
            assert_eq!(answer.header("content-encoding"), None, "{path}: nobody asked for gzip");
        }
        let script = parts.iter().find(|path| path.contains(".js")).unwrap();
        assert_eq!(get(address, script).header("content-type"), Some("text/javascript; charset=utf-8"));
        families += 1;
    }
    assert_eq!(families, 2, "{:?}", server.ready);
    server.stop();
}

#[test]
fn who_takes_gzip_gets_it_and_it_is_the_same() {
    let server = Server::start();
    let address = server.websocket();
    let index = get(address, "/").text();
    for path in named(&index).iter().map(String::as_str).chain(["/"]) {
        let plain = get(address, path);
        let packed = ask(address, "GET", path, &[("Accept-Encoding", "deflate, gzip;q=0.9, br")]);
        assert_eq!(packed.header("vary"), Some("Accept-Encoding"), "{path}");
        if packed.header("content-encoding").is_some() {
            assert_eq!(packed.header("content-encoding"), Some("gzip"), "{path}");
            assert!(packed.body.len() < plain.body.len(), "{path}");
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(&packed.body[..]).read_to_end(&mut unpacked).unwrap();
            assert_eq!(unpacked, plain.body, "{path}");
        } else {
            assert_eq!(packed.body, plain.body, "{path}: gzip would not be smaller");
        }
        let refused = ask(address, "GET", path, &[("Accept-Encoding", "gzip;q=0")]);
        assert_eq!((refused.header("content-encoding"), &refused.body), (None, &plain.body), "{path}");
    }
    let packed = ask(address, "GET", "/", &[("Accept-Encoding", "gzip")]);
    assert_eq!(packed.header("content-encoding"), Some("gzip"), "the document is long enough");
    server.stop();
}

#[test]
fn what_a_browser_has_is_not_sent_again() {
    let server = Server::start();
    let address = server.websocket();
    let index = get(address, "/");
    let style = named(&index.text()).into_iter().find(|path| path.contains(".css")).unwrap();
    for path in ["/", &style] {
        let whole = get(address, path);
        let tag = whole.header("etag").unwrap().to_owned();
        let strong = tag.trim_start_matches("W/").to_owned();
        let listed = format!("\"other\", {tag}");
        for known in [tag.as_str(), &strong, &listed, "*"] {
            let answer = ask(address, "GET", path, &[("If-None-Match", known), ("Accept-Encoding", "gzip")]);
            assert_eq!((answer.status, answer.body.len()), (304, 0), "{path} {known}");
            assert_eq!(answer.header("etag"), Some(tag.as_str()), "{path}");
            assert_eq!(answer.header("cache-control"), whole.header("cache-control"), "{path}");
            assert_eq!(answer.header("content-encoding"), None, "{path}");
        }
        let answer = ask(address, "GET", path, &[("If-None-Match", "\"another version\"")]);
        assert_eq!((answer.status, answer.body == whole.body), (200, true), "{path}");
        let head = ask(address, "HEAD", path, &[]);
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("content-length"), Some(whole.body.len().to_string().as_str()), "{path}");
    }
    let renamed = Server::with(&["--name", "another"]);
    assert_ne!(get(renamed.websocket(), "/").header("etag"), index.header("etag"), "the document names the server");
    renamed.stop();
    server.stop();
}

#[test]
fn what_is_not_there_is_not_kept_for_ever() {
    let server = Server::start();
    let address = server.websocket();
    let index = get(address, "/").text();
    let folder = named(&index)[0].rsplit_once('/').unwrap().0.to_owned();
    let missing = [
        format!("{folder}/nothing.js"),
        format!("{folder}/index.html"),
        format!("{folder}/../app.js"),
        format!("{folder}/"),
        folder.clone(),
        "/page-0123456789abcdef/app.js".to_owned(),
        "/app.js".to_owned(),
        "/page-live/app.js".to_owned(),
        "/src/web/app.js".to_owned(),
    ];
    for path in missing {
        let answer = get(address, &path);
        assert_eq!((answer.status, answer.header("cache-control")), (404, Some("no-store")), "{path}");
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"), "{path}");
    }
    let posted = ask(address, "POST", &named(&index)[0], &[("Content-Length", "0")]);
    assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD")));
    server.stop();
}

#[test]
fn a_folder_is_read_at_each_request() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("index.html", "<title>{{server}}</title><script src=\"{{assets}}/new.js\"></script>");
    write("new.js", "one");
    write("secret.txt", "no type of a page");
    let server = Server::with(&["--name", "A&B", "--page-from", folder.path().to_str().unwrap()]);
    let address = server.websocket();
    let index = get(address, "/");
    assert_eq!(index.text(), "<title>A&amp;B</title><script src=\"/page-live/new.js\"></script>");
    for text in ["one", "two"] {
        write("new.js", text);
        let script = get(address, "/page-live/new.js");
        assert_eq!((script.status, script.text().as_str()), (200, text));
        assert_eq!(script.header("cache-control"), Some("no-store"));
        assert!(script.header("content-security-policy").is_some());
    }
    for path in ["/page-live/secret.txt", "/page-live/app.js", "/page-live/..%2fsecret.js", "/page-live/index.html"] {
        assert_eq!(get(address, path).status, 404, "{path}");
    }
    server.stop();

    let nothing = tempfile::tempdir().unwrap();
    let mut program = Program::spawn(sidetone(&["server", "--page-from", nothing.path().to_str().unwrap()]));
    assert_eq!(program.code(), 2, "{}", program.story());
    assert!(program.text.iter().any(|line| line.contains("no index.html is in there")), "{}", program.story());
}

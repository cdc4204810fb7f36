//! Requests of HTTP/1.1: their headers in order. PURE. What the user keeps secret is in the bytes alone, never in what is shown.

use super::base64;
use crate::evidence::Speak;
use crate::probe::options::Options;
use crate::probe::target::Url;
use std::fmt;
use std::sync::Arc;

/// What stands for a secret wherever a request is shown.
const HIDDEN: &str = "***";

/// A request without a body.
#[derive(Clone)]
pub struct Request {
    /// What is asked, without credentials.
    pub url: String,
    target: String,
    ours: Vec<(&'static str, String)>,
    users: Arc<[(String, String)]>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("url", &self.url).field("headers", &self.shown()).finish_non_exhaustive()
    }
}

impl Request {
    /// To the target of a probe: `Host`, `User-Agent`, credentials and the headers of the user, whose own replace ours.
    pub fn of(options: &Options) -> Self {
        let url = &options.url;
        let mut request = Self::new(&url.to_string(), host_header(url), &url.path, Arc::clone(&options.headers));
        if let Some(credentials) = &url.credentials {
            request = request.with("Authorization", basic(credentials));
        }
        match &options.origin {
            Some(origin) => request.with("Origin", origin),
            None => request,
        }
    }

    /// To a host, with the headers of the user.
    pub fn new(url: &str, host: String, path: &str, users: Arc<[(String, String)]>) -> Self {
        let request = Self { url: url.to_owned(), target: request_target(path), ours: Vec::new(), users };
        request.with("Host", host).with("User-Agent", concat!("sidetone-harness/", env!("CARGO_PKG_VERSION")))
    }

    /// And a header of ours, unless the user gave one of that name; in the place of an earlier one of ours.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        if self.users.iter().any(|(theirs, _)| theirs.eq_ignore_ascii_case(name)) {
            return self;
        }
        match self.ours.iter_mut().find(|(ours, _)| *ours == name) {
            Some((_, old)) => *old = value,
            None => self.ours.push((name, value)),
        }
        self
    }

    /// And what asks for a WebSocket, with a key of its own (RFC 6455, section 4.1).
    #[must_use]
    pub fn upgrading(self) -> Self {
        self.with("Connection", "Upgrade")
            .with("Upgrade", "websocket")
            .with("Sec-WebSocket-Version", "13")
            .with("Sec-WebSocket-Key", base64::encode(&rand::random::<[u8; 16]>()))
    }

    fn lines(&self) -> impl Iterator<Item = (&str, &str)> {
        let ours = self.ours.iter().map(|(name, value)| (*name, value.as_str()));
        ours.chain(self.users.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// The value that is sent of a header; the first, where there are several.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.lines().find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// What is sent.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = format!("GET {} HTTP/1.1\r\n", self.target);
        for (name, value) in self.lines() {
            // a line end in a value would begin a header that nobody asked for
            for part in [name, ": ", value] {
                text.extend(part.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }));
            }
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        text.into_bytes()
    }

    /// Names and values in order, `***` for what is secret: credentials and what the user gave.
    pub fn shown(&self) -> Vec<(String, String)> {
        let ours = self.ours.iter().map(|(name, value)| {
            let value = if *name == "Authorization" { HIDDEN } else { value };
            ((*name).to_owned(), value.to_owned())
        });
        ours.chain(self.users.iter().map(|(name, _)| (name.clone(), HIDDEN.to_owned()))).collect()
    }
}

/// `HOST` or `HOST:PORT`, as a browser writes it: no usual port, no scope.
fn host_header(url: &Url) -> String {
    let host = url.host.split('%').next().unwrap_or_default();
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let usual = if url.speak.secure() { 443 } else { 80 };
    if url.port == usual { host } else { format!("{host}:{}", url.port) }
}

/// The origin of pages that come from the same host and port.
pub fn own_origin(url: &Url) -> String {
    let scheme = if url.speak.secure() { Speak::Https } else { Speak::Http };
    format!("{}://{}", scheme.word(), host_header(url))
}

/// Path and query for a request line: what may not stand there is percent-encoded.
fn request_target(path: &str) -> String {
    let mut target = String::from(if path.starts_with('/') { "" } else { "/" });
    for byte in path.bytes() {
        match byte {
            0x21..=0x7e => target.push(char::from(byte)),
            other => target.extend(['%', hex_digit(other >> 4), hex_digit(other & 0xf)]),
        }
    }
    target
}

fn hex_digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or('0').to_ascii_uppercase()
}

/// `Basic ...` of `NAME:PASSWORD` as it stands in a URL (RFC 7617).
pub(in crate::probe) fn basic(credentials: &str) -> String {
    format!("Basic {}", base64::encode(&percent_decoded(credentials)))
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digit = |i: usize| bytes.get(i).and_then(|byte| char::from(*byte).to_digit(16));
        let decoded = match (digit(at + 1), digit(at + 2)) {
            (Some(high), Some(low)) if *byte == b'%' => u8::try_from(high * 16 + low).ok(),
            _ => None,
        };
        out.push(decoded.unwrap_or(*byte));
        at += if decoded.is_some() { 3 } else { 1 };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::target::Target;

    fn options(target: &str) -> Options {
        let Target::Url(url) = target.parse().unwrap() else { panic!("{target}") };
        Options::new(url)
    }

    fn sent(request: &Request) -> String {
        String::from_utf8(request.encode()).unwrap()
    }

    #[test]
    fn a_usual_port_a_scope_and_brackets_are_written_as_browsers_write_them() {
        for (target, host, origin) in [
            ("http://example.org", "example.org", "http://example.org"),
            ("ws://example.org:80/", "example.org", "http://example.org"),
            ("ws://example.org", "example.org", "http://example.org"),
            ("ws://example.org:7461", "example.org:7461", "http://example.org:7461"),
            ("wss://example.org", "example.org", "https://example.org"),
            ("https://[::1]:9", "[::1]:9", "https://[::1]:9"),
            ("http://[fe80::1%lo]:9", "[fe80::1]:9", "http://[fe80::1]:9"),
        ] {
            let options = options(target);
            assert_eq!(Request::of(&options).value("host"), Some(host), "{target}");
            assert_eq!(own_origin(&options.url), origin, "{target}");
        }
    }

    #[test]
    fn the_users_headers_replace_ours_and_are_shown_to_nobody() {
        let options = Options {
            headers: Arc::new([
                ("host".to_owned(), "other.example".to_owned()),
                ("X-Token".to_owned(), "s3cret\r\nX-Injected: 1".to_owned()),
            ]),
            origin: Some("https://page.example".to_owned()),
            ..options("http://me:p%40ss@example.org:9/a b?x=ü")
        };
        let request = Request::of(&options);
        let text = sent(&request);
        assert!(text.starts_with("GET /a%20b?x=%C3%BC HTTP/1.1\r\n"), "{text}");
        assert!(text.contains("\r\nhost: other.example\r\n") && !text.contains("Host: "), "{text}");
        assert!(text.contains("\r\nX-Token: s3cret  X-Injected: 1\r\n"), "no header is smuggled in: {text}");
        assert!(text.contains(&format!("\r\nAuthorization: Basic {}\r\n", base64::encode(b"me:p@ss"))), "{text}");
        assert!(text.contains("\r\nOrigin: https://page.example\r\n") && text.ends_with("\r\n\r\n"), "{text}");
        let shown = format!("{request:?}");
        let secret = ["s3cret", "p%40ss", "p@ss", "bWU6", "other.example"];
        assert!(secret.iter().all(|secret| !shown.contains(secret)), "{shown}");
        assert!(shown.contains("X-Token"), "that it was sent is told: {shown}");
    }

    #[test]
    fn percent_signs_that_encode_nothing_stay() {
        assert_eq!(percent_decoded("a%4"), b"a%4");
        assert_eq!(percent_decoded("%zz%20%"), b"%zz %");
    }
}

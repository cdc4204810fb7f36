//! What the browser and its page say, in the vocabulary of our events. No I/O: a notice in, events out.

use super::devtools::Notice;
use serde_json::{Value, json};
use sidetone::event::Event;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// Most characters of a text that a page writes.
const TEXT_CHARS: usize = 2_000;
/// The close code that stands for "no close frame came" (RFC 6455, section 7.4.1).
const NO_CLOSE_FRAME: u16 = 1006;
/// The close code that stands for "a close frame without a code".
const NO_CODE: u16 = 1005;

/// What the page loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    /// Requests, WebSockets not counted.
    pub(super) requests: u32,
    /// Bytes of their answers as they came over the wire, heads included.
    pub(super) bytes: u64,
}

/// Remembers what later notices refer to by number alone.
#[derive(Debug)]
pub(super) struct Translator {
    /// Stands in for what a page cannot know.
    server: SocketAddr,
    urls: BTreeMap<String, String>,
    /// Bytes of answers that are under way.
    answers: BTreeMap<String, u64>,
    sockets: BTreeMap<String, String>,
    /// By URL: how a socket was closed, as its page sees it; the browser does not tell.
    close_frames: BTreeMap<String, VecDeque<(Option<u16>, String)>>,
    /// Closed by the browser's word; the page's is awaited.
    closed: VecDeque<(String, String)>,
    /// All that was loaded so far.
    pub(super) traffic: Traffic,
}

impl Translator {
    /// `server`: the address that the page is loaded from.
    pub(super) fn new(server: SocketAddr) -> Self {
        Self {
            server,
            urls: BTreeMap::new(),
            answers: BTreeMap::new(),
            sockets: BTreeMap::new(),
            close_frames: BTreeMap::new(),
            closed: VecDeque::new(),
            traffic: Traffic::default(),
        }
    }

    /// The events that a notice means.
    pub(super) fn translate(&mut self, notice: &Notice) -> Vec<Event> {
        let p = &notice.params;
        let one = match notice.method.as_str() {
            "Runtime.consoleAPICalled" => Some(console(p)),
            "Runtime.exceptionThrown" => Some(exception(&p["exceptionDetails"])),
            // a worker tells us itself
            "Log.entryAdded" if p["entry"]["source"] != "worker" => Some(entry(&p["entry"])),
            "Page.javascriptDialogOpening" => Some(dialog(p)),
            "Audits.issueAdded" => issue(&p["issue"]),
            "Network.requestWillBeSent" => {
                self.request(p);
                None
            }
            "Network.responseReceived" => {
                self.answer(p);
                None
            }
            "Network.loadingFinished" => {
                let told = p["encodedDataLength"].as_f64().map_or(0, whole);
                self.traffic.bytes += self.answers.remove(&id_of(p)).unwrap_or(0).max(told);
                drop(self.urls.remove(&id_of(p)));
                None
            }
            "Network.loadingFailed" => Some(self.failed(p)),
            "Network.webSocketCreated" => {
                let (socket, url) = (id_of(p), string(&p["url"]));
                drop(self.sockets.insert(socket.clone(), url.clone()));
                Some(Event::BrowserWebsocketOpening { socket, url })
            }
            "Network.webSocketHandshakeResponseReceived" => {
                let response = &p["response"];
                let (status, status_text) = (number(&response["status"]), string(&response["statusText"]));
                Some(Event::BrowserWebsocketAnswered { url: self.url_of(p), socket: id_of(p), status, status_text })
            }
            "Network.webSocketFrameError" => {
                let error = string(&p["errorMessage"]);
                Some(Event::BrowserWebsocketFailed { url: self.url_of(p), socket: id_of(p), error })
            }
            "Network.webSocketClosed" => {
                let socket = id_of(p);
                let url = self.sockets.remove(&socket).unwrap_or_default();
                self.closed.push_back((socket, url));
                return self.closed_with_code();
            }
            _ => None,
        };
        one.into_iter().collect()
    }

    fn request(&mut self, p: &Value) {
        let url = string(&p["request"]["url"]);
        if url.starts_with("http") {
            self.traffic.requests += 1;
        }
        drop(self.urls.insert(id_of(p), url));
    }

    /// Of a worker's script the browser later tells the head alone, so what the head says of the body is kept.
    fn answer(&mut self, p: &Value) {
        let response = &p["response"];
        if response["fromDiskCache"] == true {
            return;
        }
        let head = response["encodedDataLength"].as_f64().map_or(0, whole);
        let headers = response["headers"].as_object().into_iter().flatten();
        let mut length =
            headers.filter(|(name, _)| name.eq_ignore_ascii_case("content-length")).map(|(_, value)| value);
        let body = length.find_map(|value| value.as_str()?.parse::<u64>().ok());
        self.answers.insert(id_of(p), head + body.unwrap_or(0));
    }

    fn failed(&mut self, p: &Value) -> Event {
        let url = self.urls.remove(&id_of(p)).unwrap_or_else(|| "an unknown request".to_owned());
        let cors = p["corsErrorStatus"]["corsError"].as_str();
        let blocked = p["blockedReason"].as_str().or(cors).map(str::to_owned);
        Event::BrowserRequestFailed { url, error: string(&p["errorText"]), blocked }
    }

    fn url_of(&self, p: &Value) -> String {
        self.sockets.get(&id_of(p)).cloned().unwrap_or_default()
    }

    /// The page says how a socket was closed.
    pub(super) fn close_frame(&mut self, said: &Value) -> Vec<Event> {
        let code = number(&said["code"]);
        let code = (![0, NO_CLOSE_FRAME, NO_CODE].contains(&code)).then_some(code);
        self.close_frames.entry(string(&said["url"])).or_default().push_back((code, string(&said["reason"])));
        self.closed_with_code()
    }

    /// Those closed sockets of which both sides have spoken.
    fn closed_with_code(&mut self) -> Vec<Event> {
        let (mut events, mut waiting) = (Vec::new(), VecDeque::new());
        for (socket, url) in self.closed.drain(..) {
            match self.close_frames.get_mut(&url).and_then(VecDeque::pop_front) {
                Some((code, reason)) => events.push(Event::BrowserWebsocketClosed { socket, url, code, reason }),
                None => waiting.push_back((socket, url)),
            }
        }
        self.closed = waiting;
        events
    }

    /// Whether a socket is closed and its page has not said how.
    pub(super) fn awaits_close_frame(&self) -> bool {
        !self.closed.is_empty()
    }

    /// The closed sockets whose page says no more.
    pub(super) fn closed_without_code(&mut self) -> Vec<Event> {
        let closed = self.closed.drain(..);
        closed
            .map(|(socket, url)| Event::BrowserWebsocketClosed { socket, url, code: None, reason: String::new() })
            .collect()
    }

    /// An event that the page reports itself: `{event, fields}`. What is none of those a page may report becomes a warning
    /// of its console.
    pub(super) fn of_page(&self, detail: &Value) -> Event {
        let name = detail["event"].as_str().unwrap_or_default();
        let may = ["client.", "audio.", "device."].iter().any(|p| name.starts_with(p))
            || ["browser.situation", "browser.capture", "browser.audio_context"].contains(&name);
        let refused = |why: &str| {
            let text = cut(&format!("the page reported an event that is not taken ({why}): {detail}"));
            Event::BrowserConsole { level: "warning".to_owned(), text, location: "sidetone:event".to_owned() }
        };
        if !may {
            return refused("not one that a page may report");
        }
        let mut event = json!({ "event": name, "fields": detail["fields"] });
        self.fill_in(&mut event["fields"]);
        serde_json::from_value(event).unwrap_or_else(|error| refused(&error.to_string()))
    }

    /// A page knows its server by the name in its URL, not by the address, and not its own end of the connection.
    fn fill_in(&self, fields: &mut Value) {
        let unspecified = if self.server.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
        for (field, instead) in [("address", self.server.to_string()), ("local", unspecified.to_owned())] {
            if let Some(value) = fields.get_mut(field)
                && let Some(text) = value.as_str()
                && text.parse::<SocketAddr>().map_or(true, |a| a.ip().is_unspecified())
            {
                *value = json!(instead);
            }
        }
    }
}

fn console(p: &Value) -> Event {
    let args = p["args"].as_array().map(Vec::as_slice).unwrap_or_default();
    let words: Vec<_> = args.iter().map(argument).collect();
    let level = match p["type"].as_str().unwrap_or_default() {
        level @ ("debug" | "info" | "warning" | "error") => level,
        "assert" => "error",
        _ => "log",
    };
    let frame = &p["stackTrace"]["callFrames"][0];
    Event::BrowserConsole { level: level.to_owned(), text: cut(&words.join(" ")), location: location(frame) }
}

/// An argument of `console.log` as a person would see it.
fn argument(value: &Value) -> String {
    match &value["value"] {
        Value::String(text) => text.clone(),
        Value::Null => {
            let words = ["description", "unserializableValue", "subtype", "type"];
            words.iter().find_map(|w| value[w].as_str()).unwrap_or_default().to_owned()
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value["value"].to_string(),
    }
}

fn exception(details: &Value) -> Event {
    let thrown = &details["exception"];
    let said = thrown["description"].as_str().map(str::to_owned);
    let said = said.or_else(|| (!thrown["value"].is_null()).then(|| argument(thrown)));
    let text = match said {
        Some(said) => format!("{}: {said}", string(&details["text"])),
        None => string(&details["text"]),
    };
    let frame = &details["stackTrace"]["callFrames"][0];
    Event::BrowserException { text: cut(&text), location: location(if frame.is_null() { details } else { frame }) }
}

/// What the browser itself writes to the page's console.
fn entry(entry: &Value) -> Event {
    let level = match entry["level"].as_str().unwrap_or_default() {
        "verbose" => "debug",
        level @ ("warning" | "error") => level,
        _ => "info",
    };
    let text = format!("[{}] {}", string(&entry["source"]), string(&entry["text"]));
    Event::BrowserConsole { level: level.to_owned(), text: cut(&text), location: location(entry) }
}

fn dialog(p: &Value) -> Event {
    let text = format!("[{}] {}", string(&p["type"]), string(&p["message"]));
    Event::BrowserConsole { level: "warning".to_owned(), text: cut(&text), location: string(&p["url"]) }
}

fn issue(issue: &Value) -> Option<Event> {
    let details = &issue["details"];
    match issue["code"].as_str()? {
        "ContentSecurityPolicyIssue" => {
            let d = &details["contentSecurityPolicyIssueDetails"];
            let kind = string(&d["contentSecurityPolicyViolationType"]);
            let blocked =
                d["blockedURL"].as_str().map_or_else(|| kind.trim_start_matches('k').to_owned(), str::to_owned);
            Some(Event::BrowserPolicyViolation {
                directive: string(&d["violatedDirective"]),
                blocked_url: cut(&blocked),
                location: location(&d["sourceCodeLocation"]),
            })
        }
        "MixedContentIssue" => {
            let d = &details["mixedContentIssueDetails"];
            Some(Event::BrowserPolicyViolation {
                directive: "mixed-content".to_owned(),
                blocked_url: cut(&string(&d["insecureURL"])),
                location: string(&d["mainResourceURL"]),
            })
        }
        _ => None,
    }
}

/// `URL:LINE:COLUMN`, counted from 1 as people do; the protocol counts from 0.
fn location(frame: &Value) -> String {
    let url = string(&frame["url"]);
    match (frame["lineNumber"].as_u64(), frame["columnNumber"].as_u64()) {
        _ if url.is_empty() => String::new(),
        (Some(line), Some(column)) => format!("{url}:{}:{}", line + 1, column + 1),
        (Some(line), None) => format!("{url}:{}", line + 1),
        (None, _) => url,
    }
}

fn id_of(p: &Value) -> String {
    string(&p["requestId"])
}

fn string(value: &Value) -> String {
    value.as_str().map(cut).unwrap_or_default()
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

fn number(value: &Value) -> u16 {
    value.as_u64().and_then(|n| u16::try_from(n).ok()).unwrap_or(0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float saturates")]
fn whole(bytes: f64) -> u64 {
    bytes as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translator() -> Translator {
        Translator::new("127.0.0.1:7461".parse().unwrap())
    }

    /// A notice as the browser sends it.
    fn said(translator: &mut Translator, method: &str, params: impl std::borrow::Borrow<Value>) -> Vec<Event> {
        let notice = json!({ "sessionId": "S", "method": method, "params": params.borrow() });
        translator.translate(&serde_json::from_value(notice).unwrap())
    }

    #[test]
    fn the_console_is_told_with_its_place() {
        let mut t = translator();
        let console = json!({"type": "warning", "args": [
            {"type": "string", "value": "buffer"}, {"type": "number", "value": 3, "description": "3"},
            {"type": "object", "className": "Object", "description": "Object"}, {"type": "undefined"},
        ], "stackTrace": {"callFrames": [{"functionName": "f", "url": "http://h/call.js", "lineNumber": 9, "columnNumber": 4}]}});
        let expected = Event::BrowserConsole {
            level: "warning".to_owned(),
            text: "buffer 3 Object undefined".to_owned(),
            location: "http://h/call.js:10:5".to_owned(),
        };
        assert_eq!(said(&mut t, "Runtime.consoleAPICalled", console), [expected]);
        let entry =
            json!({"entry": {"source": "network", "level": "error", "url": "http://h/x", "text": "404 (Not Found)"}});
        let [Event::BrowserConsole { level, text, location }] = &said(&mut t, "Log.entryAdded", entry)[..] else {
            panic!()
        };
        assert_eq!((&level[..], &text[..], &location[..]), ("error", "[network] 404 (Not Found)", "http://h/x"));
        let dialog = json!({"url": "http://h/", "message": "Hello", "type": "alert"});
        let events = said(&mut t, "Page.javascriptDialogOpening", dialog);
        assert!(matches!(&events[..], [Event::BrowserConsole { text, .. }] if text == "[alert] Hello"));
        let long = json!({"type": "log", "args": [{"type": "string", "value": "ä".repeat(9_999)}]});
        let events = said(&mut t, "Runtime.consoleAPICalled", long);
        assert!(matches!(&events[..], [Event::BrowserConsole { text, .. }] if text.chars().count() == TEXT_CHARS + 3));
    }

    #[test]
    fn exceptions_and_violations_are_told() {
        let mut t = translator();
        let thrown = json!({"exceptionDetails": {"text": "Uncaught", "lineNumber": 1, "columnNumber": 2, "url": "http://h/a.js",
            "exception": {"type": "object", "subtype": "error", "description": "TypeError: x is not a function\n    at a.js"}}});
        let [Event::BrowserException { text, location }] = &said(&mut t, "Runtime.exceptionThrown", thrown)[..] else {
            panic!()
        };
        assert!(
            text.starts_with("Uncaught: TypeError: x is not") && location == "http://h/a.js:2:3",
            "{text} {location}"
        );
        let promise =
            json!({"exceptionDetails": {"text": "Uncaught (in promise)", "exception": {"type": "number", "value": 7}}});
        let events = said(&mut t, "Runtime.exceptionThrown", promise);
        assert!(matches!(&events[..], [Event::BrowserException { text, .. }] if text == "Uncaught (in promise): 7"));
        let issue = json!({"issue": {"code": "ContentSecurityPolicyIssue", "details": {"contentSecurityPolicyIssueDetails": {
            "blockedURL": "ws://127.0.0.1:9/ws", "violatedDirective": "connect-src", "isReportOnly": false,
            "contentSecurityPolicyViolationType": "kURLViolation",
            "sourceCodeLocation": {"scriptId": "7", "url": "http://h/engine.js", "lineNumber": 4, "columnNumber": 0}}}}});
        let expected = Event::BrowserPolicyViolation {
            directive: "connect-src".to_owned(),
            blocked_url: "ws://127.0.0.1:9/ws".to_owned(),
            location: "http://h/engine.js:5:1".to_owned(),
        };
        assert_eq!(said(&mut t, "Audits.issueAdded", issue), [expected]);
        let other = json!({"issue": {"code": "CookieIssue", "details": {}}});
        assert_eq!(said(&mut t, "Audits.issueAdded", other), []);
    }

    #[test]
    fn requests_are_counted_and_failures_named() {
        let mut t = translator();
        for (id, url) in [("1", "http://h/"), ("2", "http://h/a.js"), ("3", "data:image/png;base64,AAAA")] {
            assert_eq!(
                said(&mut t, "Network.requestWillBeSent", json!({"requestId": id, "request": {"url": url}})),
                []
            );
        }
        said(&mut t, "Network.loadingFinished", json!({"requestId": "1", "encodedDataLength": 1_234.0}));
        assert_eq!(t.traffic, Traffic { requests: 2, bytes: 1_234 });
        // a worker's script, as it is really told: 90 bytes of head, 378 of body
        let head = json!({"requestId": "4", "type": "Other", "response": {"encodedDataLength": 90, "fromDiskCache": false,
            "headers": {"Content-Length": "378", "Content-Type": "text/javascript"}}});
        said(&mut t, "Network.responseReceived", head);
        said(&mut t, "Network.loadingFinished", json!({"requestId": "4", "encodedDataLength": 90}));
        assert_eq!(t.traffic.bytes, 1_234 + 468);
        let failed =
            json!({"requestId": "2", "type": "Script", "errorText": "net::ERR_BLOCKED_BY_CSP", "blockedReason": "csp"});
        let expected = Event::BrowserRequestFailed {
            url: "http://h/a.js".to_owned(),
            error: "net::ERR_BLOCKED_BY_CSP".to_owned(),
            blocked: Some("csp".to_owned()),
        };
        assert_eq!(said(&mut t, "Network.loadingFailed", failed), [expected]);
    }

    #[test]
    fn a_websocket_has_its_url_to_its_end_and_the_code_of_its_page() {
        let (mut t, url) = (translator(), "ws://h/ws");
        said(&mut t, "Network.webSocketCreated", json!({"requestId": "7", "url": url}));
        let answered = json!({"requestId": "7", "response": {"status": 101, "statusText": "Switching Protocols"}});
        let [Event::BrowserWebsocketAnswered { url: of, status: 101, .. }] =
            &said(&mut t, "Network.webSocketHandshakeResponseReceived", answered)[..]
        else {
            panic!()
        };
        assert_eq!(of, url);
        assert_eq!(said(&mut t, "Network.webSocketClosed", json!({"requestId": "7"})), []);
        assert!(t.awaits_close_frame());
        let closed = |socket: &str, code, reason: &str| Event::BrowserWebsocketClosed {
            socket: socket.to_owned(),
            url: url.to_owned(),
            code,
            reason: reason.to_owned(),
        };
        let frame = json!({"url": url, "code": 1001, "reason": "going"});
        assert_eq!(t.close_frame(&frame), [closed("7", Some(1001), "going")]);

        // the other way round, and a connection that just broke
        said(&mut t, "Network.webSocketCreated", json!({"requestId": "8", "url": url}));
        assert_eq!(t.close_frame(&json!({"url": url, "code": 1006, "reason": ""})), []);
        assert_eq!(said(&mut t, "Network.webSocketClosed", json!({"requestId": "8"})), [closed("8", None, "")]);
        said(&mut t, "Network.webSocketCreated", json!({"requestId": "9", "url": url}));
        said(&mut t, "Network.webSocketClosed", json!({"requestId": "9"}));
        assert_eq!(t.closed_without_code(), [closed("9", None, "")]);
        assert!(!t.awaits_close_frame());
    }

    #[test]
    fn the_pages_own_events_pass_and_others_are_not_lost() {
        let t = translator();
        let left = json!({"event": "client.participant_left", "fields": {"stream": 3, "name": "Bo", "extra": true}});
        assert_eq!(t.of_page(&left), Event::ClientParticipantLeft { stream: 3, name: "Bo".to_owned() });
        let connecting = json!({"event": "client.connecting", "fields": {"target": "ws://chat.example/ws", "address": "chat.example:80", "attempt": 1}});
        let Event::ClientConnecting { address, .. } = t.of_page(&connecting) else { panic!() };
        assert_eq!(address.to_string(), "127.0.0.1:7461", "a name is no address");
        let connected = json!({"event": "client.connected", "fields": {"target": "t", "address": "0.0.0.0:80", "local": "",
            "transport": "websocket", "took_us": 1}});
        let Event::ClientConnected { address, local, .. } = t.of_page(&connected) else { panic!() };
        assert_eq!((address.port(), local.to_string()), (7_461, "0.0.0.0:0".to_owned()));
        let failed = json!({"event": "client.connect_failed", "fields": {"target": "t", "address": null, "stage": "connect", "errno": null, "reason": "r"}});
        assert!(matches!(t.of_page(&failed), Event::ClientConnectFailed { address: None, .. }));
        for wrong in [
            json!({"event": "server.stopped", "fields": {"connections_served": 1, "connections_cut": 0, "uptime_ms": 1}}),
            json!({"event": "browser.ended", "fields": {"code": 0, "by_us": true}}),
            json!({"event": "client.joined", "fields": {"server": 7}}),
            json!({"event": "client.unheard_of", "fields": {}}),
            json!("nonsense"),
            Value::Null,
        ] {
            let Event::BrowserConsole { level, text, .. } = t.of_page(&wrong) else { panic!("{wrong}") };
            assert!(level == "warning" && text.contains(&wrong.to_string()), "{text}");
        }
    }
}

//! Each cause from the steps that show it, and nothing from those that do not.

use crate::diagnosis::diagnose;
use crate::evidence::probed::{
    Close, Closed, Excerpt, Failure, FrameProblem, Hello, How, Http, Identified, Intrusive, OriginTried, Ping, Saw,
    Speaks, Step, Upgrade, UpgradeProblem, Wait,
};
use crate::evidence::{
    Confidence, Environment, Evidence, Finding, HypothesisState, Observation, Observed, Plan, ProbePlan, Report,
    RunInfo, Status,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;

const AT: &str = "127.0.0.1:9";

fn plan() -> ProbePlan {
    serde_json::from_value(serde_json::json!({
        "target": "ws://127.0.0.1:9/nope", "speak": "ws", "host": "127.0.0.1", "port": 9, "deadline_ms": 1_000,
    }))
    .unwrap()
}

fn report_of(probe: ProbePlan, saw: Vec<(SocketAddr, Saw)>) -> Report {
    let seen = |(address, saw)| Observed {
        time: "2026-11-28T00:00:00.000000Z".to_owned(),
        monotonic_ns: 1,
        what: Observation::Probed(Step {
            address: Some(address),
            began_us: 0,
            took_us: 1_200,
            deadline_ms: 1_000,
            saw,
        }),
    };
    let evidence = Evidence {
        schema_version: crate::evidence::SCHEMA_VERSION.to_owned(),
        run: RunInfo::default(),
        plan: Plan { probe: Some(probe), ..Plan::default() },
        environment: Environment::default(),
        logs: vec![],
        observations: saw.into_iter().map(seen).collect(),
        artefacts: BTreeMap::new(),
    };
    diagnose(&evidence, vec![])
}

fn report(saw: Vec<Saw>) -> Report {
    report_of(plan(), saw.into_iter().map(|saw| (AT.parse().unwrap(), saw)).collect())
}

/// The cause that is found alone: everything that is not well is explained by it.
fn only(report: &Report) -> &Finding {
    let [finding] = report.findings.as_slice() else { panic!("{:?} {:?}", report.findings, report.checks) };
    for check in report.checks.iter().filter(|c| matches!(c.status, Status::Fail | Status::Warn | Status::Unknown)) {
        assert_eq!(check.caused_by.as_deref(), Some(finding.cause.as_str()), "{check:?}");
    }
    assert!(finding.chain.iter().all(|link| !link.statement().is_empty()) && !finding.chain.is_empty());
    finding
}

#[track_caller]
fn found(saw: Vec<Saw>, cause: &str, sure: Confidence, says: &[&str]) -> Report {
    let report = report(saw);
    let finding = only(&report);
    assert_eq!((finding.cause.as_str(), finding.confidence), (cause, sure), "{}", finding.summary);
    for part in says {
        assert!(report.verdict.sentence.contains(part), "{part:?}: {}", report.verdict.sentence);
    }
    report
}

#[track_caller]
fn nothing_found(saw: Vec<Saw>) -> Report {
    let report = report(saw);
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    report
}

fn status_of(report: &Report, id: &str) -> (Status, String) {
    let check = report.checks.iter().find(|check| check.id == format!("{id}/{AT}"));
    let check = check.unwrap_or_else(|| panic!("no {id}: {:?}", report.checks));
    assert!(check.status == Status::Skip || !check.evidence.is_empty(), "{check:?}");
    (check.status, check.message.clone())
}

fn http(status: u16, reason: &str, headers: &[(&str, &str)]) -> Http {
    Http {
        method: "GET".to_owned(),
        url: "ws://127.0.0.1:9/nope".to_owned(),
        status: Some(status),
        reason: Excerpt::text(reason),
        version: "HTTP/1.1".to_owned(),
        headers: headers.iter().map(|(n, v)| ((*n).to_owned(), Excerpt::text(v))).collect(),
        first_byte_us: Some(1_200),
        location: headers.iter().find(|(n, _)| *n == "Location").map(|(_, v)| (*v).to_owned()),
        proxies: headers.iter().filter(|(n, _)| *n == "Via").map(|(n, v)| format!("{n}: {v}")).collect(),
        ..Http::default()
    }
}

fn asked(answer: Http) -> Upgrade {
    let failure = match (answer.status, &answer.failure) {
        (Some(101), _) => None,
        (_, Some(failure)) => Some(failure.clone()),
        (status, None) => Some(Failure::new(How::Said, format!("{status:?} instead of 101"))),
    };
    Upgrade {
        request: [("Connection", "Upgrade"), ("Upgrade", "websocket")]
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .to_vec(),
        offered: vec!["sidetone.v1".to_owned()],
        answer,
        accept_wanted: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned(),
        failure,
        ..Upgrade::default()
    }
}

fn refused(status: u16, reason: &str, headers: &[(&str, &str)]) -> Saw {
    Saw::Upgrade(asked(http(status, reason, headers)))
}

fn broken(problem: UpgradeProblem, upgrade: Upgrade) -> Saw {
    let failure = Some(Failure::new(How::Malformed, "the answer breaks RFC 6455"));
    Saw::Upgrade(Upgrade { problems: vec![problem], failure, ..upgrade })
}

fn unanswered(failure: Failure) -> Saw {
    Saw::Upgrade(asked(Http { url: "ws://127.0.0.1:9/ws".to_owned(), failure: Some(failure), ..Http::default() }))
}

fn upgraded() -> Saw {
    let upgrade = asked(http(101, "Switching Protocols", &[]));
    Saw::Upgrade(Upgrade { subprotocol: Some("sidetone.v1".to_owned()), ..upgrade })
}

fn origin(origin: Option<&str>, status: u16) -> Saw {
    Saw::Origin(OriginTried { origin: origin.map(str::to_owned), status: Some(status), failure: None })
}

fn pong() -> Saw {
    Saw::Ping(Ping { rtt_us: Some(200), ..Ping::default() })
}

fn unanswered_ping(how: How, words: &str) -> Saw {
    Saw::Ping(Ping { failure: Some(Failure::new(how, words)), ..Ping::default() })
}

#[expect(clippy::unnecessary_wraps, reason = "as the field of a step has it")]
fn closed(code: u16, reason: &str) -> Option<Closed> {
    Some(Closed { code: Some(code), reason: Excerpt::text(reason) })
}

fn close() -> Saw {
    Saw::Close(Close { answer: closed(1000, ""), hung_up: Some(true), ..Close::default() })
}

/// An upgrade, then a server that closes with that code while nobody asked.
fn closes(code: u16, reason: &str) -> Vec<Saw> {
    vec![
        upgraded(),
        unanswered_ping(How::Said, &format!("it closed the WebSocket: {code}")),
        Saw::Wait(Wait { frames: 1, closed: closed(code, reason), ..Wait::default() }),
    ]
}

/// An upgrade, then frames with that trouble.
fn troubled(how: How, words: &str, problem: Option<FrameProblem>) -> Vec<Saw> {
    let failure = Some(Failure::new(how, words));
    vec![
        upgraded(),
        unanswered_ping(how, words),
        Saw::Wait(Wait { frames: 3, pings: 2, problem, failure, ..Wait::default() }),
    ]
}

#[test]
fn a_websocket_that_is_well_passes_and_says_its_figures() {
    let wait = Saw::Wait(Wait { listened_ms: 2, ..Wait::default() });
    let report = nothing_found(vec![upgraded(), pong(), wait, close()]);
    for (id, message) in [
        ("websocket.upgrade", "101 in 1.2 ms, subprotocol sidetone.v1"),
        ("websocket.pong", "pong in 0.2 ms"),
        ("websocket.first_words", "says nothing first (for 2 ms)"),
        ("websocket.close", "1000 in answer"),
    ] {
        assert_eq!(status_of(&report, id), (Status::Pass, message.to_owned()));
    }
    let titles: Vec<_> = report.checks.iter().map(|c| c.title.as_str()).filter(|t| t.ends_with(AT)).collect();
    assert_eq!(titles, ["websocket 127.0.0.1:9", "ping 127.0.0.1:9", "listen 127.0.0.1:9", "close 127.0.0.1:9"]);
}

#[test]
fn a_path_that_is_not_there_is_named_with_the_server_that_says_so() {
    let says = ["127.0.0.1:9 has no WebSocket at /nope: it answers 404 Not Found (nginx)"];
    let not_found = |server| {
        let mut answer = http(404, "Not Found", &[("Server", server)]);
        answer.body = Excerpt::text("no such\tpage\nand more");
        Saw::Upgrade(asked(answer))
    };
    let told = found(vec![not_found("nginx")], "http.wrong_path", Confidence::Medium, &says);
    let message = status_of(&told, "websocket.upgrade").1;
    assert_eq!(message, "404 Not Found; Server: nginx; body: no such page");
    found(vec![not_found("sidetone/0.1.0")], "http.wrong_path", Confidence::High, &["sidetone/0.1.0"]);
    // the same on two addresses is one finding; another status is another matter
    let other: SocketAddr = "[::1]:9".parse().unwrap();
    let both = vec![(AT.parse().unwrap(), not_found("nginx")), (other, not_found("nginx"))];
    let told = report_of(plan(), both);
    assert!(only(&told).summary.starts_with("127.0.0.1:9 and [::1]:9 has no WebSocket"), "{:?}", told.findings);
}

#[test]
fn each_status_of_a_refusal_has_its_cause() {
    use Confidence::{High, Medium};
    let page = [("Content-Type", "text/html"), ("Server", "nginx")];
    found(vec![refused(200, "OK", &page)], "http.not_upgraded", High, &["ordinary page of text/html", "200 OK"]);
    let via = [("Via", "1.1 proxy")];
    found(vec![refused(400, "Bad Request", &via)], "http.upgrade_headers_lost", Medium, &["400", "Via: 1.1 proxy"]);
    found(vec![refused(426, "Upgrade Required", &[])], "http.upgrade_headers_lost", Medium, &["426"]);
    let old = [("Sec-WebSocket-Version", "8, 7")];
    found(vec![refused(426, "Upgrade Required", &old)], "http.websocket_version_refused", High, &["it speaks 8, 7"]);
    let current = [("Sec-WebSocket-Version", "13")];
    found(vec![refused(426, "Upgrade Required", &current)], "http.upgrade_headers_lost", Medium, &["426"]);
    let after = [("Retry-After", "30")];
    found(vec![refused(429, "Too Many Requests", &after)], "http.rate_limited", High, &["come back after 30 s"]);
    found(vec![refused(431, "Too Large", &[])], "http.header_too_large", High, &["bytes and those of -H", "431"]);
    found(vec![refused(502, "Bad Gateway", &via)], "http.upstream_failed", High, &["Via: 1.1 proxy", "502"]);
    found(vec![refused(504, "Gateway Timeout", &[])], "http.upstream_failed", High, &["in time"]);
    found(vec![refused(503, "Unavailable", &[])], "http.upstream_failed", Medium, &["503"]);
    let nothing = nothing_found(vec![refused(400, "Bad Request", &[]), refused(500, "Oh", &[])]);
    assert_eq!(nothing.verdict.status, Status::Fail, "a status that may mean anything has no cause");
    let mut large = http(400, "Bad Request", &[("Server", "nginx")]);
    large.body = Excerpt::text("<center>Request Header Or Cookie Too Large</center>");
    found(vec![Saw::Upgrade(asked(large))], "http.header_too_large", High, &["400"]);
}

#[test]
fn a_redirect_is_told_with_its_goal_and_what_to_ask_for_instead() {
    let moved = refused(302, "Found", &[("Location", "https://there.example/ws")]);
    let told = found(vec![moved], "http.redirected", Confidence::High, &["on to https://there.example/ws", "302"]);
    assert_eq!(told.findings[0].fixes[0].text, "probe wss://there.example/ws instead");
    let hop = |hop, failure: Option<Failure>| {
        let answer = http(301, "Moved Permanently", &[("Location", "/")]);
        Saw::Http(Http { hop, failure, ..answer })
    };
    let circle = Failure::new(How::TooMuch, "it redirects in a circle");
    let told = found(
        vec![hop(0, None), hop(1, Some(circle))],
        "http.redirected",
        Confidence::High,
        &["it redirects in a circle"],
    );
    let message = status_of(&told, "http.answer").1;
    assert_eq!(message, "301 Moved Permanently to /, then 301 Moved Permanently to /: it redirects in a circle");
}

#[test]
fn origin_and_credentials_are_told_apart() {
    let asked_for = "https://page.example";
    let with_origin = || ProbePlan { origin: Some(asked_for.to_owned()), ..plan() };
    let told = |plan: ProbePlan, saw: Vec<Saw>| {
        report_of(plan, saw.into_iter().map(|saw| (AT.parse().unwrap(), saw)).collect())
    };
    let report = told(with_origin(), vec![refused(403, "Forbidden", &[]), origin(None, 101)]);
    let finding = only(&report);
    assert_eq!((finding.cause.as_str(), finding.confidence), ("http.forbidden", Confidence::High));
    assert_eq!(finding.hypotheses[0].state, HypothesisState::Confirmed);
    assert!(finding.summary.contains("because of the Origin") && finding.summary.contains(asked_for), "{finding:?}");
    let report = told(with_origin(), vec![refused(403, "Forbidden", &[]), origin(None, 403)]);
    let finding = only(&report);
    assert_eq!((finding.confidence, finding.hypotheses[0].state), (Confidence::Medium, HypothesisState::Refuted));
    let report = told(with_origin(), vec![refused(403, "Forbidden", &[])]);
    assert_eq!(only(&report).hypotheses[0].state, HypothesisState::Open);
    let wants = [("WWW-Authenticate", "Basic realm=\"x\"")];
    found(vec![refused(401, "Unauthorized", &wants)], "http.forbidden", Confidence::High, &["credentials", "Basic"]);
}

#[test]
fn whose_pages_may_connect_is_judged() {
    let (own, stranger) = (Some("http://127.0.0.1:9"), Some("https://stranger.example"));
    let tried = |own_status, stranger_status| {
        vec![upgraded(), origin(None, 101), origin(own, own_status), origin(stranger, stranger_status)]
    };
    assert_eq!(status_of(&nothing_found(tried(101, 403)), "http.origin").0, Status::Pass);
    let report = nothing_found(tried(101, 101));
    let (status, message) = status_of(&report, "http.origin");
    assert!(status == Status::Warn && message.starts_with("any web page may connect"), "{message}");
    let report = found(tried(403, 403), "http.forbidden", Confidence::High, &["refuses its own pages: 403"]);
    assert_eq!(status_of(&report, "http.origin").0, Status::Fail);
}

#[test]
fn a_handshake_that_is_wrong_is_told_with_what_was_due() {
    use UpgradeProblem as P;
    let wrong = || asked(http(101, "Switching Protocols", &[("Sec-WebSocket-Accept", "AAAA")]));
    let says = ["\"AAAA\"", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="];
    found(vec![broken(P::AcceptWrong, wrong())], "http.bad_accept_key", Confidence::High, &says);
    let plain = || asked(http(101, "Switching Protocols", &[]));
    found(vec![broken(P::AcceptMissing, plain())], "http.bad_accept_key", Confidence::High, &["is missing"]);
    let other = Upgrade { subprotocol: Some("chat".to_owned()), ..plain() };
    let says = ["\"chat\"", "offered was sidetone.v1"];
    found(vec![broken(P::SubprotocolNotOffered, other)], "http.subprotocol_not_agreed", Confidence::High, &says);
    let says = ["chooses no subprotocol"];
    found(vec![broken(P::SubprotocolMissing, plain())], "http.subprotocol_not_agreed", Confidence::High, &says);
    let report = found(
        vec![broken(P::ConnectionHeader, plain())],
        "http.upgrade_headers_lost",
        Confidence::Medium,
        &["answers 101 without the headers"],
    );
    assert_eq!(status_of(&report, "websocket.upgrade").0, Status::Fail);
    nothing_found(vec![broken(P::ExtensionNotOffered, plain())]);
    let Saw::Upgrade(second) = upgraded() else { unreachable!() };
    let second = Saw::Upgrade(Upgrade { second_try: true, subprotocol: None, ..second });
    let tries = vec![refused(400, "Bad Request", &[]), second, pong(), close()];
    let report = found(tries, "http.subprotocol_not_agreed", Confidence::High, &["400 Bad Request"]);
    assert_eq!(report.verdict.status, Status::Warn, "the WebSocket works without it");
}

#[test]
fn silence_and_slowness_are_no_status() {
    let silent = || unanswered(Failure::new(How::TimedOut, "no byte within 1000 ms"));
    let cause = "http.no_reply_to_upgrade";
    let unsure = found(vec![silent()], cause, Confidence::Medium, &["no byte within 1000 ms"]);
    let doubt = &unsure.findings[0].hypotheses[0];
    assert!(doubt.state == HypothesisState::Open && doubt.decided_by.contains("run the probe on that machine"));
    let speaks = |speaks| Saw::Identify(Identified { speaks, ..Identified::default() });
    found(vec![silent(), speaks(Speaks::Http)], cause, Confidence::High, &["although it answers HTTP otherwise"]);
    nothing_found(vec![silent(), speaks(Speaks::Sidetone)]);
    let slow = Failure::new(How::TooSlow, "only 9 bytes within 1000 ms").after(b"HTTP/1.1 ");
    found(vec![unanswered(slow)], "http.response_too_slow", Confidence::Medium, &["only 9 bytes"]);
    for failure in [
        Failure::new(How::TooSlow, "only 4 bytes within 1000 ms").after(b"SSH-"),
        Failure::new(How::Malformed, "the reply is not HTTP").after(b"\x00\x01\x02"),
        Failure::new(How::TooMuch, "more than 64 KiB of headers"),
    ] {
        let report = nothing_found(vec![unanswered(failure)]);
        assert_eq!(status_of(&report, "websocket.upgrade").0, Status::Fail);
    }
    let tls = report(vec![unanswered(Failure::new(How::Malformed, "no HTTP").after(b"\x15\x03\x01\x00\x02\x02\x32"))]);
    assert!(tls.findings.iter().all(|finding| finding.cause.starts_with("tls.")), "{:?}", tls.findings);
}

#[test]
fn each_code_of_a_close_frame_has_its_cause() {
    use Confidence::{High, Medium};
    for (code, cause, sure) in [
        (1002, "websocket.protocol_error", Medium),
        (1003, "websocket.wrong_message_type", Medium),
        (1007, "websocket.bad_utf8", Medium),
        (1008, "websocket.policy_violation", High),
        (1009, "websocket.message_too_big", High),
        (1011, "websocket.server_error", High),
        (1012, "websocket.restarting_or_overloaded", High),
        (1013, "websocket.restarting_or_overloaded", High),
    ] {
        let says = format!("127.0.0.1:9 closes the WebSocket with {code} (why)");
        found(closes(code, "why"), cause, sure, &[&says]);
        // the same when it comes in answer to what was sent
        let answer = Saw::Close(Close { answer: closed(code, "why"), ..Close::default() });
        found(vec![upgraded(), pong(), answer], cause, sure, &[&says]);
    }
    for code in [1000, 1001] {
        let report = nothing_found(closes(code, ""));
        assert_eq!(report.verdict.status, Status::Warn, "{:?}", report.checks);
    }
    assert_eq!(nothing_found(closes(4001, "")).verdict.status, Status::Fail, "a code of the application's own");
}

#[test]
fn limits_tell_what_a_close_code_leaves_open() {
    let binary_only = Intrusive {
        text: Some(false),
        binary: Some(true),
        largest_accepted: Some(65_536),
        smallest_refused: Some(65_537),
        refused_with: closed(1009, ""),
        fragments: Some(true),
        ..Intrusive::default()
    };
    let with = |code| [closes(code, ""), vec![Saw::Intrusive(binary_only.clone())]].concat();
    let says = ["it takes binary messages, and no text ones"];
    found(with(1003), "websocket.wrong_message_type", Confidence::High, &says);
    let report = found(with(1009), "websocket.message_too_big", Confidence::High, &["it takes 65536 bytes"]);
    let says = "takes binary, no text, messages up to 65536 bytes (it refuses 65537 with 1009), in fragments too";
    assert_eq!(status_of(&report, "websocket.limits"), (Status::Pass, says.to_owned()));
    let whole = Saw::Intrusive(Intrusive { fragments: Some(false), ..binary_only });
    let told = vec![upgraded(), pong(), close(), whole];
    found(told, "websocket.fragmentation_unsupported", Confidence::High, &["two fragments"]);
}

#[test]
fn frames_that_are_wrong_too_many_or_missing_have_their_cause() {
    use FrameProblem as P;
    let words = "a frame with a reserved bit set (its header: c1 01)";
    let reserved = troubled(How::Malformed, words, Some(P::ReservedBit));
    found(reserved, "websocket.protocol_error", Confidence::High, &["c1 01"]);
    let text = troubled(How::Malformed, "text that is not UTF-8", Some(P::BadUtf8));
    found(text, "websocket.bad_utf8", Confidence::High, &["not UTF-8"]);
    let giant = troubled(How::TooMuch, "a frame that announces more than 64 MiB", Some(P::TooLarge));
    found(giant, "websocket.message_too_big", Confidence::Medium, &["64 MiB"]);
    let flood = troubled(How::TooMuch, "1001 frames that nobody asked for", Some(P::Flood));
    let report = found(flood, "websocket.flooded", Confidence::High, &["1001 frames"]);
    assert!(report.findings[0].chain.iter().any(|link| link.statement() == "2 of 3 frames were pings"));
    let ended = || troubled(How::Closed, "the connection ended without a close frame", None);
    found(ended(), "websocket.closed_without_frame", Confidence::Medium, &["without a close frame"]);
    let greeted = Saw::Hello(Hello { answered: true, code: Some("ok".to_owned()), ..Hello::default() });
    found([ended(), vec![greeted]].concat(), "websocket.closed_without_frame", Confidence::High, &[]);
    let at_the_end = Some(Failure::new(How::Reset, "the connection was reset"));
    let told = vec![upgraded(), pong(), Saw::Close(Close { failure: at_the_end, ..Close::default() })];
    let report = found(told, "websocket.closed_without_frame", Confidence::Medium, &[]);
    assert_eq!(report.verdict.status, Status::Warn, "it worked until then");
}

#[test]
fn a_ping_and_a_close_frame_want_answers() {
    let silent = || vec![upgraded(), unanswered_ping(How::TimedOut, "no pong within 1000 ms")];
    let hung = || {
        let failure = Some(Failure::new(How::TimedOut, "no close frame within 1000 ms"));
        Saw::Close(Close { failure, ..Close::default() })
    };
    let nothing = Saw::Wait(Wait::default());
    let dead = [silent(), vec![nothing, hung()]].concat();
    let report = found(dead, "websocket.no_pong", Confidence::Medium, &["no pong within 1000 ms"]);
    assert_eq!(report.findings[0].hypotheses[0].state, HypothesisState::Open, "nothing flows");
    let talks = Saw::Wait(Wait { frames: 7, ..Wait::default() });
    let says = ["although 7 frames of it came on the connection"];
    let report = found([silent(), vec![talks, close()]].concat(), "websocket.no_pong", Confidence::High, &says);
    assert_eq!(report.findings[0].hypotheses[0].state, HypothesisState::Refuted);
    let says = ["does not answer a close frame: no close frame within 1000 ms"];
    let report = found(vec![upgraded(), pong(), hung()], "websocket.close_handshake_hung", Confidence::High, &says);
    assert_eq!(report.verdict.status, Status::Warn);
    let lingers = Saw::Close(Close { answer: closed(1000, ""), hung_up: Some(false), ..Close::default() });
    let says = ["answers a close frame and does not end the connection"];
    found(vec![upgraded(), pong(), lingers], "websocket.close_handshake_hung", Confidence::High, &says);
}

#[test]
fn plain_answers_are_judged_by_what_was_asked_for() {
    let told = |target: &str, status, reason: &str| {
        let plan = ProbePlan {
            speak: if target.starts_with("http") { crate::evidence::Speak::Http } else { crate::evidence::Speak::Any },
            target: target.to_owned(),
            ..plan()
        };
        let answer = Http { url: "http://127.0.0.1:9/x?y".to_owned(), ..http(status, reason, &[]) };
        report_of(plan, vec![(AT.parse().unwrap(), Saw::Http(answer))])
    };
    let well = told("http://127.0.0.1:9", 200, "OK");
    assert_eq!(status_of(&well, "http.answer"), (Status::Pass, "200 OK in 1.2 ms".to_owned()));
    let missing = told("http://127.0.0.1:9", 404, "Not Found");
    assert_eq!(only(&missing).summary, "127.0.0.1:9 has nothing at /x?y: it answers 404 Not Found");
    assert_eq!(status_of(&told("127.0.0.1:9", 404, "Not Found"), "http.answer").0, Status::Pass, "it speaks HTTP");
    assert_eq!(status_of(&told("127.0.0.1:9", 500, "Oh"), "http.answer").0, Status::Warn);
    let odd = told("http://127.0.0.1:9", 500, "Oh\u{1b}[2J\ttab");
    let sentence = &odd.verdict.sentence;
    assert!(sentence.contains("500 Oh") && !sentence.chars().any(char::is_control), "{sentence:?}");
}

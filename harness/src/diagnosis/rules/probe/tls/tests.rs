use super::*;
use crate::diagnosis::checks::probe;
use crate::diagnosis::rules::Found;
use crate::diagnosis::view::draft;
use crate::evidence::probed::{
    Alert, Behind, Certificate, Excerpt, Failure, Hello, How, Http, Identified, OldPeer, Route, Speaks, Step, Trust,
    TrustProblem, Upgrade,
};
use crate::evidence::{
    Confidence, Environment, Evidence, HypothesisState, Layer, Ledger, Observation, Observed, Plan, ProbePlan, RunInfo,
    Side, Speak,
};
use std::collections::BTreeMap;

const HERE: &str = "127.0.0.1:9";
const NOW: &str = "2026-11-27T00:00:00Z";

fn plan(target: &str) -> ProbePlan {
    let (word, rest) = target.split_once("://").unwrap();
    let speak = [Speak::Tcp, Speak::Tls, Speak::Ws, Speak::Wss, Speak::Http, Speak::Https];
    let host = rest.split(['/', ':']).next().unwrap().to_owned();
    let speak = speak.into_iter().find(|speak| speak.word() == word).unwrap();
    ProbePlan { target: target.to_owned(), speak, host, port: 9, deadline_ms: 1_000, ..ProbePlan::default() }
}

fn evidence(target: &str, saw: Vec<Saw>) -> Evidence {
    let step =
        |saw| Step { address: Some(HERE.parse().unwrap()), began_us: 1, took_us: 1_500, deadline_ms: 1_000, saw };
    let observed = |saw| Observed { time: NOW.to_owned(), monotonic_ns: 0, what: Observation::Probed(step(saw)) };
    Evidence {
        schema_version: "1.0".to_owned(),
        run: RunInfo::default(),
        plan: Plan { probe: Some(plan(target)), ..Plan::default() },
        environment: Environment::default(),
        logs: Vec::new(),
        observations: saw.into_iter().map(observed).collect(),
        artefacts: BTreeMap::new(),
    }
}

/// The checks of this layer, one that stands on it, and what the rules find.
fn found(target: &str, saw: Vec<Saw>) -> (Vec<Check>, Option<Found>) {
    let evidence = evidence(target, saw);
    let mut view = View { evidence: &evidence, ledger: Ledger::new(&evidence) };
    let all = probe::CHECKS.iter().copied().flatten().filter(|check| check.id.starts_with("tls."));
    let mut checks: Vec<Check> = all.flat_map(|check| (check.run)(&mut view)).collect();
    let above = draft(format!("websocket.upgrade/{HERE}"), Layer::Websocket, Side::Server, "websocket");
    checks.push(above.fail("no", vec![], "nothing"));
    let found = RULES.iter().find_map(|rule| rule(&mut view, &checks));
    (checks, found)
}

/// Finds this cause, which explains whatever stands on TLS, and gives its summary and the rest.
fn cause(target: &str, saw: Vec<Saw>, code: &str, confidence: Confidence) -> crate::evidence::Finding {
    let (checks, found) = found(target, saw);
    let (finding, explained) = found.unwrap_or_else(|| panic!("nothing found in {checks:#?}"));
    assert_eq!((finding.cause.as_str(), finding.confidence), (code, confidence), "{}", finding.summary);
    let open: Vec<_> = unwell(&checks).map(|check| check.id.clone()).collect();
    assert_eq!(open, explained);
    assert!(finding.summary.contains(HERE), "{}", finding.summary);
    finding
}

fn certificate(from: &str, until: &str) -> Certificate {
    Certificate {
        subject: "CN=chat.example".to_owned(),
        issuer: "CN=an authority".to_owned(),
        names: vec!["chat.example".to_owned()],
        not_before: format!("{from}T00:00:00Z"),
        not_after: format!("{until}T00:00:00Z"),
        key: "ECDSA P-256".to_owned(),
        signature: "ecdsa-with-SHA256".to_owned(),
        sha256: "aa".to_owned(),
        ..Certificate::default()
    }
}

fn shaken(problem: Option<TrustProblem>) -> Tls {
    Tls {
        server_name: Some("chat.example".to_owned()),
        offered: vec!["http/1.1".to_owned()],
        version: Some("TLS 1.3".to_owned()),
        chain: vec![certificate("2026-11-01", "2027-02-01")],
        trust: Some(Trust {
            good: problem.is_none(),
            problem,
            words: "words".to_owned(),
            authorities: "1 of ca.pem".to_owned(),
            judged_at: NOW.to_owned(),
            clock_ahead_s: None,
        }),
        ..Tls::default()
    }
}

fn ended(failure: Failure) -> Tls {
    Tls { failure: Some(failure), ..Tls::default() }
}

fn alerted(number: u8) -> Tls {
    let alert = Alert { number, name: "an_alert".to_owned() };
    Tls { alert: Some(alert), ..ended(Failure::new(How::Said, format!("the server says an_alert (alert {number})"))) }
}

fn identified(speaks: Speaks) -> Saw {
    Saw::Identify(Identified { speaks, ..Identified::default() })
}

fn with_clock(tls: &Tls, ahead: i64) -> Saw {
    let trust = tls.trust.clone().map(|trust| Trust { clock_ahead_s: Some(ahead), ..trust });
    Saw::Tls(Tls { second_look: true, trust, ..tls.clone() })
}

fn local() -> Saw {
    Saw::Route(Route { this_machine: Some(true), ..Route::default() })
}

#[test]
fn a_plain_target_whose_port_speaks_tls() {
    let upgrade = |status, body: &[u8], failure: Option<Failure>| {
        let answer = Http { status, body: Excerpt::of(body), ..Http::default() };
        Saw::Upgrade(Upgrade { answer, failure, ..Upgrade::default() })
    };
    let code = "tls.plain_spoken_to_tls_port";
    let record = Failure::new(How::Malformed, "no HTTP").after(b"\x15\x03\x01\x00\x02\x02\x46");
    let nginx = b"<center>The plain HTTP request was sent to HTTPS port</center>";
    for sign in [identified(Speaks::Tls), upgrade(Some(400), nginx, None), upgrade(None, b"", Some(record))] {
        let finding = cause("ws://127.0.0.1:9/ws", vec![sign], code, Confidence::High);
        assert_eq!(finding.summary, "127.0.0.1:9 speaks TLS: use wss://127.0.0.1:9/ws");
    }
    assert!(found("ws://127.0.0.1:9/ws", vec![identified(Speaks::Http)]).1.is_none());
    assert!(found("ws://127.0.0.1:9/ws", vec![upgrade(Some(400), b"bad", None)]).1.is_none());
    assert!(found("tcp://127.0.0.1:9", vec![Saw::Hello(Hello::default())]).1.is_none());
}

#[test]
fn a_tls_target_whose_port_speaks_something_else() {
    let code = "tls.tls_spoken_to_plain_port";
    let http = || Saw::Tls(ended(Failure::new(How::Malformed, "not TLS").after(b"HTTP/1.1 400 Bad Request\r\n")));
    let finding = cause("wss://127.0.0.1:9/ws", vec![http()], code, Confidence::High);
    assert_eq!(finding.summary, "127.0.0.1:9 speaks plain HTTP and no TLS: use ws://127.0.0.1:9/ws");
    let finding = cause("https://127.0.0.1:9/", vec![http(), identified(Speaks::Http)], code, Confidence::High);
    assert!(finding.summary.ends_with("use http://127.0.0.1:9/") && finding.chain.len() == 2, "{finding:?}");
    let silent = Saw::Tls(ended(Failure::new(How::TimedOut, "no byte within 1000 ms")));
    let finding = cause("wss://127.0.0.1:9/", vec![silent, identified(Speaks::Sidetone)], code, Confidence::High);
    assert!(finding.summary.ends_with("use tcp://127.0.0.1:9/"), "{}", finding.summary);
    let ssh = Saw::Tls(ended(Failure::new(How::Malformed, "not TLS").after(b"SSH-2.0-x\r\n")));
    let finding = cause("wss://127.0.0.1:9/", vec![ssh], code, Confidence::High);
    assert!(finding.summary.contains("begins \"SSH-2.0-x\""), "{}", finding.summary);
}

#[test]
fn a_stalled_handshake_is_as_sure_as_what_else_it_may_be() {
    let silent = || Saw::Tls(ended(Failure::new(How::TimedOut, "no byte within 1000 ms")));
    let code = "tls.handshake_stalled";
    let finding = cause("wss://127.0.0.1:9/", vec![silent(), identified(Speaks::Silent)], code, Confidence::Medium);
    assert!(finding.summary.contains("no byte within 1000 ms"), "{}", finding.summary);
    assert!(finding.hypotheses.iter().all(|one| one.state == HypothesisState::Open));
    let finding =
        cause("wss://127.0.0.1:9/", vec![local(), silent(), Saw::Behind(Behind::default())], code, Confidence::Medium);
    let states: Vec<_> = finding.hypotheses.iter().map(|one| one.state).collect();
    assert_eq!(states, [HypothesisState::Open, HypothesisState::Refuted]);
}

#[test]
fn alerts_say_what_is_wrong() {
    let wss = "wss://127.0.0.1:9/";
    let h2 = Tls { offered: vec!["http/1.1".to_owned()], ..alerted(120) };
    cause(wss, vec![Saw::Tls(h2)], "tls.alpn_mismatch", Confidence::High);
    let unoffered = Tls { protocol: Some("h2".to_owned()), ..shaken(None) };
    let finding = cause(wss, vec![Saw::Tls(unoffered)], "tls.alpn_mismatch", Confidence::High);
    assert!(finding.summary.contains("chose h2"), "{}", finding.summary);
    let asked = Tls { asks_certificate: true, asks_for_those_of: vec!["CN=us".to_owned()], ..alerted(116) };
    let code = "tls.client_certificate_required";
    let finding = cause(wss, vec![Saw::Tls(asked.clone())], code, Confidence::High);
    assert!(finding.summary.contains("of CN=us") && finding.summary.contains("--client-cert"), "{}", finding.summary);
    let sent = Tls { sent_certificate: true, ..asked.clone() };
    let finding = cause(wss, vec![Saw::Tls(sent)], code, Confidence::High);
    assert!(finding.summary.contains("does not accept"), "{}", finding.summary);
    let closed = Tls { alert: None, failure: Some(Failure::new(How::Closed, "closed")), ..asked };
    cause(wss, vec![Saw::Tls(closed)], code, Confidence::Medium);
    cause(wss, vec![Saw::Tls(alerted(112))], "tls.server_name_not_sent", Confidence::High);
    let named = Tls { server_name: Some("chat.example".to_owned()), ..alerted(112) };
    cause(wss, vec![Saw::Tls(named)], "tls.name_mismatch", Confidence::High);
}

#[test]
fn nothing_in_common_is_settled_by_an_old_hello() {
    let code = "tls.version_or_cipher_mismatch";
    let old = OldPeer { version: Some("TLS 1.0".to_owned()), cipher: Some("TLS_X".to_owned()), ..OldPeer::default() };
    let again = Tls { second_look: true, old: Some(old), ..alerted(40) };
    let finding = cause("wss://127.0.0.1:9/", vec![Saw::Tls(alerted(40)), Saw::Tls(again)], code, Confidence::High);
    assert!(finding.summary.contains("nothing newer than TLS 1.0 with TLS_X"), "{}", finding.summary);
    cause("wss://127.0.0.1:9/", vec![Saw::Tls(alerted(40))], code, Confidence::Medium);
    cause("wss://127.0.0.1:9/", vec![Saw::Tls(alerted(70))], code, Confidence::High);
}

#[test]
fn a_certificate_out_of_its_time_is_judged_with_both_clocks() {
    let wss = "wss://chat.example:9/";
    let expired = Tls { chain: vec![certificate("2026-01-01", "2026-11-24")], ..shaken(Some(TrustProblem::Expired)) };
    let seen = |more: Vec<Saw>| [vec![Saw::Tls(expired.clone())], more].concat();
    let code = "tls.certificate_expired";
    let finding = cause(wss, seen(vec![]), code, Confidence::Medium);
    assert!(finding.summary.contains("expired 3 days ago, on 2026-11-24T00:00:00Z"), "{}", finding.summary);
    let finding = cause(wss, seen(vec![with_clock(&expired, 2)]), code, Confidence::High);
    assert_eq!(finding.hypotheses[0].state, HypothesisState::Refuted);
    // the clock of this machine is no witness for itself
    cause(wss, seen(vec![with_clock(&expired, 0), local()]), code, Confidence::Medium);
    // a clock that is wrong and does not help it
    cause(wss, seen(vec![with_clock(&expired, -3_600)]), code, Confidence::Medium);
    let finding = cause(wss, seen(vec![with_clock(&expired, -10 * 86_400)]), "time.clock_skew", Confidence::Medium);
    assert!(finding.summary.contains("10 days ahead of that of"), "{}", finding.summary);
    let early = Tls { chain: vec![certificate("2026-11-29", "2027-01-01")], ..shaken(Some(TrustProblem::NotYetValid)) };
    let finding = cause(wss, vec![Saw::Tls(early)], "tls.certificate_not_yet_valid", Confidence::Medium);
    assert!(finding.summary.contains("begins in 2 days, on 2026-11-29"), "{}", finding.summary);
}

#[test]
fn names_are_compared_with_what_was_sent() {
    let mismatch = shaken(Some(TrustProblem::Name));
    let finding = cause("wss://b.example:9/", vec![Saw::Tls(mismatch.clone())], "tls.name_mismatch", Confidence::High);
    assert!(finding.summary.contains("is for chat.example, not for b.example"), "{}", finding.summary);
    let unnamed = Tls { server_name: None, ..mismatch };
    let wss = "wss://127.0.0.1:9/";
    cause(wss, vec![Saw::Tls(unnamed.clone())], "tls.name_mismatch", Confidence::Medium);
    let by_name = Tls { second_look: true, ..shaken(None) };
    let both = vec![Saw::Tls(unnamed.clone()), Saw::Tls(by_name.clone())];
    let finding = cause(wss, both, "tls.name_mismatch", Confidence::High);
    assert!(finding.summary.contains("by the name chat.example it is good"), "{}", finding.summary);
    let mut other = by_name;
    other.chain[0].sha256 = "bb".to_owned();
    cause(wss, vec![Saw::Tls(unnamed), Saw::Tls(other)], "tls.server_name_not_sent", Confidence::High);
}

#[test]
fn issuers_are_unknown_or_were_not_sent() {
    let wss = "wss://chat.example:9/";
    let unknown = "tls.unknown_issuer";
    cause(wss, vec![Saw::Tls(shaken(Some(TrustProblem::UnknownIssuer)))], unknown, Confidence::High);
    let finding = cause(wss, vec![Saw::Tls(shaken(Some(TrustProblem::SelfSigned)))], unknown, Confidence::High);
    assert!(finding.summary.contains("has signed itself"), "{}", finding.summary);
    let mut missing = shaken(Some(TrustProblem::IntermediateMissing));
    cause(wss, vec![Saw::Tls(missing.clone())], unknown, Confidence::Medium);
    missing.chain[0].issuer_url = Some("http://ca.example/i".to_owned());
    let finding = cause(wss, vec![Saw::Tls(missing)], "tls.intermediate_missing", Confidence::Medium);
    assert!(finding.summary.contains("CN=an authority"), "{}", finding.summary);
}

#[test]
fn what_works_is_looked_at_too() {
    let status = |tls: Tls| {
        let (checks, found) = found("wss://chat.example:9/", vec![Saw::Tls(tls)]);
        assert!(found.is_none());
        checks.iter().find(|check| check.id == format!("tls.certificate/{HERE}")).unwrap().clone()
    };
    let fine = status(shaken(None));
    assert_eq!((fine.status, fine.layer), (Status::Pass, Layer::Tls));
    assert!(fine.message.contains("ends in 66 days"), "{}", fine.message);
    let with = |change: fn(&mut Certificate)| {
        let mut tls = shaken(None);
        change(&mut tls.chain[0]);
        status(tls)
    };
    for (check, part) in [
        (with(|one| one.not_after = "2026-12-01T00:00:00Z".to_owned()), "ends in 4 days"),
        (with(|one| one.key = "RSA 1024".to_owned()), "1024 bits is weak"),
        (with(|one| one.signature = "sha1WithRSAEncryption".to_owned()), "sha1WithRSAEncryption"),
    ] {
        assert!(check.status == Status::Warn && check.message.contains(part), "{}", check.message);
    }
    assert_eq!(with(|one| one.not_after = "9999-12-31T23:59:59Z".to_owned()).status, Status::Pass);
}

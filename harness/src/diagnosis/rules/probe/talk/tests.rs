//! Each cause from the steps that show it, and nothing from those that do not.

use crate::diagnosis::diagnose;
use crate::evidence::probed::{
    Advertised, Answers, Behind, EchoHeard, Excerpt, Failure, Greeting, Hello, How, Identified, Listening, Ping, Saw,
    Speaks, Step, Unfinished,
};
use crate::evidence::{
    Confidence, Environment, Evidence, HypothesisState, Observation, Observed, Plan, ProbePlan, Report, RunInfo, Status,
};
use sidetone::event::Transport;
use std::collections::BTreeMap;
use std::net::SocketAddr;

fn address() -> SocketAddr {
    ([127, 0, 0, 1], 7460).into()
}

/// The report of a probe that made these steps.
fn report(saw: Vec<Saw>) -> Report {
    let probe: ProbePlan = serde_json::from_value(serde_json::json!({
        "target": format!("tcp://{}", address()), "speak": "tcp", "host": "127.0.0.1", "port": 7460,
        "deadline_ms": 3_000, "deep": true,
    }))
    .unwrap();
    let step = |saw| Step { address: Some(address()), began_us: 0, took_us: 200, deadline_ms: 3_000, saw };
    let seen = |saw| Observed {
        time: "2026-11-28T00:00:00.000000Z".to_owned(),
        monotonic_ns: 1,
        what: Observation::Probed(step(saw)),
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

/// The cause that is found alone, its confidence and its sentence; the check of that id is explained by it.
fn found(saw: Vec<Saw>, check: &str) -> (String, Confidence, String) {
    let report = report(saw);
    let [finding] = report.findings.as_slice() else { panic!("{:?} {:?}", report.findings, report.checks) };
    let checks: Vec<_> = report.checks.iter().filter(|c| c.id.starts_with(check)).collect();
    assert!(!checks.is_empty(), "{check}: {:?}", report.checks);
    for made in checks {
        let explained = made.caused_by.as_deref() == Some(finding.cause.as_str());
        assert!(explained || made.status == Status::Unknown, "{made:?}");
    }
    (finding.cause.clone(), finding.confidence, finding.summary.clone())
}

fn nothing_found(saw: Vec<Saw>) -> Report {
    let report = report(saw);
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    report
}

fn answered() -> Hello {
    Hello {
        transport: Some(Transport::Tcp),
        answered: true,
        code: Some("version_unsupported".to_owned()),
        says: Excerpt::text("this server speaks version 1"),
        agent: Some(Excerpt::text("sidetone/0.1.0")),
        versions: Some((1, 1)),
        ours: Some(1),
        capabilities: vec!["audio".to_owned(), "echo".to_owned()],
        ..Hello::default()
    }
}

fn unanswered(how: How, words: &str, begins: &[u8]) -> Saw {
    let failure = Some(Failure::new(how, words).after(begins));
    Saw::Hello(Hello { transport: Some(Transport::Tcp), ours: Some(1), failure, ..Hello::default() })
}

fn speaks(speaks: Speaks, greeting: Option<&str>) -> Saw {
    let greeting = greeting.map(|protocol| Greeting {
        begins: Excerpt::of(b"hello\r\n"),
        protocol: Some(protocol.to_owned()),
        after_us: 100,
    });
    Saw::Identify(Identified { speaks, greeting, ..Identified::default() })
}

fn heard() -> EchoHeard {
    EchoHeard {
        sent_ms: 2_000,
        packets_sent: 100,
        packets_received: 100,
        jitter_us: Some(300),
        rtt_us: Some(200),
        concealed_fraction: Some(0.0),
        level_sent_db: -20.0,
        level_heard_db: Some(-20.1),
        tone_hz: 880.0,
        strongest_hz: Some(880.4),
        purity_db: Some(45.0),
        mouth_to_ear_ms: Some(150.0),
        mouth_to_ear_last_ms: Some(150.0),
        clipped_fraction: Some(0.0),
        offered: Some(true),
        ..EchoHeard::default()
    }
}

#[test]
fn a_server_that_is_well_passes_and_says_its_figures() {
    let told = nothing_found(vec![Saw::Hello(answered()), Saw::Echo(heard())]);
    let made = told.checks.iter().filter(|c| c.status != Status::Skip);
    let told: Vec<_> = made.map(|c| (c.id.as_str(), c.status, c.message.as_str())).collect();
    let [hello, echo] = told.as_slice() else { panic!("{told:?}") };
    let words = "answers in 0.2 ms, sidetone/0.1.0, version 1, offers audio echo";
    assert_eq!(*hello, ("session.hello/127.0.0.1:7460", Status::Pass, words));
    assert_eq!((echo.0, echo.1), ("media.echo/127.0.0.1:7460", Status::Pass));
    assert!(echo.2.contains("mouth to ear 150 ms") && echo.2.contains("-20.1 dBFS of -20.0"), "{}", echo.2);
}

#[test]
fn a_stranger_is_named_by_its_own_words_or_by_what_it_speaks_when_asked() {
    let check = "session.hello/";
    let malformed = "first byte is 0x53";
    let (cause, sure, says) = found(vec![unanswered(How::Malformed, malformed, b"SSH-2.0-OpenSSH_9.6\r\n")], check);
    assert_eq!((cause.as_str(), sure), ("session.foreign_server_answered", Confidence::High));
    assert_eq!(says, "SSH answers at 127.0.0.1:7460, not Sidetone: \"SSH-2.0-OpenSSH_9.6\"");
    let behind = Behind {
        port: 7460,
        listeners: vec![
            serde_json::from_value::<Listening>(serde_json::json!({
                "address": address(), "covers": true, "waiting": null, "backlog": null, "user_id": null, "v6only": null,
                "namespace": null, "owners": [{
                    "pid": 7, "command": "/usr/sbin/smtpd -f", "since": null, "state": null, "threads": null,
                }],
            }))
            .unwrap(),
        ],
        ..Behind::default()
    };
    let mail = unanswered(How::Malformed, malformed, b"220 mx.example ESMTP\r\n");
    let (_, _, says) = found(vec![mail, Saw::Behind(behind)], check);
    assert!(says.contains("SMTP answers at 127.0.0.1:7460 (/usr/sbin/smtpd, pid 7), not Sidetone"), "{says}");
    let silent = || unanswered(How::TimedOut, "no byte within 3000 ms", b"");
    let (cause, _, says) = found(vec![silent(), speaks(Speaks::WebSocket, None)], check);
    assert_eq!(cause, "session.foreign_server_answered");
    assert!(says.contains("this is a port for ws://"), "{says}");
    let (_, _, says) = found(vec![silent(), speaks(Speaks::Greeting, Some("FTP"))], check);
    assert!(says.starts_with("FTP answers"), "{says}");
    let odd = unanswered(How::Malformed, malformed, &[0x00, 0x01]);
    let (cause, sure, _) = found(vec![odd], check);
    assert_eq!((cause.as_str(), sure), ("session.foreign_server_answered", Confidence::Medium));
    // that is told by the rules of TLS
    let (cause, ..) = found(vec![unanswered(How::Malformed, malformed, b"\x15\x03\x01\x00\x02\x02\x46")], check);
    assert_eq!(cause, "tls.plain_spoken_to_tls_port");
}

#[test]
fn frames_that_cannot_be_and_frames_that_end_early_are_told_apart() {
    let check = "session.hello/";
    let begins = b"\xd7\x03";
    let cut = |how, words: &str| {
        let failure = Some(Failure::new(how, words).after(begins));
        let unfinished = Some(Unfinished { had: 20, announced: Some(98) });
        Saw::Hello(Hello { transport: Some(Transport::Tcp), failure, unfinished, ..Hello::default() })
    };
    let (cause, sure, says) = found(vec![cut(How::Closed, "closed inside a frame")], check);
    assert_eq!((cause.as_str(), sure), ("session.message_truncated", Confidence::High));
    assert!(says.contains("20 of 98 bytes"), "{says}");
    let (cause, sure, says) = found(vec![cut(How::TooSlow, "20 bytes within 3000 ms, and no whole answer")], check);
    assert_eq!((cause.as_str(), sure), ("session.framing_error", Confidence::Medium));
    assert!(says.contains("never ends it: 20 of 98 bytes"), "{says}");
    let absurd = unanswered(How::TooMuch, "payload of 83886080 bytes for kind 0x03, limit 65536", begins);
    let (cause, sure, says) = found(vec![absurd], check);
    assert_eq!((cause.as_str(), sure), ("session.framing_error", Confidence::High));
    assert!(says.contains("83886080"), "{says}");
}

#[test]
fn what_the_server_says_itself_is_believed() {
    let check = "session.hello/";
    let newer = Hello { versions: Some((2, 3)), ..answered() };
    let (cause, sure, says) = found(vec![Saw::Hello(newer)], check);
    assert_eq!((cause.as_str(), sure), ("session.version_mismatch", Confidence::High));
    assert!(says.contains("versions 2 to 3") && says.contains("this program version 1"), "{says}");
    let older = Hello { versions: None, agent: None, capabilities: vec![], ..answered() };
    nothing_found(vec![Saw::Hello(older)]);
    let full =
        Hello { code: Some("server_full".to_owned()), says: Excerpt::text("every place is taken"), ..answered() };
    assert_eq!(found(vec![Saw::Hello(full)], check).0, "session.capacity_reached");
    let no = |code: &str| {
        let failure = Some(Failure::new(How::Said, "no"));
        Saw::Echo(EchoHeard { refused: Some(code.to_owned()), failure, ..EchoHeard::default() })
    };
    for (code, cause) in [
        ("server_full", "session.capacity_reached"),
        ("room_invalid", "session.room_unavailable"),
        ("audio_unsupported", "session.feature_not_offered"),
    ] {
        assert_eq!(found(vec![Saw::Hello(answered()), no(code)], "media.echo/").0, cause);
    }
    let failure = Some(Failure::new(How::Said, "the server offers no echo room"));
    let none = || EchoHeard { offered: Some(false), failure: failure.clone(), ..EchoHeard::default() };
    let (cause, _, says) = found(vec![Saw::Hello(answered()), Saw::Echo(none())], "media.echo/");
    assert_eq!(cause, "session.feature_not_offered");
    assert!(says.contains("offers no echo room"), "{says}");
    let verdict = report(vec![Saw::Hello(answered()), Saw::Echo(none())]).verdict;
    assert_eq!(verdict.status, Status::Unknown);
    assert!(verdict.sentence.contains("offers no echo room"), "{}", verdict.sentence);
    let going = Hello { code: Some("shutting_down".to_owned()), ..answered() };
    assert_eq!(nothing_found(vec![Saw::Hello(going)]).verdict.status, Status::Fail);
}

#[test]
fn silence_after_a_hello_is_surer_where_the_process_is_seen_to_run() {
    let silent = || unanswered(How::TimedOut, "no byte within 3000 ms", b"");
    let (cause, sure, _) = found(vec![silent(), speaks(Speaks::Silent, None)], "session.hello/");
    assert_eq!((cause.as_str(), sure), ("session.handshake_deadlock", Confidence::Medium));
    let pong = Saw::Ping(Ping { rtt_us: Some(100), others: 0, failure: None });
    let told = report(vec![silent(), pong]);
    let finding = &told.findings[0];
    assert_eq!((finding.cause.as_str(), finding.confidence), ("session.handshake_deadlock", Confidence::High));
    assert_eq!(finding.hypotheses[0].state, HypothesisState::Refuted);
}

#[test]
fn each_fault_of_the_sound_has_its_cause() {
    type Change = fn(&mut EchoHeard);
    let cases: &[(&str, &str, Change)] = &[
        ("media.silence", "only keep-alives", |h| {
            (h.packets_received, h.level_heard_db, h.strongest_hz) = (0, None, None);
        }),
        ("media.silence", "100 packets came back", |h| (h.level_heard_db, h.strongest_hz) = (None, None)),
        ("media.packets_lost", "4 of 100", |h| {
            (h.packets_lost, h.packets_received, h.concealed_fraction) = (4, 96, Some(0.04));
        }),
        ("media.jitter_exceeds_buffer", "12.0 % was made up", |h| h.concealed_fraction = Some(0.12)),
        ("media.sample_rate_mismatch", "44100 Hz were taken for 48000 Hz", |h| h.strongest_hz = Some(957.8)),
        ("media.sample_rate_mismatch", "48000 Hz were taken for 44100 Hz", |h| h.strongest_hz = Some(808.6)),
        ("media.clipping", "30.0 %", |h| (h.clipped_fraction, h.level_heard_db) = (Some(0.3), Some(0.0))),
        ("media.decode_errors", "100 of 100", |h| (h.undecodable, h.level_heard_db) = (100, None)),
        ("media.latency_growth", "600 ms", |h| h.mouth_to_ear_last_ms = Some(600.0)),
    ];
    for (cause, says, change) in cases {
        let mut changed = heard();
        change(&mut changed);
        let (found, _, summary) = found(vec![Saw::Echo(changed)], "media.echo/");
        assert_eq!(found, *cause, "{summary}");
        assert!(summary.contains(says), "{summary}");
    }
}

#[test]
fn what_is_odd_is_a_warning_and_what_our_own_machine_spoils_is_not_known() {
    let status = |heard: EchoHeard| nothing_found(vec![Saw::Echo(heard)]).verdict.status;
    assert_eq!(status(EchoHeard { level_heard_db: Some(-28.0), ..heard() }), Status::Warn);
    assert_eq!(status(EchoHeard { level_heard_db: Some(-25.0), ..heard() }), Status::Pass);
    let far = EchoHeard { mouth_to_ear_ms: Some(450.0), mouth_to_ear_last_ms: Some(450.0), ..heard() };
    assert_eq!(status(far), Status::Warn);
    let busy = EchoHeard { own_lateness_us: 60_000, concealed_fraction: Some(0.2), ..heard() };
    assert_eq!(status(busy), Status::Unknown);
    let silent = EchoHeard { own_lateness_us: 60_000, level_heard_db: None, ..heard() };
    assert_eq!(found(vec![Saw::Echo(silent)], "media.echo/").0, "media.silence", "that is not made by lateness");
    assert_eq!(status(EchoHeard { own_lateness_us: 60_000, ..heard() }), Status::Pass, "nothing is wrong");
}

#[test]
fn an_announcement_that_nobody_answers_for_is_a_claim_that_is_not_so() {
    let advertised = |failure: Option<Failure>| {
        let one = Answers { instance: Excerpt::text("studio"), address: address(), failure };
        Saw::Advertised(Advertised {
            interfaces: vec!["lo".to_owned()],
            listened_ms: 1_000,
            found: vec![one],
            failure: None,
        })
    };
    let refused = Failure::new(How::Refused, "ECONNREFUSED");
    let (cause, sure, says) = found(vec![advertised(Some(refused))], "discovery.answers");
    assert_eq!((cause.as_str(), sure), ("log.contradicts_observation", Confidence::High));
    assert!(says.contains("\"studio\"") && says.contains("127.0.0.1:7460 (ECONNREFUSED)"), "{says}");
    assert_eq!(nothing_found(vec![advertised(None)]).verdict.status, Status::Pass);
    let no_way = Failure::new(How::Unreachable, "ENETUNREACH");
    assert_eq!(nothing_found(vec![advertised(Some(no_way))]).verdict.status, Status::Warn);
    let nobody = Saw::Advertised(Advertised { listened_ms: 1_000, ..Advertised::default() });
    let told = nothing_found(vec![nobody]);
    let check = told.checks.iter().find(|c| c.id == "discovery.answers").unwrap();
    assert_eq!(check.status, Status::Skip);
}

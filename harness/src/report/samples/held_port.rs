//! The report that started it.

use super::{alone, check, edge, empty, entry, id, ids, item, machine, on};
use crate::evidence::{
    Asked, Check, Confidence, Expectation, Finding, Fix, FixKind, Horizon, Hypothesis, HypothesisState, Impact, Layer,
    Link, NotChecked, Recommendation, RunReport, Side, Status,
};

const HELD: &str = "bind.port_taken_by_outgoing";

/// The report that started it, with the true cause.
#[expect(clippy::too_many_lines, reason = "data, line by line")]
pub(crate) fn held_port() -> RunReport {
    let sentence = "The WebSocket listener on 0.0.0.0:37909 is down: pid 4711 (curl) holds that port as the local end of an outgoing connection.";
    let mut report =
        empty("call-port-held", "A call while an outgoing connection holds the WebSocket port", Status::Fail, sentence);
    report.expectation = Expectation::Met { expected: HELD.to_owned() };
    let follows = |mut check: Check| {
        check.caused_by = Some(HELD.to_owned());
        check
    };
    let refused = "ECONNREFUSED after 0.1 ms while the server was alive";
    report.checks = vec![
        on(
            check(
                "harness.self_test",
                (Layer::Harness, Side::Harness),
                "The harness sees its own socket",
                Status::Pass,
                "both readers, with owner",
            ),
            &[1],
        ),
        on(
            check(
                "bind.listener_up",
                (Layer::Bind, Side::Server),
                "TCP listens on IPv4",
                Status::Pass,
                "0.0.0.0:37908, ours",
            ),
            &[2],
        ),
        follows(on(
            check(
                "bind.listener_up",
                (Layer::Bind, Side::Server),
                "WebSocket listens on IPv4",
                Status::Fail,
                "no LISTEN row for 37909",
            ),
            &[2, 3],
        )),
        follows(on(
            check("tcp.accepts", (Layer::Tcp, Side::Path), "WebSocket port accepts", Status::Fail, refused),
            &[4],
        )),
        follows(check("session.joined", (Layer::Session, Side::Client), "b joins", Status::Fail, "never connected")),
        follows(check(
            "media.hears_others",
            (Layer::Media, Side::Client),
            "a hears b",
            Status::Fail,
            "b was not there",
        )),
        follows(check(
            "media.hears_others",
            (Layer::Media, Side::Client),
            "b hears a",
            Status::Unknown,
            "b recorded nothing",
        )),
        check("media.snapshot", (Layer::Media, Side::Client), "c shows a's picture", Status::Skip, "needs websocket"),
        Check {
            remedy: Some("allow multicast on lo: ip link set lo multicast on".to_owned()),
            ..on(
                check(
                    "discovery.browse",
                    (Layer::Discovery, Side::Path),
                    "A browse finds the server",
                    Status::Warn,
                    "found after 2.9 s",
                ),
                &[5],
            )
        },
        check(
            "resource.descriptors",
            (Layer::Resource, Side::Server),
            "No descriptor is left",
            Status::Unknown,
            "/proc/4700/fd was gone too early",
        ),
    ];
    report.findings = vec![held_port_finding()];
    report.considered = considered();
    report.follow_ups = follow_ups();
    report.evidence = vec![
        item(1, "observations.jsonl:2", r#"{"kind":"socket_self_test","source":"proc","seen":true,"owned":true}"#),
        item(
            2,
            "observations.jsonl:6",
            r#"{"kind":"socket_table","moment":"after readiness","source":"netstat2","rows":[{"local":"10.0.0.5:37909","remote":"203.0.113.7:443","state":"ESTABLISHED","pids":[4711]}]}"#,
        ),
        item(
            3,
            "server.jsonl:5",
            r#"{"level":"ERROR","event":"listener.bind_failed","fields":{"listener":"websocket","address":"0.0.0.0:37909","errno":{"number":98,"name":"EADDRINUSE"}},"message":"websocket on 0.0.0.0:37909: bind failed with EADDRINUSE (98)"}"#,
        ),
        item(
            4,
            "observations.jsonl:9",
            r#"{"kind":"connect","address":"127.0.0.1:37909","errno":"ECONNREFUSED","took_us":104}"#,
        ),
        item(5, "observations.jsonl:14", r#"{"kind":"browse","took_ms":2900}"#),
        item(
            6,
            "observations.jsonl:12",
            r#"{"kind":"answered","question":{"ask":"holders","port":37909},"answer":{"answer":"holders"}}"#,
        ),
        item(
            7,
            "observations.jsonl:13",
            r#"{"kind":"answered","question":{"ask":"bind"},"answer":{"answer":"not_bound"}}"#,
        ),
    ];
    report.impact = vec![
        Impact {
            component: "TCP clients".to_owned(),
            status: Status::Warn,
            effect: "join, but hear nobody from the browser".to_owned(),
        },
        Impact { component: "WebSocket clients".to_owned(), status: Status::Fail, effect: "cannot connect".to_owned() },
    ];
    report.flow = vec![
        edge("a", "tcp 127.0.0.1:37908", Status::Pass),
        edge("b", "websocket 127.0.0.1:37909", Status::Fail),
        edge("c", "websocket 127.0.0.1:37909", Status::Unknown),
    ];
    report.timeline = (0..75)
        .map(|n| {
            entry(
                n * 20_011,
                if n % 3 == 0 { "harness" } else { "server" },
                "connect to 127.0.0.1:37909: ECONNREFUSED after 104 us",
                "observations.jsonl:9",
            )
        })
        .collect();
    report.not_checked = vec![NotChecked {
        what: "whether curl would have given the port back".to_owned(),
        why: "the harness ends only what it started".to_owned(),
        remedy: Some("run again after pid 4711 has ended".to_owned()),
    }];
    report.recommendations = vec![
        Recommendation { horizon: Horizon::Immediate, text: "use a port below 32768".to_owned() },
        Recommendation { horizon: Horizon::Short, text: "move the service to a port below 32768 for good".to_owned() },
        Recommendation { horizon: Horizon::Medium, text: "alert on a server that reports itself degraded".to_owned() },
    ];
    report.environment = machine();
    alone(report, 0)
}

fn considered() -> Vec<Hypothesis> {
    use HypothesisState::{Confirmed, Open, Refuted};
    let guess = |statement: &str, state, decided_by: &str, evidence: &[u32]| Hypothesis {
        statement: statement.to_owned(),
        state,
        decided_by: decided_by.to_owned(),
        evidence: ids(evidence),
    };
    vec![
        guess("the server is not running", Refuted, "process.alive: pid 4700 lived until it was ended", &[3]),
        guess("something else occupies the port", Confirmed, "bind.listener_up: pid 4711 (curl) has it", &[2, 6]),
        guess("the port is privileged", Refuted, "errno EADDRINUSE and not EACCES", &[3]),
        guess(
            "a firewall is in the way",
            Refuted,
            "tcp.accepts: nothing listens there, so the kernel itself refused",
            &[4, 2],
        ),
        guess("the harness itself is blind", Refuted, "harness.self_test: it sees its own socket", &[1]),
        guess("the certificate is wrong", Open, "nothing listens that could be asked for one", &[]),
    ]
}

fn follow_ups() -> Vec<Asked> {
    let asked = |question: &str, because: &str, answer: &str, evidence: &[u32]| Asked {
        question: question.to_owned(),
        because: because.to_owned(),
        answer: answer.to_owned(),
        evidence: ids(evidence),
    };
    vec![
        asked(
            "who holds port 37909, and since when?",
            "another listener, TIME_WAIT, or an outgoing connection",
            "pid 4711 (curl), ESTABLISHED 10.0.0.5:37909 -> 203.0.113.7:443, running since 21:12:40",
            &[6],
        ),
        asked(
            "can 0.0.0.0:37909 be bound?",
            "a holder that is still there, or one that has gone",
            "no: bind fails with EADDRINUSE (98)",
            &[7],
        ),
    ]
}

fn held_port_finding() -> Finding {
    let refuted = |statement: &str, decided_by: &str, evidence: &[u32]| Hypothesis {
        statement: statement.to_owned(),
        state: HypothesisState::Refuted,
        decided_by: decided_by.to_owned(),
        evidence: ids(evidence),
    };
    let fix = |kind, text: &str| Fix { kind, text: text.to_owned() };
    Finding {
        cause: HELD.to_owned(),
        layer: Layer::Bind,
        confidence: Confidence::High,
        summary: "0.0.0.0:37909 could not be bound at 21:30:00.004: pid 4711 (curl) holds it as the local end of 10.0.0.5:37909 -> 203.0.113.7:443".to_owned(),
        chain: vec![
            Link::new("pid 4711 (curl) was given local port 37909 from the ephemeral range 32768-60999", id(2), []),
            Link::new("the server's bind of 0.0.0.0:37909 failed with EADDRINUSE (98)", id(3), [id(2)]),
            Link::new("connections to 127.0.0.1:37909 are refused", id(4), []),
        ],
        hypotheses: vec![
            refuted("another listener has the port", "no LISTEN row for 37909 in either table", &[2]),
            refuted("remains of an earlier server (TIME_WAIT)", "no TIME_WAIT row for 37909", &[2]),
            refuted("the port is privileged", "37909 is above 1024, and errno is not EACCES", &[3]),
        ],
        fixes: vec![
            fix(FixKind::NeedsRoot, "reserve the port: sysctl net.ipv4.ip_local_reserved_ports=37909"),
            fix(FixKind::Safe, "use a port below 32768"),
            fix(FixKind::ChangesState, "end pid 4711 and restart the server"),
        ],
    }
}

//! Reports for the tests of every format: as they come, and as nobody would wish them to.

mod held_port;
mod hostile;

pub(crate) use held_port::held_port;
pub(crate) use hostile::hostile;

use crate::evidence::{
    Check, Compared, Comparison, Edge, Environment, EvidenceId, EvidenceItem, Expectation, Impact, Layer, Metric,
    NotChecked, Report, RunInfo, RunReport, SCHEMA_VERSION, ScenarioSummary, Side, Status, TimelineEntry, Verdict,
};
use std::collections::BTreeMap;

pub(crate) fn all() -> Vec<(&'static str, RunReport)> {
    vec![
        ("healthy", healthy()),
        ("held_port", held_port()),
        ("unknown", unknown()),
        ("hostile", hostile()),
        ("several", several()),
        ("targets", targets()),
    ]
}

fn id(number: u32) -> EvidenceId {
    serde_json::from_value(serde_json::json!(format!("E{number}"))).unwrap()
}

fn ids(numbers: &[u32]) -> Vec<EvidenceId> {
    numbers.iter().map(|n| id(*n)).collect()
}

fn item(number: u32, source: &str, excerpt: &str) -> EvidenceItem {
    EvidenceItem {
        id: id(number),
        source: source.to_owned(),
        time: Some(format!("2026-11-22T21:30:0{}.004512Z", number % 10)),
        excerpt: excerpt.to_owned(),
        sha256: Some("3f2a9c01b7de55aa3f2a9c01b7de55aa3f2a9c01b7de55aa3f2a9c01b7de55aa".to_owned()),
    }
}

fn check(name: &str, at: (Layer, Side), title: &str, status: Status, message: &str) -> Check {
    Check {
        id: name.to_owned(),
        layer: at.0,
        side: at.1,
        title: title.to_owned(),
        status,
        message: message.to_owned(),
        evidence: vec![],
        caused_by: None,
        remedy: None,
    }
}

fn on(mut check: Check, evidence: &[u32]) -> Check {
    check.evidence = ids(evidence);
    check
}

fn metric(value: f64, unit: &str) -> Metric {
    Metric { value, unit: unit.to_owned() }
}

fn entry(at_us: i64, who: &str, what: &str, source: &str) -> TimelineEntry {
    TimelineEntry { at_us, who: who.to_owned(), what: what.to_owned(), source: source.to_owned() }
}

fn edge(from: &str, label: &str, status: Status) -> Edge {
    Edge { from: from.to_owned(), to: "server".to_owned(), label: label.to_owned(), status }
}

fn empty(scenario: &str, title: &str, status: Status, sentence: &str) -> Report {
    let command = ["sidetone-harness", "run", scenario];
    Report {
        schema_version: SCHEMA_VERSION.to_owned(),
        run: RunInfo {
            run_id: "20261122T213000Z".to_owned(),
            scenario: scenario.to_owned(),
            repeat: 1,
            seed: 7_460_123_456_789,
            started: "2026-11-22T21:30:00.000000Z".to_owned(),
            duration_ms: 3_812,
            command: command.map(str::to_owned).to_vec(),
            again: vec![],
            harness_version: "0.1.0".to_owned(),
            sidetone_version: Some("0.1.0".to_owned()),
        },
        title: title.to_owned(),
        verdict: Verdict { status, sentence: sentence.to_owned() },
        expectation: Expectation::None,
        checks: vec![],
        findings: vec![],
        considered: vec![],
        follow_ups: vec![],
        evidence: vec![],
        impact: vec![],
        flow: vec![],
        timeline: vec![],
        metrics: BTreeMap::new(),
        not_checked: vec![],
        recommendations: vec![],
        pictures: vec![],
        environment: Environment::default(),
        reproduce: vec![format!("sidetone-harness run {scenario} --seed 7460123456789")],
    }
}

fn summary(report: &Report) -> ScenarioSummary {
    ScenarioSummary {
        name: report.run.scenario.clone(),
        folder: report.run.scenario.clone(),
        repeats: 1,
        by_status: BTreeMap::from([(report.verdict.status.word().to_owned(), 1)]),
        not_passed: BTreeMap::new(),
        verdict: report.verdict.clone(),
        expectation: report.expectation.clone(),
        duration_ms: report.run.duration_ms,
    }
}

fn run(reports: Vec<Report>, verdict: Verdict, exit_code: u8) -> RunReport {
    RunReport {
        schema_version: SCHEMA_VERSION.to_owned(),
        run_id: "20261122T213000Z".to_owned(),
        started: "2026-11-22T21:30:00.000000Z".to_owned(),
        command: reports[0].run.command.clone(),
        verdict,
        exit_code,
        scenarios: reports.iter().map(summary).collect(),
        reports,
        comparison: None,
    }
}

fn alone(report: Report, exit_code: u8) -> RunReport {
    let verdict = report.verdict.clone();
    run(vec![report], verdict, exit_code)
}

fn machine() -> Environment {
    Environment {
        system: "linux x86_64".to_owned(),
        kernel: Some("6.12.0".to_owned()),
        cpus: Some(2),
        memory_bytes: Some(8 << 30),
        user_id: Some(1000),
        ipv6: Some(true),
        ephemeral_range: Some((32_768, 60_999)),
        unprivileged_port_start: Some(1024),
        ci: false,
    }
}

/// A call as it should be.
#[expect(clippy::too_many_lines, reason = "data, line by line")]
pub(crate) fn healthy() -> RunReport {
    let server = (Layer::Bind, Side::Server);
    let mut report = empty(
        "call",
        "Three clients hear and see one another",
        Status::Pass,
        "All 7 checks passed: a, b and c hear and see one another.",
    );
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
                server,
                "TCP listens on IPv4",
                Status::Pass,
                "127.0.0.1:40001, ours, netstat2 and /proc agree",
            ),
            &[2],
        ),
        on(
            check(
                "bind.listener_up",
                server,
                "WebSocket listens on IPv6",
                Status::Pass,
                "[::1]:40002, ours, netstat2 and /proc agree",
            ),
            &[2],
        ),
        on(
            check(
                "media.hears_others",
                (Layer::Media, Side::Client),
                "a hears b, not itself",
                Status::Pass,
                "660 Hz at -14.2 dBFS; own 440 Hz 81 dB down",
            ),
            &[3],
        ),
        on(
            check(
                "media.hears_others",
                (Layer::Media, Side::Client),
                "b hears a, not itself",
                Status::Pass,
                "440 Hz at -14.1 dBFS; own 660 Hz 79 dB down",
            ),
            &[3],
        ),
        check(
            "media.concealment",
            (Layer::Media, Side::Path),
            "Little had to be made up",
            Status::Pass,
            "0.02 % of a's samples, none of b's",
        ),
        check(
            "discovery.browse",
            (Layer::Discovery, Side::Path),
            "A browse finds the server",
            Status::Pass,
            "found on lo after 210 ms",
        ),
    ];
    report.evidence = vec![
        item(1, "observations.jsonl:2", r#"{"kind":"socket_self_test","source":"proc","seen":true,"owned":true}"#),
        item(2, "observations.jsonl:7", r#"{"kind":"socket_table","moment":"during","rows":["..."]}"#),
        item(3, "observations.jsonl:19", r#"{"kind":"recording","process":"a","strongest_hz":660.0}"#),
    ];
    report.impact = vec![
        Impact { component: "TCP clients".to_owned(), status: Status::Pass, effect: "join, hear and see".to_owned() },
        Impact {
            component: "WebSocket clients".to_owned(),
            status: Status::Pass,
            effect: "join, hear and see".to_owned(),
        },
    ];
    report.flow = vec![
        edge("a", "tcp 127.0.0.1:40001", Status::Pass),
        edge("b", "websocket [::1]:40002", Status::Pass),
        edge("c", "websocket 127.0.0.1:40002", Status::Pass),
    ];
    report.timeline = vec![
        entry(0, "server", "started as pid 4700: sidetone server --port 0", "observations.jsonl:1"),
        entry(4_512, "server", "tcp listens on 127.0.0.1:40001", "server.jsonl:3"),
        entry(11_020, "server", "ready after 8841 us", "server.jsonl:7"),
        entry(3_702_113, "harness", "SIGTERM to server (pid 4700): the call is over", "observations.jsonl:22"),
    ];
    report.metrics = BTreeMap::from([
        ("a.audio.concealed_fraction".to_owned(), metric(0.000_213, "fraction")),
        ("b.audio.concealed_fraction".to_owned(), metric(0.0, "fraction")),
        ("a.audio.jitter_buffer_delay".to_owned(), metric(41.28, "ms")),
        ("b.audio.jitter_buffer_delay".to_owned(), metric(40.9, "ms")),
        ("a.audio.own_tone_down".to_owned(), metric(81.26, "dB")),
        ("c.video.pictures_received".to_owned(), metric(61.0, "count")),
        ("server.mixer.ticks_fraction".to_owned(), metric(0.9987, "fraction")),
        ("server.ready".to_owned(), metric(8_841.0, "us")),
        ("server.rss_growth".to_owned(), metric(2_457_600.0, "bytes")),
    ]);
    report.environment = machine();
    alone(report, 0)
}

/// Nothing could be looked at.
pub(crate) fn unknown() -> RunReport {
    let mut report = empty(
        "call",
        "Three clients hear and see one another",
        Status::Unknown,
        "Nothing could be checked: the harness does not see its own sockets.",
    );
    let blind = "the self-test failed: /proc is not mounted";
    report.checks = vec![
        Check {
            remedy: Some("mount /proc".to_owned()),
            ..check(
                "harness.self_test",
                (Layer::Harness, Side::Harness),
                "The harness sees its own socket",
                Status::Unknown,
                blind,
            )
        },
        check(
            "bind.listener_up",
            (Layer::Bind, Side::Server),
            "TCP listens on IPv4",
            Status::Unknown,
            "no socket table",
        ),
    ];
    report.not_checked = vec![NotChecked { what: "all listeners".to_owned(), why: blind.to_owned(), remedy: None }];
    report.run.sidetone_version = None;
    report.reproduce.clear();
    alone(report, 4)
}

/// A healthy scenario, one with an expected failure, and a hundred repeats of a third.
pub(crate) fn several() -> RunReport {
    let mut often = healthy().reports.remove(0);
    often.run.scenario = "call-speech".to_owned();
    often.run.repeat = 41;
    often.verdict =
        Verdict { status: Status::Unknown, sentence: "The browse could not be made: no multicast on lo.".to_owned() };
    let browse = often.checks.last_mut().unwrap();
    (browse.status, browse.message) = (Status::Unknown, "no multicast on lo".to_owned());
    let reports = vec![healthy().reports.remove(0), held_port().reports.remove(0), often];
    let sentence = "Nothing failed that was not expected, but 1 of 3 scenarios is inconclusive: call-speech.";
    let mut run = run(reports, Verdict { status: Status::Unknown, sentence: sentence.to_owned() }, 4);
    run.command = ["sidetone-harness", "run", "--repeat", "100"].map(str::to_owned).to_vec();
    let repeated = &mut run.scenarios[2];
    repeated.repeats = 100;
    repeated.duration_ms = 391_020;
    repeated.by_status = [("PASS", 97), ("UNKNOWN", 2), ("WARN", 1)].map(|(w, n)| (w.to_owned(), n)).into();
    let one = |word: &str, count| BTreeMap::from([(word.to_owned(), count)]);
    repeated.not_passed = BTreeMap::from([
        ("path.discovery".to_owned(), one("UNKNOWN", 2)),
        ("media.concealment".to_owned(), one("WARN", 1)),
    ]);
    run
}

/// Two targets of a probe, side by side: no folder, no saved file.
pub(crate) fn targets() -> RunReport {
    let target = |name: &str| {
        let mut report = held_port().reports.remove(0);
        report.run.scenario = name.to_owned();
        report.expectation = Expectation::None;
        report.run.seed = 0;
        report.evidence.iter_mut().for_each(|item| item.sha256 = None);
        report
    };
    let reports = vec![target("ws://127.0.0.1:7461/ws"), target("tcp://127.0.0.1:7460")];
    let mut run = run(reports, held_port().verdict, 1);
    run.scenarios.iter_mut().for_each(|summary| summary.folder.clear());
    run.command = ["sidetone-harness", "probe", "--compare", "ws,tcp", "127.0.0.1"].map(str::to_owned).to_vec();
    let row = |name: &str, cells: [&str; 2]| Compared { name: name.to_owned(), cells: cells.map(str::to_owned).into() };
    run.comparison = Some(Comparison {
        columns: run.scenarios.iter().map(|summary| summary.name.clone()).collect(),
        rows: vec![row("tcp", ["FAIL", "FAIL"]), row("tcp.connect", ["0.10 ms", ""])],
    });
    run
}

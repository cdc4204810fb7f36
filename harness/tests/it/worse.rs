//! What a browser and a room tell, made worse in the saved evidence of a healthy call: each check fails for its own reason.
#![cfg(test)] // so that the lints know the helpers for test code
#![expect(clippy::wildcard_enum_match_arm, reason = "a test wants one kind; later kinds are none of its business")]

use super::place::root;
use sidetone::event::Event;
use sidetone_harness::diagnosis::{diagnose, outcome};
use sidetone_harness::evidence::{Evidence, Observation, Report, Status};
use sidetone_harness::timeline::timeline;

/// Changes the events of a client; a record that is taken away leaves its line.
type Worsen = fn(u64, &Event) -> Option<Event>;

fn healthy() -> Evidence {
    let file = root().join("fixtures/evidence/call-browser.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// When the server that was started again was ready.
fn ready_ns(evidence: &Evidence) -> u64 {
    let found = evidence.observations().find_map(|(_, o)| match o {
        Observation::Restarted { ready_ns, .. } => Some(*ready_ns),
        _ => None,
    });
    found.unwrap()
}

fn worse(client: &str, worsen: impl Fn(u64, &Event) -> Option<Event>) -> Report {
    let mut evidence = healthy();
    let ready = ready_ns(&evidence);
    for line in evidence.logs.iter_mut().filter(|l| l.process == client).flat_map(|l| &mut l.lines) {
        line.record = line.record.take().and_then(|mut record| {
            record.event = worsen(record.monotonic_ns.saturating_sub(ready), &record.event)?;
            Some(record)
        });
    }
    diagnose(&evidence, timeline(&evidence))
}

fn status(report: &Report, id: &str) -> (Status, String) {
    let check = report.checks.iter().find(|c| c.id == id).unwrap_or_else(|| panic!("no check {id}"));
    (check.status, check.message.clone())
}

#[test]
fn what_was_healthy_passes() {
    let report = worse("browser", |_, event| Some(event.clone()));
    for id in CASES.map(|(id, ..)| id) {
        assert_eq!(status(&report, id).0, Status::Pass, "{id}: {}", status(&report, id).1);
    }
}

/// The check, whose log is made worse, how, and what the check says of it.
const CASES: [(&str, &str, Worsen, &str); 11] = [
    (
        "session.chat/tcp",
        "browser",
        |_, e| (!matches!(e, Event::ClientChat { .. })).then(|| e.clone()),
        "browser got 0 of 1 lines",
    ),
    (
        "session.mute/browser",
        "ws",
        |_, e| (!matches!(e, Event::ClientParticipantMuted { muted: false, .. })).then(|| e.clone()),
        "ws was told 1 of 2 changes",
    ),
    (
        "session.resumed/ws",
        "ws",
        |after, e| (after == 0 || !matches!(e, Event::ClientJoined { .. })).then(|| e.clone()),
        "it never came back",
    ),
    (
        "session.resumed/browser",
        "browser",
        |after, e| (after == 0 || !matches!(e, Event::AudioPlaying { .. })).then(|| e.clone()),
        "no sound plays again",
    ),
    (
        "http.page/browser",
        "browser",
        |_, e| {
            Some(match e.clone() {
                Event::BrowserPageLoaded { url, requests, bytes, took_us, secure_context, .. } => {
                    Event::BrowserPageLoaded { url, status: Some(503), requests, bytes, took_us, secure_context }
                }
                other => other,
            })
        },
        "status 503",
    ),
    (
        "http.policy/browser",
        "browser",
        |_, e| {
            Some(match e {
                Event::BrowserScreenshot { .. } => Event::BrowserPolicyViolation {
                    directive: "img-src".to_owned(),
                    blocked_url: "http://elsewhere/".to_owned(),
                    location: String::new(),
                },
                other => other.clone(),
            })
        },
        "img-src forbids http://elsewhere/",
    ),
    (
        "websocket.upgrade/browser",
        "browser",
        |_, e| {
            Some(match e.clone() {
                Event::BrowserWebsocketAnswered { socket, url, status_text, .. } => {
                    Event::BrowserWebsocketAnswered { socket, url, status: 502, status_text }
                }
                other => other,
            })
        },
        "the server answers 502",
    ),
    (
        "media.capture/browser",
        "browser",
        |_, e| {
            Some(match e.clone() {
                Event::BrowserCapture { device, label, sample_rate, channels, .. } => Event::BrowserCapture {
                    device,
                    granted: false,
                    error: Some("NotReadableError".to_owned()),
                    label,
                    sample_rate,
                    channels,
                },
                other => other,
            })
        },
        "NotReadableError",
    ),
    (
        "media.audio_context/browser",
        "browser",
        |_, e| {
            Some(match e.clone() {
                Event::BrowserAudioContext { sample_rate, base_latency_ms, output_latency_ms, .. } => {
                    let state = "interrupted".to_owned();
                    Event::BrowserAudioContext { state, sample_rate, base_latency_ms, output_latency_ms }
                }
                other => other,
            })
        },
        "its AudioContext is interrupted",
    ),
    (
        "media.analyser/browser",
        "browser",
        |_, e| {
            Some(match e {
                Event::BrowserHeard { level_db, seconds, .. } => {
                    Event::BrowserHeard { level_db: *level_db, loudest_hz: 50.0, seconds: *seconds }
                }
                other => other.clone(),
            })
        },
        "loudest at 50 Hz",
    ),
    (
        "log.page/browser",
        "browser",
        |_, e| {
            Some(match e {
                Event::BrowserScreenshot { .. } => {
                    Event::BrowserException { text: "TypeError".to_owned(), location: "app.js:1".to_owned() }
                }
                other => other.clone(),
            })
        },
        "uncaught: TypeError (app.js:1)",
    ),
];

#[test]
fn each_check_fails_for_its_own_reason() {
    for (id, client, worsen, says) in CASES {
        let (status, message) = status(&worse(client, worsen), id);
        assert_eq!(status, Status::Fail, "{id}: {message}");
        assert!(message.contains(says), "{id}: {message}");
    }
}

#[test]
fn without_a_browser_nothing_is_judged_and_the_reason_is_told() {
    let mut evidence = healthy();
    let (process, why) = ("browser".to_owned(), "no browser was found on PATH".to_owned());
    evidence.observations.truncate(1);
    evidence.observations[0].what = Observation::NoBrowser { process, why };
    evidence.logs.clear();
    let report = diagnose(&evidence, timeline(&evidence));
    assert_eq!(report.verdict.status, Status::Skip);
    assert!(
        report.verdict.sentence.starts_with("skipped: ") && report.verdict.sentence.contains("no browser was found")
    );
    assert_eq!(report.checks.len(), 1, "nothing else is judged");
    assert_eq!(outcome::exit_code([&report].into_iter(), false), outcome::exit::NOTHING);
    let well = worse("browser", |_, event| Some(event.clone()));
    assert_eq!(outcome::exit_code([&report, &well].into_iter(), false), outcome::exit::GOOD);
}

//! Runs of events and observations as they come.

use super::*;
use crate::evidence::{
    Environment, Observation, Observed, Plan, RunInfo, SCHEMA_VERSION, SocketRow, TableSource, Waits,
};
use proptest::prelude::*;
use sidetone::event::{Transport, UnderrunCause};

fn record(at_us: u64, event: Event) -> Record {
    Record {
        time: String::new(),
        monotonic_ns: at_us * 1000,
        level: event.level(),
        source: "src/x.rs:1".to_owned(),
        pid: 1,
        message: event.message(),
        event,
    }
}

fn log(process: &str, records: Vec<Record>) -> Log {
    let line = |(number, record)| LogLine { number, text: String::new(), record: Some(record), unread: None };
    let lines = (1..).zip(records).map(line).collect();
    Log { process: process.to_owned(), stream: "events".to_owned(), path: format!("{process}.jsonl"), lines }
}

fn seen(at_us: u64, what: Observation) -> Observed {
    Observed { time: String::new(), monotonic_ns: at_us * 1000, what }
}

fn evidence(logs: Vec<Log>, observations: Vec<Observed>) -> Evidence {
    Evidence {
        schema_version: SCHEMA_VERSION.to_owned(),
        run: RunInfo::default(),
        plan: Plan { scenario: "call".to_owned(), duration_ms: 3000, timeout_ms: 30_000, ..Plan::default() },
        environment: Environment::default(),
        logs,
        observations,
        artefacts: BTreeMap::new(),
    }
}

fn underrun(cause: UnderrunCause, callback: u64) -> Event {
    Event::AudioUnderrun { cause, samples_got: 0, samples_expected: 480, buffered_samples: 0, callback }
}

fn joined(name: &str) -> Event {
    Event::ClientParticipantJoined { stream: 1, name: name.to_owned() }
}

fn lines(evidence: &Evidence) -> Vec<String> {
    timeline(evidence).iter().map(|e| format!("{} {} {} [{}]", e.at_us, e.who, e.what, e.source)).collect()
}

#[test]
fn logs_and_observations_share_a_clock_that_starts_with_the_first_line() {
    let interrupted = Observation::Interrupted { reason: "deadline".to_owned() };
    let filling = Event::AudioFilling { samples_got: 0, samples_expected: 480, callback: 1 };
    let playing = Event::AudioPlaying { buffered_samples: 960, target_samples: 960 };
    let evidence = evidence(
        vec![
            log("a", vec![record(900, filling), record(1500, playing)]),
            log("b", vec![record(1200, joined("a")), record(2000, joined("c"))]),
        ],
        vec![seen(2000, interrupted.clone()), seen(1000, interrupted)],
    );
    assert_eq!(
        lines(&evidence),
        [
            "0 harness run cut short: deadline [observations.jsonl:2]",
            "200 b \"a\" joined [b.jsonl:1]",
            "500 a playing with 960 samples buffered, target 960 [a.jsonl:2]",
            "1000 harness run cut short: deadline [observations.jsonl:1]",
            "1000 b \"c\" joined [b.jsonl:2]",
        ]
    );
    assert!(timeline(&self::evidence(vec![], vec![])).is_empty());
}

#[test]
fn forty_underruns_are_one_line_whatever_others_say_in_between() {
    let late = (0..40).map(|n| record(1000 + n * 10_000, underrun(UnderrunCause::LateData, n)));
    let nothing = [record(500_000, underrun(UnderrunCause::NothingReceived, 40))];
    let evidence = evidence(
        vec![
            log("a", late.chain(nothing).collect()),
            log("b", vec![record(55_000, joined("a")), record(66_000, joined("c"))]),
        ],
        vec![],
    );
    assert_eq!(
        lines(&evidence),
        [
            "0 a underrun (late data): 0 of 480 samples in callback 0 (and 39 more such within 390 ms) [a.jsonl:1]",
            "54000 b \"a\" joined [b.jsonl:1]",
            "65000 b \"c\" joined [b.jsonl:2]",
            "499000 a underrun (nothing received): 0 of 480 samples in callback 40 [a.jsonl:41]",
        ]
    );
}

#[test]
fn a_few_alike_stay_apart_since_each_may_name_another_address() {
    let bound = |port: u16| Event::ConnectionAccepted {
        connection: u64::from(port),
        transport: Transport::Tcp,
        local: ([127, 0, 0, 1], 80).into(),
        peer: ([127, 0, 0, 1], port).into(),
    };
    let evidence = evidence(vec![log("server", (1..4).map(|p| record(u64::from(p), bound(p))).collect())], vec![]);
    assert_eq!(timeline(&evidence).len(), 3);
}

#[test]
#[expect(clippy::too_many_lines, reason = "data, line by line")]
fn every_observation_has_its_sentence() {
    let address = "127.0.0.1:40001".parse().unwrap();
    let process = || "server".to_owned();
    let text = str::to_owned;
    let row = |state: &str| SocketRow {
        local: address,
        remote: None,
        state: state.to_owned(),
        inode: 1,
        pids: vec![1],
        rx_queue: None,
    };
    let all = vec![
        Observation::ProcessStarted { process: process(), pid: 7, command: vec![text("sidetone"), text("server")] },
        Observation::SpawnFailed {
            process: process(),
            command: vec![text("x")],
            errno: Some(2),
            reason: text("not there"),
        },
        Observation::Ready {
            process: process(),
            after_us: 8841,
            tcp: vec![address],
            websocket: vec![],
            degraded: vec![text("no websocket")],
        },
        Observation::NotReady { process: process(), waited_ms: 5000, reason: text("no ready line") },
        Observation::SignalSent { process: process(), pid: 7, signal: text("SIGTERM"), why: text("the call is over") },
        Observation::ProcessExited {
            process: process(),
            pid: 7,
            code: None,
            signal: Some(11),
            by_harness: false,
            core_dumped: true,
            ended_ns: None,
        },
        Observation::ProcessExited {
            process: process(),
            pid: 7,
            code: Some(0),
            signal: None,
            by_harness: true,
            core_dumped: false,
            ended_ns: None,
        },
        Observation::StillRunning { process: process(), pid: 7, waited_ms: 2000 },
        Observation::Orphans { process: process(), pids: vec![8, 9] },
        Observation::SocketSelfTest { source: TableSource::Proc, address, seen: true, owned: false, error: None },
        Observation::SocketTable {
            moment: text("after readiness"),
            source: TableSource::Netstat2,
            rows: vec![row("LISTEN"), row("LISTEN"), row("TIME_WAIT")],
            error: None,
        },
        Observation::Connect { address, errno: Some(text("ECONNREFUSED")), took_us: 104 },
        Observation::Http {
            address,
            path: text("/healthz"),
            status: Some(200),
            body: text("ok"),
            error: None,
            took_us: 1500,
        },
        Observation::Hello {
            address,
            transport: Transport::Tcp,
            answered: true,
            answer: text("version_unsupported"),
            took_us: 900,
        },
        Observation::Browse {
            interfaces: vec![text("lo")],
            found: vec![],
            expected_instance: text("x"),
            error: None,
            took_ms: 3000,
        },
        Observation::Resources {
            process: process(),
            moment: text("at the end"),
            rss_bytes: 4096,
            descriptors: 12,
            threads: 4,
        },
        Observation::Pressure { window_ms: 3000, cpu_some_us: None, run_delay_us: BTreeMap::from([(process(), 1200)]) },
        Observation::Recording {
            process: text("a"),
            path: text("a.wav"),
            seconds: 3.0,
            rms_db: -17.0,
            strongest_hz: 660.0,
            tones: vec![],
            own_tone: None,
        },
        Observation::Scheduling {
            began_ns: 0,
            at_ms: vec![50, 100],
            processes: BTreeMap::from([(process(), Waits { delay_us: vec![0, 31_000], states: "SR".to_owned() })]),
        },
        Observation::Speech {
            process: text("a"),
            path: text("a.wav"),
            of: text("b.wav"),
            correlation: 0.97,
            delay_ms: 81.0,
            delay_spread_ms: None,
            pieces: vec![],
        },
        Observation::Picture {
            process: text("a"),
            of: text("b"),
            path: text("b.png"),
            width: 320,
            height: 240,
            hue: Some(118.0),
            expected_hue: Some(120.0),
            ssim: Some(0.9),
        },
        Observation::Snapshot {
            process: text("c"),
            path: text("c.txt"),
            tiles: vec![text("a"), text("b")],
            ink_fraction: 0.62,
        },
        Observation::Stats { process: text("a"), stats: serde_json::json!([1, 2]) },
        Observation::CoreFiles { paths: vec![] },
        Observation::NotObserved { what: text("PSI"), why: text("no /proc/pressure"), remedy: None },
        Observation::Interrupted { reason: text("SIGINT") },
        Observation::Overhead { observed_ms: 3000, total_ms: 3812 },
    ];
    let told: Vec<_> = all.iter().map(observed::line).map(|(who, what)| format!("{who:8} {what}")).collect();
    insta::assert_snapshot!(told.join("\n"));
}

proptest! {
    #[test]
    fn order_is_that_of_time_and_nothing_is_lost(times in proptest::collection::vec((0_u64..50, 0_u8..3), 0..80)) {
        let mut logs: Vec<_> = ["a", "b", "c"].map(|who| log(who, vec![])).into();
        for (at, who) in &times {
            let log = &mut logs[usize::from(*who)];
            let number = u32::try_from(log.lines.len()).unwrap() + 1;
            let record = record(*at, underrun(UnderrunCause::LateData, *at));
            log.lines.push(LogLine { number, text: String::new(), record: Some(record), unread: None });
        }
        let entries = timeline(&evidence(logs, vec![]));
        prop_assert!(entries.is_sorted_by_key(|e| e.at_us));
        let more = |what: &str| what.split_once("(and ").map_or(0, |(_, n)| n.split(' ').next().unwrap().parse::<usize>().unwrap());
        prop_assert_eq!(entries.iter().map(|e| 1 + more(&e.what)).sum::<usize>(), times.len());
    }
}

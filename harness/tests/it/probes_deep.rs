//! The deep look at a real server: its hello, its echo room over each transport, and whether what it advertises answers.
#![cfg(test)] // so that the lints know the helpers for test code
#![expect(clippy::wildcard_enum_match_arm, reason = "a test wants one kind of step")]

use super::place::{Place, SOON, json, sidetone};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sidetone_harness::diagnosis::diagnose;
use sidetone_harness::evidence::probed::{EchoHeard, Hello, Saw, Step};
use sidetone_harness::evidence::{
    Environment, Evidence, Observation, Observed, Plan, Report, RunInfo, SCHEMA_VERSION, Status,
};
use sidetone_harness::probe::options::Options;
use sidetone_harness::probe::target::Target;
use sidetone_harness::probe::watch::Watch;
use sidetone_harness::probe::{run, talk};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// A server on loopback that is ready, with its addresses.
async fn server(place: &Place, args: &[&str]) -> (Child, SocketAddr, SocketAddr) {
    let mut command = Command::new(sidetone());
    command.args(["server", "--port", "0", "--websocket-port", "0", "--bind", "127.0.0.1", "--log-format", "json"]);
    command.args(args);
    place.prepare(&mut command);
    let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = tokio::time::timeout(SOON, lines.next_line()).await.unwrap().unwrap().unwrap();
    let address = |kind: &str| json(&ready)[kind][0].as_str().unwrap().parse().unwrap();
    (child, address("tcp"), address("websocket"))
}

async fn stop(mut child: Child) {
    kill(Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()), Signal::SIGTERM).unwrap();
    assert!(tokio::time::timeout(SOON, child.wait()).await.unwrap().unwrap().success());
}

fn options(target: &str) -> Options {
    let Target::Url(url) = target.parse().unwrap() else { panic!("{target}") };
    Options { deep: true, deadline: SOON / 4, mdns_interfaces: Arc::new(["lo".to_owned()]), ..Options::new(url) }
}

fn hello_of(step: &Step) -> Option<&Hello> {
    match &step.saw {
        Saw::Hello(hello) => Some(hello),
        _ => None,
    }
}

fn echo_of(step: &Step) -> Option<&EchoHeard> {
    match &step.saw {
        Saw::Echo(heard) => Some(heard),
        _ => None,
    }
}

/// What must hold on a machine that is as busy as it likes: sound may be cut and late, but it is this sound. How it is measured is
/// tested where time is an argument, and what is wrong with an echo in `fixtures/probe/`.
fn is_well(hello: &Hello, heard: &EchoHeard) {
    assert!(hello.answered && hello.failure.is_none(), "{hello:?}");
    assert_eq!((hello.code.as_deref(), hello.versions), (Some("version_unsupported"), Some((1, 1))));
    assert!(hello.agent.as_ref().is_some_and(|agent| agent.as_str().starts_with("sidetone/")), "{hello:?}");
    assert!(hello.capabilities.iter().any(|word| word == "echo"), "{hello:?}");
    assert!(heard.failure.is_none() && heard.offered == Some(true), "{heard:?}");
    assert_eq!((heard.packets_sent, heard.undecodable), (100, 0), "{heard:?}");
    assert!(heard.packets_received > 0, "{heard:?}");
    assert!(heard.level_heard_db.is_some_and(|db| (-32.0..-18.5).contains(&db)), "{heard:?}");
    assert!(heard.strongest_hz.is_some_and(|hz| (hz - 880.0).abs() < 3.0), "{heard:?}");
    assert!(heard.mouth_to_ear_ms.is_none_or(|ms| ms >= 80.0), "{heard:?}");
    assert!(heard.rtt_us.is_some() && heard.jitter_us.is_some(), "{heard:?}");
    assert_eq!(heard.clipped_fraction, Some(0.0));
}

fn diagnosed(options: &Options, seen: Vec<Observation>) -> Report {
    let observed = |what| Observed { time: "2026-01-01T00:00:00.000000Z".to_owned(), monotonic_ns: 1, what };
    let evidence = Evidence {
        schema_version: SCHEMA_VERSION.to_owned(),
        run: RunInfo::default(),
        plan: Plan { probe: Some(options.plan()), ..Plan::default() },
        environment: Environment::default(),
        logs: vec![],
        observations: seen.into_iter().map(observed).collect(),
        artefacts: BTreeMap::new(),
    };
    diagnose(&evidence, vec![])
}

#[tokio::test]
async fn a_deep_probe_hears_itself_over_the_framed_protocol_and_finds_nothing_wrong() {
    let place = Place::new();
    let (child, tcp, _) = server(&place, &["--no-mdns"]).await;
    let options = options(&format!("tcp://{tcp}"));
    let seen = run::look(&options).await;
    let steps: Vec<&Step> = seen
        .iter()
        .filter_map(|observation| match observation {
            Observation::Probed(step) => Some(step),
            _ => None,
        })
        .collect();
    let hello = steps.iter().find_map(|step| hello_of(step)).expect("a hello");
    let heard = steps.iter().find_map(|step| echo_of(step)).expect("an echo");
    is_well(hello, heard);
    let report = diagnosed(&options, seen);
    let check =
        |id: &str| report.checks.iter().find(|c| c.id == format!("{id}/{tcp}")).unwrap_or_else(|| panic!("{id}"));
    assert_eq!(check("session.hello").status, Status::Pass, "{report:?}");
    assert_eq!(check("session.hello").evidence.len(), 1);
    let echo = check("media.echo");
    assert!(echo.message.contains("packets out") && echo.caused_by.as_deref() != Some("media.silence"), "{echo:?}");
    stop(child).await;
    place.nothing_left().await;
}

#[tokio::test]
async fn a_websocket_is_upgraded_and_heard_as_well() {
    let place = Place::new();
    let (child, _, websocket) = server(&place, &["--no-mdns"]).await;
    let options = options(&format!("ws://{websocket}"));
    let watch = Watch::start(options.deadline);
    let stream = || async { Box::new(TcpStream::connect(websocket).await.unwrap()) };
    let hello = talk::hello::hello(stream().await, websocket, &options, watch).await;
    let echo = talk::echo::echo(stream().await, websocket, &options, watch).await;
    is_well(hello_of(&hello).unwrap(), echo_of(&echo).unwrap());
    stop(child).await;
    place.nothing_left().await;
}

#[tokio::test]
async fn what_a_server_advertises_answers_until_it_is_gone() {
    let place = Place::new();
    let instance = format!("deep {}", std::process::id());
    let (child, tcp, websocket) = server(&place, &["--mdns-interface", "lo", "--name", &instance]).await;
    let options = options(&format!("tcp://{tcp}"));
    // on a busy machine a packet may be late
    let asking = async {
        loop {
            let step = talk::advertised::advertised(&options, Watch::start(options.deadline)).await;
            let Saw::Advertised(advertised) = step.saw else { panic!("{step:?}") };
            assert!(advertised.failure.is_none() && advertised.interfaces == ["lo"], "{advertised:?}");
            if !advertised.found.is_empty() {
                return advertised.found;
            }
        }
    };
    let answers = tokio::time::timeout(SOON, asking).await.expect("it is never found");
    let mut told: Vec<_> = answers.iter().map(|one| (one.address, one.failure.is_none())).collect();
    told.sort_unstable();
    let mut wanted = vec![(tcp, true), (websocket, true)];
    wanted.sort_unstable();
    assert_eq!(told, wanted, "{answers:?}");
    assert!(answers.iter().all(|one| one.instance.as_str() == instance), "{answers:?}");
    stop(child).await;
    place.nothing_left().await;
}

#[tokio::test]
async fn an_interface_that_is_not_there_is_named_and_nothing_else_is_browsed() {
    let options = Options { mdns_interfaces: Arc::new(["nosuch0".to_owned()]), ..options("tcp://127.0.0.1:7460") };
    let step = talk::advertised::advertised(&options, Watch::start(options.deadline)).await;
    let Saw::Advertised(advertised) = step.saw else { panic!("{step:?}") };
    assert!(advertised.failure.is_some_and(|f| f.words.contains("nosuch0")) && advertised.found.is_empty());
}

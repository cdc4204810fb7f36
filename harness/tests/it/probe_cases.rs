//! `fixtures/probe/`: a case is a file with a scripted server, a probe of it, and what the probe must say.
#![cfg(test)] // so that the lints know the helpers for test code

use super::place::{Ended, Place, SOON, root};
use super::probe_commands::patient;
use super::scripted::{Authority, Script, serve};
use futures_util::StreamExt as _;
use serde::Deserialize;
use std::net::TcpListener;
use std::path::PathBuf;

/// Cases at a time; most of them only wait.
const AT_ONCE: usize = 8;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// One line for people.
    about: String,
    target: String,
    #[serde(default)]
    args: Vec<String>,
    /// Word of the verdict.
    status: String,
    /// Code of the first finding; absent: there is none.
    cause: Option<String>,
    exit: i32,
    /// Parts of the verdict's sentence.
    #[serde(default)]
    says: Vec<String>,
    /// Parts of the whole output.
    #[serde(default)]
    shows: Vec<String>,
    /// Absent: nobody listens.
    server: Option<Script>,
}

fn cases() -> Vec<(String, Case)> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(root().join("fixtures/probe")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "toml"));
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let case = toml::from_str(&std::fs::read_to_string(&path).unwrap());
        (name.clone(), case.unwrap_or_else(|error| panic!("fixtures/probe/{name}.toml: {error}")))
    };
    paths.into_iter().map(read).collect()
}

/// Why the case does not hold; `None`: it does.
async fn wrong(name: &str, case: &Case, place: &Place, authority: &Authority) -> Option<String> {
    let address = match &case.server {
        Some(script) => serve(script, authority)?,
        // released again: whoever gets it next is no server of ours
        None => TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap(),
    };
    let host = match address.ip() {
        std::net::IpAddr::V4(ip) => ip.to_string(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let fill = |text: &str| {
        let text = text.replace("{address}", &address.to_string()).replace("{host}", &host);
        text.replace("{port}", &address.port().to_string()).replace("{ca}", &place.arg("ca.pem"))
    };
    let args: Vec<String> = case.args.iter().map(|arg| fill(arg)).chain([fill(&case.target)]).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    // a case whose server keeps silent says how long; whatever else comes is waited for
    let child = place.command(&patient(&args)).spawn().unwrap();
    let Ok(output) = tokio::time::timeout(SOON, child.wait_with_output()).await else {
        return Some(format!("{name}: the probe did not end"));
    };
    let ended = Ended::from(output.unwrap());
    let flat = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<_> = ended.stdout.lines().collect();
    // the verdict goes on below itself, indented
    let at = lines.iter().rposition(|line| !line.starts_with(' ')).unwrap_or(0);
    let verdict = lines[at..].iter().flat_map(|line| line.split_whitespace()).collect::<Vec<_>>().join(" ");
    let first_cause = lines.iter().position(|line| *line == "Root cause").and_then(|at| lines.get(at + 1));
    let named = first_cause.and_then(|line| line.split_whitespace().next());
    let mut faults = Vec::new();
    if ended.code != Some(case.exit) {
        faults.push(format!("exit {:?}, not {}", ended.code, case.exit));
    }
    if !verdict.starts_with(&case.status) {
        faults.push(format!("not {}", case.status));
    }
    if named != case.cause.as_deref() {
        faults.push(format!("the cause is {named:?}, not {:?}", case.cause));
    }
    faults.extend(
        case.says
            .iter()
            .map(|part| fill(part))
            .filter(|part| !verdict.contains(part))
            .map(|part| format!("the verdict does not say {part:?}")),
    );
    faults.extend(
        case.shows
            .iter()
            .map(|part| fill(part))
            .filter(|part| !flat.contains(part))
            .map(|part| format!("nothing shows {part:?}")),
    );
    if ended.stdout.chars().chain(ended.stderr.chars()).any(|c| c.is_control() && c != '\n') {
        faults.push("control characters reach the terminal".to_owned());
    }
    let Ended { stdout, stderr, .. } = &ended;
    (!faults.is_empty()).then(|| format!("{name} ({}): {}\n{stdout}{stderr}", case.about, faults.join("; ")))
}

/// One case alone: `PROBE_CASE=name cargo test ... probe_cases`.
#[tokio::test]
async fn every_case_is_told_as_its_file_says() {
    let place = Place::new();
    let authority = Authority::new("the authority of the tests");
    place.write("ca.pem", &authority.pem);
    let only = std::env::var("PROBE_CASE").ok();
    let all: Vec<_> = cases().into_iter().filter(|(name, _)| only.as_ref().is_none_or(|o| name.contains(o))).collect();
    assert!(!all.is_empty(), "no case in fixtures/probe");
    let told = futures_util::stream::iter(&all).map(|(name, case)| wrong(name, case, &place, &authority));
    let faults: Vec<String> = told.buffered(AT_ONCE).filter_map(|fault| async { fault }).collect().await;
    assert!(faults.is_empty(), "{} of {} cases:\n\n{}", faults.len(), all.len(), faults.join("\n----\n"));
    place.nothing_left().await;
}

//! A run in a network namespace of its own. Sockets, kernel tables, probes, all belong to one namespace, so the whole run
//! happens in another harness process, which enters the namespace before it has any thread.
//!
//! ```text
//! harness ── stdin: the setup, a JSON line; later a line with the reason if the run must end early; its end: so has the harness
//!         ── stdout: the evidence and what could not be saved, one JSON document
//! ```

use super::run::{self, SaveProblem, Setup};
use crate::evidence::{Environment, Evidence, Observation, Observed, SCHEMA_VERSION};
use crate::isolate;
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::io::{BufRead as _, Write as _};
use std::process::{ExitCode, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// How long the other harness may take to end once it was told to: it waits for programs that do not end.
const ENDING: Duration = Duration::from_mins(1);

/// What the other harness gives back.
#[derive(Serialize, Deserialize)]
struct Outcome {
    evidence: Evidence,
    problems: Vec<SaveProblem>,
}

/// Has another harness run it.
pub(super) async fn run(setup: Setup, interrupt: impl Future<Output = String>) -> (Evidence, Vec<SaveProblem>) {
    match elsewhere(&setup, interrupt).await {
        Ok(outcome) => (outcome.evidence, outcome.problems),
        Err(why) => {
            let file = setup.folder.join("evidence.json");
            let evidence = unknown(setup, &why);
            let saved = std::fs::write(&file, serde_json::to_string(&evidence).unwrap_or_default());
            let unsaved = saved.err().map(|e| format!("{}: {e}", file.display()));
            (evidence, std::iter::once(why).chain(unsaved).collect())
        }
    }
}

async fn elsewhere(setup: &Setup, interrupt: impl Future<Output = String>) -> Result<Outcome, String> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |e: std::io::Error| format!("the harness of the private network: {what}: {e}")
    };
    let mut child = tokio::process::Command::new(&setup.harness)
        .arg("isolated")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0) // Ctrl-C is this harness's business
        .kill_on_drop(true)
        .spawn()
        .map_err(failed("start"))?;
    let (Some(mut stdin), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("the harness of the private network has no pipes".to_owned());
    };
    let mut line = serde_json::to_vec(setup).map_err(|e| e.to_string())?;
    line.push(b'\n');
    stdin.write_all(&line).await.map_err(failed("write"))?;
    let mut text = Vec::new();
    let reading = stdout.read_to_end(&mut text);
    tokio::pin!(reading, interrupt);
    let read = tokio::select! {
        read = &mut reading => read,
        reason = &mut interrupt => {
            // one that is gone has said all it will say
            drop(stdin.write_all(format!("{reason}\n").as_bytes()).await);
            // dropping the child kills it, and its supervisors end what it had started
            let late = || std::io::Error::from(std::io::ErrorKind::TimedOut);
            tokio::time::timeout(ENDING, reading).await.unwrap_or_else(|_| Err(late()))
        }
    };
    read.map_err(failed("read"))?;
    let status = child.wait().await.map_err(failed("wait"))?;
    serde_json::from_slice(&text)
        .map_err(|e| format!("the harness of the private network ended with {status} and said nothing usable: {e}"))
}

/// Evidence of a run that did not happen.
fn unknown(setup: Setup, why: &str) -> Evidence {
    let what = Observation::FaultMissed { fault: "private network".to_owned(), why: why.to_owned() };
    Evidence {
        schema_version: SCHEMA_VERSION.to_owned(),
        run: setup.info,
        plan: setup.plan,
        environment: Environment::default(),
        logs: Vec::new(),
        observations: vec![Observed {
            time: crate::clock::now_rfc3339(),
            monotonic_ns: crate::clock::monotonic_ns(),
            what,
        }],
        artefacts: std::collections::BTreeMap::new(),
    }
}

/// The hidden subcommand: reads the setup, enters a network of its own, runs.
pub fn main() -> ExitCode {
    let mut first = String::new();
    let read = std::io::stdin().lock().read_line(&mut first);
    let Ok(mut setup) =
        read.map_err(|e| e.to_string()).and_then(|_| serde_json::from_str::<Setup>(&first).map_err(|e| e.to_string()))
    else {
        return complain("isolated: this subcommand is for the harness's own use");
    };
    setup.without_network = isolate::enter().err();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("isolated: {error}")),
    };
    let (evidence, problems) = runtime.block_on(Box::pin(run::run(setup, told_to_end())));
    runtime.shutdown_timeout(Duration::from_millis(100));
    let outcome = serde_json::to_vec(&Outcome { evidence, problems }).unwrap_or_default();
    match std::io::stdout().lock().write_all(&outcome) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&format!("isolated: {error}")),
    }
}

/// The next line of stdin is the reason; its end means that the harness is gone. A thread reads, so that the end of the
/// process waits for nobody.
async fn told_to_end() -> String {
    let (tell, told) = tokio::sync::oneshot::channel();
    let read = move || {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line).unwrap_or(0);
        let reason = if read == 0 { "the harness ended".to_owned() } else { line.trim().to_owned() };
        drop(tell.send(reason)); // a run that is over needs no reason
    };
    drop(std::thread::Builder::new().name("told to end".to_owned()).spawn(read));
    told.await.unwrap_or_else(|_| "the harness cannot be heard".to_owned())
}

fn complain(what: &str) -> ExitCode {
    drop(writeln!(std::io::stderr(), "{what}"));
    ExitCode::from(2)
}

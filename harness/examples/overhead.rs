//! What the programs themselves add: `overhead path/to/sidetone` prints the server's time from its start to its ready line, seen
//! from outside, and what the harness adds to a run of `call`.

mod support;

use sidetone_harness::report::json;
use std::process::Stdio;
use std::time::Duration;
use support::{Anything, programs, server, tell};

const STARTS: usize = 20;
const RUNS: usize = 5;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Anything<()> {
    start_up().await?;
    share_of_the_harness().await
}

async fn start_up() -> Anything<()> {
    let (sidetone, harness) = programs()?;
    let folder = tempfile::tempdir()?;
    let mut took = Vec::new();
    for _ in 0..STARTS {
        let (mut process, _, us) = server(&sidetone, harness.clone(), folder.path()).await?;
        took.push(us);
        process.stop(Duration::from_secs(5)).await;
    }
    took.sort_unstable();
    let ms = |us: u64| us as f64 / 1_000.0;
    let figure = format!("{:.1} ms (worst {:.1})", ms(took[STARTS / 2]), ms(took[STARTS - 1]));
    tell(&format!("server ready after its start, median of {STARTS}"), &figure, "target at most 50 ms")
}

async fn share_of_the_harness() -> Anything<()> {
    let (sidetone, harness) = programs()?;
    let folder = tempfile::tempdir()?;
    let mut overhead = Vec::new();
    for _ in 0..RUNS {
        let file = folder.path().join("report.json");
        let status = tokio::process::Command::new(&harness)
            .args(["run", "call", "--sidetone"])
            .arg(&sidetone)
            .arg("--out")
            .arg(folder.path())
            .arg("--report")
            .arg(format!("json={}", file.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await?;
        let run = json::read(&std::fs::read_to_string(&file)?)?;
        let figure = run.reports.iter().find_map(|report| report.metrics.get("harness.overhead"));
        overhead.push(figure.ok_or_else(|| format!("{status}, and no figure in the report"))?.value);
    }
    overhead.sort_by(f64::total_cmp);
    let figure = format!("{:.0} ms (worst {:.0})", overhead[RUNS / 2], overhead[RUNS - 1]);
    tell(&format!("the harness's share of `call`, median of {RUNS}"), &figure, "target at most 1000 ms")
}

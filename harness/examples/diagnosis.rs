//! How long a diagnosis takes, for each saved evidence: the engine alone, without reading the file, and with it.
//!
//! `diagnosis FOLDER` prints the slowest five and the worst; `make bench` runs it. It never fails because of a figure.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark prints what a clock says")]

use sidetone_harness::diagnosis::diagnose;
use sidetone_harness::evidence::Evidence;
use sidetone_harness::timeline::timeline;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Of so many the median counts.
const TIMES: usize = 21;
/// What a diagnosis may take.
const TARGET: Duration = Duration::from_millis(50);

fn median(mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..TIMES)
        .map(|_| {
            let began = Instant::now();
            run();
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[TIMES / 2]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: diagnosis FOLDER")?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
    files.sort();
    let mut rows = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        let evidence: Evidence = serde_json::from_str(&text)?;
        let engine = median(|| drop(diagnose(&evidence, timeline(&evidence))));
        let whole = median(|| {
            if let Ok(evidence) = serde_json::from_str::<Evidence>(&text) {
                drop(diagnose(&evidence, timeline(&evidence)));
            }
        });
        rows.push((whole, engine, file.file_stem().unwrap_or_default().to_string_lossy().into_owned()));
    }
    rows.sort();
    println!("\ndiagnosis of {} saved runs, median of {TIMES}: engine alone, with reading the evidence", rows.len());
    for (whole, engine, name) in rows.iter().rev().take(5) {
        println!("  {name:<28} {engine:>10.2?} {whole:>10.2?}");
    }
    if let Some((worst, ..)) = rows.last() {
        println!("  the worst is {worst:.2?}; target {TARGET:?}");
    }
    Ok(())
}

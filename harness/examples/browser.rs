//! The browser client in figures: `browser path/to/sidetone path/to/sidetone-harness` prints what the page weighs, how long it takes
//! to join, what it conceals, how late sound comes, and what four participants cost.

#[path = "browser/cast.rs"]
mod cast;
#[path = "browser/latency.rs"]
mod latency;
#[path = "browser/pictures.rs"]
mod pictures;
mod support;

use cast::{Load, Stage, median, monotonic_us};
use serde_json::Value;
use sidetone_harness::browser::find;
use std::time::Duration;
use support::{Anything, tell};

const JOINS: usize = 10;
/// KiB of the whole page.
const WEIGHT: f64 = 120.0;
/// Milliseconds from navigation to joined.
const JOINED: f64 = 1_000.0;
/// Of the samples, per cent.
const CONCEALED: f64 = 0.5;
const QUIET_CALL: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Anything<()> {
    if let Err(error) = find::find(None) {
        return tell("the browser client", "not measured", &error.to_string());
    }
    let wanted: Vec<_> = std::env::args().skip(3).collect();
    let wants = |what: &str| wanted.is_empty() || wanted.iter().any(|w| w == what);
    if wants("join") {
        joins().await?;
    }
    if wants("quiet") {
        quiet_call().await?;
    }
    if wants("latency") {
        latency::mouth_to_ear().await?;
    }
    if wants("pictures") {
        pictures::four().await?;
    }
    Ok(())
}

/// What the page weighs, and how long it takes until it is in the room.
async fn joins() -> Anything<()> {
    let load = Load::begin();
    let stage = Stage::new().await?;
    let mut weight: f64 = 0.0;
    for (way, option) in
        [("name in the link, Join clicked", "--by-link"), ("joined by the link (&join)", "--lock-autoplay")]
    {
        let mut took = Vec::new();
        for number in 0..JOINS {
            let name = format!("{}-{number}", option.trim_start_matches('-'));
            let args = ["--mic", "tone:880", "--video", "test-pattern", option];
            let browser = stage.browser(&name, "{}", &args).await?;
            let joined = browser.event("client.joined").await?.at_us;
            let began = browser.tapped("navigation").await.pop().and_then(|v| v.as_f64()).ok_or("no navigation")?;
            took.push((joined - monotonic_us(began)) / 1_000.0);
            weight = weight.max(weighed(browser).await?);
        }
        let middle = median(&mut took);
        let figure = format!("{middle:.0} ms (worst {:.0})", took[took.len() - 1]);
        tell(&format!("navigation to joined, {way}, median of {JOINS}"), &figure, &target(middle, JOINED, "ms"))?;
    }
    tell("the page on the wire, all files", &format!("{weight:.1} KiB"), &target(weight, WEIGHT, "KiB"))?;
    stage.close().await;
    load.tell()
}

/// KiB of all that was loaded until the end.
async fn weighed(browser: cast::Player) -> Anything<f64> {
    let first = browser.event("browser.page_loaded").await?;
    let mut lines = browser.process.lines(sidetone_harness::launch::Stream::Stderr);
    let mut bytes = first.fields["bytes"].as_f64();
    browser.ends().await?;
    while let Some(line) = lines.next().await {
        let line: Value = serde_json::from_str(&line.text).unwrap_or_default();
        if line["event"] == "browser.page_loaded" {
            bytes = line["fields"]["bytes"].as_f64();
        }
    }
    Ok(bytes.ok_or("no bytes")? / 1_024.0)
}

async fn quiet_call() -> Anything<()> {
    let load = Load::begin();
    let stage = Stage::new().await?;
    let browser = stage.browser("browser", "{}", &["--mic", "tone:880"]).await?;
    browser.event("client.joined").await?;
    let terminal = stage.client("terminal", &["--mic", "tone:440"]).await?;
    terminal.event("client.joined").await?;
    tokio::time::sleep(QUIET_CALL).await;
    let heard = [("terminal -> browser", browser.ends().await?), ("browser -> terminal", terminal.ends().await?)];
    for (way, stats) in heard {
        let inbound =
            stats["stats"].as_array().into_iter().flatten().find(|s| s["id"] == "inbound-audio").ok_or("no stats")?;
        let [made_up, all] =
            ["concealedSamples", "totalSamplesReceived"].map(|f| inbound[f].as_f64().unwrap_or(f64::NAN));
        let share = 100.0 * made_up / all;
        let figure = format!("{share:.2} % of {:.0} s", all / 48_000.0);
        tell(&format!("concealed in a quiet call, {way}"), &figure, &target(share, CONCEALED, "%"))?;
    }
    stage.close().await;
    load.tell()
}

/// The words beside a figure.
fn target(figure: f64, most: f64, unit: &str) -> String {
    format!("target at most {most} {unit}{}", if figure <= most { "" } else { " (above)" })
}

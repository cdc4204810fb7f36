//! Four participants who see each other.

use crate::cast::{Load, Player, Stage};
use crate::support::{Anything, tell};
use serde_json::Value;
use sidetone::clock::monotonic;
use sidetone_harness::launch::resources::{command_line, descendants, process_state};
use std::collections::BTreeMap;
use std::time::Duration;

const FOR: Duration = Duration::from_secs(20);
/// Before that: everybody is there, and everything compiled.
const SETTLED: Duration = Duration::from_secs(4);
/// So large that each of four gets 80x30 cells.
const WINDOW: &str = "1440x900";
/// Of one processor, per cent.
const TARGET: f64 = 60.0;

pub(crate) async fn four() -> Anything<()> {
    let stage = Stage::new().await?;
    let browser = stage
        .browser("browser", "{ pictures: true }", &["--mic", "tone:880", "--video", "test-pattern", "--window", WINDOW])
        .await?;
    browser.event("client.joined").await?;
    let mut others = Vec::new();
    for (name, tone) in [("ada", "tone:330"), ("ben", "tone:440"), ("cleo", "tone:550")] {
        let args = ["--mic", tone, "--video", "test-pattern", "--fps", "15"];
        let other = stage.client(name, &args).await?;
        other.event("client.joined").await?;
        others.push(other);
    }
    tokio::time::sleep(SETTLED).await;
    let load = Load::begin();
    let (began, before) = (monotonic(), cpu_ms(browser.process.pid)?);
    let peers_before = own_cpu_ms(&others)?;
    tokio::time::sleep(FOR).await;
    let (took, after) = (monotonic().saturating_sub(began), cpu_ms(browser.process.pid)?);
    let peer = own_cpu_ms(&others)?.saturating_sub(peers_before) as f64 / others.len() as f64;
    let share = |ms: f64| 100.0 * ms / took.as_secs_f64() / 1_000.0;
    let mut kinds: BTreeMap<String, f64> = BTreeMap::new();
    for (pid, (kind, ms)) in &after {
        let used = ms - before.get(pid).map_or(0, |(_, ms)| *ms);
        *kinds.entry(kind.clone()).or_default() += share(used as f64);
    }
    let all: f64 = kinds.values().sum();
    let verdict = if all <= TARGET { "" } else { " (above)" };
    let peer = share(peer);
    let target = format!("target at most {TARGET} %{verdict}; one terminal client of the same call: {peer:.1} %");
    tell("4 participants, 15 pictures a second, browser processes", &format!("{all:.1} % of a processor"), &target)?;
    let parts: Vec<_> =
        kinds.iter().filter(|(_, share)| **share >= 0.1).map(|(kind, s)| format!("{kind} {s:.1}")).collect();
    tell("  of these", "", &parts.join(", "))?;
    let said = browser.tapped("pictures").await;
    tell_rates(&said)?;
    for other in others {
        other.ends().await?;
    }
    browser.ends().await?;
    stage.close().await;
    load.tell()
}

/// Milliseconds of processor that each process under the driver has used, with its kind.
fn cpu_ms(driver: u32) -> Anything<BTreeMap<u32, (String, u64)>> {
    let mut used = BTreeMap::new();
    for pid in descendants(driver) {
        let Some(state) = process_state(pid)? else { continue };
        used.insert(pid, (kind_of(pid), state.cpu_ms));
    }
    Ok(used)
}

/// As Chromium names its processes.
fn kind_of(pid: u32) -> String {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line).into_owned();
    let word = |start: &str| line.split(['\0', ' ']).find_map(|w| w.strip_prefix(start)).map(str::to_owned);
    let kind = word("--utility-sub-type=").or_else(|| word("--type="));
    kind.unwrap_or_else(|| {
        let line = command_line(pid).unwrap_or_default();
        if line.contains("supervise") { "supervisor" } else { "browser" }.to_owned()
    })
}

fn own_cpu_ms(players: &[Player]) -> Anything<u64> {
    let mut sum = 0;
    for player in players {
        sum += process_state(player.process.pid)?.map_or(0, |state| state.cpu_ms);
    }
    Ok(sum)
}

/// From the first to the last look of the page at itself.
fn tell_rates(said: &[Value]) -> Anything<()> {
    let looks: Vec<_> = said.iter().filter(|s| s["decoded"].as_object().is_some_and(|d| d.len() == 3)).collect();
    let [first, .., last] = looks[..] else { return Err("the page saw nobody".into()) };
    let seconds = (last["at"].as_f64().unwrap_or(0.0) - first["at"].as_f64().unwrap_or(0.0)) / 1e6;
    let rate = |of: &dyn Fn(&Value) -> f64| (of(last) - of(first)) / seconds;
    for name in ["ada", "ben", "cleo", "browser"] {
        let drawn = rate(&|look| look["drawn"][name]["count"].as_f64().unwrap_or(0.0));
        let [cells, pixels] = ["cells", "pixels"].map(|f| last["drawn"][name][f].as_str().unwrap_or("no"));
        let figure = if name == "browser" {
            format!("{drawn:.1} a second drawn")
        } else {
            let came = rate(&|look| look["decoded"][name].as_f64().unwrap_or(0.0));
            format!("{came:.1} came, {drawn:.1} drawn")
        };
        let target = format!("15 are sent; drawn as {cells} cells, {pixels} pixels");
        tell(&format!("  pictures of {name}"), &figure, &target)?;
    }
    Ok(())
}

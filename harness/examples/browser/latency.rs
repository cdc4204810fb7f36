//! Mouth to ear, by clicks.

use crate::cast::{Load, Player, Stage, median, monotonic_us};
use crate::support::{Anything, tell};
use sidetone::audio::{SAMPLE_RATE, jitter};
use sidetone::device::microphone::read_wav;
use sidetone::device::{SpeakerSpec, speaker};
use std::path::Path;
use std::time::Duration;

/// Calls: each has its own phase between the clocks of devices and mixer.
const CALLS: usize = 3;
const CALL: Duration = Duration::from_secs(12);
/// Milliseconds between two clicks.
const EVERY: usize = 500;
/// As in `tap.js`.
const LOUD: f32 = 0.15;
/// How much more than the floor is allowed.
const TARGET: f64 = 2.5;

/// What sound cannot do without, ms. A packet is cut when its last sample is there; each buffer holds it for its smallest target; the mixer
/// comes by every 20 ms, so half of that on average; a callback asks for its whole period at once.
const FRAME: f64 = 20.0;
const LOOK_AHEAD: f64 = 2.5;
const HALF_TICK: f64 = 10.0;
const PERIOD: f64 = 10.0;

/// A 1 kHz burst of 2 ms at -6 dBFS every half second, over noise at -40 dBFS that is never taken for a pause.
fn write_clicks(path: &Path, seconds: usize) -> Anything<()> {
    let rate = SAMPLE_RATE as usize;
    let mut random = 1_u32;
    let samples: Vec<f32> = (0..seconds * rate)
        .map(|i| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = 0.017 * ((random >> 8) as f32 / (1 << 23) as f32 - 1.0);
            let within = i % (EVERY * rate / 1_000);
            let phase = std::f32::consts::TAU * within as f32 / 48.0;
            if within < 96 { 0.5 * phase.sin() + noise } else { noise }
        })
        .collect();
    let mut file = speaker::open(&SpeakerSpec::Wav(path.to_owned()))?.ok_or("no file")?;
    file.play(&samples)?;
    file.finish()?;
    Ok(())
}

/// Seconds at which clicks begin.
fn clicks(samples: &[f32]) -> Vec<f64> {
    let (mut found, mut quiet) = (Vec::new(), usize::MAX);
    for (i, sample) in samples.iter().enumerate() {
        if sample.abs() < LOUD {
            quiet = quiet.saturating_add(1);
            continue;
        }
        if quiet > SAMPLE_RATE as usize / 10 {
            found.push(i as f64 / f64::from(SAMPLE_RATE));
        }
        quiet = 0;
    }
    found
}

/// From each click that left a mouth to the next that came to an ear, ms. Times in microseconds.
fn delays(mouth: &[f64], ear: &[f64]) -> Vec<f64> {
    let next = |spoken: &f64| {
        let heard = ear.iter().find(|heard| *heard > spoken)?;
        Some((heard - spoken) / 1_000.0).filter(|ms| *ms < EVERY as f64)
    };
    mouth.iter().filter_map(next).collect()
}

pub(crate) async fn mouth_to_ear() -> Anything<()> {
    let load = Load::begin();
    let (mut there, mut back, mut recorded, mut calls) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..CALLS {
        let [mut to_terminal, mut to_browser, mut by_recording] = one_call().await?;
        calls.push(format!("{:.0}/{:.0}", median(&mut to_terminal), median(&mut to_browser)));
        there.append(&mut to_terminal);
        back.append(&mut to_browser);
        recorded.append(&mut by_recording);
    }
    let buffer = jitter::MIN_TARGET.as_secs_f64() * 1_000.0;
    let shared = FRAME + LOOK_AHEAD + buffer + HALF_TICK + LOOK_AHEAD + buffer + PERIOD;
    let sum = format!(
        "frame {FRAME} + look-ahead {LOOK_AHEAD} + server's buffer {buffer} + half a tick {HALF_TICK} + look-ahead {LOOK_AHEAD} + listener's buffer {buffer} + speaker's period {PERIOD}"
    );
    tell("floor of terminal -> browser", &format!("{shared:.0} ms"), &sum)?;
    tell(
        "floor of browser -> terminal",
        &format!("{:.0} ms", shared + PERIOD),
        &format!("the same + the browser's microphone's period {PERIOD}"),
    )?;
    for (way, floor, mut figures) in
        [("browser -> terminal", shared + PERIOD, there), ("terminal -> browser", shared, back)]
    {
        let middle = median(&mut figures);
        let (least, most) = (figures.first().copied().unwrap_or(f64::NAN), figures.last().copied().unwrap_or(f64::NAN));
        let figure = format!("{middle:.0} ms ({least:.0} to {most:.0})");
        let verdict = if middle <= TARGET * floor { "" } else { " (above)" };
        let target = format!(
            "target at most {:.0} ms, {TARGET} x floor{verdict}; this is {:.2} x",
            TARGET * floor,
            middle / floor
        );
        tell(&format!("mouth to ear, {way}, median of {} clicks", figures.len()), &figure, &target)?;
    }
    tell("  the single calls, there/back", &calls.join(", "), "ms")?;
    let recorded = format!("{:.0} ms", median(&mut recorded));
    tell("  terminal -> browser, in the driver's recording", &recorded, "another clock for the ear: about the same")?;
    load.tell()
}

/// Delays from browser to terminal, and back: as the page sees it, and by the driver's recording.
async fn one_call() -> Anything<[Vec<f64>; 3]> {
    let stage = Stage::new().await?;
    let path = |name: &str| stage.folder.path().join(name);
    let said = path("clicks.wav");
    write_clicks(&said, CALL.as_secs() as usize + 10)?;
    let (heard, recorded) = (path("terminal.wav"), path("browser.wav"));
    let wav = |path: &Path| format!("wav:{}", path.display());
    let browser =
        stage.browser("browser", "{ clicks: true }", &["--mic", &wav(&said), "--speaker", &wav(&recorded)]).await?;
    browser.event("client.joined").await?;
    let terminal = stage.client("terminal", &["--mic", &wav(&said), "--speaker", &wav(&heard)]).await?;
    terminal.event("client.joined").await?;
    tokio::time::sleep(CALL).await;
    let delays = measure(&browser, &terminal).await?;
    let began =
        browser.says(|event, fields| event == "device.opened" && fields["device"] == wav(&recorded)).await?.at_us;
    let terminal_began = terminal.opened("speaker").await?;
    terminal.ends().await?;
    browser.ends().await?;
    let Tapped { mouth, ear, spoken } = delays;
    let heard: Vec<_> = clicks(&read_wav(&heard)?).into_iter().map(|s| terminal_began + s * 1e6).collect();
    let recorded: Vec<_> = clicks(&read_wav(&recorded)?).into_iter().map(|s| began + s * 1e6).collect();
    let spoken: Vec<_> = clicks(&read_wav(&said)?).into_iter().map(|s| spoken + s * 1e6 - FRAME * 1_000.0).collect();
    stage.close().await;
    Ok([self::delays(&mouth, &heard), self::delays(&spoken, &ear), self::delays(&spoken, &recorded)])
}

struct Tapped {
    /// When clicks passed the browser's microphone and speaker, monotonic microseconds.
    mouth: Vec<f64>,
    ear: Vec<f64>,
    /// When the terminal's microphone began.
    spoken: f64,
}

async fn measure(browser: &Player, terminal: &Player) -> Anything<Tapped> {
    let mut times = Vec::new();
    for kind in ["mouth", "ear"] {
        let last = browser.tapped(kind).await.pop().ok_or_else(|| format!("no clicks at the page's {kind}"))?;
        let all = last.as_array().into_iter().flatten().filter_map(serde_json::Value::as_f64);
        times.push(all.map(monotonic_us).collect());
    }
    let ear = times.pop().unwrap_or_default();
    Ok(Tapped { mouth: times.pop().unwrap_or_default(), ear, spoken: terminal.opened("microphone").await? })
}

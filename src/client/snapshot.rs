//! One picture, printed.

use super::shared::{Shared, lock};
use super::{Mode, Outcome};
use crate::event::Event;
use crate::video::ascii::{Palette, to_ansi, to_text};
use crate::video::grid::layout;
use crate::video::screen::{Canvas, Style};
use crate::video::{ColorMode, Picture, jpeg};
use std::fmt::Write as _;
use std::sync::atomic::Ordering;

/// Resolves when the picture may be printed, or when none came in time; never outside snapshot mode.
pub(super) async fn wait(shared: &Shared) -> Result<(), Outcome> {
    let Mode::Snapshot { timeout, delay } = shared.config.mode else { return std::future::pending().await };
    let first = async {
        loop {
            let pictured = shared.pictured.notified();
            if lock(&shared.room).pictures.values().any(|p| p.last.is_some()) {
                return;
            }
            pictured.await;
        }
    };
    if tokio::time::timeout(timeout, first).await.is_err() {
        let waited = timeout.as_millis();
        let target = &shared.config.target;
        return Err(if shared.counters.connections.load(Ordering::Relaxed) == 0 {
            let problem = lock(&shared.room).problem.clone();
            Outcome::Unreachable(problem.unwrap_or_else(|| format!("{target} could not be reached within {waited} ms")))
        } else {
            let others = lock(&shared.room).others.len();
            Outcome::NothingCame(match others {
                0 => format!("connected to {target}, but nobody else came within {waited} ms"),
                n => format!("connected to {target} with {n} others, but no picture came within {waited} ms"),
            })
        });
    }
    tokio::time::sleep(delay).await;
    Ok(())
}

/// The others' pictures, a name under each, and whether sound flowed.
pub(super) fn print(shared: &Shared) -> String {
    let terminal = shared.config.print;
    // whoever left during the delay was part of the call: its last picture is shown too
    let received: Vec<_> = lock(&shared.room)
        .pictures
        .iter()
        .filter_map(|(name, pictures)| Some((name.clone(), pictures.last.clone()?)))
        .collect();
    let shown: Vec<(String, Picture)> =
        received.into_iter().filter_map(|(name, encoded)| Some((name, jpeg::decode(&encoded).ok()?))).collect();
    let rows = terminal.rows.saturating_sub(2).max(2);
    let mut canvas = Canvas::new(terminal.columns, rows);
    let palette = Palette::best(terminal.colors, terminal.utf8);
    for ((name, picture), tile) in shown.iter().zip(layout(shown.len(), terminal.columns, rows)) {
        let (place, label) = tile.fitted();
        canvas.set_picture(place, picture, palette);
        canvas.set_text(label, name, Style::default());
    }
    let mut text = match terminal.colors {
        ColorMode::None => to_text(canvas.cells()),
        colors @ (ColorMode::Ansi16 | ColorMode::Ansi256 | ColorMode::TrueColor) => to_ansi(canvas.cells(), colors),
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let packets = shared.counters.audio_packets_with_sound.load(Ordering::Relaxed);
    let sound_received = packets > 0;
    let names: Vec<_> = shown.into_iter().map(|(name, _)| name).collect();
    let sound = if sound_received { format!("sound flowed ({packets} packets)") } else { "no sound came".to_owned() };
    let list: Vec<_> = names.iter().map(|n| n.chars().map(crate::video::text::safe).collect::<String>()).collect();
    writeln!(text, "pictures of {}; {sound}", list.join(", ")).expect("writing to a String does not fail");
    let waited_ms = shared.since_start_ms();
    shared.config.log.emit(Event::ClientSnapshot { pictures: names, sound_received, waited_ms });
    text
}

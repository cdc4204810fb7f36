//! The end: what the page has to tell, its last picture, leaving, closing.

use super::base64;
use super::devtools::PATIENCE;
use super::drive::Driven;
use super::page::Page;
use super::process::Running;
use super::{Ended, Outcome, Setup};
use crate::launch::Exit;
use serde_json::{Value, json};
use sidetone::event::Event;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::timeout;

/// How long the page may take for all that it has to tell.
const TELL_WITHIN: Duration = Duration::from_secs(3);
/// How long it may take to leave.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// What the page told at its end.
#[derive(Debug, Default)]
struct Told {
    stats: Option<Value>,
    /// The first thing that did not work.
    problem: Option<Outcome>,
}

/// Ends it all, in bounded time: statistics, pictures, screenshot, `#leave`, the browser.
pub(super) async fn finish(setup: &Setup, driven: Driven, mut running: Running, outcome: Outcome) -> Ended {
    let doubtful = driven.scene.borrow().gone;
    let by_us = running.is_running(doubtful).await;
    let told = if by_us {
        let told = timeout(TELL_WITHIN, tell(setup, &driven)).await;
        told.unwrap_or_else(|_| {
            let after = TELL_WITHIN.as_secs();
            let reason = format!("the browser did not tell its statistics and pictures within {after} s; see whether it was stopped or starved");
            Told { stats: None, problem: Some(Outcome::Lost(reason)) }
        })
    } else {
        Told::default()
    };
    if by_us {
        leave(&driven).await;
        driven.browser.tell("Browser.close", &json!({}));
    }
    driven.page_loaded().into_iter().for_each(|event| setup.log.emit(event));
    drop(driven.end_watching);
    let mut problem = told.problem;
    if let Ok(mut watcher) = driven.watcher.await {
        watcher.heard.total().into_iter().for_each(|event| setup.log.emit(event));
        if let Some(recording) = watcher.recording.take()
            && let Err(why) = recording.finish()
        {
            problem.get_or_insert(Outcome::NoDevice(why));
        }
    }
    let executable = running.executable.clone();
    let exit = running.end().await;
    setup.log.emit(Event::BrowserEnded { code: exit.code, by_us });
    let outcome = match outcome {
        Outcome::Lost(_) if !by_us => died(&executable, &exit),
        Outcome::Done => problem.unwrap_or(Outcome::Done),
        Outcome::Unreachable(_)
        | Outcome::Refused(_)
        | Outcome::NothingCame(_)
        | Outcome::Lost(_)
        | Outcome::NoDevice(_) => outcome,
    };
    Ended { outcome, stats: told.stats }
}

fn died(executable: &Path, exit: &Exit) -> Outcome {
    let how = match (exit.code, exit.signal) {
        (_, Some(signal)) => format!("signal {signal}"),
        (Some(code), None) => format!("exit code {code}"),
        (None, None) => exit.lost.clone().unwrap_or_else(|| "nobody knows how".to_owned()),
    };
    let path = executable.display();
    Outcome::Lost(format!(
        "{path}: the browser ended by itself ({how}); see what the system's log says, for instance about memory"
    ))
}

async fn tell(setup: &Setup, driven: &Driven) -> Told {
    let (ready, joined) = {
        let scene = driven.scene.borrow();
        (scene.ready, scene.joins > 0)
    };
    let (page, mut told) = (&driven.page, Told::default());
    if ready && setup.stats {
        match page.evaluate("sidetone.stats()", PATIENCE).await {
            Ok(stats) => told.stats = Some(stats),
            Err(why) => told.problem = Some(Outcome::NothingCame(format!("the page gave no statistics: {why}"))),
        }
    }
    if let Some(folder) = setup.save_pictures.as_ref().filter(|_| ready)
        && let Err(why) = save_pictures(page, folder).await
    {
        told.problem.get_or_insert(Outcome::NoDevice(why));
    }
    if joined && !driven.pictured.load(Ordering::Relaxed) {
        take_screenshot(setup, page, "call").await;
    }
    take_screenshot(setup, page, "end").await;
    told
}

/// Writes the last picture of each sender, as the native client does.
async fn save_pictures(page: &Page, folder: &Path) -> Result<(), String> {
    let failed = |why: &dyn std::fmt::Display| format!("{}: pictures cannot be saved: {why}", folder.display());
    let pictures = page.evaluate("sidetone.pictures()", PATIENCE).await.map_err(|e| failed(&e))?;
    let pictures: BTreeMap<String, String> = serde_json::from_value(pictures).map_err(|e| failed(&e))?;
    for (name, jpeg) in pictures {
        let jpeg = base64::decode(&jpeg).ok_or_else(|| failed(&format!("that of {name:?} is no base64")))?;
        let path = folder.join(format!("{}.jpg", file_name(&name)));
        write(&path, &jpeg).map_err(|e| failed(&e))?;
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, bytes)
}

/// A participant's name as a file's: what might be a path or hidden becomes `_`.
fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

/// Writes `FOLDER/NAME.OF.png`. One that cannot be taken is a line in the log and stops nothing.
pub(super) async fn take_screenshot(setup: &Setup, page: &Page, of: &str) {
    let Some(folder) = &setup.screenshots else { return };
    let path = folder.join(format!("{}.{of}.png", file_name(&setup.name)));
    let taken = page.screenshot().await.and_then(|(png, width, height)| {
        write(&path, &png).map_err(|error| error.to_string())?;
        Ok((width, height))
    });
    let (path, of) = (path.display().to_string(), of.to_owned());
    setup.log.emit(match taken {
        Ok((width, height)) => Event::BrowserScreenshot { path, of, width, height },
        Err(why) => {
            let text = format!("no screenshot of {of}: {why}");
            Event::BrowserConsole { level: "warning".to_owned(), text, location: path }
        }
    });
}

/// Clicks `#leave` as a person would, and lets the page close its socket.
async fn leave(driven: &Driven) {
    let leaving = async {
        if driven.scene.borrow().inside && driven.page.click("#leave", LEAVE_WITHIN).await.is_ok() {
            let mut scene = driven.scene.clone();
            drop(scene.wait_for(|scene| scene.sockets == 0 || scene.gone).await);
        }
    };
    drop(timeout(LEAVE_WITHIN, leaving).await); // the browser closes it then
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_a_harmless_file_name() {
        assert_eq!(file_name("Ada-1"), "Ada-1");
        assert_eq!(file_name("../.ssh/é x"), "____ssh_é_x");
    }
}

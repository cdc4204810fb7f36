//! What a signal makes the person in front of the browser do, as with `sidetone client`: SIGUSR1 switches the microphone,
//! SIGUSR2 says the next of the prepared lines in the chat.

use super::Setup;
use super::page::Page;
use serde_json::json;
use sidetone::event::Event;
use std::convert::Infallible;
use std::io;
use tokio::signal::unix::{SignalKind, signal};

/// Obeys for ever. What could not be done is told as the page's failure to do it.
pub(super) async fn obey(setup: &Setup, page: &Page) -> Infallible {
    let tell = |what: &str, why: String| {
        let (level, text, location) = ("warning".to_owned(), format!("{what}: {why}"), "driver".to_owned());
        setup.log.emit(Event::BrowserConsole { level, text, location });
    };
    let signals = || io::Result::Ok((signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?));
    let (mut mute, mut say) = match signals() {
        Ok(signals) => signals,
        Err(error) => {
            tell("signals", error.to_string());
            return std::future::pending().await;
        }
    };
    let mut lines = setup.says.iter();
    loop {
        let done = tokio::select! {
            _ = mute.recv() => page.press("m", "KeyM").await.map_err(|why| ("the key m", why)),
            _ = say.recv() => match lines.next() {
                Some(line) => speak(setup, page, line).await.map_err(|why| ("a chat line", why)),
                None => Ok(()),
            },
        };
        if let Err((what, why)) = done {
            tell(what, why);
        }
    }
}

async fn speak(setup: &Setup, page: &Page, line: &str) -> Result<(), String> {
    page.press("t", "KeyT").await?;
    page.fill("#chat-input", line, setup.timeout).await?;
    page.press("Enter", "Enter").await?;
    page.press("Escape", "Escape").await
}

impl Page {
    /// Presses and releases a key. `key` and `code` as in the UI Events specification.
    ///
    /// # Errors
    /// A sentence.
    pub(super) async fn press(&self, key: &str, code: &str) -> Result<(), String> {
        let (number, text) = match key {
            "Enter" => (13, "\r".to_owned()),
            "Escape" => (27, String::new()),
            "Tab" => (9, String::new()),
            letter => (letter.to_uppercase().bytes().next().map_or(0, i64::from), letter.to_owned()),
        };
        let kind = if text.is_empty() { "rawKeyDown" } else { "keyDown" };
        let down = json!({ "type": kind, "key": key, "code": code, "text": text, "windowsVirtualKeyCode": number });
        let up = json!({ "type": "keyUp", "key": key, "code": code, "windowsVirtualKeyCode": number });
        for event in [down, up] {
            self.session.call("Input.dispatchKeyEvent", event).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

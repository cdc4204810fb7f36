//! Remote control by signals, for hotkeys of a desktop and for scripts: SIGUSR1 switches the microphone, SIGUSR2 says the
//! next of the prepared lines.

use super::session::Command;
use std::io;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

/// Obeys signals until it is dropped.
#[derive(Debug)]
pub(super) struct Control(AbortHandle);

impl Control {
    /// # Errors
    /// The signals cannot be listened to.
    pub(super) fn start(lines: Vec<String>, commands: UnboundedSender<Command>) -> io::Result<Self> {
        let mut mute = signal(SignalKind::user_defined1())?;
        let mut say = signal(SignalKind::user_defined2())?;
        let task = tokio::spawn(async move {
            let mut lines = lines.into_iter();
            loop {
                let command = tokio::select! {
                    Some(()) = mute.recv() => Some(Command::ToggleMute),
                    Some(()) = say.recv() => lines.next().map(Command::Chat),
                    else => return,
                };
                if command.is_some_and(|command| commands.send(command).is_err()) {
                    return;
                }
            }
        });
        Ok(Self(task.abort_handle()))
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.0.abort();
    }
}

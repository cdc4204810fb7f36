//! Faults of a browser and of its page, and of a server that leaves it alone.

use super::{Run, SERVER, STEP};
use crate::evidence::Fault;
use crate::launch::Stream;
use std::time::Duration;

impl Run {
    /// What the faults add to a browser's command line.
    pub(super) fn browser_args(&mut self, client: &str) -> Vec<String> {
        let mut args = Vec::new();
        for fault in self.faults().into_iter().filter(|f| f.browser() == Some(client)) {
            let (more, what): (Vec<&str>, String) = match &fault {
                Fault::PagePolicy { policy, .. } => {
                    (vec!["--page-policy", policy], format!("{client} gets the page with the policy {policy:?}"))
                }
                Fault::HostName { name, .. } => {
                    (vec!["--host-name", name], format!("{client} opens the page as {name}, which leads to the server"))
                }
                Fault::DenyCapture { .. } => {
                    (vec!["--deny-capture"], format!("{client} says no to microphone and camera"))
                }
                Fault::LockAutoplay { .. } => {
                    (vec!["--lock-autoplay"], format!("no page may sound at {client} before somebody touches it"))
                }
                // long enough for the server to end between the page and its WebSocket
                Fault::EndServer { .. } => {
                    args.extend(["--lobby".to_owned(), "2s".to_owned()]);
                    continue;
                }
                _ => continue,
            };
            args.extend(more.into_iter().map(str::to_owned));
            self.injected(&fault, what);
        }
        args
    }

    /// Ends the server between a browser's page and its WebSocket, if the scenario wants that. False: that failed.
    pub(super) async fn break_after_page(&mut self, client: &str) -> bool {
        let ends = |f: &Fault| matches!(f, Fault::EndServer { after_page_of: Some(c) } if c == client);
        let Some(fault) = self.faults().into_iter().find(ends) else { return true };
        let Some(child) = self.children.get(client) else { return true };
        // by then all of its files are there
        let loaded = |line: &str| line.contains("browser.screenshot");
        if child.process.wait_for_line(Stream::Stderr, loaded, self.patience()).await.is_err() {
            return self.missed(fault.kind(), format!("{client} has not loaded the page"));
        }
        self.signal(SERVER, "the launcher ends the server although a page is open that has not joined yet");
        self.wait_for_exit(SERVER, STEP).await;
        self.injected(&fault, format!("the server has ended between {client}'s page and its WebSocket"));
        true
    }

    /// When the server is to be started again in this call, and how long nobody serves.
    pub(super) fn restart_at(&self) -> Option<(Duration, Duration)> {
        self.setup.plan.faults.iter().find_map(|fault| match fault {
            Fault::RestartServer { after, down } => Some((after.duration(), down.duration())),
            _ => None,
        })
    }
}

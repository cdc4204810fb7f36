//! Listens to the browser for as long as it runs: hands events to the log, lets workers go on once they are heard, and
//! keeps what the driver asks about.

use super::devtools::{Notice, Session};
use super::events::{Traffic, Translator};
use super::page::{BINDING, SOCKET_SCRIPT, call};
use super::record::{Heard, Recording};
use crate::clock::wall_ahead_us;
use serde_json::{Value, json};
use sidetone::clock::{micros, monotonic};
use sidetone::event::Event;
use sidetone::log::Log;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How long a page may take to say how its socket was closed.
const CLOSE_FRAME_WITHIN: Duration = Duration::from_millis(300);

/// What is known of the page.
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scene {
    /// Its load event came.
    pub(super) loaded: bool,
    /// HTTP status of the document.
    pub(super) status: Option<u16>,
    /// It has what the driver needs: `window.sidetone`.
    pub(super) ready: bool,
    /// How often it came into the room.
    pub(super) joins: u32,
    /// It is in the room now.
    pub(super) inside: bool,
    /// The last refusal: code and reason.
    pub(super) refused: Option<(String, String)>,
    /// The last thing that went wrong with its connection.
    pub(super) problem: Option<String>,
    /// All that was loaded so far.
    pub(super) traffic: Traffic,
    /// Open WebSockets.
    pub(super) sockets: usize,
    /// The page's process died.
    pub(super) crashed: bool,
    /// The DevTools' connection is gone.
    pub(super) gone: bool,
}

/// The listener.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) log: Log,
    pub(super) page: Session,
    /// The page's main frame.
    pub(super) frame: String,
    /// Instead of the document's own Content-Security-Policy.
    pub(super) policy: Option<String>,
    /// Every look of the analyser becomes an event, not only their sum.
    pub(super) chatty: bool,
    pub(super) translator: Translator,
    pub(super) recording: Option<Recording>,
    pub(super) heard: Heard,
    pub(super) scene: watch::Sender<Scene>,
}

impl Watcher {
    /// Listens until the driver lets go of `end`, or the connection is gone.
    pub(super) async fn run(
        mut self,
        mut notices: mpsc::UnboundedReceiver<Notice>,
        mut end: watch::Receiver<()>,
    ) -> Self {
        loop {
            let awaits = self.translator.awaits_close_frame();
            tokio::select! {
                notice = notices.recv() => {
                    let Some(notice) = notice else {
                        self.scene.send_modify(|scene| scene.gone = true);
                        return self;
                    };
                    self.hear(&notice);
                }
                () = tokio::time::sleep(CLOSE_FRAME_WITHIN), if awaits => {
                    self.translator.closed_without_code().into_iter().for_each(|event| self.emit(event));
                }
                _ = end.changed() => return self,
            }
        }
    }

    fn hear(&mut self, notice: &Notice) {
        let p = &notice.params;
        let of_page = notice.session.as_deref() == self.page.id();
        match notice.method.as_str() {
            "Target.attachedToTarget" => self.attach(p),
            "Runtime.bindingCalled" if p["name"] == BINDING => {
                let payload = p["payload"].as_str().unwrap_or_default();
                self.told(&serde_json::from_str(payload).unwrap_or_default());
            }
            "Fetch.requestPaused" => self.let_through(notice),
            "Page.loadEventFired" if of_page => self.scene.send_modify(|scene| scene.loaded = true),
            "Network.responseReceived" if p["type"] == "Document" && p["frameId"] == *self.frame => {
                let status = p["response"]["status"].as_u64().and_then(|s| u16::try_from(s).ok());
                self.scene.send_modify(|scene| scene.status = status);
            }
            "Inspector.targetCrashed" if of_page => self.scene.send_modify(|scene| scene.crashed = true),
            _ => {}
        }
        if notice.method == "Page.javascriptDialogOpening" {
            self.page.tell("Page.handleJavaScriptDialog", &json!({ "accept": true }));
        }
        self.translator.translate(notice).into_iter().for_each(|event| self.emit(event));
        let traffic = self.translator.traffic;
        self.scene.send_if_modified(|scene| std::mem::replace(&mut scene.traffic, traffic) != traffic);
    }

    /// A worker waits until it is heard from its first word on.
    fn attach(&self, p: &Value) {
        let Some(id) = p["sessionId"].as_str() else { return };
        let worker = self.page.attached(id);
        for (method, params) in listening() {
            worker.tell(method, &params);
        }
        worker.tell("Runtime.evaluate", &json!({ "expression": call(SOCKET_SCRIPT, &Value::Null) }));
        worker.tell("Runtime.runIfWaitingForDebugger", &json!({}));
    }

    /// What the scripts in the page say: `{kind, value}`.
    fn told(&mut self, said: &Value) {
        let value = &said["value"];
        match said["kind"].as_str().unwrap_or_default() {
            "event" => {
                let event = self.translator.of_page(value);
                self.emit(event);
            }
            "ready" => self.scene.send_modify(|scene| scene.ready = true),
            "closed" => self.translator.close_frame(value).into_iter().for_each(|event| self.emit(event)),
            "heard" => {
                if let Some(event) = self.heard.add(value).filter(|_| self.chatty) {
                    self.log.emit(event);
                }
            }
            "sound" => {
                if let Some(recording) = &mut self.recording {
                    recording.piece(value, wall_ahead_us());
                }
            }
            "deaf" => {
                let why = value.as_str().unwrap_or_default();
                if let Some(recording) = &mut self.recording {
                    recording.fail(&format!("the page's sound cannot be recorded: {why}"));
                }
            }
            other => {
                let text = format!("{BINDING} was called by somebody else ({other:?})");
                self.log.emit(Event::BrowserConsole { level: "warning".to_owned(), text, location: String::new() });
            }
        }
    }

    fn emit(&mut self, event: Event) {
        self.scene.send_if_modified(|scene| {
            let before = scene.clone();
            scene.note(&event);
            *scene != before
        });
        let joined = matches!(event, Event::ClientJoined { .. });
        self.log.emit(event);
        if joined && let Some(opened) = self.recording.as_mut().and_then(|r| r.begin(micros(monotonic()))) {
            self.log.emit(opened);
        }
    }

    /// The answer goes on with another policy, as if a proxy in front of the server had set it. Workers follow that of their
    /// own script, not that of the page.
    fn let_through(&self, notice: &Notice) {
        let p = &notice.params;
        let session = notice.session.as_ref().map_or_else(|| self.page.clone(), |id| self.page.attached(id));
        let id = &p["requestId"];
        let (Some(policy), Some(status)) = (&self.policy, p["responseStatusCode"].as_u64()) else {
            return session.tell("Fetch.continueRequest", &json!({ "requestId": id }));
        };
        let mut headers = p["responseHeaders"].as_array().cloned().unwrap_or_default();
        headers.retain(|h| !h["name"].as_str().is_some_and(|n| n.eq_ignore_ascii_case("content-security-policy")));
        headers.push(json!({ "name": "Content-Security-Policy", "value": policy }));
        let answer = json!({ "requestId": id, "responseCode": status, "responseHeaders": headers });
        session.tell("Fetch.continueResponse", &answer);
    }
}

/// The commands after which a session tells everything that becomes events.
pub(super) fn listening() -> Vec<(&'static str, Value)> {
    let attach = json!({ "autoAttach": true, "waitForDebuggerOnStart": true, "flatten": true });
    let mut orders = vec![("Runtime.addBinding", json!({ "name": BINDING })), ("Target.setAutoAttach", attach)];
    orders.extend(["Runtime.enable", "Network.enable", "Log.enable", "Audits.enable"].map(|order| (order, json!({}))));
    orders
}

impl Scene {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others change nothing")]
    fn note(&mut self, event: &Event) {
        match event {
            Event::ClientJoined { .. } => {
                self.joins += 1;
                self.inside = true;
                self.problem = None;
            }
            Event::ClientRefused { code, reason } => self.refused = Some((code.clone(), reason.clone())),
            Event::ClientDisconnected { reason, .. } => {
                self.inside = false;
                self.problem = Some(reason.clone());
            }
            Event::ClientConnectFailed { target, reason, .. } => self.problem = Some(format!("{target}: {reason}")),
            Event::BrowserSituation { situation, sentence } if !self.inside => {
                self.problem = Some(format!("{situation}: {sentence}"));
            }
            Event::BrowserWebsocketOpening { .. } => self.sockets += 1,
            Event::BrowserWebsocketClosed { .. } => self.sockets = self.sockets.saturating_sub(1),
            _ => {}
        }
    }
}

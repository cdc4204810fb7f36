//! A browser in the hand: tabs that are told what to do one step at a time. For tests of the page; [`super::run`] is the
//! browser as a client. I/O.

use super::devtools::{self, Notice, PATIENCE, Session};
use super::files::{self, Devices};
use super::find;
use super::folder::Folder;
use super::page::Page;
use super::process::{self, Running, Way};
use serde_json::{Value, json};
use sidetone::device::{CameraSpec, MicrophoneSpec};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long the page may take for anything. Only a page that does not do it takes so long.
const SOON: Duration = Duration::from_mins(1);

/// A browser that runs, with a silent microphone and the browser's own fake camera. Dropping it ends it.
#[derive(Debug)]
pub struct Browser {
    root: Session,
    troubles: Troubles,
    running: Running,
    _folder: Folder,
}

/// How a tab looks at the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Inner size in pixels.
    pub window: (u32, u32),
    /// Prefers dark colours.
    pub dark: bool,
    /// Prefers reduced motion.
    pub still: bool,
}

/// A tab, whose storage no other tab shares.
#[derive(Clone, Debug)]
pub struct Tab {
    page: Page,
    root: Session,
    troubles: Troubles,
    target: String,
    context: String,
}

/// What no page should do, by the session of its tab: uncaught exceptions, dialogs, a crash.
#[derive(Clone, Debug, Default)]
struct Troubles(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    /// Of a worker's session, that of its tab.
    owners: BTreeMap<String, String>,
    by_tab: BTreeMap<String, Vec<String>>,
}

impl Browser {
    /// Starts the first browser that is found ([`find::find`]). `supervisor`: this program, for the browser's supervisor.
    ///
    /// # Errors
    /// Why it cannot be started or driven.
    pub async fn start(supervisor: &Path) -> Result<Self, String> {
        let executable = find::find(None).map_err(|error| error.to_string())?;
        let folder = Folder::new()?;
        let (microphone, camera) = (MicrophoneSpec::Silence, CameraSpec::None);
        files::write(folder.path(), &microphone, &camera, "tab", Duration::ZERO).map_err(|error| error.to_string())?;
        let way = Way {
            headed: false,
            deny_capture: false,
            lock_autoplay: false,
            root: nix::unistd::geteuid().is_root(),
            window: Look::default().window,
            host_name: None,
        };
        let target = "ws://127.0.0.1:1".parse().map_err(|error| format!("a loopback address: {error}"))?;
        let devices = Devices::within(folder.path(), &microphone, &camera);
        let args = process::arguments(&way, &target, &folder.path().join("profile"), &devices);
        let mut running = process::start(supervisor, &executable, args, folder.path()).await?;
        let (root, notices) = devtools::connect(&running.devtools().await?).await?;
        let troubles = Troubles::default();
        tokio::spawn(listen(root.clone(), troubles.clone(), notices));
        Ok(Self { root, troubles, running, _folder: folder })
    }

    /// Its main process.
    pub fn pid(&self) -> u32 {
        self.running.process.pid
    }

    /// Opens an empty tab in a window of its own.
    ///
    /// # Errors
    /// The browser's words.
    pub async fn tab(&self, look: Look) -> Result<Tab, String> {
        let told = |answer: &Value, field: &str| answer[field].as_str().unwrap_or_default().to_owned();
        let context = told(&order(&self.root, "Target.createBrowserContext", json!({})).await?, "browserContextId");
        let wanted = json!({ "url": "about:blank", "browserContextId": context, "newWindow": true });
        let target = told(&order(&self.root, "Target.createTarget", wanted).await?, "targetId");
        let attach = json!({ "targetId": target, "flatten": true });
        let session = told(&order(&self.root, "Target.attachToTarget", attach).await?, "sessionId");
        let page = Page { session: self.root.attached(&session) };
        let tab = Tab { page, root: self.root.clone(), troubles: self.troubles.clone(), target, context };
        for (method, params) in [("Page.enable", json!({})), ("Inspector.enable", json!({}))].into_iter().chain(heard())
        {
            tab.order(method, params).await?;
        }
        tab.look(look).await?;
        Ok(tab)
    }

    /// Asks it to end, and waits.
    pub async fn close(self) {
        self.root.tell("Browser.close", &json!({}));
        self.running.end().await;
    }
}

impl Default for Look {
    fn default() -> Self {
        Self { window: (1_280, 800), dark: false, still: false }
    }
}

impl Tab {
    /// Minimises its window, or brings it back: the page is hidden meanwhile.
    ///
    /// # Errors
    /// The browser's words.
    pub async fn hide(&self, hidden: bool) -> Result<(), String> {
        let window = order(&self.root, "Browser.getWindowForTarget", json!({ "targetId": self.target })).await?;
        let state = if hidden { "minimized" } else { "normal" };
        let bounds = json!({ "windowId": window["windowId"], "bounds": { "windowState": state } });
        order(&self.root, "Browser.setWindowBounds", bounds).await.map(drop)
    }

    /// Changes how it looks at the page, also at one that is loaded.
    ///
    /// # Errors
    /// The browser's words.
    pub async fn look(&self, look: Look) -> Result<(), String> {
        let (width, height) = look.window;
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.order("Emulation.setDeviceMetricsOverride", size).await?;
        let feature = |name: &str, value: &str| json!({ "name": name, "value": value });
        let scheme = feature("prefers-color-scheme", if look.dark { "dark" } else { "light" });
        let motion = feature("prefers-reduced-motion", if look.still { "reduce" } else { "no-preference" });
        self.order("Emulation.setEmulatedMedia", json!({ "features": [scheme, motion] })).await.map(drop)
    }

    /// A script that runs in every page of the tab before the page's own ones.
    ///
    /// # Errors
    /// The browser's words.
    pub async fn before_scripts(&self, source: &str) -> Result<(), String> {
        self.order("Page.addScriptToEvaluateOnNewDocument", json!({ "source": source })).await.map(drop)
    }

    /// Goes to a page and waits until it is complete.
    ///
    /// # Errors
    /// Why it cannot be loaded.
    pub async fn load(&self, url: &str) -> Result<(), String> {
        let answer = self.order("Page.navigate", json!({ "url": url })).await?;
        match answer["errorText"].as_str() {
            Some(reason) => Err(format!("{url}: {reason}")),
            None => self.until("document.readyState === 'complete'").await.map(drop),
        }
    }

    /// What an expression gives; a promise is awaited. It has to be JSON.
    ///
    /// # Errors
    /// The exception that it threw.
    pub async fn evaluate(&self, expression: &str) -> Result<Value, String> {
        self.page.evaluate(expression, SOON).await
    }

    /// Waits until an expression gives something that JavaScript takes for true, and gives that.
    ///
    /// # Errors
    /// It threw, or did not within a minute; says what the page was in then.
    pub async fn until(&self, expression: &str) -> Result<Value, String> {
        let looking = format!(
            "new Promise((done, fail) => {{
               const look = () => {{
                 try {{ const seen = ({expression}); if (seen) done(seen); else setTimeout(look, 10); }} catch (error) {{ fail(error); }}
               }};
               look();
             }})"
        );
        match self.page.evaluate(&looking, SOON).await {
            Ok(seen) => Ok(seen),
            Err(why) => {
                let state = "JSON.stringify({ at: location.href, ...globalThis.sidetone?.state(), text: document.body?.innerText.slice(0, 300) })";
                let state = self.page.evaluate(state, PATIENCE).await;
                Err(format!("{expression}: {why}; the page: {state:?}; troubles: {:?}", self.troubles()))
            }
        }
    }

    /// Clicks into the middle of an element, as soon as it is there, visible and not covered.
    ///
    /// # Errors
    /// What stood in the way.
    pub async fn click(&self, selector: &str) -> Result<(), String> {
        self.page.click(selector, SOON).await
    }

    /// Clicks into a field and types over what is in it.
    ///
    /// # Errors
    /// As [`Tab::click`].
    pub async fn fill(&self, selector: &str, text: &str) -> Result<(), String> {
        self.page.fill(selector, text, SOON).await
    }

    /// Presses and releases a key: a letter, `Enter`, `Escape` or `Tab`.
    ///
    /// # Errors
    /// The browser's words.
    pub async fn press(&self, key: &str) -> Result<(), String> {
        let code = if key.len() == 1 { format!("Key{}", key.to_uppercase()) } else { key.to_owned() };
        self.page.press(key, &code).await
    }

    /// A picture of the page: a PNG file.
    ///
    /// # Errors
    /// The browser's words.
    pub async fn screenshot(&self) -> Result<Vec<u8>, String> {
        self.page.screenshot().await.map(|(png, _, _)| png)
    }

    /// What happened so far in the page and its workers that never should: uncaught exceptions, dialogs, a crash.
    pub fn troubles(&self) -> Vec<String> {
        let own = self.page.session.id().unwrap_or_default();
        self.troubles.with(|kept| kept.by_tab.get(own).cloned().unwrap_or_default())
    }

    /// Closes it, with all that it stored.
    ///
    /// # Errors
    /// The browser's words.
    pub async fn close(self) -> Result<(), String> {
        order(&self.root, "Target.closeTarget", json!({ "targetId": self.target })).await?;
        order(&self.root, "Target.disposeBrowserContext", json!({ "browserContextId": self.context })).await.map(drop)
    }

    async fn order(&self, method: &str, params: Value) -> Result<Value, String> {
        order(&self.page.session, method, params).await
    }
}

async fn order(session: &Session, method: &str, params: Value) -> Result<Value, String> {
    session.call_within(method, params, SOON).await.map_err(|error| error.to_string())
}

/// The commands after which a session tells of exceptions and new workers.
fn heard() -> [(&'static str, Value); 2] {
    let attach = json!({ "autoAttach": true, "waitForDebuggerOnStart": true, "flatten": true });
    [("Target.setAutoAttach", attach), ("Runtime.enable", json!({}))]
}

async fn listen(root: Session, troubles: Troubles, mut notices: mpsc::UnboundedReceiver<Notice>) {
    while let Some(Notice { session, method, params }) = notices.recv().await {
        let Some(session) = session else { continue };
        match method.as_str() {
            "Target.attachedToTarget" => {
                let Some(worker) = params["sessionId"].as_str() else { continue };
                troubles.own(worker, &session);
                let worker = root.attached(worker);
                for (method, params) in heard() {
                    worker.tell(method, &params);
                }
                worker.tell("Runtime.runIfWaitingForDebugger", &json!({}));
            }
            "Runtime.exceptionThrown" => {
                let thrown = &params["exceptionDetails"];
                let words = thrown["exception"]["description"].as_str().or_else(|| thrown["text"].as_str());
                troubles.add(&session, format!("uncaught: {}", words.unwrap_or("an exception")));
            }
            "Page.javascriptDialogOpening" => {
                troubles.add(&session, format!("a dialog: {}", params["message"]));
                root.attached(&session).tell("Page.handleJavaScriptDialog", &json!({ "accept": true }));
            }
            "Inspector.targetCrashed" => troubles.add(&session, "the page's process crashed".to_owned()),
            _ => {}
        }
    }
}

impl Troubles {
    fn with<T>(&self, look: impl FnOnce(&mut Kept) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn own(&self, worker: &str, parent: &str) {
        self.with(|kept| {
            let owner = kept.owners.get(parent).map_or(parent, String::as_str).to_owned();
            kept.owners.insert(worker.to_owned(), owner);
        });
    }

    fn add(&self, session: &str, trouble: String) {
        self.with(|kept| {
            let owner = kept.owners.get(session).map_or(session, String::as_str).to_owned();
            kept.by_tab.entry(owner).or_default().push(trouble);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_of_a_worker_is_one_of_its_tab() {
        let troubles = Troubles::default();
        troubles.own("worker", "tab");
        troubles.own("worker of the worker", "worker");
        troubles.add("worker of the worker", "a".to_owned());
        troubles.add("tab", "b".to_owned());
        troubles.add("another", "c".to_owned());
        assert_eq!(troubles.with(|kept| kept.by_tab["tab"].clone()), ["a", "b"]);
    }
}

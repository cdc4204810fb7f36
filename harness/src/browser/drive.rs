//! The course: start, load, lobby, join, stay.

use super::devtools::{self, DevtoolsError, Session};
use super::events::Translator;
use super::files::{self, Devices};
use super::find;
use super::finish::{finish, take_screenshot};
use super::folder::Folder;
use super::obey::obey;
use super::page::{PAGE_SCRIPT, Page, SOCKET_SCRIPT, call};
use super::process::{self, Running, Way};
use super::record::{Heard, Recording};
use super::watch::{Scene, Watcher, listening};
use super::{Ended, Outcome, Setup};
use futures_util::future::{try_join, try_join_all};
use serde_json::json;
use sidetone::clock::{micros, monotonic};
use sidetone::device::{CameraSpec, MicrophoneSpec, SpeakerSpec};
use sidetone::event::Event;
use sidetone::net::dial::{self, DialError};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A picture of the call is taken so long after it began: the others' pictures and voices are there.
const SETTLED: Duration = Duration::from_secs(2);

/// A browser with its page open, and who listens to it.
#[derive(Debug)]
pub(super) struct Driven {
    pub(super) page: Page,
    pub(super) browser: Session,
    pub(super) scene: watch::Receiver<Scene>,
    pub(super) watcher: JoinHandle<Watcher>,
    pub(super) end_watching: watch::Sender<()>,
    pub(super) loaded: OnceLock<Loaded>,
    /// A picture of the call was taken.
    pub(super) pictured: AtomicBool,
    url: String,
    address: SocketAddr,
}

/// What is known at the page's load event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loaded {
    took_us: u64,
    secure_context: bool,
}

/// What is found out before the browser starts.
struct Prepared {
    executable: PathBuf,
    folder: Folder,
    recording: Option<Recording>,
    address: SocketAddr,
}

/// Drives a browser until it has reason to end. `shutdown` resolves when it is told to (a signal).
pub async fn run(setup: Setup, shutdown: impl Future<Output = &'static str>) -> Ended {
    let mut shutdown = pin!(shutdown);
    let ended = |outcome| Ended { outcome, stats: None };
    let mut prepared = match prepare(&setup).await {
        Ok(prepared) => prepared,
        Err(outcome) => return ended(outcome),
    };
    let recording = prepared.recording.take();
    let mut running = match start(&setup, &prepared).await {
        Ok(running) => running,
        Err(reason) => return ended(Outcome::NoDevice(reason)),
    };
    let opened = tokio::select! {
        opened = open(&setup, &prepared, &mut running, recording) => opened.map_err(Outcome::NoDevice),
        _ = &mut shutdown => Err(Outcome::Done),
    };
    let driven = match opened {
        Ok(driven) => driven,
        Err(outcome) => {
            running.kill().await;
            return ended(outcome);
        }
    };
    let outcome = tokio::select! {
        outcome = live(&setup, &driven) => outcome,
        () = running.process.ended() => Outcome::Lost("the browser ended".to_owned()),
        _ = &mut shutdown => Outcome::Done,
    };
    finish(&setup, driven, running, outcome).await
}

async fn prepare(setup: &Setup) -> Result<Prepared, Outcome> {
    let device = |reason: String| Outcome::NoDevice(reason);
    let executable = find::find(setup.browser.as_deref()).map_err(|error| device(error.to_string()))?;
    let recording = Recording::open(&setup.speaker).map_err(|error| device(error.to_string()))?;
    let folder = Folder::new().map_err(device)?;
    let addresses = dial::resolve(&setup.target).await.map_err(|error| Outcome::Unreachable(error.to_string()))?;
    let address = addresses.first().copied().ok_or_else(|| Outcome::Unreachable("no address".to_owned()))?;
    Ok(Prepared { executable, folder, recording, address })
}

async fn start(setup: &Setup, prepared: &Prepared) -> Result<Running, String> {
    let folder = prepared.folder.path();
    let devices = Devices::within(folder, &setup.microphone, &setup.camera);
    let way = Way {
        headed: setup.headed,
        deny_capture: setup.deny_capture,
        lock_autoplay: setup.lock_autoplay,
        root: nix::unistd::geteuid().is_root(),
        window: setup.window,
        host_name: setup.host_name.clone().map(|name| (name, prepared.address.ip())),
    };
    let args = process::arguments(&way, &setup.target, &folder.join("profile"), &devices);
    process::start(&setup.supervisor, &prepared.executable, args, folder).await
}

/// From the running process to an empty page that is listened to. Meanwhile the files of its devices are written.
async fn open(
    setup: &Setup,
    prepared: &Prepared,
    running: &mut Running,
    recording: Option<Recording>,
) -> Result<Driven, String> {
    let (folder, name, lobby) = (prepared.folder.path().to_owned(), setup.name.clone(), setup.lobby);
    let (microphone, camera) = (setup.microphone.clone(), setup.camera.clone());
    let writing = tokio::task::spawn_blocking(move || files::write(&folder, &microphone, &camera, &name, lobby));
    let silent = |error: &dyn std::fmt::Display| {
        format!(
            "{}: the browser cannot be driven: {error}; give another one with --browser",
            prepared.executable.display()
        )
    };
    let pid = running.process.pid;
    let ((browser, version), url) = tokio::join!(find::name_and_version(&prepared.executable), running.devtools());
    let (root, notices) = devtools::connect(&url?).await.map_err(|error| silent(&error))?;
    let executable = prepared.executable.display().to_string();
    setup.log.emit(Event::BrowserStarted { browser, version, executable, browser_pid: pid });

    let targets = root.call("Target.getTargets", json!({})).await.map_err(|e| silent(&e))?;
    let found = targets["targetInfos"].as_array().and_then(|all| all.iter().find(|t| t["type"] == "page"));
    let target = found.and_then(|t| t["targetId"].as_str()).ok_or_else(|| silent(&"it has no page"))?;
    let attach = json!({ "targetId": target, "flatten": true });
    let attached = root.call("Target.attachToTarget", attach).await.map_err(|e| silent(&e))?;
    let session = root.attached(attached["sessionId"].as_str().unwrap_or_default());
    let (scene, seen) = watch::channel(Scene::default());
    let watcher = Watcher {
        log: setup.log.clone(),
        page: session.clone(),
        frame: target.to_owned(),
        policy: setup.page_policy.clone(),
        chatty: setup.chatty,
        translator: Translator::new(prepared.address),
        recording,
        heard: Heard::default(),
        scene,
    };
    let (end_watching, end) = watch::channel(());
    let watcher = tokio::spawn(watcher.run(notices, end));
    let page = Page { session };
    let url = url_of(setup);
    furnish(setup, &root, &page, &url).await.map_err(|e| silent(&e))?;
    match writing.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err(silent(&"its device files could not be written")),
    }
    let (loaded, pictured, address) = (OnceLock::new(), AtomicBool::new(false), prepared.address);
    Ok(Driven { page, browser: root, scene: seen, watcher, end_watching, loaded, pictured, url, address })
}

/// Everything that has to be in place before the page is loaded. Each answer is waited for: another process renders the
/// page than the empty one, and it is given only what was done by then.
async fn furnish(setup: &Setup, root: &Session, page: &Page, url: &str) -> Result<(), DevtoolsError> {
    let mut orders = vec![("Page.enable", json!({})), ("Inspector.enable", json!({}))];
    orders.extend(listening());
    let record = matches!(setup.speaker, SpeakerSpec::Wav(_));
    let own = [call(SOCKET_SCRIPT, &json!(null)), call(PAGE_SCRIPT, &json!({ "record": record }))];
    for script in own.into_iter().chain(setup.script.clone()) {
        orders.push(("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })));
    }
    let (width, height) = setup.window;
    let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
    orders.push(("Emulation.setDeviceMetricsOverride", size));
    let scheme = if setup.dark { "dark" } else { "light" };
    let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
    orders.push(("Emulation.setEmulatedMedia", media));
    if setup.page_policy.is_some() {
        let all = json!([{ "urlPattern": "*", "requestStage": "Response" }]);
        orders.push(("Fetch.enable", json!({ "patterns": all })));
    }
    let orders = orders.into_iter().map(|(method, params)| page.session.call(method, params));
    let mut denials = Vec::new();
    if setup.deny_capture {
        let origin = url.split('?').next().unwrap_or_default().trim_end_matches('/');
        for name in ["microphone", "camera"] {
            let denied = json!({ "permission": { "name": name }, "setting": "denied", "origin": origin });
            denials.push(root.call("Browser.setPermission", denied));
        }
    }
    try_join(try_join_all(orders), try_join_all(denials)).await.map(drop)
}

/// The page's address. What a person would click away in the lobby is said by the URL.
fn url_of(setup: &Setup) -> String {
    let host = setup.host_name.as_ref().unwrap_or(&setup.target.host);
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let mut query = Vec::new();
    if setup.lock_autoplay || setup.by_link {
        query.push(format!("name={}", escaped(&setup.name)));
        query.push(format!("room={}", escaped(&setup.room)));
    }
    if setup.lock_autoplay {
        query.push("join".to_owned());
    }
    match setup.microphone {
        MicrophoneSpec::None => query.push("mic=off".to_owned()),
        // a tone is no voice: it would be taken away as noise
        _ if !setup.cleanup => query.push("cleanup=off".to_owned()),
        MicrophoneSpec::Tone(_) | MicrophoneSpec::Wav(_) | MicrophoneSpec::Silence => {}
    }
    if setup.camera == CameraSpec::None {
        query.push("camera=off".to_owned());
    }
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    format!("http://{host}:{}/{query}", setup.target.port)
}

fn escaped(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Until there is a reason to end.
async fn live(setup: &Setup, driven: &Driven) -> Outcome {
    if let Err(outcome) = enter(setup, driven).await {
        return outcome;
    }
    tokio::select! {
        outcome = stay(setup, driven) => outcome,
        never = obey(setup, &driven.page) => match never {},
    }
}

/// From the empty page to the click on `#join`.
async fn enter(setup: &Setup, driven: &Driven) -> Result<(), Outcome> {
    load(setup, driven).await?;
    let page = &driven.page;
    let failed = |reason: String| Outcome::NothingCame(format!("{}: {reason}", driven.url));
    if !seen(driven, setup.timeout, |scene| scene.ready).await? {
        let status = driven.scene.borrow().status;
        let status = status.filter(|s| *s != 200).map_or_else(String::new, |s| format!(" (HTTP status {s})"));
        return Err(failed(format!(
            "this is not Sidetone's page{status}: it has no window.sidetone; check the address"
        )));
    }
    if setup.lock_autoplay {
        return Ok(());
    }
    let typed = [("#name", &setup.name), ("#room", &setup.room)];
    for (field, text) in typed.into_iter().filter(|_| !setup.by_link) {
        page.fill(field, text, setup.timeout).await.map_err(failed)?;
    }
    // a voice filter takes steady tones for noise; who plays something into the call switches it off
    let on = "(box => !!box?.checked && box.getClientRects().length > 0)(document.querySelector('#cleanup'))";
    let filtered = page.evaluate(on, devtools::PATIENCE).await;
    if filtered.is_ok_and(|on| on == true) {
        page.click("#cleanup", setup.timeout).await.map_err(failed)?;
    }
    take_screenshot(setup, page, "lobby").await;
    tokio::time::sleep(setup.lobby).await;
    page.click("#join", setup.timeout).await.map_err(failed)
}

/// Loads the page and tells how that went.
async fn load(setup: &Setup, driven: &Driven) -> Result<(), Outcome> {
    let (page, url) = (&driven.page, &driven.url);
    let began = monotonic();
    let navigated = page.session.call_within("Page.navigate", json!({ "url": url }), setup.timeout).await;
    let reason = match navigated {
        Ok(answer) => answer["errorText"].as_str().map(str::to_owned),
        Err(error) => Some(error.to_string()),
    };
    let reason = match reason {
        None if seen(driven, setup.timeout, |scene| scene.loaded).await? => None,
        None => Some(format!("the page is not complete within {} ms", setup.timeout.as_millis())),
        reason => reason,
    };
    if let Some(reason) = reason {
        setup.log.emit(Event::BrowserPageFailed { url: url.clone(), reason: reason.clone() });
        return Err(not_loaded(driven, &reason).await);
    }
    let took_us = micros(monotonic().saturating_sub(began));
    let secure_context = page.evaluate("isSecureContext", devtools::PATIENCE).await.is_ok_and(|v| v == true);
    driven.loaded.get_or_init(|| Loaded { took_us, secure_context });
    driven.page_loaded().into_iter().for_each(|event| setup.log.emit(event));
    Ok(())
}

/// Whether it is the server, or what lies before it.
async fn not_loaded(driven: &Driven, reason: &str) -> Outcome {
    let url = &driven.url;
    match dial::connect(&[driven.address], Duration::from_secs(2), &|_: &DialError| {}).await {
        Ok(_) => Outcome::NothingCame(format!(
            "{url}: {reason}, although {} takes connections; check that a Sidetone server serves its page there",
            driven.address
        )),
        Err(error) => Outcome::Unreachable(format!("{url}: {reason}: {error}")),
    }
}

/// Waits for something to be seen of the page, at most so long.
async fn seen(driven: &Driven, patience: Duration, wanted: impl Fn(&Scene) -> bool) -> Result<bool, Outcome> {
    let mut scene = driven.scene.clone();
    let waiting = scene.wait_for(|scene| wanted(scene) || lost(scene).is_some());
    match tokio::time::timeout(patience, waiting).await {
        Ok(Ok(scene)) => lost(&scene).map_or(Ok(true), Err),
        Ok(Err(_)) => Err(Outcome::Lost("nobody listens to the browser any more".to_owned())),
        Err(_) => Ok(false),
    }
}

fn lost(scene: &Scene) -> Option<Outcome> {
    let reason = match (scene.crashed, scene.gone) {
        (true, _) => "the page's process crashed; see what the system says, for instance about memory",
        (false, true) => "the connection to the browser is gone; see what the system says of its process",
        (false, false) => return None,
    };
    Some(Outcome::Lost(reason.to_owned()))
}

/// In the room, or on the way there.
async fn stay(setup: &Setup, driven: &Driven) -> Outcome {
    let mut scene = driven.scene.clone();
    let mut outside_since = Some(monotonic());
    let mut picture_at = None;
    loop {
        let now = scene.borrow_and_update().clone();
        if let Some(lost) = lost(&now) {
            return lost;
        }
        if let Some((code, reason)) = now.refused.as_ref().filter(|(code, _)| !may_try_again(now.joins > 0, code)) {
            return Outcome::Refused(if reason.is_empty() { code.clone() } else { reason.clone() });
        }
        if now.inside {
            outside_since = None;
            picture_at = picture_at.or_else(|| Some(monotonic() + SETTLED));
        } else {
            outside_since = outside_since.or_else(|| Some(monotonic()));
        }
        let until = |at: Duration| at.saturating_sub(monotonic());
        let patience = outside_since.filter(|_| setup.once).map_or(Duration::MAX, |since| until(since + setup.timeout));
        let picture = picture_at.filter(|at| *at < Duration::MAX);
        tokio::select! {
            changed = scene.changed() => if changed.is_err() {
                return Outcome::Lost("nobody listens to the browser any more".to_owned());
            },
            () = tokio::time::sleep(picture.map_or(Duration::MAX, until)) => {
                picture_at = Some(Duration::MAX);
                driven.pictured.store(true, Ordering::Relaxed);
                take_screenshot(setup, &driven.page, "call").await;
            }
            () = tokio::time::sleep(patience) => {
                let why = now.problem.unwrap_or_else(|| format!("the page was not in the room within {} ms", setup.timeout.as_millis()));
                return if now.joins > 0 { Outcome::Lost(why) } else { Outcome::Unreachable(why) };
            }
        }
    }
}

/// As the native client sees it: a server that goes down may take us later; after a lost connection our own old session may
/// still hold the name for some seconds.
fn may_try_again(was_in: bool, code: &str) -> bool {
    match code {
        "shutting_down" => true,
        "server_full" | "name_taken" => was_in,
        _ => false,
    }
}

impl Driven {
    /// What is loaded by now. Workers and worklets come later, so it is told again at the end.
    pub(super) fn page_loaded(&self) -> Option<Event> {
        let Loaded { took_us, secure_context } = *self.loaded.get()?;
        let scene = self.scene.borrow();
        let (requests, bytes) = (scene.traffic.requests, scene.traffic.bytes);
        Some(Event::BrowserPageLoaded {
            url: self.url.clone(),
            status: scene.status,
            requests,
            bytes,
            took_us,
            secure_context,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_escaped_for_the_address() {
        assert_eq!(escaped("Ada & Bo/ä"), "Ada%20%26%20Bo%2F%C3%A4");
    }

    #[test]
    fn a_refusal_is_final_or_not_as_for_the_native_client() {
        let may = ["server_full", "name_taken", "shutting_down", "name_invalid", ""]
            .map(|c| (may_try_again(false, c), may_try_again(true, c)));
        assert_eq!(may, [(false, true), (false, true), (true, true), (false, false), (false, false)]);
    }
}

//! The browser's process: its command line, its start, its end.

use super::files::Devices;
use crate::launch::{Capture, Exit, Launch, Launcher, NoLine, Process, Stream};
use sidetone::net::dial::Target;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a browser may take until its DevTools answer.
const STARTED_WITHIN: Duration = Duration::from_secs(20);
/// How long it may take to end after it was asked to.
const ENDED_WITHIN: Duration = Duration::from_secs(3);
/// How much later than its DevTools' connection its process may be seen to end.
const TOLD_WITHIN: Duration = Duration::from_secs(1);
/// The line with the address of the DevTools.
const LISTENING: &str = "DevTools listening on ";
const ANOTHER: &str = "install chromium, or give another browser with --browser";
/// Chromium's shared memory needs this much of `/dev/shm`, in bytes; containers often have 64 MiB.
const SHARED_MEMORY: u64 = 256 << 20;

/// What of Chromium would speak to the network or wait for it.
const FEATURES_OFF: &str = "MediaRouter,DialMediaRouteProvider,OptimizationHints,Translate,AutofillServerCommunication,\
CertificateTransparencyComponentUpdater,NetworkTimeServiceQuerying,InterestFeedContentSuggestions,LensOverlay";

/// Always.
const FLAGS: &[&str] = &[
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-component-extensions-with-background-pages",
    "--disable-client-side-phishing-detection",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--disable-search-engine-choice-screen",
    "--disable-breakpad",
    "--metrics-recording-only",
    "--no-pings",
    "--no-proxy-server",
    "--password-store=basic",
    "--use-mock-keychain",
    "--use-fake-device-for-media-stream",
    "--remote-debugging-port=0",
];

/// What differs from browser to browser.
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// Runs with a window that one can see.
    pub(super) headed: bool,
    /// Microphone and camera are asked for, and not given.
    pub(super) deny_capture: bool,
    /// No sound before a click.
    pub(super) lock_autoplay: bool,
    /// The system's administrator: Chromium has no sandbox for him.
    pub(super) root: bool,
    /// Inner size in pixels.
    pub(super) window: (u32, u32),
    /// A name for the server's address.
    pub(super) host_name: Option<(String, IpAddr)>,
}

/// The arguments. Names other than the server's and the machine's own are not found, so nothing leaves for a stranger.
pub(super) fn arguments(way: &Way, target: &Target, profile: &Path, devices: &Devices) -> Vec<String> {
    let mut args: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
    args.push(format!("--disable-features={FEATURES_OFF}"));
    args.push(format!("--user-data-dir={}", profile.display()));
    args.push(format!("--window-size={},{}", way.window.0, way.window.1));
    args.push(format!("--host-resolver-rules={}", resolver_rules(way.host_name.as_ref(), &target.host)));
    args.push(format!("--use-file-for-fake-audio-capture={}", devices.microphone));
    if let Some(camera) = &devices.camera {
        args.push(format!("--use-file-for-fake-video-capture={}", camera.display()));
    }
    for (wanted, flag) in [
        (!way.headed, "--headless=new"),
        (way.root, "--no-sandbox"),
        // the policy of a desktop browser anyway; said, so that no other default comes between
        (way.lock_autoplay, "--autoplay-policy=document-user-activation-required"),
        (!way.deny_capture, "--use-fake-ui-for-media-stream"),
        (shared_memory_is_small(), "--disable-dev-shm-usage"),
    ] {
        if wanted {
            args.push(flag.to_owned());
        }
    }
    args.push("about:blank".to_owned());
    args
}

fn resolver_rules(host_name: Option<&(String, IpAddr)>, host: &str) -> String {
    let mut rules = Vec::new();
    if let Some((name, address)) = host_name {
        let address = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
        rules.push(format!("MAP {name} {address}"));
    }
    rules.push("MAP * ~NOTFOUND".to_owned());
    let mut known = vec!["localhost", "127.0.0.1", "::1", "[::1]"];
    let bracketed = format!("[{host}]");
    known.extend([host, bracketed.as_str()].iter().take(if host.contains(':') { 2 } else { 1 }));
    known.dedup();
    rules.extend(known.iter().map(|host| format!("EXCLUDE {host}")));
    rules.join(", ")
}

fn shared_memory_is_small() -> bool {
    nix::sys::statvfs::statvfs("/dev/shm").is_ok_and(|s| s.blocks_available() * s.fragment_size() < SHARED_MEMORY)
}

/// A browser that runs. Dropping it ends it and all its processes; [`Running::end`] also waits for that.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) process: Process,
    pub(super) executable: PathBuf,
}

/// Starts it. `folder`: its home, and where its output is kept.
///
/// # Errors
/// Why it cannot be started.
pub(super) async fn start(
    supervisor: &Path,
    executable: &Path,
    args: Vec<String>,
    folder: &Path,
) -> Result<Running, String> {
    let launcher = Launcher { supervisor_exe: supervisor.to_owned(), log_dir: folder.to_owned() };
    let capture = Capture { limit_bytes: 1 << 20, ..Capture::named("browser") };
    // a home of its own: no settings of the user's come in, and none are changed
    let home = folder.display().to_string();
    let mut launch = Launch { capture, ..Launch::new("browser", executable).args(args) };
    for name in ["HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"] {
        launch = launch.env(name, &home);
    }
    let path = executable.display();
    let failed = |reason: String| format!("{path}: the browser cannot be started: {reason}; {ANOTHER}");
    let process = launcher.launch(&launch).await.map_err(|error| failed(error.reason))?;
    Ok(Running { process, executable: executable.to_owned() })
}

/// The last line that a browser wrote on stderr, to quote.
async fn last_words(process: &Process) -> String {
    let mut lines = process.lines(Stream::Stderr);
    let mut last = None;
    let quick = Duration::from_millis(200);
    while let Ok(Some(line)) = tokio::time::timeout(quick, lines.next()).await {
        last = Some(line.text).filter(|t| !t.trim().is_empty()).or(last);
    }
    last.map_or_else(String::new, |text| format!(" (its last words: {})", text.trim()))
}

impl Running {
    /// Waits for its DevTools; gives their WebSocket's URL.
    ///
    /// # Errors
    /// Why there are none, with the browser's own words.
    pub(super) async fn devtools(&mut self) -> Result<String, String> {
        let listening = self.process.wait_for_line(Stream::Stderr, |l| l.contains(LISTENING), STARTED_WITHIN).await;
        let why = match listening {
            Ok(line) => return Ok(line.text.split(LISTENING).nth(1).unwrap_or_default().trim().to_owned()),
            Err(NoLine::Ended) => "ended at once".to_owned(),
            Err(NoLine::TimedOut) => format!("did not open its DevTools within {} s", STARTED_WITHIN.as_secs()),
        };
        let (path, words) = (self.executable.display(), last_words(&self.process).await);
        Err(format!("{path}: the browser {why}{words}; {ANOTHER}"))
    }

    /// Ends a browser that nobody could ask to end.
    pub(super) async fn kill(mut self) {
        drop(self.process.stop(Duration::from_millis(500)).await);
        drop(self.process.finish(ENDED_WITHIN).await);
    }

    /// Whether it still runs. `doubtful`: there is a sign that it does not, and the system may be about to tell.
    pub(super) async fn is_running(&mut self, doubtful: bool) -> bool {
        if doubtful {
            drop(tokio::time::timeout(TOLD_WITHIN, self.process.ended()).await);
        }
        self.process.is_running()
    }

    /// Waits for the end of a browser that was asked to end, and kills what is left.
    pub(super) async fn end(mut self) -> Exit {
        let exit = match self.process.wait(ENDED_WITHIN).await {
            Some(exit) => exit,
            None => self.process.stop(Duration::from_millis(500)).await,
        };
        drop(self.process.finish(ENDED_WITHIN).await); // and every descendant
        exit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way() -> Way {
        Way {
            headed: false,
            deny_capture: false,
            lock_autoplay: false,
            root: false,
            window: (1_280, 800),
            host_name: None,
        }
    }

    fn given(way: &Way, target: &str) -> Vec<String> {
        let devices = Devices { microphone: "/f/m.wav".to_owned(), camera: Some("/f/c.y4m".into()) };
        arguments(way, &target.parse().unwrap(), Path::new("/f/profile"), &devices)
    }

    fn rules(way: &Way, target: &str) -> String {
        let args = given(way, target);
        args.iter().find_map(|a| a.strip_prefix("--host-resolver-rules=")).unwrap().to_owned()
    }

    #[test]
    fn devices_are_fake_and_nothing_but_the_server_has_a_name() {
        let args = given(&way(), "ws://127.0.0.1:9");
        for flag in [
            "--headless=new",
            "--use-fake-ui-for-media-stream",
            "--use-file-for-fake-audio-capture=/f/m.wav",
            "--use-file-for-fake-video-capture=/f/c.y4m",
            "--user-data-dir=/f/profile",
            "--window-size=1280,800",
        ] {
            assert!(args.iter().any(|a| a == flag), "{flag}: {args:?}");
        }
        assert!(!args.iter().any(|a| a == "--no-sandbox" || a == "--mute-audio"));
        assert_eq!(args.last().unwrap(), "about:blank");
        assert!(rules(&way(), "ws://127.0.0.1:9").starts_with("MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"));
        assert!(rules(&way(), "ws://chat.example:9").ends_with("EXCLUDE chat.example"));
    }

    #[test]
    fn each_way_has_its_flag() {
        let strict = Way { headed: true, deny_capture: true, lock_autoplay: true, root: true, ..way() };
        let args = given(&strict, "ws://127.0.0.1:9");
        let has = |flag: &str| args.iter().any(|a| a == flag);
        assert!(has("--no-sandbox") && has("--autoplay-policy=document-user-activation-required"));
        assert!(!has("--headless=new") && !has("--use-fake-ui-for-media-stream"));
        let named =
            |address: &str| Way { host_name: Some(("chat.example".to_owned(), address.parse().unwrap())), ..way() };
        assert!(rules(&named("127.0.0.1"), "ws://127.0.0.1:9").starts_with("MAP chat.example 127.0.0.1, MAP * "));
        assert!(rules(&named("::1"), "ws://[::1]:9").starts_with("MAP chat.example [::1], MAP * "));
    }
}

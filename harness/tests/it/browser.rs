//! A real browser, driven: against a stand-in for the page, in whatever state that may be.
#![cfg(test)] // so that the lints know the helpers for test code

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sidetone::audio::meter;
use sidetone::clock::monotonic;
use sidetone::device::microphone::read_wav;
use sidetone::event::{Event, Record};
use sidetone_harness::browser::find;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::{Message, accept};

/// Long enough for a busy machine; only a failing test waits for it.
const SOON: Duration = Duration::from_mins(2);

/// Between two looks at the processes.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Whether there is a browser; says so if not. Where one is required (`SIDETONE_REQUIRE_BROWSER=1`) its lack is a failure.
fn browser_is_there() -> bool {
    match find::find(None) {
        Ok(_) => true,
        Err(error) => {
            assert_ne!(std::env::var("SIDETONE_REQUIRE_BROWSER").as_deref(), Ok("1"), "{error}");
            println!("skipped: {error}");
            false
        }
    }
}

/// How the stand-in server behaves.
#[derive(Clone, Copy)]
enum Way {
    /// Serves the page, and a WebSocket that says this first.
    Says(&'static str),
    /// Serves the page and answers the upgrade with 403.
    Refuses,
    /// Serves the page; closes the WebSocket with 1001 as soon as it is open.
    Closes,
    /// Takes connections and says nothing.
    Silent,
    /// Serves a document whose script never comes.
    HoldsScript,
    /// Has no page.
    Empty,
}

/// Serves until the test's process ends.
fn serve(way: Way) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream, way));
        }
    });
    address
}

/// Whoever asked may be gone before the answer, which is no matter.
fn answer(mut stream: TcpStream, way: Way) -> Option<()> {
    let path = asked_for(&stream)?;
    if matches!(way, Way::Silent) || matches!(way, Way::HoldsScript) && path == "/app.js" {
        drop(stream.read_to_end(&mut Vec::new()));
        return None;
    }
    if path == "/ws" && !matches!(way, Way::Refuses) {
        let mut socket = accept(stream).ok()?;
        match way {
            Way::Closes => socket.close(Some(tokio_tungstenite::tungstenite::protocol::CloseFrame {
                code: 1001.into(),
                reason: "restarting".into(),
            })),
            Way::Says(words) if !words.is_empty() => socket.send(Message::text(words)),
            Way::Says(_) | Way::Refuses | Way::Silent | Way::HoldsScript | Way::Empty => Ok(()),
        }
        .ok()?;
        while socket.read().is_ok() {}
        return None;
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/page");
    let name = if path == "/" { "/index.html" } else { path.as_str() };
    let body = fs::read(page.join(&name[1..])).ok().filter(|_| !matches!(way, Way::Empty));
    let (status, kind) = match (way, &body) {
        (Way::Refuses, _) if path == "/ws" => ("403 Forbidden", "text/plain"),
        (_, None) => ("404 Not Found", "text/plain"),
        _ if Path::new(name).extension().is_some_and(|e| e == "js") => ("200 OK", "text/javascript"),
        _ => ("200 OK", "text/html"),
    };
    let body = body.unwrap_or_else(|| b"nothing here".to_vec());
    drop(stream.read(&mut [0; 8_192])); // the request; unread, it would turn the end into a reset
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )
    .ok()?;
    stream.write_all(&body).ok()
}

/// The path of a request that is left where it is.
fn asked_for(stream: &TcpStream) -> Option<String> {
    let mut head = [0; 8_192];
    loop {
        let count = stream.peek(&mut head).ok().filter(|count| *count > 0)?;
        let text = String::from_utf8_lossy(&head[..count]);
        if text.contains("\r\n\r\n") {
            return Some(text.split([' ', '?']).nth(1)?.to_owned());
        }
        thread::yield_now();
    }
}

/// A driver that runs, with a place of its own for temporary files.
struct Driver {
    child: Child,
    lines: Receiver<String>,
    events: Vec<Event>,
    words: String,
    folder: TempDir,
    began: Duration,
}

struct Ended {
    code: Option<i32>,
    stdout: String,
    /// What is no event.
    words: String,
    events: Vec<Event>,
    folder: TempDir,
}

impl Driver {
    fn start(target: &str, args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_sidetone-harness"))
            .args(["browser", target, "--log-format", "json", "--log-level", "debug"])
            .args(args)
            .current_dir(folder.path())
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (tell, lines) = channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { child, lines, events: Vec::new(), words: String::new(), folder, began: monotonic() }
    }

    /// Takes a line; `false` at the end.
    fn take(&mut self) -> bool {
        let left = (self.began + SOON).saturating_sub(monotonic());
        let Ok(line) = self.lines.recv_timeout(left) else {
            if left.is_zero() {
                self.signal(Signal::SIGKILL);
            }
            return false;
        };
        match Record::parse(&line) {
            Ok(record) => self.events.push(record.event),
            Err(_) => self.words.extend([line.as_str(), "\n"]),
        }
        true
    }

    /// Waits for an event.
    fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            assert!(self.take(), "it did not come: {:#?}\n{}", self.events, self.words);
            if let Some(event) = self.events.last().filter(|e| wanted(e)) {
                return event.clone();
            }
        }
    }

    fn joined(&mut self) {
        self.until(|e| matches!(e, Event::ClientJoined { .. }));
    }

    /// Until enough of the tone is in the file, which may not be complete: 16-bit samples after a header of 44 bytes.
    fn records_the_microphone(&self) {
        let recorded = || -> Vec<f32> {
            let bytes = fs::read(self.folder.path().join("sound.wav")).unwrap_or_default();
            let samples = bytes.get(44..).unwrap_or_default().chunks_exact(2);
            samples.map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0).collect()
        };
        while moments_of_the_tone(&recorded()) < 5 {
            assert!(monotonic() < self.began + SOON, "the tone is not recorded");
            thread::sleep(LOOK_AGAIN * 10);
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    fn end(mut self) -> Ended {
        while self.take() {}
        let mut stdout = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        let code = self.child.wait().unwrap().code();
        assert_eq!(processes(self.folder.path()), Vec::<i32>::new(), "left behind");
        Ended { code, stdout, words: self.words, events: self.events, folder: self.folder }
    }
}

impl Ended {
    /// With this code, these words, and nothing left behind.
    fn expect(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}\n{:#?}", self.words, self.events);
        for word in words {
            assert!(self.words.contains(word), "{word:?} is not in: {}", self.words);
        }
        if code == 0 {
            assert_eq!(self.words, "");
        } else {
            assert_eq!(self.words.lines().count(), 1, "one sentence: {}", self.words);
        }
        let last = self.events.last();
        assert!(
            matches!(last, Some(Event::ClientEnded { exit_code, .. }) if i32::from(*exit_code) == code),
            "{last:?}"
        );
        let left: Vec<_> = fs::read_dir(self.folder.path()).unwrap().flatten().map(|e| e.file_name()).collect();
        assert!(!left.iter().any(|n| n.to_string_lossy().contains("sidetone-browser-")), "{left:?}");
    }

    fn has(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(wanted)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// How many tenths of a second are the microphone's tone and nothing else: a busy machine cuts the others.
fn moments_of_the_tone(sound: &[f32]) -> usize {
    let pure = |part: &&[f32]| {
        let (tone, rms) = (meter::tone_db(part, 440.0), meter::rms_db(part));
        rms > -17.0 && (tone - rms - 3.0).abs() < 0.5
    };
    sound.chunks_exact(4_800).filter(pure).count()
}

/// Processes whose command line names the folder, as a browser's does, and that are no zombies.
fn processes(folder: &Path) -> Vec<i32> {
    let folder = folder.as_os_str().as_encoded_bytes();
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.windows(folder.len()).any(|part| part == folder)
    })
    .collect()
}

/// Runs until the end that comes by itself.
fn run(target: &str, args: &[&str]) -> Ended {
    Driver::start(target, args).end()
}

#[test]
fn a_whole_call_leaves_its_sound_pictures_statistics_and_nothing_else() {
    if !browser_is_there() {
        return;
    }
    let target = format!("ws://{}", serve(Way::Says("")));
    let args = "--name Echo --room blue --mic tone:440 --video test-pattern --speaker wav:sound.wav --save-pictures pictures \
                --screenshots shots --stats json --window 900x600 --dark";
    let mut driver = Driver::start(&target, &args.split_whitespace().collect::<Vec<_>>());
    driver.joined();
    driver.until(|e| matches!(e, Event::BrowserHeard { level_db, .. } if *level_db > -20.0));
    driver.records_the_microphone();
    driver.until(|e| matches!(e, Event::BrowserScreenshot { of, .. } if of == "call"));
    driver.signal(Signal::SIGTERM);
    let ended = driver.end();
    ended.expect(0, &[]);

    let names: Vec<_> = ended.events.iter().map(Event::name).collect();
    let course = [
        "browser.started",
        "browser.page_loaded",
        "browser.screenshot",
        "browser.websocket_opening",
        "client.joined",
        "device.opened",
        "browser.heard",
        "browser.screenshot",
        "browser.websocket_closed",
        "browser.ended",
        "client.ended",
    ];
    let mut rest = names.iter();
    assert!(course.iter().all(|name| rest.any(|n| n == name)), "{names:?}");
    // the network and the page speak by sessions of their own, so that either may be heard first
    assert!(names.contains(&"browser.websocket_answered"), "{names:?}");
    assert!(ended.has(|e| matches!(e, Event::ClientJoined { name, room, .. } if name == "Echo" && room == "blue")));
    assert!(ended.has(|e| matches!(e, Event::BrowserCapture { granted: true, sample_rate: Some(44_100), .. })));
    assert!(ended.has(|e| matches!(e, Event::BrowserAudioContext { state, .. } if state == "running")));
    assert!(
        ended.has(|e| matches!(e, Event::BrowserWebsocketClosed { code: Some(1000), reason, .. } if reason == "left"))
    );
    assert!(ended.has(|e| matches!(e, Event::BrowserEnded { by_us: true, .. })));
    let console = |of: &str| ended.has(|e| matches!(e, Event::BrowserConsole { text, .. } if text == of));
    assert!(console("joining Echo 7 Object") && console("worker starts"), "the page and its worker are heard");
    let all: u64 = ["index.html", "app.js", "worker.js"]
        .map(|f| fs::metadata(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/page").join(f)).unwrap().len())
        .iter()
        .sum();
    let loaded = |bytes: u64| (all..all + 1_500).contains(&bytes);
    let last = ended.events.iter().rfind(|e| matches!(e, Event::BrowserPageLoaded { .. }));
    assert!(
        matches!(last, Some(Event::BrowserPageLoaded { bytes, status: Some(200), secure_context: true, .. }) if loaded(*bytes)),
        "{last:?} {all}"
    );

    // the microphone's file through the page into the recording
    let sound = read_wav(&ended.path("sound.wav")).unwrap();
    assert!(moments_of_the_tone(&sound) >= 5, "{} samples", sound.len());
    let stats: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&stats["sidetone"]["state"], &stats["sidetone"]["video"]["width"]), (&"joined".into(), &320.into()));
    assert_eq!(fs::read(ended.path("pictures/Bo____x.jpg")).unwrap(), [0xff, 0xd8, 0xff]);
    for of in ["lobby", "call", "end"] {
        let png = image::open(ended.path(&format!("shots/Echo.{of}.png"))).unwrap();
        assert_eq!((png.width(), png.height()), (900, 600));
    }
}

#[test]
fn a_made_up_name_is_no_secure_context_and_devices_can_be_denied() {
    if !browser_is_there() {
        return;
    }
    let address = serve(Way::Says(""));
    let mut denied = Driver::start(&format!("ws://{address}"), &["--mic", "silence", "--deny-capture"]);
    let capture = denied.until(|e| matches!(e, Event::BrowserCapture { .. }));
    assert!(
        matches!(capture, Event::BrowserCapture { granted: false, error: Some(error), .. } if error == "NotAllowedError")
    );
    denied.until(|e| matches!(e, Event::BrowserSituation { situation, .. } if situation == "permission-denied"));
    denied.signal(Signal::SIGINT);
    denied.end().expect(0, &[]);

    let mut named = Driver::start(&format!("http://{address}/"), &["--host-name", "chat.example"]);
    let loaded = named.until(|e| matches!(e, Event::BrowserPageLoaded { .. }));
    let expected = format!("http://chat.example:{}/?mic=off&camera=off", address.port());
    assert!(matches!(loaded, Event::BrowserPageLoaded { url, secure_context: false, .. } if url == expected));
    named.joined();
    named.signal(Signal::SIGTERM);
    named.end().expect(0, &[]);
}

#[test]
fn without_a_click_there_is_no_sound() {
    if !browser_is_there() {
        return;
    }
    let target = format!("ws://{}", serve(Way::Says("")));
    let mut driver = Driver::start(&target, &["--lock-autoplay", "--name", "Ada B", "--room", "a&b"]);
    driver.until(|e| matches!(e, Event::BrowserAudioContext { state, .. } if state == "suspended"));
    let joined = driver.until(|e| matches!(e, Event::ClientJoined { .. }));
    assert!(matches!(joined, Event::ClientJoined { name, room, .. } if name == "Ada B" && room == "a&b"));
    driver.signal(Signal::SIGTERM);
    driver.end().expect(0, &[]);
}

#[test]
fn a_policy_in_front_of_the_page_is_told() {
    if !browser_is_there() {
        return;
    }
    let target = format!("ws://{}", serve(Way::Says("")));
    let policy = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'none'";
    let ended = run(&target, &["--once", "--timeout", "10s", "--page-policy", policy]);
    ended.expect(4, &["was not in the room within 10000 ms"]);
    assert!(ended.has(|e| matches!(e, Event::BrowserPolicyViolation { directive, .. } if directive == "connect-src")));
}

#[test]
fn an_upgrade_that_is_refused_is_told() {
    if !browser_is_there() {
        return;
    }
    let ended = run(&format!("ws://{}", serve(Way::Refuses)), &["--once", "--timeout", "10s"]);
    ended.expect(4, &["no WebSocket"]);
    assert!(
        ended.has(|e| matches!(e, Event::BrowserWebsocketFailed { error, .. } if error.contains("403"))),
        "{:#?}",
        ended.events
    );
    assert!(ended.has(|e| matches!(e, Event::ClientConnectFailed { address: Some(_), .. })));
}

#[test]
fn a_refused_name_and_a_lost_connection_have_their_codes() {
    if !browser_is_there() {
        return;
    }
    let refused = run(&format!("ws://{}", serve(Way::Says("refuse"))), &[]);
    refused.expect(5, &["that is no name; choose another"]);
    let lost = run(&format!("ws://{}", serve(Way::Closes)), &["--once", "--timeout", "10s"]);
    lost.expect(7, &["gone"]);
    let closed = |e: &Event| matches!(e, Event::BrowserWebsocketClosed { code: Some(1001), reason, .. } if reason == "restarting");
    assert!(lost.has(closed), "{:#?}", lost.events);
}

#[test]
fn what_is_no_page_of_ours_is_told_in_bounded_time() {
    if !browser_is_there() {
        return;
    }
    // long enough for a page to come on a busy machine
    let patience = ["--timeout", "8s"];
    run(&format!("ws://{}", serve(Way::Silent)), &patience).expect(6, &["although", "takes connections; check that"]);
    run(&format!("ws://{}", serve(Way::Empty)), &patience).expect(6, &["not Sidetone's page", "404"]);
    let held = run(&format!("ws://{}", serve(Way::HoldsScript)), &patience);
    held.expect(6, &["the page is not complete within 8000 ms"]);
    assert!(held.has(|e| matches!(e, Event::BrowserPageFailed { .. })));
    // a port that is bound, so that nobody else takes it, and does not listen
    let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    bound.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let dead = bound.local_addr().unwrap().as_socket().unwrap();
    let ended = run(&format!("ws://{dead}"), &patience);
    ended.expect(4, &["ERR_CONNECTION_REFUSED", &format!("{dead} refused the connection: nothing listens there")]);
}

#[test]
fn dialogs_and_exceptions_are_told_and_stop_nothing() {
    if !browser_is_there() {
        return;
    }
    let script = "alert('Hello'); setTimeout(() => { throw new Error('lost my way'); });";
    let mut driver = Driver::start(&format!("ws://{}", serve(Way::Says(script))), &["--stats", "json"]);
    driver.until(|e| matches!(e, Event::BrowserConsole { text, .. } if text == "[alert] Hello"));
    let thrown = driver.until(|e| matches!(e, Event::BrowserException { .. }));
    assert!(matches!(thrown, Event::BrowserException { text, .. } if text.contains("Error: lost my way")));
    driver.signal(Signal::SIGTERM);
    let ended = driver.end();
    ended.expect(0, &[]);
    assert!(ended.stdout.starts_with('{') && ended.stdout.lines().count() == 1);
}

/// The process that the browser's own event names.
fn browser_pid(driver: &mut Driver) -> Pid {
    let started = driver.until(|e| matches!(e, Event::BrowserStarted { .. }));
    let Event::BrowserStarted { browser_pid, .. } = started else { unreachable!() };
    Pid::from_raw(i32::try_from(browser_pid).unwrap())
}

#[test]
fn a_browser_that_is_killed_or_frozen_is_told_in_bounded_time() {
    if !browser_is_there() {
        return;
    }
    let target = format!("ws://{}", serve(Way::Says("")));
    let mut driver = Driver::start(&target, &["--stats", "json"]);
    let pid = browser_pid(&mut driver);
    driver.joined();
    kill(pid, Signal::SIGKILL).unwrap();
    let ended = driver.end();
    ended.expect(7, &["the browser ended by itself (signal 9)"]);
    assert!(ended.has(|e| matches!(e, Event::BrowserEnded { by_us: false, .. })));

    let mut driver = Driver::start(&target, &["--stats", "json"]);
    let pid = browser_pid(&mut driver);
    driver.joined();
    kill(pid, Signal::SIGSTOP).unwrap();
    driver.signal(Signal::SIGTERM);
    driver.end().expect(7, &["within 3 s", "stopped or starved"]);
}

#[test]
fn a_driver_that_is_killed_takes_its_browser_along() {
    if !browser_is_there() {
        return;
    }
    let mut driver = Driver::start(&format!("ws://{}", serve(Way::Says(""))), &[]);
    driver.joined();
    assert!(!processes(driver.folder.path()).is_empty());
    driver.signal(Signal::SIGKILL);
    driver.child.wait().unwrap();
    let began = monotonic();
    // polls: the kernel tells nobody but the parent when a process ends
    while !processes(driver.folder.path()).is_empty() {
        assert!(monotonic() < began + SOON, "{:?}", processes(driver.folder.path()));
        thread::sleep(LOOK_AGAIN);
    }
}

/// A program in the place of a browser.
fn script(folder: &Path, text: &str) -> String {
    let path = folder.join("browser");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[test]
fn what_is_no_browser_is_named_with_its_remedy() {
    let target = "ws://127.0.0.1:9";
    run(target, &["--browser", "/no/such"]).expect(8, &["/no/such (from --browser)", "install chromium"]);
    let folder = tempfile::tempdir().unwrap();
    let fails = script(folder.path(), "echo 'no display' >&2; exit 1");
    run(target, &["--browser", &fails]).expect(8, &["ended at once", "no display", "give another browser"]);
    let lies = script(folder.path(), "echo 'DevTools listening on ws://127.0.0.1:1/x' >&2; exec sleep 600");
    run(target, &["--browser", &lies]).expect(8, &[&lies, "cannot be driven"]);
    let sound = run(target, &["--speaker", "wav:/no/such/folder/x.wav", "--browser", &lies]);
    sound.expect(8, &["/no/such/folder/x.wav"]);

    let waits = script(folder.path(), "sleep 600");
    let driver = Driver::start(target, &["--browser", &waits]);
    let began = monotonic();
    while processes(driver.folder.path()).len() < 2 {
        assert!(monotonic() < began + SOON);
        thread::sleep(LOOK_AGAIN);
    }
    driver.signal(Signal::SIGTERM);
    driver.end().expect(0, &[]);
}

#[test]
fn wrong_usage_is_told_before_anything_starts() {
    for (args, words) in [
        (&["tcp://h:7460"][..], "speaks no tcp://"),
        (&["ws://h:9", "--name", ""], "1 to 32 characters"),
        (&["ws://h:9", "--window", "9x9"], "390x844"),
        (&["ws://h:9", "--mic", "mp3:x"], "tone:HZ"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_sidetone-harness")).arg("browser").args(args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && text.contains(words), "{text}");
    }
}

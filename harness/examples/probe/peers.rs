//! Programs that people use today, and how long they take to say what.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Who has not ended by then is still waiting.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What a program did.
#[derive(Clone, Debug)]
pub(crate) struct Did {
    /// `None`: it was still waiting.
    pub(crate) code: Option<i32>,
    pub(crate) took: Duration,
    /// The line that says most.
    pub(crate) words: String,
    /// All of its output.
    pub(crate) output: String,
    /// Largest resident size that was seen, in bytes.
    pub(crate) peak: u64,
}

/// Runs a command to its end or until the patience is over.
pub(crate) fn run(program: &Path, args: &[String], environment: &[(&str, String)]) -> Option<Did> {
    let began = Instant::now();
    let mut child = Command::new(program)
        .args(args)
        .envs(environment.iter().map(|(name, value)| (*name, value.as_str())))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let (mut out, mut err) = (child.stdout.take()?, child.stderr.take()?);
    let reading = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        out.read_to_end(&mut bytes).map(|_| bytes).unwrap_or_default()
    });
    let reading_errors = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        err.read_to_end(&mut bytes).map(|_| bytes).unwrap_or_default()
    });
    let many = args.iter().any(|arg| arg == "--targets");
    let patience = if many { 10 * PATIENCE } else { PATIENCE };
    let mut peak = 0;
    let code = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status.code(),
            Ok(None) if began.elapsed() < patience => peak = peak.max(resident(child.id())),
            _ => {
                drop(child.kill());
                drop(child.wait());
                break None;
            }
        }
        std::thread::sleep(Duration::from_micros(300));
    };
    let took = began.elapsed();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let out = text(reading.join().ok()?);
    let errors = text(reading_errors.join().ok()?);
    // a traceback of Python says last what it means, everybody else says it first
    let said = |text: &str| {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let line = if text.starts_with("Traceback") { lines.next_back() } else { lines.next() };
        line.map(str::to_owned)
    };
    let words = said(&errors).or_else(|| said(&out)).unwrap_or_default();
    Some(Did { code, took, words, output: out, peak })
}

fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) << 10
}

/// A program on PATH or in `folder`.
pub(crate) fn find(name: &str, folder: Option<&Path>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = folder.map(Path::to_owned).into_iter().chain(std::env::split_paths(&path));
    places.map(|place| place.join(name)).find(|path| path.is_file())
}

/// The arguments for a URL, an origin and a file of authorities.
type Arguments = fn(url: &str, origin: Option<&str>, ca: &str) -> Vec<String>;

/// Another program, and its arguments for a URL.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) args: Arguments,
}

const PYTHON: &str = "
import asyncio, ssl, sys, websockets
async def main(url, origin, ca):
    context = ssl.create_default_context(cafile=ca) if url.startswith('wss') else None
    async with websockets.connect(url, origin=origin or None, ssl=context) as ws:
        await ws.ping()
asyncio.run(main(*sys.argv[1:]))
";

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn curl(url: &str, origin: Option<&str>, ca: &str) -> Vec<String> {
    let url = url.replacen("ws", "http", 1);
    let origin = format!("Origin: {}", origin.unwrap_or_default());
    owned(&[
        "-sS",
        "-i",
        "-N",
        "--cacert",
        ca,
        "-H",
        "Connection: Upgrade",
        "-H",
        "Upgrade: websocket",
        "-H",
        "Sec-WebSocket-Version: 13",
        "-H",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "-H",
        &origin,
        &url,
    ])
}

fn websocat(url: &str, origin: Option<&str>, _: &str) -> Vec<String> {
    let origin = format!("--origin={}", origin.unwrap_or("http://localhost"));
    owned(&["-1", "-t", &origin, url])
}

fn python(url: &str, origin: Option<&str>, ca: &str) -> Vec<String> {
    owned(&["-c", PYTHON, url, origin.unwrap_or_default(), ca])
}

fn nc(url: &str, _: Option<&str>, _: &str) -> Vec<String> {
    let authority = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let (host, port) = authority.split_once(':').unwrap_or((authority, "80"));
    owned(&["-v", "-z", "-w", "3", host, port])
}

/// Those that are installed.
pub(crate) fn peers(folder: Option<&Path>) -> Vec<Peer> {
    let bin = folder.map(|folder| folder.join("bin"));
    let venv = folder.map(|folder| folder.join("python/bin"));
    let all: [(&'static str, Option<PathBuf>, Arguments); 4] = [
        ("websocat", find("websocat", bin.as_deref()), websocat),
        ("curl", find("curl", None), curl),
        ("python", venv.and_then(|venv| find("python", Some(&venv))), python),
        ("nc", find("nc", None), nc),
    ];
    all.into_iter().filter_map(|(name, program, args)| Some(Peer { name, program: program?, args })).collect()
}

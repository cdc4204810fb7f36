//! What the tests of whole runs share: a folder of their own, the binaries, and proof that nothing is left behind.
#![cfg(test)] // so that the lints know the helpers for test code

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Long enough for a busy machine; only a failing test waits for it.
pub(crate) const SOON: Duration = Duration::from_mins(2);
/// The same for whatever a run started to be gone; shorter than the minute after which sleepers and calls end by themselves.
const GONE: Duration = Duration::from_secs(30);
const MARKER: &str = "SIDETONE_TEST_PLACE";

/// `sidetone-harness`.
pub(crate) fn harness() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_sidetone-harness"))
}

/// The shipped binary, beside the harness.
pub(crate) fn sidetone() -> PathBuf {
    let path = harness().with_file_name("sidetone");
    assert!(path.is_file(), "{} is missing: run `make test`, or `cargo build` first", path.display());
    path
}

/// The binary with the server's test-only misbehaviour.
pub(crate) fn saboteur() -> PathBuf {
    let path = root().join("target/sabotage/sidetone");
    assert!(path.is_file(), "{} is missing: run `make test`, or `make sabotage` first", path.display());
    path
}

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The shipped scenario, for tests that run it with a change.
pub(crate) fn call_toml() -> String {
    std::fs::read_to_string(root().join("fixtures/scenarios/call.toml")).unwrap()
}

/// A folder of one test. At its end nothing that was started from it may run.
pub(crate) struct Place {
    folder: TempDir,
}

/// What a finished harness leaves.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        sidetone();
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Writes a file and gives its path as an argument.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.join(name), text).unwrap();
        self.arg(name)
    }

    /// An executable script as an argument.
    pub(crate) fn script(&self, name: &str, body: &str) -> String {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.write(name, &format!("#!/bin/sh\n{body}\n"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    pub(crate) fn arg(&self, name: &str) -> String {
        self.join(name).to_str().unwrap().to_owned()
    }

    /// Prepares any command so that what it starts can be found again.
    pub(crate) fn prepare(&self, command: &mut Command) {
        command.current_dir(self.path()).env(MARKER, self.path()).env_remove("CLICOLOR_FORCE");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    }

    /// `sidetone-harness ARGS`, in this folder.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(harness());
        command.args(args);
        self.prepare(&mut command);
        command
    }

    /// Runs it to its end.
    pub(crate) async fn harness(&self, args: &[&str]) -> Ended {
        self.end(self.command(args).spawn().unwrap()).await
    }

    /// `sidetone-harness run --out out ARGS`.
    pub(crate) async fn run(&self, args: &[&str]) -> Ended {
        self.harness(&[&["run", "--out", "out"], args].concat()).await
    }

    pub(crate) async fn end(&self, child: Child) -> Ended {
        let ended = tokio::time::timeout(SOON, child.wait_with_output()).await;
        let ended = Ended::from(ended.expect("the harness did not end").unwrap());
        self.nothing_left().await;
        ended
    }

    /// Fails unless all that was started from here is soon gone.
    pub(crate) async fn nothing_left(&self) {
        let gone = async {
            while !self.left().is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let in_time = tokio::time::timeout(GONE, gone).await.is_ok();
        assert!(in_time, "still there: {:?}", self.left());
    }

    /// Processes that were started from here, by their environment or their command line; zombies have neither.
    pub(crate) fn left(&self) -> Vec<String> {
        let mark = self.path().to_str().unwrap().as_bytes();
        let holds = |bytes: &[u8]| bytes.windows(mark.len()).any(|w| w == mark);
        let mut left = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
            let number = entry.file_name().to_str().is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
            if number && (holds(&read("environ")) || holds(&read("cmdline"))) {
                left.push(format!("{:?} {}", entry.file_name(), String::from_utf8_lossy(&read("cmdline"))));
            }
        }
        left
    }

    /// `out/latest/NAME`.
    pub(crate) fn latest(&self, name: &str) -> PathBuf {
        self.join("out/latest").join(name)
    }

    /// Text of `out/latest/NAME`.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.latest(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// The JSON report of the newest run.
    pub(crate) fn report(&self) -> Value {
        json(&self.read("report.json"))
    }
}

pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// The elements of an array of objects.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no array"))
}

/// The outcome of a check in the first scenario of a report.
pub(crate) fn check<'a>(report: &'a Value, id: &str) -> &'a Value {
    let checks = list(&report["reports"][0]["checks"]);
    checks.iter().find(|c| c["id"] == id).unwrap_or_else(|| panic!("no check {id} in {checks:#?}"))
}

/// Ids of all checks with a status.
pub(crate) fn ids<'a>(report: &'a Value, status: &str) -> Vec<&'a str> {
    let checks = list(&report["reports"][0]["checks"]).iter().filter(|c| c["status"] == status);
    checks.map(|c| c["id"].as_str().unwrap()).collect()
}

/// Codes of all findings in the first scenario of a report.
pub(crate) fn causes(report: &Value) -> Vec<&str> {
    list(&report["reports"][0]["findings"]).iter().map(|f| f["cause"].as_str().unwrap()).collect()
}

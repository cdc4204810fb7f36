//! Programs under a supervisor, with their output captured; what the system says about processes. I/O.
//!
//! [`Launcher::launch`] starts a program as a child of [`crate::supervise`], one supervisor each, and gives a [`Process`].
//! Whatever becomes of the harness, the program and its descendants do not outlive it.
//!
//! * [`process`]: signals, waiting, stopping;
//! * [`capture`]: standard output and error: byte for byte into files, line by line to whoever listens;
//! * [`logs`]: reads captured files back;
//! * [`resources`]: memory, descriptors, threads, state, command line and age of processes, processor pressure, port ranges,
//!   descendants, core files;
//! * [`scheduling`]: who waits for a processor and who is stopped, all through a run.

pub mod capture;
pub mod logs;
pub mod process;
#[cfg(target_os = "linux")]
pub mod resources;
#[cfg(not(target_os = "linux"))]
#[path = "resources_elsewhere.rs"]
pub mod resources;
pub mod scheduling;

pub use crate::supervise::Restrict;
pub use capture::{Captured, Line, Lines, NoLine, Stream};
pub use logs::read_log;
pub use process::{Exit, Finished, Process};

use crate::supervise::Report;
use process::Control;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;

/// Where captured output goes and how much of it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// File of standard output, inside the launcher's `log_dir`.
    pub stdout: String,
    /// File of standard error, inside the launcher's `log_dir`.
    pub stderr: String,
    /// Most bytes of each file; what comes after is counted and dropped.
    pub limit_bytes: u64,
}

impl Capture {
    /// Most bytes of a captured file unless told otherwise.
    pub const LIMIT_BYTES: u64 = 256 << 20;

    /// `NAME.stdout.txt` and `NAME.stderr.jsonl`.
    pub fn named(name: &str) -> Self {
        let limit_bytes = Self::LIMIT_BYTES;
        Self { stdout: format!("{name}.stdout.txt"), stderr: format!("{name}.stderr.jsonl"), limit_bytes }
    }
}

/// A program to start.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Short name for reports, for instance `server`.
    pub name: String,
    /// The program; without a slash it is looked for on `PATH`.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables added to the harness's own environment.
    pub env: Vec<(String, String)>,
    /// Where its output goes.
    pub capture: Capture,
    /// What it shall not have.
    pub restrict: Restrict,
}

impl Launch {
    /// A program without arguments, captured under its name.
    pub fn new(name: &str, program: impl Into<PathBuf>) -> Self {
        let capture = Capture::named(name);
        let (args, env, restrict) = (Vec::new(), Vec::new(), Restrict::default());
        Self { name: name.to_owned(), program: program.into(), args, env, capture, restrict }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The command line for people, invalid UTF-8 replaced.
    pub fn command(&self) -> Vec<String> {
        let program = std::iter::once(self.program.as_os_str());
        program.chain(self.args.iter().map(OsString::as_os_str)).map(|a| a.to_string_lossy().into_owned()).collect()
    }
}

/// A program that could not be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot start {}: {reason}", command.join(" "))]
pub struct SpawnFailed {
    /// The system's error number, for instance 2 (`ENOENT`).
    pub errno: Option<i32>,
    /// For people.
    pub reason: String,
    /// What was to be started.
    pub command: Vec<String>,
}

/// Starts programs.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// The `sidetone-harness` binary, for its hidden `supervise`.
    pub supervisor_exe: PathBuf,
    /// Folder of the captured output. It must exist.
    pub log_dir: PathBuf,
}

impl Launcher {
    /// Starts a program. It takes a few milliseconds: two exec calls.
    ///
    /// # Errors
    /// [`SpawnFailed`] with the errno of the program's exec, or of the supervisor's (its reason says so). A log file that
    /// cannot be written is no such error: see [`Captured::write_error`].
    pub async fn launch(&self, launch: &Launch) -> Result<Process, SpawnFailed> {
        let command = launch.command();
        let surroundings = |e: std::io::Error| SpawnFailed {
            errno: e.raw_os_error(),
            reason: format!("supervisor {}: {e}", self.supervisor_exe.display()),
            command: command.clone(),
        };
        let (ours, theirs) = UnixStream::pair().map_err(surroundings)?;
        let (stdout, child_stdout) = std::io::pipe().map_err(surroundings)?;
        let (stderr, child_stderr) = std::io::pipe().map_err(surroundings)?;
        let supervisor = tokio::process::Command::new(&self.supervisor_exe)
            .arg("supervise")
            .args(launch.restrict.arguments())
            .arg("--")
            .arg(&launch.program)
            .args(&launch.args)
            .envs(launch.env.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(child_stdout))
            .stderr(Stdio::from(child_stderr))
            .spawn()
            .map_err(surroundings)?;
        let (mut control, first) = Control::open(ours, supervisor).await.map_err(surroundings)?;
        match first {
            Report::Spawned { pid, monotonic_ns } => {
                control.running();
                let limit = launch.capture.limit_bytes;
                let path = |file: &str| self.log_dir.join(file);
                let stdout = capture::start(stdout, &path(&launch.capture.stdout), limit).map_err(surroundings)?;
                let stderr = capture::start(stderr, &path(&launch.capture.stderr), limit).map_err(surroundings)?;
                let (name, started_monotonic_ns) = (launch.name.clone(), monotonic_ns);
                Ok(Process { name, pid, command, started_monotonic_ns, control, stdout, stderr })
            }
            Report::SpawnFailed { errno, reason } => Err(SpawnFailed { errno, reason, command }),
            Report::Exited { .. } => Err(surroundings(std::io::Error::other("it spoke out of turn"))),
        }
    }
}

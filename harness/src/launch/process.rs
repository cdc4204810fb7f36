//! A running program: signals, waiting, stopping.

use super::capture::{Captured, Line, Lines, NoLine, Running, Stream};
use crate::clock::monotonic_ns;
use crate::supervise::{Order, Report};
use nix::sys::signal::Signal;
use std::io::{self, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use tokio::sync::watch;
use tokio::time::timeout;

/// How long the supervisor may take to say that the program runs.
const SPAWN_WITHIN: Duration = Duration::from_secs(10);
/// How long a program may take to be gone after SIGKILL.
const KILLED_WITHIN: Duration = Duration::from_secs(5);

/// How a program ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// Exit code, if it ended by itself.
    pub code: Option<i32>,
    /// Signal, if one ended it.
    pub signal: Option<i32>,
    /// Whether the kernel wrote a core.
    pub core_dumped: bool,
    /// Descendants that outlived it; they were killed.
    pub orphans: Vec<u32>,
    /// `CLOCK_MONOTONIC` in nanoseconds when it was reaped; 0: nobody saw it.
    pub monotonic_ns: u64,
    /// Whether [`Process::stop`] had to kill it because it was alive after the grace.
    pub forced: bool,
    /// Why nobody knows how it ended, for instance because its supervisor was killed.
    pub lost: Option<String>,
}

/// What [`Process::finish`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Standard output.
    pub stdout: Captured,
    /// Standard error.
    pub stderr: Captured,
    /// Whether the supervisor has ended, and so every descendant is gone.
    pub gone: bool,
}

/// A running (or ended) program. Dropping it ends the program and its descendants: SIGTERM, SIGKILL after half a second.
#[derive(Debug)]
pub struct Process {
    /// Short name for reports.
    pub name: String,
    /// Process id of the program itself.
    pub pid: u32,
    /// Its command line.
    pub command: Vec<String>,
    /// `CLOCK_MONOTONIC` in nanoseconds just before it was started.
    pub started_monotonic_ns: u64,
    pub(super) control: Control,
    pub(super) stdout: Running,
    pub(super) stderr: Running,
}

impl Process {
    /// Sends a signal to the program alone. An ended program is not signalled; that is no error.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.control.order(Order::Signal { number: signal as i32 })
    }

    /// Waits for the end of the program; `None`: it still runs after `within`. Its orphans may be dying still, see
    /// [`Process::finish`].
    pub async fn wait(&mut self, within: Duration) -> Option<Exit> {
        let ended = self.control.status.wait_for(Option::is_some);
        match timeout(within, ended).await {
            Ok(Ok(exit)) => exit.clone(),
            Ok(Err(_)) => Some(lost("the harness's runtime ended")),
            Err(_) => None,
        }
    }

    /// Resolves when the program has ended.
    pub async fn ended(&self) {
        // an error means that the runtime ends, and then nobody waits
        drop(self.control.status.clone().wait_for(Option::is_some).await);
    }

    /// Asks the program to end (SIGTERM), and kills its group if it still runs after `grace` ([`Exit::forced`]).
    pub async fn stop(&mut self, grace: Duration) -> Exit {
        // An order can fail only if the supervisor is gone, and then `wait` says so.
        drop(self.signal(Signal::SIGTERM));
        if let Some(exit) = self.wait(grace).await {
            return exit;
        }
        let killed_at = monotonic_ns();
        drop(self.control.order(Order::KillGroup {}));
        let mut exit = self.wait(KILLED_WITHIN).await.unwrap_or_else(|| lost("still there after SIGKILL"));
        // It may have ended in time and been reported late, because its orphans were looked at.
        exit.forced = exit.lost.is_some() || exit.monotonic_ns >= killed_at;
        exit
    }

    /// Whether the program has not ended yet.
    pub fn is_running(&self) -> bool {
        self.control.status.borrow().is_none()
    }

    /// The lines of a stream, from the oldest that is still kept.
    pub fn lines(&self, stream: Stream) -> Lines {
        match stream {
            Stream::Stdout => self.stdout.lines(),
            Stream::Stderr => self.stderr.lines(),
        }
    }

    /// The first line that satisfies `wanted`, among those already printed and those that come `within`.
    ///
    /// # Errors
    /// [`NoLine`]: too late, or the stream ended without such a line.
    pub async fn wait_for_line(
        &self,
        stream: Stream,
        mut wanted: impl FnMut(&str) -> bool,
        within: Duration,
    ) -> Result<Line, NoLine> {
        let mut lines = self.lines(stream);
        let found = async {
            while let Some(line) = lines.next().await {
                if wanted(&line.text) {
                    return Ok(line);
                }
            }
            Err(NoLine::Ended)
        };
        timeout(within, found).await.unwrap_or(Err(NoLine::TimedOut))
    }

    /// Waits until the output is read to its end, the files are written and every descendant is gone, at most `within`.
    /// A program that still runs then is ended as by drop.
    pub async fn finish(mut self, within: Duration) -> Finished {
        // One deadline for the three: each takes the time that the others leave.
        let (stdout, stderr) = (&mut self.stdout, &mut self.stderr);
        let supervisor = &mut self.control.supervisor;
        let gone = async { timeout(within, supervisor.wait()).await.is_ok_and(|waited| waited.is_ok()) };
        let (stdout, stderr, gone) = tokio::join!(stdout.finish(within), stderr.finish(within), gone);
        Finished { stdout, stderr, gone }
    }
}

/// The harness's end of the socket pair.
#[derive(Debug)]
pub(super) struct Control {
    lifeline: UnixStream,
    supervisor: Child,
    reports: Option<Reports>,
    status: watch::Receiver<Option<Exit>>,
    tell: Option<watch::Sender<Option<Exit>>>,
}

type Reports = tokio::io::Lines<BufReader<tokio::net::UnixStream>>;

impl Control {
    /// Waits for the supervisor's first report.
    pub(super) async fn open(lifeline: UnixStream, supervisor: Child) -> io::Result<(Self, Report)> {
        lifeline.set_nonblocking(true)?;
        let socket = tokio::net::UnixStream::from_std(lifeline.try_clone()?)?;
        let mut reports = BufReader::new(socket).lines();
        let (tell, status) = watch::channel(None);
        let mut control = Self { lifeline, supervisor, reports: None, status, tell: Some(tell) };
        let first = timeout(SPAWN_WITHIN, reports.next_line()).await;
        let line = first.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let line = line.ok_or_else(|| io::Error::other("it ended before it started the program"))?;
        control.reports = Some(reports);
        Ok((control, serde_json::from_str(&line)?))
    }

    /// Starts to listen for the program's end.
    pub(super) fn running(&mut self) {
        if let (Some(reports), Some(tell)) = (self.reports.take(), self.tell.take()) {
            tokio::spawn(listen(reports, tell));
        }
    }

    /// The socket's buffer holds thousands of orders, so this does not block and `WouldBlock` is a real error.
    fn order(&self, order: Order) -> io::Result<()> {
        let mut line = serde_json::to_vec(&order)?;
        line.push(b'\n');
        let written = (&self.lifeline).write_all(&line);
        // The supervisor is gone because the program is.
        if self.status.borrow().is_some() { Ok(()) } else { written }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // The listening task holds the socket too; a shutdown does not wait for it. It fails only if the other end is gone.
        drop(self.lifeline.shutdown(Shutdown::Both));
    }
}

async fn listen(mut reports: Reports, tell: watch::Sender<Option<Exit>>) {
    let exit = loop {
        let line = match reports.next_line().await {
            Ok(Some(line)) => line,
            Ok(None) => break lost("its supervisor ended without a word"),
            Err(error) => break lost(&format!("its supervisor cannot be heard: {error}")),
        };
        if let Ok(Report::Exited { code, signal, core, orphans, monotonic_ns }) = serde_json::from_str(&line) {
            let core_dumped = core;
            break Exit { code, signal, core_dumped, orphans, monotonic_ns, forced: false, lost: None };
        }
    };
    // Nobody listens if the process was dropped.
    drop(tell.send(Some(exit)));
}

fn lost(why: &str) -> Exit {
    Exit { lost: Some(why.to_owned()), ..Exit::default() }
}

//! The supervisor itself: plain threads, no runtime.
//!
//! The main thread alone spawns, signals and reaps, so that no signal can go to a pid that was reaped and given away. Two
//! helper threads turn blocking calls into [`Event`]s: one reads orders, one waits until something can be reaped.

use super::{Order, Report, Restrict, death_signal, restrict};
use crate::clock::monotonic_ns;
use crate::launch::resources::descendants;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _, stdin};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

/// How long the program may take to end by SIGTERM after the harness died.
const GRACE: Duration = Duration::from_millis(500);
/// How long descendants may take to be gone by themselves after the program ended.
const MOMENT: Duration = Duration::from_millis(200);
/// Between two rounds of SIGKILL: a process may have forked while its siblings were listed.
const ROUND: Duration = Duration::from_millis(20);
/// How long SIGKILL is tried: a process in uninterruptible sleep must not keep the supervisor for ever.
const PATIENCE: Duration = Duration::from_secs(5);

/// What wakes the main thread.
enum Event {
    Order(Order),
    /// The harness closed the socket, or died.
    HarnessGone,
    /// A child waits to be reaped.
    Reapable,
    /// No child is left, and so no descendant: whoever loses his parent becomes ours before that parent can be reaped.
    AllGone,
}

struct Supervisor {
    control: UnixStream,
    events: Receiver<Event>,
    reaped: SyncSender<()>,
    leader: Child,
    group: Pid,
    status: Option<(ExitStatus, u64)>,
    harness_gone: bool,
    all_gone: bool,
}

/// Runs the program until it, its descendants or the harness are gone. Errors are about the surroundings, not the program.
pub(super) fn run(program: &OsStr, args: impl Iterator<Item = OsString>, less: Restrict) -> Result<(), String> {
    let mut control = take_control()?;
    // EPERM: we lead a group already (a shell with job control started us), which is as good.
    let _ = nix::unistd::setsid();
    nix::sys::prctl::set_child_subreaper(true).map_err(|e| format!("cannot become subreaper: {e}"))?;
    if let Err((errno, reason)) = restrict::apply(less) {
        write(&mut control, &Report::SpawnFailed { errno: Some(errno), reason });
        return Ok(());
    }
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).process_group(0);
    death_signal::kill_with_parent(&mut command);
    let started = monotonic_ns();
    match command.spawn() {
        Err(error) => {
            let failed = Report::SpawnFailed { errno: error.raw_os_error(), reason: error.to_string() };
            write(&mut control, &failed);
            Ok(())
        }
        Ok(leader) => {
            write(&mut control, &Report::Spawned { pid: leader.id(), monotonic_ns: started });
            release_output();
            Supervisor::new(control, leader)?.run();
            Ok(())
        }
    }
}

/// Takes the harness's socket from fd 0, closed on exec, and leaves `/dev/null` there.
fn take_control() -> Result<UnixStream, String> {
    let error = |e: std::io::Error| format!("cannot take fd 0: {e}");
    let file = File::from(stdin().as_fd().try_clone_to_owned().map_err(error)?);
    if !file.metadata().map_err(error)?.file_type().is_socket() {
        return Err("fd 0 is not a socket; this subcommand is for the harness's own use".to_owned());
    }
    let null = File::open("/dev/null").map_err(error)?;
    nix::unistd::dup2_stdin(&null).map_err(|e| error(e.into()))?;
    Ok(UnixStream::from(std::os::fd::OwnedFd::from(file)))
}

/// Lets go of stdout and stderr, so that the harness sees their end when the program and its descendants are gone.
fn release_output() {
    if let Ok(null) = File::options().write(true).open("/dev/null") {
        let _ = nix::unistd::dup2_stdout(&null);
        let _ = nix::unistd::dup2_stderr(&null);
    }
}

/// Writes a line to the harness. A failure means that the harness is gone, which the reading thread notices.
fn write(control: &mut UnixStream, report: &Report) {
    let mut line = serde_json::to_vec(report).expect("a report is plain data");
    line.push(b'\n');
    drop(control.write_all(&line));
}

impl Supervisor {
    fn new(control: UnixStream, leader: Child) -> Result<Self, String> {
        let error = |e: std::io::Error| format!("cannot watch the program: {e}");
        let (sender, events) = channel();
        let (reaped, acknowledged) = sync_channel(1);
        let orders = control.try_clone().map_err(error)?;
        let to_main = sender.clone();
        thread::Builder::new().name("orders".into()).spawn(move || read_orders(orders, &to_main)).map_err(error)?;
        let watch = move || watch_children(&sender, &acknowledged);
        thread::Builder::new().name("children".into()).spawn(watch).map_err(error)?;
        let group = Pid::from_raw(i32::try_from(leader.id()).map_err(|e| e.to_string())?);
        Ok(Self { control, events, reaped, leader, group, status: None, harness_gone: false, all_gone: false })
    }

    fn run(mut self) {
        self.pump(None, |s| s.status.is_some() || s.all_gone || s.harness_gone);
        if self.harness_gone {
            return self.end_without_harness();
        }
        self.pump(Some(MOMENT), |s| s.all_gone || s.harness_gone);
        let orphans = if self.all_gone { Vec::new() } else { descendants(std::process::id()) };
        let (status, monotonic_ns) = self.status.map_or_else(|| (None, monotonic_ns()), |(s, at)| (Some(s), at));
        let code = status.and_then(|s| s.code());
        let signal = status.and_then(|s| s.signal());
        let dumped = status.is_some_and(|s| s.core_dumped());
        write(&mut self.control, &Report::Exited { code, signal, core: dumped, orphans, monotonic_ns });
        self.kill_everything();
    }

    /// Nobody reads reports any more: ask, wait, kill.
    fn end_without_harness(&mut self) {
        self.signal_group(Signal::SIGTERM);
        self.pump(Some(GRACE), |s| s.all_gone);
        self.kill_everything();
    }

    fn kill_everything(&mut self) {
        let deadline = deadline(PATIENCE);
        while !self.all_gone && monotonic_ns() < deadline {
            self.signal_group(Signal::SIGKILL);
            for pid in descendants(std::process::id()).into_iter().filter_map(|p| i32::try_from(p).ok()) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            self.pump(Some(ROUND), |s| s.all_gone);
        }
    }

    /// Signals the group only while its leader is not reaped: later the number could be somebody else's.
    fn signal_group(&self, signal: Signal) {
        if self.status.is_none() {
            let _ = killpg(self.group, signal);
        }
    }

    /// Handles events until `done` or until `within` has passed.
    fn pump(&mut self, within: Option<Duration>, done: impl Fn(&Self) -> bool) {
        let deadline = within.map(deadline);
        while !done(self) {
            let event = match deadline {
                None => self.events.recv().ok(),
                Some(at) => {
                    let left = Duration::from_nanos(at.saturating_sub(monotonic_ns()));
                    self.events.recv_timeout(left).ok()
                }
            };
            match event {
                Some(event) => self.handle(&event),
                None => return,
            }
        }
    }

    fn handle(&mut self, event: &Event) {
        match event {
            Event::Order(Order::Signal { number }) => {
                if let (Ok(signal), None) = (Signal::try_from(*number), self.status) {
                    let _ = kill(self.group, signal);
                }
            }
            Event::Order(Order::KillGroup {}) => self.signal_group(Signal::SIGKILL),
            Event::HarnessGone => self.harness_gone = true,
            Event::AllGone => self.all_gone = true,
            Event::Reapable => {
                self.reap();
                // It fails only when the watching thread has ended, and then nothing is left to wait for.
                let _ = self.reaped.send(());
            }
        }
    }

    /// Reaps one child. The leader is left to `std`, which knows every signal number (nix has no real-time signals).
    fn reap(&mut self) {
        if self.status.is_none()
            && let Ok(Some(status)) = self.leader.try_wait()
        {
            self.status = Some((status, monotonic_ns()));
            return;
        }
        let pid = match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT) {
            Ok(status) => status.pid(),
            // Somebody died of a signal that nix cannot name; the leader is none of them, it was tried above.
            Err(_) => Some(Pid::from_raw(-1)),
        };
        if let Some(pid) = pid.filter(|p| self.status.is_some() || *p != self.group) {
            let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
        }
    }
}

fn deadline(within: Duration) -> u64 {
    monotonic_ns().saturating_add(u64::try_from(within.as_nanos()).unwrap_or(u64::MAX))
}

/// Until the socket ends. A line that is no order is skipped: a newer harness may know more than we do.
fn read_orders(control: UnixStream, to_main: &Sender<Event>) {
    for line in BufReader::new(control).lines().map_while(Result::ok) {
        if let Ok(order) = serde_json::from_str(&line)
            && to_main.send(Event::Order(order)).is_err()
        {
            return;
        }
    }
    // The main thread may have ended already.
    drop(to_main.send(Event::HarnessGone));
}

/// Until no child is left: says when one can be reaped, then waits until that was done.
fn watch_children(to_main: &Sender<Event>, reaped: &Receiver<()>) {
    loop {
        let peeked: Result<WaitStatus, Errno> = waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        let event = match peeked {
            Err(Errno::ECHILD) => Event::AllGone,
            Err(Errno::EINTR) => continue,
            // EINVAL too: a child died of a signal that nix cannot name.
            Ok(_) | Err(_) => Event::Reapable,
        };
        let last = matches!(event, Event::AllGone);
        if to_main.send(event).is_err() || last || reaped.recv().is_err() {
            return;
        }
    }
}

//! `sidetone` as a child process. It never outlives its test.

use super::{Deadline, PATIENCE};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sidetone::event::{Event, Ready, Record};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

enum Line {
    Out(String),
    Err(String),
}

/// A running program whose output is read line by line.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<Line>,
    what: String,
    /// Lines of stdout.
    pub(crate) out: Vec<String>,
    /// Events on stderr.
    pub(crate) records: Vec<Record>,
    /// Lines of stderr that are no events.
    pub(crate) text: Vec<String>,
    ended: bool,
}

/// The program, not started, in an environment that no developer's settings change.
pub(crate) fn sidetone(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidetone"));
    command.args(arguments);
    for name in ["NO_COLOR", "CLICOLOR_FORCE", "COLORTERM", "LC_ALL", "LC_CTYPE", "COLUMNS", "LINES", "USER"] {
        command.env_remove(name);
    }
    command.env("LANG", "C.UTF-8").env("TERM", "xterm-256color");
    command
}

fn read_lines(pipe: impl Read + Send + 'static, lines: Sender<Line>, wrap: fn(String) -> Line) {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
            if lines.send(wrap(text)).is_err() {
                return;
            }
            line.clear();
        }
    });
}

impl Program {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(sidetone(arguments))
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let what = format!("{command:?}");
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        read_lines(child.stdout.take().unwrap(), sender.clone(), Line::Out);
        read_lines(child.stderr.take().unwrap(), sender, Line::Err);
        Self { child, lines, what, out: vec![], records: vec![], text: vec![], ended: false }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    fn keep(&mut self, line: Line) {
        match line {
            Line::Out(line) => self.out.push(line),
            Line::Err(line) => match Record::parse(&line) {
                Ok(record) => self.records.push(record),
                Err(_) => self.text.push(line),
            },
        }
    }

    /// Takes one line; `false` at the end of the output.
    fn pump(&mut self, deadline: Deadline, waits_for: &str) -> bool {
        match self.lines.recv_timeout(deadline.left()) {
            Ok(line) => self.keep(line),
            Err(RecvTimeoutError::Disconnected) => {
                self.ended = true;
                return false;
            }
            Err(RecvTimeoutError::Timeout) => panic!("{waits_for}: not within {PATIENCE:?}\n{}", self.story()),
        }
        true
    }

    /// The first event for which `wanted` gives something.
    pub(crate) fn event<T>(&mut self, waits_for: &str, wanted: impl Fn(&Event) -> Option<T>) -> T {
        let (deadline, mut seen) = (Deadline::new(), 0);
        loop {
            if let Some(found) = self.records[seen..].iter().find_map(|record| wanted(&record.event)) {
                return found;
            }
            seen = self.records.len();
            assert!(self.pump(deadline, waits_for), "{waits_for}: not before the end\n{}", self.story());
        }
    }

    /// The same for an event that has come already.
    pub(crate) fn seen<T>(&mut self, wanted: impl Fn(&Event) -> Option<T>) -> Option<T> {
        while let Ok(line) = self.lines.try_recv() {
            self.keep(line);
        }
        self.records.iter().find_map(|record| wanted(&record.event))
    }

    /// Waits for the event of that name.
    pub(crate) fn named(&mut self, name: &str) -> Event {
        self.event(name, |event| (event.name() == name).then(|| event.clone()))
    }

    /// Waits until there are `count` events of that name.
    pub(crate) fn repeated(&mut self, name: &str, count: usize) {
        let deadline = Deadline::new();
        while self.records.iter().filter(|record| record.event.name() == name).count() < count {
            assert!(self.pump(deadline, name), "{name}: fewer than {count} before the end\n{}", self.story());
        }
    }

    /// Waits for the first line on stdout.
    pub(crate) fn first_line(&mut self) -> String {
        let deadline = Deadline::new();
        while self.out.is_empty() {
            assert!(self.pump(deadline, "a line on stdout"), "no line on stdout\n{}", self.story());
        }
        self.out[0].clone()
    }

    /// Waits for the end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.wait_within(PATIENCE)
    }

    pub(crate) fn wait_within(&mut self, patience: Duration) -> ExitStatus {
        let deadline = Deadline::after(patience);
        while !self.ended {
            self.pump(deadline, "the end");
        }
        self.child.wait().unwrap()
    }

    /// Waits for the end and gives the exit code.
    pub(crate) fn code(&mut self) -> i32 {
        let status = self.wait();
        status.code().unwrap_or_else(|| panic!("{status}\n{}", self.story()))
    }

    /// Kilobytes in memory.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Everything that it said, for a failing test.
    pub(crate) fn story(&self) -> String {
        let records = self.records.iter().map(|r| format!("{} {}: {}", r.level, r.event.name(), r.message));
        let lines: Vec<_> = records.chain(self.text.iter().cloned()).chain(self.out.iter().cloned()).collect();
        let skipped = lines.len().saturating_sub(60);
        format!("{}\n[{skipped} lines]\n{}", self.what, lines[skipped..].join("\n"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill()); // fails only if it has ended
        drop(self.child.wait());
    }
}

/// A server on loopback that is ready.
pub(crate) struct Server {
    pub(crate) program: Program,
    pub(crate) ready: Ready,
}

impl Server {
    /// On free ports, without mDNS.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// With more arguments; a later `--port` counts.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let mut all = vec!["server", "--no-mdns", "--log-format", "json", "--log-level", "debug"];
        for (flag, value) in [("--bind", "127.0.0.1"), ("--port", "0"), ("--websocket-port", "0")] {
            if !arguments.contains(&flag) {
                all.extend([flag, value]);
            }
        }
        all.extend(arguments);
        let mut program = Program::start(&all);
        let line = program.first_line();
        let ready = serde_json::from_str(&line).unwrap_or_else(|e| panic!("ready line {line}: {e}"));
        Self { program, ready }
    }

    pub(crate) fn tcp(&self) -> SocketAddr {
        self.ready.tcp[0]
    }

    pub(crate) fn websocket(&self) -> SocketAddr {
        self.ready.websocket[0]
    }

    /// Asks it to end, and waits: exit code 0, no stray text, and no event that says ERROR.
    pub(crate) fn stop(mut self) -> Vec<Record> {
        self.program.signal(Signal::SIGTERM);
        assert_eq!(self.program.code(), 0, "{}", self.program.story());
        assert_eq!(self.program.text, Vec::<String>::new(), "{}", self.program.story());
        std::mem::take(&mut self.program.records)
    }
}

/// A client with JSON events.
pub(crate) fn client(target: &str, arguments: &[&str]) -> Program {
    let mut all = vec!["client", target, "--log-format", "json", "--log-level", "debug"];
    if !arguments.contains(&"--name") {
        all.extend(["--name", "carol"]);
    }
    if !arguments.contains(&"--timeout") {
        all.extend(["--timeout", "60s"]);
    }
    all.extend(arguments);
    Program::start(&all)
}

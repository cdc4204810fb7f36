//! The command line and the exit codes. I/O.
//!
//! * `run`, `probe`, `sockets`, `doctor`, `browser`, `diagnose`, `explain`, `hold`: one file a subcommand.

mod browser;
mod diagnose;
mod doctor;
mod explain;
mod hold;
mod probe;
mod run;
mod sockets;

use crate::diagnosis::outcome::exit;
use crate::scenario::isolated;
use crate::supervise::{self, Restrict};
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Exit codes: 0 everything as it should be, 1 a check failed, 2 usage or scenario error (nothing ran), 3 the harness itself \
failed (the report is partial), 4 inconclusive, 5 no check was selected, 124 deadline, 130 SIGINT, 143 SIGTERM.";

/// Launches, checks and explains real-time audio and video servers.
#[derive(Debug, Parser)]
#[command(name = "sidetone-harness", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenarios: launch, observe, diagnose, report.
    Run(run::Run),
    /// Look at a server that is already running, layer by layer.
    Probe(Box<probe::Probe>),
    /// List the listeners of this machine with their owners; those that others can reach are marked.
    Sockets(sockets::Sockets),
    /// Say what cannot be seen or used on this machine, what that costs, and what helps.
    Doctor(doctor::Doctor),
    /// Join a room with a real browser, as a client program of its own.
    Browser(Box<browser::Browser>),
    /// Diagnose saved evidence again, offline.
    Diagnose(diagnose::Diagnose),
    /// Tell what a cause is, how it is known and what to do about it.
    Explain(explain::Explain),
    /// Run one scenario in a network of its own (internal).
    #[command(hide = true)]
    Isolated,
    /// Stand between the harness and a program (internal).
    #[command(hide = true)]
    Supervise {
        /// The program may not bind privileged ports, whoever runs it.
        #[arg(long)]
        drop_net_bind: bool,
        /// The program leaves no core.
        #[arg(long)]
        no_core: bool,
        /// The program and its arguments.
        #[arg(last = true)]
        command: Vec<OsString>,
    },
    /// Take a port, for faults (internal).
    #[command(hide = true)]
    Hold(hold::Holding),
}

/// Parses and runs.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(run) => run.run(),
        Command::Probe(probe) => probe.run(),
        Command::Sockets(sockets) => sockets.run(),
        Command::Doctor(doctor) => doctor.run(),
        Command::Browser(browser) => browser.run(),
        Command::Diagnose(diagnose) => diagnose.run(),
        Command::Explain(explain) => explain.run(),
        Command::Isolated => isolated::main(),
        Command::Supervise { drop_net_bind, no_core, command } => {
            supervise::main(Restrict { drop_net_bind, no_core }, command)
        }
        Command::Hold(holding) => holding.run(),
    }
}

/// Results go to stdout. A reader that went away is no error of ours.
fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { stdout.write_all(b"\n") });
    match written.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Progress and problems go to stderr.
fn say(line: &str) {
    drop(writeln!(io::stderr(), "{line}"));
}

/// Says what is wrong and gives the code.
fn fail(code: u8, reason: impl std::fmt::Display) -> ExitCode {
    say(&format!("sidetone-harness: {reason}"));
    ExitCode::from(code)
}

/// Prints a result; what cannot be printed is the harness's own failure.
fn print_and_exit(text: &str, code: u8) -> ExitCode {
    match print(text) {
        Ok(()) => ExitCode::from(code),
        Err(error) => fail(exit::HARNESS, format!("stdout: {error}")),
    }
}

/// Whether stdout gets colour: `NO_COLOR`, `CLICOLOR_FORCE`, `TERM=dumb` and `CI` are honoured.
fn colour() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty() && v != "0");
    let dumb = std::env::var("TERM").map_or(true, |t| t == "dumb" || t.is_empty());
    if set("NO_COLOR") {
        return false;
    }
    set("CLICOLOR_FORCE") || (io::stdout().is_terminal() && !dumb && !set("CI"))
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

/// The command line as it was given.
fn command_line() -> Vec<String> {
    std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect()
}

/// The command line without what is secret: headers, credentials, words to send.
fn redacted_command_line() -> Vec<String> {
    redacted(command_line())
}

fn redacted(words: Vec<String>) -> Vec<String> {
    const SECRET: [&str; 3] = ["-H", "--header", "--send"];
    let mut secret_next = false;
    let mut shown = Vec::new();
    for word in words {
        let hidden = match word.split_once('=') {
            _ if secret_next => {
                if word.starts_with('@') {
                    word.clone()
                } else {
                    "***".to_owned()
                }
            }
            Some((name, value)) if SECRET.contains(&name) && !value.starts_with('@') => format!("{name}=***"),
            _ if word.starts_with("-H") && word.len() > 2 && !word.starts_with("-H@") => "-H***".to_owned(),
            _ if word.starts_with("--") => match word.split_once('=') {
                Some((_, value)) if value.starts_with('@') => word.clone(),
                Some((name, value)) => format!("{name}={}", sidetone::net::dial::typed::redacted(value)),
                None => word.clone(),
            },
            _ if word.contains('@') => sidetone::net::dial::typed::redacted(&word),
            _ => word.clone(),
        };
        secret_next = SECRET.contains(&word.as_str());
        shown.push(hidden);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn no_secret_is_in_a_command_line_that_is_written_down() {
        let words = [
            "probe",
            "-H",
            "Authorization: s3cret",
            "-HCookie: s3cret",
            "--header=A: s3cret",
            "--send",
            "s3cret",
            "-H",
            "@file",
            "--send=@file",
            "--proxy=http://a:s3cret@b:1",
            "wss://me:s3cret@example.org/x",
            ":7461",
        ];
        let shown = redacted(words.iter().map(|w| (*w).to_owned()).collect()).join(" ");
        assert_eq!(
            shown,
            "probe -H *** -H*** --header=*** --send *** -H @file --send=@file --proxy=http://***@b:1 \
             wss://***@example.org/x :7461"
        );
    }
}

//! The command line: one clap struct a subcommand. I/O.
//!
//! * [`server`], [`client`], [`events`]: the subcommands; [`exit`]: the exit codes.

pub mod client;
pub mod events;
pub mod exit;
pub mod server;

use crate::event::Level;
use crate::log::{Format, Guard, Log};
use clap::{Args, Parser, Subcommand};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Real-time audio and video chat for terminals and browsers.
#[derive(Debug, Parser)]
#[command(name = "sidetone", version, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 internal error, 2 usage, 3 a listener could not be bound, 4 the server could not be reached, \
5 the server said no, 6 connected but nothing came in time, 7 the connection was lost, 8 no usable device or file.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Listen on TCP and on HTTP/WebSocket, mix and pass on.
    Server(Box<server::Server>),
    /// Join a room.
    Client(Box<client::Client>),
    /// Print the catalogue of log events.
    Events(events::Events),
}

/// How events are logged.
#[derive(Clone, Debug, Args)]
pub struct LogOptions {
    /// Events as lines for people, or as JSON lines.
    #[arg(long = "log-format", value_parser = parse_format, default_value = "pretty", value_name = "pretty|json")]
    format: Format,
    /// Append events to a file instead of stderr.
    #[arg(long = "log-file", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Least severe level to log.
    #[arg(long = "log-level", default_value = "info", value_name = "error|warn|info|debug")]
    level: Level,
}

impl LogOptions {
    /// Opens the log. `quiet`: nothing goes to stderr (the terminal is drawn).
    fn open(&self, quiet: bool) -> Result<(Log, Option<Guard>), String> {
        if quiet && self.file.is_none() {
            return Ok((Log::discard(), None));
        }
        let file = self.file.as_deref();
        Log::open(self.format, self.level, file).map(|(log, guard)| (log, Some(guard))).map_err(|error| {
            let file = file.map_or_else(|| "stderr".to_owned(), |f| f.display().to_string());
            format!("{file}: the log cannot be opened: {error}; give another --log-file")
        })
    }
}

fn parse_format(text: &str) -> Result<Format, String> {
    match text {
        "pretty" => Ok(Format::Pretty),
        "json" => Ok(Format::Json),
        _ => Err("pretty or json".to_owned()),
    }
}

/// Writes results to stdout. A reader that went away is no error of ours.
fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// SIGTERM or SIGINT, by name.
fn signals() -> io::Result<impl Future<Output = &'static str>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

/// Parses and runs.
pub fn main() -> ExitCode {
    let started = crate::clock::monotonic();
    match Cli::parse().command {
        Command::Server(server) => server.run(started),
        Command::Client(client) => client.run(),
        Command::Events(events) => events.run(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}

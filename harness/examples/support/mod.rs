//! What the measuring programs share: a server under the harness's supervisor, and a line on stdout.

use sidetone::event::Ready;
use sidetone_harness::launch::{Launch, Launcher, Process, Stream};
use std::io::{Write as _, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A result that somebody reads.
pub(crate) type Anything<T> = Result<T, Box<dyn std::error::Error>>;

/// The two programs to measure: `PROGRAM SIDETONE`, with the harness beside it.
pub(crate) fn programs() -> Anything<(PathBuf, PathBuf)> {
    let sidetone = std::env::args_os().nth(1).ok_or("give the path of the sidetone binary")?;
    let sidetone = PathBuf::from(sidetone).canonicalize()?;
    let harness = sidetone.with_file_name("sidetone-harness");
    Ok((sidetone, harness))
}

/// Starts a server on free ports of IPv4 loopback; gives it, its ready line, and the microseconds from start to line.
pub(crate) async fn server(sidetone: &Path, harness: PathBuf, folder: &Path) -> Anything<(Process, Ready, u64)> {
    let launcher = Launcher { supervisor_exe: harness, log_dir: folder.to_owned() };
    let args = ["server", "--bind", "127.0.0.1", "--port", "0", "--websocket-port", "0", "--no-mdns"];
    let more = ["--max-clients", "2000", "--log-format", "json", "--log-level", "error"];
    let process = launcher.launch(&Launch::new("server", sidetone).args(args).args(more)).await?;
    let line = process.wait_for_line(Stream::Stdout, |_| true, Duration::from_secs(10)).await?;
    let took = line.monotonic_ns.saturating_sub(process.started_monotonic_ns) / 1_000;
    Ok((process, serde_json::from_str(&line.text)?, took))
}

/// One figure with its target.
pub(crate) fn tell(what: &str, figure: &str, target: &str) -> Anything<()> {
    writeln!(stdout(), "{what:<58} {figure:>24}   {target}")?;
    Ok(())
}

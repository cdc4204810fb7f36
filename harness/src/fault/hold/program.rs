//! The hidden subcommand `hold`: takes what it is told to, says so in one line, waits.

use super::take::{Taken, take};
use super::{Claim, Line, foreign};
use crate::evidence::fault::Hold;
use crate::fault::reason;
use std::future::pending;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// The exit code when nothing is held: the harness itself failed.
const FAILED: u8 = 3;

/// Prints `{"holds":["127.0.0.1:40001"]}` and waits for SIGTERM, SIGINT or `ends_after`; or prints `{"failed":"..."}`.
pub fn main(claim: Claim, on: &[IpAddr], ends_after: Option<Duration>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let held = match runtime {
        Ok(runtime) => runtime.block_on(hold(claim, on, ends_after)),
        Err(error) => Err(reason("start", "a runtime", &error)),
    };
    match held {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            // The exit code says it too.
            drop(say(&Line::Failed(reason)));
            ExitCode::from(FAILED)
        }
    }
}

async fn hold(claim: Claim, on: &[IpAddr], ends_after: Option<Duration>) -> Result<(), String> {
    // Before the line: whoever has read it may end us.
    let listen = |kind, name| signal(kind).map_err(|e| reason("listen for", name, &e));
    let mut terminate = listen(SignalKind::terminate(), "SIGTERM")?;
    let mut interrupt = listen(SignalKind::interrupt(), "SIGINT")?;
    let Taken { addresses, servers, kept } = take(claim, on)?;
    for server in servers {
        let server = TcpListener::from_std(server).map_err(|e| reason("watch", "the listener", &e))?;
        tokio::spawn(foreign::serve(server));
    }
    say(&Line::Holds(addresses)).map_err(|e| reason("write", "stdout", &e))?;
    if claim == Claim::Port(Hold::TimeWait) {
        return Ok(());
    }
    let time = async {
        match ends_after {
            Some(after) => tokio::time::sleep(after).await,
            None => pending().await,
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = time => {}
    }
    drop(kept);
    Ok(())
}

fn say(line: &Line) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&text)?;
    stdout.flush()
}

//! Another process takes a port: the hidden subcommand `hold`, and what starts it.
//!
//! * `take`: the sockets;
//! * `program`: the subcommand;
//! * `foreign`: the server of a port that is held by a listener.

mod foreign;
mod program;
mod take;

pub use program::main;

use crate::evidence::fault::Hold;
use crate::launch::{Launch, Launcher, Process, Stream};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// How long the holder may take to say what it holds.
const WITHIN: Duration = Duration::from_secs(5);

/// What is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// One port, of the kernel's choice, the same on each address.
    Port(Hold),
    /// The ephemeral range, made so small. In a private network only.
    Range {
        /// How many ports it has.
        ports: u16,
    },
}

/// The holder's one line on stdout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Holds(Vec<SocketAddr>),
    Failed(String),
}

/// A holder. Dropping it ends it; what is in `TIME_WAIT` needs no process, and its holder has ended already.
#[derive(Debug)]
pub struct Holder {
    /// The program.
    pub process: Process,
    /// What it holds.
    pub addresses: Vec<SocketAddr>,
}

/// Starts the holder and waits until it holds. `name`: of its captured output. `harness`: this program. `ends_after`: it lets
/// go by itself.
///
/// # Errors
/// Why nothing is held, for instance `bind 127.0.0.1:40000: Address already in use (EADDRINUSE)`.
pub async fn start(
    launcher: &Launcher,
    (name, harness): (&str, &Path),
    claim: Claim,
    on: &[IpAddr],
    ends_after: Option<Duration>,
) -> Result<Holder, String> {
    let launch = Launch::new(name, harness).args(arguments(claim, on, ends_after));
    let process = launcher.launch(&launch).await.map_err(|e| e.to_string())?;
    let line = match process.wait_for_line(Stream::Stdout, |_| true, WITHIN).await {
        Ok(line) => line.text,
        Err(why) => {
            let said = process.wait_for_line(Stream::Stderr, |l| !l.is_empty(), Duration::from_millis(200)).await;
            let said = said.map(|line| format!(": {}", line.text)).unwrap_or_default();
            return Err(format!("the holder did not say what it holds ({why}){said}"));
        }
    };
    match serde_json::from_str(&line) {
        Ok(Line::Holds(addresses)) => Ok(Holder { process, addresses }),
        Ok(Line::Failed(reason)) => Err(reason),
        Err(_) => Err(format!("the holder said {line:?}")),
    }
}

fn arguments(claim: Claim, on: &[IpAddr], ends_after: Option<Duration>) -> Vec<String> {
    let (word, ports) = match claim {
        Claim::Port(Hold::Listener) => ("listener", None),
        Claim::Port(Hold::Connection) => ("connection", None),
        Claim::Port(Hold::TimeWait) => ("time-wait", None),
        Claim::Port(Hold::Bound) => ("bound", None),
        Claim::Range { ports } => ("range", Some(ports)),
    };
    let mut arguments = vec!["hold".to_owned(), "--by".to_owned(), word.to_owned()];
    arguments.extend(on.iter().flat_map(|ip| ["--on".to_owned(), ip.to_string()]));
    arguments.extend(ports.into_iter().flat_map(|ports| ["--ports".to_owned(), ports.to_string()]));
    let ends_after = ends_after.map(|after| after.as_millis().to_string());
    arguments.extend(ends_after.into_iter().flat_map(|ms| ["--ends-after-ms".to_owned(), ms]));
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_have_the_documented_form() {
        let holds = Line::Holds(vec!["127.0.0.1:40001".parse().unwrap(), "[::1]:40001".parse().unwrap()]);
        assert_eq!(serde_json::to_string(&holds).unwrap(), r#"{"holds":["127.0.0.1:40001","[::1]:40001"]}"#);
        let failed = Line::Failed("no".to_owned());
        assert_eq!(serde_json::to_string(&failed).unwrap(), r#"{"failed":"no"}"#);
    }
}

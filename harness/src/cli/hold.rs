//! `sidetone-harness hold`: takes a port, for faults (internal).

use crate::evidence::fault::Hold;
use crate::fault::hold::{self, Claim};
use clap::{Args, ValueEnum};
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

/// The arguments.
#[derive(Debug, Args)]
pub(super) struct Holding {
    /// What holds the port.
    #[arg(long)]
    by: By,
    /// On this address; several times for several.
    #[arg(long, value_name = "IP", required = true)]
    on: Vec<IpAddr>,
    /// Let go after so many milliseconds.
    #[arg(long, value_name = "N")]
    ends_after_ms: Option<u64>,
    /// How many ports a range has.
    #[arg(long, value_name = "N", required_if_eq("by", "range"), value_parser = clap::value_parser!(u16).range(1..))]
    ports: Option<u16>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    Listener,
    Connection,
    TimeWait,
    Bound,
    Range,
}

impl Holding {
    pub(super) fn run(&self) -> ExitCode {
        let claim = match self.by {
            By::Listener => Claim::Port(Hold::Listener),
            By::Connection => Claim::Port(Hold::Connection),
            By::TimeWait => Claim::Port(Hold::TimeWait),
            By::Bound => Claim::Port(Hold::Bound),
            By::Range => Claim::Range { ports: self.ports.unwrap_or(1) },
        };
        hold::main(claim, &self.on, self.ends_after_ms.map(Duration::from_millis))
    }
}

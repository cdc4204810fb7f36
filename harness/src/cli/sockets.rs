//! `sidetone-harness sockets`: who listens on this machine, and who can reach it.

use super::{fail, print_and_exit};
use crate::diagnosis::outcome::exit;
use crate::launch::resources::command_line;
use crate::probe::behind::{self, Open};
use clap::Args;
use nix::unistd::{Uid, User};
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::ExitCode;

/// List the listeners of this machine with their owners; those that others can reach are marked.
#[derive(Debug, Args)]
pub(super) struct Sockets {
    /// As JSON: one array.
    #[arg(long)]
    json: bool,
    /// Datagram sockets without a peer, too.
    #[arg(long)]
    udp: bool,
}

/// Who can reach a socket, as far as its address tells. A firewall may say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Reach {
    /// Programs of this machine.
    Loopback,
    /// Whoever reaches one address of it.
    Address,
    /// Whoever reaches any of its addresses.
    Wide,
}

impl Reach {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            ip if ip.is_loopback() => Self::Loopback,
            ip if ip.is_unspecified() => Self::Wide,
            _ => Self::Address,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Address => "ADDRESS",
            Self::Wide => "WIDE",
        }
    }
}

/// A line.
#[derive(Debug, Serialize)]
struct Line {
    protocol: &'static str,
    address: String,
    reach: Reach,
    v6only: Option<bool>,
    pid: Option<u32>,
    command: Option<String>,
    user: Option<String>,
    waiting: Option<u32>,
    backlog: Option<u32>,
}

impl Sockets {
    pub(super) fn run(&self) -> ExitCode {
        let (open, hidden) = match behind::open(self.udp) {
            Ok(found) => found,
            Err(reason) => return fail(exit::HARNESS, reason),
        };
        let lines = lines(open);
        if self.json {
            return match serde_json::to_string_pretty(&lines) {
                Ok(text) => print_and_exit(&text, exit::GOOD),
                Err(error) => fail(exit::HARNESS, error),
            };
        }
        print_and_exit(&text(&lines, hidden), exit::GOOD)
    }
}

/// With commands and users, each asked for once.
fn lines(open: Vec<Open>) -> Vec<Line> {
    let (mut commands, mut users) = (BTreeMap::new(), BTreeMap::new());
    let line = |one: Open| {
        let command = one.pid.and_then(|pid| commands.entry(pid).or_insert_with(|| command_line(pid)).clone());
        let user = one.user_id.map(|id| users.entry(id).or_insert_with(|| user(id)).clone());
        Line {
            protocol: one.protocol,
            address: one.address.to_string(),
            reach: Reach::of(one.address.ip()),
            v6only: one.v6only,
            pid: one.pid,
            command,
            user,
            waiting: one.waiting,
            backlog: one.backlog,
        }
    };
    open.into_iter().map(line).collect()
}

/// A user's name, else the number.
fn user(id: u32) -> String {
    let known = User::from_uid(Uid::from_raw(id)).ok().flatten();
    known.map_or_else(|| id.to_string(), |user| user.name)
}

fn text(lines: &[Line], hidden: u64) -> String {
    let width = |of: fn(&Line) -> usize| lines.iter().map(of).max().unwrap_or(0);
    let addresses = width(|line| line.address.len());
    let users = width(|line| line.user.as_deref().unwrap_or("-").len());
    let mut told: Vec<String> = Vec::new();
    for line in lines {
        let whose = match (line.pid, &line.command) {
            (Some(pid), Some(command)) => format!("pid {pid} {command}"),
            (Some(pid), None) => format!("pid {pid}"),
            (None, _) => "of a process that may not be seen".to_owned(),
        };
        let waits = match (line.waiting, line.backlog) {
            (Some(waiting @ 1..), Some(most)) => format!("  [{waiting} of {most} wait for accept]"),
            _ => String::new(),
        };
        told.push(format!(
            "{} {:addresses$}  {:8}  {:users$}  {whose}{waits}",
            line.protocol,
            line.address,
            line.reach.word(),
            line.user.as_deref().unwrap_or("-"),
        ));
    }
    let wide = lines.iter().filter(|line| line.reach != Reach::Loopback).count();
    told.push(format!(
        "{} sockets, {wide} of them can be reached from outside unless a firewall keeps them",
        lines.len()
    ));
    if hidden > 0 && lines.iter().any(|line| line.pid.is_none()) {
        told.push(format!(
            "{hidden} processes of other users could not be looked at: run it as root to see their sockets' owners"
        ));
    }
    told.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(address: &str, pid: Option<u32>) -> Open {
        Open {
            protocol: "tcp",
            address: address.parse().unwrap(),
            v6only: None,
            user_id: Some(0),
            pid,
            waiting: Some(2),
            backlog: Some(128),
        }
    }

    #[test]
    fn what_is_wider_than_loopback_is_marked() {
        let all = [open("127.0.0.1:9", None), open("10.0.0.5:9", None), open("0.0.0.0:9", None), open("[::]:9", None)];
        let lines = lines(all.into());
        let reach: Vec<_> = lines.iter().map(|line| line.reach.word()).collect();
        assert_eq!(reach, ["loopback", "ADDRESS", "WIDE", "WIDE"]);
        let told = text(&lines, 3);
        assert!(
            told.contains(
                "tcp 127.0.0.1:9  loopback  root  of a process that may not be seen  [2 of 128 wait for accept]"
            ),
            "{told}"
        );
        assert!(told.contains("4 sockets, 3 of them") && told.contains("3 processes of other users"), "{told}");
    }

    #[test]
    fn a_process_is_named() {
        let lines = lines(vec![open("127.0.0.1:9", Some(std::process::id()))]);
        assert!(lines[0].command.is_some() && !text(&lines, 0).contains("other users"));
        assert_eq!(user(u32::MAX - 7), (u32::MAX - 7).to_string());
    }
}

//! The small supervisor: one process between the harness and each program it launches, so that the program and all its
//! descendants are gone whatever ends the harness, SIGKILL included.
//!
//! `sidetone-harness supervise [--drop-net-bind] [--no-core] -- CMD ARGS...` is started with one end of a socket pair as fd 0. That socket is lifeline and
//! control at once: the supervisor writes [`Report`]s, the harness writes [`Order`]s, a JSON line each, and end of file
//! means that the harness is gone.
//!
//! ```text
//! harness ──socket pair── supervisor (own session, subreaper) ── CMD (own process group) ── its descendants
//!    └───────── pipes for stdout and stderr, held by CMD and its descendants alone ─────────────┘
//! ```
//!
//! The supervisor leaves the harness's session, so neither Ctrl-C nor a SIGKILL to the harness's group reaches it. As the
//! subreaper it becomes the parent of every descendant whose own parent dies, even of one that left the group.
//!
//! * `system`: what only Linux can do, and its stand-in elsewhere; `death_signal`: the kernel's own lifeline;
//! * `restrict`: what the program shall not have.

#[cfg(target_os = "linux")]
mod death_signal;
#[cfg(target_os = "linux")]
mod restrict;
#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod system;
#[cfg(not(target_os = "linux"))]
#[path = "elsewhere.rs"]
mod system;

use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

/// What the supervisor says to the harness, a JSON line each.
#[expect(missing_docs, reason = "fields are named after what they hold; units are in their names")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// The program runs. `monotonic_ns`: just before it was started.
    Spawned { pid: u32, monotonic_ns: u64 },
    /// The program could not be started.
    SpawnFailed { errno: Option<i32>, reason: String },
    /// The program ended. `orphans`: its descendants that still ran a moment later; they are killed after this line.
    Exited { code: Option<i32>, signal: Option<i32>, core: bool, orphans: Vec<u32>, monotonic_ns: u64 },
}

/// What the harness says to the supervisor, a JSON line each.
#[expect(missing_docs, reason = "fields are named after what they hold")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Send a signal to the program alone.
    Signal { number: i32 },
    /// Send SIGKILL to the program's process group.
    KillGroup {},
}

/// What the program shall not have, whoever runs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restrict {
    /// It cannot bind privileged ports: `CAP_NET_BIND_SERVICE` is gone, for root too.
    pub drop_net_bind: bool,
    /// It leaves no core.
    pub no_core: bool,
}

impl Restrict {
    /// The subcommand's options.
    pub(crate) fn arguments(self) -> impl Iterator<Item = &'static str> {
        let all = [(self.drop_net_bind, "--drop-net-bind"), (self.no_core, "--no-core")];
        all.into_iter().filter_map(|(wanted, option)| wanted.then_some(option))
    }
}

/// The hidden subcommand. `command`: the program and its arguments.
pub fn main(restrict: Restrict, command: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut command = command.into_iter();
    let Some(program) = command.next() else {
        return complain("usage: sidetone-harness supervise -- CMD ARGS...");
    };
    match system::run(&program, command, restrict) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => complain(&format!("supervise: {reason}")),
    }
}

fn complain(what: &str) -> ExitCode {
    // Nobody is left to hear of a failure to write to stderr.
    drop(writeln!(std::io::stderr(), "{what}"));
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_have_the_documented_form() {
        let line = |r: &Report| serde_json::to_string(r).unwrap();
        assert_eq!(line(&Report::Spawned { pid: 7, monotonic_ns: 1 }), r#"{"spawned":{"pid":7,"monotonic_ns":1}}"#);
        assert_eq!(
            line(&Report::SpawnFailed { errno: Some(2), reason: "no".into() }),
            r#"{"spawn_failed":{"errno":2,"reason":"no"}}"#
        );
        assert_eq!(
            line(&Report::Exited { code: None, signal: Some(9), core: false, orphans: vec![8], monotonic_ns: 2 }),
            r#"{"exited":{"code":null,"signal":9,"core":false,"orphans":[8],"monotonic_ns":2}}"#
        );
        assert_eq!(serde_json::from_str::<Order>(r#"{"kill_group":{}}"#).unwrap(), Order::KillGroup {});
        let order = serde_json::from_str::<Order>(r#"{"signal":{"number":15}}"#).unwrap();
        assert_eq!(order, Order::Signal { number: 15 });
    }
}

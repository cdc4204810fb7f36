//! The one place of this crate that needs `unsafe`: code between fork and exec.
#![expect(unsafe_code, reason = "pre_exec is the only way to set PR_SET_PDEATHSIG in the child")]

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid, getppid};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Makes the kernel kill the command's process if the thread that spawns it dies first, even by SIGKILL.
///
/// Call it on the thread that will spawn, which has to live as long as the process.
pub(super) fn kill_with_parent(command: &mut Command) {
    let parent = getpid();
    // SAFETY: the closure runs in the forked child before exec. It makes two system calls (prctl and getppid), which are
    // async-signal-safe, allocates nothing (an errno becomes an `io::Error` without allocation), takes no lock, and owns
    // only a `Pid`, which is `Copy`.
    unsafe {
        command.pre_exec(move || before_exec(parent));
    }
}

fn before_exec(parent: Pid) -> std::io::Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    // The parent may have died between fork and prctl; then no signal would come.
    if getppid() == parent { Ok(()) } else { Err(Errno::ESRCH.into()) }
}

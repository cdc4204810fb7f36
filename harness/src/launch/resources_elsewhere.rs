//! Systems without `/proc`: the facts are absent.

use crate::evidence::{Environment, ProcessState};
use std::path::{Path, PathBuf};

/// Not available here.
pub fn resources(_pid: u32) -> Result<(u64, u32, u32), String> {
    Err("not available on this system".to_owned())
}

/// Not available here.
pub const fn pressure() -> Option<u64> {
    None
}

/// Not available here.
pub const fn run_delay(_pid: u32) -> Option<u64> {
    None
}

/// Not available here.
pub const fn waited_ns(_pid: u32) -> Vec<(u32, u64)> {
    Vec::new()
}

/// Not available here.
pub const fn state(_pid: u32) -> Option<char> {
    None
}

/// Not available here.
pub const fn descendants(_pid: u32) -> Vec<u32> {
    Vec::new()
}

/// Not available here.
///
/// # Errors
/// Always.
pub fn process_state(_pid: u32) -> Result<Option<ProcessState>, String> {
    Err("not available on this system".to_owned())
}

/// Not available here.
pub const fn command_line(_pid: u32) -> Option<String> {
    None
}

/// Not available here.
pub const fn started(_pid: u32) -> Option<String> {
    None
}

/// Not available here.
pub const fn ephemeral_range() -> Option<(u16, u16)> {
    None
}

/// Where we run, as far as the standard library knows.
pub fn environment() -> Environment {
    Environment {
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        cpus: std::thread::available_parallelism().ok().and_then(|n| u32::try_from(n.get()).ok()),
        user_id: Some(nix::unistd::geteuid().as_raw()),
        ci: std::env::var_os("CI").is_some(),
        ..Environment::default()
    }
}

/// Not available here.
pub const fn core_files(_folder: &Path) -> Vec<PathBuf> {
    Vec::new()
}

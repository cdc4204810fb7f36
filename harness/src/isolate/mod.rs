//! A network of one's own: ports that nobody else holds, and a loopback that leads nowhere else. I/O.
//!
//! * `system`: what only Linux can do, and its stand-in elsewhere; `link`: the message that brings `lo` up.

#[cfg(target_os = "linux")]
mod link;
#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod system;
#[cfg(not(target_os = "linux"))]
#[path = "elsewhere.rs"]
mod system;

/// Moves this process into a new network with nothing but `lo`, which is up; what it starts is there too. Without the right
/// to do so it becomes root of a new user namespace first. To be called while the process has one thread.
///
/// # Errors
/// The call, its errno, and what helps.
pub fn enter() -> Result<(), String> {
    system::enter()
}

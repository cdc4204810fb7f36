//! What the supervisor takes from itself, so that the program it starts has less.

use super::Restrict;
use nix::errno::Errno;
use nix::sys::resource::{Resource, setrlimit};
use rustix::io;
use rustix::thread::{
    CapabilitySet, capabilities, configure_capability_in_ambient_set, remove_capability_from_bounding_set,
    set_capabilities, set_no_new_privs,
};

const NET_BIND: CapabilitySet = CapabilitySet::NET_BIND_SERVICE;

/// Applies it to the calling thread, which is the one that starts the program.
///
/// # Errors
/// The errno, and what could not be done.
pub(super) fn apply(restrict: Restrict) -> Result<(), (i32, String)> {
    if restrict.drop_net_bind {
        drop_net_bind().map_err(|e| (e.raw_os_error(), format!("cannot drop CAP_NET_BIND_SERVICE: {e}")))?;
    }
    if restrict.no_core {
        let refused = |e: Errno| (e as i32, format!("cannot set the limit of cores to 0: {}", e.desc()));
        setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(refused)?;
    }
    Ok(())
}

fn drop_net_bind() -> io::Result<()> {
    configure_capability_in_ambient_set(NET_BIND, false)?;
    match remove_capability_from_bounding_set(NET_BIND) {
        // Without CAP_SETPCAP the bounding set stays: then no exec may give what we do not have, to root or by the file.
        Err(io::Errno::PERM) => set_no_new_privs(true)?,
        other => other?,
    }
    let mut sets = capabilities(None)?;
    for set in [&mut sets.effective, &mut sets.permitted, &mut sets.inheritable] {
        set.remove(NET_BIND);
    }
    set_capabilities(None, sets)?;
    // Nothing above may have been in vain: a fault that did not happen would be believed.
    if capabilities(None)?.permitted.contains(NET_BIND) { Err(io::Errno::PERM) } else { Ok(()) }
}

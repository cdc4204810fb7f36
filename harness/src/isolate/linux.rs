//! Namespaces.

use super::link;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};
use std::fs;

const NET: CloneFlags = CloneFlags::CLONE_NEWNET;
const USER: CloneFlags = CloneFlags::CLONE_NEWUSER;

/// What helps against which errors.
const REMEDIES: &[(&[Errno], &str)] = &[
    (
        &[Errno::EPERM, Errno::EACCES],
        "; user namespaces are switched off here: run as root, or sysctl kernel.unprivileged_userns_clone=1 (Debian), or \
         sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu); in a container, give it CAP_SYS_ADMIN",
    ),
    (
        &[Errno::ENOSPC],
        "; no more namespaces are allowed here: sysctl user.max_user_namespaces=1000 user.max_net_namespaces=1000",
    ),
    (&[Errno::EINVAL], "; either this kernel has no such namespaces, or this process already has threads: run as root"),
];

/// See [`super::enter`].
pub(super) fn enter() -> Result<(), String> {
    match unshare(NET) {
        Ok(()) => {}
        Err(Errno::EPERM) => as_root_of_our_own()?,
        Err(errno) => return Err(told("unshare(CLONE_NEWNET)", errno)),
    }
    link::up(link::LOOPBACK).map_err(|errno| told("RTM_NEWLINK (lo up)", errno))
}

fn as_root_of_our_own() -> Result<(), String> {
    // Before: afterwards nobody is mapped yet and we have the overflow ids.
    let (user, group) = (geteuid(), getegid());
    unshare(USER | NET).map_err(|errno| told("unshare(CLONE_NEWUSER|CLONE_NEWNET)", errno))?;
    let maps = [
        // Who may drop groups could reach files that his groups were shut out of; the kernel asks for this first.
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("0 {user} 1")),
        ("/proc/self/gid_map", format!("0 {group} 1")),
    ];
    for (path, text) in maps {
        let errno = |e: std::io::Error| Errno::from_raw(e.raw_os_error().unwrap_or(0));
        fs::write(path, text).map_err(|e| told(&format!("write {path}"), errno(e)))?;
    }
    Ok(())
}

/// `call: cause (ERRNO); what helps`.
fn told(call: &str, errno: Errno) -> String {
    let remedy = REMEDIES.iter().find(|(errnos, _)| errnos.contains(&errno)).map_or("", |(_, remedy)| remedy);
    format!("{call}: {} ({errno:?}){remedy}", errno.desc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    #[test]
    fn an_error_names_the_call_the_errno_and_the_remedy() {
        let text = told("unshare(CLONE_NEWNET)", Errno::EPERM);
        assert!(text.starts_with("unshare(CLONE_NEWNET): Operation not permitted (EPERM); "), "{text}");
        assert!(text.contains("run as root") && text.contains("kernel.unprivileged_userns_clone=1"), "{text}");
        assert!(told("x", Errno::ENOSPC).contains("user.max_user_namespaces"));
        assert_eq!(told("x", Errno::EIO), "x: I/O error (EIO)");
    }

    #[test]
    fn in_the_new_network_the_port_is_free_and_loopback_works() {
        // CLONE_NEWNET alone concerns the calling thread; a user namespace would need a process with one thread
        let outside = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = outside.local_addr().unwrap();
        let may = std::thread::spawn(|| unshare(NET).is_ok()).join().unwrap();
        let inside = std::thread::spawn(move || {
            enter()?;
            let listener = TcpListener::bind(address).map_err(|e| e.to_string())?;
            let stream = TcpStream::connect(address).map_err(|e| e.to_string())?;
            let (_, peer) = listener.accept().map_err(|e| e.to_string())?;
            Ok::<_, String>(stream.local_addr().is_ok_and(|local| local == peer))
        });
        match inside.join().unwrap() {
            Ok(connected) => assert!(connected),
            Err(reason) => assert!(!may && reason.starts_with("unshare("), "{reason}"),
        }
        assert!(TcpListener::bind(address).is_err(), "outside nothing has changed");
    }
}

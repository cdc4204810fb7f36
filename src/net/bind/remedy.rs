//! What helps against a failed bind. Pure.

use crate::event::{Holder, ListenerKind, SocketRole};
use crate::net::holder::PortFacts;
use nix::libc;
use std::net::SocketAddr;

/// All that the advice depends on.
pub(super) struct Circumstances<'a> {
    pub(super) listener: ListenerKind,
    pub(super) address: SocketAddr,
    pub(super) number: i32,
    /// Who holds the port, or why that is not known.
    pub(super) held: Result<&'a [Holder], &'a String>,
    pub(super) ports: &'a PortFacts,
    pub(super) own_pid: u32,
}

impl Circumstances<'_> {
    /// One concrete sentence, without capital and full stop.
    pub(super) fn remedy(&self) -> String {
        let flag = self.flag();
        match self.number {
            libc::EADDRINUSE if self.address.port() == 0 => self.range_exhausted(),
            libc::EADDRINUSE => self.in_use(),
            libc::EACCES | libc::EPERM => self.denied(),
            libc::EADDRNOTAVAIL if self.is_own() => {
                format!("this machine has no {} now: switch it on, or leave {} out of --bind", self.family(), self.ip())
            }
            libc::EADDRNOTAVAIL => format!(
                "{} is no address of this machine: give --bind one that `ip address` lists, or {} for all of them",
                self.ip(),
                if self.address.is_ipv4() { "0.0.0.0" } else { "::" },
            ),
            libc::EAFNOSUPPORT => {
                format!("this machine has no {}: leave {} out of --bind", self.family(), self.ip())
            }
            libc::EINVAL if self.is_link_local() => {
                format!("{} needs an interface, which --bind cannot name: give --bind another address", self.ip())
            }
            libc::EMFILE => "this process has no file descriptor left: raise its limit (`ulimit -n`)".to_owned(),
            libc::ENFILE => "the system has no file descriptor left: raise the sysctl fs.file-max".to_owned(),
            libc::ENOBUFS | libc::ENOMEM => "the system has no memory left for a socket: free some".to_owned(),
            _ => format!("check the address given with --bind and the port given with {flag}"),
        }
    }

    const fn flag(&self) -> &'static str {
        match self.listener {
            ListenerKind::Tcp => "--port",
            ListenerKind::WebSocket => "--websocket-port",
        }
    }

    const fn ip(&self) -> std::net::IpAddr {
        self.address.ip()
    }

    const fn family(&self) -> crate::event::Family {
        crate::event::Family::of(&self.address)
    }

    fn is_own(&self) -> bool {
        self.ip().is_loopback() || self.ip().is_unspecified()
    }

    fn is_link_local(&self) -> bool {
        matches!(self.address, SocketAddr::V6(six) if six.ip().is_unicast_link_local())
    }

    fn in_use(&self) -> String {
        let flag = self.flag();
        let holder = match self.held {
            Ok([first, ..]) => first,
            Ok([]) => {
                return format!(
                    "use another port with {flag}; no table shows the holder, so it is bound without listening, or gone by now"
                );
            }
            Err(reason) => return format!("use another port with {flag} ({reason})"),
        };
        let end = match holder.pid {
            Some(pid) if pid == self.own_pid => {
                return format!("this very process holds it: give each listener a port of its own with {flag}");
            }
            Some(pid) => format!("end pid {pid}"),
            None => "find its process as root (`ss -tanp`) and end it".to_owned(),
        };
        match holder.role {
            SocketRole::Listener => format!("use another port with {flag}, or {end}"),
            SocketRole::Connection => self.taken_by_connection(&end),
            SocketRole::TimeWait => {
                format!("wait a minute until the kernel forgets the old connection, or use another port with {flag}")
            }
        }
    }

    fn taken_by_connection(&self, end: &str) -> String {
        let (flag, port) = (self.flag(), self.address.port());
        match &self.ports.ephemeral {
            Some(range) if range.contains(&port) => format!(
                "{port} lies inside the ephemeral range {}-{}, which outgoing connections use: use a port below {} with {flag}, \
                 or {end}, or reserve it (sysctl net.ipv4.ip_local_reserved_ports={port})",
                range.start(),
                range.end(),
                range.start(),
            ),
            _ => format!("use another port with {flag}, or {end}"),
        }
    }

    fn range_exhausted(&self) -> String {
        let flag = self.flag();
        match &self.ports.ephemeral {
            Some(range) => format!(
                "port 0 asks for any port of the ephemeral range {}-{}, and none is free: give one below {} with {flag}, \
                 or widen the sysctl net.ipv4.ip_local_port_range",
                range.start(),
                range.end(),
                range.start(),
            ),
            None => format!("port 0 asks for any port, and none is free: give one with {flag}"),
        }
    }

    fn denied(&self) -> String {
        let (flag, port) = (self.flag(), self.address.port());
        match self.ports.unprivileged_start.unwrap_or(1024) {
            start if port != 0 && port < start => format!(
                "ports below {start} need a privilege: use one from {start} on with {flag}, \
                 or grant it (`setcap cap_net_bind_service=+ep` on the program)"
            ),
            _ => format!(
                "a security policy (SELinux, AppArmor, seccomp) denies it: look at its log, or use another port with {flag}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(number: i32, address: &str, held: &[Holder]) -> String {
        let ports = PortFacts { ephemeral: Some(32768..=60999), unprivileged_start: Some(1024) };
        Circumstances {
            listener: ListenerKind::Tcp,
            address: address.parse().unwrap(),
            number,
            held: Ok(held),
            ports: &ports,
            own_pid: 1,
        }
        .remedy()
    }

    fn holder(role: SocketRole, pid: Option<u32>) -> Holder {
        let local = "127.0.0.1:7460".parse().unwrap();
        Holder { local, remote: None, role, state: String::new(), pid, command: None }
    }

    #[test]
    fn a_listener_is_named() {
        let by = |pid| advice(libc::EADDRINUSE, "127.0.0.1:7460", &[holder(SocketRole::Listener, pid)]);
        assert_eq!(by(Some(12)), "use another port with --port, or end pid 12");
        assert!(by(None).contains("as root"));
        assert!(by(Some(1)).starts_with("this very process"));
    }

    #[test]
    fn a_connection_is_told_by_whether_its_port_is_ephemeral() {
        let by = |address| advice(libc::EADDRINUSE, address, &[holder(SocketRole::Connection, Some(4711))]);
        let inside = by("0.0.0.0:37909");
        assert!(inside.starts_with("37909 lies inside the ephemeral range 32768-60999"), "{inside}");
        assert!(inside.contains("use a port below 32768 with --port, or end pid 4711"), "{inside}");
        assert_eq!(by("0.0.0.0:7460"), "use another port with --port, or end pid 4711");
    }

    #[test]
    fn each_errno_has_its_own_advice() {
        for (number, address, expected) in [
            (libc::EADDRINUSE, "127.0.0.1:7460", "bound without listening"),
            (libc::EADDRINUSE, "127.0.0.1:0", "ip_local_port_range"),
            (libc::EACCES, "127.0.0.1:80", "use one from 1024 on with --port"),
            (libc::EACCES, "127.0.0.1:8080", "security policy"),
            (libc::EADDRNOTAVAIL, "192.0.2.77:7460", "192.0.2.77 is no address of this machine"),
            (libc::EADDRNOTAVAIL, "[::1]:7460", "no IPv6 now"),
            (libc::EAFNOSUPPORT, "[::]:7460", "leave :: out of --bind"),
            (libc::EINVAL, "[fe80::1]:7460", "needs an interface"),
            (libc::EMFILE, "127.0.0.1:7460", "ulimit -n"),
            (libc::ENFILE, "127.0.0.1:7460", "fs.file-max"),
        ] {
            let text = advice(number, address, &[]);
            assert!(text.contains(expected), "{number} on {address}: {text}");
        }
        let waiting = advice(libc::EADDRINUSE, "127.0.0.1:7460", &[holder(SocketRole::TimeWait, None)]);
        assert!(waiting.starts_with("wait a minute"));
    }

    #[test]
    fn not_known_is_not_nobody() {
        let reason = "who holds it is not known on this system".to_owned();
        let text = Circumstances {
            listener: ListenerKind::WebSocket,
            address: "127.0.0.1:7461".parse().unwrap(),
            number: libc::EADDRINUSE,
            held: Err(&reason),
            ports: &PortFacts::default(),
            own_pid: 1,
        }
        .remedy();
        assert_eq!(text, "use another port with --websocket-port (who holds it is not known on this system)");
    }
}

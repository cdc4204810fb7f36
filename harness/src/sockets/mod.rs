//! The kernel's TCP table through two independent readers, and whether they work. I/O.
//!
//! * [`netstat`]: netlink's `sock_diag` by netstat2, with the owners of every process that we may look at;
//! * [`proc`]: `/proc/net/tcp` and `/proc/net/tcp6`, with queue lengths, owners by `/proc/PID/fd`;
//! * [`holders`](mod@holders): both together: who has a port.
//!
//! Neither says when it is blind: an error reply of netlink reads as the end of the list, and the sockets of other users
//! have no owners. So [`self_test`] looks for a socket of our own through each, and a scenario compares the two.
//!
//! All calls block for milliseconds (both readers may look through `/proc`).

pub mod holders;
#[cfg(target_os = "linux")]
pub mod netstat;
#[cfg(not(target_os = "linux"))]
#[path = "elsewhere.rs"]
pub mod netstat;
#[cfg(target_os = "linux")]
pub mod proc;
#[cfg(not(target_os = "linux"))]
#[path = "elsewhere.rs"]
pub mod proc;

pub use holders::holders;
pub use proc::local_ports;

use crate::evidence::{Observation, SocketRow, TableSource};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

/// Both readers.
const SOURCES: [TableSource; 2] = [TableSource::Netstat2, TableSource::Proc];

/// The sockets that belong to one of `pids` or whose local port is one of `ports`, in any state, sorted.
///
/// # Errors
/// Why this reader cannot tell.
pub fn table(source: TableSource, pids: &[u32], ports: &[u16]) -> Result<Vec<SocketRow>, String> {
    let rows = match source {
        TableSource::Netstat2 => netstat::table(pids, ports),
        TableSource::Proc => proc::table(pids, ports),
    };
    rows.map(|mut rows| {
        rows.sort();
        rows.dedup();
        rows
    })
}

/// The table by both readers, as observations.
pub fn observe(moment: &str, pids: &[u32], ports: &[u16]) -> [Observation; 2] {
    SOURCES.map(|source| {
        let (rows, error) = match table(source, pids, ports) {
            Ok(rows) => (rows, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        Observation::SocketTable { moment: moment.to_owned(), source, rows, error }
    })
}

/// Binds a listener on each loopback address and looks for it through each reader: two observations, or four with IPv6.
pub fn self_test() -> Vec<Observation> {
    let mut found = Vec::new();
    for address in [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))] {
        match TcpListener::bind(address) {
            Ok(listener) => {
                let address = listener.local_addr().unwrap_or(address);
                found.extend(SOURCES.map(|source| look_for(source, address)));
            }
            // A machine without IPv6 is no fault of the readers.
            Err(error) if address.is_ipv6() && no_such_family(&error) => {}
            Err(error) => found.extend(SOURCES.map(|source| Observation::SocketSelfTest {
                source,
                address,
                seen: false,
                owned: false,
                error: Some(format!("cannot bind a socket to look for: {error}")),
            })),
        }
    }
    found
}

fn look_for(source: TableSource, address: SocketAddr) -> Observation {
    let own = std::process::id();
    let (row, error) = match table(source, &[own], &[address.port()]) {
        Ok(rows) => (rows.into_iter().find(|r| r.local == address && r.state == "LISTEN"), None),
        Err(error) => (None, Some(error)),
    };
    let owned = row.as_ref().is_some_and(|r| r.pids.contains(&own));
    Observation::SocketSelfTest { source, address, seen: row.is_some(), owned, error }
}

/// Whether a bind failed because this machine lacks the family or its loopback address.
pub(crate) fn no_such_family(error: &io::Error) -> bool {
    let unsupported = error.raw_os_error() == Some(nix::errno::Errno::EAFNOSUPPORT as i32);
    unsupported || error.kind() == io::ErrorKind::AddrNotAvailable
}

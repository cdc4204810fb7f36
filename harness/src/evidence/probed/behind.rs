//! Behind a socket, on this machine. What could not be seen is in [`Behind::unseen`], never an empty list that means "none".

use crate::evidence::{Answer, Held, ProcessState};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// What this machine knows of a port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behind {
    /// Which port.
    pub port: u16,
    /// Whether it is one for datagrams (UDP): sockets that are open there count as listeners.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub datagrams: bool,
    /// Listening sockets whose address covers the target, or the port on other addresses.
    pub listeners: Vec<Listening>,
    /// Other sockets with that local port: connections, `TIME_WAIT`. Kept: 20 at most.
    pub others: Vec<Held>,
    /// How many others there are.
    pub others_count: u64,
    /// Processes that have bound the port and do not listen.
    pub bound_only: Vec<Holding>,
    /// Listeners on that port in other network namespaces.
    pub elsewhere: Vec<Listening>,
    /// Whether the address can be bound, tried and released at once; `None`: not tried, something listens.
    pub bind: Option<Answer>,
    /// `ListenOverflows` and `ListenDrops` of this machine; `None`: not readable.
    pub overflows: Option<(u64, u64)>,
    /// By how much both rose while the probe connected.
    pub overflows_rose: Option<(u64, u64)>,
    /// `net.core.somaxconn`.
    pub somaxconn: Option<u32>,
    /// `net.ipv4.ip_local_port_range`.
    pub ephemeral_range: Option<(u16, u16)>,
    /// What filters packets here.
    pub firewall: Firewall,
    /// What could not be seen, why, and how it could be.
    pub unseen: Vec<Unseen>,
}

/// A listening socket with its owners.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listening {
    /// Where.
    pub address: SocketAddr,
    /// Whether it takes connections to the target's address.
    pub covers: bool,
    /// Whether an IPv6 socket leaves IPv4 alone (`IPV6_V6ONLY`); `None`: not readable, or IPv4.
    #[serde(default)]
    pub v6only: Option<bool>,
    /// Connections that wait for accept; `None`: not readable.
    pub waiting: Option<u64>,
    /// Most that may wait (the backlog); `None`: not readable.
    pub backlog: Option<u64>,
    /// User id that made the socket.
    pub user_id: Option<u32>,
    /// Its network namespace, where it is not ours: `net:[4026532008]`.
    pub namespace: Option<String>,
    /// Who has it; empty: nobody that we may see.
    pub owners: Vec<Owner>,
}

impl Listening {
    /// Whether a listener on `address` takes connections to `target`, as the kernel decides it. A wildcard of IPv6 without a
    /// known `IPV6_V6ONLY` counts for IPv4, as is the default of Linux.
    pub fn takes(address: SocketAddr, v6only: Option<bool>, target: SocketAddr) -> bool {
        if address.port() != target.port() {
            return false;
        }
        let (own, wanted) = (address.ip().to_canonical(), target.ip().to_canonical());
        own == wanted
            || match (own, wanted) {
                (IpAddr::V4(own), IpAddr::V4(_)) => own.is_unspecified(),
                (IpAddr::V6(own), IpAddr::V6(_)) => own.is_unspecified(),
                (IpAddr::V6(own), IpAddr::V4(_)) => own.is_unspecified() && v6only != Some(true),
                (IpAddr::V4(_), IpAddr::V6(_)) => false,
            }
    }
}

/// A process that has a socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Its id.
    pub pid: u32,
    /// Its command line.
    pub command: Option<String>,
    /// When it was started, UTC.
    pub since: Option<String>,
    /// What it does; `None`: not readable.
    pub state: Option<ProcessState>,
    /// Whether all its threads are stopped or blocked: letters and how often, for instance `T 4`.
    pub threads: Option<String>,
}

/// A process that holds a port without listening.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Its id.
    pub pid: u32,
    /// Its command line.
    pub command: Option<String>,
    /// Inode of the socket.
    pub inode: u64,
}

/// What filters packets on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firewall {
    /// One a tool that could be asked: `nft`, `iptables`, `ip6tables`.
    pub filters: Vec<Filters>,
}

/// What a tool tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filters {
    /// Which tool.
    pub tool: String,
    /// Rules that drop or reject and name the port or no port. Kept: 10 at most, each cut.
    pub rules: Vec<String>,
    /// Rules in all.
    pub count: u64,
}

/// Something that could not be seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unseen {
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
    /// How it could be.
    pub remedy: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_takes_what_its_address_and_family_cover() {
        let takes =
            |own: &str, only, target: &str| Listening::takes(own.parse().unwrap(), only, target.parse().unwrap());
        assert!(takes("127.0.0.1:9", None, "127.0.0.1:9") && takes("0.0.0.0:9", None, "127.0.0.1:9"));
        assert!(!takes("127.0.0.1:9", None, "127.0.0.2:9") && !takes("127.0.0.1:9", None, "127.0.0.1:8"));
        assert!(takes("[::]:9", Some(false), "127.0.0.1:9") && !takes("[::]:9", Some(true), "127.0.0.1:9"));
        assert!(takes("[::]:9", Some(true), "[::1]:9") && !takes("0.0.0.0:9", None, "[::1]:9"));
        assert!(takes("[::ffff:127.0.0.1]:9", Some(false), "127.0.0.1:9"));
    }
}

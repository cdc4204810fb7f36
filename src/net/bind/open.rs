//! The system calls of a bind. I/O.

use crate::event::Holder;
use crate::net::holder::{self, PortFacts};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Connections that may wait to be accepted.
pub const BACKLOG: u32 = 1024;

/// A system call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// Which.
    pub(super) call: &'static str,
    /// Its errno.
    pub(super) number: i32,
}

impl Refused {
    fn by(call: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self { call, number: error.raw_os_error().unwrap_or(0) }
    }
}

/// What a bind asks of the operating system, so that tests can play one that says no.
pub(super) trait System {
    fn listen(&self, address: SocketAddr) -> Result<TcpListener, Refused>;
    fn holders(&self, address: SocketAddr) -> Result<Vec<Holder>, String> {
        holder::holders(address)
    }
    fn port_facts(&self) -> PortFacts {
        holder::port_facts()
    }
}

/// The real one.
pub(super) struct Kernel;

impl System for Kernel {
    fn listen(&self, address: SocketAddr) -> Result<TcpListener, Refused> {
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).map_err(Refused::by("socket"))?;
        socket.set_reuse_address(true).map_err(Refused::by("setsockopt"))?;
        if address.is_ipv6() {
            socket.set_only_v6(true).map_err(Refused::by("setsockopt"))?;
        }
        socket.set_nonblocking(true).map_err(Refused::by("fcntl"))?;
        socket.bind(&address.into()).map_err(Refused::by("bind"))?;
        socket.listen(i32::try_from(BACKLOG).unwrap_or(i32::MAX)).map_err(Refused::by("listen"))?;
        Ok(socket.into())
    }
}

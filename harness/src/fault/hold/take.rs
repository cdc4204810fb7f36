//! The ways of having a port.

use super::Claim;
use crate::evidence::TableSource;
use crate::evidence::fault::Hold;
use crate::fault::reason;
use crate::sockets;
use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::thread::sleep;
use std::time::Duration;

/// How often another port is drawn when one is free on some of the addresses only.
const DRAWS: u32 = 50;
/// The first port of a range.
const LOW: u16 = 40_000;
/// How often the table is looked at for `TIME_WAIT`, and how long after another.
const LOOKS: u32 = 400;
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);
const RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// What the kernel adds to every new network when its module is loaded; none of them leads anywhere.
const FALLBACK: &[&str] =
    &["lo", "tunl0", "sit0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "ip6tnl0", "ip6gre0"];

/// What is held for as long as this lives.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) addresses: Vec<SocketAddr>,
    /// Non-blocking; they want to be answered.
    pub(super) servers: Vec<TcpListener>,
    pub(super) kept: Vec<Socket>,
}

/// Takes it. Blocks, for `TIME_WAIT` some milliseconds.
///
/// # Errors
/// `operation object: cause (ERRNO)`.
pub(super) fn take(claim: Claim, on: &[IpAddr]) -> Result<Taken, String> {
    match claim {
        Claim::Port(Hold::Listener) => {
            let (sockets, addresses) = on_one_port(on, |address| listening(address, true))?;
            let servers = sockets.into_iter().map(|socket| socket.set_nonblocking(true).map(|()| socket.into()));
            let servers = servers.collect::<io::Result<_>>().map_err(|e| reason("fcntl", "the listener", &e))?;
            Ok(Taken { addresses, servers, kept: Vec::new() })
        }
        Claim::Port(Hold::Bound) => {
            let (kept, addresses) = on_one_port(on, |address| bound(address, false))?;
            Ok(Taken { addresses, kept, servers: Vec::new() })
        }
        Claim::Port(Hold::Connection) => connection(on),
        Claim::Port(Hold::TimeWait) => time_wait(on),
        Claim::Range { ports } => range(on, ports),
    }
}

/// A system call on an address that failed.
struct Refused {
    call: &'static str,
    address: SocketAddr,
    error: io::Error,
}

impl Refused {
    fn by(call: &'static str, address: SocketAddr) -> impl Fn(io::Error) -> Self {
        move |error| Self { call, address, error }
    }

    fn told(&self) -> String {
        reason(self.call, self.address, &self.error)
    }
}

fn bound(address: SocketAddr, reuse: bool) -> Result<Socket, Refused> {
    let refused = |call| Refused::by(call, address);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP));
    let socket = socket.map_err(refused("socket"))?;
    socket.set_reuse_address(reuse).map_err(refused("setsockopt"))?;
    if address.is_ipv6() {
        socket.set_only_v6(true).map_err(refused("setsockopt"))?;
    }
    socket.bind(&address.into()).map_err(refused("bind"))?;
    Ok(socket)
}

fn listening(address: SocketAddr, reuse: bool) -> Result<Socket, Refused> {
    let socket = bound(address, reuse)?;
    socket.listen(128).map_err(Refused::by("listen", address))?;
    Ok(socket)
}

fn local(socket: &Socket, near: SocketAddr) -> Result<SocketAddr, Refused> {
    let address = socket.local_addr().and_then(|a| a.as_socket().ok_or_else(|| Errno::EAFNOSUPPORT.into()));
    address.map_err(Refused::by("getsockname", near))
}

/// A socket on each address, all on the port that the kernel gives the first one; drawn again while another lacks it.
fn on_one_port(
    on: &[IpAddr],
    make: impl Fn(SocketAddr) -> Result<Socket, Refused>,
) -> Result<(Vec<Socket>, Vec<SocketAddr>), String> {
    let draw = || {
        let (mut sockets, mut addresses, mut port) = (Vec::new(), Vec::new(), 0);
        for ip in on {
            let wanted = SocketAddr::new(*ip, port);
            let socket = make(wanted)?;
            let address = local(&socket, wanted)?;
            port = address.port();
            sockets.push(socket);
            addresses.push(address);
        }
        Ok((sockets, addresses))
    };
    let mut left = DRAWS;
    loop {
        left -= 1;
        match draw() {
            Err(Refused { error, .. }) if left > 0 && error.kind() == io::ErrorKind::AddrInUse => {}
            other => return other.map_err(|refused: Refused| refused.told()),
        }
    }
}

/// The two ends of a connection to an address, and the listener between them.
struct Pair {
    client: Socket,
    accepted: Socket,
}

/// The kernel chooses the client's port, as it does for anybody who connects.
fn pair(listener: &Socket, at: SocketAddr) -> Result<Pair, Refused> {
    let client = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP));
    let client = client.map_err(Refused::by("socket", at))?;
    client.connect(&at.into()).map_err(Refused::by("connect", at))?;
    let (accepted, _) = listener.accept().map_err(Refused::by("accept", at))?;
    Ok(Pair { client, accepted })
}

fn connection(on: &[IpAddr]) -> Result<Taken, String> {
    let [ip] = on else {
        return Err(format!("connect {on:?}: a connection has one local address, and the kernel chooses its port"));
    };
    let make = || {
        let wanted = SocketAddr::new(*ip, 0);
        let listener = listening(wanted, false)?;
        let Pair { client, accepted } = pair(&listener, local(&listener, wanted)?)?;
        let address = local(&client, wanted)?;
        Ok((address, vec![client, accepted, listener]))
    };
    let (address, kept) = make().map_err(|refused: Refused| refused.told())?;
    if address.ip() != *ip {
        return Err(format!("connect {ip}: the kernel chose {} for this end of the connection", address.ip()));
    }
    Ok(Taken { addresses: vec![address], kept, servers: Vec::new() })
}

fn time_wait(on: &[IpAddr]) -> Result<Taken, String> {
    let (listeners, addresses) = on_one_port(on, |address| listening(address, false))?;
    for (listener, address) in listeners.into_iter().zip(&addresses) {
        let Pair { client, accepted } = pair(&listener, *address).map_err(|refused| refused.told())?;
        // Who closes first is the one that waits.
        drop(accepted);
        drop(client);
    }
    for _ in 0..LOOKS {
        let ports: Vec<_> = addresses.iter().map(SocketAddr::port).collect();
        let rows = sockets::table(TableSource::Proc, &[], &ports)?;
        let on_it = |address| rows.iter().filter(move |row| row.local == address);
        let waits = |address| on_it(address).count() > 0 && on_it(address).all(|row| row.state == "TIME_WAIT");
        if addresses.iter().all(|address| waits(*address)) {
            return Ok(Taken { addresses, ..Taken::default() });
        }
        sleep(BETWEEN_LOOKS);
    }
    Err(format!("close {addresses:?}: nothing is in TIME_WAIT"))
}

/// Takes the whole ephemeral range, after it was made small. It changes the network for everybody in it.
fn range(on: &[IpAddr], ports: u16) -> Result<Taken, String> {
    let devices = fs::read_to_string("/proc/net/dev").map_err(|e| reason("read", "/proc/net/dev", &e))?;
    if let Some(other) = leads_out(&devices) {
        return Err(format!("write {RANGE}: only in a private network, and this one has {other}"));
    }
    let high = ports.checked_sub(1).and_then(|more| LOW.checked_add(more));
    let high = high.ok_or_else(|| format!("write {RANGE}: {ports} ports from {LOW} on are no range"))?;
    fs::write(RANGE, format!("{LOW} {high}")).map_err(|e| reason("write", RANGE, &e))?;
    let mut taken = Taken::default();
    for address in (LOW..=high).flat_map(|port| on.iter().map(move |ip| SocketAddr::new(*ip, port))) {
        taken.kept.push(listening(address, false).map_err(|refused| refused.told())?);
        taken.addresses.push(address);
    }
    Ok(taken)
}

/// The first interface in the text of `/proc/net/dev` that a private network does not have.
fn leads_out(devices: &str) -> Option<&str> {
    let names = devices.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim()));
    names.into_iter().find(|name| !FALLBACK.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Inter-|   Receive  |  Transmit\n face |bytes packets |bytes packets\n";

    #[test]
    fn a_network_that_leads_out_is_told_from_a_private_one() {
        assert_eq!(leads_out(&format!("{HEAD}    lo: 0 0 0 0\n")), None);
        assert_eq!(leads_out(&format!("{HEAD}    lo: 0 0\n tunl0: 0 0\nip6tnl0: 0 0\n")), None);
        assert_eq!(leads_out(&format!("{HEAD}    lo: 0 0\n  eth0: 1 1\n")), Some("eth0"));
    }

    #[test]
    fn a_connection_has_one_address() {
        let on = ["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        assert!(connection(&on).unwrap_err().contains("one local address"));
        assert!(connection(&[]).is_err());
    }
}

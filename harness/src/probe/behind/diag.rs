//! The kernel's socket tables by netlink (`sock_diag(7)`), filtered there: with queue lengths, and from Linux 6.8 on with
//! sockets that are bound and neither listen nor are connected.

use nix::errno::Errno;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt, socket,
};
use nix::sys::time::TimeVal;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd as _;

/// States as bits of a filter: `LISTEN`.
pub const LISTEN: u32 = 1 << 10;
/// Everything with two ends, `TIME_WAIT` too.
pub const CONNECTED: u32 = 0xbfe & !(1 << 7);
/// Bound, and neither listening nor connected (Linux 6.8); older kernels give nothing.
pub const BOUND: u32 = 1 << 13;
/// Of UDP: what a socket without a peer is.
pub const UNCONNECTED: u32 = 1 << 7;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_DUMP_REQUEST: u16 = 0x301;
const HEADER: usize = 16;
/// `struct inet_diag_msg`.
const ROW: usize = 72;
/// `INET_DIAG_SKV6ONLY`.
const V6ONLY: u16 = 11;
/// As much as the kernel puts into one message.
const BUFFER: usize = 64 * 1024;
/// Most rows that are kept.
const MOST: usize = 200_000;

/// A socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Own address.
    pub local: SocketAddr,
    /// Other end; all zeros where there is none.
    pub remote: SocketAddr,
    /// The kernel's number of its state.
    pub state: u8,
    /// User id that made it.
    pub uid: u32,
    /// Inode; 0 if no process owns it.
    pub inode: u64,
    /// For a listener connections that wait for accept, else bytes that wait for read.
    pub waiting: u32,
    /// For a listener the most that may wait, else bytes that are not acknowledged.
    pub most: u32,
    /// `IPV6_V6ONLY`; `None`: not told.
    pub v6only: Option<bool>,
}

/// Which protocol's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// The sockets of both families in these states, with this local port (0: any).
///
/// # Errors
/// The call and its errno.
pub fn sockets(protocol: Protocol, states: u32, port: u16) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        dump(family, protocol, states, port, &mut rows).map_err(|errno| format!("sock_diag: {errno}"))?;
    }
    // older kernels take no note of the filter
    rows.retain(|row| port == 0 || row.local.port() == port);
    Ok(rows)
}

fn dump(family: AddressFamily, protocol: Protocol, states: u32, port: u16, rows: &mut Vec<Row>) -> Result<(), Errno> {
    let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkSockDiag)?;
    setsockopt(&socket, ReceiveTimeout, &TimeVal::new(1, 0))?;
    let request = request(family as u8, protocol, states, port);
    sendto(socket.as_raw_fd(), &request, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut buffer = vec![0; BUFFER];
    while rows.len() < MOST {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        if length == 0 || take(&buffer[..length], rows)? {
            break;
        }
    }
    Ok(())
}

/// `nlmsghdr` and `inet_diag_req_v2`.
fn request(family: u8, protocol: Protocol, states: u32, port: u16) -> Vec<u8> {
    let number = match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
    };
    let mut body = vec![family, number, 0, 0];
    body.extend(states.to_ne_bytes());
    body.extend(port.to_be_bytes());
    body.resize(48, 0);
    // no cookie
    body.extend([0xff; 8]);
    let length = u32::try_from(HEADER + body.len()).unwrap_or(0);
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(NLM_F_DUMP_REQUEST.to_ne_bytes());
    message.extend(1_u32.to_ne_bytes());
    message.extend([0; 4]);
    message.extend(body);
    message
}

/// Takes the rows of one message; whether it was the last.
fn take(mut bytes: &[u8], rows: &mut Vec<Row>) -> Result<bool, Errno> {
    while let (Some(length), Some(kind)) = (wide(bytes, 0), short(bytes, 4)) {
        let length = length as usize;
        let Some(body) = bytes.get(HEADER..length) else { return Err(Errno::EBADMSG) };
        match kind {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => {
                let number = wide(body, 0).map_or(0, u32::cast_signed);
                return if number == 0 { Ok(true) } else { Err(Errno::from_raw(number.saturating_neg())) };
            }
            SOCK_DIAG_BY_FAMILY => rows.push(row(body).ok_or(Errno::EBADMSG)?),
            _ => {}
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// `struct inet_diag_msg` and its attributes.
fn row(body: &[u8]) -> Option<Row> {
    let v6 = *body.first()? == AddressFamily::Inet6 as u8;
    let scope = wide(body, 40)?;
    let address = |port: usize, at: usize| {
        let port = u16::from_be_bytes(body.get(port..port + 2)?.try_into().ok()?);
        let bytes: [u8; 16] = body.get(at..at + 16)?.try_into().ok()?;
        let [a, b, c, d, ..] = bytes;
        let ip = Ipv6Addr::from(bytes);
        let scope = if ip.is_unicast_link_local() { scope } else { 0 };
        let v4 = IpAddr::V4(Ipv4Addr::new(a, b, c, d));
        Some(if v6 { SocketAddrV6::new(ip, port, 0, scope).into() } else { SocketAddr::new(v4, port) })
    };
    Some(Row {
        local: address(4, 8)?,
        remote: address(6, 24)?,
        state: *body.get(1)?,
        waiting: wide(body, 56)?,
        most: wide(body, 60)?,
        uid: wide(body, 64)?,
        inode: u64::from(wide(body, 68)?),
        v6only: attribute(body.get(ROW..)?, V6ONLY).and_then(|value| Some(*value.first()? != 0)),
    })
}

fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let (length, kind) = (usize::from(short(bytes, 0)?), short(bytes, 2)?);
        let value = bytes.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn wide(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn our_own_sockets_are_in_the_table() {
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(3).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let Ok(rows) = sockets(Protocol::Tcp, LISTEN, address.port()) else { return }; // a sandbox without netlink
        let [one] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!((one.local, one.state, one.waiting, one.most), (address, 10, 1, 3));
        let rows = sockets(Protocol::Tcp, CONNECTED, address.port()).unwrap();
        assert!(rows.iter().any(|row| row.remote == client.local_addr().unwrap() && row.state == 1), "{rows:?}");
    }

    #[test]
    fn whether_a_wildcard_is_for_ipv6_alone() {
        for only in [true, false] {
            let Ok(socket) = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None) else { return };
            socket.set_only_v6(only).unwrap();
            let any: SocketAddr = "[::]:0".parse().unwrap();
            if socket.bind(&any.into()).is_err() || socket.listen(1).is_err() {
                return; // a machine without IPv6
            }
            let port = socket.local_addr().unwrap().as_socket().unwrap().port();
            let Ok(rows) = sockets(Protocol::Tcp, LISTEN, port) else { return };
            assert_eq!(rows[0].v6only, Some(only), "{rows:?}");
        }
    }

    #[test]
    fn a_datagram_socket_is_in_the_other_table() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let Ok(rows) = sockets(Protocol::Udp, UNCONNECTED, address.port()) else { return };
        assert!(rows.iter().any(|row| row.local == address), "{rows:?}");
        drop(TcpListener::bind(address)); // another table: no conflict
    }

    proptest! {
        #[test]
        fn no_bytes_panic_or_hang(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut rows = Vec::new();
            let last = take(&bytes, &mut rows);
            prop_assert!(last.is_err() || rows.len() <= bytes.len());
            prop_assert!(row(&bytes).is_none() || bytes.len() >= ROW);
            prop_assert!(attribute(&bytes, V6ONLY).is_none_or(|value| value.len() < bytes.len()));
        }
    }
}

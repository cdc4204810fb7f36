//! netlink's `sock_diag` through netstat2.
//!
//! Its traps: it panics when `/proc` cannot be listed; sockets and owners are two scans, so a socket of a moment may have no
//! owner; an error reply of netlink reads as the end of the list (the self-test is there for that).

use crate::evidence::SocketRow;
use netstat2::{
    AddressFamilyFlags, ProtocolFlags, ProtocolSocketInfo, SocketInfo, TcpSocketInfo, TcpState, iterate_sockets_info,
};
use std::net::SocketAddr;

/// See [`super::table`]. `rx_queue` is never known.
pub fn table(pids: &[u32], ports: &[u16]) -> Result<Vec<SocketRow>, String> {
    let rows = look(pids, ports)?;
    // An inode without an owner: another user's, or it came or went between the two scans. The latter deserves a second look.
    if rows.iter().any(|r| r.inode != 0 && r.pids.is_empty()) { look(pids, ports) } else { Ok(rows) }
}

fn look(pids: &[u32], ports: &[u16]) -> Result<Vec<SocketRow>, String> {
    std::fs::read_dir("/proc").map_err(|e| format!("cannot list /proc: {e}"))?;
    let all = std::panic::catch_unwind(|| {
        let sockets = iterate_sockets_info(AddressFamilyFlags::IPV4 | AddressFamilyFlags::IPV6, ProtocolFlags::TCP)?;
        sockets.collect::<Result<Vec<_>, _>>()
    });
    let all = all.map_err(|_| "netstat2 panicked".to_owned())?.map_err(|e| format!("netlink: {e}"))?;
    let rows = all.into_iter().filter_map(row);
    Ok(rows.filter(|r| ports.contains(&r.local.port()) || r.pids.iter().any(|p| pids.contains(p))).collect())
}

fn row(socket: SocketInfo) -> Option<SocketRow> {
    let ProtocolSocketInfo::Tcp(tcp) = socket.protocol_socket_info else { return None };
    let TcpSocketInfo { local_addr, local_port, remote_addr, remote_port, state } = tcp;
    let listens = state == TcpState::Listen;
    let mut pids = socket.associated_pids;
    pids.sort_unstable();
    Some(SocketRow {
        local: SocketAddr::new(local_addr, local_port),
        remote: (!listens).then(|| SocketAddr::new(remote_addr, remote_port)),
        state: name(state).to_owned(),
        inode: u64::from(socket.inode),
        pids,
        rx_queue: None,
    })
}

/// The kernel's names, so that both readers speak alike.
const fn name(state: TcpState) -> &'static str {
    match state {
        TcpState::Established => "ESTABLISHED",
        TcpState::SynSent => "SYN_SENT",
        TcpState::SynReceived => "SYN_RECV",
        TcpState::FinWait1 => "FIN_WAIT1",
        TcpState::FinWait2 => "FIN_WAIT2",
        TcpState::TimeWait => "TIME_WAIT",
        TcpState::Closed => "CLOSE",
        TcpState::CloseWait => "CLOSE_WAIT",
        TcpState::LastAck => "LAST_ACK",
        TcpState::Listen => "LISTEN",
        TcpState::Closing => "CLOSING",
        TcpState::DeleteTcb | TcpState::Unknown => "UNKNOWN",
    }
}

//! One message of rtnetlink: an interface goes up.

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket};
use std::os::fd::AsRawFd as _;

/// `lo` is the first interface of every network.
pub(super) const LOOPBACK: i32 = 1;

const RTM_NEWLINK: u16 = 16;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLMSG_ERROR: u16 = 2;
const IFF_UP: u32 = 1;

/// Brings an interface up and reads the kernel's answer.
pub(super) fn up(index: i32) -> Result<(), Errno> {
    let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    sendto(socket.as_raw_fd(), &message(index), &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut answer = [0; 1024];
    // The kernel answers before sendto returns; without an answer this is EAGAIN instead of a wait without end.
    let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::MSG_DONTWAIT)?;
    verdict(&answer[..length])
}

/// `nlmsghdr` (length, type, flags, sequence, port) and `ifinfomsg` (family, padding, type, index, flags, which of them).
fn message(index: i32) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(RTM_NEWLINK.to_ne_bytes());
    body.extend((NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
    body.extend(1_u32.to_ne_bytes());
    body.extend(0_u32.to_ne_bytes());
    body.extend([0; 4]);
    body.extend(index.to_ne_bytes());
    body.extend(IFF_UP.to_ne_bytes());
    body.extend(IFF_UP.to_ne_bytes());
    let mut message = 32_u32.to_ne_bytes().to_vec();
    message.extend(body);
    message
}

/// An acknowledgement is an error message with the number 0.
fn verdict(answer: &[u8]) -> Result<(), Errno> {
    let kind = answer.get(4..6).and_then(|b| b.try_into().ok()).map(u16::from_ne_bytes);
    let number = answer.get(16..20).and_then(|b| b.try_into().ok()).map(i32::from_ne_bytes);
    match (kind, number) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(number)) => Err(Errno::from_raw(number.saturating_neg())),
        _ => Err(Errno::EBADMSG),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn the_message_is_laid_out_as_the_kernel_reads_it() {
        let expected = [
            32, 0, 0, 0, 16, 0, 5, 0, 1, 0, 0, 0, 0, 0, 0, 0, // header
            0, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, // interface 7, IFF_UP, change IFF_UP
        ];
        assert_eq!(message(7), expected);
    }

    #[test]
    fn an_answer_becomes_its_errno() {
        let answer = |kind: u16, number: i32| {
            let mut bytes = vec![0; 36];
            bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
            bytes[16..20].copy_from_slice(&number.to_ne_bytes());
            verdict(&bytes)
        };
        assert_eq!(answer(NLMSG_ERROR, 0), Ok(()));
        assert_eq!(answer(NLMSG_ERROR, -1), Err(Errno::EPERM));
        assert_eq!(answer(3, 0), Err(Errno::EBADMSG));
        assert_eq!(verdict(&[2; 7]), Err(Errno::EBADMSG));
    }

    #[test]
    fn the_kernel_knows_the_message() {
        // no such interface, or no right: both are answers
        let refused = up(i32::MAX).unwrap_err();
        assert!([Errno::ENODEV, Errno::EPERM].contains(&refused), "{refused}");
    }
}

//! Can an address be bound?

use crate::evidence::Answer;
use sidetone::net::errno;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;

/// A system call that failed.
struct Refused(&'static str, io::Error);

/// Binds as a server would (`SO_REUSEADDR`) and lets go at once. It never listens, so nobody connects by mistake, and what
/// only `listen` would refuse is not seen.
pub fn bind(address: SocketAddr, v6only: Option<bool>) -> Answer {
    let Err(Refused(call, error)) = open(address, v6only) else { return Answer::Bound {} };
    match errno::errno(&error) {
        // Our own limit says nothing of the address.
        Some(own) if ["EMFILE", "ENFILE"].contains(&own.name.as_str()) => {
            Answer::None { why: format!("the harness itself cannot open a socket: {own}") }
        }
        Some(errno) => Answer::NotBound { call: call.to_owned(), errno },
        None => Answer::None { why: format!("{call}: {error}") },
    }
}

fn open(address: SocketAddr, v6only: Option<bool>) -> Result<Socket, Refused> {
    let by = |call| move |error| Refused(call, error);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP)).map_err(by("socket"))?;
    socket.set_reuse_address(true).map_err(by("setsockopt"))?;
    if let Some(only) = v6only.filter(|_| address.is_ipv6()) {
        socket.set_only_v6(only).map_err(by("setsockopt"))?;
    }
    socket.bind(&address.into()).map_err(by("bind"))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn in_use(answer: &Answer) -> bool {
        matches!(answer, Answer::NotBound { call, errno } if call == "bind" && errno.name == "EADDRINUSE")
    }

    #[test]
    fn a_held_port_cannot_be_bound_and_any_port_can() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answer = bind(address, None);
        assert!(in_use(&answer), "{answer:?}");
        assert_eq!(bind(SocketAddr::from(([127, 0, 0, 1], 0)), None), Answer::Bound {});
        // an address of documentation, which no machine has
        let answer = bind(SocketAddr::from(([192, 0, 2, 1], 0)), None);
        assert!(
            matches!(&answer, Answer::NotBound { call, errno } if call == "bind" && errno.name == "EADDRNOTAVAIL"),
            "{answer:?}"
        );
    }

    #[test]
    fn without_v6only_ipv4_is_in_the_way() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let Ok(socket) = open("[::1]:0".parse().unwrap(), Some(true)) else { return }; // a machine without IPv6
        assert!(socket.only_v6().unwrap());
        let answer = bind(SocketAddr::new("::ffff:127.0.0.1".parse().unwrap(), port), Some(false));
        assert!(in_use(&answer), "{answer:?}");
    }
}

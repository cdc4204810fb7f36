//! TCP connections.

use crate::evidence::probed::{Connected, Failure, Saw, Step};
use crate::launch::resources;
use crate::probe::failure;
use crate::probe::watch::Watch;
use crate::sockets;
use nix::libc;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::time::timeout_at;

/// Time between the beginnings of two attempts (RFC 8305, section 5), in microseconds.
const STAGGER_US: u64 = 250_000;

/// Connects to every address at once, and tells the order in which a client that follows RFC 8305 would, and which connection
/// such a client would use.
pub async fn connect_all(addresses: &[SocketAddr], watch: Watch) -> Vec<(Step, Option<TcpStream>)> {
    let mut all = futures_util::future::join_all(addresses.iter().map(|address| connect(*address, watch))).await;
    let measured: Vec<_> = all.iter().map(|(step, stream)| (step.took_us, stream.is_some())).collect();
    let (begins, chosen) = happy_eyeballs(&measured);
    for (index, (step, _)) in all.iter_mut().enumerate() {
        if let Saw::Connect(connected) = &mut step.saw {
            connected.order = u32::try_from(index + 1).unwrap_or(u32::MAX);
            connected.client_begins_ms = begins.get(index).copied().unwrap_or_default() / 1_000;
            connected.chosen = chosen == Some(index);
        }
    }
    all
}

/// When each attempt would begin, in microseconds after the first, and which one would win: from how long each took and
/// whether it succeeded. The next begins when the one before has failed, or after the stagger.
fn happy_eyeballs(measured: &[(u64, bool)]) -> (Vec<u64>, Option<usize>) {
    let mut begins = Vec::new();
    let mut next = 0;
    for (took, succeeded) in measured {
        begins.push(next);
        next += if *succeeded { STAGGER_US } else { STAGGER_US.min(*took) };
    }
    let ends = measured.iter().zip(&begins).enumerate();
    let won = ends.filter(|(_, ((_, succeeded), _))| *succeeded).min_by_key(|(_, ((took, _), begin))| **begin + took);
    let won = won.map(|(index, _)| index);
    (begins, won)
}

/// Connects once.
pub async fn connect(address: SocketAddr, watch: Watch) -> (Step, Option<TcpStream>) {
    let lap = watch.begin();
    let (stream, failure) = match timeout_at(lap.until(), TcpStream::connect(address)).await {
        Err(_) => (None, Some(failure::late(watch.deadline, &[]))),
        Ok(Err(error)) => (None, Some(why(&error))),
        // what is asked is small, and a figure must not hold the wait for an acknowledgement
        Ok(Ok(stream)) => match stream.set_nodelay(true) {
            Ok(()) => (Some(stream), None),
            Err(error) => (None, Some(failure::of(&error))),
        },
    };
    let local = stream.as_ref().and_then(|stream| stream.local_addr().ok());
    let chosen = stream.is_some();
    (
        lap.end(
            address,
            Saw::Connect(Connected { order: 1, chosen, local, attempts: 1, failure, ..Connected::default() }),
        ),
        stream,
    )
}

/// For want of a port of our own it says how many are taken: that is no fault of the way.
fn why(error: &io::Error) -> Failure {
    let failure = failure::of(error);
    if error.raw_os_error() != Some(libc::EADDRNOTAVAIL) {
        return failure;
    }
    let range = resources::ephemeral_range().zip(sockets::local_ports().ok());
    match range {
        Some(((low, high), ports)) => {
            let taken = ports.range(low..=high.max(low)).count();
            let all = u32::from(high.saturating_sub(low)) + 1;
            Failure {
                words: format!("{taken} of the {all} ports {low}-{high} for outgoing connections are taken"),
                ..failure
            }
        }
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::probed::How;
    use std::net::TcpListener;
    use std::time::Duration;

    #[test]
    fn the_next_attempt_waits_for_a_failure_or_the_stagger() {
        // refused at once, and the second answers
        assert_eq!(happy_eyeballs(&[(100, false), (2_000, true)]), (vec![0, 100], Some(1)));
        // the first hangs until its deadline
        assert_eq!(happy_eyeballs(&[(3_000_000, false), (2_000, true)]), (vec![0, 250_000], Some(1)));
        // the first takes longer than the stagger, the second is faster than the rest of it
        assert_eq!(happy_eyeballs(&[(400_000, true), (1_000, true)]), (vec![0, 250_000], Some(1)));
        assert_eq!(happy_eyeballs(&[(100_000, true), (1_000, true)]), (vec![0, 250_000], Some(0)));
        assert_eq!(happy_eyeballs(&[(1, false)]), (vec![0], None));
        assert_eq!(happy_eyeballs(&[]), (vec![], None));
    }

    #[tokio::test]
    async fn one_refused_and_one_that_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        // bound and not listening, so that nobody else gets the port
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let shut = socket.local_addr().unwrap().as_socket().unwrap();

        let all = connect_all(&[shut, open], Watch::start(Duration::from_secs(10))).await;
        let [(refused, None), (answered, Some(stream))] = &all[..] else { panic!("{all:?}") };
        assert!(stream.nodelay().unwrap());
        let seen = |step: &Step| {
            let Saw::Connect(connected) = &step.saw else { panic!("{step}") };
            connected.clone()
        };
        let refusal_us = refused.took_us;
        let (refused, answered) = (seen(refused), seen(answered));
        let failure = refused.failure.unwrap();
        assert_eq!((refused.order, refused.chosen, failure.how), (1, false, How::Refused));
        assert_eq!(failure.errno.unwrap().name, "ECONNREFUSED");
        assert_eq!((answered.order, answered.chosen, answered.failure), (2, true, None));
        assert_eq!(answered.local, Some(stream.local_addr().unwrap()));
        assert_eq!(answered.client_begins_ms, refusal_us.min(STAGGER_US) / 1_000, "the refusal is not waited out");
    }

    #[test]
    fn without_a_port_of_our_own_it_says_how_many_are_taken() {
        let failure = why(&io::Error::from_raw_os_error(libc::EADDRNOTAVAIL));
        assert_eq!(failure.how, How::Unreachable);
        #[cfg(target_os = "linux")]
        assert!(failure.words.contains(" for outgoing connections are taken"), "{failure}");
    }
}

//! What the diagnosis wants to know more: questions whose answers decide between hypotheses. Each comes with its reason.

use super::listeners::{Missing, as_the_server, errno, missing, own_listener, reachable};
use super::view::{SERVER, View};
use crate::evidence::{Answer, Evidence, Ledger, Observation, Question};
use sidetone::event::Event;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Most ports outside the ephemeral range that are tried until one can be bound.
const TRIES: u16 = 3;

/// The questions that are open, in the order in which they should be asked; empty: nothing more would help.
pub fn questions(evidence: &Evidence) -> Vec<(Question, String)> {
    let mut view = View { evidence, ledger: Ledger::new(evidence) };
    let mut wanted = Wanted::default();
    let all = missing(&mut view);
    for one in &all {
        of_missing(&view, one, &mut wanted);
    }
    of_process(&view, &mut wanted);
    of_refusals(&view, &all, &mut wanted);
    of_claims(&view, &mut wanted);
    wanted.0.retain(|(question, _)| view.answer_to(question).is_none());
    wanted.0
}

#[derive(Default)]
struct Wanted(Vec<(Question, String)>);

impl Wanted {
    fn ask(&mut self, question: Question, because: &str) {
        if self.0.iter().all(|(q, _)| *q != question) {
            self.0.push((question, because.to_owned()));
        }
    }
}

/// A listener is missing: who is in the way, and does it depend on address, family, V6ONLY or the port?
fn of_missing(view: &View<'_>, missing: &Missing, wanted: &mut Wanted) {
    let asked = missing.address;
    let port = asked.port();
    if port != 0 {
        wanted.ask(Question::Holders { port }, "another listener, an outgoing connection or TIME_WAIT");
        wanted.ask(as_the_server(asked), "still so, or only at that moment; the server or its library, or the system");
    }
    let own = || match view.answer_to(&as_the_server(asked)) {
        Some((_, Answer::NotBound { errno, .. })) => Some(errno.number),
        _ => None,
    };
    let number = missing.number().or_else(own);
    match number {
        Some(errno::EADDRINUSE) if port == 0 => {
            wanted.ask(Question::EphemeralRange {}, "the range is full, or something else takes all ports");
            wanted.ask(
                as_the_server(asked),
                "still so, or only at that moment; the server or its library, or the system",
            );
        }
        Some(errno::EADDRINUSE) => {
            let v4 = |ip: Ipv4Addr| Question::Bind { address: SocketAddr::new(IpAddr::V4(ip), port), v6only: None };
            let v6 = |ip: Ipv6Addr, only| Question::Bind {
                address: SocketAddr::new(IpAddr::V6(ip), port),
                v6only: Some(only),
            };
            // where the server itself listens a bind would only meet the server
            let own = |ip: IpAddr| own_listener(view, ip, port).is_some();
            if !own(Ipv4Addr::UNSPECIFIED.into()) {
                wanted.ask(v4(Ipv4Addr::LOCALHOST), "the address, or the port on every address");
                wanted.ask(v4(Ipv4Addr::UNSPECIFIED), "one address, or the wildcard");
            }
            if view.evidence.environment.ipv6 != Some(false) && !own(Ipv6Addr::UNSPECIFIED.into()) {
                wanted.ask(v6(Ipv6Addr::LOCALHOST, true), "one family, or both");
                wanted.ask(v6(Ipv6Addr::UNSPECIFIED, true), "one family, or both");
                wanted.ask(v6(Ipv6Addr::UNSPECIFIED, false), "a conflict between the families (V6ONLY), or not");
            }
            for (_, kind, address) in view.asked() {
                if kind == missing.kind && address.port() == port {
                    let address = reachable(address);
                    wanted.ask(Question::Connect { address }, "a foreign server answers there, or nobody");
                }
            }
        }
        Some(errno::EADDRNOTAVAIL | errno::EAFNOSUPPORT) => {
            wanted.ask(as_the_server(asked), "the server or its library, or the system");
            let any = if asked.is_ipv4() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { IpAddr::V6(Ipv6Addr::LOCALHOST) };
            wanted.ask(as_the_server(SocketAddr::new(any, 0)), "the address, or its whole family");
        }
        _ => {}
    }
    let of_the_port = [errno::EADDRINUSE, errno::EACCES, errno::EPERM];
    if number.is_some_and(|n| of_the_port.contains(&n))
        && let Some(other) = elsewhere(view, asked)
    {
        wanted.ask(as_the_server(other), "this port, or any port outside the ephemeral range");
    }
}

/// A port below the ephemeral range that nobody needs a privilege for: the first that is not known to be taken.
fn elsewhere(view: &View<'_>, asked: SocketAddr) -> Option<SocketAddr> {
    let (low, _) = view.evidence.environment.ephemeral_range?;
    let first = view.evidence.environment.unprivileged_port_start.unwrap_or(1024).max(1024);
    let mut tried = 0;
    let candidates =
        (first..low).rev().map(|port| SocketAddr::new(asked.ip(), port)).filter(|a| a.port() != asked.port());
    for address in candidates.take(usize::from(TRIES)) {
        match view.answer_to(&as_the_server(address)) {
            Some((_, Answer::NotBound { .. })) => tried += 1,
            Some(_) => return None,
            None => return (tried < TRIES).then_some(address),
        }
    }
    None
}

/// The server is there and does not answer, or cannot accept: what does it do?
fn of_process(view: &View<'_>, wanted: &mut Wanted) {
    let Some(pid) = view.pid(SERVER).filter(|_| view.end_of(SERVER).is_none()) else { return };
    let question = Question::Process { process: SERVER.to_owned(), pid };
    let late = view.first(|o| matches!(o, Observation::NotReady { .. }).then_some(())).is_some();
    let mute = view.first(|o| matches!(o, Observation::Hello { answered: false, .. }).then_some(())).is_some();
    let full = !view.events(SERVER, |e| matches!(e, Event::ConnectionAcceptFailed { .. }).then_some(())).is_empty();
    if late {
        wanted.ask(question, "it is stopped, it is busy, or it waits");
    } else if full {
        wanted.ask(question, "its descriptors are used up, or those of the system");
    } else if mute {
        wanted.ask(question, "it is stopped, it is busy, it waits, or its descriptors are used up");
    }
}

/// Somebody is refused although no bind failed: is the port free?
fn of_refusals(view: &View<'_>, missing: &[Missing], wanted: &mut Wanted) {
    let refused = view.seen(|o| match o {
        Observation::Connect { address, errno: Some(errno), .. } if errno.starts_with("ECONNREFUSED") => Some(*address),
        _ => None,
    });
    for (_, address) in refused.into_iter().filter(|(_, a)| missing.iter().all(|m| m.address != *a)).take(4) {
        wanted.ask(as_the_server(address), "nobody listens there, or a filter refuses for a listener");
        wanted.ask(
            Question::Holders { port: address.port() },
            "nobody listens there, or a filter refuses for a listener",
        );
    }
}

/// The log says that it was announced, and no browse found it: a second look.
fn of_claims(view: &View<'_>, wanted: &mut Wanted) {
    let unheard = view.first(|o| match o {
        Observation::Browse { found, expected_instance, error: None, .. }
            if found.iter().all(|row| row.instance != *expected_instance) =>
        {
            Some(expected_instance.clone())
        }
        _ => None,
    });
    let claimed = view.events(SERVER, |e| matches!(e, Event::MdnsAnnounced { .. }).then_some(()));
    if let (Some((_, instance)), false) = (unheard, claimed.is_empty()) {
        wanted.ask(Question::Browse { instance }, "one lost packet, or nothing answers at all");
    }
}

//! The six guesses that a person makes first when clients cannot connect. Each is confirmed, ruled out or open, with the
//! check that decides it; none is left to feeling.

use super::listeners::{InTheWay, Missing, all_there, as_the_server, errno, in_the_way, missing, own_listener};
use super::rules::elsewhere;
use super::view::{SERVER, View};
use crate::evidence::{Answer, Check, EvidenceId, Finding, Hypothesis, HypothesisState, Observation, Question, Status};
use sidetone::event::{Event, Family};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// All six; empty if nothing is wrong.
pub(super) fn considered(view: &mut View<'_>, checks: &[Check], findings: &[Finding]) -> Vec<Hypothesis> {
    let wrong = checks.iter().any(|c| matches!(c.status, Status::Warn | Status::Fail));
    let launched = view.pid(SERVER).is_some() || !view.evidence.plan.server.bind.is_empty();
    if !wrong || !launched {
        return Vec::new();
    }
    let missing = missing(view);
    let bound = all_there(view).filter(|_| missing.is_empty());
    let facts = Facts { bound, missing, findings };
    vec![
        facts.family(view),
        facts.in_use(view),
        facts.permission(view),
        facts.configuration(view),
        facts.limit(view),
        facts.library(view),
    ]
}

/// A verdict on one guess: its state, what decided it, where that is written.
type Decided = (HypothesisState, String, Vec<EvidenceId>);

fn guess(statement: &str, (state, decided_by, evidence): Decided) -> Hypothesis {
    Hypothesis { statement: statement.to_owned(), state, decided_by, evidence }
}

fn confirmed(by: impl Into<String>, evidence: Vec<EvidenceId>) -> Decided {
    (HypothesisState::Confirmed, by.into(), evidence)
}

fn ruled_out(by: impl Into<String>, evidence: Vec<EvidenceId>) -> Decided {
    (HypothesisState::Refuted, by.into(), evidence)
}

fn open(why: impl Into<String>) -> Decided {
    (HypothesisState::Open, why.into(), Vec::new())
}

struct Facts<'f> {
    /// The evidence that every listener that was asked for is bound, if so.
    bound: Option<Vec<EvidenceId>>,
    missing: Vec<Missing>,
    findings: &'f [Finding],
}

const ALL_BOUND: &str = "the kernel had every listener that was asked for";

impl Facts<'_> {
    fn cause(&self, codes: &[&str]) -> Option<&Finding> {
        self.findings.iter().find(|f| codes.contains(&f.cause.as_str()))
    }

    fn cited(finding: &Finding) -> Vec<EvidenceId> {
        finding.chain.first().map(|link| link.evidence().to_vec()).unwrap_or_default()
    }

    /// The failed bind that a person would have in mind, with its error number.
    fn failed(&self) -> Option<(&Missing, i32)> {
        self.missing.iter().find_map(|m| Some((m, m.number()?)))
    }

    /// What to say where no bind failed, none is known, and not all is bound.
    fn nothing_known(view: &mut View<'_>) -> Decided {
        if view.pid(SERVER).is_none() {
            return open("no server was started, so nothing was asked for");
        }
        open("the server tells of no bind, and asked for no port that could be tried")
    }

    fn family(&self, view: &mut View<'_>) -> Hypothesis {
        let statement = "address family conflict (IPv4 against IPv6)";
        if let Some(evidence) = &self.bound {
            return guess(statement, ruled_out(ALL_BOUND, evidence.clone()));
        }
        let Some((missing, number)) = self.failed() else {
            return guess(statement, free_for_both(view).unwrap_or_else(|| Self::nothing_known(view)));
        };
        if let Some(finding) = self.cause(&["family.ipv6_disabled"]) {
            let by = "the machine has no IPv6: the harness cannot bind ::1 either";
            let ids = finding.chain.iter().flat_map(|link| link.evidence().to_vec()).collect();
            return guess(statement, confirmed(by, ids));
        }
        if number == errno::EAFNOSUPPORT {
            return guess(statement, confirmed("EAFNOSUPPORT: the family is missing", missing.evidence.clone()));
        }
        let port = missing.address.port();
        let ask = |view: &mut View<'_>, ip: IpAddr| {
            if let Some((line, own)) = own_listener(view, ip, port) {
                return Some((format!("the server itself listens on {own}"), view.cite(line)));
            }
            let (address, v6only) = (SocketAddr::new(ip, port), ip.is_ipv6().then_some(true));
            let (line, word) = match view.answer_to(&Question::Bind { address, v6only })? {
                (line, Answer::Bound {}) => (line, "can be bound"),
                (line, Answer::NotBound { .. }) => (line, "cannot be bound"),
                _ => return None,
            };
            Some((format!("{address} {word}"), view.cite(line)))
        };
        if number == errno::EADDRINUSE
            && let Some(held) = in_the_way(view, missing).first()
        {
            return guess(statement, by_family(view, held, missing.address));
        }
        let families = if number == errno::EADDRINUSE {
            ask(view, IpAddr::V4(Ipv4Addr::LOCALHOST)).zip(ask(view, IpAddr::V6(Ipv6Addr::LOCALHOST)))
        } else {
            None
        };
        let decided = if let Some(((v4, x), (v6, y))) = families {
            ruled_out(format!("each family by itself, IPv6 with V6ONLY: {v4}, {v6}"), vec![x, y])
        } else {
            let by = format!("the error is {}, not one of a family", name_of(missing));
            ruled_out(by, missing.evidence.clone())
        };
        guess(statement, decided)
    }

    fn in_use(&self, view: &mut View<'_>) -> Hypothesis {
        let statement = "the port is in use";
        let codes = [
            "bind.port_in_use",
            "bind.port_taken_by_outgoing",
            "bind.port_in_time_wait",
            "bind.wildcard_conflict",
            "bind.bound_not_listening",
            "bind.ephemeral_range_exhausted",
        ];
        if let Some(finding) = self.cause(&["bind.bound_not_listening"]) {
            let by = "the harness's own bind fails too, and no listener, connection or TIME_WAIT has the port";
            let ids = finding.hypotheses.iter().flat_map(|h| h.evidence.clone()).collect();
            return guess(statement, confirmed(by, ids));
        }
        if let Some(finding) = self.cause(&codes) {
            let by = finding.chain.first().map_or_else(String::new, |link| link.statement().to_owned());
            return guess(statement, confirmed(by, Self::cited(finding)));
        }
        if let Some(evidence) = &self.bound {
            return guess(statement, ruled_out(ALL_BOUND, evidence.clone()));
        }
        if let Some((missing, number)) = self.failed().filter(|(_, n)| *n != errno::EADDRINUSE) {
            return guess(statement, not_in_use(view, missing, number));
        }
        guess(statement, free_for_both(view).unwrap_or_else(|| Self::nothing_known(view)))
    }

    fn permission(&self, view: &mut View<'_>) -> Hypothesis {
        let statement = "permission to bind the port";
        if let Some(finding) = self.cause(&["bind.permission_denied"]) {
            return guess(statement, confirmed("the bind fails with EACCES", Self::cited(finding)));
        }
        if let Some(evidence) = &self.bound {
            return guess(statement, ruled_out(ALL_BOUND, evidence.clone()));
        }
        if let Some((missing, _)) = self.failed() {
            let port = missing.address.port();
            let start = view.evidence.environment.unprivileged_port_start;
            let needs_none = port == 0 || start.is_some_and(|start| port >= start);
            if !at_the_port(missing) && !needs_none {
                return guess(statement, open("the call failed before the privilege was asked for"));
            }
            if missing.number() == Some(errno::EADDRNOTAVAIL) && !needs_none {
                // the kernel looks at the address first
                return guess(statement, open("the address was refused before the privilege was asked for"));
            }
            let privileged = start.map_or_else(String::new, |start| {
                if port == 0 || port >= start {
                    format!("; ports from {start} on need no privilege")
                } else {
                    String::new()
                }
            });
            let by = format!("the error is {}, not EACCES{privileged}", name_of(missing));
            return guess(statement, ruled_out(by, missing.evidence.clone()));
        }
        // what the harness may do says nothing of the server, unless nobody needs a privilege for it
        let start = view.evidence.environment.unprivileged_port_start;
        let needs_none = view.seen(|o| match o {
            Observation::Asked { addresses, .. } => Some(addresses),
            _ => None,
        });
        let all = needs_none.iter().flat_map(|(_, addresses)| addresses.iter());
        let for_all = all.clone().all(|a| a.port() == 0 || start.is_some_and(|start| a.port() >= start));
        let free = if for_all { free_for_both(view) } else { None };
        guess(statement, free.unwrap_or_else(|| Self::nothing_known(view)))
    }

    fn configuration(&self, view: &mut View<'_>) -> Hypothesis {
        let statement = "configuration of the listeners (address, port)";
        for (code, why) in [
            ("family.ipv6_disabled", "a family that this machine does not have"),
            ("bind.address_not_local", "an address that this machine does not have"),
            ("bind.permission_denied", "a port that needs a privilege"),
            ("bind.wildcard_conflict", "the wildcard of a port that one address has already"),
        ] {
            if let (Some(finding), Some((missing, _))) = (self.cause(&[code]), self.failed()) {
                let by = format!("{} was asked for, {why}", missing.address);
                return guess(statement, confirmed(by, Self::cited(finding)));
            }
        }
        if let Some(finding) = self.cause(&["bind.port_taken_by_outgoing"])
            && let (Some((missing, _)), Some((low, high))) = (self.failed(), view.evidence.environment.ephemeral_range)
            && (low..=high).contains(&missing.address.port())
        {
            let by = format!("{} lies inside the ephemeral range {low}-{high}", missing.address.port());
            return guess(statement, confirmed(by, Self::cited(finding)));
        }
        if let Some(evidence) = &self.bound {
            return guess(statement, ruled_out(ALL_BOUND, evidence.clone()));
        }
        let decided = match self.failed() {
            Some((missing, _)) if missing.address.port() != 0 => match elsewhere(view, missing.address) {
                Some((address, true, _)) => open(format!(
                    "the address can be used ({address} can be bound); whether {} is the intended port only you know",
                    missing.address.port()
                )),
                _ => open(format!("whether {} is the intended address and port only you know", missing.address)),
            },
            Some((missing, _)) => {
                ruled_out("any free port was asked for, on an address of this machine", missing.evidence.clone())
            }
            None => Self::nothing_known(view),
        };
        guess(statement, decided)
    }

    fn limit(&self, view: &mut View<'_>) -> Hypothesis {
        let statement = "a resource limit (open descriptors)";
        if let Some(finding) = self.cause(&["resource.fd_limit"]) {
            return guess(statement, confirmed(finding.chain[0].statement(), Self::cited(finding)));
        }
        if let Some((missing, _)) = self.failed() {
            let name = name_of(missing);
            let of_limits = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"];
            return guess(
                statement,
                if of_limits.contains(&name) {
                    confirmed(format!("the error is {name}"), missing.evidence.clone())
                } else {
                    ruled_out(format!("the error is {name}, none of a limit"), missing.evidence.clone())
                },
            );
        }
        let state = view.answers(|question, answer| match (question, answer) {
            (Question::Process { process, .. }, Answer::Process(state)) if process == SERVER => Some(state),
            _ => None,
        });
        let open_of = state.first().and_then(|(line, s)| Some((*line, s.descriptors?, s.descriptor_limit?)));
        if let Some((line, open, limit)) = open_of.filter(|(_, open, limit)| u64::from(*open) < *limit) {
            let id = view.cite(line);
            return guess(statement, ruled_out(format!("{open} of its {limit} descriptors are open"), vec![id]));
        }
        if view.end_of(SERVER).is_some_and(|(_, end)| !end.by_harness) {
            return guess(statement, open("its descriptors at its end were not counted"));
        }
        let refused = view.events(SERVER, |e| matches!(e, Event::ConnectionAcceptFailed { .. }).then_some(()));
        let hellos = view.seen(|o| match o {
            Observation::Hello { answered, .. } => Some(*answered),
            _ => None,
        });
        if refused.is_empty() && !hellos.is_empty() && hellos.iter().all(|(_, answered)| *answered) {
            let ids = hellos.iter().map(|(line, _)| view.cite(*line)).collect();
            let by = format!("all {} hellos were answered, and no accept failed", hellos.len());
            return guess(statement, ruled_out(by, ids));
        }
        let ended = view.first(|o| matches!(o, Observation::Hello { .. }).then_some(())).is_none();
        if ended && self.bound.is_some() {
            return guess(statement, open("the server had ended before it could be asked"));
        }
        guess(statement, Self::nothing_known(view))
    }

    fn library(&self, view: &mut View<'_>) -> Hypothesis {
        let statement = "the network or WebSocket library";
        if let Some((missing, number)) = self.failed() {
            let own = view.answer_to(&as_the_server(missing.address));
            return guess(
                statement,
                match own {
                    Some((line, Answer::NotBound { errno, .. })) if errno.number == number => {
                        let by =
                            format!("a plain bind of {} by the harness gives the same {}", missing.address, errno.name);
                        ruled_out(by, vec![view.cite(line)])
                    }
                    _ => open(format!("no bind of {} was tried without the server", missing.address)),
                },
            );
        }
        let over_websocket = view.first(|o| match o {
            Observation::Hello { transport: sidetone::event::Transport::WebSocket, answered: true, .. } => Some(()),
            _ => None,
        });
        if let Some((line, ())) = over_websocket {
            let id = view.cite(line);
            return guess(statement, ruled_out("a hello over WebSocket is answered", vec![id]));
        }
        let asked = view.first(|o| matches!(o, Observation::Hello { .. }).then_some(()));
        guess(
            statement,
            match (asked, &self.bound) {
                (Some(_), _) => open("no hello over WebSocket was answered, for the reason above"),
                (None, Some(_)) => open("the server had ended before it could be asked"),
                (None, None) => Self::nothing_known(view),
            },
        )
    }
}

fn name_of(missing: &Missing) -> &str {
    missing.failed.as_ref().map_or("not known", |(_, errno)| errno.name.as_str())
}

/// Whether what is in the way is of another family than what was asked for.
fn by_family(view: &mut View<'_>, held: &InTheWay, asked: SocketAddr) -> Decided {
    let (local, port) = (held.local, asked.port());
    if local.is_ipv4() != asked.is_ipv4() {
        let by = format!("{local} takes the port of both families (no V6ONLY), and {asked} was asked for");
        return confirmed(by, vec![held.evidence.clone()]);
    }
    let wildcard = |view: &mut View<'_>, v6only| {
        let address = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
        let (line, answer) = view.answer_to(&Question::Bind { address, v6only: Some(v6only) })?;
        let word = match answer {
            Answer::Bound {} => "can",
            Answer::NotBound { .. } => "cannot",
            _ => return None,
        };
        Some((word, view.cite(line)))
    };
    let family = Family::of(&asked);
    let mut by = format!("what is in the way, {local}, is an {family} socket, as the one that was asked for");
    let mut ids = vec![held.evidence.clone()];
    if let Some(((alone, x), (both, y))) = wildcard(view, true).zip(wildcard(view, false)) {
        by = format!("{by}; [::]:{port} {alone} be bound with V6ONLY, {both} without");
        ids.extend([x, y]);
    }
    ruled_out(by, ids)
}

/// Whether the failed call is one in which the kernel looks at the port at all.
fn at_the_port(missing: &Missing) -> bool {
    missing.failed.as_ref().is_some_and(|(call, _)| ["bind", "listen"].contains(&call.as_str()))
}

/// The kernel looks at address and privilege before it looks for a conflict: those errors alone rule out nothing.
fn not_in_use(view: &mut View<'_>, missing: &Missing, number: i32) -> Decided {
    let port = missing.address.port();
    if port == 0 {
        return ruled_out("any free port was asked for", missing.evidence.clone());
    }
    let early = !at_the_port(missing);
    match view.answer_to(&Question::Holders { port }) {
        Some((line, Answer::Holders { sockets })) if sockets.is_empty() => {
            ruled_out(format!("no socket has port {port}"), vec![view.cite(line)])
        }
        _ if early || [errno::EACCES, errno::EPERM, errno::EADDRNOTAVAIL].contains(&number) => {
            open(format!("{} was refused before a conflict could show", missing.address))
        }
        _ => {
            ruled_out(format!("the error is {} ({number}), not EADDRINUSE", name_of(missing)), missing.evidence.clone())
        }
    }
}

/// The harness could bind what somebody was refused at: then it is free, and nothing forbids it.
fn free_for_both(view: &mut View<'_>) -> Option<Decided> {
    let bound = view.answers(|question, answer| match (question, answer) {
        (Question::Bind { address, .. }, Answer::Bound {}) => Some(*address),
        _ => None,
    });
    let refused = view.answers(|question, answer| {
        matches!((question, answer), (Question::Bind { .. }, Answer::NotBound { .. })).then_some(())
    });
    if bound.is_empty() || !refused.is_empty() {
        return None;
    }
    let list: Vec<_> = bound.iter().map(|(_, address)| address.to_string()).collect();
    let ids = bound.iter().map(|(line, _)| view.cite(*line)).collect();
    Some(ruled_out(format!("the harness can bind {}", list.join(", ")), ids))
}

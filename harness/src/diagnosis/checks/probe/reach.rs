//! The name, the way, connections, proxies, what speaks there, words of any protocol, STUN.

use crate::diagnosis::checks::CheckDef;
use crate::diagnosis::view::{Draft, View, draft};
use crate::evidence::follow_up::short_command;
use crate::evidence::probed::{
    Connected, Exchange, Failure, How, Identified, NameSource, Proxied, Resolved, Route, Saw, Speaks, Step, Stun,
};
use crate::evidence::{Check, EvidenceId, Layer, Side, Speak};
use std::net::SocketAddr;

/// In this order.
pub(super) const CHECKS: &[CheckDef] = &[
    CheckDef { id: "dns.resolve", about: "the name has addresses, soon", run: resolve },
    CheckDef { id: "tcp.route", about: "a way leads to each address", run: route },
    CheckDef { id: "tcp.connect", about: "each address completes a connection", run: connect },
    CheckDef { id: "tcp.proxy", about: "the proxy connects to the target", run: proxy },
    CheckDef { id: "tcp.identify", about: "something that is known speaks at the port", run: identify },
    CheckDef { id: "tcp.exchange", about: "what is sent is answered as expected", run: exchange },
    CheckDef { id: "tcp.stun", about: "a STUN or TURN server answers", run: stun },
];

/// A lookup that takes longer is slow, in microseconds.
pub(in crate::diagnosis) const SLOW_LOOKUP_US: u64 = 1_000_000;

/// One check a step that `judge` wants: `judge(view, line, step, what it saw)`.
fn each<'a, T: 'a>(
    view: &mut View<'a>,
    pick: impl Fn(&'a Saw) -> Option<&'a T>,
    judge: impl Fn(&View<'a>, &'a Step, &'a T, EvidenceId) -> Option<Check>,
) -> Vec<Check> {
    let steps = view.steps(|step, saw| Some((step, pick(saw)?)));
    let judged = steps.into_iter().filter_map(|(line, (step, saw))| {
        let id = view.cite(line);
        judge(view, step, saw, id)
    });
    judged.collect()
}

/// `layer.kind/ADDRESS`, and the layer's word with the address as a title.
fn at(kind: &str, word: &str, layer: Layer, side: Side, address: Option<SocketAddr>) -> Draft {
    match address {
        Some(address) => draft(format!("{kind}/{address}"), layer, side, format!("{word} {address}")),
        None => draft(kind, layer, side, word),
    }
}

fn ms(us: u64) -> String {
    format!("{:.1} ms", us as f64 / 1e3)
}

fn resolve(view: &mut View<'_>) -> Vec<Check> {
    each(
        view,
        |saw| if let Saw::Resolve(it) = saw { Some(it) } else { None },
        |_, step, it: &Resolved, id| {
            let check = draft("dns.resolve", Layer::Dns, Side::Path, format!("resolve {}", it.host));
            if let Some(failure) = &it.failure {
                let remedy = "check the spelling, /etc/hosts and /etc/resolv.conf, or give the address with --resolve";
                return Some(check.fail(format!("{failure}, {}", ms(step.took_us)), vec![id], remedy));
            }
            let mut all: Vec<_> = it.order.iter().take(4).map(|address| address.ip().to_string()).collect();
            if it.order.len() > 4 {
                all.push(format!("and {} more", it.order.len() - 4));
            }
            let source = match it.source {
                NameSource::Literal => return Some(check.pass("literal address", vec![id])),
                NameSource::Given => "--resolve",
                NameSource::HostsFile => "/etc/hosts",
                NameSource::Mdns => "mDNS",
                NameSource::Resolver => "the system's resolver",
            };
            let message = format!("{} ({source}), {}", all.join(", "), ms(step.took_us));
            let late = it.answers.iter().find(|answer| answer.error.as_ref().is_some_and(|error| error.number == 0));
            Some(match late {
                Some(answer) => {
                    let remedy = "look at the name servers in /etc/resolv.conf, or use the family that answers";
                    check.warn(format!("{message}; {}: no answer in time", answer.family), vec![id], remedy)
                }
                None if step.took_us > SLOW_LOOKUP_US => {
                    check.warn(format!("{message}: slow"), vec![id], "look at the name servers in /etc/resolv.conf")
                }
                None => check.pass(message, vec![id]),
            })
        },
    )
}

fn route(view: &mut View<'_>) -> Vec<Check> {
    each(
        view,
        |saw| if let Saw::Route(it) = saw { Some(it) } else { None },
        |view, step, it: &Route, id| {
            let check = at("tcp.route", "route", Layer::Tcp, Side::Path, step.address);
            Some(match &it.failure {
                Some(failure) if other_family_works(view, step.address) => {
                    Check { evidence: vec![id], ..check.skip(format!("{failure}; the other family is used")) }
                }
                Some(failure) => check.fail(failure.to_string(), vec![id], "look at the way: ip route get ADDRESS"),
                None => {
                    let source = it.source.map(|source| format!("from {source}"));
                    let by = it.interface.as_ref().map(|interface| format!("by {interface}"));
                    let mtu = it.mtu.map(|mtu| format!("MTU {mtu}"));
                    let told: Vec<_> = [source, by, mtu].into_iter().flatten().collect();
                    check.pass(told.join(" "), vec![id])
                }
            })
        },
    )
}

/// Whether an address of the other family completed a connection.
fn other_family_works(view: &View<'_>, address: Option<SocketAddr>) -> bool {
    let Some(address) = address else { return false };
    connected(view).iter().any(|other| other.is_ipv4() != address.is_ipv4())
}

/// Addresses that completed a connection.
pub(in crate::diagnosis) fn connected(view: &View<'_>) -> Vec<SocketAddr> {
    let all = view.steps(|step, saw| match saw {
        Saw::Connect(it) if it.failure.is_none() => step.address,
        _ => None,
    });
    all.into_iter().map(|(_, address)| address).collect()
}

/// Whether it is this machine that has no way there, by its own routing table.
fn no_way(view: &View<'_>, address: Option<SocketAddr>) -> bool {
    let routes = view.steps(|step, saw| match saw {
        Saw::Route(it) if step.address == address && it.failure.is_some() => Some(()),
        _ => None,
    });
    !routes.is_empty()
}

/// Where several addresses are tried: in which order and when a client that follows RFC 8305 does so; empty for one.
fn in_order(view: &View<'_>, it: &Connected) -> String {
    let all = view.steps(|_, saw| matches!(saw, Saw::Connect(_)).then_some(()));
    if all.len() < 2 || it.order == 0 {
        return String::new();
    }
    let begins = match it.client_begins_ms {
        0 => String::new(),
        later => format!(" after {later} ms"),
    };
    let chosen = if it.chosen { ", and uses it" } else { "" };
    format!("; a client tries it as number {}{begins}{chosen}", it.order)
}

fn connect(view: &mut View<'_>) -> Vec<Check> {
    each(
        view,
        |saw| if let Saw::Connect(it) = saw { Some(it) } else { None },
        |view, step, it: &Connected, id| {
            let check = at("tcp.connect", "tcp", Layer::Tcp, Side::Server, step.address);
            let Some(failure) = &it.failure else {
                let order = in_order(view, it);
                let message = format!("{}{order}", ms(step.took_us));
                let Some((first, before_us)) = &it.first else { return Some(check.pass(message, vec![id])) };
                let message = format!("{message}; an attempt {} earlier got {first}", ms(*before_us));
                return Some(check.warn(message, vec![id], "start clients when the server is ready"));
            };
            let times = if it.attempts > 1 { format!(" in {} attempts", it.attempts) } else { String::new() };
            let message = format!("{failure}, {}{times}{}", ms(step.took_us), in_order(view, it));
            if other_family_works(view, step.address) && no_way(view, step.address) {
                return Some(Check {
                    evidence: vec![id],
                    ..check.skip(format!("{failure}; the other family is used"))
                });
            }
            if failure.how == How::Own {
                return Some(check.unknown(format!("{message}: a limit or a right of this machine's own"), vec![id]));
            }
            let remedy = match failure.how {
                How::Refused => "start the server, or compare address and port with its ready line",
                How::TimedOut => "look for a filter on the way, and run the probe on the server's machine",
                How::Unreachable => "look at the way: ip route get ADDRESS",
                _ => "look at the error's name, and at this machine's own limits",
            };
            let works = connected(view).iter().any(|other| Some(*other) != step.address);
            Some(if works { check.warn(message, vec![id], remedy) } else { check.fail(message, vec![id], remedy) })
        },
    )
}

fn proxy(view: &mut View<'_>) -> Vec<Check> {
    each(
        view,
        |saw| if let Saw::Proxy(it) = saw { Some(it) } else { None },
        |_, step, it: &Proxied, id| {
            let check = at("tcp.proxy", "proxy", Layer::Tcp, Side::Path, step.address);
            let told = format!("{} asked for {}", it.proxy, it.authority);
            Some(match &it.failure {
                Some(failure) => {
                    let remedy = "try without the proxy, or have it allow the target";
                    check.fail(format!("{told}: {failure}, {}", ms(step.took_us)), vec![id], remedy)
                }
                None => check.pass(format!("{told}: {}, {}", it.status.unwrap_or(200), ms(step.took_us)), vec![id]),
            })
        },
    )
}

fn identify(view: &mut View<'_>) -> Vec<Check> {
    each(
        view,
        |saw| if let Saw::Identify(it) = saw { Some(it) } else { None },
        |view, step, it: &Identified, id| {
            let speak = view.evidence.plan.probe.as_ref().map_or(Speak::Any, |plan| plan.speak);
            let asked = matches!(speak, Speak::Any | Speak::Tcp | Speak::Tls);
            let check = at("tcp.identify", "identify", Layer::Tcp, Side::Server, step.address);
            let found = |what: &str| format!("{what}, {}", ms(step.took_us));
            let word = match it.speaks {
                Speaks::Sidetone => "it speaks Sidetone".to_owned(),
                Speaks::WebSocket => "it speaks HTTP and opens a WebSocket".to_owned(),
                Speaks::Http => "it speaks HTTP".to_owned(),
                Speaks::Tls => "it speaks TLS".to_owned(),
                Speaks::Greeting => greeting(it),
                Speaks::Unknown => answers(it),
                // a layer that was asked for has said so already
                Speaks::Silent | Speaks::Closes if !asked => return None,
                Speaks::Silent | Speaks::Closes => return Some(not_known(view, check, it, step, id)),
            };
            Some(check.pass(found(&word), vec![id]))
        },
    )
}

/// `MQTT answers (asked: a Sidetone hello, HTTP, TLS, MQTT)`; a protocol that nobody here knows, by its first words.
pub(in crate::diagnosis) fn answers(it: &Identified) -> String {
    let asked: Vec<_> = it.asked.iter().map(|asked| asked.what.as_str()).collect();
    let asked = if asked.is_empty() { String::new() } else { format!(" (asked: {})", asked.join(", ")) };
    let older = [&it.to_hello, &it.to_http, &it.to_tls];
    let first = it.asked.iter().map(|asked| &asked.answer).chain(older).find(|bytes| !bytes.is_empty());
    let first = first.map(|bytes| bytes.first_line(60)).filter(|line| !line.starts_with("\\x"));
    let words = first.map(|line| format!(": {line}")).unwrap_or_default();
    match it.answers_like.as_deref() {
        Some("PROXY protocol") => "it answers once a header of the PROXY protocol has come first".to_owned(),
        Some(like) => format!("{like} answers{words}{asked}"),
        None => format!("it answers in a protocol that this probe does not know{words}{asked}"),
    }
}

/// It accepts connections, and what speaks there was not found out. That is no failure: many protocols wait for words of their own,
/// and properly end a connection on which they do not come. Who ends connections unasked is another matter.
fn not_known(view: &View<'_>, check: Draft, it: &Identified, step: &Step, id: EvidenceId) -> Check {
    let after = ms(step.took_us);
    if let Some(failure) = &it.failure {
        return check.unknown(format!("a further connection to ask what speaks there failed: {failure}"), vec![id]);
    }
    // older evidence does not tell when
    if it.connections == 0 || it.unasked_end.is_some() {
        let what = it.unasked_end.as_deref().unwrap_or(&it.otherwise);
        let message = match it.speaks {
            Speaks::Silent => format!("it accepts connections and answers nothing, {after}"),
            _ => format!("it accepts connections and {what} them before anything is said, {after}"),
        };
        return check.fail(message, vec![id], "look at the server: its process, its log");
    }
    let asked: Vec<_> = it.asked.iter().map(|asked| format!("{} ({})", asked.what, asked.ended)).collect();
    let owner = owner(view, step.address).map(|who| format!("; its listener is {who}")).unwrap_or_default();
    let message = format!(
        "accepts connections; the protocol is not known to this probe{owner}; asked: {}; {after}",
        asked.join(", ")
    );
    let remedy = "name the protocol by a scheme, or give its first words: --send TEXT and --expect REGEX";
    Check { remedy: Some(remedy.to_owned()), ..check.unknown(message, vec![id]) }
}

/// `pid 7 (mosquitto), state S`, where that is this machine and may be seen.
fn owner(view: &View<'_>, address: Option<SocketAddr>) -> Option<String> {
    let port = address?.port();
    let seen = view.steps(|_, saw| match saw {
        Saw::Behind(behind) if behind.port == port => Some(behind),
        _ => None,
    });
    let (_, behind) = seen.into_iter().next()?;
    let owner = behind.listeners.iter().filter(|one| one.covers).find_map(|one| one.owners.first())?;
    let command = owner.command.as_deref().map(short_command);
    let command = command.map(|command| format!(" ({command})")).unwrap_or_default();
    let state = owner.state.as_ref().map(|state| format!(", state {}", state.state)).unwrap_or_default();
    Some(format!("pid {}{command}{state}", owner.pid))
}

/// `SSH greets first: SSH-2.0-OpenSSH_9.2`.
pub(in crate::diagnosis) fn greeting(it: &Identified) -> String {
    let Some(greeting) = &it.greeting else { return "it greets first".to_owned() };
    let who = greeting.protocol.as_deref().unwrap_or("a server of an unknown protocol");
    let line = greeting.begins.first_line(60);
    // bytes that are no text tell people nothing beside the name
    if greeting.is_binary() && greeting.protocol.is_some() {
        format!("{who} speaks first")
    } else {
        format!("{who} greets first: {line}")
    }
}

/// No answer over UDP is no failure: a packet may have been lost, dropped, or not wanted.
fn lost(failure: &Failure) -> Option<String> {
    (failure.how == How::TimedOut).then(|| {
        format!(
            "{failure}: over UDP that may be loss, a filter, or a server that does not answer this; ICMP says nothing"
        )
    })
}

fn exchange(view: &mut View<'_>) -> Vec<Check> {
    each(
        view,
        |saw| if let Saw::Exchange(it) = saw { Some(it) } else { None },
        |_, step, it: &Exchange, id| {
            let check = at("tcp.exchange", &format!("words over {}", it.over), Layer::Tcp, Side::Server, step.address);
            let Some(failure) = &it.failure else {
                let matched = if it.matched == Some(true) { ", as expected" } else { "" };
                let first = it.begins.first_line(60);
                let told =
                    format!("{} bytes sent, {} received{matched}: {first}, {}", it.sent, it.received, ms(step.took_us));
                return Some(check.pass(told, vec![id]));
            };
            if let Some(why) = lost(failure).filter(|_| it.over == "udp") {
                return Some(check.unknown(why, vec![id]));
            }
            let came =
                if it.begins.is_empty() { String::new() } else { format!("; it begins {}", it.begins.first_line(60)) };
            Some(check.fail(
                format!("{failure}{came}"),
                vec![id],
                "compare what came with what was expected: it is in the evidence",
            ))
        },
    )
}

fn stun(view: &mut View<'_>) -> Vec<Check> {
    each(
        view,
        |saw| if let Saw::Stun(it) = saw { Some(it) } else { None },
        |_, step, it: &Stun, id| {
            let check = at("tcp.stun", "stun", Layer::Tcp, Side::Server, step.address);
            let mapped = it.mapped.map(|mapped| format!("we are {mapped} to it"));
            let software = it.software.as_ref().map(|software| software.first_line(40));
            let told: Vec<_> = mapped.into_iter().chain(software).chain([ms(step.took_us)]).collect();
            let told = told.join(", ");
            if let Some(failure) = &it.failure {
                return Some(match lost(failure) {
                    Some(why) => check.unknown(why, vec![id]),
                    None => {
                        check.fail(failure.to_string(), vec![id], "compare the port with the server's own (3478, 5349)")
                    }
                });
            }
            Some(match &it.turn {
                Some(turn) if turn.relayed.is_some() => {
                    let remedy = "give the TURN server users and passwords: it relays for anybody";
                    check.warn(format!("{told}; it relays without credentials"), vec![id], remedy)
                }
                Some(turn) if turn.wants_credentials => {
                    check.pass(format!("{told}; TURN wants credentials, as it should"), vec![id])
                }
                Some(_) => {
                    let said = it.error.as_ref().map_or_else(String::new, |(code, words)| format!(" {code} {words}"));
                    check.warn(
                        format!("{told}; TURN does not allocate:{said}"),
                        vec![id],
                        "see whether it is a TURN server at all",
                    )
                }
                None => check.pass(told, vec![id]),
            })
        },
    )
}

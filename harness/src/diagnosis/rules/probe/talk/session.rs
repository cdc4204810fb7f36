//! What a hello says of the server.

use super::{Case, addresses, echoes, evidence, explained, hellos};
use crate::diagnosis::checks::probe::talk::apart;
use crate::diagnosis::rules::{Found, failed, finding, hypothesis, ids, link, refuted};
use crate::diagnosis::view::View;
use crate::evidence::probed::{Behind, EchoHeard, Hello, How, Identified, Saw, Speaks};
use crate::evidence::{Check, Confidence, EvidenceId, Fix, FixKind, HypothesisState};
use sidetone::event::Transport;
use std::net::SocketAddr;

/// How well-known protocols begin.
const BEGINNINGS: &[(&str, &str)] = &[
    ("SSH-", "SSH"),
    ("HTTP/", "HTTP"),
    ("RFB ", "VNC"),
    ("* OK", "IMAP"),
    ("+OK", "POP3"),
    ("-ERR", "Redis or POP3"),
    ("INFO {", "NATS"),
];

/// What speaks there instead of Sidetone.
struct Stranger {
    /// Its protocol; `None`: one that nobody here knows.
    protocol: Option<String>,
    /// The step that looked for it, if the answer to the hello alone does not tell.
    looked: Option<EvidenceId>,
    /// It is a WebSocket at the usual path.
    websocket: bool,
}

/// Something else than Sidetone answers where the framed protocol was expected. TLS there is told by the rules of TLS.
pub(super) fn foreign(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let mut found = Vec::new();
    for case in hellos(view, checks) {
        if case.saw.transport != Some(Transport::WebSocket)
            && let Some(stranger) = stranger(view, &case)
        {
            found.push((case, stranger));
        }
    }
    let (_, first) = found.first()?;
    let name = first.protocol.clone();
    let websocket = first.websocket;
    // what speaks the same is the same finding
    found.retain(|(_, stranger)| stranger.protocol == name);
    let (cases, strangers): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    let all = addresses(&cases);
    let mut chain = Vec::new();
    for (case, stranger) in cases.iter().zip(&strangers) {
        let failure = case.saw.failure.as_ref()?;
        let begins = failure.begins.first_line(60);
        let words = if begins.is_empty() { failure.to_string() } else { format!("answers a hello with {begins:?}") };
        let mut ids = vec![case.evidence.clone()];
        ids.extend(stranger.looked.clone());
        chain.push(link(format!("{}: {words}", case.address), &ids)?);
    }
    let owner = owner(view, cases.first()?.address);
    if let Some((id, who)) = &owner {
        chain.push(link(format!("{who} listens there"), std::slice::from_ref(id))?);
    }
    let who = owner.map(|(_, who)| format!(" ({who})")).unwrap_or_default();
    let begins = cases.first()?.saw.failure.as_ref().map(|f| f.begins.first_line(40)).filter(|line| !line.is_empty());
    let quoted = begins.map(|line| format!(": {line:?}")).unwrap_or_default();
    let what = name.as_deref().unwrap_or("something that is not Sidetone");
    let summary = if websocket {
        format!(
            "HTTP and WebSocket answer at {all}{who}, not Sidetone's framed protocol: this is a port for ws://{quoted}"
        )
    } else {
        format!("{what} answers at {all}{who}, not Sidetone{quoted}")
    };
    let mut finding = finding("session.foreign_server_answered", summary, chain, vec![])?;
    if websocket {
        let at = view.evidence.plan.probe.as_ref().and_then(|plan| plan.target.split_once("://").map(|(_, at)| at));
        let at = at.map_or_else(|| cases[0].address.to_string(), str::to_owned);
        let text = format!("probe ws://{at} instead");
        finding.fixes.insert(0, Fix { kind: FixKind::Safe, text });
    }
    if name.is_none() {
        finding.confidence = Confidence::Medium;
        finding.hypotheses.push(hypothesis(
            HypothesisState::Open,
            "a Sidetone server that breaks its own framing (session.framing_error)",
            "who owns the socket, and what the server's log says",
            evidence(&cases),
        ));
    }
    Some((finding, explained(&cases)))
}

fn stranger(view: &mut View<'_>, case: &Case<'_, Hello>) -> Option<Stranger> {
    let failure = case.saw.failure.as_ref()?;
    let begins = failure.begins.as_str();
    // a frame of ours that is broken, a TLS alert or handshake
    if begins.starts_with("\\xd7") || begins.starts_with("\\x15\\x03") || begins.starts_with("\\x16\\x03") {
        return None;
    }
    let identified = identified(view, case.address);
    let websocket = identified.as_ref().is_some_and(|(_, it)| it.speaks == Speaks::WebSocket);
    let known = BEGINNINGS.iter().find(|(start, _)| begins.starts_with(start)).map(|(_, name)| (*name).to_owned());
    let mail = begins.starts_with("220").then(|| {
        let upper = begins.to_uppercase();
        if upper.contains("SMTP") {
            "SMTP"
        } else if upper.contains("FTP") {
            "FTP"
        } else {
            "SMTP or FTP"
        }
        .to_owned()
    });
    if let Some(protocol) = known.or(mail) {
        let looked = identified.filter(|_| websocket).map(|(id, _)| id);
        return Some(Stranger { protocol: Some(protocol), looked, websocket });
    }
    let by_look = identified.and_then(|(id, it)| match it.speaks {
        Speaks::Http | Speaks::WebSocket => Some((id, Some("HTTP".to_owned()))),
        Speaks::Greeting => Some((id, it.greeting.as_ref().and_then(|greeting| greeting.protocol.clone()))),
        Speaks::Sidetone | Speaks::Tls | Speaks::Silent | Speaks::Closes | Speaks::Unknown => None,
    });
    match by_look {
        Some((id, protocol)) => Some(Stranger { protocol, looked: Some(id), websocket }),
        None if failure.how == How::Malformed => Some(Stranger { protocol: None, looked: None, websocket: false }),
        None => None,
    }
}

fn identified<'a>(view: &mut View<'a>, address: SocketAddr) -> Option<(EvidenceId, &'a Identified)> {
    let seen = view.steps(|step, saw| match saw {
        Saw::Identify(identified) if step.address == Some(address) => Some(identified),
        _ => None,
    });
    let (line, identified) = seen.into_iter().next()?;
    Some((view.cite(line), identified))
}

/// Who listens there, if that is this machine and may be seen: `sshd (pid 7)`.
fn owner(view: &mut View<'_>, address: SocketAddr) -> Option<(EvidenceId, String)> {
    let seen = view.steps(|_, saw| match saw {
        Saw::Behind(behind) if behind.port == address.port() => Some(behind),
        _ => None,
    });
    let (line, behind): (usize, &Behind) = seen.into_iter().next()?;
    let owner = behind.listeners.iter().filter(|listening| listening.covers).find_map(|l| l.owners.first())?;
    let command = owner.command.as_deref().and_then(|c| c.split_whitespace().next()).unwrap_or("a program");
    let who = format!("{command}, pid {}", owner.pid);
    Some((view.cite(line), who))
}

/// FIN in the middle of a frame.
pub(super) fn truncated(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let cut = |hello: &Hello| {
        hello.failure.as_ref().filter(|f| matches!(f.how, How::Closed | How::Reset))?;
        hello.unfinished
    };
    let mut cases = hellos(view, checks);
    cases.retain(|case| cut(case.saw).is_some());
    let first = cut(cases.first()?.saw)?;
    let of = first.announced.map_or_else(String::new, |all| format!(" of {all}"));
    let summary = format!(
        "{} ends the connection inside a frame: {}{of} bytes of the answer to a hello had come",
        addresses(&cases),
        first.had
    );
    let mut chain = vec![link("the answer begins as a frame of Sidetone does", &evidence(&cases))?];
    chain.push(link(format!("the connection ends after {}{of} bytes of it", first.had), &evidence(&cases))?);
    let doubt = hypothesis(
        HypothesisState::Open,
        "something between cuts the stream (a proxy, a tunnel), and not the server",
        "the same hello on the server's own machine",
        evidence(&cases),
    );
    Some((finding("session.message_truncated", summary, chain, vec![doubt])?, explained(&cases)))
}

/// A length that no frame has, a frame that never ends, or messages that are no frames.
pub(super) fn framing(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let broken = |hello: &Hello| {
        let failure = hello.failure.clone()?;
        let ours = failure.begins.as_str().starts_with("\\xd7") || hello.transport == Some(Transport::WebSocket);
        match failure.how {
            How::TooMuch | How::Malformed if ours => Some((failure, true)),
            How::TooSlow if hello.unfinished.is_some() => Some((failure, false)),
            _ => None,
        }
    };
    let mut cases = hellos(view, checks);
    cases.retain(|case| broken(case.saw).is_some());
    let (failure, sure) = broken(cases.first()?.saw)?;
    let all = addresses(&cases);
    let mut hypotheses = Vec::new();
    let (summary, statement) = if sure {
        (format!("{all} answers with a frame that cannot be one: {failure}"), failure.to_string())
    } else {
        let had = cases.first()?.saw.unfinished?;
        let wants = had.announced.map_or_else(String::new, |wants| format!(" of {wants}"));
        hypotheses.push(hypothesis(
            HypothesisState::Open,
            "the rest was sent and is lost on the way (tcp.mtu_black_hole), or the server has stopped in the middle",
            "retransmissions (ss -ti) on the server, and its state",
            evidence(&cases),
        ));
        let statement = format!("{}{wants} bytes of a frame came, and no more", had.had);
        (format!("{all} begins a frame and never ends it: {statement}"), statement)
    };
    let closed = refuted(
        "the message was cut off (session.message_truncated)",
        "the connection was not ended by the server",
        evidence(&cases),
    );
    hypotheses.push(closed);
    let chain = vec![link(statement, &evidence(&cases))?];
    let mut finding = finding("session.framing_error", summary, chain, hypotheses)?;
    finding.confidence = if sure { Confidence::High } else { Confidence::Medium };
    Some((finding, explained(&cases)))
}

/// No version in common.
pub(super) fn version(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let mut cases = hellos(view, checks);
    cases.retain(|case| apart(case.saw).is_some());
    let (ours, (least, most)) = apart(cases.first()?.saw)?;
    let theirs = if least == most { format!("version {least}") } else { format!("versions {least} to {most}") };
    let agent =
        cases.first()?.saw.agent.as_ref().map_or_else(String::new, |agent| format!(" ({})", agent.first_line(60)));
    let summary = format!("{}{agent} speaks {theirs} of the protocol, this program version {ours}", addresses(&cases));
    let chain = vec![link(format!("the refusal of a hello says: {theirs}"), &evidence(&cases))?];
    Some((finding("session.version_mismatch", summary, chain, vec![])?, explained(&cases)))
}

/// A refusal with a code, at the hello or at the door of the echo room.
fn refused(
    view: &mut View<'_>,
    checks: &[Check],
    codes: &[&str],
) -> Option<(Vec<EvidenceId>, String, String, Vec<String>)> {
    let mut told: Option<String> = None;
    let (mut ids, mut all, mut explained) = (Vec::new(), Vec::new(), Vec::new());
    for case in hellos(view, checks) {
        if case.saw.code.as_deref().is_some_and(|code| codes.contains(&code)) {
            told.get_or_insert_with(|| case.saw.says.first_line(120));
            ids.push(case.evidence);
            all.push(case.address.to_string());
            explained.push(case.id);
        }
    }
    for case in echoes(view, checks) {
        let heard: &EchoHeard = case.saw;
        if heard.refused.as_deref().is_some_and(|code| codes.contains(&code)) {
            told.get_or_insert_with(|| heard.failure.as_ref().map_or_else(String::new, ToString::to_string));
            ids.push(case.evidence);
            all.push(case.address.to_string());
            explained.push(case.id);
        }
    }
    all.dedup();
    Some((ids, crate::diagnosis::summary::and(&all), told?, explained))
}

/// No place left.
pub(super) fn full(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let (ids, at, says, explained) = refused(view, checks, &["server_full"])?;
    let chain = vec![link(format!("the server refuses with server_full: {says}"), &ids)?];
    let limit = refuted(
        "the server has no file descriptors left (resource.fd_limit)",
        "it accepted the connection and answered on it",
        ids.clone(),
    );
    let summary = format!("{at} has no place left and says so: {says}");
    Some((finding("session.capacity_reached", summary, chain, vec![limit])?, explained))
}

/// No room.
pub(super) fn room(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let (ids, at, says, explained) = refused(view, checks, &["room_invalid"])?;
    let chain = vec![link(format!("the server refuses the room: {says}"), &ids)?];
    Some((finding("session.room_unavailable", format!("{at} gives no room: {says}"), chain, vec![])?, explained))
}

/// Both sides wait: the hello was taken, and nothing comes back.
pub(super) fn deadlock(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let silent = |hello: &Hello| {
        hello.failure.as_ref().is_some_and(|f| f.how == How::TimedOut && f.received == 0 && f.errno.is_none())
    };
    let mut cases = hellos(view, checks);
    cases.retain(|case| silent(case.saw));
    let first = cases.first()?.address;
    let all = addresses(&cases);
    let pong = view.steps(|step, saw| match saw {
        Saw::Ping(ping) if step.address == Some(first) && ping.rtt_us.is_some() => Some(()),
        _ => None,
    });
    let pong = pong.first().map(|(line, ())| view.cite(*line));
    let mut chain = vec![link("the connection was accepted, and a hello sent on it", &evidence(&cases))?];
    let stopped = "the server is stopped or blocked (process.stopped, process.deadlocked)";
    let (doubt, confidence) = if let Some(id) = pong {
        chain.push(link("it answers a ping of the WebSocket meanwhile", std::slice::from_ref(&id))?);
        (refuted(stopped, "it answers a ping meanwhile", vec![id]), Confidence::High)
    } else {
        let by = "the state of the process and of the accept queue, on the server's own machine";
        (hypothesis(HypothesisState::Open, stopped, by, evidence(&cases)), Confidence::Medium)
    };
    let words = cases.first()?.saw.failure.as_ref().map(ToString::to_string)?;
    chain.push(link(format!("the server says nothing: {words}"), &evidence(&cases))?);
    let summary = format!("{all} accepts and does not answer a Sidetone hello: {words}; both sides wait");
    let other = hypothesis(
        HypothesisState::Open,
        "it speaks another protocol and waits for the rest of a message (session.foreign_server_answered)",
        "what speaks there when it is asked in other protocols",
        evidence(&cases),
    );
    let mut finding = finding("session.handshake_deadlock", summary, chain, vec![doubt, other])?;
    finding.confidence = confidence;
    Some((finding, explained(&cases)))
}

/// The server does not offer what was asked for.
pub(super) fn feature(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let lacks = |heard: &EchoHeard| {
        let refused = heard.refused.as_deref() == Some("audio_unsupported");
        heard.failure.clone().filter(|_| refused || heard.offered == Some(false))
    };
    let mut cases = echoes(view, checks);
    cases.retain(|case| lacks(case.saw).is_some());
    let says = lacks(cases.first()?.saw)?;
    let chain = vec![link(format!("the server answers the wish for an echo room: {says}"), &evidence(&cases))?];
    let summary = format!("{}: {says}, so its sound could not be checked", addresses(&cases));
    // what could not be checked is not known for that, and stays in the verdict
    let refused = ids(&failed(checks, "media.echo/"));
    let explained = explained(&cases).into_iter().filter(|id| refused.contains(id)).collect();
    Some((finding("session.feature_not_offered", summary, chain, vec![])?, explained))
}

//! Discovery by mDNS.

use crate::diagnosis::view::{SERVER, View, draft};
use crate::evidence::{Answer, Check, Layer, Observation, Question, Side};
use sidetone::event::Event;
use std::net::SocketAddr;

/// A browse finds the server with its real ports.
pub(super) fn browse(view: &mut View<'_>) -> Vec<Check> {
    if !view.evidence.plan.server.mdns {
        return vec![];
    }
    let check = draft("discovery.browse", Layer::Discovery, Side::Server, "a browse finds the server's ports");
    let seen = view.first(|o| match o {
        Observation::Browse { found, expected_instance, error, took_ms, .. } => {
            Some((found, expected_instance, error, *took_ms))
        }
        _ => None,
    });
    let Some((line, (found, instance, error, took_ms))) = seen else {
        return vec![check.unknown("no browse was made", vec![])];
    };
    let mut ids = vec![view.cite(line)];
    if let Some(error) = error {
        return vec![check.unknown(format!("the browse itself failed: {error}"), ids)];
    }
    let Some(row) = found.iter().find(|r| r.instance == *instance) else {
        let claimed = view.events(SERVER, |e| matches!(e, Event::MdnsAnnounced { .. }).then_some(()));
        ids.extend(claimed.iter().map(|(log, line, ())| view.cite_log(log, line)).collect::<Vec<_>>());
        let second = view.answers(|question, answer| match (question, answer) {
            (Question::Browse { .. }, Answer::Found { .. } | Answer::NotFound { .. }) => Some(answer),
            _ => None,
        });
        if let Some((line, answer)) = second.first() {
            let more = view.cite(*line);
            match answer {
                Answer::Found { .. } => {
                    ids.push(more);
                    let message =
                        format!("{instance:?} did not answer a browse of {took_ms} ms, and answered a second one");
                    return vec![check.warn(message, ids, "browse longer on a busy machine")];
                }
                Answer::NotFound { control_found: Some(false), .. } => {
                    ids.push(more);
                    let why = "the browse is blind: it does not find an announcement of the harness itself either";
                    return vec![check.unknown(why, ids)];
                }
                _ => {}
            }
        }
        let says = if claimed.is_empty() { "" } else { ", although the log says it was announced" };
        let message = format!("{instance:?} did not answer a browse of {took_ms} ms{says}");
        return vec![check.fail(message, ids, "look for a filter on UDP 5353, or announce on the right interface")];
    };
    let Some((_, tcp, websocket)) = view.ready() else {
        return vec![check.unknown("there is no ready line to compare with", ids)];
    };
    let ports = (tcp.first().map(SocketAddr::port), websocket.first().map(SocketAddr::port));
    vec![if (Some(row.port), row.websocket_port) == ports {
        check.pass(
            format!("{instance:?} with ports {} and {:?} after {took_ms} ms", row.port, ports.1.unwrap_or(0)),
            ids,
        )
    } else {
        let message = format!("announced with ports {} and {:?}, listening on {ports:?}", row.port, row.websocket_port);
        check.fail(message, ids, "announce after the listeners are bound")
    }]
}

/// The announcement is taken back at the end.
pub(super) fn withdrawn(view: &mut View<'_>) -> Vec<Check> {
    if !view.evidence.plan.server.mdns {
        return vec![];
    }
    let check = draft("discovery.withdrawn", Layer::Discovery, Side::Server, "the announcement is taken back");
    let announced = view.events(SERVER, |e| matches!(e, Event::MdnsAnnounced { .. }).then_some(()));
    let withdrawn = view.events(SERVER, |e| matches!(e, Event::MdnsWithdrawn { .. }).then_some(()));
    if announced.is_empty() {
        return vec![check.skip("it was never announced")];
    }
    vec![if let Some((log, line, ())) = withdrawn.first() {
        let id = view.cite_log(log, line);
        check.pass("the goodbye was sent", vec![id])
    } else {
        let ids = announced.iter().map(|(log, line, ())| view.cite_log(log, line)).collect();
        check.fail("announced and never withdrawn", ids, "let the server end by SIGTERM, so that it can say goodbye")
    }]
}

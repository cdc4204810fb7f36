//! What goes wrong on a WebSocket that is there.

use super::Told;
use crate::diagnosis::view::View;
use crate::evidence::probed::{Close, Closed, Failure, FrameProblem, How, Intrusive, Ping, Saw, Wait};
use std::net::SocketAddr;

/// What came unasked.
pub(super) fn of_wait(wait: &Wait) -> Option<Told> {
    match (&wait.failure, &wait.closed) {
        (Some(failure), _) => of_failure(failure, wait.problem),
        (None, Some(closed)) => of_code(closed),
        (None, None) => None,
    }
}

/// The close handshake.
pub(super) fn of_close(close: &Close) -> Option<Told> {
    match (&close.failure, &close.answer) {
        (Some(failure), _) if failure.how == How::TimedOut => Some(Told::sure(
            "websocket.close_handshake_hung",
            format!("got a close frame, and {failure}"),
            format!("does not answer the close of a WebSocket: {failure}"),
        )),
        (Some(failure), _) => of_failure(failure, close.problem),
        (None, Some(closed)) => of_code(closed),
        (None, None) => None,
    }
}

/// A ping without its pong, where nothing else is wrong with the connection.
pub(super) fn of_ping(ping: &Ping, view: &View<'_>, address: SocketAddr) -> Option<Told> {
    let failure = ping.failure.as_ref().filter(|failure| failure.how == How::TimedOut)?;
    let told = Told::sure(
        "websocket.no_pong",
        format!("got a ping, and {failure}"),
        format!("upgrades to a WebSocket and does not answer its pings: {failure}"),
    );
    let closed = view.steps(|step, saw| match saw {
        Saw::Close(close) if step.address == Some(address) => close.answer.as_ref(),
        _ => None,
    });
    let stopped = "the process is stopped or blocked";
    Some(match (closed.first(), ping.others) {
        (Some((line, _)), _) => {
            told.not(stopped, "it answered the close frame").also(*line, "it answered the close of the same connection")
        }
        (None, 1..) => told.not(stopped, "other frames came meanwhile"),
        (None, 0) => told.unless(stopped, "the state of the process; nothing else came either"),
    })
}

/// What messages were taken.
pub(super) fn of_limits(limits: &Intrusive) -> Option<Told> {
    let whole = limits.text == Some(true) || limits.binary == Some(true);
    (whole && limits.fragments == Some(false)).then(|| {
        Told::sure(
            "websocket.fragmentation_unsupported",
            "takes a whole message and closes for the same one in two fragments",
            "does not put fragments of messages together: it takes whole ones alone",
        )
    })
}

fn of_failure(failure: &Failure, problem: Option<FrameProblem>) -> Option<Told> {
    let fact = format!("sent {failure}");
    match (problem, failure.how) {
        (Some(FrameProblem::Flood), _) => {
            Some(Told::sure("websocket.flooded", fact, format!("floods its clients: {failure}")))
        }
        (Some(FrameProblem::BadUtf8), _) => Some(Told::sure(
            "websocket.bad_utf8",
            fact,
            format!("sends {failure}, which clients must end the connection for"),
        )),
        (Some(FrameProblem::TooLarge), _) => None,
        (Some(_), _) => {
            Some(Told::sure("websocket.protocol_error", fact, format!("breaks RFC 6455: it sent {failure}")))
        }
        (None, How::Closed | How::Reset) => {
            let end = if failure.how == How::Reset { "a reset" } else { "an end of the stream" };
            let told = Told::sure(
                "websocket.closed_without_frame",
                format!("ended the WebSocket by {end}, without a close frame"),
                format!("ends the WebSocket by {end}, without a close frame (browsers say 1006)"),
            );
            Some(told.unless("the server's process died", "the server's own log, or its process id before and after"))
        }
        (None, _) => None,
    }
}

/// What a server means that closes with a code.
fn of_code(closed: &Closed) -> Option<Told> {
    let code = closed.code?;
    let said =
        if closed.reason.is_empty() { code.to_string() } else { format!("{code} ({})", closed.reason.first_line(120)) };
    let fact = format!("closed the WebSocket with {said}");
    let told = |cause, summary: &str| {
        Some(Told::sure(cause, fact.clone(), format!("closes the WebSocket with {said}: {summary}")))
    };
    match code {
        1002 => told("websocket.protocol_error", "it says that a frame broke the protocol")?
            .unless("something on the way changed the frames", "the same without proxies")
            .into(),
        1003 => told("websocket.wrong_message_type", "it does not take messages of that type"),
        1007 => told("websocket.bad_utf8", "it says that a message was not what its type promises"),
        1008 => told("websocket.policy_violation", "its rules do not allow what was asked or sent"),
        1009 => told("websocket.message_too_big", "the message was larger than it takes"),
        1011 => told("websocket.server_error", "it met an error of its own"),
        1012 | 1013 => told(
            "websocket.restarting_or_overloaded",
            if code == 1012 { "it restarts" } else { "it has too much to do" },
        ),
        _ => None,
    }
}

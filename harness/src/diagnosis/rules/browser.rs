//! What keeps a browser's page from its WebSocket, its microphone, its sound.

use super::{Found, Rule, failed, finding, hypothesis, link, refuted, unwell, without};
use crate::diagnosis::checks::browser::{Socket, audio_context, browsers, last, socket, violations};
use crate::diagnosis::summary::and;
use crate::diagnosis::view::{SERVER, View};
use crate::evidence::{Check, ClientKind, EvidenceId, Hypothesis, HypothesisState, Link, Observation, Status};
use sidetone::event::Event;

/// In this order.
pub(super) const RULES: &[Rule] =
    &[blocked_by_policy, origin_refused, refused_after_the_end, insecure_origin, capture_denied, autoplay_blocked];

/// The first browser of which one of these checks failed.
fn first_with(view: &View<'_>, checks: &[Check], prefixes: &[&str]) -> Option<String> {
    let clients = browsers(view).into_iter().map(|c| c.name.clone());
    let fails = |name: &String| prefixes.iter().any(|p| !failed(checks, &format!("{p}/{name}")).is_empty());
    clients.into_iter().find(fails)
}

/// What cannot be well without this browser's session, sound and pictures, and what is the same failure told elsewhere.
fn follows(view: &View<'_>, client: &str, checks: &[Check], also: &[&str]) -> Vec<String> {
    let mut explained = without(view, &[client.to_owned()], checks);
    let told = unwell(checks).filter(|c| also.iter().any(|id| c.id == *id) && only_about(view, c, client));
    explained.extend(told.map(|c| c.id.clone()));
    explained
}

/// Whether a check over all logs fails because of this client alone.
fn only_about(view: &View<'_>, check: &Check, client: &str) -> bool {
    let others = view.started_clients().into_iter().filter(|c| c.name != client);
    check.id != "log.no_errors" || !others.into_iter().any(|c| check.message.contains(&format!(", of {}:", c.name)))
}

/// Cites where the page was loaded, and its address.
fn loaded(view: &mut View<'_>, client: &str) -> Option<(EvidenceId, String, bool)> {
    let (log, line, (url, secure)) = last(view, client, |e| match e {
        Event::BrowserPageLoaded { url, secure_context, .. } => Some((url.clone(), *secure_context)),
        _ => None,
    })?;
    Some((view.cite_log(log, line), url, secure))
}

/// Clients of the other kind that are in over the same port: cited, and named.
fn natives(view: &mut View<'_>) -> Option<(EvidenceId, String)> {
    let clients = view.evidence.plan.clients.iter().filter(|c| c.kind == ClientKind::Terminal);
    let (mut names, mut id) = (Vec::new(), None);
    for client in clients {
        let joined = last(view, &client.name, |e| matches!(e, Event::ClientJoined { .. }).then_some(()));
        if let Some((log, line, ())) = joined {
            names.push(client.name.as_str());
            id = id.or_else(|| Some(view.cite_log(log, line)));
        }
    }
    Some((id?, and(&names)))
}

/// Requests for an upgrade that the server answered otherwise than with 101.
fn refused_upgrade(view: &mut View<'_>) -> Option<(EvidenceId, u16)> {
    let answered = view.events(SERVER, |e| match e {
        Event::HttpAnswered { path, status, .. } if path == "/ws" && *status != 101 => Some(*status),
        _ => None,
    });
    let (log, line, status) = answered.into_iter().next()?;
    Some((view.cite_log(log, line), status))
}

fn blocked_by_policy(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let client = first_with(view, checks, &["http.policy"])?;
    // what was blocked besides a WebSocket that works is somebody else's matter
    if matches!(socket(view, &client).0, Socket::Answered(_)) {
        return None;
    }
    let found = violations(view, &client);
    let (log, line, what) = found.first()?;
    let what = what.clone();
    let violation = view.cite_log(log, line);
    let (page, url, _) = loaded(view, &client)?;
    let mut chain = vec![
        link(format!("{client}'s browser loaded {url}"), &[page])?,
        link(format!("the browser says: {what}"), std::slice::from_ref(&violation))?,
    ];
    let mut hypotheses = Vec::new();
    if let Some((id, names)) = natives(view) {
        chain.push(link(format!("{names} joined over the same server"), std::slice::from_ref(&id))?);
        hypotheses.push(refuted(
            "the server does not serve the WebSocket",
            "clients that are no browsers are in",
            vec![id],
        ));
    }
    let by_server = "the server refuses the page's origin";
    hypotheses.push(match refused_upgrade(view) {
        None => refuted(by_server, "the server's log: no upgrade was asked for and refused", vec![violation]),
        Some((id, status)) => {
            hypothesis(HypothesisState::Open, by_server, format!("an upgrade was answered with {status}"), vec![id])
        }
    });
    let summary =
        format!("{client}'s browser does not let the page open its WebSocket: {what}; the request never left it");
    let explained = follows(view, &client, checks, &["log.no_errors"]);
    Some((finding("http.blocked_by_browser_policy", summary, chain, hypotheses)?, explained))
}

fn origin_refused(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let client = first_with(view, checks, &["websocket.upgrade"])?;
    let told = last(view, SERVER, |e| match e {
        Event::HttpOriginRefused { origin, host, remedy, .. } => Some((origin.clone(), host.clone(), remedy.clone())),
        _ => None,
    });
    let (log, line, (origin, host, _)) = told?;
    let refusal = view.cite_log(log, line);
    let (state, place) = socket(view, &client);
    let seen: Vec<EvidenceId> = place.into_iter().map(|(log, line)| view.cite_log(log, line)).collect();
    let (page, url, _) = loaded(view, &client)?;
    let mut chain = vec![
        link(format!("{client}'s browser loaded {url}"), &[page])?,
        link(
            format!("the server refused a WebSocket to the origin {origin} (host {host})"),
            std::slice::from_ref(&refusal),
        )?,
    ];
    match state {
        Socket::Answered(status) => chain.extend(link(format!("the browser got {status} for its upgrade"), &seen)),
        Socket::Failed(error) => chain.extend(link(format!("the browser says of its WebSocket: {error}"), &seen)),
        Socket::NotTried => {}
    }
    let mut hypotheses = Vec::new();
    if let Some((id, names)) = natives(view) {
        let statement = "the server does not serve the WebSocket";
        hypotheses.push(refuted(statement, "clients that send no Origin are in", vec![id.clone()]));
        chain.push(link(format!("{names}, no browser, joined over the same server"), &[id])?);
    }
    hypotheses.push(refuted("a proxy on the way refuses it", "the server's own log has the refusal", vec![refusal]));
    let summary = format!(
        "the server answers 403 to {client}'s page: its origin {origin} is not among the server's own names, nor allowed by \
         --allow-origin"
    );
    let explained = follows(view, &client, checks, &["log.no_errors"]);
    Some((finding("http.forbidden", summary, chain, hypotheses)?, explained))
}

/// The server ended, by the harness, between the page and its WebSocket.
fn refused_after_the_end(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let client = first_with(view, checks, &["websocket.upgrade"])?;
    let (Socket::Failed(error), Some((log, line))) = socket(view, &client) else { return None };
    if !error.contains("ERR_CONNECTION_REFUSED") {
        return None;
    }
    let at_ns = line.record.as_ref()?.monotonic_ns;
    let refusal = view.cite_log(log, line);
    let (end_line, end) = view.end_of(SERVER).filter(|(_, end)| end.by_harness)?;
    let ended_ns = end.ended_ns.filter(|ended| *ended <= at_ns)?;
    let (sent_line, (signal, pid)) = view.first(|o| match o {
        Observation::SignalSent { process, signal, pid, .. } if process == SERVER => Some((signal.clone(), *pid)),
        _ => None,
    })?;
    let (page, url, _) = loaded(view, &client)?;
    let chain: Option<Vec<Link>> = [
        link(format!("{client}'s browser loaded {url}"), &[page]),
        link(format!("the harness sent {signal} to the server (pid {pid})"), &[view.cite(sent_line)]),
        link("the server ended as it had been asked to", &[view.cite(end_line)]),
        link(
            format!("the page's WebSocket is refused {} ms after that: {error}", (at_ns - ended_ns) / 1_000_000),
            &[refusal],
        ),
    ]
    .into_iter()
    .collect();
    let hypotheses = vec![refuted(
        "the page's policy or the origin is at fault",
        "the refusal comes from the kernel: nothing listens there any more",
        vec![view.cite(end_line)],
    )];
    let summary = format!(
        "{client}'s page is open and its WebSocket is refused, because the harness itself had ended the server (pid {pid}, \
         {signal}) before; no bind failed"
    );
    let explained: Vec<_> = unwell(checks).filter(|c| !c.id.starts_with("harness.")).map(|c| c.id.clone()).collect();
    Some((finding("tcp.refused", summary, chain?, hypotheses)?, explained))
}

/// What the page said of the microphone: where, and the name of the exception.
fn microphone(view: &mut View<'_>, client: &str) -> Option<(EvidenceId, String)> {
    let (log, line, error) = last(view, client, |e| match e {
        Event::BrowserCapture { device, granted: false, error, .. } if device == "microphone" => Some(error.clone()),
        _ => None,
    })?;
    Some((view.cite_log(log, line), error.unwrap_or_else(|| "not granted".to_owned())))
}

/// Packets of sound that a browser sent, as its own checks tell it.
fn nothing_sent(checks: &[Check], client: &str) -> Vec<EvidenceId> {
    let sends = checks.iter().find(|c| c.id == format!("media.sends/{client}") && c.status == Status::Fail);
    sends.map(|c| c.evidence.clone()).unwrap_or_default()
}

/// The others who were to hear a browser, in words.
fn who_misses(view: &View<'_>, client: &str) -> String {
    let names: Vec<_> = view
        .evidence
        .plan
        .clients
        .iter()
        .filter(|c| c.hears.iter().any(|h| h == client))
        .map(|c| c.name.as_str())
        .collect();
    if names.is_empty() { "nobody hears it".to_owned() } else { format!("{} cannot hear it", and(&names)) }
}

fn insecure_origin(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let client = first_with(view, checks, &["media.capture"])?;
    let (page, url, secure) = loaded(view, &client)?;
    if secure {
        return None;
    }
    let mut chain = vec![link(
        format!("{client}'s browser loaded {url}, which is no secure context"),
        std::slice::from_ref(&page),
    )?];
    let mut hypotheses = Vec::new();
    if let Some((id, error)) = microphone(view, &client) {
        chain.push(link(format!("the page could not use the microphone: {error}"), std::slice::from_ref(&id))?);
        hypotheses.push(refuted("the person refused the microphone", "the page could not even ask", vec![page, id]));
    }
    chain.extend(link(format!("{client} sent no sound"), &nothing_sent(checks, &client)));
    let misses = who_misses(view, &client);
    let summary = format!(
        "{client}'s page may use neither microphone nor sound, because {} is neither https nor localhost; {misses}",
        origin_of(&url)
    );
    let explained = follows(view, &client, checks, &["log.no_errors"]);
    Some((finding("media.insecure_origin", summary, chain, hypotheses)?, explained))
}

/// Scheme, host and port of an address.
fn origin_of(url: &str) -> String {
    url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/")
}

fn capture_denied(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let client = first_with(view, checks, &["media.capture"])?;
    let (id, error) = microphone(view, &client)?;
    let (page, url, secure) = loaded(view, &client)?;
    if !secure || !error.contains("NotAllowedError") {
        return None;
    }
    let mut chain = vec![
        link(format!("{client}'s browser loaded {url}, a secure context"), std::slice::from_ref(&page))?,
        link(format!("the page asked for the microphone and got {error}"), std::slice::from_ref(&id))?,
    ];
    chain.extend(link(format!("{client} sent no sound"), &nothing_sent(checks, &client)));
    let hypotheses: Vec<Hypothesis> = vec![
        refuted("the page came over plain HTTP", "it is a secure context", vec![page]),
        refuted("there is no microphone, or another program holds it", "the name of the exception", vec![id]),
    ];
    let misses = who_misses(view, &client);
    let summary = format!("{client}'s browser does not let the page use the microphone ({error}); {misses}");
    let explained = follows(view, &client, checks, &["log.no_errors"]);
    Some((finding("media.capture_permission_denied", summary, chain, hypotheses)?, explained))
}

fn autoplay_blocked(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let client = first_with(view, checks, &["media.audio_context"])?;
    let (log, line, (state, told)) = audio_context(view, &client)?;
    if state != "suspended" {
        return None;
    }
    let suspended = view.cite_log(log, line);
    let (page, url, _) = loaded(view, &client)?;
    let mut chain = vec![
        link(format!("{client}'s browser loaded {url}"), &[page])?,
        link(format!("the page's AudioContext is {told}"), std::slice::from_ref(&suspended))?,
    ];
    let received = last(view, &client, |e| matches!(e, Event::ClientFirstAudio { .. }).then(|| e.message()));
    let mut hypotheses = Vec::new();
    if let Some((log, line, message)) = received {
        let id = view.cite_log(log, line);
        chain.push(link(format!("sound reached the page: {message}"), std::slice::from_ref(&id))?);
        hypotheses.push(refuted("no sound arrives", "the page received packets of sound", vec![id]));
    }
    if let Some(hears) = failed(checks, &format!("media.hears/{client}")).first() {
        chain.extend(link(hears.message.clone(), &hears.evidence));
    }
    let who = view.evidence.plan.clients.iter().find(|c| c.name == client);
    let others = who.map_or_else(|| "nobody".to_owned(), |c| and(&c.hears));
    let summary = format!(
        "{client}'s browser keeps the page silent because nobody has touched it (its AudioContext is suspended), so \
         {client} does not hear {others}"
    );
    let ear = |id: &String| id.ends_with(&format!("/{client}"));
    let explained = follows(view, &client, checks, &[]).into_iter().filter(ear).collect();
    Some((finding("media.autoplay_blocked", summary, chain, hypotheses)?, explained))
}

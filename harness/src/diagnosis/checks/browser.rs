//! What a browser tells of the page, its WebSocket, its sound.

use crate::diagnosis::view::{View, draft};
use crate::evidence::{Check, ClientKind, ClientPlan, EvidenceId, Layer, Log, LogLine, Side};
use sidetone::event::Event;

/// Most bytes that all parts of the page may take on the wire.
const PAGE_BYTES: u64 = 120 * 1_024;
/// The status of an upgrade that was granted.
const SWITCHING: u16 = 101;
/// How far the loudest frequency of the page's output may be from that of a tone, in Hz: the analyser's resolution.
const ANALYSER_HZ: f64 = 12.0;

/// The browsers that were started.
pub(in crate::diagnosis) fn browsers<'a>(view: &View<'a>) -> Vec<&'a ClientPlan> {
    view.started_clients().into_iter().filter(|c| c.kind == ClientKind::Browser).collect()
}

/// The last event of a client that `pick` wants, as evidence.
pub(in crate::diagnosis) fn last<'a, T: 'a>(
    view: &View<'a>,
    client: &str,
    pick: impl Fn(&'a Event) -> Option<T>,
) -> Option<(&'a Log, &'a LogLine, T)> {
    view.events(client, pick).pop()
}

/// The page loads, whole and small.
pub(super) fn page(view: &mut View<'_>) -> Vec<Check> {
    browsers(view).into_iter().map(|client| page_of(view, client)).collect()
}

fn page_of(view: &mut View<'_>, client: &ClientPlan) -> Check {
    let title = format!("{} loads the page", client.name);
    let check = draft(format!("http.page/{}", client.name), Layer::Http, Side::Client, title);
    let failed = last(view, &client.name, |e| match e {
        Event::BrowserPageFailed { url, reason } => Some(format!("{url}: {reason}")),
        _ => None,
    });
    if let Some((log, line, why)) = failed {
        let id = view.cite_log(log, line);
        return check.fail(why, vec![id], "open the address by hand; compare it with the server's ready line");
    }
    let loaded = last(view, &client.name, |e| match e {
        Event::BrowserPageLoaded { url, status, requests, bytes, took_us, .. } => {
            Some((url, *status, *requests, *bytes, *took_us))
        }
        _ => None,
    });
    let Some((log, line, (url, status, requests, bytes, took_us))) = loaded else {
        return check.unknown("the browser did not tell that the page was loaded", vec![]);
    };
    let id = view.cite_log(log, line);
    let kib = bytes as f64 / 1024.0;
    let message = format!("{url}: {requests} requests, {kib:.1} KiB on the wire, in {:.0} ms", took_us as f64 / 1e3);
    match status {
        Some(200) if bytes <= PAGE_BYTES => check.pass(message, vec![id]),
        Some(200) => check.warn(
            format!("{message}: more than {} KiB", PAGE_BYTES / 1024),
            vec![id],
            "make the page smaller: on a slow line each 100 KiB are a second",
        ),
        Some(status) => check.fail(format!("{url}: status {status}"), vec![id], "open the address by hand"),
        None => check.unknown(format!("{url}: its status was not seen"), vec![id]),
    }
}

/// Nothing that the page needs is forbidden by a policy.
pub(super) fn policy(view: &mut View<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    for client in browsers(view) {
        let title = format!("no policy keeps {}'s page from what it needs", client.name);
        let check = draft(format!("http.policy/{}", client.name), Layer::Http, Side::Client, title);
        let found = violations(view, &client.name);
        let ids = found.iter().take(3).map(|(log, line, _)| view.cite_log(log, line)).collect();
        checks.push(match found.first() {
            None if was_loaded(view, &client.name) => check.pass("nothing was blocked", vec![]),
            None => check.skip("the page was not loaded"),
            Some((_, _, what)) => {
                check.fail(what.clone(), ids, "compare the Content-Security-Policy with what the server sends")
            }
        });
    }
    checks
}

fn was_loaded(view: &View<'_>, client: &str) -> bool {
    last(view, client, |e| matches!(e, Event::BrowserPageLoaded { .. }).then_some(())).is_some()
}

/// What a policy forbade a browser's page.
pub(in crate::diagnosis) fn violations<'a>(view: &View<'a>, client: &str) -> Vec<(&'a Log, &'a LogLine, String)> {
    view.events(client, |e| match e {
        Event::BrowserPolicyViolation { directive, blocked_url, .. } => {
            Some(format!("{directive} forbids {blocked_url}"))
        }
        Event::BrowserRequestFailed { url, blocked: Some(by), .. } => Some(format!("{by} forbids {url}")),
        _ => None,
    })
}

/// How the last attempt of a page to open a WebSocket went.
pub(in crate::diagnosis) enum Socket {
    /// It was never tried.
    NotTried,
    /// The server answered with this status.
    Answered(u16),
    /// It could not be opened.
    Failed(String),
}

/// By the browser's own events.
pub(in crate::diagnosis) fn socket<'a>(view: &View<'a>, client: &str) -> (Socket, Option<(&'a Log, &'a LogLine)>) {
    // some failures come with an answer: the status says more
    let answered = last(view, client, |e| match e {
        Event::BrowserWebsocketAnswered { status, .. } => Some(*status),
        _ => None,
    });
    let failed = last(view, client, |e| match e {
        Event::BrowserWebsocketFailed { error, .. } => Some(error.clone()),
        _ => None,
    });
    match (answered, failed) {
        (Some((log, line, status)), _) => (Socket::Answered(status), Some((log, line))),
        (None, Some((log, line, error))) => (Socket::Failed(error), Some((log, line))),
        (None, None) => (Socket::NotTried, None),
    }
}

/// The page's WebSocket is opened.
pub(super) fn upgrade(view: &mut View<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    for client in browsers(view) {
        let title = format!("{}'s page opens its WebSocket", client.name);
        let check = draft(format!("websocket.upgrade/{}", client.name), Layer::Websocket, Side::Client, title);
        let (socket, place) = socket(view, &client.name);
        let ids: Vec<EvidenceId> = place.into_iter().map(|(log, line)| view.cite_log(log, line)).collect();
        let remedy = "read the server's log for this origin (http.origin_refused), and what stands between";
        checks.push(match socket {
            Socket::Answered(SWITCHING) => check.pass("101 Switching Protocols", ids),
            Socket::Answered(status) => check.fail(format!("the server answers {status}"), ids, remedy),
            Socket::Failed(error) => check.fail(error, ids, remedy),
            Socket::NotTried if was_loaded(view, &client.name) => {
                check.fail("the page never tried", ids, "read the page's console in the log of this client")
            }
            Socket::NotTried => check.skip("the page was not loaded"),
        });
    }
    checks
}

/// The page got the microphone that it was given.
pub(super) fn capture(view: &mut View<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    for client in browsers(view).into_iter().filter(|c| c.mic != "none") {
        let title = format!("{}'s page gets the microphone", client.name);
        let check = draft(format!("media.capture/{}", client.name), Layer::Media, Side::Client, title);
        let asked = last(view, &client.name, |e| match e {
            Event::BrowserCapture { device, granted, error, label, sample_rate, channels }
                if device == "microphone" =>
            {
                Some((*granted, error.as_deref(), label, *sample_rate, *channels))
            }
            _ => None,
        });
        let insecure = last(view, &client.name, |e| match e {
            Event::BrowserPageLoaded { url, secure_context: false, .. } => Some(url.clone()),
            _ => None,
        });
        checks.push(match asked {
            None if let Some((log, line, url)) = insecure => {
                let id = view.cite_log(log, line);
                let message = format!("{url} is no secure context: there the page cannot even ask for it");
                check.fail(
                    message,
                    vec![id],
                    "open the page over https, or as http://localhost on the server's machine",
                )
            }
            Some((log, line, (granted, error, label, rate, channels))) => {
                let id = view.cite_log(log, line);
                if granted {
                    let rate = rate.map_or_else(|| "unknown rate".to_owned(), |hz| format!("{hz} Hz"));
                    let channels = channels.map_or_else(String::new, |n| format!(", {n} channels"));
                    check.pass(format!("{label}: {rate}{channels}"), vec![id])
                } else {
                    let why = error.unwrap_or("not granted").to_owned();
                    check.fail(why, vec![id], "allow the microphone for this page, and open it over https or localhost")
                }
            }
            None if was_loaded(view, &client.name) => check.unknown("the page did not say whether it asked", vec![]),
            None => check.skip("the page was not loaded"),
        });
    }
    checks
}

/// The state of a page's `AudioContext` as it was last told.
pub(in crate::diagnosis) fn audio_context<'a>(
    view: &View<'a>,
    client: &str,
) -> Option<(&'a Log, &'a LogLine, (&'a str, String))> {
    last(view, client, |e| match e {
        // at its end it is closed because the page is left
        Event::BrowserAudioContext { state, .. } if state == "closed" => None,
        Event::BrowserAudioContext { state, sample_rate, base_latency_ms, output_latency_ms } => {
            let told = format!(
                "{state}, {sample_rate} Hz, base latency {base_latency_ms:.1} ms, output latency {output_latency_ms:.1} ms"
            );
            Some((state.as_str(), told))
        }
        _ => None,
    })
}

/// The page can sound.
pub(super) fn context(view: &mut View<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    for client in browsers(view).into_iter().filter(|c| !c.hears.is_empty()) {
        let title = format!("{}'s page can sound", client.name);
        let check = draft(format!("media.audio_context/{}", client.name), Layer::Media, Side::Client, title);
        checks.push(match audio_context(view, &client.name) {
            Some((log, line, (state, told))) => {
                let id = view.cite_log(log, line);
                if state == "running" {
                    check.pass(told, vec![id])
                } else {
                    check.fail(format!("its AudioContext is {state}"), vec![id], "click once into the page")
                }
            }
            None if was_loaded(view, &client.name) => check.unknown("the page told no AudioContext", vec![]),
            None => check.skip("the page was not loaded"),
        });
    }
    checks
}

/// The page's own analyser hears what it should.
pub(super) fn analyser(view: &mut View<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    for client in browsers(view) {
        let plan = &view.evidence.plan;
        let others = plan.clients.iter().filter(|c| client.hears.contains(&c.name));
        let wanted: Vec<f64> = others.filter_map(|c| c.mic.strip_prefix("tone:")?.parse().ok()).collect();
        if wanted.is_empty() {
            continue;
        }
        let title = format!("{}'s page hears what it plays", client.name);
        let check = draft(format!("media.analyser/{}", client.name), Layer::Media, Side::Client, title);
        let least = plan.limits.tone_at_least_db;
        let heard = view.events(&client.name, |e| match e {
            Event::BrowserHeard { level_db, loudest_hz, .. } => Some((*level_db, *loudest_hz)),
            _ => None,
        });
        let fits =
            |(level, hz): &(f64, f64)| *level >= least && wanted.iter().any(|tone| (hz - tone).abs() <= ANALYSER_HZ);
        let best = heard.iter().find(|(_, _, h)| fits(h)).or_else(|| heard.last());
        checks.push(match best {
            Some((log, line, found)) => {
                let id = view.cite_log(log, line);
                let message = format!("{:.1} dBFS, loudest at {:.0} Hz", found.0, found.1);
                if fits(found) {
                    check.pass(message, vec![id])
                } else {
                    check.fail(message, vec![id], "see whether the AudioContext runs and packets arrive")
                }
            }
            None if was_loaded(view, &client.name) => check.unknown("the analyser was not read", vec![]),
            None => check.skip("the page was not loaded"),
        });
    }
    checks
}

/// No script of the page fails.
pub(super) fn scripts(view: &mut View<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    for client in browsers(view) {
        let title = format!("{}'s page runs without an error", client.name);
        let check = draft(format!("log.page/{}", client.name), Layer::Log, Side::Client, title);
        let thrown = view.events(&client.name, |e| match e {
            Event::BrowserException { text, location } => Some(format!("{text} ({location})")),
            _ => None,
        });
        // what the browser itself complains of is told by the checks of the page and its WebSocket
        let said = view.events(&client.name, |e| match e {
            Event::BrowserConsole { level, text, location } if level == "error" && !told_elsewhere(text) => {
                Some(format!("{text} ({location})"))
            }
            _ => None,
        });
        let ids = |view: &mut View<'_>, found: &[(&Log, &LogLine, String)]| {
            found.iter().take(3).map(|(log, line, _)| view.cite_log(log, line)).collect::<Vec<_>>()
        };
        checks.push(if let Some((_, _, first)) = thrown.first() {
            let ids = ids(view, &thrown);
            check.fail(format!("uncaught: {first}"), ids, "open the page with the developer tools of a browser")
        } else if let Some((_, _, first)) = said.first() {
            let ids = ids(view, &said);
            check.warn(format!("console: {first}"), ids, "open the page with the developer tools of a browser")
        } else if was_loaded(view, &client.name) {
            check.pass("no exception, no error on the console", vec![])
        } else {
            check.skip("the page was not loaded")
        });
    }
    checks
}

/// Complaints of the browser itself about connections and policies.
fn told_elsewhere(text: &str) -> bool {
    [
        "WebSocket connection to",
        "Failed to load resource",
        "Content Security Policy",
        "Content-Security-Policy",
        "Cross-Origin-Opener-Policy",
    ]
    .iter()
    .any(|about| text.contains(about))
}

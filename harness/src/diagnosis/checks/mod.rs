//! The checks, one file a layer. A check is a function from the evidence to outcomes; ids are an interface.
//!
//! To add one: a function in the file of its layer, a line in [`CHECKS`], a test with evidence that fails it.

pub(super) mod bind;
pub(super) mod browser;
mod connect;
mod discovery;
mod echo;
mod log;
pub(super) mod media;
pub(super) mod picture;
pub(super) mod playback;
pub(super) mod probe;
mod process;
mod resource;
pub(super) mod room;

use super::view::{SERVER, View};
use crate::evidence::{Check, Status};

/// One check.
#[derive(Clone, Copy, Debug)]
pub struct CheckDef {
    /// Stable id; a check that is made for each client appends `/CLIENT`.
    pub id: &'static str,
    /// What it looks at, for `ARCHITECTURE.md` and people who add one.
    pub about: &'static str,
    /// Runs it. None, one or several outcomes.
    pub run: fn(&mut View<'_>) -> Vec<Check>,
}

/// All of them, from the harness itself up to the media.
pub const CHECKS: &[CheckDef] = &[
    CheckDef {
        id: "harness.self_test",
        about: "both socket readers see a socket of the harness itself",
        run: bind::self_test,
    },
    CheckDef { id: "harness.fault", about: "what a scenario breaks on purpose was broken", run: process::fault },
    CheckDef { id: "harness.browser", about: "a browser is there, where one is wanted", run: process::browser },
    CheckDef { id: "harness.complete", about: "the run was not cut short", run: process::complete },
    CheckDef {
        id: "process.started",
        about: "every program was started and the server got ready",
        run: process::started,
    },
    CheckDef { id: "process.exit", about: "every program ended with the right code", run: process::exits },
    CheckDef { id: "process.no_panic", about: "no panic, no sanitizer output, no core", run: process::no_panic },
    CheckDef { id: "process.no_orphans", about: "nothing outlived its parent", run: process::no_orphans },
    CheckDef { id: "bind.no_failure", about: "no bind failed, nothing is degraded", run: bind::no_failure },
    CheckDef { id: "bind.failure_told", about: "a failed bind is told clearly", run: bind::failure_told },
    CheckDef { id: "bind.announced", about: "every channel says the same addresses", run: bind::announced },
    CheckDef { id: "bind.asked", about: "bound where it was told to", run: bind::asked },
    CheckDef {
        id: "bind.kernel",
        about: "each announced listener is in the kernel's table and ours",
        run: bind::kernel,
    },
    CheckDef { id: "bind.readers_agree", about: "netlink and /proc tell the same", run: bind::readers_agree },
    CheckDef { id: "bind.log_agrees", about: "the log claims just what the kernel has", run: bind::log_agrees },
    CheckDef { id: "bind.released", about: "no port is held after the end", run: bind::released },
    CheckDef { id: "dns.resolve", about: "the target's name has addresses", run: connect::resolve },
    CheckDef { id: "tcp.connect", about: "each listener completes a connection", run: connect::connect },
    CheckDef { id: "http.health", about: "/healthz answers 200, not degraded", run: connect::health },
    CheckDef { id: "http.page", about: "each browser loads the page, whole and small", run: browser::page },
    CheckDef { id: "http.policy", about: "no policy keeps a page from what it needs", run: browser::policy },
    CheckDef { id: "websocket.upgrade", about: "each page opens its WebSocket", run: browser::upgrade },
    CheckDef { id: "session.hello", about: "each accept loop answers a hello", run: connect::hello },
    CheckDef {
        id: "session.joined",
        about: "each client is in, over its transport and family, by both sides' logs",
        run: connect::joined,
    },
    CheckDef { id: "session.stayed", about: "no connection was lost or refused or malformed", run: connect::stayed },
    CheckDef { id: "session.chat", about: "what is said in the chat reaches all others", run: room::chat },
    CheckDef { id: "session.mute", about: "all others see who is muted", run: room::mute },
    CheckDef {
        id: "session.resumed",
        about: "all come back by themselves after the server is started again",
        run: room::resumed,
    },
    CheckDef { id: "media.capture", about: "each page gets its microphone", run: browser::capture },
    CheckDef { id: "media.audio_context", about: "each page can sound", run: browser::context },
    CheckDef { id: "media.analyser", about: "each page's analyser hears what it plays", run: browser::analyser },
    CheckDef { id: "media.mixer", about: "the mixer ticks at its rate", run: playback::mixer },
    CheckDef { id: "media.sends", about: "each who is to be heard sends sound", run: media::sends },
    CheckDef { id: "media.hears", about: "each hears the others' tones and not its own", run: media::hears },
    CheckDef { id: "media.speech", about: "recorded speech is what was sent", run: media::speech },
    CheckDef { id: "media.concealment", about: "little sound was made up", run: playback::concealment },
    CheckDef { id: "media.underrun", about: "no underrun after filling", run: playback::underruns },
    CheckDef { id: "media.filling", about: "callbacks without samples while the buffer fills", run: playback::filling },
    CheckDef { id: "media.callbacks", about: "the speaker asked at its rate", run: playback::callbacks },
    CheckDef { id: "media.picture", about: "each sees the others' pictures", run: picture::pictures },
    CheckDef { id: "media.snapshot", about: "the printed snapshot shows the others", run: picture::snapshots },
    CheckDef { id: "discovery.browse", about: "a browse finds the server with its ports", run: discovery::browse },
    CheckDef { id: "discovery.withdrawn", about: "the announcement is taken back", run: discovery::withdrawn },
    CheckDef {
        id: "resource.descriptors",
        about: "as many descriptors at the end as at the start",
        run: resource::descriptors,
    },
    CheckDef { id: "resource.memory", about: "memory did not grow much", run: resource::memory },
    CheckDef { id: "log.structured", about: "every line of the event logs is an event", run: log::structured },
    CheckDef { id: "log.page", about: "no script of a page fails", run: browser::scripts },
    CheckDef { id: "log.no_errors", about: "no event of level ERROR", run: log::no_errors },
];

/// Checks that only a whole run can fail: what is missing from a shorter one might have come.
const NEED_THE_WHOLE_RUN: &[&str] = &[
    "session.joined",
    "media.mixer",
    "media.sends",
    "media.hears",
    "media.speech",
    "media.concealment",
    "media.callbacks",
    "media.picture",
    "media.snapshot",
];

/// If the run was cut short, says "unknown" where only the whole run could have said "failed".
pub(super) fn allow_for_a_cut(view: &View<'_>, checks: &mut [Check]) {
    if view.interrupted().is_none() {
        return;
    }
    let clients = &view.evidence.plan.clients;
    // in a short recording tones cannot be told apart
    let hears_itself = |id: &str| {
        let client = clients.iter().find(|c| id == format!("media.hears/{}", c.name));
        client.and_then(|c| media::hearing(view, c)).is_some_and(|h| h.own.is_some() && h.seconds >= 1.0)
    };
    for check in checks.iter_mut().filter(|c| c.status == Status::Fail && !hears_itself(&c.id)) {
        let kind = check.id.split('/').next().unwrap_or_default();
        if NEED_THE_WHOLE_RUN.contains(&kind) {
            check.status = Status::Unknown;
            check.message.push_str("; but the run was cut short");
            check.remedy = None;
        }
    }
}

/// If one of those who take part in what a check judges was killed, or did not end, says "unknown" where the check says
/// "failed", or excuses it with a busy machine: silence after somebody's death is not the mixer's fault. The death itself fails in `process.exit`.
pub(super) fn allow_for_the_dead(view: &mut View<'_>, checks: &mut [Check]) {
    let clients = &view.evidence.plan.clients;
    let judged = |c: &&mut Check| matches!(c.status, Status::Fail | Status::Warn) && c.id.starts_with("media.");
    for check in checks.iter_mut().filter(judged) {
        let Some(client) = check.id.split('/').nth(1).and_then(|name| clients.iter().find(|c| c.name == name)) else {
            continue;
        };
        let others = client.hears.iter().chain(&client.sees).map(String::as_str);
        let mut parties = [SERVER, client.name.as_str()].into_iter().chain(others);
        let Some((who, (line, how))) = parties.find_map(|who| Some((who, view.cut_off(who)?))) else { continue };
        check.status = Status::Unknown;
        check.message = format!("{}; but {who} did not live to the end: {how}", check.message);
        check.evidence.push(view.cite(line));
        check.remedy = None;
    }
}

//! Sidetone: hello, echo room, mDNS.

use crate::diagnosis::checks::CheckDef;
use crate::diagnosis::view::{Draft, View, draft};
use crate::evidence::probed::{Advertised, EchoHeard, Hello, How, Saw, Step};
use crate::evidence::{Check, EvidenceId, Layer, Side};

/// In this order.
pub(super) const CHECKS: &[CheckDef] = &[
    CheckDef { id: "session.hello", about: "the server answers a Sidetone hello", run: hello },
    CheckDef { id: "media.echo", about: "a marked signal comes back from the echo room as it was sent", run: echo },
    CheckDef { id: "discovery.answers", about: "what mDNS advertises of the target answers", run: answers },
];

/// More made-up sound than this is heard.
pub(in crate::diagnosis) const CONCEALED: f64 = 0.01;
/// More samples at full scale than this are no peaks.
pub(in crate::diagnosis) const CLIPPED: f64 = 0.001;
/// A tone that is so far from where it was sent has moved.
pub(in crate::diagnosis) const MOVED: f64 = 0.01;
/// A level that is further off is worth a look, dB.
const LEVEL_OFF_DB: f64 = 6.0;
/// Above this a conversation is hard (ITU-T G.114), milliseconds.
const MOUTH_TO_EAR_MS: f64 = 400.0;
/// A probe that sends so late measures its own machine, microseconds.
const LATE_US: u64 = 40_000;

fn at(step: &Step) -> String {
    step.address.map_or_else(String::new, |address| address.to_string())
}

fn milliseconds(us: u64) -> String {
    format!("{:.1} ms", us as f64 / 1_000.0)
}

fn hello(view: &mut View<'_>) -> Vec<Check> {
    let seen = view.steps(|step, saw| match saw {
        Saw::Hello(hello) => Some((step, hello)),
        _ => None,
    });
    let judge = |(line, (step, hello))| {
        let check = draft(
            format!("session.hello/{}", at(step)),
            Layer::Session,
            Side::Server,
            format!("sidetone {}", at(step)),
        );
        greeted(check, hello, step, vec![view.cite(line)])
    };
    seen.into_iter().map(judge).collect()
}

fn greeted(check: Draft, hello: &Hello, step: &Step, ids: Vec<EvidenceId>) -> Check {
    if let Some(failure) = &hello.failure {
        return match failure.how {
            How::Own => check.unknown(failure.to_string(), ids),
            _ => check.fail(failure.to_string(), ids, "see what answers at that port, and whether it is well"),
        };
    }
    match hello.code.as_deref() {
        Some("server_full") => {
            return check.fail(format!("full: {}", hello.says), ids, "wait for a place, or raise --max-clients");
        }
        Some("shutting_down") => {
            return check.fail(format!("{}", hello.says), ids, "wait until it has been started again");
        }
        _ => {}
    }
    if let Some((ours, (least, most))) = apart(hello) {
        let message = format!("it speaks version {least} to {most}, this program version {ours}");
        return check.fail(message, ids, "use a client of the server's version");
    }
    let mut told = vec![format!("answers in {}", milliseconds(step.took_us))];
    told.extend(hello.agent.as_ref().map(|agent| agent.first_line(60)));
    told.extend(hello.versions.map(|(least, most)| {
        if least == most { format!("version {least}") } else { format!("versions {least} to {most}") }
    }));
    if !hello.capabilities.is_empty() {
        told.push(format!("offers {}", hello.capabilities.join(" ")));
    }
    let message = told.join(", ");
    if hello.code.is_none() {
        return check.warn(
            format!("{message}; it welcomes a version that nobody speaks"),
            ids,
            "let the server refuse a hello without a common version",
        );
    }
    check.pass(message, ids)
}

/// Our version and the server's, if they have none in common.
pub(in crate::diagnosis) fn apart(hello: &Hello) -> Option<(u16, (u16, u16))> {
    let (ours, (least, most)) = hello.ours.zip(hello.versions)?;
    // a welcome tells what was agreed on, and version 0 is nobody's
    (hello.code.is_some() && !(least..=most).contains(&ours)).then_some((ours, (least, most)))
}

fn echo(view: &mut View<'_>) -> Vec<Check> {
    let seen = view.steps(|step, saw| match saw {
        Saw::Echo(heard) => Some((step, heard)),
        _ => None,
    });
    let judge = |(line, (step, heard))| {
        let title = format!("media {}", at(step));
        let check = draft(format!("media.echo/{}", at(step)), Layer::Media, Side::Path, title);
        listened(check, heard, vec![view.cite(line)])
    };
    seen.into_iter().map(judge).collect()
}

fn listened(check: Draft, heard: &EchoHeard, ids: Vec<EvidenceId>) -> Check {
    if let Some(failure) = &heard.failure {
        if heard.offered == Some(false) || failure.how == How::Own {
            return check.unknown(failure.to_string(), ids);
        }
        let came = if heard.packets_received > 0 { format!("; {}", figures(heard)) } else { String::new() };
        return check.fail(format!("{failure}{came}"), ids, "read the server's log around that time");
    }
    let (wrong, late, odd) = (wrong(heard), made_up(heard), odd(heard));
    let told: Vec<_> = wrong.iter().chain(&late).chain(&odd).cloned().chain([figures(heard)]).collect();
    let message = told.join("; ");
    if !wrong.is_empty() || late.is_some() && !busy(heard) {
        check.fail(message, ids, "compare what the server got with what it sent: session.left in its log")
    } else if late.is_some() {
        let own = milliseconds(heard.own_lateness_us);
        check.unknown(format!("this machine is too busy to measure: the probe itself was {own} late; {message}"), ids)
    } else if !odd.is_empty() {
        check.warn(message, ids, "look at the way to the server, and at its mixer.stats")
    } else {
        check.pass(message, ids)
    }
}

/// Whether the probe itself was so late that what came late says little of the server.
pub(in crate::diagnosis) const fn busy(heard: &EchoHeard) -> bool {
    heard.own_lateness_us > LATE_US
}

/// How far the tone has moved, as a factor; `None`: it is where it was.
pub(in crate::diagnosis) fn moved(heard: &EchoHeard) -> Option<f64> {
    let ratio = heard.strongest_hz? / heard.tone_hz;
    ((ratio - 1.0).abs() > MOVED).then_some(ratio)
}

fn percent(fraction: f64) -> String {
    format!("{:.1} %", fraction * 100.0)
}

/// What came too late.
fn made_up(heard: &EchoHeard) -> Option<String> {
    let concealed = heard.concealed_fraction.filter(|fraction| *fraction > CONCEALED)?;
    Some(format!("{} of the sound was made up", percent(concealed)))
}

/// What nobody should hear, and no lateness makes.
fn wrong(heard: &EchoHeard) -> Vec<String> {
    let mut wrong = Vec::new();
    if heard.undecodable > 0 {
        wrong.push(format!("{} packets are no Opus", heard.undecodable));
    }
    if heard.level_heard_db.is_none() {
        wrong.push("silence came back".to_owned());
    }
    if heard.packets_lost > 0 {
        wrong.push(format!("{} packets were lost", heard.packets_lost));
    }
    if let Some(hz) = heard.strongest_hz.filter(|_| moved(heard).is_some()) {
        wrong.push(format!("the tone of {:.0} Hz came back at {hz:.0} Hz", heard.tone_hz));
    }
    if let Some(clipped) = heard.clipped_fraction.filter(|fraction| *fraction > CLIPPED) {
        wrong.push(format!("{} of the samples are clipped", percent(clipped)));
    }
    wrong
}

/// What somebody should look at.
fn odd(heard: &EchoHeard) -> Vec<String> {
    let mut odd = Vec::new();
    if let Some(level) = heard.level_heard_db.filter(|db| (db - heard.level_sent_db).abs() > LEVEL_OFF_DB) {
        odd.push(format!("{level:.1} dBFS came back of {:.1} dBFS", heard.level_sent_db));
    }
    if let Some(ms) = heard.mouth_to_ear_ms.filter(|ms| *ms > MOUTH_TO_EAR_MS) {
        odd.push(format!("{ms:.0} ms from mouth to ear"));
    }
    if let Some((first, last)) = growing(heard) {
        odd.push(format!("the delay grew from {first:.0} to {last:.0} ms"));
    }
    if heard.packets_reordered > 0 {
        odd.push(format!("{} packets out of order", heard.packets_reordered));
    }
    odd
}

/// The first and the last delay, if it grew by more than a buffer that adapts itself.
pub(in crate::diagnosis) fn growing(heard: &EchoHeard) -> Option<(f64, f64)> {
    heard.mouth_to_ear_ms.zip(heard.mouth_to_ear_last_ms).filter(|(first, last)| last - first > 150.0)
}

fn figures(heard: &EchoHeard) -> String {
    let mut told = vec![format!("{} packets out, {} back", heard.packets_sent, heard.packets_received)];
    told.extend(heard.rtt_us.map(|us| format!("round trip {}", milliseconds(us))));
    told.extend(heard.jitter_us.map(|us| format!("jitter {}", milliseconds(us))));
    told.extend(heard.level_heard_db.map(|db| format!("{db:.1} dBFS of {:.1}", heard.level_sent_db)));
    told.extend(heard.purity_db.map(|db| format!("purity {db:.0} dB")));
    told.extend(heard.mouth_to_ear_ms.map(|ms| format!("mouth to ear {ms:.0} ms")));
    told.join(", ")
}

fn answers(view: &mut View<'_>) -> Vec<Check> {
    let seen = view.steps(|_, saw| match saw {
        Saw::Advertised(advertised) => Some(advertised),
        _ => None,
    });
    seen.into_iter().map(|(line, advertised)| found(advertised, vec![view.cite(line)])).collect()
}

fn found(advertised: &Advertised, ids: Vec<EvidenceId>) -> Check {
    let check = draft("discovery.answers", Layer::Discovery, Side::Server, "mdns: what is advertised answers");
    let on = advertised.interfaces.join(" ");
    if let Some(failure) = &advertised.failure {
        return check.unknown(format!("no browse on {on}: {failure}"), ids);
    }
    if advertised.found.is_empty() {
        return check.skip(format!("nothing on {on} advertises the target within {} ms", advertised.listened_ms));
    }
    let (dead, alive): (Vec<_>, Vec<_>) = advertised.found.iter().partition(|one| one.failure.is_some());
    let names = |all: &[&crate::evidence::probed::Answers]| {
        all.iter().map(|one| one.address.to_string()).collect::<Vec<_>>().join(" ")
    };
    if dead.is_empty() {
        return check.pass(format!("{} answer", names(&alive)), ids);
    }
    let told: Vec<String> =
        dead.iter().filter_map(|one| Some(format!("{}: {}", one.address, one.failure.as_ref()?))).collect();
    // what this machine cannot reach may answer others
    let ours = |how: How| matches!(how, How::Own | How::Unreachable);
    if dead.iter().all(|one| one.failure.as_ref().is_some_and(|f| ours(f.how))) {
        return check.warn(told.join("; "), ids, "see whether clients have a way to that address");
    }
    check.fail(told.join("; "), ids, "advertise only addresses on which the server listens")
}

//! The rules: each names one cause from checks and evidence. A const table; what a rule explains is marked `caused_by`.
//!
//! To add one: an entry in [`crate::cause::CAUSES`], a function here, a line in [`RULES`], evidence in a test.

use super::checks::media::{Hearing, hearing};
use super::checks::picture::NOTHING_CAME;
use super::summary::and;
use super::view::{SERVER, View};
use crate::cause::by_code;
use crate::evidence::{
    Check, ClientPlan, Confidence, EvidenceId, Finding, Fix, Hypothesis, HypothesisState, Link, Observation, Status,
};
use sidetone::event::Event;

/// Finds one cause, and says by their ids which checks it explains.
type Rule = fn(&mut View<'_>, &[Check]) -> Option<(Finding, Vec<String>)>;

/// In the order of layers: a lower one explains a higher one.
const RULES: &[Rule] = &[disk_full, contradiction, leak, echo, silence, no_pictures];

/// Applies every rule; marks the checks that are explained.
pub fn find(view: &mut View<'_>, checks: &mut [Check]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in RULES {
        let open: Vec<Check> = checks.iter().filter(|c| c.caused_by.is_none()).cloned().collect();
        let Some((finding, explained)) = rule(view, &open) else { continue };
        let follows = |c: &&mut Check| {
            let open = c.caused_by.is_none() && !matches!(c.status, Status::Pass | Status::Skip);
            open && explained.contains(&c.id)
        };
        for check in checks.iter_mut().filter(follows) {
            check.caused_by = Some(finding.cause.clone());
        }
        findings.push(finding);
    }
    findings
}

fn failed<'c>(checks: &'c [Check], prefix: &str) -> Vec<&'c Check> {
    checks.iter().filter(|c| c.status == Status::Fail && c.id.starts_with(prefix)).collect()
}

fn ids(checks: &[&Check]) -> Vec<String> {
    checks.iter().map(|c| c.id.clone()).collect()
}

fn finding(code: &str, summary: String, chain: Vec<Link>, hypotheses: Vec<Hypothesis>) -> Option<Finding> {
    let cause = by_code(code)?;
    let fixes = cause.fixes.iter().map(|(kind, text)| Fix { kind: *kind, text: (*text).to_owned() }).collect();
    let (cause, layer) = (cause.code.to_owned(), cause.layer);
    Some(Finding { cause, layer, confidence: Confidence::High, summary, chain, hypotheses, fixes })
}

fn link(statement: impl Into<String>, evidence: &[EvidenceId]) -> Option<Link> {
    let (first, more) = evidence.split_first()?;
    Some(Link::new(statement, first.clone(), more.iter().cloned()))
}

fn refuted(statement: &str, decided_by: &str, evidence: Vec<EvidenceId>) -> Hypothesis {
    Hypothesis {
        statement: statement.to_owned(),
        state: HypothesisState::Refuted,
        decided_by: decided_by.to_owned(),
        evidence,
    }
}

/// What the server counted by its own log at the end of each session, and where it says so.
#[derive(Default)]
struct Counted {
    sound_in: u64,
    sound_out: u64,
    pictures_in: u64,
    pictures_out: u64,
    /// Sessions in which something came in.
    senders: Vec<EvidenceId>,
    all: Vec<EvidenceId>,
}

fn counted(view: &mut View<'_>) -> Counted {
    let mut sum = Counted::default();
    let left = view.events(SERVER, |e| match e {
        Event::SessionLeft { inbound, pictures_received, audio_sent, pictures_sent, .. } => {
            Some((inbound.packets_received, *pictures_received, *audio_sent, *pictures_sent))
        }
        _ => None,
    });
    for (log, line, (sound, pictures, sound_out, pictures_out)) in left {
        let id = view.cite_log(log, line);
        sum.sound_in += sound;
        sum.pictures_in += pictures;
        sum.sound_out += sound_out;
        sum.pictures_out += pictures_out;
        if sound + pictures > 0 {
            sum.senders.push(id.clone());
        }
        sum.all.push(id);
    }
    sum
}

/// Where it was lost: the server itself says whether it sent anything.
fn lost_where(what: &str, sent: u64, counted: &Counted) -> Hypothesis {
    let state = if sent == 0 { HypothesisState::Refuted } else { HypothesisState::Open };
    Hypothesis {
        statement: format!("{what} were lost between the server and the clients"),
        state,
        decided_by: format!("the server's own count at the end of each session: {sent} sent"),
        evidence: counted.all.clone(),
    }
}

fn contradiction(_: &mut View<'_>, checks: &[Check]) -> Option<(Finding, Vec<String>)> {
    let log = failed(checks, "bind.log_agrees").first().copied()?;
    let kernel = failed(checks, "bind.kernel/");
    // one reader alone could be blind; both deny it, and both passed their self-test
    let denied = kernel.len() == 2;
    let mut explained = ids(&kernel);
    explained.push(log.id.clone());
    explained.extend(ids(&failed(checks, "tcp.connect")));
    explained.extend(ids(&failed(checks, "session.hello")));
    explained.extend(ids(&failed(checks, "bind.asked")));
    let mut chain = vec![link(log.message.clone(), &log.evidence)?];
    if let Some(kernel) = kernel.first() {
        chain.push(link("netlink and /proc both deny it, and both see the harness's own socket", &kernel.evidence)?);
    }
    let summary = format!("{}; a client that is sent there is refused", log.message);
    let mut finding = finding("log.contradicts_observation", summary, chain, vec![])?;
    finding.confidence = if denied { Confidence::High } else { Confidence::Medium };
    Some((finding, explained))
}

/// Errno 28, as the system's own message ends.
const ENOSPC: &str = "(os error 28)";
/// Checks that rest on files of the run.
const REST_ON_FILES: [&str; 4] = ["media.", "process.exit/", "log.", "discovery.withdrawn"];

fn disk_full(view: &mut View<'_>, checks: &[Check]) -> Option<(Finding, Vec<String>)> {
    let mut chain = Vec::new();
    let unwritten = view.seen(|o| match o {
        Observation::NotObserved { what, why, .. } if why.contains(ENOSPC) => Some(format!("{what}: {why}")),
        _ => None,
    });
    for (line, statement) in unwritten {
        chain.push(link(statement, &[view.cite(line)])?);
    }
    let names: Vec<_> = view.evidence.plan.clients.iter().map(|c| c.name.as_str()).collect();
    for name in names {
        let failed = view.events(name, |e| match e {
            Event::DeviceFailed { reason, .. } if reason.contains(ENOSPC) => Some(e.message()),
            _ => None,
        });
        if let Some((log, line, message)) = failed.first() {
            chain.push(link(format!("{name}: {message}"), &[view.cite_log(log, line)])?);
        }
    }
    let first = chain.first()?;
    let summary = format!("the disk of the run's files is full (ENOSPC): {}", first.statement());
    let rest_on_files = checks.iter().filter(|c| REST_ON_FILES.iter().any(|p| c.id.starts_with(p)));
    let explained = rest_on_files.map(|c| c.id.clone()).collect();
    Some((finding("resource.disk_full", summary, chain, vec![])?, explained))
}

fn leak(_: &mut View<'_>, checks: &[Check]) -> Option<(Finding, Vec<String>)> {
    let leak = failed(checks, "resource.descriptors").first().copied()?;
    let chain = vec![link(leak.message.clone(), &leak.evidence)?];
    let summary = format!("the server leaks descriptors: {}", leak.message);
    Some((finding("resource.fd_limit", summary, chain, vec![])?, vec![leak.id.clone()]))
}

/// Every recorded client with its check and what it hears wrongly, where that check fails.
fn heard<'a, 'c>(view: &View<'a>, checks: &'c [Check]) -> Vec<(&'a ClientPlan, &'c Check, Hearing)> {
    let failed = failed(checks, "media.hears/");
    let clients = view.evidence.plan.clients.iter();
    let heard = clients.filter_map(|client| {
        let check = failed.iter().find(|c| c.id == format!("media.hears/{}", client.name))?;
        Some((client, *check, hearing(view, client)?))
    });
    heard.collect()
}

fn echo(view: &mut View<'_>, checks: &[Check]) -> Option<(Finding, Vec<String>)> {
    let heard = heard(view, checks);
    let selves: Vec<_> = heard.iter().filter_map(|(client, check, h)| Some((*client, *check, h.own?))).collect();
    let names: Vec<_> = selves.iter().map(|(client, ..)| client.name.as_str()).collect();
    let told: Vec<_> =
        selves.iter().map(|(c, _, (hz, db))| format!("{}'s own {hz} Hz comes back at {db:.1} dBFS", c.name)).collect();
    let chain: Option<Vec<_>> = selves.iter().map(|(_, c, _)| link(c.message.clone(), &c.evidence)).collect();
    let who = match names.as_slice() {
        [] => return None,
        [one] => format!("{one} hears itself"),
        _ => format!("{} hear themselves", and(&names)),
    };
    let summary = format!("{who}: the wrong mix reaches them ({})", told.join(", "));
    let explained = heard.iter().map(|(_, check, _)| check.id.clone()).collect();
    Some((finding("media.echo", summary, chain?, vec![])?, explained))
}

fn silence(view: &mut View<'_>, checks: &[Check]) -> Option<(Finding, Vec<String>)> {
    let heard = heard(view, checks);
    let silent: Vec<_> = heard.iter().filter(|(_, _, h)| h.silent).map(|(client, check, _)| (client, *check)).collect();
    let names: Vec<_> = silent.iter().map(|(client, _)| client.name.as_str()).collect();
    let counted = counted(view);
    if names.is_empty() || counted.sound_in == 0 {
        return None;
    }
    let mut chain = vec![
        link(format!("the server received {} packets from the speakers", counted.sound_in), &counted.senders)?,
        link(format!("it sent {} packets to the listeners", counted.sound_out), &counted.all)?,
    ];
    for (_, check) in &silent {
        chain.push(link(check.message.clone(), &check.evidence)?);
    }
    let hypotheses = vec![
        refuted(
            "the microphones sent nothing",
            "the server's own count at the end of each session",
            counted.senders.clone(),
        ),
        lost_where("the packets", counted.sound_out, &counted),
    ];
    let who = if heard.len() == silent.len() && silent.len() > 1 {
        "nobody hears anything".to_owned()
    } else {
        format!("{} {} nothing", and(&names), if names.len() == 1 { "hears" } else { "hear" })
    };
    let summary = format!(
        "{who}: {} packets of sound reached the server, it sent {}, and what {} recorded is silent",
        counted.sound_in,
        counted.sound_out,
        and(&names)
    );
    let mut explained: Vec<_> = silent.iter().map(|(_, check)| check.id.clone()).collect();
    for name in names {
        explained.extend(["underrun", "concealment"].map(|what| format!("media.{what}/{name}")));
    }
    Some((finding("media.silence", summary, chain, hypotheses)?, explained))
}

fn no_pictures(view: &mut View<'_>, checks: &[Check]) -> Option<(Finding, Vec<String>)> {
    let unseen = failed(checks, "media.picture/");
    let first = unseen.first()?;
    let counted = counted(view);
    let arrived = view.first(|o| matches!(o, Observation::Picture { .. }).then_some(()));
    if counted.pictures_in == 0 || arrived.is_some() {
        return None;
    }
    let chain = vec![
        link(format!("the server received {} whole pictures", counted.pictures_in), &counted.senders)?,
        link(format!("it sent {} to the others", counted.pictures_out), &counted.all)?,
        link(first.message.clone(), &first.evidence)?,
    ];
    let hypotheses = vec![
        refuted(
            "the cameras sent nothing",
            "the server's own count at the end of each session",
            counted.senders.clone(),
        ),
        lost_where("the pictures", counted.pictures_out, &counted),
    ];
    let summary = format!(
        "nobody sees anybody: {} pictures reached the server, it sent {}, and none reached a client",
        counted.pictures_in, counted.pictures_out
    );
    let mut explained = ids(&unseen);
    explained.extend(ids(&failed(checks, "media.snapshot/")));
    // a snapshot that waits for a picture in vain ends with a code of its own
    let in_vain = view.seen(|o| match o {
        Observation::ProcessExited { process, code: Some(NOTHING_CAME), .. } => Some(format!("process.exit/{process}")),
        _ => None,
    });
    explained.extend(in_vain.into_iter().map(|(_, id)| id));
    Some((finding("media.no_video_frame", summary, chain, hypotheses)?, explained))
}

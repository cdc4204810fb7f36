//! Sound and pictures that went in and did not come out as they should.

use super::{Found, Rule, failed, finding, ids, link, refuted};
use crate::diagnosis::checks::media::{Hearing, hearing};
use crate::diagnosis::checks::picture::NOTHING_CAME;
use crate::diagnosis::summary::and;
use crate::diagnosis::view::{SERVER, View};
use crate::evidence::{Check, ClientPlan, Confidence, EvidenceId, Hypothesis, HypothesisState, Observation};
use sidetone::event::Event;

/// In this order.
pub(super) const RULES: &[Rule] = &[echo, silence, no_pictures];

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
        sum.sound_in = sum.sound_in.saturating_add(sound);
        sum.pictures_in = sum.pictures_in.saturating_add(pictures);
        sum.sound_out = sum.sound_out.saturating_add(sound_out);
        sum.pictures_out = sum.pictures_out.saturating_add(pictures_out);
        if sound > 0 || pictures > 0 {
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

fn echo(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
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
    let compared: Vec<_> = heard.iter().filter_map(|(c, check, h)| Some((c, check, h.control.as_ref()?))).collect();
    let noise = compared.iter().map(|(client, check, control)| {
        refuted(
            "it is noise, or the splash of dropouts",
            &format!("{}: {control}", client.name),
            check.evidence.clone(),
        )
    });
    let mut finding = finding("media.echo", summary, chain?, noise.collect())?;
    // a level alone may be noise
    let all = selves.iter().all(|(client, ..)| compared.iter().any(|(c, ..)| c.name == client.name));
    finding.confidence = if all { Confidence::High } else { Confidence::Medium };
    Some((finding, explained))
}

fn silence(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let heard = heard(view, checks);
    let silent: Vec<_> = heard.iter().filter(|(_, _, h)| h.silent).map(|(client, check, _)| (client, *check)).collect();
    let names: Vec<_> = silent.iter().map(|(client, _)| client.name.as_str()).collect();
    let counted = counted(view);
    // whoever sends nothing but keep-alives has a check of its own that fails
    let mute = checks.iter().any(|c| c.id.starts_with("media.sends/") && c.status == crate::evidence::Status::Fail);
    if names.is_empty() || counted.sound_in == 0 || mute {
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

fn no_pictures(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
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

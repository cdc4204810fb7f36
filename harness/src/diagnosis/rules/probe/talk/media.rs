//! What came back from the echo room.

use super::{Case, addresses, echoes, evidence, explained};
use crate::diagnosis::checks::probe::talk::{CLIPPED, CONCEALED, busy, growing as grows, moved as by};
use crate::diagnosis::rules::{Found, finding, hypothesis, link, refuted};
use crate::diagnosis::view::View;
use crate::evidence::probed::EchoHeard;
use crate::evidence::{Check, Confidence, HypothesisState};

/// Sampling rates that are mixed up, the commonest first: two pairs may make the same factor.
const RATES: [f64; 7] = [48_000.0, 44_100.0, 32_000.0, 24_000.0, 22_050.0, 16_000.0, 8_000.0];

/// Echoes that came to their end, and of which something is so.
fn heard<'a>(view: &mut View<'a>, checks: &[Check], so: impl Fn(&EchoHeard) -> bool) -> Vec<Case<'a, EchoHeard>> {
    let mut cases = echoes(view, checks);
    cases.retain(|case| case.saw.failure.is_none() && so(case.saw));
    cases
}

fn percent(fraction: f64) -> String {
    format!("{:.1} %", fraction * 100.0)
}

/// Nothing that comes is Opus.
pub(super) fn undecodable(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let cases = heard(view, checks, |heard| heard.undecodable > 0);
    let first = cases.first()?.saw;
    let count = format!("{} of {} packets are no Opus packets", first.undecodable, first.packets_received);
    let chain = vec![link(count.clone(), &evidence(&cases))?];
    let mut finding = finding("media.decode_errors", format!("{}: {count}", addresses(&cases)), chain, vec![])?;
    if first.undecodable < first.packets_received {
        finding.confidence = Confidence::Medium;
    }
    Some((finding, explained(&cases)))
}

/// Packets flow, and there is no sound in them.
pub(super) fn silence(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let cases = heard(view, checks, |heard| heard.level_heard_db.is_none() && heard.packets_sent > 0);
    let first = cases.first()?.saw;
    let sent = format!("a tone at {:.0} dBFS was sent, in {} packets", first.level_sent_db, first.packets_sent);
    let came = match first.packets_received {
        0 => "only keep-alives of silence came back".to_owned(),
        count => format!("{count} packets came back, and silence is in them"),
    };
    let chain = vec![link(sent.clone(), &evidence(&cases))?, link(came.clone(), &evidence(&cases))?];
    let nothing = refuted("no sound was sent (media.nothing_sent)", "the probe counts its packets", evidence(&cases));
    let inward = hypothesis(
        HypothesisState::Open,
        "the packets were lost before the mixer, and not in it",
        "inbound in the server's session.left event",
        evidence(&cases),
    );
    let summary = format!("the echo of {} is silent: {sent}, and {came}", addresses(&cases));
    let mut finding = finding("media.silence", summary, chain, vec![nothing, inward])?;
    finding.fixes.retain(|fix| !fix.text.contains("microphone"));
    Some((finding, explained(&cases)))
}

/// Gaps in the server's own numbers.
pub(super) fn lost(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let cases = heard(view, checks, |heard| heard.packets_lost > 0);
    let first = cases.first()?.saw;
    let all = first.packets_lost.saturating_add(first.packets_received);
    let gaps = format!("{} of {all} packets are missing by their numbers", first.packets_lost);
    let mut chain = vec![link(gaps.clone(), &evidence(&cases))?];
    if let Some(concealed) = first.concealed_fraction.filter(|fraction| *fraction > 0.0) {
        chain.push(link(format!("{} of the sound had to be made up", percent(concealed)), &evidence(&cases))?);
    }
    let queue = hypothesis(
        HypothesisState::Open,
        "the server threw them away because its queue to this client was full: TCP itself loses nothing",
        "audio_dropped in the server's session.left event",
        evidence(&cases),
    );
    let summary = format!("sound from {} is lost: {gaps}", addresses(&cases));
    let mut finding = finding("media.packets_lost", summary, chain, vec![queue])?;
    finding.confidence = Confidence::Medium;
    Some((finding, explained(&cases)))
}

/// The two rates whose mix-up moves a tone by that factor.
fn rates(factor: f64) -> Option<(f64, f64)> {
    let pairs = RATES.iter().flat_map(|from| RATES.iter().map(move |to| (*from, *to)));
    let off = |(from, to): (f64, f64)| (from / to / factor - 1.0).abs();
    let best = pairs.filter(|(from, to)| from.total_cmp(to).is_ne()).min_by(|a, b| off(*a).total_cmp(&off(*b)))?;
    (off(best) < 0.01).then_some(best)
}

/// The tone came back as another one.
pub(super) fn moved(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let cases = heard(view, checks, |heard| by(heard).is_some());
    let first = cases.first()?.saw;
    let (factor, hz) = (by(first)?, first.strongest_hz?);
    let tone = format!("a tone of {:.0} Hz came back at {hz:.0} Hz", first.tone_hz);
    let chain = vec![link(format!("{tone}: {factor:.3} times as high"), &evidence(&cases))?];
    let (why, confidence) = match rates(factor) {
        Some((from, to)) => (format!(", as if sound of {to:.0} Hz were taken for {from:.0} Hz"), Confidence::High),
        None => (String::new(), Confidence::Medium),
    };
    let noise = hypothesis(
        if first.purity_db.is_some_and(|db| db < -20.0) && confidence == Confidence::High {
            HypothesisState::Refuted
        } else {
            HypothesisState::Open
        },
        "samples of another format are taken for ours (media.format_mismatch)",
        "whether another tone or noise came back",
        evidence(&cases),
    );
    let summary = format!("{tone} from {}{why}", addresses(&cases));
    let mut finding = finding("media.sample_rate_mismatch", summary, chain, vec![noise])?;
    finding.confidence = confidence;
    Some((finding, explained(&cases)))
}

/// Full scale, although far less was sent.
pub(super) fn clipped(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let cases = heard(view, checks, |heard| heard.clipped_fraction.is_some_and(|fraction| fraction > CLIPPED));
    let first = cases.first()?.saw;
    let share = percent(first.clipped_fraction?);
    let sent = format!("the tone was sent at {:.0} dBFS", first.level_sent_db);
    let chain = vec![
        link(sent.clone(), &evidence(&cases))?,
        link(format!("{share} of the samples that came back are at full scale"), &evidence(&cases))?,
    ];
    let summary =
        format!("sound from {} is clipped: {share} of the samples are at full scale, and {sent}", addresses(&cases));
    Some((finding("media.clipping", summary, chain, vec![])?, explained(&cases)))
}

/// Nothing is lost, and yet sound had to be made up.
pub(super) fn late(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let made_up = |heard: &EchoHeard| heard.concealed_fraction.is_some_and(|fraction| fraction > CONCEALED);
    let cases = heard(view, checks, |heard| made_up(heard) && heard.packets_lost == 0 && !busy(heard));
    let first = cases.first()?.saw;
    let share = percent(first.concealed_fraction?);
    let jitter = first.jitter_us.map_or_else(String::new, |us| format!(", jitter {:.1} ms", us as f64 / 1_000.0));
    let chain = vec![
        link("no packet is missing by its number", &evidence(&cases))?,
        link(format!("{share} of the sound came too late and was made up{jitter}"), &evidence(&cases))?,
    ];
    let lost = refuted("packets were lost (media.packets_lost)", "no number is missing", evidence(&cases));
    let stalls = hypothesis(
        HypothesisState::Open,
        "the server itself sends in bursts (media.sender_stalls)",
        "late_ticks in the server's mixer.stats events",
        evidence(&cases),
    );
    let summary = format!(
        "sound from {} comes more unevenly than a buffer can even out: {share} was made up{jitter}, and none was lost",
        addresses(&cases)
    );
    let mut finding = finding("media.jitter_exceeds_buffer", summary, chain, vec![lost, stalls])?;
    finding.confidence = Confidence::Medium;
    Some((finding, explained(&cases)))
}

/// The second marker came much later than the first.
pub(super) fn growing(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let cases = heard(view, checks, |heard| grows(heard).is_some() && !busy(heard));
    let (first, last) = grows(cases.first()?.saw)?;
    let told = format!("{first:.0} ms from mouth to ear at first, {last:.0} ms 1.6 s later");
    let chain = vec![link(told.clone(), &evidence(&cases))?];
    let constant = refuted(
        "the way is merely long (tcp.high_latency)",
        "a long way delays the first word as much as the last",
        evidence(&cases),
    );
    let summary = format!("sound through {} comes later and later: {told}", addresses(&cases));
    let mut finding = finding("media.latency_growth", summary, chain, vec![constant])?;
    finding.confidence = Confidence::Medium;
    Some((finding, explained(&cases)))
}

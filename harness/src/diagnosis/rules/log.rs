//! Logs that claim what is not so.

use super::{Found, Rule, failed, finding, hypothesis, ids, link, refuted};
use crate::diagnosis::view::{SERVER, View};
use crate::evidence::{Answer, Check, Confidence, HypothesisState, Question};
use sidetone::event::Event;

/// In this order.
pub(super) const RULES: &[Rule] = &[contradiction, unheard];

fn contradiction(_: &mut View<'_>, checks: &[Check]) -> Option<Found> {
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
    finding.fixes.retain(|fix| !fix.text.starts_with("for mDNS"));
    Some((finding, explained))
}

/// Announced by the log, and nothing answers a browse.
fn unheard(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let browse = failed(checks, "discovery.browse").first().copied()?.clone();
    let claims = view.events(SERVER, |e| match e {
        Event::MdnsAnnounced { .. } => Some(e.message()),
        _ => None,
    });
    let (log, line, claim) = claims.first()?.clone();
    let again = view.answers(|question, answer| match (question, answer) {
        (Question::Browse { .. }, Answer::NotFound { waited_ms, control_found }) => Some((*waited_ms, *control_found)),
        _ => None,
    });
    let mut chain = vec![
        link(format!("the log says: {claim}"), &[view.cite_log(log, line)])?,
        link(browse.message.clone(), &browse.evidence)?,
    ];
    for (line, (waited_ms, _)) in &again {
        chain.push(link(format!("a second browse of {waited_ms} ms found nothing either"), &[view.cite(*line)])?);
    }
    let looks = if again.is_empty() { "a browse on lo finds" } else { "two browses on lo find" };
    let summary = format!("the log says that the server announced itself by mDNS, and {looks} nothing of it");
    let blind = "multicast does not pass on that interface";
    let hears = again.iter().find_map(|(line, (_, control))| Some((*line, (*control)?)));
    let (doubt, sure) = match hears {
        Some((line, true)) => {
            let by = "the same browse found an announcement of the harness itself";
            (refuted(blind, by, vec![view.cite(line)]), Confidence::High)
        }
        Some((line, false)) => {
            let by = "the same browse did not find an announcement of the harness itself either";
            (hypothesis(HypothesisState::Confirmed, blind, by, vec![view.cite(line)]), Confidence::Low)
        }
        None => {
            let by = "a browse for an announcement of the harness itself, not made";
            (hypothesis(HypothesisState::Open, blind, by, browse.evidence.clone()), Confidence::Medium)
        }
    };
    let mut finding = finding("log.contradicts_observation", summary, chain, vec![doubt])?;
    finding.confidence = sure;
    finding.fixes.retain(|fix| !fix.text.starts_with("believe the observation") && !fix.text.contains("ss -ltnp"));
    Some((finding, vec![browse.id]))
}

//! Logs that claim what is not so.

use super::{Found, Rule, failed, finding, hypothesis, ids, link, refuted};
use crate::diagnosis::checks::bind::false_claims;
use crate::diagnosis::view::{SERVER, View};
use crate::evidence::{Answer, Check, Confidence, HypothesisState, Observation, Question};
use sidetone::event::Event;
use std::net::SocketAddr;

/// In this order.
pub(super) const RULES: &[Rule] = &[contradiction, unheard];

fn contradiction(view: &mut View<'_>, checks: &[Check]) -> Option<Found> {
    let log = failed(checks, "bind.log_agrees").first().copied()?;
    let claims = false_claims(view);
    let (address, owner) = claims.first()?;
    let kernel = failed(checks, "bind.kernel/");
    let mut explained = ids(&kernel);
    explained.push(log.id.clone());
    let claimed = |at: &SocketAddr| claims.iter().any(|(address, _)| address == at);
    let elsewhere = view.seen(|o| match o {
        Observation::Connect { address, errno: Some(_), .. } | Observation::Hello { address, answered: false, .. } => {
            (!claimed(address)).then_some(())
        }
        _ => None,
    });
    if elsewhere.is_empty() {
        explained.extend(ids(&failed(checks, "tcp.connect")));
        explained.extend(ids(&failed(checks, "session.hello")));
    }
    explained.extend(ids(&failed(checks, "bind.asked")));
    let mut chain = vec![link(log.message.clone(), &log.evidence)?];
    if let Some(first) = kernel.first() {
        let who =
            if kernel.len() == 2 { "netlink and /proc both deny it" } else { "one reader of the kernel denies it" };
        chain.push(link(format!("{who}, and it sees the harness's own socket"), &first.evidence)?);
    }
    let refused = view.first(|o| match o {
        Observation::Connect { address: a, errno: Some(errno), .. } if a == address => Some(errno.clone()),
        _ => None,
    });
    let summary = match (owner, refused) {
        (Some(pid), _) => format!("the log says that the server listens on {address}, and it is pid {pid} that does"),
        (None, Some((line, errno))) => {
            chain.push(link(format!("{address}: {errno}"), &[view.cite(line)])?);
            format!("the log says that {address} listens, the kernel says no: a client that is sent there gets {errno}")
        }
        (None, None) => format!("the log says that {address} listens, the kernel says no"),
    };
    let mut finding = finding("log.contradicts_observation", summary, chain, vec![])?;
    // one reader alone could be blind; both deny it, and both passed their self-test
    finding.confidence = if kernel.len() == 2 || owner.is_some() { Confidence::High } else { Confidence::Medium };
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
    let other = view.answers(|question, answer| {
        let found = matches!((question, answer), (Question::Browse { .. }, Answer::Found { .. }));
        let blind = matches!(answer, Answer::NotFound { control_found: Some(false), .. });
        (found || blind).then_some(())
    });
    if !other.is_empty() {
        return None; // it does answer, or the browse is blind
    }
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
    let (doubt, sure) = if let Some((line, _)) = hears {
        let by = "the same browse found an announcement of the harness itself";
        (refuted(blind, by, vec![view.cite(line)]), Confidence::High)
    } else {
        let by = "a browse for an announcement of the harness itself, not made";
        (hypothesis(HypothesisState::Open, blind, by, browse.evidence.clone()), Confidence::Medium)
    };
    let mut finding = finding("log.contradicts_observation", summary, chain, vec![doubt])?;
    finding.confidence = sure;
    finding.fixes.retain(|fix| !fix.text.starts_with("believe the observation") && !fix.text.contains("ss -ltnp"));
    Some((finding, vec![browse.id]))
}

//! The way from HTTP to a WebSocket.

use super::{by_address, milliseconds, particulars, status_line, words};
use crate::diagnosis::view::{Draft, View, draft};
use crate::evidence::probed::{Excerpt, Failure, How, Saw, Upgrade};
use crate::evidence::{Check, EvidenceId, Layer, Side};

/// One outcome an address; a second try, without a subprotocol, is told with the first.
pub(super) fn upgrades(view: &mut View<'_>) -> Vec<Check> {
    let seen = by_address(view, |saw| match saw {
        Saw::Upgrade(upgrade) => Some(upgrade),
        _ => None,
    });
    let judge = |(address, tries): (_, Vec<(EvidenceId, &Upgrade)>)| {
        let id = format!("websocket.upgrade/{address}");
        let check = draft(id, Layer::Websocket, Side::Server, format!("websocket {address}"));
        let (ids, tries): (Vec<_>, Vec<_>) = tries.into_iter().unzip();
        upgraded(check, &tries, ids)
    };
    seen.into_iter().map(judge).collect()
}

fn upgraded(check: Draft, tries: &[&Upgrade], ids: Vec<EvidenceId>) -> Check {
    let first = tries.iter().find(|one| one.is_first()).or_else(|| tries.first());
    let Some(first) = first else { return check.skip("no upgrade was asked for") };
    let second = tries.iter().find(|one| one.second_try);
    let Some(failure) = &first.failure else {
        return if first.problems.is_empty() {
            check.pass(success(first), ids)
        } else {
            check.warn(success(first), ids, "see which subprotocols the server speaks")
        };
    };
    let refusal = refused(first, failure);
    if let Some(second) = second.filter(|second| second.failure.is_none()) {
        let offered = first.offered.join(", ");
        let message = format!("{} without a subprotocol; with {offered}: {refusal}", success(second));
        return check.fail(message, ids, "see which subprotocols the server speaks, and offer one of them");
    }
    let refusal = match tries.iter().find(|one| one.elsewhere && one.failure.is_none()) {
        Some(other) => format!("{refusal}; {} has a WebSocket", words(&Excerpt::text(&other.answer.url), 120)),
        None => refusal,
    };
    match failure.how {
        How::Own => check.unknown(refusal, ids),
        _ => check.fail(refusal, ids, "compare host, port and path with what the server serves"),
    }
}

/// `101 in 1.2 ms, subprotocol sidetone.v1`.
fn success(upgrade: &Upgrade) -> String {
    let mut told = vec![match upgrade.answer.first_byte_us {
        Some(us) => format!("101 in {}", milliseconds(us)),
        None => "101".to_owned(),
    }];
    told.push(match &upgrade.subprotocol {
        Some(name) => format!("subprotocol {}", words(&Excerpt::text(name), 60)),
        None => "no subprotocol".to_owned(),
    });
    told.extend(upgrade.extensions.as_ref().map(|names| format!("extensions {}", words(&Excerpt::text(names), 80))));
    told.extend(upgrade.answer.proxies.iter().map(|proxy| words(&Excerpt::text(proxy), 80)));
    told.join(", ")
}

/// What came instead of a proper 101.
fn refused(upgrade: &Upgrade, failure: &Failure) -> String {
    let http = &upgrade.answer;
    let told = match http.status {
        // the failure tells what of the 101 is wrong
        Some(101) => format!("{}: {failure}", status_line(http)),
        Some(_) => status_line(http),
        None => {
            let begins = words(&failure.begins, 60);
            let begins = if begins.is_empty() { begins } else { format!(" (it begins: {begins})") };
            format!("{failure}{begins}")
        }
    };
    let more = particulars(http);
    if more.is_empty() { told } else { format!("{told}; {more}") }
}

//! Behind the socket.

use crate::diagnosis::checks::CheckDef;
use crate::diagnosis::view::{View, draft};
use crate::evidence::probed::{Behind, Listening, Owner, Saw, Step};
use crate::evidence::{Check, Layer, Side, follow_up};

/// In this order.
pub(super) const CHECKS: &[CheckDef] = &[CheckDef {
    id: "process.behind",
    about: "on this machine: a process listens there, runs, and can take more connections",
    run: behind,
}];

fn behind(view: &mut View<'_>) -> Vec<Check> {
    let steps = view.steps(|step, saw| match saw {
        Saw::Behind(seen) => Some((step, seen)),
        _ => None,
    });
    steps.into_iter().filter_map(|(line, (step, seen))| one(view, line, step, seen)).collect()
}

fn one(view: &mut View<'_>, line: usize, step: &Step, seen: &Behind) -> Option<Check> {
    let address = step.address?;
    let check =
        draft(format!("process.behind/{address}"), Layer::Process, Side::Server, format!("behind port {}", seen.port));
    let ids = vec![view.cite(line)];
    let covering: Vec<_> = seen.listeners.iter().filter(|one| one.covers).collect();
    let connected = !super::reach::connected(view).is_empty();
    if covering.is_empty() {
        let message = absent(seen);
        let blind = seen.unseen.iter().any(|unseen| unseen.what.starts_with("the sockets of"));
        return Some(if seen.datagrams && seen.listeners.is_empty() && blind {
            check.unknown(message, ids)
        } else if connected {
            let remedy = "look for rules that redirect (nft list ruleset) and for containers that publish the port";
            check.warn(format!("{message}, and yet a connection is completed: something forwards it"), ids, remedy)
        } else {
            check.fail(message, ids, "start the server, or give the address on which it listens")
        });
    }
    let message: Vec<_> = covering.iter().map(|one| listener(one)).collect();
    let message = message.join("; ");
    // of several that share a socket one is enough to serve it
    let ill = covering.iter().find(|one| one.owners.iter().all(cannot_serve)).and_then(|one| one.owners.first());
    Some(match ill {
        Some(owner) => check.fail(
            message,
            ids,
            format!("look at pid {}: its state and its descriptors are in the evidence", owner.pid),
        ),
        None => check.pass(message, ids),
    })
}

/// Stopped, or without a free descriptor. One that has ended holds no socket: it only had it when the descriptors were read, and others
/// serve it.
fn cannot_serve(owner: &Owner) -> bool {
    owner.state.as_ref().is_some_and(|state| {
        let full = state.descriptors.zip(state.descriptor_limit).is_some_and(|(open, limit)| u64::from(open) >= limit);
        matches!(state.state.as_str(), "T" | "t") || full
    })
}

fn absent(seen: &Behind) -> String {
    let elsewhere: Vec<_> = seen.listeners.iter().map(|one| one.address.to_string()).collect();
    let here =
        if seen.listeners.is_empty() && !seen.unseen.iter().any(|unseen| unseen.what.starts_with("the sockets of")) {
            "nothing listens there".to_owned()
        } else if elsewhere.is_empty() {
            "whether something listens there is not known".to_owned()
        } else {
            format!("only {} listens on that port", elsewhere.join(" and "))
        };
    match &seen.bind {
        Some(bind) => format!("{here}; can the address be bound? {bind}"),
        None => here,
    }
}

/// `127.0.0.1:7461 pid 4711 (sidetone server), it sleeps (state S)..., 0 of 128 wait`.
pub(in crate::diagnosis) fn listener(one: &Listening) -> String {
    let owners: Vec<_> = one.owners.iter().take(3).map(owner).collect();
    let owners = match (owners.is_empty(), one.owners.len()) {
        (true, _) => "of a process that may not be seen".to_owned(),
        (false, 0..=3) => owners.join(", "),
        (false, n) => format!("{} and {} more", owners.join(", "), n - 3),
    };
    let waiting = match (one.waiting, one.backlog) {
        (Some(waiting), Some(most)) if waiting > 0 => format!(", {waiting} of at most {most} connections wait"),
        (Some(waiting), None) if waiting > 0 => format!(", {waiting} connections wait"),
        _ => String::new(),
    };
    format!("{} {owners}{waiting}", one.address)
}

fn owner(owner: &Owner) -> String {
    let command = owner.command.as_deref().map(follow_up::short_command);
    let command = command.map(|command| format!(" ({command})")).unwrap_or_default();
    match &owner.state {
        Some(state) => format!("pid {}{command}: {state}", owner.pid),
        None => format!("pid {}{command}", owner.pid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_ended_meanwhile_is_no_reason_and_one_that_is_stopped_is() {
        let owner = |letter: &str| -> Owner {
            let state = serde_json::json!({
                "state": letter, "waits_in": null, "cpu_ms": 0, "descriptors": null, "descriptor_limit": null,
            });
            let owner =
                serde_json::json!({ "pid": 7, "command": null, "since": null, "state": state, "threads": null });
            serde_json::from_value(owner).unwrap()
        };
        let serves = |letter: &str| !cannot_serve(&owner(letter));
        assert_eq!(["S", "Z", "T", "t"].map(serves), [true, true, false, false]);
    }
}

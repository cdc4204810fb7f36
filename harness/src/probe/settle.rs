//! What contradicts itself: a refusal of a port on which something listens, or that cannot be bound although nothing has it.
//! PURE.

use crate::evidence::Answer;
use crate::evidence::probed::{Behind, How, Listening, Saw, Step};
use std::net::SocketAddr;
use std::time::Duration;

/// Before each further attempt: a server that binds and does not yet listen needs a moment.
pub(super) const PAUSES: [Duration; 3] =
    [Duration::from_millis(10), Duration::from_millis(60), Duration::from_millis(250)];

/// Addresses of which the last attempt and the last look do not say the same.
pub(super) fn doubtful(steps: &[Step]) -> Vec<SocketAddr> {
    let behind = steps.iter().rev().find_map(|step| match &step.saw {
        Saw::Behind(behind) => Some(behind),
        _ => None,
    });
    let Some(behind) = behind else { return Vec::new() };
    let refused = steps.iter().filter_map(|step| match &step.saw {
        Saw::Connect(it) => it.failure.as_ref().filter(|failure| failure.how == How::Refused).and(step.address),
        _ => None,
    });
    refused.filter(|address| contradicts(behind, *address)).collect()
}

fn contradicts(behind: &Behind, refused: SocketAddr) -> bool {
    let listens = behind.listeners.iter().any(|one| Listening::takes(one.address, one.v6only, refused));
    let taken = matches!(&behind.bind, Some(Answer::NotBound { errno, .. }) if errno.name == "EADDRINUSE");
    // a rule that rejects explains a refusal in spite of a listener
    let rejects = |rule: &String| rule.to_lowercase().contains("reject");
    let rejected = behind.firewall.filters.iter().any(|filter| filter.rules.iter().any(rejects));
    let holder = behind.others_count > 0 || !behind.bound_only.is_empty();
    listens && !rejected || taken && !holder
}

/// Puts a further attempt in the place of the one before, which it remembers.
pub(super) fn replace(steps: &mut [Step], again: Step) {
    let same = |step: &&mut Step| step.address == again.address && matches!(step.saw, Saw::Connect(_));
    let Some(step) = steps.iter_mut().find(same) else { return };
    let (Saw::Connect(before), Saw::Connect(after)) = (&step.saw, &again.saw) else { return };
    let first = before.first.clone().or_else(|| {
        let failure = before.failure.clone()?;
        Some((failure, again.began_us.saturating_sub(step.began_us)))
    });
    let mut after = after.clone();
    after.order = before.order;
    after.client_begins_ms = before.client_begins_ms;
    after.attempts = before.attempts + 1;
    after.first = first;
    *step = Step { saw: Saw::Connect(after), ..again };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::probed::{Connected, Failure};
    use sidetone::event::Errno;

    const ADDRESS: &str = "127.0.0.1:9";

    fn attempt(began_us: u64, failure: Option<Failure>) -> Step {
        let saw = Saw::Connect(Connected { order: 2, attempts: 1, failure, ..Connected::default() });
        Step { address: Some(ADDRESS.parse().unwrap()), began_us, took_us: 1, deadline_ms: 9, saw }
    }

    fn look(behind: Behind) -> Step {
        let saw = Saw::Behind(Behind { port: 9, ..behind });
        Step { address: Some(ADDRESS.parse().unwrap()), began_us: 5, took_us: 1, deadline_ms: 9, saw }
    }

    fn listening() -> Behind {
        let listener = serde_json::json!({
            "address": ADDRESS, "covers": true, "waiting": 0, "backlog": 1, "user_id": 0, "namespace": null, "owners": [],
        });
        Behind { listeners: vec![serde_json::from_value(listener).unwrap()], ..Behind::default() }
    }

    fn taken() -> Behind {
        let errno = Errno { number: 98, name: "EADDRINUSE".to_owned() };
        Behind { bind: Some(Answer::NotBound { errno, call: "bind".to_owned() }), ..Behind::default() }
    }

    fn refused() -> Step {
        attempt(0, Some(Failure::new(How::Refused, "")))
    }

    #[test]
    fn a_refusal_is_doubted_where_something_listens_or_nobody_has_what_cannot_be_bound() {
        let doubt = |behind| doubtful(&[refused(), look(behind)]).len();
        assert_eq!((doubt(listening()), doubt(taken())), (1, 1));
        assert_eq!(doubt(Behind { bind: Some(Answer::Bound {}), ..Behind::default() }), 0, "a free port is no riddle");
        assert_eq!(doubt(Behind { others_count: 1, ..taken() }), 0, "who has it is known");
        let answered = [attempt(0, None), look(listening())];
        assert!(doubtful(&answered).is_empty() && doubtful(&[refused()]).is_empty());
    }

    #[test]
    fn the_last_attempt_counts_and_the_first_is_remembered() {
        let mut steps = vec![refused(), look(listening())];
        replace(&mut steps, attempt(20, Some(Failure::new(How::Refused, ""))));
        replace(&mut steps, attempt(90, None));
        let Saw::Connect(seen) = &steps[0].saw else { panic!("{steps:?}") };
        assert_eq!((seen.attempts, seen.order, seen.failure.as_ref()), (3, 2, None));
        let (failure, before_us) = seen.first.as_ref().unwrap();
        assert_eq!((failure.how, *before_us, steps[0].began_us), (How::Refused, 20, 90));
        assert!(doubtful(&steps).is_empty());
    }
}

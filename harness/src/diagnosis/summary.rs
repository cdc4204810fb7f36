//! Verdict, expectation, gaps and recommendations: what the checks mean together.

use super::load::LESS_LOAD;
use super::probed::sentence;
use super::view::View;
use crate::cause::by_code;
use crate::evidence::{
    Asked, Check, ClientKind, ClientPlan, Evidence, Expectation, Finding, Horizon, NO_CAUSE, NotChecked, Observation,
    Recommendation, Status, Verdict,
};

pub(super) fn worst<'c>(checks: impl Iterator<Item = &'c Check>) -> Status {
    checks.map(|c| c.status).max().unwrap_or(Status::Unknown)
}

/// The worst of the checks, and the sentence that somebody who gets paged needs.
pub fn verdict(evidence: &Evidence, checks: &[Check], findings: &[Finding]) -> Verdict {
    if let Some(sentence) = untested(evidence) {
        return Verdict { status: Status::Unknown, sentence };
    }
    let status = worst(checks.iter());
    if let ([only], Status::Skip) = (checks, status) {
        return Verdict { status, sentence: format!("skipped: {}", only.message) };
    }
    let first = |wanted: Status| checks.iter().find(|c| c.status == wanted && c.caused_by.is_none());
    let others = |wanted: Status| {
        let count = checks.iter().filter(|c| c.status == wanted).count().saturating_sub(1);
        match count {
            0 => String::new(),
            1 => " (and one other check)".to_owned(),
            n => format!(" (and {n} other checks)"),
        }
    };
    let sentence = match (status, findings.first()) {
        (Status::Fail, Some(finding)) => explained(finding, &findings[1..], checks),
        (Status::Fail, None) => match first(Status::Fail) {
            Some(check) => format!("{}: {}{}", check.title, check.message, others(Status::Fail)),
            None => "a check failed".to_owned(),
        },
        (Status::Unknown, _) if interruption(evidence).is_some() => cut_short(evidence, checks),
        (Status::Unknown, _) => match first(Status::Unknown) {
            Some(check) => format!(
                "nothing failed, but this could not be checked: {}: {}{}",
                check.title,
                check.message,
                others(Status::Unknown)
            ),
            None => "nothing was checked".to_owned(),
        },
        (Status::Warn, Some(finding)) => format!("{}, with a warning: {}", works(evidence), finding.summary),
        (Status::Warn, None) => match first(Status::Warn) {
            Some(check) => {
                format!("{}; {}: {}{}", works(evidence), check.title, check.message, others(Status::Warn))
            }
            None => format!("{}, with a warning", works(evidence)),
        },
        (Status::Pass | Status::Skip, _) => healthy(evidence, checks),
    };
    let sentence = match (status, interruption(evidence)) {
        (Status::Fail, Some(reason)) => format!("{sentence}; the run was cut short: {reason}"),
        _ => sentence,
    };
    Verdict { status, sentence }
}

fn works(evidence: &Evidence) -> String {
    match &evidence.plan.probe {
        Some(plan) => format!("{} works", plan.target),
        None => "the call works".to_owned(),
    }
}

/// Why the scenario says nothing: what it breaks on purpose was not broken.
fn untested(evidence: &Evidence) -> Option<String> {
    evidence.observations().find_map(|(_, o)| match o {
        Observation::FaultMissed { fault, why } => {
            Some(format!("nothing is known: the fault of this scenario ({fault}) was not there: {why}"))
        }
        _ => None,
    })
}

/// The first cause, the other causes, and that there are failures without a known cause.
fn explained(finding: &Finding, others: &[Finding], checks: &[Check]) -> String {
    let more: Vec<_> = others.iter().map(|f| f.summary.as_str()).collect();
    let more = if more.is_empty() { String::new() } else { format!("; besides, {}", more.join("; ")) };
    let apart: Vec<_> = checks.iter().filter(|c| c.status == Status::Fail && c.caused_by.is_none()).collect();
    let apart = match apart.as_slice() {
        [] => String::new(),
        [one] => format!("; apart from that: {}: {}", one.title, one.message),
        [first, ..] => {
            format!("; {} checks fail apart from that, the first: {}: {}", apart.len(), first.title, first.message)
        }
    };
    format!("{}{more}{apart}", finding.summary)
}

fn interruption(evidence: &Evidence) -> Option<&str> {
    evidence.observations().find_map(|(_, o)| match o {
        Observation::Interrupted { reason } => Some(reason.as_str()),
        _ => None,
    })
}

fn cut_short(evidence: &Evidence, checks: &[Check]) -> String {
    let reason = interruption(evidence).unwrap_or_default();
    let count = |status: Status| checks.iter().filter(|c| c.status == status).count();
    let (passed, open) = (count(Status::Pass), count(Status::Unknown));
    format!("cut short: {reason}; nothing had failed until then: {passed} checks passed, {open} could not be made")
}

fn healthy(evidence: &Evidence, checks: &[Check]) -> String {
    if let Some(plan) = &evidence.plan.probe {
        return sentence::healthy(evidence, plan, checks);
    }
    let passed = checks.iter().filter(|c| c.status == Status::Pass).count();
    let names: Vec<_> = evidence.plan.clients.iter().map(|c| c.name.as_str()).collect();
    if names.is_empty() {
        return format!("the server listens and answers as it should; all {passed} checks passed");
    }
    let way = |c: &ClientPlan| match c.kind {
        ClientKind::Terminal => format!("{} on {}", c.transport, c.family),
        ClientKind::Browser => format!("a browser on {}", c.family),
    };
    let mut over: Vec<_> = evidence.plan.clients.iter().map(way).collect();
    over.sort();
    over.dedup();
    let seconds = evidence.plan.duration_ms as f64 / 1e3;
    let plural = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let hears = evidence.plan.clients.iter().map(|c| c.hears.len()).sum();
    let sees = evidence.plan.clients.iter().map(|c| c.sees.len()).sum();
    format!(
        "the call works: {} were in it for {seconds} s over {}, and sound ({}) and pictures ({}) went through as sent; \
         all {passed} checks passed",
        and(&names),
        and(&over),
        plural(hears, "way"),
        plural(sees, "way"),
    )
}

/// `a, b and c`.
pub(super) fn and<S: AsRef<str>>(words: &[S]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// Whether what the scenario wants was found: the cause first of all, the verdict, the checks.
pub fn expectation(evidence: &Evidence, verdict: &Verdict, checks: &[Check], findings: &[Finding]) -> Expectation {
    let plan = &evidence.plan;
    let mut expected = Vec::new();
    let mut found: Vec<String> = untested(evidence).into_iter().collect();
    if plan.expected_cause.as_deref() == Some(NO_CAUSE) {
        expected.push("no cause".to_owned());
        found.extend(findings.first().map(|f| f.cause.clone()));
        if !matches!(verdict.status, Status::Pass | Status::Warn) {
            found.push(format!("the verdict {}", verdict.status.word()));
        }
    } else if let Some(cause) = &plan.expected_cause {
        expected.push(cause.clone());
        match findings.first() {
            Some(first) if first.cause == *cause => {}
            Some(first) => found.push(first.cause.clone()),
            None => found.push(format!("no cause; the worst check is {}", worst(checks.iter()).word())),
        }
    }
    if let Some(status) = plan.expected_status {
        expected.push(format!("the verdict {}", status.word()));
        if verdict.status != status {
            found.push(format!("the verdict {}", verdict.status.word()));
        }
    }
    for id in &plan.expected_pass {
        expected.push(format!("{id} PASS"));
        match checks.iter().find(|c| c.id == *id) {
            Some(check) if check.status == Status::Pass => {}
            // what only load made worse is not what the scenario is about
            Some(check) if check.status == Status::Warn && check.remedy.as_deref() == Some(LESS_LOAD) => {}
            Some(check) => found.push(format!("{id} is {}: {}", check.status.word(), check.message)),
            None => found.push(format!("{id} was not made")),
        }
    }
    let expected = expected.join(", ");
    match (expected.is_empty(), found.is_empty()) {
        (true, _) => Expectation::None,
        (false, true) => Expectation::Met { expected },
        (false, false) => Expectation::Unmet { expected, found: found.join(", ") },
    }
}

/// The questions that were asked, with their answers.
pub(super) fn follow_ups(view: &mut View<'_>) -> Vec<Asked> {
    let asked = view.seen(|o| match o {
        Observation::FollowUp { question, because, answer, .. } => Some((question, because, answer)),
        _ => None,
    });
    let mut all = Vec::new();
    for (line, (question, because, answer)) in asked {
        let evidence = vec![view.cite(line)];
        let (question, because, answer) = (question.to_string(), because.clone(), answer.to_string());
        all.push(Asked { question, because, answer, evidence });
    }
    all
}

/// What was not checked, and why.
pub fn not_checked(view: &View<'_>, checks: &[Check]) -> Vec<NotChecked> {
    let mut list: Vec<_> = checks
        .iter()
        .filter(|c| c.status == Status::Unknown)
        .map(|c| NotChecked { what: c.title.clone(), why: c.message.clone(), remedy: c.remedy.clone() })
        .collect();
    let mut add = |what: &str, why: &str, remedy: Option<&str>| {
        list.push(NotChecked { what: what.to_owned(), why: why.to_owned(), remedy: remedy.map(str::to_owned) });
    };
    let plan = &view.evidence.plan;
    if let Some(probe) = &plan.probe {
        list.extend(sentence::not_checked(view.evidence, probe));
        return list;
    }
    if plan.server.bind.iter().all(std::net::IpAddr::is_loopback) {
        add("the way through a real network", "server and clients were on one machine, on loopback", None);
    }
    add("sound cards and cameras", "tones, files and test patterns took their place", None);
    if !plan.server.mdns {
        add("discovery by mDNS", "the scenario announces nothing", Some("mdns = true under [server]"));
    }
    let reader_sees_only_own = view.evidence.environment.user_id.is_some_and(|id| id != 0);
    if reader_sees_only_own {
        add("processes of other users", "the harness did not run as root, and sees only its own", None);
    }
    list
}

/// Only where there is something to recommend.
pub fn recommendations(checks: &[Check], findings: &[Finding]) -> Vec<Recommendation> {
    let mut list: Vec<Recommendation> = Vec::new();
    let mut add = |horizon, text: String| {
        if list.iter().all(|r| r.text != text) {
            list.push(Recommendation { horizon, text });
        }
    };
    for fix in findings.iter().flat_map(|f| &f.fixes) {
        add(Horizon::Immediate, fix.text.clone());
    }
    for (horizon, text) in findings.iter().filter_map(|f| by_code(&f.cause)).flat_map(|cause| cause.later) {
        add(*horizon, (*text).to_owned());
    }
    let remedies = |status: Status| {
        checks.iter().filter(move |c| c.status == status && c.caused_by.is_none()).filter_map(|c| c.remedy.clone())
    };
    remedies(Status::Fail).for_each(|text| add(Horizon::Immediate, text));
    remedies(Status::Warn).for_each(|text| add(Horizon::Short, text));
    list.sort_by_key(|r| r.horizon);
    list
}

/// Commands that run the same again: the harness with the seed it drew, and the server alone.
pub fn reproduce(evidence: &Evidence) -> Vec<String> {
    let quoted = |word: &String| {
        let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=[]@%+,".contains(c));
        if plain { word.clone() } else { format!("'{}'", word.replace('\'', "'\\''")) }
    };
    let line = |command: &[String]| command.iter().map(quoted).collect::<Vec<_>>().join(" ");
    let run = &evidence.run;
    let seeded = run.command.iter().any(|word| word == "--seed" || word.starts_with("--seed="));
    let seed = if seeded || evidence.plan.probe.is_some() { String::new() } else { format!(" --seed {}", run.seed) };
    let server = evidence.observations.iter().find_map(|o| match &o.what {
        Observation::ProcessStarted { process, command, .. } if process == "server" => Some(command),
        _ => None,
    });
    let again = line(if run.again.is_empty() { &run.command } else { &run.again });
    let broken = evidence.observations.iter().any(|o| matches!(o.what, Observation::FaultInjected { .. }));
    // what was broken around the server is not in its command line
    let server = server.filter(|_| !broken);
    std::iter::once(again + &seed).chain(server.map(|command| line(command))).collect()
}

//! Root causes: what happened, how it is known, what it was not, what to do, and what follows from it.

use super::super::{figures, overview};
use super::escape::{code, folded, text, up_to};
use super::scenario::checks;
use super::table::Table;
use super::view::View;
use crate::evidence::{Finding, Fix, Hypothesis, HypothesisState, Link};

/// Characters of a cell of the tables of guesses and questions; the evidence holds the rest.
const CELL: usize = 420;

/// All findings; nothing if there is none.
pub(super) fn section(view: &View<'_>) -> Option<String> {
    let each: Vec<_> = view.report.findings.iter().enumerate().map(|(i, f)| finding(view, i, f)).collect();
    (!each.is_empty()).then(|| each.join("\n\n"))
}

/// The anchor of a finding by its place.
pub(super) fn anchor(index: usize) -> String {
    format!("cause-{}", index + 1)
}

fn finding(view: &View<'_>, index: usize, finding: &Finding) -> String {
    let code = code(&finding.cause);
    let sure = overview::confidence(finding.confidence);
    let mut parts = Vec::new();
    if view.report.findings.len() > 1 {
        parts.push(format!("### {}. {code}", index + 1));
    }
    parts.push(format!("<a id=\"{}\"></a>**{}** ({code}, {sure})", view.place(&anchor(index)), text(&finding.summary)));
    if !finding.chain.is_empty() {
        let links = finding.chain.iter().enumerate().map(|(i, link)| chain_link(view, i, link));
        parts.push(links.collect::<Vec<_>>().join("\n"));
    }
    let guessed = |h: &&Hypothesis| view.report.considered.iter().any(|guess| guess.statement == h.statement);
    let others = finding.hypotheses.iter().filter(|h| !guessed(h));
    if let Some(table) = hypotheses(view, others, "Explanation", "**open**") {
        parts.push(format!("**Other explanations**\n\n{table}"));
    }
    if !finding.fixes.is_empty() {
        parts.push(format!("**What to do**\n\n{}", fixes(&finding.fixes)));
    }
    let consequences = overview::consequences(view.report, finding);
    let count = consequences.len();
    if let Some(table) = checks(view, consequences.into_iter()) {
        let follow = if count == 1 { "follows" } else { "follow" };
        parts.push(folded(&format!("{} {follow} from this", figures::counted(count, "check")), &table));
    }
    parts.join("\n\n")
}

fn chain_link(view: &View<'_>, index: usize, link: &Link) -> String {
    format!("{}. {}{}", index + 1, text(link.statement()), view.in_brackets(link.evidence()))
}

/// What a person would guess first; nothing if nobody has to guess.
pub(super) fn considered(view: &View<'_>) -> Option<String> {
    let table = hypotheses(view, view.report.considered.iter(), "What it might be", "not checked")?;
    Some(format!("What one would guess first, and the check that decided it.\n\n{table}"))
}

/// The title of [`considered`]: it promises no more than was ruled out.
pub(super) fn considered_title(view: &View<'_>) -> &'static str {
    let refuted = view.report.considered.iter().all(|h| h.state == HypothesisState::Refuted);
    if refuted { "Considered and ruled out" } else { "Considered" }
}

fn hypotheses<'a>(
    view: &View<'_>,
    hypotheses: impl Iterator<Item = &'a Hypothesis>,
    what: &str,
    open: &str,
) -> Option<String> {
    let mut table = Table::new(&[what, "State", "Decided by", "Evidence"]);
    for hypothesis in hypotheses {
        let state = match hypothesis.state {
            HypothesisState::Confirmed => "confirmed",
            HypothesisState::Refuted => "ruled out",
            HypothesisState::Open => open,
        };
        let cited = view.cite(&hypothesis.evidence);
        table.row([cell(&hypothesis.statement), state.to_owned(), cell(&hypothesis.decided_by), cited]);
    }
    table.finish()
}

/// Questions that decided between hypotheses, with their answers.
pub(super) fn follow_ups(view: &View<'_>) -> Option<String> {
    let mut table = Table::new(&["Question", "Answer", "Decides between", "Evidence"]);
    for asked in &view.report.follow_ups {
        let cited = view.cite(&asked.evidence);
        table.row([cell(&asked.question), cell(&asked.answer), cell(&asked.because), cited]);
    }
    let table = table.finish()?;
    Some(format!("What the harness tried in order to decide, before it ended anything that still ran.\n\n{table}"))
}

/// Text in a cell that stays a cell.
fn cell(text: &str) -> String {
    up_to(text, CELL)
}

/// The least intrusive first.
fn fixes(fixes: &[Fix]) -> String {
    let mut fixes: Vec<_> = fixes.iter().collect();
    fixes.sort_by_key(|f| f.kind);
    let lines: Vec<_> = fixes.iter().map(|f| format!("- {} {}", overview::tag(f.kind), text(&f.text))).collect();
    lines.join("\n")
}

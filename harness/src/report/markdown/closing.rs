//! What a reader needs to go on: commands, gaps, recommendations, evidence and environment.

use super::super::{clean, figures, overview};
use super::cause;
use super::escape::{block, code, text};
use super::table::Table;
use super::view::{View, anchor};
use crate::evidence::{Environment, EvidenceItem, Horizon, Report};

/// Commands.
pub(super) fn reproduce(report: &Report) -> Option<String> {
    let lines: Vec<_> = report.reproduce.iter().map(|c| clean::line(c)).filter(|c| !c.is_empty()).collect();
    (!lines.is_empty()).then(|| block("sh", &lines))
}

/// Never left out: that everything was checked is a statement too.
pub(super) fn not_checked(report: &Report) -> String {
    let mut table = Table::new(&["What", "Why", "How to check it"]);
    for gap in &report.not_checked {
        table.row([text(&gap.what), text(&gap.why), text(gap.remedy.as_deref().unwrap_or_default())]);
    }
    table.finish().unwrap_or_else(|| "Everything that this scenario plans was checked.".to_owned())
}

/// By horizon, only those that have any. What a root cause names as its fix is told there.
pub(super) fn recommendations(view: &View<'_>) -> Option<String> {
    let horizons = [
        (Horizon::Immediate, "Immediate"),
        (Horizon::Short, "Short term"),
        (Horizon::Medium, "Medium term"),
        (Horizon::Long, "Long term"),
    ];
    let report = view.report;
    let told = |text: &str| report.findings.iter().any(|f| f.fixes.iter().any(|fix| fix.text == text));
    let groups: Vec<_> = horizons
        .iter()
        .filter_map(|(horizon, title)| {
            let due: Vec<_> = report.recommendations.iter().filter(|r| r.horizon == *horizon).collect();
            let above = due.iter().any(|r| told(&r.text)).then(|| {
                let causes = if report.findings.len() == 1 { "root cause" } else { "root causes" };
                format!("- {}", view.to(&format!("what to do about the {causes}"), &cause::anchor(0)))
            });
            let rest = due.iter().filter(|r| !told(&r.text)).map(|r| format!("- {}", text(&r.text)));
            let lines: Vec<_> = above.into_iter().chain(rest).collect();
            (!lines.is_empty()).then(|| format!("**{title}**\n\n{}", lines.join("\n")))
        })
        .collect();
    (!groups.is_empty()).then(|| groups.join("\n\n"))
}

/// Everything cited, each with its anchor.
pub(super) fn evidence(view: &View<'_>) -> Option<String> {
    let items: Vec<_> = view.report.evidence.iter().map(|item| piece(view, item)).collect();
    (!items.is_empty()).then(|| items.join("\n"))
}

fn piece(view: &View<'_>, item: &EvidenceItem) -> String {
    let mut facts = vec![view.source(&item.source)];
    facts.extend(item.time.as_deref().map(|t| text(figures::clock(t))));
    facts.extend(overview::message(item).as_deref().map(text));
    facts.extend(item.sha256.as_deref().map(|sum| format!("sha256 {}", code(sum.get(..12).unwrap_or(sum)))));
    let head = format!(
        "- <a id=\"{}\"></a>**{}** {}",
        view.place(&anchor(&item.id)),
        text(&item.id.to_string()),
        facts.join(" · ")
    );
    match code(&item.excerpt) {
        excerpt if excerpt.is_empty() => head,
        excerpt => format!("{head}<br>\n  {excerpt}"),
    }
}

/// What could be read of the machine.
pub(super) fn environment(environment: &Environment) -> Option<String> {
    let system = text(&environment.system);
    if system.is_empty() {
        return None;
    }
    let mut table = Table::new(&["System", &system]);
    let mut fact = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            table.row([name.to_owned(), value]);
        }
    };
    fact("Kernel", environment.kernel.as_deref().map(text));
    fact("Processors", environment.cpus.map(|n| n.to_string()));
    fact("Memory", environment.memory_bytes.map(figures::bytes));
    fact("User id", environment.user_id.map(|n| n.to_string()));
    fact("IPv6", environment.ipv6.map(|yes| if yes { "::1 can be bound" } else { "::1 cannot be bound" }.to_owned()));
    fact("Ephemeral ports", environment.ephemeral_range.map(|(low, high)| format!("{low} to {high}")));
    fact("Unprivileged ports from", environment.unprivileged_port_start.map(|n| n.to_string()));
    fact("CI", Some(if environment.ci { "yes" } else { "no" }.to_owned()));
    Some(table.to_string())
}

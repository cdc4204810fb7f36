//! Text for a terminal: a line a check, then causes, evidence, gaps and fixes, and the verdict as the last line.

use super::{Reporter, clean, figures, overview};
use crate::evidence::{
    Check, Compared, Comparison, EvidenceId, EvidenceItem, Expectation, Finding, HypothesisState, Link, Report,
    RunReport, Status, Verdict,
};
use serde_json::Value;

/// Characters a line; what is longer goes on below, indented.
const WIDTH: usize = 110;

/// Titles longer than this do not push the messages of all other checks to the right.
const TITLE: usize = 36;

/// What a piece of evidence says is cut after so many characters; its source holds the rest.
const EXCERPT: usize = 240;

/// Plain text, with ANSI colours if asked for; the status word is always there.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// Whether the terminal shows colours and nobody asked for none.
    pub colour: bool,
    /// Whether everything that was observed is shown too, with the figures.
    pub every_step: bool,
}

impl Reporter for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn extension(&self) -> &'static str {
        "txt"
    }

    fn render(&self, run: &RunReport) -> String {
        let mut lines = Vec::new();
        if let Some((_, report)) = overview::only(run) {
            self.checks(&mut lines, report.checks.iter().collect());
            self.details(&mut lines, report);
            if self.every_step {
                self.everything(&mut lines, report);
            }
            lines.push(String::new());
            lines.extend(expectation(&report.expectation, report.verdict.status));
            lines.push(self.verdict(&run.verdict));
        } else {
            for (summary, report) in overview::scenarios(run) {
                let name = clean::sentence(&summary.name);
                let how = match (&summary.expectation, summary.repeats) {
                    (Expectation::None, 0 | 1) => String::new(),
                    (Expectation::None, _) => format!(" ({})", overview::repeats(summary)),
                    (Expectation::Met { .. }, _) => ", as expected".to_owned(),
                    (Expectation::Unmet { .. }, _) => ", NOT as expected".to_owned(),
                };
                let took = figures::millis(summary.duration_ms);
                lines.push(format!("{}{name}{how}  {took}", self.word(summary.verdict.status)));
                if let Some(report) = report.filter(|_| !overview::is_plain_pass(summary)) {
                    lines.push(hanging("         ", &clean::sentence(&summary.verdict.sentence)));
                    if matches!(summary.expectation, Expectation::Met { .. }) {
                        continue; // its own report tells the rest
                    }
                    let news = overview::independent(report).into_iter().filter(|c| overview::is_news(c.status));
                    self.checks(&mut lines, news.collect());
                    self.details(&mut lines, report);
                    if !matches!(summary.expectation, Expectation::None) {
                        lines.push(String::new());
                    }
                    lines.extend(expectation(&summary.expectation, summary.verdict.status));
                    lines.push(String::new());
                }
            }
            if let Some(comparison) = &run.comparison {
                self.side_by_side(&mut lines, comparison);
            }
            lines.push(self.verdict(&run.verdict));
        }
        lines.join("\n") + "\n"
    }
}

impl Text {
    fn checks(self, lines: &mut Vec<String>, checks: Vec<&Check>) {
        let titles = checks.iter().map(|c| clean::sentence(&c.title).chars().count());
        let width = titles.filter(|n| *n <= TITLE).max().unwrap_or(0);
        for check in checks {
            let title = format!("{:width$}", clean::sentence(&check.title));
            lines.push(hanging_after(
                &self.word(check.status),
                9,
                &format!("{title}  {}", clean::sentence(&check.message)),
                width + 2,
            ));
        }
    }

    fn details(self, lines: &mut Vec<String>, report: &Report) {
        for finding in &report.findings {
            lines.extend(self.finding(report, finding));
        }
        lines.extend(guesses(report));
        let cited = cited(report);
        let shown: Vec<_> = report.evidence.iter().filter(|e| cited.contains(&&e.id)).collect();
        if !shown.is_empty() {
            lines.push(self.heading("Evidence"));
            let id = shown.iter().map(|e| e.id.to_string().len()).max().unwrap_or(0);
            let source = shown.iter().map(|e| clean::sentence(&e.source).chars().count()).max().unwrap_or(0).min(TITLE);
            for item in shown {
                let head = format!("  {:id$} {:source$}  ", item.id, clean::cut(&clean::sentence(&item.source), TITLE));
                let seen = clean::cut(&clean::sentence(&told(report, item)), EXCERPT);
                lines.push(hanging_after(&head, head.chars().count(), &seen, 0));
            }
        }
        if !report.not_checked.is_empty() {
            lines.push(self.heading("Not checked"));
            for gap in &report.not_checked {
                let remedy = gap.remedy.as_deref().map(|r| format!("; {r}")).unwrap_or_default();
                lines.push(hanging("  ", &clean::sentence(&format!("{}: {}{remedy}", gap.what, gap.why))));
            }
        }
        self.fixes(lines, report);
    }

    /// Figures and everything that was observed.
    fn everything(self, lines: &mut Vec<String>, report: &Report) {
        if !report.metrics.is_empty() {
            lines.push(self.heading("Figures"));
            let width = report.metrics.keys().map(String::len).max().unwrap_or(0);
            lines.extend(
                report.metrics.iter().map(|(name, metric)| format!("  {name:width$}  {}", figures::metric(metric))),
            );
        }
        lines.push(self.heading("Everything seen"));
        for entry in &report.timeline {
            let at = format!("  {:>9.1} ms  ", entry.at_us as f64 / 1e3);
            lines.push(hanging_after(&at, at.chars().count(), &clean::sentence(&entry.what), 0));
        }
    }

    /// A table with a column a target.
    fn side_by_side(self, lines: &mut Vec<String>, comparison: &Comparison) {
        let clean = |text: &String| clean::cut(&clean::sentence(text), TITLE);
        let head = Compared { name: String::new(), cells: comparison.columns.clone() };
        let rows: Vec<&Compared> = std::iter::once(&head).chain(&comparison.rows).collect();
        let first = rows.iter().map(|row| clean(&row.name).chars().count()).max().unwrap_or(0);
        let width = |column: usize| {
            rows.iter()
                .filter_map(|row| row.cells.get(column))
                .map(|cell| clean(cell).chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<_> = (0..comparison.columns.len()).map(width).collect();
        lines.push(self.heading("Side by side"));
        for row in rows {
            let cells: Vec<_> =
                widths.iter().zip(&row.cells).map(|(width, cell)| format!("{:width$}", clean(cell))).collect();
            lines.push(format!("  {:first$}  {}", clean(&row.name), cells.join("  ")).trim_end().to_owned());
        }
        lines.push(String::new());
    }

    fn finding(self, report: &Report, finding: &Finding) -> Vec<String> {
        let head = format!("{} ({})", clean::sentence(&finding.cause), overview::confidence(finding.confidence));
        let mut lines =
            vec![self.heading("Root cause"), format!("  {head}"), hanging("  ", &clean::sentence(&finding.summary))];
        for (index, link) in finding.chain.iter().enumerate() {
            let statement = clean::sentence(&format!("{} ({})", link.statement(), names(link.evidence())));
            lines.push(hanging_after(&format!("  {}. ", index + 1), 5, &statement, 0));
        }
        for (state, word) in [(HypothesisState::Refuted, "Ruled out"), (HypothesisState::Open, "Still open")] {
            let of_state = finding.hypotheses.iter().filter(|h| h.state == state);
            let each: Vec<_> =
                of_state.map(|h| clean::sentence(&format!("{}{}", h.statement, brackets(&h.evidence)))).collect();
            if !each.is_empty() {
                lines.push(hanging_after(&format!("  {word:10}  "), 14, &each.join(", "), 0));
            }
        }
        match overview::consequences(report, finding).len() {
            0 => {}
            count => lines.push(format!("  Explains    {}", figures::counted(count, "check"))),
        }
        lines
    }

    fn fixes(self, lines: &mut Vec<String>, report: &Report) {
        let mut fixes: Vec<_> = report
            .findings
            .iter()
            .flat_map(|f| &f.fixes)
            .map(|fix| (fix.kind, overview::tag(fix.kind), clean::sentence(&fix.text)))
            .collect();
        fixes.sort_by_key(|fix| fix.0);
        fixes.dedup();
        let news = overview::independent(report).into_iter().filter(|c| overview::is_news(c.status));
        let remedies: Vec<_> = news.filter_map(|c| c.remedy.as_deref().map(clean::line)).collect();
        if fixes.is_empty() && remedies.is_empty() {
            return;
        }
        lines.push(self.heading("Fix"));
        for (_, tag, text) in fixes {
            lines.push(hanging_after(&format!("  {tag:16} "), 19, &text, 0));
        }
        lines.extend(remedies.into_iter().map(|remedy| hanging("  ", &remedy)));
    }

    fn verdict(self, verdict: &Verdict) -> String {
        hanging_after(&self.word(verdict.status), 9, &clean::sentence(&verdict.sentence), 0)
    }

    fn heading(self, title: &str) -> String {
        if self.colour { format!("\n\x1b[1m{title}\x1b[0m") } else { format!("\n{title}") }
    }

    /// The word of a status in a column of nine.
    fn word(self, status: Status) -> String {
        let word = format!("{:9}", status.word());
        let colour = match status {
            Status::Pass => 32,
            Status::Warn => 33,
            Status::Fail => 31,
            Status::Unknown => 35,
            Status::Skip => 90,
        };
        if self.colour { format!("\x1b[{colour}m{word}\x1b[0m") } else { word }
    }
}

fn expectation(expectation: &Expectation, observed: Status) -> Option<String> {
    let told = match expectation {
        Expectation::None => return None,
        Expectation::Met { expected } if observed == Status::Pass => {
            format!("As expected: {expected}. All of it was found.")
        }
        Expectation::Met { expected } => {
            format!("As expected: {expected}. All of it was found, so this {} counts as a pass.", observed.word())
        }
        Expectation::Unmet { expected, found } => {
            format!("NOT as expected: {expected}; found: {found}.")
        }
    };
    Some(hanging("", &clean::sentence(&told)))
}

/// What findings and checks that are not as they should be rest on.
fn cited(report: &Report) -> Vec<&EvidenceId> {
    let links = report.findings.iter().flat_map(|f| f.chain.iter().flat_map(Link::evidence));
    let hypotheses = report.findings.iter().flat_map(|f| f.hypotheses.iter().flat_map(|h| &h.evidence));
    let news =
        overview::independent(report).into_iter().filter(|c| overview::is_news(c.status)).flat_map(|c| &c.evidence);
    let guesses = overview::guesses(report, HypothesisState::Refuted).filter_map(|h| h.evidence.first());
    links.chain(hypotheses).chain(news).chain(guesses).collect()
}

/// What one would guess first and need not look at any more; of its evidence the first piece.
fn guesses(report: &Report) -> Vec<String> {
    let each: Vec<_> = overview::guesses(report, HypothesisState::Refuted)
        .map(|h| clean::sentence(&format!("{}{}", h.statement, brackets(&h.evidence[..h.evidence.len().min(1)]))))
        .collect();
    if each.is_empty() {
        Vec::new()
    } else {
        vec![String::new(), hanging_after("Ruled out  ", 11, &each.join(", "), 0)]
    }
}

/// A step of a probe as its line of the timeline has it, anything else by what it says itself.
fn told(report: &Report, item: &EvidenceItem) -> String {
    let is_step = item.excerpt.contains("\"kind\":\"probed\"");
    let line = report.timeline.iter().find(|entry| is_step && entry.source == item.source);
    line.map_or_else(|| gist(item), |entry| entry.what.clone())
}

/// The message of an event; of an observation its kind and everything but its clocks.
fn gist(item: &EvidenceItem) -> String {
    let observation = || {
        let mut seen: serde_json::Map<String, Value> = serde_json::from_str(&item.excerpt).ok()?;
        let kind = seen.remove("kind")?.as_str()?.to_owned();
        seen.retain(|field, _| field != "time" && field != "monotonic_ns");
        Some(format!("{kind}: {}", loose(&Value::Object(seen))))
    };
    overview::message(item).or_else(observation).unwrap_or_else(|| item.excerpt.clone())
}

/// JSON with blanks to break lines at, and without the marks that only programs need.
fn loose(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(loose).collect::<Vec<_>>().join("; ")),
        Value::Object(fields) => {
            let each: Vec<_> = fields.iter().map(|(field, value)| format!("{field} {}", loose(value))).collect();
            each.join(", ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn names(ids: &[EvidenceId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn brackets(ids: &[EvidenceId]) -> String {
    if ids.is_empty() { String::new() } else { format!(" ({})", names(ids)) }
}

fn hanging(indent: &str, text: &str) -> String {
    hanging_after(indent, indent.len(), text, 0)
}

/// `head` (which takes `columns` columns), then `text` broken at blanks, its further lines under it and `more` further right.
/// A word that is longer than a line is broken anywhere.
fn hanging_after(head: &str, columns: usize, text: &str, more: usize) -> String {
    let indent = columns + more;
    let room = WIDTH.saturating_sub(indent).max(20);
    let mut out = head.to_owned();
    let mut used = columns;
    let mut fresh = true;
    for word in text.split(' ') {
        let letters: Vec<char> = word.chars().collect();
        for part in letters.chunks(room).chain(letters.is_empty().then_some(&[][..])) {
            if !fresh && used + 1 + part.len() > WIDTH && !part.is_empty() {
                out.truncate(out.trim_end().len());
                out.push('\n');
                out.push_str(&" ".repeat(indent));
                (used, fresh) = (indent, true);
            }
            if !fresh {
                out.push(' ');
                used += 1;
            }
            out.extend(part);
            used += part.len();
            fresh = false;
        }
    }
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    const PLAIN: Text = Text { colour: false, every_step: false };

    #[test]
    fn snapshots() {
        for (name, run) in samples::all() {
            insta::assert_snapshot!(format!("text_{name}"), PLAIN.render(&run));
        }
    }

    #[test]
    fn the_verdict_comes_last_and_colours_only_when_asked() {
        for (name, run) in samples::all() {
            let plain = PLAIN.render(&run);
            let last = plain.lines().rfind(|l| !l.starts_with(' ')).unwrap();
            assert!(last.starts_with(run.verdict.status.word()), "{name}: {last}");
            assert!(!plain.contains('\x1b'), "{name}");
            let coloured = Text { colour: true, every_step: false }.render(&run);
            assert!(coloured.contains("\x1b["), "{name}");
            assert_eq!(clean::line(&coloured), clean::line(&plain), "{name}: colours change nothing else");
        }
    }

    #[test]
    fn long_text_goes_on_under_itself() {
        let text = hanging_after("FAIL  ", 6, &"word ".repeat(40), 2);
        assert!(text.lines().all(|l| l.chars().count() <= WIDTH));
        assert!(text.lines().skip(1).all(|l| l.starts_with("        word")), "{text}");
        let endless = hanging_after("FAIL  ", 6, &format!("a {}", "x".repeat(300)), 2);
        assert!(endless.lines().all(|l| l.chars().count() <= WIDTH), "{endless}");
        assert_eq!(endless.matches('x').count(), 300);
    }
}

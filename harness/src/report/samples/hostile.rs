//! What nobody would wish a report to hold.

use super::{alone, held_port, id, ids, metric};
use crate::evidence::{Expectation, HypothesisState, Link, RunReport};
use std::collections::BTreeMap;

/// Everything from outside tries to break out.
pub(crate) fn hostile() -> RunReport {
    let evil = "a|b `c` <script>alert(1)</script> [x](javascript:y) ![i](z) **b** \\| \x1b[31m\u{202e}]]>&amp;\r\n\r\n# H\n| --- |\n```\n";
    let long = "long ".repeat(3_000);
    let mut report = held_port().reports.remove(0);
    report.title = evil.to_owned();
    report.verdict.sentence = format!("{evil}{long}");
    report.run.command = vec!["sidetone-harness".to_owned(), evil.to_owned()];
    report.run.started = evil.to_owned();
    report.expectation = Expectation::Unmet { expected: evil.to_owned(), found: evil.to_owned() };
    for check in &mut report.checks {
        check.title = evil.to_owned();
        check.message = evil.to_owned();
        check.remedy = Some(evil.to_owned());
        check.evidence.push(serde_json::from_value(serde_json::json!(evil)).unwrap());
    }
    report.checks[1].message.clone_from(&long);
    let mut finding = report.findings.remove(0);
    finding.summary = evil.to_owned();
    finding.chain = vec![Link::new(evil, id(1), ids(&[2, 3, 4, 5, 6, 7, 8, 9, 10]))];
    finding.hypotheses[0].statement = evil.to_owned();
    finding.hypotheses[1].state = HypothesisState::Open;
    finding.fixes[0].text = evil.to_owned();
    report.findings = vec![finding];
    for guess in &mut report.considered {
        guess.statement = evil.to_owned();
        guess.decided_by.clone_from(&long);
    }
    report.follow_ups[0].question = evil.to_owned();
    report.follow_ups[0].answer.clone_from(&long);
    report.follow_ups[1].because = evil.to_owned();
    for item in &mut report.evidence {
        item.excerpt = evil.to_owned();
        item.source = format!("{evil}:1");
        item.sha256 = Some("é".repeat(32));
    }
    report.impact[0].component = evil.to_owned();
    report.flow[0].label = evil.to_owned();
    report.flow[1].from = long.clone();
    report.timeline[0].what = evil.to_owned();
    report.timeline[1].who = long;
    report.metrics = BTreeMap::from([
        (format!("{evil}.audio.{evil}"), metric(1.0, evil)),
        (evil.to_owned(), metric(f64::INFINITY, "ms")),
    ]);
    report.not_checked[0].what = evil.to_owned();
    report.recommendations[0].text = evil.to_owned();
    report.environment.kernel = Some(evil.to_owned());
    report.reproduce = vec![evil.to_owned()];
    let mut run = alone(report, 1);
    run.scenarios[0].name = evil.to_owned();
    run.scenarios[0].folder = evil.to_owned();
    run
}

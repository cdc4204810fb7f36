//! A report as it is seen from the file that is written.

use super::escape::{path, text, up_to};
use crate::evidence::{EvidenceId, Report, ScenarioSummary};

/// So many citations are shown at once.
const CITED: usize = 8;

/// One scenario and where links to its parts lead.
pub(super) struct View<'a> {
    pub(super) summary: Option<&'a ScenarioSummary>,
    pub(super) report: &'a Report,
    /// Before the anchor of a piece of evidence: empty, or the file that holds it.
    document: String,
    /// Before the path of an artefact: empty or a folder with its slash.
    folder: String,
    /// Before each anchor, where several reports are in one document.
    prefix: String,
}

impl<'a> View<'a> {
    /// The report is in this document.
    pub(super) fn here(summary: Option<&'a ScenarioSummary>, report: &'a Report) -> Self {
        Self { summary, report, document: String::new(), folder: folder(summary), prefix: String::new() }
    }

    /// The report is in its own folder.
    pub(super) fn linked(summary: &'a ScenarioSummary, report: &'a Report) -> Self {
        let folder = folder(Some(summary));
        Self { summary: Some(summary), report, document: format!("{folder}report.md"), folder, prefix: String::new() }
    }

    /// One of several reports in this document, none of which has a folder: the `index`-th.
    pub(super) fn among(summary: &'a ScenarioSummary, report: &'a Report, index: usize) -> Self {
        Self { prefix: format!("t{}-", index + 1), ..Self::here(Some(summary), report) }
    }

    /// An anchor as it stands in this document.
    pub(super) fn place(&self, anchor: &str) -> String {
        format!("{}{anchor}", self.prefix)
    }

    /// `[E1](#e1), [E2](#e2)`. What the report does not hold is named without a link.
    pub(super) fn cite(&self, ids: &[EvidenceId]) -> String {
        let mut cited: Vec<_> = ids.iter().take(CITED).map(|id| self.link(id)).collect();
        if ids.len() > CITED {
            cited.push(format!("{} more", ids.len() - CITED));
        }
        cited.join(", ")
    }

    /// ` ([E1](#e1))`, or nothing.
    pub(super) fn in_brackets(&self, ids: &[EvidenceId]) -> String {
        if ids.is_empty() { String::new() } else { format!(" ({})", self.cite(ids)) }
    }

    /// `[server.jsonl:42](call/server.jsonl)`. A probe writes no such file unless it is told to: then there is no link.
    pub(super) fn source(&self, source: &str) -> String {
        if self.report.evidence.iter().all(|item| item.sha256.is_none()) {
            return up_to(source, 120);
        }
        let file = source.rsplit_once(':').map_or(source, |(file, _)| file);
        format!("[{}]({}{})", up_to(source, 120), self.folder, path(file.trim_start_matches('/')))
    }

    /// Where an artefact is.
    pub(super) fn artefact(&self, file: &str) -> String {
        format!("{}{}", self.folder, path(file.trim_start_matches('/')))
    }

    /// A link to a place of the document that holds this report.
    pub(super) fn to(&self, words: &str, anchor: &str) -> String {
        format!("[{words}]({}#{})", self.document, self.place(anchor))
    }

    fn link(&self, id: &EvidenceId) -> String {
        let name = text(&id.to_string());
        let held = self.report.evidence.iter().any(|e| e.id == *id);
        if held { self.to(&name, &anchor(id)) } else { name }
    }
}

/// The anchor of a piece of evidence.
pub(super) fn anchor(id: &EvidenceId) -> String {
    id.to_string().to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

fn folder(summary: Option<&ScenarioSummary>) -> String {
    match summary {
        Some(s) if !s.folder.is_empty() => format!("{}/", path(s.folder.trim_end_matches('/'))),
        _ => String::new(),
    }
}

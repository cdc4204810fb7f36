//! The ledger of citations: every statement gets its evidence ids from here.

use super::concluded::EvidenceId;
use super::{Evidence, EvidenceItem, Log, LogLine};

/// The file that holds the harness's own observations.
pub const OBSERVATIONS: &str = "observations.jsonl";

/// The longest excerpt in bytes.
const EXCERPT: usize = 600;

/// Collects what is cited; the same source is cited once.
#[derive(Debug)]
pub struct Ledger<'a> {
    evidence: &'a Evidence,
    items: Vec<EvidenceItem>,
}

impl<'a> Ledger<'a> {
    /// An empty ledger over the evidence of a run.
    pub const fn new(evidence: &'a Evidence) -> Self {
        Self { evidence, items: Vec::new() }
    }

    /// Cites line `line` (from 1) of the harness's observations. Panics if there is none: only lines that
    /// [`Evidence::observations`] gave may be cited.
    pub fn observation(&mut self, line: usize) -> EvidenceId {
        let observed = &self.evidence.observations[line - 1];
        let text = serde_json::to_string(observed).expect("an observation was read from JSON or written to it before");
        self.cite(OBSERVATIONS, line, Some(observed.time.clone()), &text)
    }

    /// Cites a line of a log.
    pub fn log(&mut self, log: &Log, line: &LogLine) -> EvidenceId {
        let time = line.record.as_ref().map(|r| r.time.clone());
        self.cite(&log.path, line.number as usize, time, &line.text)
    }

    /// Everything cited so far.
    pub fn into_items(self) -> Vec<EvidenceItem> {
        self.items
    }

    fn cite(&mut self, path: &str, line: usize, time: Option<String>, text: &str) -> EvidenceId {
        let source = format!("{path}:{line}");
        if let Some(item) = self.items.iter().find(|i| i.source == source) {
            return item.id.clone();
        }
        let id = EvidenceId(format!("E{}", self.items.len() + 1));
        let excerpt = text[..text.floor_char_boundary(EXCERPT)].to_owned();
        let sha256 = self.evidence.artefacts.get(path).cloned();
        self.items.push(EvidenceItem { id: id.clone(), source, time, excerpt, sha256 });
        id
    }
}

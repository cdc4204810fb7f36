//! What is concluded: the data of every report.

use super::RunInfo;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Outcome of a check, or of a whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not applicable here.
    Skip,
    /// As it should be.
    Pass,
    /// Works; somebody should look.
    Warn,
    /// Could not be checked. Never a pass, never a failure.
    Unknown,
    /// Not as it should be.
    Fail,
}

impl Status {
    /// `PASS`, `WARN`, `FAIL`, `UNKNOWN` or `SKIP`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Skip => "SKIP",
            Self::Pass => "PASS",
            Self::Warn => "WARN",
            Self::Unknown => "UNKNOWN",
            Self::Fail => "FAIL",
        }
    }
}

/// Which layer a statement is about, from the process up to the media.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it all")]
pub enum Layer {
    Harness,
    Process,
    Bind,
    Family,
    Dns,
    Tcp,
    Tls,
    Http,
    Websocket,
    Session,
    Media,
    Discovery,
    Resource,
    Time,
    Log,
}

/// Whose side a statement is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The server.
    Server,
    /// A client.
    Client,
    /// What lies between, the mixer and the network included.
    Path,
    /// The harness or its machine.
    Harness,
}

/// Names an [`EvidenceItem`]: `E1`, `E2`, ...
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct EvidenceId(pub(super) String);

impl std::fmt::Display for EvidenceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// Something that can be opened and read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EvidenceItem {
    /// Name in this report.
    pub id: EvidenceId,
    /// `FILE:LINE` inside the scenario's folder, for instance `server.jsonl:42`.
    pub source: String,
    /// RFC 3339, UTC.
    pub time: Option<String>,
    /// Stands in that file word for word.
    pub excerpt: String,
    /// Of the whole file.
    pub sha256: Option<String>,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// Stable, for instance `media.hears_others`.
    pub id: String,
    /// Which layer.
    pub layer: Layer,
    /// Whose side.
    pub side: Side,
    /// What is checked, in a few words.
    pub title: String,
    /// Outcome.
    pub status: Status,
    /// What was seen, with figures.
    pub message: String,
    /// What it rests on.
    pub evidence: Vec<EvidenceId>,
    /// Code of the finding that explains a failure.
    pub caused_by: Option<String>,
    /// What to do about a failure or a warning; `None`: nothing to recommend.
    pub remedy: Option<String>,
}

/// How sure a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// One of several explanations.
    Low,
    /// The likeliest; a confounder is not ruled out.
    Medium,
    /// The evidence settles it.
    High,
}

/// A link of a chain of causes. Without evidence it cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Link {
    statement: String,
    evidence: Vec<EvidenceId>,
}

impl Link {
    /// A statement with its first piece of evidence and any more.
    pub fn new(statement: impl Into<String>, first: EvidenceId, more: impl IntoIterator<Item = EvidenceId>) -> Self {
        Self { statement: statement.into(), evidence: std::iter::once(first).chain(more).collect() }
    }

    /// The statement.
    pub fn statement(&self) -> &str {
        &self.statement
    }

    /// At least one.
    pub fn evidence(&self) -> &[EvidenceId] {
        &self.evidence
    }
}

/// Where a hypothesis stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HypothesisState {
    /// It is so.
    Confirmed,
    /// It is not so.
    Refuted,
    /// Not decided.
    Open,
}

/// A possible cause and the check that decided it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hypothesis {
    /// What might be.
    pub statement: String,
    /// Where it stands.
    pub state: HypothesisState,
    /// The check that decided it, or the one that would.
    pub decided_by: String,
    /// What that check rests on.
    pub evidence: Vec<EvidenceId>,
}

/// What a fix needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FixKind {
    /// Changes nothing but the next run.
    Safe,
    /// Ends or restarts something.
    ChangesState,
    /// Needs root.
    NeedsRoot,
}

/// A remedy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fix {
    /// What it needs.
    pub kind: FixKind,
    /// What to do.
    pub text: String,
}

/// A root cause with its evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Code of the catalogue, for instance `bind.port_in_use`.
    pub cause: String,
    /// Its layer.
    pub layer: Layer,
    /// How sure.
    pub confidence: Confidence,
    /// One sentence that names address, pid, command and time.
    pub summary: String,
    /// From the cause to the symptom.
    pub chain: Vec<Link>,
    /// What else might have been.
    pub hypotheses: Vec<Hypothesis>,
    /// What to do.
    pub fixes: Vec<Fix>,
}

/// A question that the diagnosis had asked, and what the harness found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Asked {
    /// What was asked.
    pub question: String,
    /// Which hypotheses it decides between.
    pub because: String,
    /// What was found.
    pub answer: String,
    /// Where that is written.
    pub evidence: Vec<EvidenceId>,
}

/// A row of the impact table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Impact {
    /// For instance `WebSocket clients`.
    pub component: String,
    /// How it is.
    pub status: Status,
    /// What that means for people.
    pub effect: String,
}

/// One hop of the connectivity flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Edge {
    /// From.
    pub from: String,
    /// To.
    pub to: String,
    /// For instance `tcp 127.0.0.1:40001`.
    pub label: String,
    /// How it is.
    pub status: Status,
}

/// A line of the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TimelineEntry {
    /// Microseconds since the scenario's start.
    pub at_us: i64,
    /// Process or `harness`.
    pub who: String,
    /// What happened.
    pub what: String,
    /// Where it stands.
    pub source: String,
}

/// A measured figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Metric {
    /// The figure.
    pub value: f64,
    /// `ms`, `bytes`, `dB`, `fraction`, `count`, ...
    pub unit: String,
}

/// Something that was not checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotChecked {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
    /// How it could be.
    pub remedy: Option<String>,
}

/// When a recommendation is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Horizon {
    /// Now.
    Immediate,
    /// Days.
    Short,
    /// Weeks.
    Medium,
    /// Later.
    Long,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recommendation {
    /// When.
    pub horizon: Horizon,
    /// What.
    pub text: String,
}

/// The observation in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Worst of the checks (a failure is never hidden by an unknown).
    pub status: Status,
    /// The sentence that somebody who gets paged needs.
    pub sentence: String,
}

/// Whether the scenario's expectation was met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Expectation {
    /// The scenario states none beyond "nothing is wrong".
    None,
    /// Met.
    Met {
        /// What was expected.
        expected: String,
    },
    /// Not met.
    Unmet {
        /// What was expected.
        expected: String,
        /// What was found instead.
        found: String,
    },
}

/// Where a run took place. What could not be read is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// For instance `linux x86_64`.
    pub system: String,
    /// Kernel release.
    pub kernel: Option<String>,
    /// Processors that this process may use.
    pub cpus: Option<u32>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Effective user id.
    pub user_id: Option<u32>,
    /// Whether `::1` can be bound.
    pub ipv6: Option<bool>,
    /// `ip_local_port_range`.
    pub ephemeral_range: Option<(u16, u16)>,
    /// `ip_unprivileged_port_start`.
    pub unprivileged_port_start: Option<u16>,
    /// Whether `CI` is set.
    pub ci: bool,
}

/// `report.json` of one run of one scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// See [`super::SCHEMA_VERSION`].
    pub schema_version: String,
    /// Which run.
    pub run: RunInfo,
    /// The scenario's title.
    pub title: String,
    /// What was observed.
    pub verdict: Verdict,
    /// What the scenario wanted.
    pub expectation: Expectation,
    /// All checks.
    pub checks: Vec<Check>,
    /// Root causes, most certain first.
    pub findings: Vec<Finding>,
    /// What a person would guess first, each confirmed, ruled out or open; empty if nothing is wrong.
    #[serde(default)]
    pub considered: Vec<Hypothesis>,
    /// Questions that decided between hypotheses.
    #[serde(default)]
    pub follow_ups: Vec<Asked>,
    /// Everything cited.
    pub evidence: Vec<EvidenceItem>,
    /// Pictures of what people saw, files of the scenario's folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pictures: Vec<Shown>,
    /// By component.
    pub impact: Vec<Impact>,
    /// Who was connected to whom.
    pub flow: Vec<Edge>,
    /// One clock for all.
    pub timeline: Vec<TimelineEntry>,
    /// Figures by name, for instance `a.audio.concealed_fraction`.
    pub metrics: BTreeMap<String, Metric>,
    /// What was not checked.
    pub not_checked: Vec<NotChecked>,
    /// Only where there is something to recommend.
    pub recommendations: Vec<Recommendation>,
    /// Where it ran.
    pub environment: Environment,
    /// Commands.
    pub reproduce: Vec<String>,
}

/// A picture of what a person saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shown {
    /// What it shows.
    pub caption: String,
    /// Path inside the scenario's folder.
    pub path: String,
}

/// One scenario of a run, all its repeats together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScenarioSummary {
    /// Scenario name.
    pub name: String,
    /// Folder inside the run's folder; with repeats the one of the report that is shown.
    pub folder: String,
    /// Repeats that ran.
    pub repeats: u32,
    /// Repeats by status word, for instance `PASS` 99, `WARN` 1.
    pub by_status: BTreeMap<String, u32>,
    /// How often each check was not a pass: by check id, then by status word.
    pub not_passed: BTreeMap<String, BTreeMap<String, u32>>,
    /// Of the worst repeat.
    pub verdict: Verdict,
    /// Of the worst repeat.
    pub expectation: Expectation,
    /// Whole duration of all repeats in milliseconds.
    pub duration_ms: u64,
}

/// Several targets side by side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// One a target.
    pub columns: Vec<String>,
    /// One a layer or figure.
    pub rows: Vec<Compared>,
}

/// A row of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Compared {
    /// Layer or figure.
    pub name: String,
    /// One a column; empty: not measured there.
    pub cells: Vec<String>,
}

/// `report.json` of a whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunReport {
    /// See [`super::SCHEMA_VERSION`].
    pub schema_version: String,
    /// Compact UTC time.
    pub run_id: String,
    /// RFC 3339, UTC.
    pub started: String,
    /// The harness's command line.
    pub command: Vec<String>,
    /// Over all scenarios.
    pub verdict: Verdict,
    /// What the harness exits with because of the checks and expectations.
    pub exit_code: u8,
    /// A line each.
    pub scenarios: Vec<ScenarioSummary>,
    /// Of each scenario the report of its worst repeat, in the same order.
    pub reports: Vec<Report>,
    /// Several targets of a probe side by side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
}

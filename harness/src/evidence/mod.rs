//! All that was observed, and what is concluded from it, as data. PURE.
//!
//! * [`observed`]: [`Evidence`], the input of the diagnosis. Saved as `evidence.json` it can be diagnosed again offline. What
//!   nobody measured is absent or `None`, never false.
//! * [`plan`]: what a run was meant to be; [`fault`]: what it breaks on purpose;
//! * [`probed`]: what a probe of a running server saw, layer by layer;
//! * [`follow_up`]: what the diagnosis asks the harness to find out, and the answers;
//! * [`concluded`]: [`Report`], the output: checks, findings, timeline. Every statement cites an [`EvidenceItem`].
//! * [`ledger`]: where conclusions get their citations from.

pub mod concluded;
pub mod fault;
pub mod follow_up;
pub mod ledger;
pub mod observed;
pub mod plan;
pub mod probed;

pub use concluded::{
    Asked, Check, Compared, Comparison, Confidence, Edge, Environment, EvidenceId, EvidenceItem, Expectation, Finding,
    Fix, FixKind, Horizon, Hypothesis, HypothesisState, Impact, Layer, Link, Metric, NotChecked, Recommendation,
    Report, RunReport, ScenarioSummary, Shown, Side, Status, TimelineEntry, Verdict,
};
pub use fault::{Fault, Hold, Millis};
pub use follow_up::{Answer, Held, ProcessState, Question};
pub use ledger::Ledger;
pub use observed::{
    BrowseRow, Evidence, Log, LogLine, Observation, Observed, OwnTone, RunInfo, SocketRow, TableSource, ToneLevel,
    Waits,
};
pub use plan::{
    Action, Bound, ClientKind, ClientPlan, Limits, NO_CAUSE, Network, Plan, ProbePlan, ServerPlan, Speak, Step,
};

/// Version of `evidence.json` and `report.json`. A reader accepts the same major version with any minor.
pub const SCHEMA_VERSION: &str = "1.3";

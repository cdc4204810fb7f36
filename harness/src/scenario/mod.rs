//! Scenarios: TOML in, run out. I/O.
//!
//! * [`file`]: a scenario file and its checks, every default filled in: a [`crate::evidence::Plan`];
//! * [`valid`]: what the grammar of TOML does not say;
//! * [`shipped`]: the scenarios in this binary;
//! * `run`: one run of one scenario: launch, observe, end, save the evidence;
//! * [`isolated`]: the same in a network namespace of its own, by a harness of its own;
//! * `analyse`: what recordings and pictures show;
//! * [`folder`]: where runs are written, and which are kept;
//! * [`batch`]: several scenarios and repeats, one report over all.

mod analyse;
pub mod batch;
pub mod file;
pub mod folder;
pub mod isolated;
mod run;
pub mod shipped;
pub mod valid;

pub use batch::{Batch, BatchError};
pub use file::{Scenario, ScenarioError};

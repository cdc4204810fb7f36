//! `report.md`: the shape of a good engineer's test report, verdict first.
//!
//! One scenario gives one whole report (`scenario`); several give the verdict of the run, a table of scenarios and of each
//! that is not a plain pass its summary (`several`), with links into the reports in their folders. Text from outside goes
//! through `escape` without exception.

mod cause;
mod closing;
mod escape;
mod flow;
mod media;
mod scenario;
mod several;
mod table;
mod timeline;
mod view;

use super::{Reporter, overview};
use crate::evidence::RunReport;

/// GitHub-flavoured markdown.
#[derive(Clone, Copy, Debug)]
pub struct Markdown;

impl Reporter for Markdown {
    fn name(&self) -> &'static str {
        "markdown"
    }

    fn extension(&self) -> &'static str {
        "md"
    }

    fn render(&self, run: &RunReport) -> String {
        match overview::only(run) {
            Some((summary, report)) => scenario::document(run, summary, report),
            None => several::document(run),
        }
    }
}

#[cfg(test)]
mod tests;

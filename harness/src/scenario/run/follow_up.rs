//! What the diagnosis asks for while the scene is untouched.

use super::Run;
use super::finish::read_logs;
use crate::diagnosis::questions;
use crate::evidence::{Evidence, Question, SCHEMA_VERSION};
use crate::probe;
use std::collections::BTreeMap;

/// An answer may raise another question, but not for ever.
const ROUNDS: usize = 4;

impl Run {
    /// Asks until nothing more is wanted.
    pub(super) async fn follow_up(&mut self) {
        self.notice_ends().await;
        let (folder, started) = (self.setup.folder.clone(), self.started());
        // what cannot be read now may be there at the end
        let read = tokio::task::spawn_blocking(move || read_logs(&folder, &started).0).await;
        let mut so_far = Evidence {
            schema_version: SCHEMA_VERSION.to_owned(),
            run: self.setup.info.clone(),
            plan: self.setup.plan.clone(),
            environment: self.environment.clone(),
            logs: read.unwrap_or_default(),
            observations: Vec::new(),
            artefacts: BTreeMap::new(),
        };
        for _ in 0..ROUNDS {
            so_far.observations.clone_from(&self.observed);
            let wanted = questions::questions(&so_far);
            if wanted.is_empty() {
                return;
            }
            for (question, because) in wanted {
                self.ask(question, &because).await;
            }
        }
    }

    pub(super) async fn ask(&mut self, question: Question, because: &str) {
        let seen = probe::follow_up::answer(&question, because).await;
        self.see(seen);
    }
}

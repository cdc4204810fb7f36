//! What the diagnosis asks for while the scene is untouched.

use super::Run;
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
        for _ in 0..ROUNDS {
            let evidence = self.so_far();
            let wanted = questions::questions(&evidence);
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

    /// The evidence as far as it goes.
    fn so_far(&mut self) -> Evidence {
        let before = self.observed.len();
        let logs = self.read_logs();
        self.observed.truncate(before); // what cannot be read now may be there at the end
        Evidence {
            schema_version: SCHEMA_VERSION.to_owned(),
            run: self.setup.info.clone(),
            plan: self.setup.plan.clone(),
            environment: self.environment.clone(),
            logs,
            observations: self.observed.clone(),
            artefacts: BTreeMap::new(),
        }
    }
}

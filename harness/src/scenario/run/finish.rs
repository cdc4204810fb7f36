//! The end of a run: everything is ended, looked at once more, and saved.

use super::{AGAIN, Run, SERVER, SETTLE, STEP, SaveProblem, cores};
use crate::clock::monotonic_ns;
use crate::evidence::{Evidence, Log, Observation, Question, SCHEMA_VERSION};
use crate::launch::scheduling::Sampler;
use crate::launch::{read_log, resources};
use crate::scenario::analyse;
use crate::scenario::folder::{artefacts, reason};
use nix::sys::signal::Signal;
use std::path::Path;
use std::time::Duration;

impl Run {
    pub(super) fn signal(&mut self, name: &str, why: &str) {
        let Some(child) = self.children.get(name).filter(|c| !c.exited && c.process.is_running()) else { return };
        drop(child.process.signal(Signal::SIGTERM)); // a process that is gone is seen by its exit
        let pid = child.process.pid;
        let (signal, why) = ("SIGTERM".to_owned(), why.to_owned());
        self.see(Observation::SignalSent { process: name.to_owned(), pid, signal, why });
    }

    pub(super) async fn wait_for_exit(&mut self, name: &str, patience: Duration) {
        let mut by_harness = self.was_signalled(name);
        let Some(child) = self.children.get_mut(name).filter(|c| !c.exited) else { return };
        let pid = child.process.pid;
        let mut exit = child.process.wait(patience).await;
        if exit.is_none() {
            let waited_ms = sidetone::clock::millis(patience);
            self.see(Observation::StillRunning { process: name.to_owned(), pid, waited_ms });
            self.ask(Question::Process { process: name.to_owned(), pid }, "it does not end").await;
            let (signal, why) = ("SIGKILL".to_owned(), "it did not end".to_owned());
            self.see(Observation::SignalSent { process: name.to_owned(), pid, signal, why });
            by_harness = true;
            let Some(child) = self.children.get_mut(name) else { return };
            exit = Some(child.process.stop(Duration::from_millis(200)).await);
        }
        let Some(exit) = exit else { return };
        if let Some(child) = self.children.get_mut(name) {
            child.exited = true;
        }
        if !exit.orphans.is_empty() {
            self.see(Observation::Orphans { process: name.to_owned(), pids: exit.orphans });
        }
        self.see(Observation::ProcessExited {
            process: name.to_owned(),
            pid,
            code: exit.code,
            signal: exit.signal,
            by_harness,
            core_dumped: exit.core_dumped,
            ended_ns: (exit.monotonic_ns != 0).then_some(exit.monotonic_ns),
        });
    }

    /// Those that ended by themselves until now.
    pub(super) async fn notice_ends(&mut self) {
        let ended = self.children.iter().filter(|(_, c)| !c.exited && !c.process.is_running());
        for name in ended.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.wait_for_exit(&name, STEP).await;
        }
    }

    pub(super) fn was_signalled(&self, name: &str) -> bool {
        self.observed.iter().any(|o| matches!(&o.what, Observation::SignalSent { process, .. } if process == name))
    }

    /// Waits until the server has as few descriptors as at the start, at most [`SETTLE`]: closing takes it a moment.
    pub(super) async fn settle(&self) {
        let Some(pid) = self.children.get(SERVER).map(|c| c.process.pid) else { return };
        let start = self.observed.iter().find_map(|o| match &o.what {
            Observation::Resources { descriptors, .. } => Some(*descriptors),
            _ => None,
        });
        let Some(start) = start else { return };
        let settled = async {
            while resources::resources(pid).is_ok_and(|(_, now, _)| now > start) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        drop(tokio::time::timeout(SETTLE, settled).await);
    }

    /// Ends whatever still runs, clients first, and looks whether all is gone.
    pub(super) async fn end(&mut self) {
        let clients: Vec<String> =
            self.children.keys().filter(|n| ![SERVER, AGAIN].contains(&n.as_str())).cloned().collect();
        for name in &clients {
            self.signal(name, "the scenario is over");
        }
        for name in &clients {
            self.wait_for_exit(name, SETTLE).await;
        }
        self.finish_browse().await;
        self.mend().await;
        for server in [SERVER, AGAIN] {
            self.signal(server, "the scenario is over");
            self.wait_for_exit(server, STEP).await;
        }
        if let Some(seen) = self.sampler.take().and_then(Sampler::finish) {
            self.see(seen);
        }
        self.finish_children().await;
        for (fault, what) in self.injected.told() {
            self.see(Observation::FaultInjected { fault, what });
        }
        self.injected.end().await;
        self.remove_fifo();
        self.look_at_sockets("after").await;
        let new: Vec<_> = cores().into_iter().filter(|c| !self.cores_before.contains(c)).collect();
        let paths = new.iter().map(|c| c.display().to_string()).collect();
        self.see(Observation::CoreFiles { paths });
    }

    /// Waits for the ends of all output, and for descendants: only then is a port that is still held a fault.
    async fn finish_children(&mut self) {
        let before = std::mem::take(&mut self.before_restart).into_iter().map(|child| (SERVER.to_owned(), child));
        for (name, child) in std::mem::take(&mut self.children).into_iter().chain(before) {
            let finished = child.process.finish(SETTLE).await;
            let problems = [(&finished.stdout, "standard output"), (&finished.stderr, "standard error")];
            for (captured, what) in problems {
                if let Some(error) = &captured.write_error {
                    self.problems.push(format!("{what} of {name} is not complete: {error}"));
                    let (what, why) = (format!("the whole {what} of {name}"), error.clone());
                    self.see(Observation::NotObserved { what, why, remedy: None });
                }
            }
            if !finished.gone {
                let why = "its supervisor did not end".to_owned();
                self.see(Observation::NotObserved {
                    what: format!("that {name} left nothing behind"),
                    why,
                    remedy: None,
                });
            }
        }
    }

    /// Programs that were started.
    pub(super) fn started(&self) -> Vec<String> {
        let started = self.observed.iter().filter_map(|o| match &o.what {
            Observation::ProcessStarted { process, .. } => Some(process.clone()),
            _ => None,
        });
        started.collect()
    }

    /// Reads back what was recorded, and writes the evidence.
    pub(super) fn conclude(mut self) -> (Evidence, Vec<SaveProblem>) {
        let (logs, unread) = read_logs(&self.setup.folder, &self.started());
        for seen in unread {
            self.see(seen);
        }
        for seen in analyse::media(&self.setup.plan, &self.setup.folder, &logs) {
            self.see(seen);
        }
        let total_ms = (monotonic_ns() - self.began_ns) / 1_000_000;
        self.setup.info.duration_ms = total_ms;
        self.see(Observation::Overhead { observed_ms: self.observed_ms, total_ms });
        let folder = self.setup.folder.clone();
        let mut problems = self.problems;
        let lines: Vec<String> = self.observed.iter().map(|o| serde_json::to_string(o).unwrap_or_default()).collect();
        let mut save = |name: &str, text: String| {
            if let Err(error) = std::fs::write(folder.join(name), text) {
                problems.push(format!("{}: {}", folder.join(name).display(), reason(&error)));
            }
        };
        save(crate::evidence::ledger::OBSERVATIONS, lines.join("\n") + "\n");
        let evidence = Evidence {
            schema_version: SCHEMA_VERSION.to_owned(),
            run: self.setup.info,
            plan: self.setup.plan,
            environment: self.environment,
            logs,
            observations: self.observed,
            artefacts: artefacts(&folder),
        };
        save("evidence.json", serde_json::to_string(&evidence).unwrap_or_default());
        (evidence, problems)
    }
}

/// The captured output of programs, and what of it cannot be read. It blocks: a log may be long.
pub(super) fn read_logs(folder: &Path, processes: &[String]) -> (Vec<Log>, Vec<Observation>) {
    let (mut logs, mut unread) = (Vec::new(), Vec::new());
    for process in processes {
        let files = [("stdout", format!("{process}.stdout.txt")), ("stderr", format!("{process}.stderr.jsonl"))];
        for (stream, file) in files {
            match read_log(folder, &file, process, stream) {
                Ok(log) => logs.push(log),
                Err(why) => {
                    let what = format!("the log of {process} ({stream})");
                    unread.push(Observation::NotObserved { what, why, remedy: None });
                }
            }
        }
    }
    (logs, unread)
}

//! The evidence as checks see it: typed look-ups, and citations for what they find.

use crate::evidence::probed::{Saw, Step};
use crate::evidence::{
    Answer, Check, ClientPlan, Evidence, EvidenceId, Layer, Ledger, Log, LogLine, Observation, Question, Side,
    SocketRow, Status, TableSource,
};
use sidetone::event::{Event, ListenerKind, Record};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// What a check works on.
pub struct View<'a> {
    /// All that was observed.
    pub evidence: &'a Evidence,
    /// Where citations come from.
    pub ledger: Ledger<'a>,
}

impl std::fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("run", &self.evidence.run).finish_non_exhaustive()
    }
}

/// The beginning of a check: what it is, before its outcome is known.
#[derive(Clone, Debug)]
pub struct Draft {
    id: String,
    layer: Layer,
    side: Side,
    title: String,
}

/// `draft(id, layer, side, title)`.
pub fn draft(id: impl Into<String>, layer: Layer, side: Side, title: impl Into<String>) -> Draft {
    Draft { id: id.into(), layer, side, title: title.into() }
}

impl Draft {
    /// With any outcome.
    pub fn with(self, status: Status, message: impl Into<String>, evidence: Vec<EvidenceId>) -> Check {
        Check {
            id: self.id,
            layer: self.layer,
            side: self.side,
            title: self.title,
            status,
            message: message.into(),
            evidence,
            caused_by: None,
            remedy: None,
        }
    }

    /// As it should be.
    pub fn pass(self, message: impl Into<String>, evidence: Vec<EvidenceId>) -> Check {
        self.with(Status::Pass, message, evidence)
    }

    /// Not as it should be, and what to do.
    pub fn fail(self, message: impl Into<String>, evidence: Vec<EvidenceId>, remedy: impl Into<String>) -> Check {
        Check { remedy: Some(remedy.into()), ..self.with(Status::Fail, message, evidence) }
    }

    /// Works; somebody should look.
    pub fn warn(self, message: impl Into<String>, evidence: Vec<EvidenceId>, remedy: impl Into<String>) -> Check {
        Check { remedy: Some(remedy.into()), ..self.with(Status::Warn, message, evidence) }
    }

    /// Could not be checked, and why.
    pub fn unknown(self, why: impl Into<String>, evidence: Vec<EvidenceId>) -> Check {
        self.with(Status::Unknown, why, evidence)
    }

    /// Does not apply.
    pub fn skip(self, why: impl Into<String>) -> Check {
        self.with(Status::Skip, why, Vec::new())
    }
}

/// See [`Observation::Pressure`].
#[derive(Clone, Copy, Debug)]
pub struct Pressure<'a> {
    /// The observed time.
    pub window_ms: u64,
    /// Time in which some task of the machine waited for a processor; `None`: the kernel does not tell.
    pub cpu_some_us: Option<u64>,
    /// How long each of our processes waited for one.
    pub run_delay_us: &'a BTreeMap<String, u64>,
}

/// The server's name among the processes.
pub const SERVER: &str = "server";

impl<'a> View<'a> {
    /// Observations that `pick` wants, with their lines.
    pub fn seen<T: 'a>(&self, pick: impl Fn(&'a Observation) -> Option<T>) -> Vec<(usize, T)> {
        let evidence = self.evidence;
        evidence.observations().filter_map(|(line, o)| Some((line, pick(o)?))).collect()
    }

    /// The first observation that `pick` wants.
    pub fn first<T: 'a>(&self, pick: impl Fn(&'a Observation) -> Option<T>) -> Option<(usize, T)> {
        let evidence = self.evidence;
        evidence.observations().find_map(|(line, o)| Some((line, pick(o)?)))
    }

    /// Events of a process that `pick` wants.
    pub fn events<T: 'a>(
        &self,
        process: &str,
        pick: impl Fn(&'a Event) -> Option<T>,
    ) -> Vec<(&'a Log, &'a LogLine, T)> {
        let evidence: &'a Evidence = self.evidence;
        let mut found = Vec::new();
        for log in evidence.logs.iter().filter(|l| l.process == process) {
            for line in &log.lines {
                if let Some(Record { event, .. }) = &line.record
                    && let Some(value) = pick(event)
                {
                    found.push((log, line, value));
                }
            }
        }
        found
    }

    /// The steps of a probe that `pick` wants, with their lines.
    pub fn steps<T: 'a>(&self, pick: impl Fn(&'a Step, &'a Saw) -> Option<T>) -> Vec<(usize, T)> {
        self.seen(|o| match o {
            Observation::Probed(step) => pick(step, &step.saw),
            _ => None,
        })
    }

    /// Cites an observation.
    pub fn cite(&mut self, line: usize) -> EvidenceId {
        self.ledger.observation(line)
    }

    /// Cites a log line.
    pub fn cite_log(&mut self, log: &Log, line: &LogLine) -> EvidenceId {
        self.ledger.log(log, line)
    }

    /// Process id of a process that was started.
    pub fn pid(&self, process: &str) -> Option<u32> {
        self.first(|o| match o {
            Observation::ProcessStarted { process: p, pid, .. } if p == process => Some(*pid),
            _ => None,
        })
        .map(|(_, pid)| pid)
    }

    /// Whether the run was cut short, and why.
    pub fn interrupted(&self) -> Option<(usize, &'a str)> {
        self.first(|o| match o {
            Observation::Interrupted { reason } => Some(reason.as_str()),
            _ => None,
        })
    }

    /// The ready line: its observation, TCP and WebSocket addresses.
    pub fn ready(&self) -> Option<(usize, &'a [SocketAddr], &'a [SocketAddr])> {
        self.first(|o| match o {
            Observation::Ready { tcp, websocket, .. } => Some((tcp.as_slice(), websocket.as_slice())),
            _ => None,
        })
        .map(|(line, (tcp, websocket))| (line, tcp, websocket))
    }

    /// The socket table of a moment by one reader; `Err`: its error or its absence.
    pub fn table(&self, moment: &str, source: TableSource) -> Result<(usize, &'a [SocketRow]), String> {
        let found = self.first(|o| match o {
            Observation::SocketTable { moment: m, source: s, rows, error } if m == moment && *s == source => {
                Some((rows.as_slice(), error))
            }
            _ => None,
        });
        match found {
            Some((line, (rows, None))) => Ok((line, rows)),
            Some((_, (_, Some(error)))) => Err(error.clone()),
            None => Err("the table was not read".to_owned()),
        }
    }

    /// Why a process cannot have completed what it writes at its end (recordings, pictures, statistics); `None`: it ended
    /// by itself, with whatever code.
    pub fn cut_off(&self, process: &str) -> Option<(usize, String)> {
        self.first(|o| match o {
            Observation::StillRunning { process: p, waited_ms, .. } if p == process => {
                Some(format!("it did not end within {waited_ms} ms and was killed"))
            }
            Observation::ProcessExited { process: p, code: None, signal, .. } if p == process => Some(match signal {
                Some(signal) => format!("it was ended by signal {signal}"),
                None => "how it ended is not known".to_owned(),
            }),
            _ => None,
        })
    }

    /// Clients of the plan that were started.
    pub fn started_clients(&self) -> Vec<&'a ClientPlan> {
        self.evidence.plan.clients.iter().filter(|c| self.pid(&c.name).is_some()).collect()
    }

    /// Why something of a client could not be observed.
    pub fn not_observed(&self, about: &str) -> Option<(usize, String)> {
        self.first(|o| match o {
            Observation::NotObserved { what, why, .. } if what.contains(about) => Some(format!("{what}: {why}")),
            _ => None,
        })
    }

    /// How short the machine was of processors over the call, if that was read.
    pub fn pressure(&self) -> Option<(usize, Pressure<'a>)> {
        self.first(|o| match o {
            Observation::Pressure { window_ms, cpu_some_us, run_delay_us } => {
                Some(Pressure { window_ms: *window_ms, cpu_some_us: *cpu_some_us, run_delay_us })
            }
            _ => None,
        })
    }

    /// A fault that was not there: its line, its name, and why.
    pub fn missed(&self) -> Option<(usize, &'a str, &'a str)> {
        self.first(|o| match o {
            Observation::FaultMissed { fault, why } => Some((fault.as_str(), why.as_str())),
            _ => None,
        })
        .map(|(line, (fault, why))| (line, fault, why))
    }

    /// Why nothing was run: a client wants a browser, and there is none.
    pub fn no_browser(&self) -> Option<(usize, String)> {
        self.first(|o| match o {
            Observation::NoBrowser { process, why } => Some(format!("{process} wants a browser: {why}")),
            _ => None,
        })
    }

    /// Where the server was told to listen, an address each.
    pub fn asked(&self) -> Vec<(usize, ListenerKind, SocketAddr)> {
        let asked = self.seen(|o| match o {
            Observation::Asked { listener, addresses } => Some((*listener, addresses)),
            _ => None,
        });
        asked.into_iter().flat_map(|(line, (kind, all))| all.iter().map(move |a| (line, kind, *a))).collect()
    }

    /// The answers to follow-up questions that `pick` wants.
    pub fn answers<T: 'a>(&self, pick: impl Fn(&'a Question, &'a Answer) -> Option<T>) -> Vec<(usize, T)> {
        self.seen(|o| match o {
            Observation::FollowUp { question, answer, .. } => pick(question, answer),
            _ => None,
        })
    }

    /// The last answer to a question.
    pub fn answer_to(&self, wanted: &Question) -> Option<(usize, &'a Answer)> {
        self.answers(|question, answer| (question == wanted).then_some(answer)).pop()
    }

    /// How a process ended, and whether the harness had asked it to.
    pub fn end_of(&self, process: &str) -> Option<(usize, End)> {
        self.first(|o| match o {
            Observation::ProcessExited { process: p, code, signal, by_harness, ended_ns, .. } if p == process => {
                Some(End { code: *code, signal: *signal, by_harness: *by_harness, ended_ns: *ended_ns })
            }
            _ => None,
        })
    }

    /// Whether the server had ended when the table of a moment was read: then what is not in it is no wonder.
    pub fn ended_before_table(&self, moment: &str) -> bool {
        let read = self.evidence.observations.iter().find_map(|o| match &o.what {
            Observation::SocketTable { moment: m, .. } if m == moment => Some(o.monotonic_ns),
            _ => None,
        });
        let ended = self.end_of(SERVER).and_then(|(_, end)| end.ended_ns);
        read.zip(ended).is_some_and(|(read, ended)| ended <= read)
    }

    /// Whether a reader of the socket table passed its self-test: only then is a row that it does not show not there.
    pub fn can_see(&self, source: TableSource) -> bool {
        let tests = self.seen(|o| match o {
            Observation::SocketSelfTest { source: s, seen, owned, .. } if *s == source => Some(*seen && *owned),
            _ => None,
        });
        !tests.is_empty() && tests.iter().all(|(_, sees)| *sees)
    }

    /// As [`View::listener_row`], and the wildcard of that port and family counts too.
    pub fn covering_row(&self, moment: &str, address: SocketAddr) -> Option<(usize, Option<&'a SocketRow>)> {
        let any = if address.is_ipv4() {
            SocketAddr::from(([0, 0, 0, 0], address.port()))
        } else {
            SocketAddr::from(([0_u16; 8], address.port()))
        };
        let exact = self.listener_row(moment, address)?;
        if exact.1.is_some() { Some(exact) } else { self.listener_row(moment, any) }
    }

    /// The LISTEN row of an address at a moment: `Some(None)` is a table that has none, `None` a table that nobody could read.
    pub fn listener_row(&self, moment: &str, address: SocketAddr) -> Option<(usize, Option<&'a SocketRow>)> {
        let mut sources = [TableSource::Proc, TableSource::Netstat2].into_iter().filter(|s| self.can_see(*s));
        let (line, rows) = sources.find_map(|source| self.table(moment, source).ok())?;
        Some((line, rows.iter().find(|row| row.state == "LISTEN" && row.local == address)))
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// Exit code.
    pub code: Option<i32>,
    /// Signal.
    pub signal: Option<i32>,
    /// Whether the harness had asked for it.
    pub by_harness: bool,
    /// `CLOCK_MONOTONIC` in nanoseconds.
    pub ended_ns: Option<u64>,
}

//! Samples, all through a run, how long its processes wait for a processor and whether they are stopped. I/O.

use super::resources;
use crate::clock::monotonic_ns;
use crate::evidence::{Observation, Waits};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// From one sample to the next.
const EVERY: Duration = Duration::from_millis(50);
/// After so many samples (half an hour) nothing more is sampled.
const MOST: usize = 36_000;
/// Descendants are looked for again after so many samples (one second).
const FAMILY_EVERY: usize = 20;
/// The state of a process before it is there and after it has gone.
const ABSENT: char = '-';

/// A process to look at.
struct Followed {
    name: String,
    pid: u32,
    /// With its descendants: a browser is many processes.
    family: bool,
}

/// A thread that samples. Dropping it ends the thread.
#[derive(Debug)]
pub struct Sampler {
    follow: Sender<Followed>,
    thread: JoinHandle<Series>,
}

impl Sampler {
    /// Begins; `None`: no thread could be started.
    pub fn start() -> Option<Self> {
        let (follow, followed) = channel();
        let thread = std::thread::Builder::new().name("scheduling".to_owned()).spawn(move || sample(&followed)).ok()?;
        Some(Self { follow, thread })
    }

    /// From now on this process is looked at too, with its descendants if `family`.
    pub fn follow(&self, name: &str, pid: u32, family: bool) {
        let followed = Followed { name: name.to_owned(), pid, family };
        drop(self.follow.send(followed)); // the thread ends early only after very long runs
    }

    /// Ends it and gives what was seen; `None`: this system does not tell.
    pub fn finish(self) -> Option<Observation> {
        drop(self.follow);
        self.thread.join().ok().and_then(Series::into_observation)
    }
}

/// What was seen so far.
#[derive(Debug, Default)]
struct Series {
    began_ns: u64,
    at_ms: Vec<u32>,
    processes: BTreeMap<String, Waits>,
}

impl Series {
    fn into_observation(self) -> Option<Observation> {
        let told = self.processes.values().any(|waits| waits.states.chars().any(|state| state != ABSENT));
        let Self { began_ns, at_ms, processes } = self;
        told.then_some(Observation::Scheduling { began_ns, at_ms, processes })
    }

    /// Adds the last interval of a process that may be new.
    fn add(&mut self, name: &str, delay_us: u32, state: char) {
        let before = self.at_ms.len().saturating_sub(1);
        let waits = self.processes.entry(name.to_owned()).or_default();
        while waits.delay_us.len() < before {
            waits.delay_us.push(0);
            waits.states.push(ABSENT);
        }
        waits.delay_us.push(delay_us);
        waits.states.push(state);
    }
}

/// One process and what its threads had waited by the last sample.
struct Known {
    followed: Followed,
    pids: Vec<u32>,
    waited_ns: BTreeMap<u32, u64>,
}

impl Known {
    /// The longest wait of any one thread since the last sample, and the state of the process.
    fn look(&mut self, number: usize) -> (u32, char) {
        if self.followed.family && number.is_multiple_of(FAMILY_EVERY) {
            let before = std::mem::take(&mut self.pids);
            self.pids = resources::descendants(self.followed.pid);
            self.pids.push(self.followed.pid);
            let new = self.pids.iter().filter(|pid| !before.contains(pid));
            self.waited_ns.extend(new.flat_map(|pid| resources::waited_ns(*pid)));
        }
        let states: Vec<char> = self.pids.iter().filter_map(|pid| resources::state(*pid)).collect();
        let stopped = states.iter().copied().find(|state| matches!(state, 'T' | 't'));
        let state = stopped.or_else(|| states.last().copied()).unwrap_or(ABSENT);
        let now: BTreeMap<u32, u64> = self.pids.iter().flat_map(|pid| resources::waited_ns(*pid)).collect();
        // a thread that is new has waited since it began, which is after the last sample
        let waits = now.iter().map(|(thread, ns)| ns.saturating_sub(self.waited_ns.get(thread).copied().unwrap_or(0)));
        let longest = if number == 0 { 0 } else { waits.max().unwrap_or(0) };
        // the list of threads may be incomplete while some end: what is known of one is kept
        self.waited_ns.extend(now);
        (u32::try_from(longest / 1_000).unwrap_or(u32::MAX), state)
    }
}

fn sample(followed: &Receiver<Followed>) -> Series {
    let mut series = Series { began_ns: monotonic_ns(), ..Series::default() };
    let mut all: Vec<Known> = Vec::new();
    let mut due = EVERY;
    while series.at_ms.len() < MOST {
        let since = Duration::from_nanos(monotonic_ns().saturating_sub(series.began_ns));
        match followed.recv_timeout(due.saturating_sub(since)) {
            Ok(followed) => all.push(Known { pids: vec![followed.pid], followed, waited_ns: BTreeMap::new() }),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                let at = Duration::from_nanos(monotonic_ns().saturating_sub(series.began_ns));
                let number = series.at_ms.len();
                series.at_ms.push(u32::try_from(at.as_millis()).unwrap_or(u32::MAX));
                for known in &mut all {
                    let (delay_us, state) = known.look(number);
                    series.add(&known.followed.name, delay_us, state);
                }
                // a sample that came late is not made up for
                due = (due + EVERY).max(at + EVERY / 2);
            }
        }
    }
    series
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal, kill};
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    use nix::unistd::Pid;
    use std::process::{Command, Stdio};

    fn known(pid: u32) -> Known {
        Known {
            followed: Followed { name: "it".to_owned(), pid, family: false },
            pids: vec![pid],
            waited_ns: BTreeMap::new(),
        }
    }

    #[test]
    fn a_process_is_seen_stopped_and_gone() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        let mut known = known(child.id());
        let (_, running) = known.look(0);
        assert!(matches!(running, 'R' | 'S' | 'D'), "{running}");
        kill(pid, Signal::SIGSTOP).unwrap();
        waitid(Id::Pid(pid), WaitPidFlag::WSTOPPED | WaitPidFlag::WNOWAIT).unwrap();
        assert_eq!(known.look(1).1, 'T');
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(known.look(2), (0, ABSENT));
    }

    #[test]
    fn a_wait_is_that_of_one_thread_and_counts_once() {
        let mut known = known(std::process::id());
        known.look(0);
        known.waited_ns.values_mut().for_each(|ns| *ns = ns.saturating_sub(40_000_000));
        let before = known.waited_ns.clone();
        let (longest, _) = known.look(1);
        let now = known.waited_ns.clone();
        let all: u64 = now.iter().map(|(id, ns)| ns - before.get(id).copied().unwrap_or(0)).sum();
        assert!(u64::from(longest) * 1_000 <= all, "{longest} us of {all} ns");
        known.waited_ns = now.iter().map(|(id, ns)| (*id, ns + 1_000_000_000_000)).collect();
        assert_eq!(known.look(2).0, 0, "a counter that goes back is no wait");
    }

    #[test]
    fn what_a_descendant_waited_before_it_was_found_is_not_of_this_interval() {
        let mut family = known(std::process::id());
        family.followed.family = true;
        family.pids = vec![];
        family.look(0);
        assert!(family.pids.contains(&std::process::id()) && !family.waited_ns.is_empty(), "{:?}", family.pids);
    }

    #[test]
    fn without_a_process_there_is_nothing_to_tell() {
        let sampler = Sampler::start().unwrap();
        sampler.follow("nobody", u32::MAX, true);
        assert!(sampler.finish().is_none());
    }

    #[test]
    fn who_comes_later_was_absent_before() {
        let mut series = Series { at_ms: vec![50, 100, 150], ..Series::default() };
        series.add("late", 7, 'S');
        let waits = &series.processes["late"];
        assert_eq!((waits.delay_us.as_slice(), waits.states.as_str()), (&[0, 0, 7][..], "--S"));
    }
}

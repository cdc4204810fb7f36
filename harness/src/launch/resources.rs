//! What Linux says about processes and about itself. A fact that cannot be read is an error or `None`, never zero.

use crate::evidence::{Environment, ProcessState};
use crate::sockets;
use nix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Linux tells programs processor and start times in ticks of this many milliseconds, on every architecture Rust knows.
const TICK_MS: u64 = 10;
/// Most characters of a command line.
const COMMAND_LENGTH: usize = 120;

/// Resident bytes, open descriptors and threads of a process.
///
/// # Errors
/// What could not be read, for instance because the process has ended.
pub fn resources(pid: u32) -> Result<(u64, u32, u32), String> {
    let status = read(&format!("/proc/{pid}/status"))?;
    let rss = field(&status, "VmRSS:").ok_or_else(|| format!("process {pid} has no memory left"))?;
    let threads = field(&status, "Threads:").ok_or_else(|| format!("/proc/{pid}/status names no threads"))?;
    let folder = format!("/proc/{pid}/fd");
    let descriptors = fs::read_dir(&folder).map_err(|e| format!("cannot read {folder}: {e}"))?.count();
    let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    Ok((rss * 1024, narrow(descriptors as u64), narrow(threads)))
}

/// Microseconds since boot in which some task waited for a processor (PSI `cpu some`); `None`: this kernel has no PSI.
pub fn pressure() -> Option<u64> {
    parse_pressure(&fs::read_to_string("/proc/pressure/cpu").ok()?)
}

/// Microseconds that the living threads of a process have waited in a run queue; `None`: it has ended, or no schedstat.
pub fn run_delay(pid: u32) -> Option<u64> {
    let delays = waited_ns(pid);
    (!delays.is_empty()).then(|| delays.iter().map(|(_, ns)| ns).sum::<u64>() / 1000)
}

/// Nanoseconds that each living thread of a process has waited in a run queue, by thread id; empty: it has ended, or no schedstat.
pub fn waited_ns(pid: u32) -> Vec<(u32, u64)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let waited = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        let thread = task.file_name().to_str()?.parse().ok()?;
        Some((thread, text.split_whitespace().nth(1)?.parse().ok()?))
    });
    waited.collect()
}

/// The letter of a process's state (`man proc`); `None`: there is none with that id, or it is not readable.
pub fn state(pid: u32) -> Option<char> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat_field(&text, 3)?.chars().next()
}

/// What a process does; `None`: there is none with that id.
///
/// # Errors
/// What could not be read.
pub fn process_state(pid: u32) -> Result<Option<ProcessState>, String> {
    let path = format!("/proc/{pid}/stat");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        // The latter: it ended between open and read.
        Err(error) if error.kind() == io::ErrorKind::NotFound || is(&error, nix::errno::Errno::ESRCH) => {
            return Ok(None);
        }
        Err(error) => return Err(format!("cannot read {path}: {error}")),
    };
    let (state, cpu_ms) = parse_state(&text).ok_or_else(|| format!("{path} cannot be understood"))?;
    let waits_in = fs::read_to_string(format!("/proc/{pid}/wchan")).ok();
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok().map(Iterator::count);
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok();
    Ok(Some(ProcessState {
        state,
        waits_in: waits_in.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty() && name != "0"),
        cpu_ms,
        descriptors: descriptors.and_then(|count| u32::try_from(count).ok()),
        descriptor_limit: limits.and_then(|text| field(&text, "Max open files")),
    }))
}

fn is(error: &io::Error, errno: nix::errno::Errno) -> bool {
    error.raw_os_error() == Some(errno as i32)
}

/// The command line of a process, joined by blanks and cut; `None`: not readable. What has none (a process of the kernel,
/// or one that has ended) is told by its name in brackets.
pub fn command_line(pid: u32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    if !bytes.is_empty() {
        return Some(printable(&bytes));
    }
    let name = fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(format!("[{}]", printable(name.trim_ascii_end())))
}

/// Arguments that end with zeros as one line of at most so many characters; what cannot be printed is replaced.
fn printable(bytes: &[u8]) -> String {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes).into_owned();
    let replaced = |c: char| match c {
        '\0' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    if text.chars().count() <= COMMAND_LENGTH {
        return text.chars().map(replaced).collect();
    }
    text.chars().take(COMMAND_LENGTH - 1).map(replaced).chain(['…']).collect()
}

/// When a process was started: RFC 3339 in UTC with milliseconds, of which the kernel keeps hundredths; `None`: not readable.
pub fn started(pid: u32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let since_boot = Duration::from_millis(parse_start(&text)?);
    // Against the clock that the kernel noted; the time of boot in /proc/stat is cut to seconds.
    let now: Duration = clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?.into();
    let age = jiff::SignedDuration::try_from(now.saturating_sub(since_boot)).ok()?;
    Some(format!("{:.3}", jiff::Timestamp::now().checked_sub(age).ok()?))
}

/// First and last port that the kernel gives to outgoing connections and to port 0; `None`: not readable.
pub fn ephemeral_range() -> Option<(u16, u16)> {
    let text = setting("net/ipv4/ip_local_port_range")?;
    let mut ports = text.split_whitespace().map(str::parse);
    Some((ports.next()?.ok()?, ports.next()?.ok()?))
}

/// Living descendants of a process, sorted. Zombies are left out: they hold nothing.
pub fn descendants(pid: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<(u32, bool)>> = BTreeMap::new();
    for stat in pids().filter_map(|p| parse_stat(&fs::read_to_string(format!("/proc/{p}/stat")).ok()?)) {
        children.entry(stat.parent).or_default().push((stat.pid, stat.alive));
    }
    let (mut found, mut open) = (Vec::new(), vec![pid]);
    while let Some(parent) = open.pop() {
        for (child, alive) in children.remove(&parent).unwrap_or_default() {
            open.push(child);
            if alive {
                found.push(child);
            }
        }
    }
    found.sort_unstable();
    found
}

/// All process ids that `/proc` shows us.
pub(crate) fn pids() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Where we run.
pub fn environment() -> Environment {
    let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| field(&text, "MemTotal:"));
    Environment {
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        kernel: setting("kernel/osrelease"),
        cpus: std::thread::available_parallelism().ok().and_then(|n| u32::try_from(n.get()).ok()),
        memory_bytes: memory.map(|kib| kib * 1024),
        user_id: Some(nix::unistd::geteuid().as_raw()),
        ipv6: has_ipv6(),
        ephemeral_range: ephemeral_range(),
        unprivileged_port_start: setting("net/ipv4/ip_unprivileged_port_start").and_then(|text| text.parse().ok()),
        ci: std::env::var_os("CI").is_some(),
    }
}

/// Whether `::1` can be bound; `None`: the attempt failed for another reason than a missing family.
fn has_ipv6() -> Option<bool> {
    match TcpListener::bind("[::1]:0") {
        Ok(_) => Some(true),
        Err(error) => sockets::no_such_family(&error).then_some(false),
    }
}

/// Files named `core` or `core.*` in a folder, sorted; none if it cannot be read.
pub fn core_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_core = |e: &fs::DirEntry| {
        let name = e.file_name();
        let named = name.to_str().is_some_and(|n| n == "core" || n.starts_with("core."));
        named && e.file_type().is_ok_and(|t| t.is_file())
    };
    let mut found: Vec<_> = entries.filter(is_core).map(|e| e.path()).collect();
    found.sort();
    found
}

fn setting(name: &str) -> Option<String> {
    fs::read_to_string(Path::new("/proc/sys").join(name)).ok().map(|text| text.trim().to_owned())
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("cannot read {path}: {e}"))
}

/// The number after `name` at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn parse_pressure(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    line.split_whitespace().find_map(|word| word.strip_prefix("total="))?.parse().ok()
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    pid: u32,
    parent: u32,
    alive: bool,
}

/// `PID (NAME) STATE PARENT ...`, where NAME may hold blanks and parentheses.
fn parse_stat(text: &str) -> Option<Stat> {
    let (before, after) = text.rsplit_once(')')?;
    let (pid, _name) = before.split_once('(')?;
    let mut words = after.split_whitespace();
    let alive = !matches!(words.next()?, "Z" | "X" | "x");
    Some(Stat { pid: pid.trim().parse().ok()?, parent: words.next()?.parse().ok()?, alive })
}

/// Field N of `/proc/PID/stat` as `man proc` counts them, from 3 on.
fn stat_field(text: &str, number: usize) -> Option<&str> {
    let (_, after) = text.rsplit_once(')')?;
    after.split_whitespace().nth(number.checked_sub(3)?)
}

/// State and processor time in milliseconds.
fn parse_state(text: &str) -> Option<(String, u64)> {
    let ticks = |number| stat_field(text, number)?.parse::<u64>().ok();
    Some((stat_field(text, 3)?.to_owned(), (ticks(14)? + ticks(15)?) * TICK_MS))
}

/// Milliseconds from boot to start.
fn parse_start(text: &str) -> Option<u64> {
    stat_field(text, 22)?.parse::<u64>().ok()?.checked_mul(TICK_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal, kill};
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    use nix::unistd::Pid;
    use std::process::{Command, Stdio};

    const STAT: &str =
        "42 (a) R 1 (b)) S 7 42 42 0 -1 4194304 102 0 0 0 31 12 0 0 20 0 1 0 1217145 3133440 410 1 0 0 0 0";

    #[test]
    fn state_processor_time_and_start_are_fields_3_14_15_and_22() {
        assert_eq!(parse_state(STAT), Some(("S".to_owned(), 430)));
        assert_eq!(parse_start(STAT), Some(12_171_450));
        assert_eq!((parse_state("42 (x) Z 7 42"), parse_start("42 (x) Z"), stat_field(STAT, 0)), (None, None, None));
    }

    #[test]
    fn a_child_is_seen_stopped_ended_and_gone() {
        let before = jiff::Timestamp::now();
        let mut child = Command::new("cat").arg("-").stdin(Stdio::piped()).spawn().unwrap();
        let (id, after) = (child.id(), jiff::Timestamp::now());
        let pid = Pid::from_raw(i32::try_from(id).unwrap());
        let wait = |flags| waitid(Id::Pid(pid), flags | WaitPidFlag::WNOWAIT).unwrap();

        kill(pid, Signal::SIGSTOP).unwrap();
        wait(WaitPidFlag::WSTOPPED);
        let stopped = process_state(id).unwrap().unwrap();
        assert_eq!(stopped.state, "T");
        assert!(stopped.descriptors.unwrap() >= 3 && stopped.descriptor_limit.unwrap() >= 3, "{stopped:?}");
        assert_eq!(command_line(id).unwrap(), "cat -");
        let tick = jiff::SignedDuration::from_millis(20);
        let told: jiff::Timestamp = started(id).unwrap().parse().unwrap();
        assert!(before - tick <= told && told <= after + tick, "{before} {told} {after}");

        kill(pid, Signal::SIGKILL).unwrap();
        wait(WaitPidFlag::WEXITED);
        assert_eq!(process_state(id).unwrap().unwrap().state, "Z");
        assert_eq!(command_line(id).unwrap(), "[cat]");
        child.wait().unwrap();
        assert_eq!((process_state(id), command_line(id), started(id)), (Ok(None), None, None));
    }

    #[test]
    fn a_command_line_is_one_short_line() {
        assert_eq!(printable(b"a\0b c\0"), "a b c");
        assert_eq!(printable(b"a\x1b[2J\xff\n\0"), "a\u{fffd}[2J\u{fffd}\u{fffd}");
        assert_eq!(printable("é".repeat(120).as_bytes()), "é".repeat(120));
        let cut = printable("é".repeat(121).as_bytes());
        assert_eq!((cut.chars().count(), cut.ends_with("é…")), (120, true));
    }

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let stat = parse_stat("42 (a) R 1 (b)) S 7 42 42 0 -1").unwrap();
        assert_eq!(stat, Stat { pid: 42, parent: 7, alive: true });
        assert!(!parse_stat("42 (x) Z 7 42").unwrap().alive);
        assert_eq!(parse_stat("42 (x"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn pressure_is_the_total_of_the_some_line() {
        let text = "some avg10=0.04 avg60=0.28 avg300=0.76 total=22212451\nfull avg10=0.00 total=3\n";
        assert_eq!(parse_pressure(text), Some(22_212_451));
        assert_eq!(parse_pressure("full total=3"), None);
    }

    #[test]
    fn this_process_has_resources_and_a_dead_one_has_none() {
        let (rss, descriptors, threads) = resources(std::process::id()).unwrap();
        assert!(rss > 100_000 && descriptors >= 3 && threads >= 1, "{rss} {descriptors} {threads}");
        assert!(resources(u32::MAX).is_err());
        assert_eq!(run_delay(u32::MAX), None);
    }

    #[test]
    fn the_environment_is_this_machine() {
        let here = environment();
        assert!(here.system.starts_with("linux "));
        assert!(here.cpus.unwrap() >= 1 && here.memory_bytes.unwrap() > 1 << 20);
        assert!(here.ephemeral_range.is_none_or(|(low, high)| low < high));
    }

    #[test]
    fn cores_are_found_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["core", "core.17", "score", "corex"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        fs::create_dir(folder.path().join("core.d")).unwrap();
        let found = core_files(folder.path());
        assert_eq!(found, [folder.path().join("core"), folder.path().join("core.17")]);
        assert_eq!(core_files(&folder.path().join("none")), [] as [PathBuf; 0]);
    }
}

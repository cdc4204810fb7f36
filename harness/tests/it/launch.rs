//! The real supervisor, real children, the real socket table.
#![cfg(test)] // so that the lints know the helpers for test code

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use sidetone::clock::monotonic;
use sidetone_harness::evidence::{Observation, SocketRow, TableSource};
use sidetone_harness::launch::{
    Capture, Exit, Launch, Launcher, NoLine, Process, SpawnFailed, Stream, read_log, resources,
};
use sidetone_harness::sockets;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Long enough for a busy machine, and shorter than a child sleeps; only a failing test waits for it.
const SOON: Duration = Duration::from_secs(40);

fn launcher(folder: &Path) -> Launcher {
    Launcher { supervisor_exe: env!("CARGO_BIN_EXE_sidetone-harness").into(), log_dir: folder.to_owned() }
}

fn sh(script: &str) -> Launch {
    Launch::new("child", "/bin/sh").args(["-c", script])
}

async fn start(folder: &TempDir, launch: &Launch) -> Process {
    launcher(folder.path()).launch(launch).await.unwrap()
}

async fn exit_of(script: &str) -> Exit {
    let folder = tempfile::tempdir().unwrap();
    start(&folder, &sh(script)).await.wait(SOON).await.unwrap()
}

async fn refused(program: &Path) -> SpawnFailed {
    let folder = tempfile::tempdir().unwrap();
    launcher(folder.path()).launch(&Launch::new("none", program)).await.unwrap_err()
}

/// Not there, or there as a zombie that somebody else has to reap.
fn is_gone(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |text| text.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z')))
}

/// Polls: the kernel tells nobody but the parent when a process ends.
async fn gone(pid: u32) {
    let poll = async {
        while !is_gone(pid) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, poll).await.unwrap_or_else(|_| panic!("process {pid} is still there"));
}

/// The pid that a child prints on a line of its own.
async fn printed_pid(process: &Process) -> u32 {
    let line = process.wait_for_line(Stream::Stdout, |l| l.parse::<u32>().is_ok(), SOON).await.unwrap();
    line.text.parse().unwrap()
}

#[tokio::test]
async fn exit_code_and_signal_come_through() {
    let (code, signal) = (exit_of("exit 7").await, exit_of("kill -9 $$").await);
    assert_eq!((code.code, code.signal, code.forced, code.lost), (Some(7), None, false, None));
    assert_eq!((signal.code, signal.signal, signal.core_dumped, signal.orphans), (None, Some(9), false, vec![]));
    // nix has no name for real-time signals.
    let real_time = exit_of("kill -40 $$").await;
    assert_eq!((real_time.code, real_time.signal), (None, Some(40)));
}

#[tokio::test]
async fn a_program_that_cannot_run_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let missing = refused(&folder.path().join("none")).await;
    assert_eq!(missing.errno, Some(2), "{missing}");
    let file = folder.path().join("data");
    std::fs::write(&file, "not a program").unwrap();
    let not_executable = refused(&file).await;
    assert_eq!(not_executable.errno, Some(13), "{not_executable}");
    assert_eq!(not_executable.command, [file.to_string_lossy()]);
    let nowhere = Launcher { supervisor_exe: folder.path().join("none"), log_dir: folder.path().into() };
    let error = nowhere.launch(&sh("true")).await.unwrap_err();
    assert!(error.errno == Some(2) && error.reason.starts_with("supervisor "), "{error}");
}

#[tokio::test]
async fn arguments_variables_and_output_come_through() {
    let folder = tempfile::tempdir().unwrap();
    let launch = sh(r#"printf "%s|%s\n" "$1" "$WORD"; printf 'bad \377 line' >&2; cat"#).args(["sh", "a b"]);
    let mut process = start(&folder, &launch.env("WORD", "x y")).await;
    assert_eq!(process.wait(SOON).await.unwrap().code, Some(0), "cat ends at once: stdin is /dev/null");
    assert!(!process.is_running());
    assert!(process.started_monotonic_ns > 0);
    let line = process.lines(Stream::Stdout).next().await.unwrap();
    assert_eq!((line.number, line.text.as_str(), line.cut), (1, "a b|x y", false));
    let finished = process.finish(SOON).await;
    assert!(finished.gone && finished.stdout.drained && finished.stderr.drained, "{finished:?}");
    assert_eq!((finished.stdout.lines, finished.stderr.lines), (1, 1));
    assert_eq!(std::fs::read(folder.path().join("child.stderr.jsonl")).unwrap(), b"bad \xff line");
    let log = read_log(folder.path(), "child.stderr.jsonl", "child", "stderr").unwrap();
    assert_eq!(log.lines[0].text, "bad \u{fffd} line");
}

#[tokio::test]
async fn waiting_for_a_line_ends_with_the_line_the_stream_or_the_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut process =
        start(&folder, &sh("trap 'echo second; exit 3' TERM; echo first; while :; do sleep 0.01; done")).await;
    let first = process.wait_for_line(Stream::Stdout, |l| l == "first", SOON).await.unwrap();
    assert!(first.monotonic_ns >= process.started_monotonic_ns);
    let early = process.wait_for_line(Stream::Stdout, |l| l == "second", Duration::ZERO).await;
    assert_eq!(early, Err(NoLine::TimedOut));
    assert!(process.is_running());
    assert_eq!(process.wait(Duration::ZERO).await, None);
    process.signal(Signal::SIGTERM).unwrap();
    assert_eq!(process.wait_for_line(Stream::Stdout, |l| l == "second", SOON).await.unwrap().number, 2);
    assert_eq!(process.wait_for_line(Stream::Stdout, |l| l == "third", SOON).await, Err(NoLine::Ended));
    assert_eq!(process.wait(SOON).await.unwrap().code, Some(3));
    process.signal(Signal::SIGTERM).unwrap();
}

#[tokio::test]
async fn a_child_that_ignores_sigterm_dies_at_the_grace() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = start(&folder, &sh("trap '' TERM; echo ready; while :; do sleep 0.01; done")).await;
    process.wait_for_line(Stream::Stdout, |l| l == "ready", SOON).await.unwrap();
    let exit = process.stop(Duration::from_millis(50)).await;
    assert_eq!((exit.signal, exit.forced), (Some(9), true), "{exit:?}");
    gone(process.pid).await;
}

#[tokio::test]
async fn a_willing_child_is_not_forced() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = start(&folder, &sh("echo $$; exec sleep 60")).await;
    let pid = printed_pid(&process).await;
    assert_eq!(pid, process.pid);
    let exit = process.stop(SOON).await;
    assert_eq!((exit.signal, exit.forced, exit.orphans), (Some(15), false, vec![]));
}

#[tokio::test]
async fn a_grandchild_that_left_the_group_is_listed_as_orphan_and_gone() {
    let folder = tempfile::tempdir().unwrap();
    let script = "setsid sh -c 'echo $$; exec sleep 60' & read line < /dev/null; wait; exit 5";
    let mut process = start(&folder, &sh(script)).await;
    let orphan = printed_pid(&process).await;
    let exit = process.stop(SOON).await;
    assert_eq!((exit.signal, exit.orphans.as_slice(), exit.forced), (Some(15), &[orphan][..], false));
    let finished = process.finish(SOON).await;
    assert!(finished.gone && finished.stdout.drained, "{finished:?}");
    assert!(is_gone(orphan));
}

#[tokio::test]
async fn a_grandchild_that_is_just_ending_is_no_orphan() {
    let exit = exit_of("(exec true) & exit 0").await;
    assert_eq!((exit.code, exit.orphans), (Some(0), vec![]));
}

#[tokio::test]
async fn dropping_the_process_ends_the_whole_tree() {
    let folder = tempfile::tempdir().unwrap();
    let process = start(&folder, &sh("trap '' TERM; setsid sh -c 'echo $$; exec sleep 60' & wait; sleep 60")).await;
    let (child, grandchild) = (process.pid, printed_pid(&process).await);
    drop(process);
    gone(child).await;
    gone(grandchild).await;
}

#[tokio::test]
async fn a_killed_supervisor_takes_the_child_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = start(&folder, &sh("echo $PPID; exec sleep 60")).await;
    let supervisor = printed_pid(&process).await;
    kill(Pid::from_raw(supervisor.cast_signed()), Signal::SIGKILL).unwrap();
    let exit = process.wait(SOON).await.unwrap();
    assert!(exit.lost.is_some() && exit.code.is_none(), "{exit:?}");
    gone(process.pid).await;
}

#[test]
fn by_hand_the_subcommand_refuses() {
    let run = |args: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_sidetone-harness")).args(args).stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = run(&["supervise", "--", "true"]);
    assert!(code == Some(2) && text.contains("not a socket"), "{code:?} {text}");
    let (code, text) = run(&["supervise", "--"]);
    assert!(code == Some(2) && text.contains("usage"), "{code:?} {text}");
}

#[tokio::test]
async fn a_full_disk_or_a_missing_folder_blocks_nobody() {
    let folder = tempfile::tempdir().unwrap();
    symlink("/dev/full", folder.path().join("child.stdout.txt")).unwrap();
    let launch = Launch {
        capture: Capture { stderr: "none/child.txt".into(), ..Capture::named("child") },
        ..sh("head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2; exit 4")
    };
    let mut process = start(&folder, &launch).await;
    assert_eq!(process.wait(SOON).await.unwrap().code, Some(4));
    let finished = process.finish(SOON).await;
    assert_eq!((finished.stdout.bytes, finished.stderr.bytes), (300_000, 300_000));
    assert!(finished.stdout.write_error.unwrap().contains("No space left"));
    assert!(finished.stderr.write_error.unwrap().contains("No such file"));
}

#[tokio::test]
async fn a_flood_ends_at_the_limit_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let capture = Capture { limit_bytes: 1000, ..Capture::named("child") };
    let mut process = start(&folder, &Launch { capture, ..sh("yes | head -c 5000000") }).await;
    assert_eq!(process.wait(SOON).await.unwrap().code, Some(0));
    let finished = process.finish(SOON).await;
    assert_eq!((finished.stdout.bytes, finished.stdout.dropped_bytes), (5_000_000, 4_999_000));
    assert_eq!((finished.stdout.lines, finished.stdout.write_error), (2_500_000, None));
    assert!(std::fs::metadata(folder.path().join("child.stdout.txt")).unwrap().len() < 1200);
}

#[tokio::test]
async fn a_slow_reader_misses_lines_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = start(&folder, &sh("yes | head -c 1000000")).await;
    process.wait(SOON).await.unwrap();
    let mut lines = process.lines(Stream::Stdout);
    let mut read = 0;
    while lines.next().await.is_some() {
        read += 1;
    }
    assert!(lines.missed > 0 && lines.missed + read == 500_000, "{} {read}", lines.missed);
}

/// Half of the tests need another process that runs our own code: this test binary, asked for one of its helpers.
fn helper(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).env(HELPER, "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

const HELPER: &str = "SIDETONE_TEST_HELPER";

/// The words after `helper:` on the helper's line.
fn said(helper: &mut Child) -> Vec<String> {
    let stdout = BufReader::new(helper.stdout.as_mut().unwrap());
    let line =
        stdout.lines().map(Result::unwrap).find_map(|l| l.split_once("helper:").map(|(_, rest)| rest.to_owned()));
    line.unwrap().split_whitespace().map(str::to_owned).collect()
}

fn say(words: &str) {
    println!("\nhelper: {words}");
    std::io::stdout().flush().unwrap();
}

fn is_helper() -> bool {
    std::env::var_os(HELPER).is_some()
}

/// Until the test lets go of our standard input.
fn wait_for_the_test() {
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[tokio::test]
#[ignore = "a helper process of other tests"]
async fn helper_harness() {
    if is_helper() {
        let folder = tempfile::tempdir().unwrap();
        let script = "trap '' INT TERM HUP; setsid sh -c 'echo $$; exec sleep 60' & wait; sleep 60";
        let process = start(&folder, &sh(script)).await;
        say(&format!("{} {}", process.pid, printed_pid(&process).await));
        wait_for_the_test();
        drop(process);
    }
}

async fn killed_harness_leaves_nothing(kill: impl Fn(Pid, Signal)) {
    // It cannot clean up after itself.
    let folder = tempfile::tempdir().unwrap();
    let mut harness = helper("launch::helper_harness").env("TMPDIR", folder.path()).process_group(0).spawn().unwrap();
    let pids: Vec<u32> = said(&mut harness).iter().map(|p| p.parse().unwrap()).collect();
    assert!(pids.len() == 2 && !pids.iter().any(|p| is_gone(*p)), "{pids:?}");
    kill(Pid::from_raw(harness.id().cast_signed()), Signal::SIGKILL);
    harness.wait().unwrap();
    for pid in pids {
        gone(pid).await;
    }
}

#[tokio::test]
async fn a_harness_killed_by_sigkill_leaves_nothing() {
    killed_harness_leaves_nothing(|pid, signal| kill(pid, signal).unwrap()).await;
}

#[tokio::test]
async fn a_harness_whose_whole_group_is_killed_leaves_nothing() {
    killed_harness_leaves_nothing(|pid, signal| killpg(pid, signal).unwrap()).await;
}

#[tokio::test]
#[ignore = "a helper process of other tests"]
async fn helper_flooded_harness() {
    if is_helper() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = start(&folder, &sh("yes abcdefghi | head -c 25000000; head -c 25000000 /dev/zero >&2")).await;
        let code = process.wait(SOON).await.unwrap().code;
        let finished = process.finish(SOON).await;
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak =
            status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB").to_owned();
        let bytes = finished.stdout.bytes + finished.stderr.bytes;
        say(&format!("{} {bytes} {peak}", code.unwrap()));
    }
}

#[test]
fn fifty_megabytes_of_output_neither_block_nor_fill_the_memory() {
    let mut harness = helper("launch::helper_flooded_harness").spawn().unwrap();
    let words = said(&mut harness);
    harness.wait().unwrap();
    assert_eq!(words[..2], ["0", "50000000"]);
    let peak_kib: u64 = words[2].parse().unwrap();
    assert!(peak_kib < 40 << 10, "{peak_kib} KiB");
}

#[test]
#[ignore = "a helper process of other tests"]
fn helper_listener() {
    if is_helper() {
        let listeners: Vec<_> = ["127.0.0.1:0", "[::1]:0"].iter().filter_map(|a| TcpListener::bind(a).ok()).collect();
        let addresses: Vec<_> = listeners.iter().map(|l| l.local_addr().unwrap().to_string()).collect();
        say(&addresses.join(" "));
        wait_for_the_test();
    }
}

const SOURCES: [TableSource; 2] = [TableSource::Netstat2, TableSource::Proc];

#[test]
fn the_listener_of_another_process_is_found_by_pid_and_by_port() {
    let mut other = helper("launch::helper_listener").spawn().unwrap();
    let addresses: Vec<SocketAddr> = said(&mut other).iter().map(|a| a.parse().unwrap()).collect();
    assert!(!addresses.is_empty());
    let queued = TcpStream::connect(addresses[0]).unwrap();
    let pid = other.id();
    // the kernel may complete the listener's side a little later
    let patience = monotonic() + SOON;
    let waits = |row: &SocketRow| row.local == addresses[0] && row.rx_queue == Some(1);
    while !sockets::table(TableSource::Proc, &[pid], &[]).unwrap().iter().any(waits) {
        assert!(monotonic() < patience, "the connection never waits to be accepted");
    }
    for source in SOURCES {
        let mut by_pid = sockets::table(source, &[pid], &[]).unwrap();
        by_pid.retain(|row| row.state == "LISTEN");
        let found: Vec<_> = by_pid.iter().map(|r| r.local).collect();
        let mut expected = addresses.clone();
        expected.sort_unstable();
        assert_eq!(found, expected, "{source:?}");
        assert!(by_pid.iter().all(|r| r.pids == [pid] && r.inode != 0 && r.remote.is_none()), "{by_pid:?}");
        for address in &addresses {
            let by_port = sockets::table(source, &[], &[address.port()]).unwrap();
            let listener = by_port.iter().find(|r| r.local == *address && r.state == "LISTEN").unwrap();
            assert_eq!(listener.pids, [pid], "{source:?}");
        }
        let waiting = by_pid.iter().find(|r| r.local == addresses[0]).unwrap().rx_queue;
        assert_eq!(waiting, (source == TableSource::Proc).then_some(1));
    }
    drop((queued, other.stdin.take()));
    other.wait().unwrap();
}

#[test]
fn both_readers_agree_about_a_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    let own = std::process::id();
    let ports = [client.local_addr().unwrap().port(), server.local_addr().unwrap().port()];
    let tables = sockets::observe("now", &[], &ports).map(|observation| {
        let Observation::SocketTable { moment, rows, error, .. } = observation else { panic!("{observation:?}") };
        assert_eq!((moment.as_str(), error), ("now", None));
        rows
    });
    for rows in &tables {
        let states: Vec<_> = rows.iter().map(|r| (r.local.port(), r.state.as_str())).collect();
        for wanted in [(ports[0], "ESTABLISHED"), (ports[1], "ESTABLISHED"), (ports[1], "LISTEN")] {
            assert!(states.contains(&wanted), "{states:?}");
        }
        assert!(rows.is_sorted() && rows.iter().all(|r| r.pids.contains(&own)), "{rows:?}");
    }
    // A child that another test has just forked shares our sockets until its exec, so the owners may differ.
    let without = |rows: &[SocketRow]| -> Vec<SocketRow> {
        rows.iter().cloned().map(|row| SocketRow { pids: Vec::new(), rx_queue: None, ..row }).collect()
    };
    assert_eq!(without(&tables[0]), without(&tables[1]));
}

#[test]
fn the_self_test_sees_its_sockets_through_both_readers() {
    let found = sockets::self_test();
    assert!(matches!(found.len(), 2 | 4), "{found:?}");
    for observation in &found {
        let well = matches!(observation, Observation::SocketSelfTest { seen: true, owned: true, error: None, .. });
        assert!(well, "{observation:?}");
    }
}

/// What the descriptors of a process lead to, from 0.
fn open_files(pid: u32) -> Vec<String> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().map(|e| e.unwrap().path());
    let number = |p: &std::path::PathBuf| p.file_name().unwrap().to_str().unwrap().parse::<u32>().unwrap();
    let mut paths: Vec<_> = entries.collect();
    paths.sort_by_key(number);
    paths.iter().filter_map(|p| Some(std::fs::read_link(p).ok()?.to_string_lossy().into_owned())).collect()
}

#[tokio::test]
async fn a_child_has_resources_and_descendants() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = start(&folder, &sh("sh -c 'echo $$; exec sleep 60' & wait")).await;
    let grandchild = printed_pid(&process).await;
    assert_eq!(resources::descendants(process.pid), [grandchild]);
    let (rss, descriptors, threads) = resources::resources(process.pid).unwrap();
    assert!(rss > 100_000 && descriptors >= 3 && threads == 1, "{rss} {descriptors} {threads}");
    // What our own parents left open is in both; the supervisor's socket would be in the child alone.
    let ours = open_files(std::process::id());
    let leaked: Vec<_> = open_files(process.pid).into_iter().skip(3).filter(|f| !ours.contains(f)).collect();
    assert_eq!(leaked, [] as [String; 0]);
    let exit = process.stop(SOON).await;
    assert_eq!(exit.orphans, [grandchild]);
    assert!(resources::resources(process.pid).is_err());
}

//! Faults as they are carried out: real holders, real limits, real signals.
#![cfg(test)] // so that the lints know the helpers for test code

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use sidetone_harness::evidence::fault::Hold;
use sidetone_harness::evidence::{SocketRow, TableSource};
use sidetone_harness::fault::hold::{self, Claim, Holder};
use sidetone_harness::fault::{descriptors, pause};
use sidetone_harness::launch::{Launch, Launcher, Restrict, Stream};
use sidetone_harness::{isolate, sockets};
use socket2::{Domain, Protocol, Socket, Type};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Long enough for a busy machine; only a failing test waits for it.
const SOON: Duration = Duration::from_secs(40);
const HARNESS: &str = env!("CARGO_BIN_EXE_sidetone-harness");
const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

fn launcher(folder: &Path) -> Launcher {
    Launcher { supervisor_exe: HARNESS.into(), log_dir: folder.to_owned() }
}

/// A holder, and the folder of its output.
async fn held(by: Hold, on: &[IpAddr], ends_after: Option<Duration>) -> (Holder, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let started =
        hold::start(&launcher(folder.path()), ("holder", Path::new(HARNESS)), Claim::Port(by), on, ends_after).await;
    (started.unwrap(), folder)
}

/// What a server would meet there: its own options, bind and listen.
fn listen(address: SocketAddr) -> Result<Socket, Option<Errno>> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP)).unwrap();
    socket.set_reuse_address(true).unwrap();
    if address.is_ipv6() {
        socket.set_only_v6(true).unwrap();
    }
    let listening = socket.bind(&address.into()).and_then(|()| socket.listen(1));
    listening.map(|()| socket).map_err(|e| e.raw_os_error().map(Errno::from_raw))
}

fn is_in_use(address: SocketAddr) -> bool {
    match listen(address) {
        Ok(_) => false,
        Err(errno) => errno == Some(Errno::EADDRINUSE),
    }
}

fn rows(at: SocketAddr) -> Vec<SocketRow> {
    let rows = sockets::table(TableSource::Proc, &[], &[at.port()]).unwrap();
    rows.into_iter().filter(|row| row.local == at).collect()
}

async fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    timeout(SOON, stream.read_to_string(&mut text)).await.expect("no answer").unwrap();
    text
}

#[tokio::test]
async fn a_foreign_listener_answers_404_and_ends_by_sigterm() {
    let (mut holder, _folder) = held(Hold::Listener, &[V4, V6], None).await;
    let [four, six] = holder.addresses[..] else { panic!("{:?}", holder.addresses) };
    assert_eq!((four.ip(), six.ip(), four.port()), (V4, V6, six.port()));
    assert_ne!(four.port(), 0);
    for address in [four, six] {
        assert!(is_in_use(address), "{address}");
        assert!(rows(address).iter().any(|row| row.state == "LISTEN" && row.pids == [holder.process.pid]));
        let mut http = TcpStream::connect(address).await.unwrap();
        http.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert!(answer(http).await.starts_with("HTTP/1.1 404 Not Found\r\nServer: holder\r\n"));
        let mut other = TcpStream::connect(address).await.unwrap();
        other.write_all(b"\x00\x01 no HTTP").await.unwrap();
        assert!(answer(other).await.starts_with("HTTP/1.1 404 "), "whatever one says");
    }
    let exit = holder.process.stop(SOON).await;
    assert_eq!((exit.code, exit.signal, exit.forced), (Some(0), None, false), "{exit:?}");
    assert!(rows(four).iter().all(|row| row.state != "LISTEN"));
}

#[tokio::test]
async fn a_connection_holds_its_own_address_and_nothing_else() {
    let mut other_family_is_free = false;
    // somebody else may have the same port there: then another one is drawn
    for _ in 0..5 {
        let (holder, _folder) = held(Hold::Connection, &[V4], None).await;
        let [address] = holder.addresses[..] else { panic!("{:?}", holder.addresses) };
        assert_eq!(address.ip(), V4);
        assert!(is_in_use(address) && is_in_use((Ipv4Addr::UNSPECIFIED, address.port()).into()), "{address}");
        let states: Vec<_> = rows(address).into_iter().map(|row| (row.state, row.pids)).collect();
        assert_eq!(states, [("ESTABLISHED".to_owned(), vec![holder.process.pid])], "nobody listens there");
        other_family_is_free |= listen((V6, address.port()).into()).is_ok();
        if other_family_is_free {
            break;
        }
    }
    assert!(other_family_is_free);
}

#[tokio::test]
async fn time_wait_holds_a_port_that_no_process_has() {
    let (mut holder, _folder) = held(Hold::TimeWait, &[V4, V6], None).await;
    assert_eq!(holder.process.wait(SOON).await.unwrap().code, Some(0));
    assert_eq!(holder.addresses.len(), 2);
    for address in &holder.addresses {
        let found: Vec<_> = rows(*address).into_iter().map(|row| (row.state, row.pids)).collect();
        assert_eq!(found, [("TIME_WAIT".to_owned(), vec![])], "{address}");
        assert!(is_in_use(*address), "{address}");
    }
}

#[tokio::test]
async fn a_bound_socket_holds_a_port_that_nobody_can_reach() {
    let (holder, _folder) = held(Hold::Bound, &[V4], None).await;
    let address = holder.addresses[0];
    assert!(is_in_use(address));
    assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(rows(address).is_empty(), "the kernel's table does not show it");
}

#[tokio::test]
async fn a_holder_lets_go_in_time() {
    let (mut holder, _folder) = held(Hold::Bound, &[V4], Some(Duration::from_millis(100))).await;
    let started = holder.process.started_monotonic_ns;
    let exit = holder.process.wait(SOON).await.expect("it still holds");
    assert_eq!((exit.code, exit.signal), (Some(0), None));
    assert!(exit.monotonic_ns - started >= 100_000_000, "not before");
}

#[tokio::test]
async fn a_holder_that_cannot_hold_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let start = async |claim, on: &[IpAddr]| {
        let started = hold::start(&launcher(folder.path()), ("holder", Path::new(HARNESS)), claim, on, None).await;
        started.map(|holder| holder.addresses).unwrap_err()
    };
    // an address of the documentation's network: nobody has it
    let nowhere = start(Claim::Port(Hold::Bound), &["192.0.2.1".parse().unwrap()]).await;
    assert_eq!(nowhere, "bind 192.0.2.1:0: Cannot assign requested address (EADDRNOTAVAIL)");
    let several = start(Claim::Port(Hold::Connection), &[V4, V6]).await;
    assert!(several.contains("one local address"), "{several}");
    let usage = start(Claim::Port(Hold::Bound), &[]).await;
    assert!(usage.contains("did not say what it holds") && usage.contains("error:"), "{usage}");
    let missing =
        hold::start(&launcher(folder.path()), ("holder", Path::new("/none")), Claim::Port(Hold::Bound), &[V4], None)
            .await;
    assert!(missing.unwrap_err().contains("No such file"));
}

/// Runs in a private network of one thread, or says that this user may not have one.
fn in_a_private_network<T: Send>(run: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        // a user namespace would need a process with one thread
        let may = scope.spawn(|| unshare(CloneFlags::CLONE_NEWNET).is_ok()).join().unwrap();
        let inside = || {
            isolate::enter().unwrap();
            run()
        };
        may.then(|| scope.spawn(inside).join().unwrap())
    })
}

#[test]
fn the_whole_range_is_taken_in_a_private_network() {
    let range = || std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    let before = range();
    in_a_private_network(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let claim = Claim::Range { ports: 8 };
            let holder =
                hold::start(&launcher(folder.path()), ("holder", Path::new(HARNESS)), claim, &[V4, V6], None).await;
            let holder = holder.unwrap();
            let ports: Vec<_> = holder.addresses.iter().filter(|a| a.ip() == V6).map(SocketAddr::port).collect();
            assert_eq!(ports, (40_000..40_008).collect::<Vec<_>>());
            assert_eq!(holder.addresses.len(), 16);
            for ip in [V4, V6] {
                assert!(is_in_use((ip, 0).into()), "no port is left on {ip}");
                assert!(is_in_use((ip, 40_003).into()));
            }
        });
    });
    assert_eq!(range(), before, "and outside nothing has changed");
}

#[tokio::test]
async fn just_so_many_descriptors_can_be_opened() {
    let (holder, _folder) = held(Hold::Listener, &[V4], None).await;
    let pid = holder.process.pid;
    let told = descriptors::limit(pid, 0).unwrap();
    assert!(told.starts_with(&format!("the soft limit of pid {pid} is ")) && told.ends_with(" are open"), "{told}");
    let mut waiting = TcpStream::connect(holder.addresses[0]).await.unwrap();
    waiting.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let early = timeout(Duration::from_millis(300), waiting.readable()).await;
    assert!(early.is_err(), "it was accepted without a descriptor: {early:?}");
    descriptors::limit(pid, 1).unwrap();
    assert!(answer(waiting).await.contains("404"), "the hard limit was left alone, and one is enough");
}

/// The letter of the process's state, `T`: stopped.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let poll = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(SOON, poll).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn a_paused_program_goes_on_when_the_fault_ends() {
    let folder = tempfile::tempdir().unwrap();
    let launch = Launch::new("child", "/bin/sh").args(["-c", "exec sleep 60"]);
    let mut process = launcher(folder.path()).launch(&launch).await.unwrap();
    let pid = process.pid;
    {
        let pauses = pause::run(|signal| process.signal(signal), Duration::from_mins(1), Duration::from_mins(1));
        tokio::select! {
            ended = pauses => panic!("{ended:?}"),
            () = until("it was not stopped", || state(pid) == Some('T')) => {}
        }
    }
    until("it stays stopped", || state(pid) != Some('T')).await;
    let exit = process.stop(SOON).await;
    assert_eq!((exit.signal, exit.forced), (Some(Signal::SIGTERM as i32), false));
}

/// A line of `/proc/PID/status` as a set of capabilities.
fn capabilities(status: &str, line: &str) -> u64 {
    let row = status.lines().find_map(|l| l.strip_prefix(line)).unwrap_or_else(|| panic!("no {line} in {status}"));
    u64::from_str_radix(row.trim_start_matches(':').trim(), 16).unwrap()
}

async fn output(script: &str, restrict: Restrict) -> String {
    let folder = tempfile::tempdir().unwrap();
    let launch = Launch { restrict, ..Launch::new("child", "/bin/sh").args(["-c", script]) };
    let mut process = launcher(folder.path()).launch(&launch).await.unwrap();
    assert_eq!(process.wait(SOON).await.unwrap().code, Some(0));
    assert!(process.wait_for_line(Stream::Stdout, |_| false, SOON).await.is_err());
    process.finish(SOON).await;
    std::fs::read_to_string(folder.path().join("child.stdout.txt")).unwrap()
}

#[tokio::test]
async fn a_restricted_program_cannot_bind_privileged_ports() {
    const NET_BIND: u64 = 1 << 10;
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let script = "cat /proc/self/status";
    let less = output(script, Restrict { drop_net_bind: true, no_core: false }).await;
    for line in ["CapPrm", "CapEff", "CapInh", "CapAmb"] {
        assert_eq!(capabilities(&less, line) & NET_BIND, 0, "{line}");
    }
    let for_good = capabilities(&less, "CapBnd") & NET_BIND == 0 || capabilities(&less, "NoNewPrivs") == 1;
    assert!(for_good, "{less}");
    assert_eq!(capabilities(&less, "CapPrm"), capabilities(&own, "CapPrm") & !NET_BIND, "nothing else is gone");
    let same = output(script, Restrict::default()).await;
    for line in ["CapPrm", "CapBnd", "NoNewPrivs"] {
        assert_eq!(capabilities(&same, line), capabilities(&own, line), "{line}");
    }
}

#[tokio::test]
async fn a_restricted_program_leaves_no_core() {
    let restrict = Restrict { drop_net_bind: false, no_core: true };
    assert_eq!(output("ulimit -H -c; ulimit -S -c", restrict).await, "0\n0\n");
    let own = Command::new("/bin/sh").args(["-c", "ulimit -H -c; ulimit -S -c"]).output().unwrap();
    assert_eq!(output("ulimit -H -c; ulimit -S -c", Restrict::default()).await, String::from_utf8(own.stdout).unwrap());
}

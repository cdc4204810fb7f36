//! The probe against twelve broken servers, beside the programs that people use today; a healthy server against curl and
//! Python; a thousand targets; two thousand sockets. Everything is on loopback, in a network of its own where one is given.
//!
//! `probe HARNESS SIDETONE [PEERS]`: `PEERS` is a folder with `bin/websocat` and `python/bin/python`. `make bench` runs it
//! inside `unshare`, with an interface that swallows packets. It never fails because of a figure.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark prints what a clock says, and keeps its servers"
)]

#[path = "probe/broken.rs"]
mod broken;
#[path = "probe/peers.rs"]
mod peers;

use broken::{Authority, Does, serve};
use peers::{Did, PATIENCE, find, run};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Deadline of each layer of our probe.
const DEADLINE: Duration = Duration::from_secs(1);
/// An address whose packets nobody answers, in the network that `make bench` makes.
const SWALLOWED: &str = "10.9.9.2";
const TIMES: usize = 21;

type Failed = Box<dyn std::error::Error>;

struct Case {
    name: &'static str,
    url: String,
    origin: Option<&'static str>,
    cause: &'static str,
}

fn main() -> Result<(), Failed> {
    let mut args = std::env::args().skip(1).map(PathBuf::from);
    let (Some(harness), Some(sidetone)) = (args.next(), args.next()) else {
        return Err("usage: probe HARNESS SIDETONE [PEERS]".into());
    };
    let folder = args.next();
    let place = tempfile::tempdir()?;
    let authority = Authority::new()?;
    let ca = place.path().join("ca.pem");
    std::fs::write(&ca, &authority.pem)?;
    let ca = ca.to_string_lossy().into_owned();
    let mut stopped = Server::start(&sidetone)?;
    let mut healthy = Server::start(&sidetone)?;
    let peers = peers::peers(folder.as_deref());
    broken_servers(&harness, &cases(&authority, &stopped)?, &peers, &ca)?;
    stopped.signal("-CONT");
    one_healthy(&harness, &healthy, &peers)?;
    a_thousand(&harness, &healthy, place.path())?;
    many_sockets(&harness)?;
    stopped.end();
    healthy.end();
    Ok(())
}

/// A real server.
struct Server {
    child: Child,
    websocket: SocketAddr,
}

impl Server {
    fn start(sidetone: &Path) -> Result<Self, Failed> {
        let mut child = Command::new(sidetone)
            .args([
                "server",
                "--port",
                "0",
                "--websocket-port",
                "0",
                "--bind",
                "127.0.0.1",
                "--no-mdns",
                "--log-format",
                "json",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no stdout")?).read_line(&mut line)?;
        let ready: Value = serde_json::from_str(&line)?;
        let websocket = ready["websocket"][0].as_str().ok_or("no address in the ready line")?.parse()?;
        Ok(Self { child, websocket })
    }

    fn signal(&self, signal: &str) {
        drop(Command::new("kill").args([signal, &self.child.id().to_string()]).status());
    }

    fn end(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<h1>Hi</h1>\r\n";
const WRONG: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n";
const MISSING: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found";
const NO: &str = "HTTP/1.1 403 Forbidden\r\nContent-Length: 18\r\n\r\norigin not allowed";

fn cases(authority: &Authority, stopped: &Server) -> Result<Vec<Case>, Failed> {
    let dead = TcpListener::bind("127.0.0.1:0")?.local_addr()?; // released at once
    let ws = |does| serve(does, None).map(|address| format!("ws://{address}/ws"));
    let wss = |does, tls| serve(does, tls).map(|address| format!("wss://{}:{}/ws", broken::NAME, address.port()));
    let good = authority.config(2100)?;
    let expired = authority.config(2024)?;
    let tls_port = serve(Does::Answers(PAGE), Some(good))?;
    stopped.signal("-STOP");
    let plain = |name, url, cause| Case { name, url, origin: None, cause };
    let mut cases = vec![
        plain("refused", format!("ws://{dead}/ws"), "tcp.refused"),
        plain("filtered", format!("ws://{SWALLOWED}:7461/ws"), "tcp.filtered"),
        plain("accepts and hangs", ws(Does::Hangs)?, "http.no_reply_to_upgrade"),
        plain("accepts and closes", ws(Does::Closes)?, "tcp.closed_early"),
        plain("plain HTTP on the path", ws(Does::Answers(PAGE))?, "http.not_upgraded"),
        plain("TLS on a ws port", format!("ws://{tls_port}/ws"), "tls.plain_spoken_to_tls_port"),
        plain("plain on a wss port", wss(Does::Answers(PAGE), None)?, "tls.tls_spoken_to_plain_port"),
        plain("expired certificate", wss(Does::Answers(PAGE), Some(expired))?, "tls.certificate_expired"),
        plain("404", ws(Does::Answers(MISSING))?, "http.wrong_path"),
        plain("403 by Origin", ws(Does::Answers(NO))?, "http.forbidden"),
        plain("wrong accept key", ws(Does::Answers(WRONG))?, "http.bad_accept_key"),
        plain("stopped process", format!("ws://{}/ws", stopped.websocket), "process.stopped"),
    ];
    for case in cases.iter_mut().filter(|case| case.name == "403 by Origin") {
        case.origin = Some("https://stranger.example");
    }
    Ok(cases)
}

fn broken_servers(harness: &Path, cases: &[Case], peers: &[peers::Peer], ca: &str) -> Result<(), Failed> {
    let names: Vec<_> = peers.iter().map(|peer| peer.name).collect();
    println!(
        "\ntwelve broken servers: our probe (--timeout {DEADLINE:?}), then {}; patience {PATIENCE:?}",
        names.join(", ")
    );
    let environment = [("SSL_CERT_FILE", ca.to_owned())];
    let (mut exact, mut in_time) = (0, 0);
    for case in cases {
        let deadline = format!("{}ms", DEADLINE.as_millis());
        let mut args = vec!["probe", "--json", "--timeout", &deadline, "--ca", ca, &case.url];
        args.extend(case.origin.iter().flat_map(|origin| ["--origin", origin]));
        let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
        let ours = run(harness, &args, &[]).ok_or("the harness cannot be run")?;
        let report: Value = serde_json::from_str(&ours.output)?;
        let cause = report["reports"][0]["findings"][0]["cause"].as_str().unwrap_or("no cause");
        let sentence = report["verdict"]["sentence"].as_str().unwrap_or_default();
        exact += usize::from(cause == case.cause);
        in_time += usize::from(ours.took < DEADLINE.mul_f64(1.2));
        let right = if cause == case.cause { "" } else { " (WRONG)" };
        println!("  {}", case.name);
        println!("    {}", row("ours", &ours, &format!("{cause}{right}: {sentence}")));
        for peer in peers {
            let args = (peer.args)(&case.url, case.origin, ca);
            if let Some(did) = run(&peer.program, &args, &environment) {
                println!("    {}", row(peer.name, &did, &did.words));
            }
        }
    }
    let all = cases.len();
    println!(
        "  exact cause: {exact} of {all} (target {all}); within 1.2 x the deadline: {in_time} of {all} (target {all})"
    );
    Ok(())
}

fn row(name: &str, did: &Did, words: &str) -> String {
    let code = did.code.map_or_else(|| "waits".to_owned(), |code| format!("exit {code}"));
    let words: String = words.chars().take(150).collect();
    format!("{name:<9} {code:<8} {:>8.1} ms  {words}", did.took.as_secs_f64() * 1e3)
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Medians of programs that take turns, so that a busy moment hits all of them.
fn in_turn(programs: &[(&Path, Vec<String>)]) -> Result<Vec<Duration>, Failed> {
    let mut times = vec![Vec::new(); programs.len()];
    for _ in 0..TIMES {
        for (index, (program, args)) in programs.iter().enumerate() {
            times[index].push(run(program, args, &[]).ok_or("a program cannot be run")?.took);
        }
    }
    Ok(times.iter_mut().map(|times| median(times)).collect())
}

fn one_healthy(harness: &Path, healthy: &Server, peers: &[peers::Peer]) -> Result<(), Failed> {
    let url = format!("ws://{}/ws", healthy.websocket);
    let page = format!("http://{}/healthz", healthy.websocket);
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let mut programs = vec![(harness, words(&["probe", &url]))];
    let curl = find("curl", None);
    let curl = curl.as_deref().ok_or("curl is not installed")?;
    programs.push((curl, words(&["-sS", "-o", "/dev/null", &page])));
    let python = peers.iter().find(|peer| peer.name == "python");
    programs.extend(python.map(|peer| (peer.program.as_path(), (peer.args)(&url, None, ""))));
    let times = in_turn(&programs)?;
    let ratio = |index: usize| times.get(index).map(|other| times[0].as_secs_f64() / other.as_secs_f64());
    println!("\na healthy ws:// probe, whole process, median of {TIMES}: {:.1?}", times[0]);
    println!("  curl {:.1?}: ratio {:.2} (target 1.5)", times[1], ratio(1).unwrap_or_default());
    if let Some(python) = ratio(2) {
        println!("  python websockets {:.1?}: ratio {python:.2} (target 0.5)", times[2]);
    }
    Ok(())
}

fn a_thousand(harness: &Path, healthy: &Server, place: &Path) -> Result<(), Failed> {
    let hanging = serve(Does::Hangs, None)?;
    let line = |number: usize| match number % 50 {
        0 => format!("ws://{hanging}/ws?{number}\n"),
        _ => format!("ws://{}/ws?{number}\n", healthy.websocket),
    };
    let file = place.join("targets");
    std::fs::write(&file, (0..1000).map(line).collect::<String>())?;
    let file = file.to_string_lossy().into_owned();
    let args = ["probe", "--json", "--jobs", "64", "--timeout", "1s", "--targets", &file];
    let args: Vec<String> = args.iter().map(|word| (*word).to_owned()).collect();
    let did = run(harness, &args, &[]).ok_or("the harness cannot be run")?;
    let report: Value = serde_json::from_str(&did.output)?;
    let reports = report["reports"].as_array().ok_or("no reports")?;
    let (mut well, mut ill) = (Vec::new(), 0);
    for report in reports {
        match report["verdict"]["status"].as_str() {
            Some("pass" | "warn") => well.extend(report["metrics"]["probe.total"]["value"].as_f64()),
            _ => ill += 1,
        }
    }
    well.sort_by(f64::total_cmp);
    let slowest = well.last().copied().unwrap_or_default() / 1e3;
    let middle = well.get(well.len() / 2).copied().unwrap_or_default() / 1e3;
    println!("\n1,000 targets, 64 at a time, 20 of them hanging: {:.2} s", did.took.as_secs_f64());
    println!(
        "  well: {} (target 980), median {middle:.1} ms, slowest {slowest:.1} ms of a deadline of 1000 ms; failing: {ill} (target 20)",
        well.len()
    );
    println!("  largest resident size {:.1} MiB (target 100)", did.peak as f64 / f64::from(1 << 20));
    Ok(())
}

fn many_sockets(harness: &Path) -> Result<(), Failed> {
    let limit = nix::sys::resource::Resource::RLIMIT_NOFILE;
    let (_, most) = nix::sys::resource::getrlimit(limit)?;
    nix::sys::resource::setrlimit(limit, most, most)?;
    let _listening: Vec<_> = (0..2_000).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    let Some(ss) = find("ss", None) else {
        println!("\nsockets: ss is not installed");
        return Ok(());
    };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let times = in_turn(&[(harness, words(&["sockets"])), (&ss, words(&["-tlnp"]))])?;
    let ratio = times[0].as_secs_f64() / times[1].as_secs_f64();
    println!(
        "\n2,000 listening sockets: `sockets` {:.1?}, `ss -tlnp` {:.1?}: ratio {ratio:.2} (target 0.5)",
        times[0], times[1]
    );
    Ok(())
}

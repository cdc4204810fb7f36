//! `sidetone client`.

use super::{LogOptions, exit};
use crate::client::{self, Config, Mode, Outcome, TerminalKind};
use crate::clock::parse_duration;
use crate::device::{CameraSpec, MicrophoneSpec, SpeakerSpec};
use crate::event::Event;
use crate::net::dial::Target;
use crate::net::mdns::{self, BrowseOptions, Found};
use crate::protocol::control::check_name;
use crate::video::ColorMode;
use clap::Args;
use std::env;
use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How long servers are looked for.
const BROWSE: Duration = Duration::from_millis(1_500);

/// Join a room.
#[derive(Debug, Args)]
pub struct Client {
    /// tcp://HOST:PORT, ws://HOST:PORT, http://HOST:PORT (a link from a browser), HOST:PORT or :PORT; without it a server
    /// is looked for by mDNS.
    target: Option<Target>,
    /// Your name: 1 to 32 characters, unique in the room [default: your user name].
    #[arg(long)]
    name: Option<String>,
    /// The room; it is made when the first one joins.
    #[arg(long, default_value = "lobby")]
    room: String,
    /// What the others hear of you.
    #[arg(long, value_name = "tone:HZ|wav:FILE|silence|none", default_value = "none")]
    mic: MicrophoneSpec,
    /// Where the others' sound goes; null takes it at the pace of a real device.
    #[arg(long, value_name = "wav:FILE|null|none", default_value = "null")]
    speaker: SpeakerSpec,
    /// What the others see of you.
    #[arg(long, value_name = "test-pattern|image:FILE|none", default_value = "none")]
    video: CameraSpec,
    /// Pictures sent a second, 1 to 30.
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=30))]
    fps: u32,
    /// At the end write the last picture of each participant into this folder.
    #[arg(long, value_name = "FOLDER")]
    save_pictures: Option<PathBuf>,
    /// Wait for the others' pictures, print them once, and end.
    #[arg(short = 'S', long)]
    snapshot: bool,
    /// A chat line, said when SIGUSR2 comes; several are said in turn. SIGUSR1 switches the microphone.
    #[arg(long, value_name = "LINE")]
    say: Vec<String>,
    /// In snapshot mode: time from the first picture to the printed one.
    #[arg(short = 'D', long, value_parser = parse_duration, default_value = "0s", value_name = "DURATION")]
    snapshot_delay: Duration,
    /// With --snapshot or --once: patience for a connection, and for the first picture.
    #[arg(long, value_parser = parse_duration, default_value = "10s", value_name = "DURATION")]
    timeout: Duration,
    /// End when there is no connection for --timeout, instead of trying for ever.
    #[arg(long)]
    once: bool,
    /// At the end print statistics with the names of W3C webrtc-stats on stdout.
    #[arg(long, value_name = "json", value_parser = ["json"])]
    stats: Option<String>,
    /// Colours.
    #[arg(long, value_name = "auto|always|never", default_value = "auto", value_parser = ["auto", "always", "never"])]
    color: String,
    /// Interface to look for servers on; may be repeated [default: all].
    #[arg(long, value_name = "NAME")]
    mdns_interface: Vec<String>,
    #[command(flatten)]
    log: LogOptions,
}

impl Client {
    /// Runs until it has reason to end.
    pub fn run(self) -> ExitCode {
        let name = self.name.clone().unwrap_or_else(default_name);
        for (what, name) in [("--name", &name), ("--room", &self.room)] {
            if let Err(reason) = check_name(name) {
                return exit::with(exit::USAGE, format!("{what}: {reason}"));
            }
        }
        let runtime = match super::runtime() {
            Ok(runtime) => runtime,
            Err(error) => return exit::with(exit::INTERNAL, error),
        };
        let target = match self.target.clone() {
            Some(target) => target,
            None => match runtime.block_on(self.find()) {
                Ok(target) => target,
                Err(code) => return code,
            },
        };
        let draws = !self.snapshot && io::stdout().is_terminal() && io::stdin().is_terminal();
        let (log, _guard) = match self.log.open(draws) {
            Ok(log) => log,
            Err(reason) => return exit::with(exit::INTERNAL, reason),
        };
        let kind = self.terminal();
        let mode = match (self.snapshot, self.once) {
            (true, _) => Mode::Snapshot { timeout: self.timeout, delay: self.snapshot_delay },
            (false, true) => Mode::Once { timeout: self.timeout },
            (false, false) => Mode::Stay,
        };
        let config = Config {
            target,
            name,
            room: self.room.clone(),
            microphone: self.mic.clone(),
            speaker: self.speaker.clone(),
            camera: self.video.clone(),
            pictures_per_second: self.fps,
            save_pictures: self.save_pictures.clone(),
            says: self.say.clone(),
            mode,
            screen: draws.then_some(kind),
            print: kind,
            log: log.clone(),
        };
        let ended = runtime.block_on(async {
            let signals = super::signals()?;
            io::Result::Ok(Box::pin(client::run(config, signals)).await)
        });
        // a name that still resolves must not hold up the end
        runtime.shutdown_background();
        match ended {
            Ok(ended) => self.finish(&ended, &log),
            Err(error) => exit::with(exit::INTERNAL, error),
        }
    }

    fn finish(&self, ended: &client::Ended, log: &crate::log::Log) -> ExitCode {
        let (code, reason) = match &ended.outcome {
            Outcome::Done => (exit::DONE, "done"),
            Outcome::Unreachable(reason) => (exit::UNREACHABLE, reason.as_str()),
            Outcome::Refused(reason) => (exit::REFUSED, reason.as_str()),
            Outcome::NothingCame(reason) => (exit::NOTHING_CAME, reason.as_str()),
            Outcome::Lost(reason) => (exit::LOST, reason.as_str()),
            Outcome::NoDevice(reason) => (exit::NO_DEVICE, reason.as_str()),
        };
        log.emit(Event::ClientEnded { exit_code: code, reason: reason.to_owned() });
        let mut text = ended.snapshot.clone().unwrap_or_default();
        if self.stats.is_some() {
            writeln!(text, "{}", ended.stats).expect("writing to a String does not fail");
        }
        if let Err(error) = super::print(&text) {
            return exit::with(exit::INTERNAL, format!("stdout: {error}"));
        }
        if code == exit::DONE { ExitCode::SUCCESS } else { exit::with(code, reason) }
    }

    /// Looks for a server: one is joined, several are listed.
    async fn find(&self) -> Result<Target, ExitCode> {
        let interfaces = (!self.mdns_interface.is_empty()).then(|| self.mdns_interface.clone());
        let options = BrowseOptions { interfaces, timeout: BROWSE, stop_after_first: false };
        let found = mdns::browse(options).await.map_err(|error| {
            exit::with(exit::UNREACHABLE, format!("mDNS: {error}; give a target, for instance :7460"))
        })?;
        match &found[..] {
            [] => {
                let reason = "no server was found by mDNS; give a target, for instance :7460 or ws://HOST:7461";
                Err(exit::with(exit::UNREACHABLE, reason))
            }
            [one] => target_of(one).ok_or_else(|| {
                exit::with(exit::UNREACHABLE, format!("{:?} announces no address that can be dialled", one.instance))
            }),
            several => {
                let mut text = "several servers were found; choose one:".to_owned();
                for found in several {
                    let target = target_of(found).map_or_else(|| "no address".to_owned(), |t| t.to_string());
                    write!(text, "\n  {target}  {}", found.instance).expect("writing to a String does not fail");
                }
                Err(exit::with(exit::USAGE, text))
            }
        }
    }

    fn terminal(&self) -> TerminalKind {
        let (columns, rows) = terminal_size();
        let utf8 = ["LC_ALL", "LC_CTYPE", "LANG"]
            .iter()
            .find_map(|name| env::var(name).ok().filter(|v| !v.is_empty()))
            .is_some_and(|v| v.to_ascii_lowercase().replace('-', "").contains("utf8"));
        TerminalKind { colors: self.colors(), utf8, columns, rows }
    }

    /// `NO_COLOR`, `CLICOLOR_FORCE` and `TERM=dumb` are honoured.
    fn colors(&self) -> ColorMode {
        let set = |name: &str| env::var_os(name).is_some_and(|v| !v.is_empty() && v != "0");
        let term = env::var("TERM").unwrap_or_default();
        let wanted = match self.color.as_str() {
            "always" => true,
            "never" => false,
            _ if set("NO_COLOR") => false,
            _ if set("CLICOLOR_FORCE") => true,
            _ => io::stdout().is_terminal() && term != "dumb" && !term.is_empty(),
        };
        if !wanted {
            return ColorMode::None;
        }
        let truecolor = env::var("COLORTERM").is_ok_and(|v| v == "truecolor" || v == "24bit");
        match (truecolor, term.contains("256color")) {
            (true, _) => ColorMode::TrueColor,
            (false, true) => ColorMode::Ansi256,
            (false, false) => ColorMode::Ansi16,
        }
    }
}

/// Of the terminal; of a pipe `COLUMNS` and `LINES`, or 80x24.
fn terminal_size() -> (u16, u16) {
    let of = |name: &str, default: u16| {
        env::var(name).ok().and_then(|v| v.parse().ok()).filter(|n| (1..=1_000).contains(n)).unwrap_or(default)
    };
    let seen = if io::stdout().is_terminal() { crossterm::terminal::size().ok() } else { None };
    seen.unwrap_or_else(|| (of("COLUMNS", 80), of("LINES", 24)))
}

/// TCP where the server offers it, else its WebSocket.
fn target_of(found: &Found) -> Option<Target> {
    let host = found.addresses.first()?;
    let host = if host.is_ipv6() { format!("[{host}]") } else { host.to_string() };
    let text = match found.websocket_port {
        // a server without its framed listener announces the WebSocket's port for both
        Some(port) if port == found.port => format!("ws://{host}:{port}{}", found.path),
        _ => format!("tcp://{host}:{}", found.port),
    };
    text.parse().ok()
}

fn default_name() -> String {
    let user = env::var("USER").ok().filter(|name| check_name(name).is_ok());
    user.unwrap_or_else(|| format!("guest-{:04}", rand::random::<u16>() % 10_000))
}

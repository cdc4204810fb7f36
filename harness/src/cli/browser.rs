//! `sidetone-harness browser`: a browser that looks like `sidetone client` from outside.

use super::{fail, print};
use crate::browser::{self, Ended, Outcome, Setup};
use clap::Args;
use sidetone::clock::parse_duration;
use sidetone::device::{CameraSpec, MicrophoneSpec, SpeakerSpec};
use sidetone::event::{Event, Level};
use sidetone::log::{Format, Log};
use sidetone::net::dial::Target;
use sidetone::protocol::control::check_name;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Exit codes of `sidetone client`, which this subcommand stands in for.
mod code {
    pub(super) const INTERNAL: u8 = 1;
    pub(super) const USAGE: u8 = 2;
    pub(super) const UNREACHABLE: u8 = 4;
    pub(super) const REFUSED: u8 = 5;
    pub(super) const NOTHING_CAME: u8 = 6;
    pub(super) const LOST: u8 = 7;
    pub(super) const NO_DEVICE: u8 = 8;
}

const AFTER_HELP: &str = "\
Exit codes are those of `sidetone client`: 0 ended by SIGTERM or SIGINT, 1 internal error, 2 usage, 4 the page or the server \
could not be reached, 5 the server said no, 6 what was reached gave no page or no answer, 7 the connection or the browser was \
lost, 8 no browser, or a file that cannot be used.";

/// Join a room with a real browser.
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Browser {
    /// ws://HOST:PORT, http://HOST:PORT or HOST:PORT of a Sidetone server.
    #[arg(value_parser = parse_target)]
    target: Target,
    /// Your name: 1 to 32 characters, unique in the room.
    #[arg(long, default_value = "browser")]
    name: String,
    /// The room; it is made when the first one joins.
    #[arg(long, default_value = "lobby")]
    room: String,
    /// What the fake microphone gives.
    #[arg(long, value_name = "tone:HZ|wav:FILE|silence|none", default_value = "none")]
    mic: MicrophoneSpec,
    /// Let the browser clean up the microphone's sound as for a person: echo, noise, and with it any tone.
    #[arg(long)]
    cleanup: bool,
    /// What the fake camera gives.
    #[arg(long, value_name = "test-pattern|image:FILE|none", default_value = "none")]
    video: CameraSpec,
    /// Where what the page plays is recorded.
    #[arg(long, value_name = "wav:FILE|null|none", default_value = "null")]
    speaker: SpeakerSpec,
    /// At the end write the last picture of each participant into this folder.
    #[arg(long, value_name = "FOLDER")]
    save_pictures: Option<PathBuf>,
    /// A chat line, said when SIGUSR2 comes; several are said in turn. SIGUSR1 switches the microphone.
    #[arg(long, value_name = "LINE")]
    say: Vec<String>,
    /// Write NAME.lobby.png, NAME.call.png and NAME.end.png into this folder.
    #[arg(long, value_name = "FOLDER")]
    screenshots: Option<PathBuf>,
    /// At the end print the page's statistics on stdout.
    #[arg(long, value_name = "json", value_parser = ["json"])]
    stats: Option<String>,
    /// The browser [default: that of `SIDETONE_BROWSER`, or the first of chromium, chrome, edge, brave that is installed].
    #[arg(long = "browser", value_name = "PATH")]
    program: Option<PathBuf>,
    /// Patience for the page, and with --once for a connection.
    #[arg(long, value_parser = parse_duration, default_value = "10s", value_name = "DURATION")]
    timeout: Duration,
    /// End when there is no connection for --timeout.
    #[arg(long)]
    once: bool,
    /// Stay so long in the lobby before joining.
    #[arg(long, value_parser = parse_duration, default_value = "0s", value_name = "DURATION")]
    lobby: Duration,
    /// Open http://NAME:PORT/, a name made up for the target's address.
    #[arg(long, value_name = "NAME", value_parser = parse_host_name)]
    host_name: Option<String>,
    /// Deny microphone and camera when the page asks for them.
    #[arg(long)]
    deny_capture: bool,
    /// Open the page by a link that holds name and room, so that only the click is left to do.
    #[arg(long)]
    by_link: bool,
    /// Join by the page's URL, without the click that would allow sound.
    #[arg(long)]
    lock_autoplay: bool,
    /// Put this Content-Security-Policy in the place of the page's own, as a proxy in front might.
    #[arg(long, value_name = "CSP")]
    page_policy: Option<String>,
    /// Evaluate this script in the page before its own, to measure there; what it says on the console is an event.
    #[arg(long, value_name = "FILE", value_parser = read_script)]
    script: Option<String>,
    /// Inner size of the window.
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "1280x800", value_parser = parse_size)]
    window: (u32, u32),
    /// Prefer dark colours.
    #[arg(long)]
    dark: bool,
    /// With a window that one can see.
    #[arg(long)]
    headed: bool,
    /// Events as lines for people, or as JSON lines.
    #[arg(long, value_parser = parse_format, default_value = "pretty", value_name = "pretty|json")]
    log_format: Format,
    /// Append events to a file instead of stderr.
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// Least severe level to log.
    #[arg(long, default_value = "info", value_name = "error|warn|info|debug")]
    log_level: Level,
}

impl Browser {
    pub(super) fn run(self) -> ExitCode {
        for (what, name) in [("--name", &self.name), ("--room", &self.room)] {
            if let Err(reason) = check_name(name) {
                return fail(code::USAGE, format!("{what}: {reason}"));
            }
        }
        let log = Log::open(self.log_format, self.log_level, self.log_file.as_deref());
        let (log, _guard) = match log {
            Ok(log) => log,
            Err(error) => {
                let file = self.log_file.map_or_else(|| "stderr".to_owned(), |f| f.display().to_string());
                return fail(
                    code::INTERNAL,
                    format!("{file}: the log cannot be opened: {error}; give another --log-file"),
                );
            }
        };
        let runtime = super::runtime().and_then(|runtime| Ok((runtime, std::env::current_exe()?)));
        let (runtime, supervisor) = match runtime {
            Ok(found) => found,
            Err(error) => return fail(code::INTERNAL, error),
        };
        let ended = runtime.block_on(async {
            let shutdown = signals()?;
            io::Result::Ok(Box::pin(browser::run(self.setup(supervisor, log.clone()), shutdown)).await)
        });
        runtime.shutdown_background();
        match ended {
            Ok(ended) => finish(&ended, &log),
            Err(error) => fail(code::INTERNAL, error),
        }
    }

    fn setup(self, supervisor: PathBuf, log: Log) -> Setup {
        Setup {
            target: self.target,
            host_name: self.host_name,
            name: self.name,
            room: self.room,
            microphone: self.mic,
            cleanup: self.cleanup,
            camera: self.video,
            speaker: self.speaker,
            save_pictures: self.save_pictures,
            says: self.say,
            screenshots: self.screenshots,
            stats: self.stats.is_some(),
            browser: self.program,
            supervisor,
            timeout: self.timeout,
            once: self.once,
            lobby: self.lobby,
            deny_capture: self.deny_capture,
            by_link: self.by_link,
            lock_autoplay: self.lock_autoplay,
            page_policy: self.page_policy,
            script: self.script,
            window: self.window,
            dark: self.dark,
            headed: self.headed,
            chatty: self.log_level == Level::Debug,
            log,
        }
    }
}

fn finish(ended: &Ended, log: &Log) -> ExitCode {
    let (exit_code, reason) = match &ended.outcome {
        Outcome::Done => (0, "done"),
        Outcome::Unreachable(reason) => (code::UNREACHABLE, reason.as_str()),
        Outcome::Refused(reason) => (code::REFUSED, reason.as_str()),
        Outcome::NothingCame(reason) => (code::NOTHING_CAME, reason.as_str()),
        Outcome::Lost(reason) => (code::LOST, reason.as_str()),
        Outcome::NoDevice(reason) => (code::NO_DEVICE, reason.as_str()),
    };
    log.emit(Event::ClientEnded { exit_code, reason: reason.to_owned() });
    if let Some(stats) = &ended.stats
        && let Err(error) = print(&stats.to_string())
    {
        return fail(code::INTERNAL, format!("stdout: {error}"));
    }
    if exit_code == 0 { ExitCode::SUCCESS } else { fail(exit_code, reason) }
}

fn parse_target(text: &str) -> Result<Target, String> {
    if text.trim().to_ascii_lowercase().starts_with("tcp://") {
        return Err(
            "a browser speaks no tcp://; give the port of HTTP and WebSocket, for instance ws://HOST:7461".to_owned()
        );
    }
    text.parse().map_err(|error: sidetone::net::dial::TargetError| error.to_string())
}

fn parse_host_name(text: &str) -> Result<String, String> {
    let fits = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if text.split('.').all(fits) { Ok(text.to_owned()) } else { Err("a name such as chat.example".to_owned()) }
}

fn read_script(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

fn parse_size(text: &str) -> Result<(u32, u32), String> {
    let pixels = |text: &str| text.parse::<u32>().ok().filter(|n| (100..=8_000).contains(n));
    let size = text.split_once('x').and_then(|(width, height)| Some((pixels(width)?, pixels(height)?)));
    size.ok_or_else(|| "width and height from 100 to 8000 pixels, for instance 390x844".to_owned())
}

fn parse_format(text: &str) -> Result<Format, String> {
    match text {
        "pretty" => Ok(Format::Pretty),
        "json" => Ok(Format::Json),
        _ => Err("pretty or json".to_owned()),
    }
}

/// SIGTERM or SIGINT, by name.
fn signals() -> io::Result<impl Future<Output = &'static str>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_target_for_a_browser_says_so() {
        for good in ["ws://127.0.0.1:9", "http://localhost:9/?x", "[::1]:9", "127.0.0.1:9"] {
            assert!(parse_target(good).is_ok(), "{good}");
        }
        assert!(parse_target("tcp://h:9").unwrap_err().contains("ws://"));
        assert!(parse_target("https://h:9").unwrap_err().contains("TLS"));
    }

    #[test]
    fn sizes_and_names() {
        assert_eq!(parse_size("390x844"), Ok((390, 844)));
        assert!(["", "390", "x", "1x1", "-5x900", "390x99999"].iter().all(|bad| parse_size(bad).is_err()));
        assert!(parse_host_name("chat.example").is_ok());
        assert!(["", "a..b", "a b", "a:9", "a, MAP b"].iter().all(|bad| parse_host_name(bad).is_err()));
    }
}

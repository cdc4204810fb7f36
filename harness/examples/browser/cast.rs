//! Who takes part: a server, terminal clients, a driven browser; and what they say.

use crate::support::{self, Anything};
use serde_json::Value;
use sidetone_harness::clock::wall_ahead_us;
use sidetone_harness::launch::resources::pressure;
use sidetone_harness::launch::{Launch, Launcher, Process, Stream};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// For whatever has to come; only a broken run waits so long.
const PATIENCE: Duration = Duration::from_secs(30);
const TAP: &str = include_str!("tap.js");

/// Where a call takes place.
pub(crate) struct Stage {
    launcher: Launcher,
    sidetone: PathBuf,
    pub(crate) folder: TempDir,
    pub(crate) server: Process,
    pub(crate) websocket: SocketAddr,
    tcp: SocketAddr,
}

impl Stage {
    /// A server and nobody else.
    pub(crate) async fn new() -> Anything<Self> {
        let (sidetone, _) = support::programs()?;
        let harness = match std::env::args_os().nth(2) {
            Some(path) => PathBuf::from(path).canonicalize()?,
            None => support::programs()?.1,
        };
        let folder = tempfile::tempdir()?;
        let launcher = Launcher { supervisor_exe: harness.clone(), log_dir: folder.path().to_owned() };
        let (server, ready, _) = support::server(&sidetone, harness, folder.path()).await?;
        let [websocket, tcp] = [&ready.websocket, &ready.tcp].map(|all| all.first().copied());
        let websocket = websocket.ok_or("no WebSocket listener")?;
        Ok(Self { launcher, sidetone, folder, server, websocket, tcp: tcp.ok_or("no TCP listener")? })
    }

    /// A terminal client. Its name is also that of its log.
    pub(crate) async fn client(&self, name: &str, args: &[&str]) -> Anything<Player> {
        let launch = Launch::new(name, &self.sidetone).args(["client", &format!("tcp://{}", self.tcp), "--name", name]);
        self.start(launch, args).await
    }

    /// A driven browser with a fresh profile. `tap`: the options of `tap.js`, JSON.
    pub(crate) async fn browser(&self, name: &str, tap: &str, args: &[&str]) -> Anything<Player> {
        let script = self.folder.path().join(format!("{name}.js"));
        std::fs::write(&script, format!("{{ const options = {tap};\n{TAP} }}"))?;
        let target = format!("ws://{}", self.websocket);
        let launch = Launch::new(name, &self.launcher.supervisor_exe)
            .args(["browser", &target, "--name", name, "--script"])
            .args([&script]);
        self.start(launch, args).await
    }

    async fn start(&self, launch: Launch, args: &[&str]) -> Anything<Player> {
        let launch = launch.args(args).args(["--stats", "json", "--log-format", "json", "--log-level", "debug"]);
        Ok(Player { process: self.launcher.launch(&launch).await? })
    }

    /// The end.
    pub(crate) async fn close(mut self) {
        self.server.stop(Duration::from_secs(10)).await;
    }
}

/// A participant.
pub(crate) struct Player {
    pub(crate) process: Process,
}

/// One event of a participant.
pub(crate) struct Said {
    /// `CLOCK_MONOTONIC` in microseconds.
    pub(crate) at_us: f64,
    pub(crate) fields: Value,
}

impl Player {
    /// The first event that fits.
    pub(crate) async fn says(&self, wanted: impl Fn(&str, &Value) -> bool) -> Anything<Said> {
        let mut found = None;
        let parse = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            wanted(line["event"].as_str()?, &line["fields"]).then_some(line)
        };
        let heard = self
            .process
            .wait_for_line(
                Stream::Stderr,
                |line| {
                    found = parse(line);
                    found.is_some()
                },
                PATIENCE,
            )
            .await;
        if let Err(error) = heard {
            return Err(format!("{}: what was waited for did not come: {error:?}", self.process.name).into());
        }
        let line = found.ok_or("the line is gone")?;
        Ok(Said { at_us: line["monotonic_ns"].as_f64().ok_or("no time")? / 1_000.0, fields: line["fields"].clone() })
    }

    /// The first event of that name.
    pub(crate) async fn event(&self, name: &str) -> Anything<Said> {
        self.says(|event, _| event == name).await
    }

    /// When it opened its own `microphone` or `speaker`, in monotonic microseconds.
    pub(crate) async fn opened(&self, kind: &str) -> Anything<f64> {
        Ok(self.says(|event, fields| event == "device.opened" && fields["kind"] == kind).await?.at_us)
    }

    /// All that `tap.js` said of a kind so far.
    pub(crate) async fn tapped(&self, kind: &str) -> Vec<Value> {
        let mut lines = self.process.lines(Stream::Stderr);
        let start = format!("bench {kind} ");
        let mut said = Vec::new();
        let soon = Duration::from_millis(100);
        while let Ok(Some(line)) = tokio::time::timeout(soon, lines.next()).await {
            let line: Value = serde_json::from_str(&line.text).unwrap_or_default();
            let text = line["fields"]["text"].as_str().and_then(|text| text.strip_prefix(&start));
            said.extend(text.and_then(|json| serde_json::from_str(json).ok()));
        }
        said
    }

    /// Ends it; gives its statistics.
    pub(crate) async fn ends(mut self) -> Anything<Value> {
        let exit = self.process.stop(Duration::from_secs(10)).await;
        if exit.code != Some(0) {
            return Err(format!("{} ended with {:?} {:?}", self.process.name, exit.code, exit.signal).into());
        }
        let line = self.process.wait_for_line(Stream::Stdout, |line| line.starts_with('{'), PATIENCE).await;
        let line = line.map_err(|error| format!("{}: no statistics: {error:?}", self.process.name))?;
        Ok(serde_json::from_str(&line.text)?)
    }
}

/// Microseconds since 1970 as `CLOCK_MONOTONIC`.
pub(crate) fn monotonic_us(wall_us: f64) -> f64 {
    wall_us - wall_ahead_us() as f64
}

/// How busy the machine was meanwhile, in the words of its line.
pub(crate) struct Load {
    began_us: f64,
    waited_us: Option<u64>,
}

impl Load {
    pub(crate) fn begin() -> Self {
        Self { began_us: sidetone::clock::monotonic().as_secs_f64() * 1e6, waited_us: pressure() }
    }

    pub(crate) fn tell(self) -> Anything<()> {
        let took = sidetone::clock::monotonic().as_secs_f64() * 1e6 - self.began_us;
        let figure = match (self.waited_us, pressure()) {
            (Some(before), Some(after)) => format!("{:.0} %", 100.0 * after.saturating_sub(before) as f64 / took),
            _ => "not told by the kernel".to_owned(),
        };
        support::tell(
            "  meanwhile somebody waited for a processor (PSI)",
            &figure,
            "the less, the truer are the lines above",
        )
    }
}

/// The middle of some figures; NaN of none.
pub(crate) fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

//! `sidetone-harness run`.

use super::{colour, command_line, fail, print, print_and_exit, say};
use crate::browser::find;
use crate::diagnosis::outcome::exit;
use crate::evidence::ClientKind;
use crate::launch::{Capture, Launch, Launcher, Stream};
use crate::report::text::Text;
use crate::report::{Reporter, by_name};
use crate::scenario::batch::{Destination, Interrupt};
use crate::scenario::{Batch, Scenario, file, shipped, valid};
use clap::Args;
use sidetone::clock::parse_duration;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// For a program that is asked for its version.
const PATIENCE: Duration = Duration::from_secs(1);

/// Run scenarios: launch, observe, diagnose, report.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// Shipped names, files or folders of files [default: call].
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// List the shipped scenarios.
    #[arg(long)]
    list: bool,
    /// Write a report to a place of its own; `-` is stdout; may be repeated.
    #[arg(long, value_name = "FORMAT=PATH", value_parser = parse_destination)]
    report: Vec<Destination>,
    /// Folder of all runs; each gets a folder of its own there.
    #[arg(long, value_name = "FOLDER", default_value = "reports")]
    out: PathBuf,
    /// Newest runs that are kept in that folder.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    keep: u16,
    /// Run each scenario so many times.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    repeat: u32,
    /// Seed of all chance in the harness [default: drawn, and written into the report].
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Deadline of the whole run; the report is still written.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// How long each call is observed, instead of what the scenario says.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// The `sidetone` binary [default: beside this one, then on PATH].
    #[arg(long, value_name = "PATH")]
    sidetone: Option<PathBuf>,
    /// A `sidetone` built to misbehave, for scenarios that need one [default: beside this one, or in target/sabotage].
    #[arg(long, value_name = "PATH")]
    saboteur: Option<PathBuf>,
    /// The browser for clients of that kind [default: the first of chromium, Chrome, Edge and Brave that is installed].
    #[arg(long, value_name = "PATH")]
    browser: Option<PathBuf>,
    /// A scenario with a browser is not skipped where none is installed: nothing is run then.
    #[arg(long, env = "SIDETONE_REQUIRE_BROWSER", value_parser = clap::builder::BoolishValueParser::new())]
    require_browser: bool,
    /// A warning fails too.
    #[arg(long)]
    strict: bool,
}

pub(super) fn parse_destination(text: &str) -> Result<Destination, String> {
    let (format, path) = text.split_once('=').ok_or("FORMAT=PATH is needed, for instance markdown=report.md")?;
    if path.is_empty() {
        return Err("the path is missing, for instance markdown=report.md".to_owned());
    }
    let reporter = by_name(format).map_err(|e| e.to_string())?;
    Ok(Destination { reporter, path: path.into() })
}

impl Run {
    pub(super) fn run(&self) -> ExitCode {
        if self.list {
            return print_and_exit(&list(), exit::GOOD);
        }
        let mut batch = match self.batch() {
            Ok(batch) => batch,
            Err(reason) => return fail(exit::USAGE, reason),
        };
        let wants = |s: &Scenario| s.plan.clients.iter().any(|c| c.kind == ClientKind::Browser);
        if let (true, true, Err(why)) = (self.require_browser, batch.scenarios.iter().any(wants), &batch.browser) {
            return fail(exit::INCONCLUSIVE, format!("a browser is required: {why}"));
        }
        let runtime = match super::runtime() {
            Ok(runtime) => runtime,
            Err(error) => return fail(exit::HARNESS, error),
        };
        batch.sidetone_version = runtime.block_on(version_of(&batch.harness, &batch.sidetone));
        let code = runtime.block_on(self.perform(&batch));
        // a probe that hangs in the system must not hold up the end
        runtime.shutdown_timeout(Duration::from_millis(100));
        code
    }

    async fn perform(&self, batch: &Batch) -> ExitCode {
        let (tell, interrupts) = watch::channel(None);
        let (mut interrupt, mut terminate) = match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
            (Ok(interrupt), Ok(terminate)) => (interrupt, terminate),
            (Err(error), _) | (_, Err(error)) => return fail(exit::HARNESS, format!("signals: {error}")),
        };
        let deadline = self.timeout;
        let watching = tokio::spawn(async move {
            let deadline = async {
                match deadline {
                    Some(after) => tokio::time::sleep(after).await,
                    None => std::future::pending().await,
                }
            };
            let why = tokio::select! {
                _ = interrupt.recv() => Interrupt::Interrupted,
                _ = terminate.recv() => Interrupt::Terminated,
                () = deadline => Interrupt::Deadline,
            };
            tell.send_replace(Some(why));
            std::future::pending::<()>().await; // keeps the channel, and swallows further signals while all is written
        });
        let mut progress = |line: &str| say(line);
        let done = batch.run(interrupts, &mut progress).await;
        watching.abort();
        let done = match done {
            Ok(done) => done,
            Err(error) => return fail(exit::HARNESS, error),
        };
        for problem in &done.problems {
            say(&format!("sidetone-harness: not written: {problem}"));
        }
        say(&format!("report: {}", done.folder.join("report.md").display()));
        let texts = if done.stdout.is_empty() {
            vec![Text { colour: colour(), every_step: false }.render(&done.report)]
        } else {
            done.stdout.clone()
        };
        for text in texts {
            if let Err(error) = print(&text) {
                return fail(exit::HARNESS, format!("stdout: {error}"));
            }
        }
        ExitCode::from(done.exit_code())
    }

    fn batch(&self) -> Result<Batch, String> {
        let asked = if self.scenarios.is_empty() { vec![shipped::DEFAULT.to_owned()] } else { self.scenarios.clone() };
        let mut scenarios: Vec<Scenario> = Vec::new();
        for name in &asked {
            scenarios.extend(file::find(name).map_err(|e| e.to_string())?);
        }
        if let Some(duration) = self.duration {
            let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
            for scenario in &mut scenarios {
                let spare = scenario.plan.timeout_ms.saturating_sub(scenario.plan.duration_ms);
                scenario.plan.duration_ms = ms;
                scenario.plan.timeout_ms = ms.saturating_add(spare);
                valid::long_enough(&scenario.plan)
                    .map_err(|e| format!("--duration: {}: {e}", scenario.plan.scenario))?;
            }
        }
        for (i, scenario) in scenarios.iter().enumerate() {
            if scenarios[..i].iter().any(|s| s.plan.scenario == scenario.plan.scenario) {
                let (name, origin) = (&scenario.plan.scenario, &scenario.origin);
                return Err(format!(
                    "{origin}: there are two scenarios of the name {name:?}; use --repeat, or rename one"
                ));
            }
        }
        let harness = std::env::current_exe().map_err(|e| format!("this program's own path: {e}"))?;
        let sidetone = self.sidetone(&harness)?;
        Ok(Batch {
            scenarios,
            repeat: self.repeat,
            seed: self.seed.unwrap_or_else(rand::random),
            root: self.out.clone(),
            keep: usize::from(self.keep),
            sidetone_version: None,
            saboteur: self.saboteur(&harness)?,
            browser: self.browser()?,
            sidetone,
            harness,
            command: command_line(),
            asked: self.scenarios.clone(),
            strict: self.strict,
            destinations: self.report.clone(),
        })
    }

    /// That none is installed is no mistake of whoever runs this; that the named one is not there is.
    fn browser(&self) -> Result<Result<PathBuf, String>, String> {
        match find::find(self.browser.as_deref()) {
            Err(wrong @ find::NoBrowser::NotThere { .. }) => Err(wrong.to_string()),
            found => Ok(found.map_err(|why| why.to_string())),
        }
    }

    /// The one that misbehaves on purpose; a scenario that needs it and has none says so.
    fn saboteur(&self, harness: &Path) -> Result<Option<PathBuf>, String> {
        if let Some(path) = &self.saboteur {
            let missing = || format!("--saboteur {}: there is no such file; `make sabotage` builds it", path.display());
            return if path.is_file() { Ok(Some(path.clone())) } else { Err(missing()) };
        }
        let built = harness.parent().and_then(Path::parent).map(|target| target.join("sabotage/sidetone"));
        let places = [Some(harness.with_file_name("sidetone-saboteur")), built];
        Ok(places.into_iter().flatten().find(|path| path.is_file()))
    }

    /// Beside this binary, then on PATH, or where `--sidetone` says.
    fn sidetone(&self, harness: &Path) -> Result<PathBuf, String> {
        if let Some(path) = &self.sidetone {
            let found = path.is_file() || (path.components().count() == 1 && on_path(path).is_some());
            return if found {
                Ok(path.clone())
            } else {
                Err(format!("--sidetone {}: there is no such file; build it with `cargo build`", path.display()))
            };
        }
        let beside = harness.with_file_name("sidetone");
        if beside.is_file() {
            return Ok(beside);
        }
        on_path(Path::new("sidetone")).ok_or_else(|| {
            format!(
                "no sidetone beside {} nor on PATH; build it with `cargo build` or give --sidetone PATH",
                harness.display()
            )
        })
    }
}

fn on_path(name: &Path) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|p| p.is_file())
}

/// `0.1.0`, or `None` if it cannot be asked. Whatever the program does instead of answering is ended.
async fn version_of(harness: &Path, sidetone: &Path) -> Option<String> {
    // nothing is kept of what it prints
    let launcher = Launcher { supervisor_exe: harness.to_owned(), log_dir: "/dev".into() };
    let capture = Capture { stdout: "null".to_owned(), stderr: "null".to_owned(), limit_bytes: 0 };
    let launch = Launch { capture, ..Launch::new("version", sidetone).args(["--version"]) };
    let mut process = launcher.launch(&launch).await.ok()?;
    let line = process.wait_for_line(Stream::Stdout, |_| true, PATIENCE).await.ok();
    let exit = match process.wait(PATIENCE).await {
        Some(exit) => exit,
        None => process.stop(PATIENCE).await,
    };
    drop(process.finish(PATIENCE).await);
    let text = line?.text;
    let text = text.trim();
    let version = text.strip_prefix("sidetone ").unwrap_or(text).to_owned();
    (exit.code == Some(0) && !version.is_empty()).then_some(version)
}

fn list() -> String {
    let line = |(name, text): (&str, &str)| {
        let title = text.lines().find_map(|l| l.strip_prefix("title = ")).unwrap_or_default();
        format!("{name:<26} {}\n", title.trim_matches('"'))
    };
    let group = format!("{:<26} all scenarios that break something on purpose\n", shipped::FAULTS_NAME);
    shipped::all().map(line).collect::<String>() + &group
}

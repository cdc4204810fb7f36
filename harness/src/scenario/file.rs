//! A scenario file: what may be in it, and what it means.

use super::shipped;
use super::valid::check;
use crate::evidence::{ClientKind, ClientPlan, Fault, Limits, Millis, Network, Plan, ServerPlan, Status, Step};
use serde::Deserialize;
use sidetone::event::{Family, Transport};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

/// Something is wrong with a scenario; nothing ran.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// No shipped scenario and no file of that name.
    #[error("{name}: no such scenario or file{hint}; shipped: {shipped}")]
    Unknown {
        /// As asked.
        name: String,
        /// `, did you mean ...?` or empty.
        hint: String,
        /// Names of the shipped ones.
        shipped: String,
    },
    /// The file cannot be read.
    #[error("{path}: {reason}")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        reason: String,
    },
    /// The file is not a scenario.
    #[error("{path}: {reason}")]
    Invalid {
        /// Which, with the line where it is known.
        path: String,
        /// What is wrong and how to mend it.
        reason: String,
    },
}

/// A checked scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// What is to be done.
    pub plan: Plan,
    /// Where it came from, for people.
    pub origin: String,
    /// What names it on the command line.
    pub word: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    #[serde(default)]
    title: String,
    #[serde(default = "three_seconds")]
    duration: String,
    #[serde(default = "half_a_minute")]
    timeout: String,
    #[serde(default = "ten_seconds")]
    patience: String,
    #[serde(default)]
    network: Network,
    #[serde(default)]
    server: RawServer,
    #[serde(default, rename = "client")]
    clients: Vec<RawClient>,
    #[serde(default, rename = "step")]
    steps: Vec<Step>,
    #[serde(default)]
    limits: Limits,
    #[serde(default, rename = "fault")]
    faults: Vec<Fault>,
    #[serde(default)]
    expect: RawExpect,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawServer {
    bind: Vec<IpAddr>,
    port: u16,
    websocket_port: u16,
    ready_within: String,
    launch: bool,
    mdns: bool,
    args: Vec<String>,
}

impl Default for RawServer {
    fn default() -> Self {
        let bind = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        Self {
            bind,
            port: 0,
            websocket_port: 0,
            ready_within: ten_seconds(),
            launch: true,
            mdns: false,
            args: Vec::new(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClient {
    name: String,
    #[serde(default)]
    kind: ClientKind,
    /// A browser has but one.
    transport: Option<Transport>,
    family: Family,
    #[serde(default = "none")]
    mic: String,
    #[serde(default = "none")]
    video: String,
    #[serde(default)]
    after: Option<Millis>,
    #[serde(default)]
    snapshot: bool,
    #[serde(default)]
    hears: Vec<String>,
    #[serde(default)]
    sees: Vec<String>,
    #[serde(default)]
    says: Vec<String>,
    #[serde(default)]
    args: Vec<String>,
}

impl RawClient {
    fn plan(self) -> Result<ClientPlan, String> {
        let transport = match (self.kind, self.transport) {
            (_, Some(transport)) => transport,
            (ClientKind::Browser, None) => Transport::WebSocket,
            (ClientKind::Terminal, None) => {
                return Err(format!("client {:?}: transport is missing: \"tcp\" or \"websocket\"", self.name));
            }
        };
        Ok(ClientPlan {
            name: self.name,
            kind: self.kind,
            transport,
            family: self.family,
            mic: self.mic,
            video: self.video,
            after: self.after,
            snapshot: self.snapshot,
            hears: self.hears,
            sees: self.sees,
            says: self.says,
            args: self.args,
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawExpect {
    cause: Option<String>,
    status: Option<Status>,
    pass: Vec<String>,
}

fn none() -> String {
    "none".to_owned()
}
fn three_seconds() -> String {
    "3s".to_owned()
}
fn ten_seconds() -> String {
    "10s".to_owned()
}
fn half_a_minute() -> String {
    "30s".to_owned()
}

/// Ends the origin of a shipped scenario.
const SHIPPED: &str = " (shipped)";

/// Finds scenarios by what a person typed: a shipped name, a file, or a folder of files (in the order of their names).
///
/// # Errors
/// See [`ScenarioError`].
pub fn find(asked: &str) -> Result<Vec<Scenario>, ScenarioError> {
    let read_shipped =
        |(name, text): (&str, &str)| parse(text, &format!("{name}{SHIPPED}"), fixtures_folder().as_deref());
    if asked == shipped::FAULTS_NAME {
        return shipped::FAULTS.iter().copied().map(read_shipped).collect();
    }
    if let Some(found) = shipped::all().find(|(name, _)| *name == asked) {
        return read_shipped(found).map(|s| vec![s]);
    }
    let path = Path::new(asked);
    if path.is_dir() {
        let unreadable =
            |e: std::io::Error| ScenarioError::Unreadable { path: asked.to_owned(), reason: e.to_string() };
        let mut files: Vec<PathBuf> = std::fs::read_dir(path)
            .and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect())
            .map_err(unreadable)?;
        files.retain(|f| f.extension().is_some_and(|e| e == "toml"));
        files.sort();
        if files.is_empty() {
            let reason = "no scenario (*.toml) is in this folder".to_owned();
            return Err(ScenarioError::Invalid { path: asked.to_owned(), reason });
        }
        return files.iter().map(|file| read(file)).collect();
    }
    if path.exists() {
        return read(path).map(|s| vec![s]);
    }
    let shipped: Vec<_> = shipped::all().map(|(name, _)| name).chain([shipped::FAULTS_NAME]).collect();
    let hint = nearest(asked, shipped.iter().copied()).map(|n| format!(", did you mean {n:?}?")).unwrap_or_default();
    Err(ScenarioError::Unknown { name: asked.to_owned(), hint, shipped: shipped.join(", ") })
}

fn read(path: &Path) -> Result<Scenario, ScenarioError> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|e| ScenarioError::Unreadable { path: shown.clone(), reason: e.to_string() })?;
    parse(&text, &shown, path.parent())
}

/// The folder of the shipped scenarios' media: below the working folder, or below a parent of the binary.
fn fixtures_folder() -> Option<PathBuf> {
    let exe = std::env::current_exe().ok();
    let above = exe.iter().flat_map(|exe| exe.ancestors().map(Path::to_owned));
    std::iter::once(PathBuf::from(".")).chain(above).map(|p| p.join("fixtures/scenarios")).find(|p| p.is_dir())
}

/// Reads a scenario. Relative files in it are looked for from `base`.
///
/// # Errors
/// [`ScenarioError::Invalid`].
pub fn parse(text: &str, origin: &str, base: Option<&Path>) -> Result<Scenario, ScenarioError> {
    let invalid = |reason: String| ScenarioError::Invalid { path: origin.to_owned(), reason };
    let raw: Raw = toml::from_str(text).map_err(|e| {
        let line = e.span().map(|s| text[..s.start.min(text.len())].matches('\n').count() + 1);
        let at = line.map(|l| format!(":{l}")).unwrap_or_default();
        ScenarioError::Invalid { path: format!("{origin}{at}"), reason: explain(e.message()) }
    })?;
    known_limits(text).map_err(invalid)?;
    let mut plan = raw.plan().map_err(invalid)?;
    check(&plan).map_err(invalid)?;
    for client in &mut plan.clients {
        client.mic = resolve(&client.mic, "wav:", base).map_err(invalid)?;
        client.video = resolve(&client.video, "image:", base).map_err(invalid)?;
    }
    let word = origin.strip_suffix(SHIPPED).unwrap_or(origin).to_owned();
    Ok(Scenario { plan, origin: origin.to_owned(), word })
}

/// serde's message, with a suggestion where a key is unknown.
fn explain(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match quoted.split_first() {
        Some((unknown, known)) if message.starts_with("unknown field") || message.starts_with("unknown variant") => {
            match nearest(unknown, known.iter().copied()) {
                Some(near) => format!("{message}: did you mean {near:?}?"),
                None => message.to_owned(),
            }
        }
        _ => message.to_owned(),
    }
}

pub(super) fn nearest<'a>(asked: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|k| (strsim::jaro_winkler(k, asked), k))
        .filter(|(like, k)| *like > 0.75 || strsim::osa_distance(k, asked) <= 1)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}

/// Saved evidence may hold limits that only a later version knows; a scenario may not.
fn known_limits(text: &str) -> Result<(), String> {
    let asked = toml::from_str::<toml::Table>(text).ok().and_then(|mut t| t.remove("limits")?.as_table().cloned());
    let known = serde_json::to_value(Limits::default()).unwrap_or_default();
    let known: Vec<_> = known.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    match asked.unwrap_or_default().keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => {
            let hint =
                nearest(key, known.iter().copied()).map(|n| format!(": did you mean {n:?}?")).unwrap_or_default();
            Err(format!("limits: unknown field `{key}`, expected one of {}{hint}", known.join(", ")))
        }
    }
}

const SHIPPED_MEDIA: &str = "those of shipped scenarios are in fixtures/media of the source tree: run it from there";

/// `wav:FILE` with FILE made absolute; the file must be there.
fn resolve(spec: &str, prefix: &str, base: Option<&Path>) -> Result<String, String> {
    let Some(file) = spec.strip_prefix(prefix) else { return Ok(spec.to_owned()) };
    let path = base.map_or_else(|| PathBuf::from(file), |base| base.join(file));
    let whole = path.canonicalize().map_err(|e| {
        format!("{spec}: {}: {e}; give a path from the scenario's own folder ({SHIPPED_MEDIA})", path.display())
    })?;
    Ok(format!("{prefix}{}", whole.display()))
}

impl Raw {
    fn plan(self) -> Result<Plan, String> {
        let duration = |key: &str, text: &str| {
            sidetone::clock::parse_duration(text).map(sidetone::clock::millis).map_err(|e| format!("{key}: {e}"))
        };
        let clients: Result<Vec<_>, String> = self.clients.into_iter().map(RawClient::plan).collect();
        Ok(Plan {
            probe: None,
            title: if self.title.is_empty() { self.name.clone() } else { self.title },
            scenario: self.name,
            duration_ms: duration("duration", &self.duration)?,
            timeout_ms: duration("timeout", &self.timeout)?,
            patience_ms: duration("patience", &self.patience)?,
            network: self.network,
            server: ServerPlan {
                bind: self.server.bind,
                port: self.server.port,
                websocket_port: self.server.websocket_port,
                ready_within_ms: duration("server.ready_within", &self.server.ready_within)?,
                launch: self.server.launch,
                mdns: self.server.mdns,
                args: self.server.args,
            },
            clients: clients?,
            steps: self.steps,
            limits: self.limits,
            faults: self.faults,
            expected_cause: self.expect.cause,
            expected_status: self.expect.status,
            expected_pass: self.expect.pass,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text, "x.toml", None).unwrap_err().to_string()
    }

    #[test]
    fn shipped_scenarios_are_valid() {
        for (name, text) in shipped::all() {
            let base = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/scenarios"));
            assert_eq!(parse(text, name, Some(base)).unwrap().plan.scenario, name);
        }
    }

    #[test]
    fn errors_name_the_object_and_the_remedy() {
        let cases = [
            ("name = \"x\"\ntimeuot = \"3s\"", "x.toml:2: unknown field `timeuot`", "did you mean \"timeout\"?"),
            ("name = \"x\"\nduration = \"soon\"", "duration: \"soon\" is no duration", "500ms"),
            ("name = \"x\"\nduration = \"40s\"", "timeout: 30000 ms", "40000"),
            ("name = \"x\"\n[limits]\nsssim = 0.5", "limits: unknown field `sssim`", "did you mean \"ssim\"?"),
            ("name = \"../x\"", "name: \"../x\"", "letters"),
            ("name = \"x\"\n[server]\nargs = [\"--port\", \"70000\"]", "--port 70000", "0 to 65535"),
            ("name = \"x\"\n[server]\nargs = [\"--websocket-port=-1\"]", "--websocket-port -1", "0 to 65535"),
            ("name = \"x\"\n[server]\nbind = [\"localhost\"]", "x.toml:3", ""),
            (
                "name = \"x\"\n[[client]]\nname = \"ada\"\ntransport = \"tcp\"\nfamily = \"ipv4\"\nhears = [\"adda\"]",
                "there is no client \"adda\"",
                "did you mean \"ada\"?",
            ),
            (
                "name = \"x\"\n[[client]]\nname = \"a\"\ntransport = \"tpc\"\nfamily = \"ipv4\"",
                "unknown variant `tpc`",
                "did you mean \"tcp\"?",
            ),
            (
                "name = \"x\"\n[[client]]\nname = \"a\"\ntransport = \"tcp\"\nfamily = \"ipv4\"\nmic = \"wav:no.wav\"",
                "wav:no.wav",
                "No such file",
            ),
            (
                "name = \"x\"\n[[client]]\nname = \"a\"\ntransport = \"tcp\"\nfamily = \"ipv4\"\nmic = \"tone:2\"",
                "client \"a\"",
                "20 to 20000",
            ),
        ];
        told(&cases);
    }

    fn told(cases: &[(&str, &str, &str)]) {
        for (text, object, remedy) in cases {
            let error = error(text);
            assert!(error.contains(object) && error.contains(remedy), "{error}");
        }
    }

    #[test]
    fn a_fault_that_cannot_be_meant_is_told_before_anything_runs() {
        let cases = [
            (
                "name = \"x\"\n[[client]]\nname = \"a\"\ntransport = \"tcp\"\nfamily = \"ipv4\"\n[[fault]]\nkind = \"hold_prot\"",
                "unknown variant `hold_prot`",
                "did you mean \"hold_port\"?",
            ),
            (
                "name = \"x\"\n[[client]]\nname = \"a\"\ntransport = \"tcp\"\nfamily = \"ipv4\"\n[[fault]]\nkind = \"signal\"\nprocess = \"sever\"\nsignal = \"SIGSTOP\"",
                "fault signal: there is no \"sever\"",
                "did you mean \"server\"?",
            ),
            (
                "name = \"x\"\n[[client]]\nname = \"a\"\ntransport = \"tcp\"\nfamily = \"ipv4\"\n[[fault]]\nkind = \"signal\"\nprocess = \"server\"\nsignal = \"SIGFOO\"",
                "\"SIGFOO\" is no signal",
                "for instance SIGSTOP",
            ),
            (
                "name = \"x\"\n[[client]]\nname = \"a\"\ntransport = \"tcp\"\nfamily = \"ipv4\"\n[[fault]]\nkind = \"signal\"\nprocess = \"a\"\nsignal = \"SIGSTOP\"",
                "a is a client",
                "after = \"500ms\"",
            ),
            (
                "name = \"x\"\n[[client]]\nname = \"a\"\ntransport = \"tcp\"\nfamily = \"ipv4\"\n[[fault]]\nkind = \"pause\"\nprocess = \"a\"\nhold = \"2s\"\nevery = \"1s\"",
                "fault pause",
                "less than every",
            ),
            (
                "name = \"x\"\n[[client]]\nname = \"a\"\ntransport = \"tcp\"\nfamily = \"ipv4\"\n[[fault]]\nkind = \"stall\"\nclient = \"server\"\nhold = \"1s\"\nevery = \"2s\"",
                "fault stall: there is no \"server\"",
                "",
            ),
            (
                "name = \"x\"\n[[client]]\nname = \"a\"\ntransport = \"tcp\"\nfamily = \"ipv4\"\n[[fault]]\nkind = \"stall\"\nclient = \"a\"\nhold = \"1\"\nevery = \"2s\"",
                "\"1\" is no duration",
                "for instance 300ms",
            ),
            (
                "name = \"x\"\n[[client]]\nname = \"a\"\ntransport = \"tcp\"\nfamily = \"ipv4\"\n[[fault]]\nkind = \"exhaust_ports\"\nports = 4",
                "fault exhaust_ports",
                "network = \"private\"",
            ),
            (
                "name = \"x\"\n[[client]]\nname = \"a\"\ntransport = \"tcp\"\nfamily = \"ipv4\"\n[[fault]]\nkind = \"hold_port\"\nlistener = \"tcp\"\nby = \"listener\"\non = []",
                "fault hold_port: on = []",
                "at least one address",
            ),
            (
                "name = \"x\"\n[[client]]\nname = \"a\"\ntransport = \"tcp\"\nfamily = \"ipv4\"\n[[fault]]\nkind = \"end_server\"\n[expect]\ncause = \"tcp.refusd\"",
                "there is no cause \"tcp.refusd\"",
                "did you mean \"tcp.refused\"?",
            ),
            (
                "name = \"x\"\n[[client]]\nname = \"a\"\ntransport = \"tcp\"\nfamily = \"ipv4\"\n[[fault]]\nkind = \"end_server\"\n[expect]\nstatus = \"bad\"",
                "unknown variant `bad`",
                "fail",
            ),
            ("name = \"x\"\n[server]\nlaunch = false", "launch = false", "port and websocket_port"),
        ];
        told(&cases);
    }

    #[test]
    fn an_unknown_name_gets_a_hint() {
        let error = find("cal-speech").unwrap_err().to_string();
        assert!(error.contains("did you mean \"call-speech\"?"), "{error}");
    }
}

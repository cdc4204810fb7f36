//! What TOML's grammar does not say: whether a plan can be run, and can say anything.

use super::file::nearest;
use crate::cause;
use crate::evidence::{ClientKind, Fault, Millis, NO_CAUSE, Network, Plan};
use sidetone::event::{ListenerKind, Transport};

/// The shortest call that says anything about its sound.
const SHORTEST_CALL_MS: u64 = 1_000;

/// Whether the call lasts long enough to be judged.
///
/// # Errors
/// What is wrong, and what would be right.
pub fn long_enough(plan: &Plan) -> Result<(), String> {
    if plan.clients.is_empty() || plan.duration_ms >= SHORTEST_CALL_MS {
        return Ok(());
    }
    Err(format!("duration: {} ms is too short to judge a call; at least 1s", plan.duration_ms))
}

/// What TOML's grammar does not say.
pub(super) fn check(plan: &Plan) -> Result<(), String> {
    let fits = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !fits(&plan.scenario) {
        return Err(format!("name: {:?} has other characters than letters, digits and -", plan.scenario));
    }
    if plan.server.bind.is_empty() {
        return Err("server.bind: at least one address is needed, for instance [\"127.0.0.1\"]".to_owned());
    }
    if plan.timeout_ms <= plan.duration_ms {
        let (timeout, duration) = (plan.timeout_ms, plan.duration_ms);
        return Err(format!("timeout: {timeout} ms is not more than the duration, {duration} ms"));
    }
    long_enough(plan)?;
    faults(plan)?;
    steps(plan)?;
    expectation(plan)?;
    if !plan.server.launch && (plan.server.port == 0 || plan.server.websocket_port == 0) {
        return Err(
            "server: with launch = false give port and websocket_port, so that clients know where to go".to_owned()
        );
    }
    for port in ports(&plan.server.args) {
        port?;
    }
    for (i, client) in plan.clients.iter().enumerate() {
        if !fits(&client.name) || matches!(client.name.as_str(), "server" | "harness" | "observations" | "evidence") {
            return Err(format!("client: {:?} cannot be a client's name here (letters, digits and -)", client.name));
        }
        if plan.clients[..i].iter().any(|other| other.name == client.name) {
            return Err(format!("client: there are two of the name {:?}", client.name));
        }
        for other in client.hears.iter().chain(&client.sees) {
            if !plan.clients.iter().any(|c| c.name == *other) {
                let names = plan.clients.iter().map(|c| c.name.as_str());
                let hint = nearest(other, names).map(|n| format!(", did you mean {n:?}?")).unwrap_or_default();
                return Err(format!("client {:?}: there is no client {other:?}{hint}", client.name));
            }
        }
        let bad = |e: String| format!("client {:?}: {e}", client.name);
        if client.kind == ClientKind::Browser && (client.transport != Transport::WebSocket || client.snapshot) {
            return Err(bad("a browser comes over the websocket transport and takes no snapshot".to_owned()));
        }
        client.mic.parse::<sidetone::device::MicrophoneSpec>().map_err(bad)?;
        client.video.parse::<sidetone::device::CameraSpec>().map_err(bad)?;
    }
    Ok(())
}

/// Whether each fault can be meant.
fn faults(plan: &Plan) -> Result<(), String> {
    let programs: Vec<&str> = std::iter::once("server").chain(plan.clients.iter().map(|c| c.name.as_str())).collect();
    let known = |kind: &str, name: &str, among: &[&str]| {
        let hint = nearest(name, among.iter().copied()).map(|n| format!(", did you mean {n:?}?")).unwrap_or_default();
        if among.contains(&name) { Ok(()) } else { Err(format!("fault {kind}: there is no {name:?}{hint}")) }
    };
    for fault in &plan.faults {
        let kind = fault.kind();
        match fault {
            Fault::Signal { process, signal, after } => {
                known(kind, process, &programs)?;
                signal.parse::<nix::sys::signal::Signal>().map_err(|_| {
                    format!("fault {kind}: {signal:?} is no signal, for instance SIGSTOP, SIGKILL or SIGSEGV")
                })?;
                if after.is_some_and(|after| after.0 >= plan.duration_ms) {
                    return Err(format!("fault {kind}: after must be less than the duration, {} ms", plan.duration_ms));
                }
                if after.is_none() && process != "server" {
                    return Err(format!(
                        "fault {kind}: {process} is a client; say how long after all have joined: after = \"500ms\""
                    ));
                }
            }
            Fault::Pause { process, hold, every } => {
                known(kind, process, &programs)?;
                shorter(kind, *hold, *every)?;
            }
            Fault::Stall { client, hold, every } => {
                known(kind, client, &programs[1..])?;
                shorter(kind, *hold, *every)?;
            }
            Fault::DisableIpv6 {} | Fault::ExhaustPorts { .. } if plan.network != Network::Private => {
                return Err(format!("fault {kind}: only with network = \"private\""));
            }
            Fault::ExhaustPorts { ports } => {
                if !(1..=1_000).contains(ports) {
                    return Err(format!("fault {kind}: ports = {ports}: 1 to 1000"));
                }
            }
            Fault::HoldPort { listener, .. } if holders_of(plan, *listener) > 1 => {
                return Err(format!("fault {kind}: two of them for the {listener} listener, which has one port"));
            }
            Fault::HoldPort { on, .. } if on.is_empty() => {
                return Err(format!("fault {kind}: on = []: at least one address, for instance [\"127.0.0.1\"]"));
            }
            Fault::RestartServer { after, down } if after.0 + down.0 >= plan.duration_ms => {
                let whole = plan.duration_ms;
                return Err(format!(
                    "fault {kind}: after and down together must be less than the duration, {whole} ms"
                ));
            }
            Fault::EndServer { after_page_of: Some(client) }
            | Fault::PagePolicy { client, .. }
            | Fault::HostName { client, .. }
            | Fault::DenyCapture { client }
            | Fault::LockAutoplay { client } => {
                let browsers = plan.clients.iter().filter(|c| c.kind == ClientKind::Browser);
                known(kind, client, &browsers.map(|c| c.name.as_str()).collect::<Vec<_>>())
                    .map_err(|e| format!("{e} among the clients of kind \"browser\""))?;
            }
            Fault::HoldPort { .. }
            | Fault::RestartServer { .. }
            | Fault::DisableIpv6 {}
            | Fault::DropNetBind {}
            | Fault::BlockLog {}
            | Fault::LimitDescriptors { .. }
            | Fault::EndServer { after_page_of: None }
            | Fault::Sabotage { .. } => {}
        }
    }
    Ok(())
}

/// Whether each step can be done.
fn steps(plan: &Plan) -> Result<(), String> {
    for step in &plan.steps {
        if !plan.clients.iter().any(|c| c.name == step.client) {
            return Err(format!("step: there is no client {:?}", step.client));
        }
        if step.after.0 >= plan.duration_ms {
            return Err(format!("step: after must be less than the duration, {} ms", plan.duration_ms));
        }
    }
    Ok(())
}

fn holders_of(plan: &Plan, wanted: ListenerKind) -> usize {
    plan.faults.iter().filter(|f| matches!(f, Fault::HoldPort { listener, .. } if *listener == wanted)).count()
}

fn shorter(kind: &str, hold: Millis, every: Millis) -> Result<(), String> {
    if hold.0 > 0 && hold < every {
        Ok(())
    } else {
        Err(format!("fault {kind}: hold must be more than 0 and less than every"))
    }
}

/// Whether what is expected can be found at all.
fn expectation(plan: &Plan) -> Result<(), String> {
    match plan.expected_cause.as_deref() {
        None | Some(NO_CAUSE) => Ok(()),
        Some(code) if cause::by_code(code).is_some() => Ok(()),
        Some(code) => {
            let hint = nearest(code, cause::iter().map(|c| c.code)).map(|n| format!(", did you mean {n:?}?"));
            let hint = hint.unwrap_or_default();
            Err(format!("expect.cause: there is no cause {code:?}{hint} (`sidetone-harness explain` lists them)"))
        }
    }
}

/// Port numbers among the server's arguments: one that is out of range is found before anything runs.
fn ports(args: &[String]) -> impl Iterator<Item = Result<u16, String>> + '_ {
    let flags = ["--port", "--websocket-port"];
    args.iter().enumerate().filter_map(move |(i, arg)| {
        let (flag, value) = match arg.split_once('=') {
            Some((flag, value)) => (flag, value),
            None => (arg.as_str(), args.get(i + 1).map_or("", String::as_str)),
        };
        let wrong = || format!("server.args: {flag} {value}: a port is a number from 0 to 65535");
        flags.contains(&flag).then(|| value.parse().map_err(|_| wrong()))
    })
}

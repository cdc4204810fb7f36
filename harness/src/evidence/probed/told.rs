//! A step in a line for people.

use super::{Asked, Behind, Http, Identified, Saw, Speaks, Step, Tls, Upgrade};
use std::fmt;

/// Most characters of a peer's words in a line.
const WORDS: usize = 80;

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.saw.name())?;
        if let Some(address) = self.address {
            write!(f, " {address}")?;
        }
        let failure = self.saw.failure().map(ToString::to_string);
        let seen = seen(&self.saw);
        let both: Vec<_> = failure.into_iter().chain((!seen.is_empty()).then_some(seen)).collect();
        match both.as_slice() {
            [] => f.write_str(": done")?,
            parts => write!(f, ": {}", parts.join("; "))?,
        }
        write!(f, " ({:.1} ms)", self.took_us as f64 / 1e3)
    }
}

fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn seen(saw: &Saw) -> String {
    match saw {
        Saw::Resolve(it) => list(&it.order),
        Saw::Route(it) => {
            let source = it.source.map(|ip| format!("from {ip}"));
            let interface = it.interface.as_ref().map(|name| format!("by {name}"));
            source.into_iter().chain(interface).collect::<Vec<_>>().join(" ")
        }
        Saw::Connect(it) => match it.local {
            Some(local) => format!("from {local}"),
            None => String::new(),
        },
        Saw::Proxy(it) => it.status.map(|status| format!("{} answers {status}", it.proxy)).unwrap_or_default(),
        Saw::Identify(it) => identified(it),
        Saw::Tls(it) => tls(it),
        Saw::Http(it) => http(it),
        Saw::Upgrade(it) => upgrade(it),
        Saw::Ping(it) => it.rtt_us.map(|us| format!("pong after {:.1} ms", us as f64 / 1e3)).unwrap_or_default(),
        Saw::Wait(it) => match &it.closed {
            Some(closed) => format!("{} frames, closed with {}", it.frames, closed.code.unwrap_or(1005)),
            None => format!("{} frames in {} ms", it.frames, it.listened_ms),
        },
        Saw::Close(it) => match &it.answer {
            Some(closed) => format!("answered with {}", closed.code.unwrap_or(1005)),
            None => String::new(),
        },
        Saw::Origin(it) => {
            let status = it.status.map_or_else(|| "no status".to_owned(), |status| status.to_string());
            format!("Origin {}: {status}", it.origin.as_deref().unwrap_or("none"))
        }
        Saw::Intrusive(it) => match it.largest_accepted {
            Some(bytes) => format!("takes {bytes} bytes"),
            None => String::new(),
        },
        Saw::Hello(it) => it.says.first_line(WORDS),
        Saw::Echo(it) => format!("{} of {} packets back", it.packets_received, it.packets_sent),
        Saw::Advertised(it) => format!("{} announced on {}", it.found.len(), list(&it.interfaces)),
        Saw::Stun(it) => it.mapped.map(|mapped| format!("sees us as {mapped}")).unwrap_or_default(),
        Saw::Exchange(it) => format!("{} bytes sent, {} came: {:?}", it.sent, it.received, it.begins.first_line(WORDS)),
        Saw::Behind(it) => behind(it),
        Saw::Later => String::new(),
    }
}

fn identified(it: &Identified) -> String {
    let speaks = match it.speaks {
        Speaks::Sidetone => "speaks Sidetone".to_owned(),
        Speaks::WebSocket => "speaks HTTP and opens a WebSocket".to_owned(),
        Speaks::Http => "speaks HTTP".to_owned(),
        Speaks::Tls => "speaks TLS".to_owned(),
        Speaks::Greeting => {
            let greeting = it.greeting.as_ref();
            let name = greeting.and_then(|g| g.protocol.as_deref()).unwrap_or("an unknown protocol");
            format!("speaks {name}, {:?}", greeting.map(|g| g.begins.first_line(WORDS)).unwrap_or_default())
        }
        Speaks::Silent => "accepts and answers nothing".to_owned(),
        Speaks::Closes => format!("accepts and {}", it.otherwise),
        Speaks::Unknown => match &it.answers_like {
            Some(like) => format!("speaks {like}"),
            None => "answers in a protocol that is not known".to_owned(),
        },
    };
    let asked = |one: &Asked| match one.answer.first_line(WORDS) {
        line if line.is_empty() => format!("{}: {}", one.what, one.ended),
        line => format!("{}: {line:?}", one.what),
    };
    let asked: Vec<_> = it.asked.iter().map(asked).collect();
    let asked = if asked.is_empty() { String::new() } else { format!("; asked on {} connections: ", it.connections) + &asked.join(", ") };
    format!("{speaks}{asked}")
}

fn tls(it: &Tls) -> String {
    let sent = match &it.server_name {
        Some(name) => format!("for {name}"),
        None => "without a server name".to_owned(),
    };
    let certificate = it.chain.first().map(|first| format!("{} until {}", first.subject, first.not_after));
    let trust = it.trust.as_ref().map(|trust| if trust.good { "trusted".to_owned() } else { trust.words.clone() });
    let version = it.version.clone();
    [Some(sent), version, certificate, trust].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn http(it: &Http) -> String {
    let status = it.status.map(|status| format!("{status} {}", it.reason.first_line(WORDS)).trim_end().to_owned());
    let server = it.header("server").map(|name| format!("Server: {}", name.chars().take(WORDS).collect::<String>()));
    let location = it.location.as_ref().map(|to| format!("to {to}"));
    let body = (!it.body.is_empty()).then(|| format!("{:?}", it.body.first_line(WORDS)));
    [status, server, location, body].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn upgrade(it: &Upgrade) -> String {
    let problems = (!it.problems.is_empty()).then(|| format!("{:?}", it.problems));
    let answer = http(&it.answer);
    std::iter::once(answer).filter(|text| !text.is_empty()).chain(problems).collect::<Vec<_>>().join(", ")
}

fn behind(it: &Behind) -> String {
    let owner = |one: &super::Listening| {
        let pids: Vec<_> = one.owners.iter().map(|owner| format!("pid {}", owner.pid)).collect();
        let who = if pids.is_empty() { "nobody that we may see".to_owned() } else { pids.join(", ") };
        format!("LISTEN {} ({who})", one.address)
    };
    let mut told: Vec<_> = it.listeners.iter().map(owner).collect();
    if told.is_empty() {
        told.push(format!("no LISTEN row for {}", it.port));
    }
    told.extend(it.others.iter().take(2).map(ToString::to_string));
    told.extend(it.bound_only.iter().map(|holding| format!("bound and not listening: pid {}", holding.pid)));
    told.extend(it.bind.iter().map(|answer| format!("can it be bound? {answer}")));
    told.join("; ")
}

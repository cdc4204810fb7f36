//! One probe of one target, from the name up. What it decides is only what to look at next.

#![expect(clippy::wildcard_enum_match_arm, reason = "a step is asked for one kind; others are none of its business")]

use super::behind::{self, Depth};
use super::open::{self, Connection, HTTP_1};
use super::options::Options;
use super::reach::identify::{Scope, identify};
use super::reach::{connect, exchange, proxy, resolve, route};
use super::settle;
use super::talk::{advertised, echo, hello, stun};
use super::tls;
use super::target::Url;
use super::watch::Watch;
use super::web::{http, limits, origin, upgrade};
use crate::evidence::probed::{How, Saw, Speaks, Step};
use crate::evidence::{Observation, Speak};
use futures_util::future::join_all;
use std::net::SocketAddr;

/// Most addresses of one name that are looked at.
const MOST_ADDRESSES: usize = 8;

/// Looks at a target, layer by layer; each step is an observation, in the order in which they began.
pub async fn look(options: &Options) -> Vec<Observation> {
    let watch = Watch::start(options.deadline);
    let mut steps = Steps::default();
    match &options.proxy {
        Some(way) => Box::pin(through(options, way, watch, &mut steps)).await,
        None => directly(options, watch, &mut steps).await,
    }
    steps.into_observations()
}

#[derive(Default)]
struct Steps {
    steps: Vec<Step>,
    notes: Vec<Observation>,
}

impl Steps {
    /// On a thread of its own: reading of a process that hangs in the kernel may hang too.
    async fn look_behind(&mut self, options: &Options, look: impl FnOnce() -> Step + Send + 'static) {
        if let Ok(Ok(step)) = tokio::time::timeout(options.deadline, tokio::task::spawn_blocking(look)).await {
            self.steps.push(step);
        } else {
            self.notes.push(Observation::NotObserved {
                what: "what is behind the socket".to_owned(),
                why: format!("the system did not answer within {} ms", options.deadline.as_millis()),
                remedy: None,
            });
        }
    }

    fn into_observations(mut self) -> Vec<Observation> {
        self.steps.sort_by_key(|step| step.began_us);
        self.steps.into_iter().map(Observation::Probed).chain(self.notes).collect()
    }
}

async fn directly(options: &Options, watch: Watch, steps: &mut Steps) {
    let resolved = resolve::resolve(options, watch).await;
    let mut addresses = match &resolved.saw {
        Saw::Resolve(resolved) => resolved.order.clone(),
        _ => Vec::new(),
    };
    steps.steps.push(resolved);
    if addresses.len() > MOST_ADDRESSES {
        steps.notes.push(Observation::NotObserved {
            what: format!("{} further addresses of {}", addresses.len() - MOST_ADDRESSES, options.url.host),
            why: format!("a probe looks at {MOST_ADDRESSES}"),
            remedy: Some("give the address itself, or --resolve".to_owned()),
        });
        addresses.truncate(MOST_ADDRESSES);
    }
    let routes: Vec<_> = addresses.iter().map(|address| route::route(*address, watch)).collect();
    let own = |step: &Step| matches!(&step.saw, Saw::Route(route) if route.this_machine == Some(true));
    let here: Vec<SocketAddr> = routes.iter().filter(|step| own(step)).filter_map(|step| step.address).collect();
    steps.steps.extend(routes);
    if options.url.speak.datagrams() {
        let looks = addresses.iter().map(|address| datagrams(*address, options, watch));
        steps.steps.extend(join_all(looks).await);
        if options.behind && !here.is_empty() {
            steps.look_behind(options, move || behind::datagrams(&here, watch)).await;
        }
        return;
    }
    let before = if here.is_empty() || !options.behind { behind::Before::default() } else { behind::before() };
    let connected = connect::connect_all(&addresses, watch).await;
    let mut looks = Vec::new();
    for (step, stream) in connected {
        if let (Some(address), Some(stream)) = (step.address, stream) {
            looks.push(async move { Box::pin(above(Box::new(stream), address, options, watch)).await });
        }
        steps.steps.push(step);
    }
    let looked = join_all(looks).await;
    steps.steps.extend(looked.into_iter().flatten());
    if options.deep {
        steps.steps.push(advertised::advertised(options, watch).await);
    }
    if options.behind && !here.is_empty() {
        let wrong = steps.steps.iter().any(|step| step.saw.failure().is_some());
        let depth = if wrong || unknown(&steps.steps) { Depth::Deep } else { Depth::Shallow };
        let own = here.clone();
        steps.look_behind(options, move || behind::behind(&own, before, depth, watch)).await;
        contradictions(steps, &here, options, (before, watch)).await;
    }
}

/// Whether it was not found out what speaks there: then it matters who owns the socket, and what that process does.
fn unknown(steps: &[Step]) -> bool {
    steps.iter().any(|step| matches!(&step.saw, Saw::Identify(it) if !it.is_known()))
}

/// An attempt and the look at the port that contradict each other are settled by further attempts, before anything is said: the
/// server may just have been starting.
async fn contradictions(
    steps: &mut Steps,
    here: &[SocketAddr],
    options: &Options,
    (before, watch): (behind::Before, Watch),
) {
    for pause in settle::PAUSES {
        let doubtful = settle::doubtful(&steps.steps);
        if doubtful.is_empty() {
            return;
        }
        tokio::time::sleep(pause).await;
        for address in doubtful {
            let (again, stream) = connect::connect(address, watch).await;
            settle::replace(&mut steps.steps, again);
            if let Some(stream) = stream {
                steps.steps.extend(Box::pin(above(Box::new(stream), address, options, watch)).await);
            }
        }
        steps.steps.retain(|step| !matches!(step.saw, Saw::Behind(_)));
        let own = here.to_vec();
        steps.look_behind(options, move || behind::behind(&own, before, Depth::Deep, watch)).await;
    }
}

async fn through(options: &Options, way: &super::options::Proxy, watch: Watch, steps: &mut Steps) {
    let (step, stream) = proxy::tunnel(options, way, watch).await;
    steps.steps.push(step);
    let Some(stream) = stream else { return };
    // what is said of an address is then said of the proxy's
    if let Ok(address) = stream.peer_addr() {
        steps.steps.extend(Box::pin(above(Box::new(stream), address, options, watch)).await);
    }
}

async fn datagrams(address: SocketAddr, options: &Options, watch: Watch) -> Step {
    match options.url.speak {
        Speak::Stun => stun::stun(address, false, watch).await,
        Speak::Turn => stun::stun(address, true, watch).await,
        _ => exchange::on_datagrams(address, options, watch).await,
    }
}

/// Everything above TCP on one connection.
async fn above(stream: Connection, address: SocketAddr, options: &Options, watch: Watch) -> Vec<Step> {
    let with_words = options.send.is_some() || options.expect.is_some();
    match options.url.speak {
        Speak::Any => found_out(Some(stream), Scope::All, address, options, watch).await,
        Speak::Tcp if !with_words && !options.sidetone => {
            found_out(Some(stream), Scope::Bare, address, options, watch).await
        }
        Speak::Tls if !with_words && !options.sidetone => inside_tls(stream, address, options, watch).await,
        _ => Box::pin(as_asked(stream, address, options, watch)).await,
    }
}

/// Finds out what speaks there, and then speaks that: what has a scheme of its own only where none was given.
async fn found_out(
    stream: Option<Connection>,
    scope: Scope,
    address: SocketAddr,
    options: &Options,
    watch: Watch,
) -> Vec<Step> {
    let step = identify(stream, scope, address, options, watch).await;
    let speaks = match &step.saw {
        Saw::Identify(identified) => identified.speaks,
        _ => Speaks::Unknown,
    };
    let any = options.url.speak == Speak::Any;
    let as_found = match (speaks, scope) {
        (Speaks::Sidetone, Scope::InTls) => Speak::Tls,
        (Speaks::Sidetone, _) => Speak::Tcp,
        (Speaks::WebSocket, Scope::All) => Speak::Ws,
        (Speaks::Http, Scope::All) => Speak::Http,
        (Speaks::WebSocket, Scope::InTls) if any => Speak::Wss,
        (Speaks::Http, Scope::InTls) if any => Speak::Https,
        (Speaks::Tls, Scope::All) => Speak::Tls,
        _ => return vec![step],
    };
    let mut steps = vec![step];
    let plain = Options { url: options.url.with(Speak::Tcp), ..options.clone() };
    let Ok(stream) = open::again(address, &plain, watch).await else { return steps };
    let url = options.url.with(as_found);
    let ours = speaks == Speaks::Sidetone;
    let as_found = Options { url, sidetone: options.sidetone || ours, ..options.clone() };
    steps.extend(if speaks == Speaks::Tls {
        let asked = Options { url: Url { speak: Speak::Any, ..as_found.url.clone() }, ..as_found };
        Box::pin(inside_tls(stream, address, &asked, watch)).await
    } else {
        Box::pin(speak(stream, address, &as_found, watch)).await
    });
    steps
}

/// The handshake, and what speaks inside.
async fn inside_tls(stream: Connection, address: SocketAddr, options: &Options, watch: Watch) -> Vec<Step> {
    let tls = Options { url: options.url.with(Speak::Tls), ..options.clone() };
    let (mut steps, stream) = secured(stream, address, &tls, watch).await;
    if let Some(stream) = stream {
        steps.extend(Box::pin(found_out(Some(stream), Scope::InTls, address, options, watch)).await);
    } else if unlike_what_was_asked(&steps) && options.url.speak != Speak::Any {
        steps.push(identify(None, Scope::All, address, options, watch).await);
    }
    steps
}

/// As the target's scheme says; and if the peer does not answer like that, what it does speak. Who has not answered after a
/// quarter of the deadline is asked that meanwhile, so that both answers are there when the deadline is over.
async fn as_asked(stream: Connection, address: SocketAddr, options: &Options, watch: Watch) -> Vec<Step> {
    let spoken = speak(stream, address, options, watch);
    let meanwhile = async {
        tokio::time::sleep(watch.deadline / 4).await;
        identify(None, Scope::All, address, options, watch.shorter()).await
    };
    tokio::pin!(spoken, meanwhile);
    let mut early = None;
    let mut steps = loop {
        tokio::select! {
            biased;
            steps = &mut spoken => break steps,
            step = &mut meanwhile, if early.is_none() => early = Some(step),
        }
    };
    if unlike_what_was_asked(&steps) {
        let waited = steps.iter().map(|step| step.took_us).max().unwrap_or(0);
        steps.push(match early {
            Some(step) => step,
            // it has begun: its end is near
            None if u128::from(waited) * 4 > watch.deadline.as_micros() => meanwhile.await,
            None => identify(None, Scope::All, address, options, watch).await,
        });
    }
    steps
}

/// Whether the peer did not answer in the protocol it was spoken to in, so that one wants to know what it does speak.
fn unlike_what_was_asked(steps: &[Step]) -> bool {
    steps.iter().any(|step| match &step.saw {
        Saw::Tls(tls) => !tls.second_look && !tls.disagreed && tls.failure.is_some() && tls.alert.is_none(),
        Saw::Upgrade(upgrade) => upgrade.answer.status.is_none(),
        Saw::Http(http) => http.status.is_none() && http.hop == 0,
        Saw::Hello(hello) => hello.failure.as_ref().is_some_and(|f| f.how != How::Said),
        _ => false,
    })
}

/// The handshake, with what only more connections tell; the stream, where anything may be said on it.
async fn secured(
    stream: Connection,
    address: SocketAddr,
    options: &Options,
    watch: Watch,
) -> (Vec<Step>, Option<Connection>) {
    let alpn = if options.url.speak == Speak::Tls { &[][..] } else { HTTP_1 };
    let (step, stream) = tls::handshake(stream, address, options, alpn, watch).await;
    let Saw::Tls(seen) = &step.saw else { return (vec![step], None) };
    let go_on = open::may_go_on(seen, options);
    let more = tls::second_looks(address, options, seen, watch).await;
    (std::iter::once(step).chain(more).collect(), stream.filter(|_| go_on))
}

async fn speak(stream: Connection, address: SocketAddr, options: &Options, watch: Watch) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut stream = stream;
    if options.url.speak.secure() {
        let (handshake, secured) = secured(stream, address, options, watch).await;
        steps.extend(handshake);
        match secured {
            Some(secured) => stream = secured,
            None => return steps,
        }
    }
    match options.url.speak {
        Speak::Tcp | Speak::Tls if options.send.is_some() || options.expect.is_some() => {
            steps.push(exchange::on_stream(stream, address, options, watch).await);
        }
        Speak::Tcp | Speak::Tls => {
            steps.push(hello::hello(stream, address, options, watch).await);
            deeper(&mut steps, address, options, watch).await;
        }
        Speak::Ws | Speak::Wss => {
            let (asked, upgraded) = upgrade::upgrade(stream, address, options, watch).await;
            let is_ours = options.sidetone || asked.iter().any(calls_itself_sidetone);
            steps.extend(asked);
            if let Some(socket) = upgraded {
                let (looked, greeted) = tokio::join!(socket.look(address, options, watch), async {
                    if is_ours { Some(again_hello(address, options, watch).await) } else { None }
                });
                steps.extend(looked);
                steps.extend(greeted);
                deeper(&mut steps, address, options, watch).await;
            }
        }
        Speak::Http | Speak::Https => steps.extend(http::get(stream, address, options, watch).await),
        Speak::Any | Speak::Udp | Speak::Stun | Speak::Turn => {}
    }
    steps
}

/// Whether the server's own header says that it is Sidetone.
fn calls_itself_sidetone(step: &Step) -> bool {
    matches!(&step.saw, Saw::Upgrade(upgrade) if upgrade.answer.is_sidetone())
}

async fn again_hello(address: SocketAddr, options: &Options, watch: Watch) -> Step {
    match open::again(address, options, watch).await {
        Ok(stream) => hello::hello(stream, address, options, watch).await,
        Err(failure) => {
            let saw = Saw::Hello(crate::evidence::probed::Hello { failure: Some(failure), ..Default::default() });
            watch.begin().end(address, saw)
        }
    }
}

/// `--deep` and `--intrusive`, where the layers below are well.
async fn deeper(steps: &mut Vec<Step>, address: SocketAddr, options: &Options, watch: Watch) {
    let ours = steps.iter().any(|step| matches!(&step.saw, Saw::Hello(hello) if hello.answered));
    if options.deep && ours {
        steps.push(match open::again(address, options, watch).await {
            Ok(stream) => echo::echo(stream, address, options, watch).await,
            Err(failure) => {
                let saw =
                    Saw::Echo(crate::evidence::probed::EchoHeard { failure: Some(failure), ..Default::default() });
                watch.begin().end(address, saw)
            }
        });
    }
    if options.deep && options.url.speak.websocket() {
        steps.extend(origin::origins(address, options, watch).await);
    }
    if options.intrusive && options.url.speak.websocket() {
        steps.push(limits::limits(address, options, watch).await);
    }
}

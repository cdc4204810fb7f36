//! What speaks at a port? Listens first, then asks: at most six connections, each ended in order.

use super::converse::{End, Heard, Reply, Talk, converse};
use super::{greeting, protocols};
use crate::evidence::Speak;
use crate::evidence::probed::{Excerpt, Greeting, Identified, Saw, Speaks, Step};
use crate::probe::behind;
use crate::probe::open::{self, Connection};
use crate::probe::options::Options;
use crate::probe::watch::{Lap, Watch};
use crate::probe::web::request::Request;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use protocols::{Asking, Hints, Mood, Protocol};
use sidetone::protocol::{AudioParameters, Hello, Message};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

/// Names of the questions that have a scheme of the probe's own.
const HELLO: &str = "a Sidetone hello";
const HTTP: &str = "HTTP";
const TLS: &str = "TLS";
/// How long the other answers are waited for when one has come.
const GRACE: Duration = Duration::from_millis(150);
/// How long all connections may take to end in order.
const LEAVE: Duration = Duration::from_millis(250);
/// How long this machine is asked who owns the socket.
const OWNERS: Duration = Duration::from_millis(300);

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    All,
    /// `tcp://`: neither HTTP nor TLS, which have schemes of their own; who answers in them is known all the same.
    Bare,
    /// Inside TLS: no TLS.
    InTls,
}

/// Parts of a deadline: a greeting is waited for until the first, then the answers to what is asked after it until the next.
#[derive(Clone, Copy)]
struct Until {
    greeting: Instant,
    named: Instant,
    http: Instant,
    binary: Instant,
    last: Instant,
}

impl Until {
    fn of(lap: Lap, watch: Watch) -> Self {
        let begin = lap.until() - watch.deadline;
        let part = |most_ms, twentieths| begin + Duration::from_millis(most_ms).min(watch.deadline * twentieths / 20);
        Self {
            greeting: part(250, 3),
            named: part(550, 6),
            http: part(950, 9),
            binary: part(1_500, 13),
            last: part(2_250, 17),
        }
    }
}

/// Listens for a greeting on `first`, or a connection of its own, then asks in each protocol on further ones.
pub async fn identify(
    first: Option<Connection>,
    scope: Scope,
    address: SocketAddr,
    options: &Options,
    watch: Watch,
) -> Step {
    let lap = watch.begin();
    let speak = if scope == Scope::InTls { Speak::Tls } else { Speak::Tcp };
    let as_asked = options;
    let options = Arc::new(Options { url: options.url.with(speak), ..options.clone() });
    let first = match first {
        Some(first) => Ok(first),
        None => open::again(address, &options, watch).await,
    };
    let saw = match first {
        Err(failure) => Identified { failure: Some(failure), connections: 1, ..Identified::default() },
        Ok(stream) => {
            let search = Search::new(address, options, scope, (watch, lap));
            Box::pin(search.run(stream, upgrade(as_asked, scope))).await
        }
    };
    lap.end(address, Saw::Identify(saw))
}

/// The conversations of one identification.
struct Search {
    address: SocketAddr,
    options: Arc<Options>,
    scope: Scope,
    watch: Watch,
    lap: Lap,
    until: Until,
    /// Names of what was asked, with what is heard; the first one is the silent one.
    heard: Vec<(&'static str, Heard)>,
    running: FuturesUnordered<BoxFuture<'static, ()>>,
    news: (mpsc::UnboundedSender<usize>, mpsc::UnboundedReceiver<usize>),
    stop: watch::Sender<bool>,
}

impl Search {
    fn new(address: SocketAddr, options: Arc<Options>, scope: Scope, (watch, lap): (Watch, Lap)) -> Self {
        Self {
            address,
            options,
            scope,
            watch,
            lap,
            until: Until::of(lap, watch),
            heard: Vec::new(),
            running: FuturesUnordered::new(),
            news: mpsc::unbounded_channel(),
            stop: watch::Sender::new(false),
        }
    }

    async fn run(mut self, stream: Connection, upgrade: Vec<u8>) -> Identified {
        let lap = self.lap;
        self.begin(Talk { name: "nothing", ..Talk::default() }, Some(stream));
        let connected_us = lap.so_far_us();
        self.hear(self.until.greeting, 1).await;
        let listened_ms = (lap.so_far_us() - connected_us) / 1_000;
        if self.reply(0).bytes.is_empty() {
            self.ask(upgrade).await;
        }
        self.leave().await;
        Identified { listened_ms, ..self.conclude() }
    }

    /// From the gentlest question to the last resort. Who has answered in words is asked no binary ones: there are servers of text
    /// that end by them.
    async fn ask(&mut self, upgrade: Vec<u8>) {
        let hints = Hints { port: self.address.port(), programs: self.programs().await, ..Hints::default() };
        let tls_first = self.scope == Scope::All && hints.says_tls();
        let named = hints.named().filter(|_| !tls_first && !hints.says_sidetone());
        if tls_first {
            self.begin(tls_talk(), None);
        } else if hints.says_sidetone() {
            self.begin(hello_talk(), None);
        } else if let Some(row) = named {
            self.begin(asking(row), None);
        }
        // HTTP that complains about words of another protocol is asked in its own
        if self.heard.len() > 1 && self.knows_by(self.until.named, 1).await && self.conclude().speaks != Speaks::Http {
            return;
        }
        if self.scope != Scope::Bare {
            self.begin(Talk { name: HTTP, say: upgrade, http: true, ..Talk::default() }, None);
            let mut known = self.knows_by(self.until.http, 1).await;
            if known && self.reply(self.heard.len() - 1).bytes.is_empty() {
                // known by a complaint about other words alone: whether it opens a WebSocket is worth a longer wait
                known = self.knows_by(self.until.last, 1).await;
            }
            // 400 is also what a port for HTTPS says to who asks plainly
            let status = self.heard.last().and_then(|(_, heard)| greeting::http(&heard.reply().bytes));
            if known && status != Some(400) {
                return;
            }
        }
        let silent = self.heard.iter().all(|(_, heard)| heard.reply().bytes.is_empty());
        let mut binary = Vec::new();
        if silent && !hints.says_sidetone() {
            binary.push(hello_talk());
        }
        if self.scope == Scope::All && !tls_first {
            binary.push(tls_talk());
        }
        let count = binary.len();
        for talk in binary {
            self.begin(talk, None);
        }
        if self.knows_by(self.until.binary, count).await {
            return;
        }
        self.ask_more(hints, usize::from(named.is_some())).await;
    }

    /// Waits for the last `count` conversations. Whether it is known then what speaks.
    async fn knows_by(&mut self, until: Instant, count: usize) -> bool {
        self.hear(until, count).await;
        self.conclude().is_known()
    }

    /// Starts a conversation.
    fn begin(&mut self, talk: Talk, stream: Option<Connection>) {
        let heard = Heard::default();
        self.heard.push((talk.name, heard.clone()));
        let (index, news, stop) = (self.heard.len() - 1, self.news.0.clone(), self.stop.subscribe());
        let (address, options, watch) = (self.address, Arc::clone(&self.options), self.watch);
        self.running.push(Box::pin(async move {
            // nobody listens any more where the search is over
            let told = move || news.send(index).unwrap_or_default();
            converse(talk, stream, address, (&options, watch), (heard, told, stop)).await;
        }));
    }

    /// Waits until the last `count` conversations have come to something, until one has got an answer and the others had a moment
    /// more, or until `until`.
    async fn hear(&mut self, until: Instant, count: usize) {
        let from = self.heard.len() - count;
        let mut until = until;
        let mut answered = false;
        loop {
            let open = |(_, heard): &(&str, Heard)| !heard.reply().done;
            if !self.heard[from..].iter().any(open) {
                return;
            }
            tokio::select! {
                Some(index) = self.news.1.recv() => {
                    if !answered && !self.reply(index).bytes.is_empty() {
                        answered = true;
                        until = until.min(self.lap.after(GRACE));
                    }
                }
                Some(()) = self.running.next() => {}
                () = sleep_until(until) => return,
            }
        }
    }

    /// The protocols that wait for words of their own, chosen by the port, the owner of the socket and what was seen.
    async fn ask_more(&mut self, hints: Hints, asked: usize) {
        // who ends connections on which nothing was said waits for no words
        if self.reply(0).ended_without_a_byte() {
            return;
        }
        let names: Vec<_> = self.heard.iter().map(|(name, _)| *name).collect();
        let rows = Hints { mood: self.mood(), ..hints }.next(&names, protocols::MOST - asked, self.options.deep);
        let count = rows.len();
        for row in rows {
            self.begin(asking(row), None);
        }
        self.hear(self.until.last, count).await;
    }

    /// How the server took the questions so far.
    fn mood(&self) -> Mood {
        let replies: Vec<_> = self.heard[1..].iter().map(|(name, heard)| (*name, heard.reply())).collect();
        let http = replies.iter().find(|(name, reply)| *name == HTTP && reply.ended_without_a_byte());
        let http = http.map(|(_, reply)| reply.end);
        let all_ended = replies.iter().all(|(_, reply)| reply.ended_without_a_byte());
        let any_closes = replies.iter().any(|(_, reply)| reply.end == End::Closes);
        match (all_ended, http) {
            (true, _) if any_closes => Mood::Closes,
            (true, _) => Mood::Resets,
            (false, Some(End::Resets)) => Mood::ResetsHttp,
            (false, Some(_)) => Mood::ClosesHttp,
            (false, None) => Mood::Waits,
        }
    }

    /// Who listens there, if that is this machine and may be asked.
    async fn programs(&self) -> Vec<String> {
        if !self.options.behind || self.options.proxy.is_some() {
            return Vec::new();
        }
        let address = self.address;
        let looking = tokio::task::spawn_blocking(move || behind::programs(address));
        timeout(OWNERS, looking).await.ok().and_then(Result::ok).unwrap_or_default()
    }

    fn reply(&self, index: usize) -> Reply {
        self.heard[index].1.reply()
    }

    /// Everything that still waits stops to, and all connections are ended.
    async fn leave(&mut self) {
        self.stop.send_replace(true);
        drop(timeout(LEAVE, async { while self.running.next().await.is_some() {} }).await);
    }

    fn conclude(&self) -> Identified {
        let replies: Vec<_> = self.heard.iter().map(|(name, heard)| (*name, heard.reply())).collect();
        conclude(&replies)
    }
}

fn hello_talk() -> Talk {
    Talk { name: HELLO, say: hello(), ..Talk::default() }
}

fn tls_talk() -> Talk {
    Talk { name: TLS, tls: true, ..Talk::default() }
}

fn asking((protocol, question): Asking) -> Talk {
    let (answers, goodbye) = (Some(question.answers), question.goodbye);
    Talk { name: protocol.name, say: question.say.to_vec(), answers, goodbye, ..Talk::default() }
}

/// A hello with no common version: a server refuses it, and nobody in any room notices.
fn hello() -> Vec<u8> {
    let hello = Message::Hello(Hello {
        version_min: 0,
        version_max: 0,
        name: "sidetone-harness".to_owned(),
        room: "probe".to_owned(),
        capabilities: Vec::new(),
        agent: concat!("sidetone-harness/", env!("CARGO_PKG_VERSION")).to_owned(),
        audio: AudioParameters::default(),
    });
    hello.frame(0, 0).encode().to_vec()
}

/// The upgrade without a subprotocol, as browsers ask, at the path of the target. Nothing that the user keeps secret is in it.
fn upgrade(options: &Options, scope: Scope) -> Vec<u8> {
    let speak = if scope == Scope::InTls { Speak::Wss } else { Speak::Ws };
    let url = options.url.with(speak);
    let bare =
        Options { url: crate::probe::target::Url { credentials: None, ..url }, ..Options::new(options.url.clone()) };
    Request::of(&bare).upgrading().encode()
}

/// From what was heard: TLS before HTTP, since servers that expect TLS tell a plain request so in HTTP.
fn conclude(replies: &[(&'static str, Reply)]) -> Identified {
    let to = |name: &str| replies.iter().find(|(asked, _)| *asked == name).map(|(_, reply)| reply);
    let excerpt = |name: &str| to(name).map(|reply| Excerpt::of(&reply.bytes)).unwrap_or_default();
    let first = &replies[0].1;
    let told = &replies[1..];
    // an answer to the header of PROXY tells something only where the others got none, and where it is no complaint about it
    let is_proxy = |name: &str| name == protocols::PROXY_PROTOCOL;
    let control = told.iter().filter(|(name, _)| !is_proxy(name)).all(|(_, reply)| reply.ended_without_a_byte());
    let counts =
        |(name, reply): &&(&str, Reply)| !is_proxy(name) || control && greeting::http(&reply.bytes) != Some(400);
    let asked: Vec<_> = told.iter().filter(counts).collect();
    let connections = u32::try_from(replies.len()).unwrap_or(u32::MAX);
    let mut seen = Identified {
        to_hello: excerpt(HELLO),
        to_http: excerpt(HTTP),
        to_tls: excerpt(TLS),
        unasked_end: Some(first.end.word().to_owned()).filter(|_| first.ended_without_a_byte()),
        asked: told.iter().map(|(name, reply)| reply.told(name)).collect(),
        connections,
        ..Identified::default()
    };
    if !first.bytes.is_empty() {
        let protocol = protocols::begins(&first.bytes).map(str::to_owned);
        let greeting = Greeting { begins: Excerpt::of(&first.bytes), protocol, after_us: first.took_us };
        return Identified { speaks: Speaks::Greeting, greeting: Some(greeting), ..seen };
    }
    // a protocol that answers its own question is known by that, whatever else it speaks on that port
    let by_question = asked.iter().find_map(|(name, reply)| known_by_question(name, &reply.bytes));
    let by_words = asked.iter().find_map(|(_, reply)| protocols::begins(&reply.bytes));
    let any = |is: fn(&[u8]) -> bool| asked.iter().any(|(_, reply)| is(&reply.bytes));
    let status = to(HTTP).and_then(|reply| greeting::http(&reply.bytes));
    let ends = |end: End| asked.iter().any(|(_, reply)| reply.end == end && reply.bytes.is_empty());
    seen.speaks = if any(greeting::sidetone) {
        Speaks::Sidetone
    } else if by_question.is_some_and(|name| name != "a plain GET") {
        Speaks::Unknown
    } else if any(greeting::tls) {
        Speaks::Tls
    } else if status == Some(101) {
        Speaks::WebSocket
    } else if by_words == Some("HTTP") {
        Speaks::Http
    } else if any(|bytes| !bytes.is_empty()) {
        Speaks::Unknown
    } else if let Some(Err(failure)) = asked.first().map(|(_, reply)| reply.opened.clone().map_or(Ok(()), Err)) {
        seen.failure = Some(failure);
        Speaks::Closes
    } else if ends(End::Open) {
        Speaks::Silent
    } else {
        Speaks::Closes
    };
    if seen.speaks == Speaks::Unknown {
        seen.answers_like = by_question.or(by_words).map(str::to_owned);
    }
    let resets = replies.iter().any(|(_, reply)| reply.end == End::Resets);
    let otherwise = match seen.speaks {
        // a connection with words of ours unread is reset by a close too; on the first one nothing was said
        Speaks::Closes if first.end != End::Closes && resets => "resets",
        Speaks::Closes => "closes",
        Speaks::Silent => "waits",
        Speaks::Sidetone | Speaks::WebSocket | Speaks::Http | Speaks::Tls | Speaks::Greeting | Speaks::Unknown => "",
    };
    Identified { otherwise: otherwise.to_owned(), ..seen }
}

fn known_by_question(name: &str, bytes: &[u8]) -> Option<&'static str> {
    let row: &Protocol = protocols::PROTOCOLS.iter().find(|protocol| protocol.name == name)?;
    row.question.as_ref().is_some_and(|question| (question.answers)(bytes)).then_some(row.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::target::Target;
    use std::future::Future;
    use std::sync::Mutex;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    /// What was found at a server, and how each of its connections ended: `true`, with a FIN of ours.
    struct Found {
        identified: Identified,
        in_order: Vec<bool>,
    }

    /// Looks at a server that does this with the first bytes of each connection, and then reads to its end.
    async fn look<F: Future<Output = Option<TcpStream>> + Send + 'static>(
        scope: Scope,
        serve: impl Fn(TcpStream) -> F + Send + Sync + 'static,
    ) -> Found {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (serve, ends) = (Arc::new(serve), Arc::new(Mutex::new(Vec::new())));
        let told = Arc::clone(&ends);
        let server = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (serve, told) = (Arc::clone(&serve), Arc::clone(&told));
                connections.spawn(async move {
                    let Some(mut stream) = serve(stream).await else { return };
                    let ended = stream.read_to_end(&mut Vec::new()).await;
                    told.lock().unwrap().push(ended.is_ok());
                });
            }
        });
        let Ok(Target::Url(url)) = address.to_string().parse() else { panic!() };
        let options = Options { behind: false, ..Options::new(url) };
        let step = identify(None, scope, address, &options, Watch::start(Duration::from_secs(20))).await;
        let Saw::Identify(identified) = step.saw else { panic!("{step}") };
        let seen = || ends.lock().unwrap().len();
        let all = usize::try_from(identified.connections).unwrap();
        let patience = timeout(Duration::from_secs(2), async {
            while seen() < all {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        drop(patience.await); // those that the server itself ended are not counted
        server.abort();
        let in_order = ends.lock().unwrap().clone();
        Found { identified, in_order }
    }

    async fn request(stream: &mut TcpStream) -> Vec<u8> {
        let mut buffer = vec![0; 4_096];
        let count = stream.read(&mut buffer).await.unwrap_or(0);
        buffer.truncate(count);
        buffer
    }

    fn asked(found: &Found) -> Vec<&str> {
        found.identified.asked.iter().map(|one| one.what.as_str()).collect()
    }

    #[tokio::test]
    async fn one_that_greets_is_asked_nothing() {
        let found = look(Scope::All, |mut stream| async move {
            stream.write_all(b"SSH-2.0-x\r\n").await.unwrap();
            Some(stream)
        })
        .await;
        let greeting = found.identified.greeting.as_ref().unwrap();
        assert_eq!((found.identified.speaks, greeting.protocol.as_deref()), (Speaks::Greeting, Some("SSH")));
        assert_eq!(greeting.begins.as_str(), "SSH-2.0-x\r\n");
        assert_eq!((asked(&found).len(), found.in_order), (0, vec![true]));
    }

    #[tokio::test]
    async fn one_that_drips_its_greeting_is_known_too() {
        let found = look(Scope::All, |mut stream| async move {
            for byte in b"220 mx.example.org ESMTP\r\n" {
                stream.write_all(&[*byte]).await.ok()?;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Some(stream)
        })
        .await;
        assert!(found.identified.is_known(), "{:?}", found.identified);
    }

    #[tokio::test]
    async fn one_that_says_nothing_is_asked_on_six_connections_that_end_in_order() {
        let found = look(Scope::All, |stream| async move { Some(stream) }).await;
        let seen = &found.identified;
        assert_eq!((seen.speaks, seen.otherwise.as_str(), &seen.failure), (Speaks::Silent, "waits", &None));
        assert_eq!(asked(&found), ["HTTP", "a Sidetone hello", "TLS", "Redis", "MQTT"]);
        assert_eq!((seen.connections, found.in_order), (6, vec![true; 6]));
    }

    #[tokio::test]
    async fn one_that_closes_before_anything_is_said_and_one_that_closes_on_strange_words() {
        let found = look(Scope::All, |stream| async move {
            drop(stream);
            None
        })
        .await;
        assert_eq!(
            (found.identified.speaks, found.identified.unasked_end.as_deref()),
            (Speaks::Closes, Some("closes"))
        );
        assert!(!asked(&found).contains(&"PROXY protocol"), "who waits for no words is asked for none");
        let found = look(Scope::All, |mut stream| async move {
            request(&mut stream).await;
            stream.shutdown().await.ok()?;
            None
        })
        .await;
        assert_eq!((found.identified.speaks, found.identified.unasked_end.as_deref()), (Speaks::Closes, None));
        assert_eq!(asked(&found), ["HTTP", "a Sidetone hello", "TLS", "PROXY protocol", "MQTT"]);
    }

    /// Answers what begins like that, and ends every other connection.
    async fn answering(scope: Scope, start: &'static [u8], answer: &'static [u8]) -> Found {
        look(scope, move |mut stream| async move {
            let mut buffer = [0; 4_096];
            let mut count = 0;
            while count < start.len() {
                match stream.read(&mut buffer[count..]).await.ok()? {
                    0 => return Some(stream),
                    more => count += more,
                }
            }
            if !buffer.starts_with(start) {
                return None;
            }
            stream.write_all(answer).await.ok()?;
            Some(stream)
        })
        .await
    }

    #[tokio::test]
    async fn each_is_known_by_what_it_answers() {
        let http = answering(Scope::All, b"GET", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!((http.identified.speaks, asked(&http)), (Speaks::Http, vec!["HTTP"]));
        let socket = answering(Scope::All, b"GET / ", b"HTTP/1.1 101 Switching Protocols\r\n\r\n").await;
        assert_eq!((socket.identified.speaks, asked(&socket).len()), (Speaks::WebSocket, 1));
        let tls = answering(Scope::All, b"\x16\x03", b"\x15\x03\x01\x00\x02\x02\x46").await;
        assert_eq!(tls.identified.speaks, Speaks::Tls);
        let mqtt = answering(Scope::All, b"\x10", b"\x20\x02\x00\x01").await;
        assert_eq!((mqtt.identified.speaks, mqtt.identified.answers_like.as_deref()), (Speaks::Unknown, Some("MQTT")));
        let proxied = answering(Scope::All, b"PROXY ", b"HTTP/1.0 200 OK\r\n\r\n").await;
        assert_eq!(proxied.identified.answers_like.as_deref(), Some("PROXY protocol"));
        let complains = answering(Scope::Bare, b"PROXY ", b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        assert!(!complains.identified.is_known(), "it may want HTTP or TLS: {:?}", complains.identified);
        let redis = answering(Scope::Bare, b"PING", b"+PONG\r\n").await;
        assert!(redis.identified.answers_like.is_none(), "it closed on the hello, so that others are likelier");
    }

    #[tokio::test]
    async fn a_server_of_text_is_asked_no_binary_question() {
        let found = look(Scope::All, |mut stream| async move {
            let asked = request(&mut stream).await;
            assert!(asked.is_ascii(), "{asked:x?}");
            if !asked.is_empty() {
                stream.write_all(b"{\"error\":{\"code\":-32700},\"id\":null,\"jsonrpc\":\"2.0\"}\r\n").await.ok()?;
            }
            Some(stream)
        })
        .await;
        assert_eq!(found.identified.answers_like.as_deref(), Some("JSON-RPC"));
        assert_eq!(asked(&found), ["HTTP"]);
    }

    #[tokio::test]
    async fn a_400_may_come_from_a_port_for_https_and_the_handshake_is_ended_in_order() {
        let found = look(Scope::All, |mut stream| async move {
            let asked = request(&mut stream).await;
            let answer: &[u8] = if asked.starts_with(b"GET") {
                b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
            } else {
                b"\x15\x03\x01\x00\x02\x02\x46"
            };
            stream.write_all(answer).await.ok()?;
            Some(stream)
        })
        .await;
        assert_eq!((found.identified.speaks, asked(&found)), (Speaks::Tls, vec!["HTTP", "TLS"]));
        assert_eq!(found.in_order, [true; 3]);
    }

    #[tokio::test]
    async fn an_answer_that_comes_late_still_counts() {
        let found = look(Scope::Bare, |mut stream| async move {
            request(&mut stream).await;
            tokio::time::sleep(Duration::from_millis(1_600)).await;
            stream.write_all(b"ERROR\r\n").await.ok()?;
            Some(stream)
        })
        .await;
        assert_eq!(found.identified.answers_like.as_deref(), Some("memcached"), "{:?}", found.identified);
    }
}

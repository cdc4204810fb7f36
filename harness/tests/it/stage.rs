//! What the tests of the page share: a real browser, a real server, participants and a server that are written by hand.
#![cfg(test)] // so that the lints know the helpers for test code

use super::place::{harness, sidetone};
use bytes::Bytes;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use sidetone::clock::monotonic;
use sidetone::event::{Event, Ready, Record};
use sidetone::protocol::{
    AudioParameters, Bye, Capability, Decoder, Frame, Hello, Message, Participant, Ping, RefusalCode, SUBPROTOCOL,
    VideoChunk, Welcome,
};
use sidetone_harness::browser::find;
use sidetone_harness::browser::tab::{Browser, Look, Tab};
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Message as WsMessage, WebSocket, accept_hdr};

/// Long enough for a busy machine; only a failing test waits for it.
const SOON: Duration = Duration::from_mins(1);
/// Silent peers are sent away after ten seconds.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// Keeps what the page tells, and what happens only if somebody else's text became more than text.
const WATCH: &str = "
  window.told = [];
  window.violations = [];
  addEventListener('sidetone:event', (event) => told.push(event.detail));
  document.addEventListener('securitypolicyviolation', (event) => violations.push(`${event.effectiveDirective} ${event.blockedURI}`));
  window.events = (name) => told.filter((one) => one.event === name).map((one) => one.fields);
";

/// Whether there is a browser; says so if not. Where one is required (`SIDETONE_REQUIRE_BROWSER=1`) its lack is a failure.
pub(crate) fn browser_is_there() -> bool {
    match find::find(None) {
        Ok(_) => true,
        Err(error) => {
            skip(&error.to_string());
            false
        }
    }
}

/// Says why a test does not happen; where it has to, that is a failure.
pub(crate) fn skip(why: &str) {
    assert_ne!(std::env::var("SIDETONE_REQUIRE_BROWSER").as_deref(), Ok("1"), "{why}");
    println!("skipped: {why}");
}

/// A browser that is there.
pub(crate) async fn browser() -> Browser {
    Browser::start(harness()).await.unwrap()
}

/// A tab that keeps what the page tells.
pub(crate) async fn tab(browser: &Browser, look: Look) -> Tab {
    let tab = browser.tab(look).await.unwrap();
    tab.before_scripts(WATCH).await.unwrap();
    tab
}

/// Opens the page without microphone and camera, and joins by a click.
pub(crate) async fn join(tab: &Tab, address: SocketAddr, name: &str, room: &str) {
    tab.load(&format!("http://{address}/?name={name}&room={room}&mic=off&camera=off")).await.unwrap();
    tab.click("#join").await.unwrap();
    joined(tab).await;
}

/// Waits until the page is in the call.
pub(crate) async fn joined(tab: &Tab) {
    tab.until("sidetone.state().state === 'joined' && document.body.dataset.view === 'call'").await.unwrap();
}

/// What an expression gives in the page.
pub(crate) async fn value(tab: &Tab, expression: &str) -> Value {
    tab.evaluate(expression).await.unwrap_or_else(|error| panic!("{expression}: {error}"))
}

/// No exception, no dialog, no crash, nothing that the page's own policy had to stop, no script of anybody else.
pub(crate) async fn unharmed(tab: &Tab) {
    let seen = value(tab, "({ violations, pwned: 'pwned' in window })").await;
    assert_eq!(seen, json!({ "violations": [], "pwned": false }));
    assert_eq!(tab.troubles(), Vec::<String>::new());
}

/// A server on loopback that is ready. It never outlives its test.
pub(crate) struct Server {
    child: Child,
    lines: Receiver<String>,
    records: Vec<Record>,
    ready: Ready,
}

impl Server {
    pub(crate) fn start() -> Self {
        let mut child = Command::new(sidetone())
            .args(["server", "--no-mdns", "--bind", "127.0.0.1", "--port", "0", "--websocket-port", "0"])
            .args(["--name", "the stage", "--log-format", "json", "--log-level", "debug"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (tell, lines) = channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { child, lines, records: Vec::new(), ready }
    }

    pub(crate) fn tcp(&self) -> SocketAddr {
        self.ready.tcp[0]
    }

    pub(crate) fn web(&self) -> SocketAddr {
        self.ready.websocket[0]
    }

    /// Ends it; gives all its events.
    pub(crate) fn stop(mut self) -> Vec<Event> {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM).unwrap();
        let mut events = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(SOON) {
            self.records.push(Record::parse(&line).unwrap_or_else(|error| panic!("{line}: {error:?}")));
        }
        assert!(self.child.wait().unwrap().success());
        events.extend(self.records.drain(..).map(|record| record.event));
        events
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill()); // fails only if it has ended
        drop(self.child.wait());
    }
}

/// A participant that is written by hand, over TCP. It reads what comes, and shows from time to time that it is there.
pub(crate) struct Peer {
    stream: TcpStream,
    number: u16,
    reading: Option<JoinHandle<Option<Bye>>>,
    /// As the server sees it.
    pub(crate) address: SocketAddr,
}

impl Peer {
    /// Says hello; gives the refusal if it is refused.
    pub(crate) fn join(server: &Server, name: &str, room: &str) -> Result<Self, RefusalCode> {
        let mut stream = TcpStream::connect(server.tcp()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let hello = Hello {
            version_min: 1,
            version_max: 1,
            name: name.to_owned(),
            room: room.to_owned(),
            capabilities: vec![Capability::Audio, Capability::Picture, Capability::Chat],
            agent: "test".to_owned(),
            audio: AudioParameters::default(),
        };
        stream.write_all(&Message::Hello(hello).frame(0, 0).encode()).unwrap();
        let mut decoder = Decoder::new();
        let number = match next(&mut stream, &mut decoder).map(|frame| Message::decode(&frame).unwrap()) {
            Some(Some(Message::Welcome(welcome))) => welcome.stream,
            Some(Some(Message::Refusal(refusal))) => return Err(refusal.code),
            other => panic!("instead of a welcome: {other:?}"),
        };
        let address = stream.local_addr().unwrap();
        let mine = stream.try_clone().unwrap();
        let reading = Some(thread::spawn(move || stay(mine, decoder)));
        Ok(Self { stream, number, reading, address })
    }

    /// Its stream number.
    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    pub(crate) fn say(&mut self, text: &str) {
        let chat = sidetone::protocol::Chat { from: String::new(), text: text.to_owned() };
        self.stream.write_all(&Message::Chat(chat).frame(self.number, 0).encode()).unwrap();
    }

    /// Sends a picture, or what it says is one.
    pub(crate) fn picture(&mut self, number: u32, jpeg: &Bytes) {
        for chunk in VideoChunk::split(number, jpeg) {
            // the server may have had enough before the last one
            drop(self.stream.write_all(&chunk.frame(self.number, chunk.index, 0).encode()));
        }
    }

    /// Waits until the server ends the connection; gives its goodbye.
    pub(crate) fn closed(mut self) -> Option<Bye> {
        self.reading.take().and_then(|reading| reading.join().unwrap())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.stream.shutdown(Shutdown::Both)); // fails only if it is closed
        drop(self.reading.take().map(JoinHandle::join));
    }
}

/// Until the connection ends.
fn stay(mut stream: TcpStream, mut decoder: Decoder) -> Option<Bye> {
    let mut seen = monotonic();
    stream.set_read_timeout(Some(SIGN_OF_LIFE)).unwrap();
    loop {
        match next(&mut stream, &mut decoder) {
            Some(frame) => {
                if let Ok(Some(Message::Bye(bye))) = Message::decode(&frame) {
                    return Some(bye);
                }
            }
            None if monotonic() < seen + SIGN_OF_LIFE => return None,
            None => {}
        }
        if monotonic() >= seen + SIGN_OF_LIFE {
            seen = monotonic();
            stream.write_all(&Message::Ping(Ping { nonce: 1 }).frame(0, 0).encode()).ok()?;
        }
    }
}

/// The next frame; `None` at the end, or when nothing comes.
fn next(stream: &mut TcpStream, decoder: &mut Decoder) -> Option<Frame> {
    loop {
        if let Some(frame) = decoder.next_frame().unwrap() {
            return Some(frame);
        }
        let mut chunk = [0; 4_096];
        match stream.read(&mut chunk) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return None,
            Ok(count) => decoder.buffer().extend_from_slice(&chunk[..count]),
        }
    }
}

/// A server that has the page of a real one, and WebSockets of its own.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    sessions: Receiver<WebSocket<TcpStream>>,
}

/// One connection of the page to it.
pub(crate) struct Session {
    socket: WebSocket<TcpStream>,
}

/// What the page did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Did {
    /// Answered the ping that came last.
    Answered,
    /// Said goodbye with this code.
    Left(u16),
}

impl Fake {
    /// `origin`: where the page's files are.
    pub(crate) fn before(origin: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, sessions) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let tell = tell.clone();
                thread::spawn(move || serve(stream, origin, &tell));
            }
        });
        Self { address, sessions }
    }

    /// The next connection of the page, after its hello.
    pub(crate) fn greeted(&self) -> Session {
        let socket = self.sessions.recv_timeout(SOON).expect("the page does not come (back)");
        socket.get_ref().set_read_timeout(Some(SOON)).unwrap();
        let mut session = Session { socket };
        let hello = session.next().expect("a hello");
        assert!(matches!(Message::decode(&hello), Ok(Some(Message::Hello(_)))), "{hello:?}");
        session
    }

    /// The same, and welcomed.
    pub(crate) fn welcomed(&self) -> Session {
        let mut session = self.greeted();
        session.send(&welcome());
        session
    }
}

/// The path of a request that is left where it is; `/ws` is ours, all else that of the real server.
fn serve(stream: TcpStream, origin: SocketAddr, tell: &Sender<WebSocket<TcpStream>>) -> Option<()> {
    let mut head = [0; 8_192];
    let count = loop {
        let count = stream.peek(&mut head).ok().filter(|count| *count > 0)?;
        if head[..count].windows(4).any(|four| four == b"\r\n\r\n") {
            break count;
        }
        thread::yield_now();
    };
    if head[..count].starts_with(b"GET /ws ") {
        #[expect(clippy::result_large_err, reason = "the library's type")]
        let ours = |_: &Request, mut response: Response| {
            response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
            Ok(response)
        };
        drop(tell.send(accept_hdr(stream, ours).ok()?)); // the test is over
        return Some(());
    }
    let (there, back) = (TcpStream::connect(origin).ok()?, stream.try_clone().ok()?);
    let (from, to) = (there.try_clone().ok()?, stream);
    thread::spawn(move || splice(from, to));
    splice(back, there);
    Some(())
}

fn splice(mut from: TcpStream, mut to: TcpStream) {
    drop(std::io::copy(&mut from, &mut to)); // whoever is gone needs nothing more
    drop(to.shutdown(Shutdown::Both));
}

/// A welcome with two others in the room.
pub(crate) fn welcome() -> Message {
    Message::Welcome(Welcome {
        version: 1,
        stream: 1,
        server: "the fake".to_owned(),
        agent: "test".to_owned(),
        room: "lobby".to_owned(),
        participants: [(2, "bob"), (3, "carol")]
            .map(|(stream, name)| Participant { stream, name: name.to_owned(), muted: false })
            .into(),
        capabilities: vec![Capability::Audio, Capability::Picture, Capability::Chat],
        audio: AudioParameters::default(),
        heartbeat_ms: 2_000,
        timeout_ms: 10_000,
    })
}

impl Session {
    pub(crate) fn send(&mut self, message: &Message) {
        self.give(WsMessage::Binary(message.frame(0, 0).encode()));
    }

    /// Anything at all. The page may be gone already.
    pub(crate) fn give(&mut self, message: WsMessage) {
        drop(self.socket.send(message));
    }

    pub(crate) fn picture(&mut self, stream: u16, number: u32, jpeg: &Bytes) {
        for chunk in VideoChunk::split(number, jpeg) {
            self.give(WsMessage::Binary(chunk.frame(stream, chunk.index, 0).encode()));
        }
    }

    /// Whether the page goes on after all that was given to it, or says goodbye.
    pub(crate) fn ask(&mut self) -> Did {
        // a number of its own: the page's own pings have others
        let nonce = 4_711;
        self.send(&Message::Ping(Ping { nonce }));
        loop {
            match self.next().map(|frame| Message::decode(&frame).unwrap()) {
                Some(Some(Message::Pong(pong))) if pong.nonce == nonce => return Did::Answered,
                Some(Some(Message::Bye(bye))) => return Did::Left(bye.code),
                Some(_) => {}
                None => panic!("the page closed without a goodbye"),
            }
        }
    }

    /// Waits for the page's goodbye.
    pub(crate) fn left(&mut self) -> u16 {
        loop {
            match self.ask() {
                Did::Left(code) => return code,
                Did::Answered => {}
            }
        }
    }

    /// The next frame of the page, or its end.
    fn next(&mut self) -> Option<Frame> {
        loop {
            match self.socket.read() {
                Ok(WsMessage::Binary(message)) => return Some(Frame::from_message(message).unwrap()),
                Ok(WsMessage::Ping(_) | WsMessage::Pong(_) | WsMessage::Frame(_)) => {}
                Ok(WsMessage::Text(text)) => panic!("a text message from the page: {text}"),
                Ok(WsMessage::Close(_)) | Err(_) => return None,
            }
        }
    }
}

pub(super) const DESKTOP: Look = Look { window: (1_280, 800), dark: false, still: false };
pub(super) const PHONE: Look = Look { window: (360, 740), dark: false, still: false };

/// Everything within the window, nothing to scroll sideways, all tiles of one size.
pub(super) const LAYOUT: &str = "(() => {
  const wrong = [];
  const root = document.scrollingElement;
  if (root.scrollWidth > innerWidth) wrong.push(`the page is ${root.scrollWidth} wide`);
  if (root.scrollHeight > innerHeight) wrong.push(`the page is ${root.scrollHeight} high`);
  const tiles = [...document.querySelectorAll('.tile')].map((tile) => ({ name: tile.dataset.name, box: tile.getBoundingClientRect() }));
  const [{ box: first }] = tiles;
  for (const { name, box } of tiles) {
    if (box.left < 0 || box.right > innerWidth) wrong.push(`the tile of ${name} from ${box.left} to ${box.right}`);
    if (Math.abs(box.width - first.width) > 1 || Math.abs(box.height - first.height) > 1) wrong.push(`the tile of ${name}: ${box.width}x${box.height}`);
  }
  for (const selector of ['#grid', '#chat', '#chat-log', '#chat-form', '.bar', '.bar button', '.caption', '.caption .name', '#chat-log p', '#chat-log .said']) {
    for (const element of document.querySelectorAll(selector)) {
      const box = element.getBoundingClientRect();
      const outside = box.left < 0 || box.right > innerWidth + 0.5;
      const below = !element.closest('#grid, #chat-log') && box.bottom > innerHeight + 0.5;
      if (outside || below) wrong.push(`${selector} ${element.textContent.slice(0, 20)}: ${box.left},${box.top} to ${box.right},${box.bottom}`);
    }
  }
  for (const selector of ['#grid', '#chat-log']) {
    const element = document.querySelector(selector);
    if (element.scrollWidth > element.clientWidth) wrong.push(`${selector} scrolls sideways`);
  }
  return wrong;
})()";

/// Numbers that look random and are the same in every run (`SplitMix64`).
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.number() % most as u64).unwrap()
    }

    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.number().to_le_bytes()[0]).collect()
    }
}

pub(super) fn binary(bytes: &[u8]) -> WsMessage {
    WsMessage::Binary(Bytes::copy_from_slice(bytes))
}

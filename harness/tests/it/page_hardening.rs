//! What strangers do to the page, and to the server through pages of their own: no way in, no script run, no broken layout,
//! one clear line in the log. A real browser, the real page.
#![cfg(test)] // so that the lints know the helpers for test code

use super::stage::{
    Chance, DESKTOP, Did, Fake, LAYOUT, Server, Session, binary, browser, browser_is_there, joined, tab, unharmed,
    value, welcome,
};
use bytes::Bytes;
use serde_json::{Value, json};
use sidetone::audio::{Encoder, FRAME_SAMPLES, Prediction, Tone};
use sidetone::event::Event;
use sidetone::protocol::frame::HEADER_LENGTH;
use sidetone::protocol::{
    AudioPacket, Bye, Chat, Frame, Joined, Kind, Left, Message, Mute, Participant, Ping, Refusal, RefusalCode,
    Speaking, VideoChunk,
};
use sidetone_harness::browser::tab::Tab;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use tokio_tungstenite::tungstenite::Message as WsMessage;

// ---- pages of other origins

/// A page of another origin: the same machine, another port. `/sandbox` has no origin at all.
fn stranger() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4_096];
            let count = stream.read(&mut head).unwrap_or(0);
            let sandbox = if head[..count].starts_with(b"GET /sandbox ") {
                "Content-Security-Policy: sandbox allow-scripts\r\n"
            } else {
                ""
            };
            let body = "<!doctype html><title>stranger</title>";
            let length = body.len();
            drop(write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{sandbox}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            ));
        }
    });
    address
}

/// What becomes of a WebSocket that is opened in the page.
const OPENS: &str = "(url) => new Promise((done) => {
  const socket = new WebSocket(url, 'sidetone.v1');
  socket.onopen = () => { done('open'); socket.close(1000); };
  socket.onerror = () => done('refused');
})";

/// The same in a frame of the page that is written in its own address, and so comes from nowhere.
const OPENS_IN_A_FRAME: &str = "(url) => new Promise((done) => {
  addEventListener('message', ({ data }) => done(data));
  const script = `const tell = (what) => parent.postMessage(origin + ' ' + what, '*');
    const socket = new WebSocket('${url}', 'sidetone.v1');
    socket.onopen = () => tell('open');
    socket.onerror = () => tell('refused');`;
  const frame = document.createElement('iframe');
  frame.src = 'data:text/html,' + encodeURIComponent(`<script>${script}</` + 'script>');
  document.body.append(frame);
})";

async fn opens(tab: &Tab, how: &str, url: &str) -> Value {
    value(tab, &format!("({how})({})", json!(url))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_servers_own_page_opens_a_socket() {
    if !browser_is_there() {
        return;
    }
    let (server, browser, stranger) = (Server::start(), browser().await, stranger());
    let tab = browser.tab(DESKTOP).await.unwrap();
    let port = server.web().port();
    let socket = format!("ws://127.0.0.1:{port}/ws");
    let foreign = [
        (format!("http://{stranger}/"), format!("http://{stranger}")),
        (format!("http://localhost:{}/", stranger.port()), format!("http://localhost:{}", stranger.port())),
        (format!("http://{stranger}/sandbox"), "null".to_owned()),
    ];
    let mut refused = Vec::new();
    for (page, origin) in &foreign {
        tab.load(page).await.unwrap();
        assert_eq!(value(&tab, "origin").await, json!(origin), "{page}");
        assert_eq!(opens(&tab, OPENS, &socket).await, "refused", "{page}");
        refused.push(origin.as_str());
    }
    tab.load(&foreign[0].0).await.unwrap();
    assert_eq!(opens(&tab, OPENS_IN_A_FRAME, &socket).await, "null refused");
    refused.push("null");
    for own in [format!("http://127.0.0.1:{port}/"), format!("http://localhost:{port}/")] {
        tab.load(&own).await.unwrap();
        let socket = format!("{}ws", own.replace("http:", "ws:"));
        assert_eq!(opens(&tab, OPENS, &socket).await, "open", "{own}");
    }
    browser.close().await;
    let events = server.stop();
    let mut told = Vec::new();
    let mut statuses = Vec::new();
    for event in &events {
        if let Event::HttpOriginRefused { origin, host, remedy, .. } = event {
            assert_eq!(host, &format!("127.0.0.1:{port}"));
            let remedies = if origin == "null" { "server's own address" } else { "--allow-origin" };
            assert!(remedy.contains(remedies), "{origin}: {remedy}");
            told.push(origin.as_str());
        } else if let Event::HttpAnswered { path, status, .. } = event
            && path == "/ws"
        {
            statuses.push(*status);
        }
    }
    assert_eq!(told, refused, "one event a try");
    assert_eq!(statuses, [vec![403; refused.len()], vec![101; 2]].concat());
}

// ---- a server that sends nonsense

fn frame(kind: Kind, payload: &[u8]) -> Frame {
    Frame { kind, stream: 2, sequence: 0, timestamp: 0, payload: Bytes::copy_from_slice(payload) }
}

/// One good frame of every kind that a server sends.
fn good() -> Vec<Frame> {
    let name = "dave".to_owned();
    let messages = [
        welcome(),
        Message::Refusal(Refusal::new(RefusalCode::ServerFull, "no")),
        Message::Ping(Ping { nonce: 7 }),
        Message::Pong(Ping { nonce: 7 }),
        Message::Joined(Joined { participant: Participant { stream: 9, name: name.clone(), muted: false } }),
        Message::Left(Left { stream: 9, name: name.clone() }),
        Message::Chat(Chat { from: name, text: "hello".to_owned() }),
        Message::Mute(Mute { stream: 2, muted: true }),
        Message::Bye(Bye { code: 1001, reason: "restart".to_owned() }),
        Message::Speaking(Speaking { streams: vec![2, 3] }),
    ];
    let media = [
        AudioPacket::keep_alive().frame(0, 1, 960),
        VideoChunk { picture: 1, index: 0, count: 1, data: Bytes::from_static(b"\xff\xd8") }.frame(2, 0, 0),
    ];
    messages.iter().map(|message| message.frame(0, 0)).chain(media).collect()
}

/// What ends the connection, with which code.
fn breaches() -> Vec<(String, WsMessage, u16)> {
    let mut breaches = Vec::new();
    let mut breach = |what: String, message: WsMessage, code| breaches.push((what, message, code));
    for good in good() {
        let (kind, bytes) = (good.kind, good.encode());
        breach(format!("{kind:?} without its last byte"), binary(&bytes[..bytes.len() - 1]), 1002);
        let mut announced = bytes[..HEADER_LENGTH].to_vec();
        announced[12..16].copy_from_slice(&u32::try_from(kind.limit() + 1).unwrap().to_be_bytes());
        breach(format!("{kind:?} above its limit"), binary(&announced), 1009);
        match kind {
            Kind::Audio => breach("level 200".to_owned(), binary(&frame(kind, &[200, 1]).encode()), 1002),
            Kind::Video => {
                breach("chunk 3 of 3".to_owned(), binary(&frame(kind, &[0, 0, 0, 1, 0, 3, 0, 3, 9]).encode()), 1002);
            }
            Kind::Hello
            | Kind::Welcome
            | Kind::Refusal
            | Kind::Ping
            | Kind::Pong
            | Kind::Joined
            | Kind::Left
            | Kind::Chat
            | Kind::Mute
            | Kind::Bye
            | Kind::Speaking
            | Kind::Unknown(_) => {
                let cut = &good.payload[..good.payload.len() / 2];
                breach(format!("{kind:?} with half its JSON"), binary(&frame(kind, cut).encode()), 1002);
            }
        }
    }
    for (kind, json) in [
        (Kind::Joined, r#"{"participant":{"stream":"2","name":"x"}}"#),
        (Kind::Joined, r#"{"participant":null}"#),
        (Kind::Left, r#"{"stream":-1,"name":"x"}"#),
        (Kind::Chat, r#"{"from":{"toString":1},"text":["<b>"]}"#),
        (Kind::Chat, "[]"),
        (Kind::Mute, r#"{"stream":1e99,"muted":true}"#),
        (Kind::Speaking, r#"{"streams":{"length":9}}"#),
        (Kind::Speaking, r#"{"__proto__":{"streams":[1]}}"#),
        (Kind::Bye, r#"{"code":1005,"reason":""}"#),
    ] {
        breach(format!("{kind:?} as {json}"), binary(&frame(kind, json.as_bytes()).encode()), 1002);
    }
    breach("a second welcome".to_owned(), binary(&welcome().frame(0, 0).encode()), 1002);
    breach("a hello".to_owned(), binary(&frame(Kind::Hello, b"{}").encode()), 1002);
    breach("wrong magic".to_owned(), binary(b"GET / HTTP/1.1\r\n\r\n"), 1002);
    breach("nothing".to_owned(), binary(b""), 1002);
    breach("text".to_owned(), WsMessage::text("<script>pwned = 1</script>"), 1002);
    let mut long = frame(Kind::Chat, &[]).encode().to_vec();
    long[12..16].copy_from_slice(&70_000_u32.to_be_bytes());
    long.resize(HEADER_LENGTH + 70_000, b'x');
    breach("a chat line of 70,000 bytes".to_owned(), binary(&long), 1009);
    breach("a megabyte".to_owned(), binary(&vec![0xD7; 1 << 20]), 1009);
    breaches
}

/// What is odd and harmless.
fn oddities() -> Vec<(&'static str, Frame)> {
    let chunk = |stream, index, count| {
        VideoChunk { picture: 1, index, count, data: Bytes::from_static(b"\xff\xd8\xff") }.frame(stream, index, 0)
    };
    vec![
        ("a kind of a later version", frame(Kind::Unknown(0x7F), &[0xFF; 64])),
        ("a pong that nobody asked for", Message::Pong(Ping { nonce: 1 << 60 }).frame(0, 0)),
        ("somebody unknown leaves", Message::Left(Left { stream: 77, name: "x".to_owned() }).frame(0, 0)),
        ("somebody unknown is muted", Message::Mute(Mute { stream: 77, muted: true }).frame(0, 0)),
        ("somebody unknown speaks", Message::Speaking(Speaking { streams: vec![0, 77, 65_535] }).frame(0, 0)),
        ("a picture of somebody unknown", chunk(77, 0, 1)),
        ("the end of a picture that never began", chunk(2, 5, 6)),
        ("a packet that is no Opus", frame(Kind::Audio, &[3, 0xFF, 0xFF, 0xFF])),
        ("an unknown field", frame(Kind::Chat, br#"{"text":"odd","later":{"x":[1]}}"#)),
        ("a name that objects have", frame(Kind::Joined, br#"{"participant":{"stream":40,"name":"__proto__"}}"#)),
        ("two with one stream", frame(Kind::Joined, br#"{"participant":{"stream":2,"name":"impostor"}}"#)),
    ]
}

/// Waits until the page told of so many losses; gives code and reason of the last one.
async fn losses(tab: &Tab, count: usize) -> (Value, String) {
    let last =
        tab.until(&format!("events('client.disconnected').length >= {count} && events('client.disconnected')")).await;
    let told = last.unwrap();
    let told = told.as_array().unwrap();
    assert_eq!(told.len(), count, "one event a loss: {told:?}");
    let last = &told[count - 1];
    (last["close_code"].clone(), last["reason"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_server_sends_the_page_closes_says_so_and_comes_back() {
    if !browser_is_there() {
        return;
    }
    let (server, browser) = (Server::start(), browser().await);
    let fake = Fake::before(server.web());
    let tab = tab(&browser, DESKTOP).await;
    tab.load(&format!("http://{}/?name=ada&room=lobby&mic=off&camera=off", fake.address)).await.unwrap();
    tab.click("#join").await.unwrap();
    let mut lost = 0;
    for (what, message, code) in breaches() {
        let mut session = fake.welcomed();
        session.give(message);
        assert_eq!(session.ask(), Did::Left(code), "{what}");
        lost += 1;
        let (told, reason) = losses(&tab, lost).await;
        assert!(told == code && !reason.is_empty(), "{what}: {told} {reason}");
    }
    let mut session = fake.welcomed();
    for (what, frame) in oddities() {
        session.give(binary(&frame.encode()));
        assert_eq!(session.ask(), Did::Answered, "{what}");
    }
    give_up_the_decoder(&mut session, &tab).await;
    drop(session);
    lost += 1;
    losses(&tab, lost).await;
    // before the welcome there is no call that could be lost
    for nonsense in
        [WsMessage::text("{}"), binary(&[0xD7, 2]), binary(&Message::Ping(Ping { nonce: 1 }).frame(0, 0).encode())]
    {
        fake.greeted().give(nonsense);
    }
    lost = at_random(&fake, &tab, lost).await;
    still_of_use(&fake, &tab, lost).await;
    browser.close().await;
    server.stop();
}

/// One packet after the other that is no Opus, until the page does not try any more.
async fn give_up_the_decoder(session: &mut Session, tab: &Tab) {
    const GIVEN_UP: &str = "events('device.failed').some(({ device }) => device === 'opus decoder')";
    for sequence in 0..20 {
        let packet = AudioPacket { level: 3, opus: Bytes::from_static(&[0xFF; 9]) };
        session.give(binary(&packet.frame(0, sequence, u32::from(sequence) * 960).encode()));
        assert_eq!(session.ask(), Did::Answered);
        let seen = format!(
            "(async () => {{
               for (;;) {{
                 if ({GIVEN_UP}) return true;
                 if ((await sidetone.stats()).sidetone.packetsUndecodable > {sequence}) return false;
               }}
             }})()"
        );
        if value(tab, &seen).await == true {
            return;
        }
    }
    panic!("the page never gives up");
}

/// Frames of any kind with anything in it, the same in every run.
async fn at_random(fake: &Fake, tab: &Tab, mut lost: usize) -> usize {
    let mut chance = Chance(4);
    for _ in 0..15 {
        let mut session = fake.welcomed();
        for _ in 0..20 {
            let good = good();
            let mut payload = good[chance.below(good.len())].payload.to_vec();
            match chance.below(3) {
                0 => {
                    let count = chance.below(200);
                    payload = chance.bytes(count);
                }
                1 => {
                    let at = chance.below(payload.len());
                    payload[at] ^= 1 << chance.below(8);
                }
                _ => {}
            }
            let kind = good[chance.below(good.len())].kind;
            session.give(binary(&frame(kind, &payload).encode()));
        }
        if session.ask() == Did::Answered {
            drop(session);
        }
        lost += 1;
        losses(tab, lost).await;
    }
    lost
}

/// The call goes on, with sound, and can be left.
async fn still_of_use(fake: &Fake, tab: &Tab, lost: usize) {
    let mut session = fake.welcomed();
    joined(tab).await;
    session.send(&Message::Chat(Chat { from: "bob".to_owned(), text: "still there?".to_owned() }));
    let said = "[...document.querySelectorAll('#chat-log .said')].at(-1)?.textContent === 'still there?'";
    tab.until(said).await.unwrap();
    hears(&mut session, tab).await;
    let hostile = [
        (format!("z{}", "\u{301}".repeat(10_000)), format!("z{}", "\u{301}".repeat(4))),
        ("a\u{202e}b\u{2066}c".to_owned(), "a\u{b7}b\u{b7}c".to_owned()),
        ("\u{1b}[2J\u{7}".to_owned(), "\u{b7}[2J\u{b7}".to_owned()),
        ("\u{61c}\u{3164}".to_owned(), "\u{b7}\u{b7}".to_owned()),
        ("<img src onerror=pwned=1><script>pwned=1</script>".repeat(3), "<img src onerror=pwned=1>".to_owned()),
        ("W".repeat(20_000), "W".repeat(32)),
        (String::new(), "\u{b7}".to_owned()),
    ];
    for ((name, _), stream) in hostile.iter().zip(50..) {
        session
            .send(&Message::Joined(Joined { participant: Participant { stream, name: name.clone(), muted: false } }));
    }
    assert_eq!(session.ask(), Did::Answered);
    for ((_, shown), stream) in hostile.iter().zip(50..) {
        let name = format!("document.querySelector('.tile[data-stream=\"{stream}\"] .name')?.textContent");
        let name = tab.until(&name).await.unwrap();
        assert!(name.as_str().unwrap().starts_with(shown), "{shown:?}: {name:?}");
    }
    assert_eq!(value(tab, LAYOUT).await, json!([]));
    assert_eq!(value(tab, "events('client.disconnected').length").await, lost);
    tab.click("#leave").await.unwrap();
    assert_eq!(session.left(), 1000);
    tab.until("document.body.dataset.view === 'lobby' && sidetone.state().state === 'lobby'").await.unwrap();
    unharmed(tab).await;
}

/// A tone is decoded and played: what came before did no lasting harm to the decoder.
async fn hears(session: &mut Session, tab: &Tab) {
    let energy =
        "sidetone.stats().then((report) => report.stats.find(({ id }) => id === 'inbound-audio').totalAudioEnergy)";
    let before = value(tab, energy).await.as_f64().unwrap();
    let mut encoder = Encoder::new(Prediction::Enabled).unwrap();
    let mut tone = Tone::new(440.0, 0.25);
    for count in 0..100_u16 {
        let mut samples = [0.0; FRAME_SAMPLES];
        tone.fill(&mut samples);
        let opus = encoder.encode(&samples).unwrap();
        let packet = AudioPacket { level: 12, opus };
        session.give(binary(&packet.frame(0, count, u32::from(count) * 960).encode()));
    }
    let heard = format!(
        "(async () => {{
           for (;;) {{
             if (await {energy} > {before} + 0.001) return true;
             await new Promise((next) => setTimeout(next, 20));
           }}
         }})()"
    );
    assert_eq!(value(tab, &heard).await, true);
}

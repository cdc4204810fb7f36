//! What people in a room do to the page of the others: names, lines and pictures that are none. A real browser, the real page.
#![cfg(test)] // so that the lints know the helpers for test code

use super::stage::{
    Chance, DESKTOP, Did, Fake, LAYOUT, PHONE, Peer, Server, browser, browser_is_there, join, joined, tab, unharmed,
    value,
};
use bytes::Bytes;
use serde_json::json;
use sidetone::event::Event;
use sidetone::protocol::RefusalCode;
use sidetone::video::{Picture, color::Rgb, jpeg};
use sidetone_harness::launch::resources::{command_line, descendants, resources};

// ---- names and chat lines

/// Names that the server lets in, and what of them is shown.
fn allowed_names() -> Vec<(String, String)> {
    let same = |name: &str| (name.to_owned(), name.to_owned());
    vec![
        same("<img src onerror=pwned=1>"),
        same("<script>window.pwned=1</script>"),
        same("\"><svg/onload=pwned=1>"),
        same("'\"\\`${pwned=1}&lt;&#60;"),
        same("{{assets}} javascript:pwned=1"),
        same("__proto__"),
        same("a\u{301}\u{302}\u{303}\u{304}b"),
        same(&"🦀".repeat(32)),
        same(&"W".repeat(32)),
        same("שלום עולם"),
    ]
}

/// Names that it does not let in.
fn refused_names() -> Vec<String> {
    vec![
        "\u{1b}[2Jada".to_owned(),
        "ada\u{7}".to_owned(),
        "a\u{202e}da".to_owned(),
        "a\u{2066}da\u{2069}".to_owned(),
        "a\u{200b}da".to_owned(),
        "a\nb".to_owned(),
        "a\u{61c}da".to_owned(),
        format!("z{}", "\u{335}".repeat(5)),
        format!("z{}", "\u{301}".repeat(10_000)),
        "🦀".repeat(33),
        String::new(),
    ]
}

/// Chat lines as sent and as shown.
fn lines() -> Vec<(String, String)> {
    let same = |line: &str| (line.to_owned(), line.to_owned());
    vec![
        same("<img src=x onerror=\"window.pwned=1\"><script>window.pwned=1</script>"),
        same("<a href=\"javascript:pwned=1\">click</a> <iframe srcdoc='<script>parent.pwned=1</script>'>"),
        same("'\"\\`${pwned=1}&lt;b&gt;"),
        same(&"x".repeat(500)),
        same(&"🦀".repeat(500)),
        ("\u{1b}]0;title\u{7}\u{1b}[31mred".to_owned(), "·]0;title··[31mred".to_owned()),
        ("left \u{202e}right\u{2066} and\u{2029}on".to_owned(), "left ·right· and·on".to_owned()),
        (format!("z{}z", "\u{301}".repeat(2_000)), format!("z{}z", "\u{301}".repeat(4))),
        same("e\u{301}\u{302}\u{303}\u{304}"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_chat_lines_stay_text_and_keep_the_layout() {
    if !browser_is_there() {
        return;
    }
    let (server, browser) = (Server::start(), browser().await);
    let (tab, phone) = (tab(&browser, DESKTOP).await, tab(&browser, PHONE).await);
    for name in refused_names() {
        assert_eq!(Peer::join(&server, &name, "lobby").err(), Some(RefusalCode::NameInvalid), "{name:?}");
    }
    join(&tab, server.web(), "ada", "lobby").await;
    tab.press("t").await.unwrap();
    let mut peers: Vec<_> = allowed_names()
        .iter()
        .map(|(name, _)| Peer::join(&server, name, "lobby").unwrap_or_else(|_| panic!("{name}")))
        .collect();
    join(&phone, server.web(), "eve", "lobby").await;
    phone.press("t").await.unwrap();
    for (line, _) in lines() {
        peers[0].say(&line);
    }
    for (tab, who) in [(&tab, "ada"), (&phone, "eve")] {
        let count = lines().len();
        let said = "[...document.querySelectorAll('#chat-log .said')].map((line) => line.textContent)";
        let said = tab.until(&format!("{said}.length === {count} && {said}")).await.unwrap();
        let expected: Vec<_> = lines().into_iter().map(|(_, shown)| shown).collect();
        assert_eq!(said, json!(expected), "{who}");
        let from = value(
            tab,
            "[...new Set([...document.querySelectorAll('#chat-log .from')].map((from) => from.textContent))]",
        )
        .await;
        assert_eq!(from, json!([allowed_names()[0].1]));
        let shown = value(tab, "Object.fromEntries([...document.querySelectorAll('.tile')].map((tile) => [tile.dataset.name, tile.querySelector('.name').textContent]))").await;
        for (name, expected) in allowed_names() {
            assert_eq!(shown[&name], json!(expected), "{who}: {shown}");
        }
        // with the chat open and without it
        for _ in 0..2 {
            assert_eq!(value(tab, LAYOUT).await, json!([]), "{who}");
            tab.press("Escape").await.unwrap();
        }
        let elements = "document.querySelectorAll('#grid script, #grid img, #chat-log script, #chat-log img, #chat-log a, iframe').length";
        assert_eq!(value(tab, elements).await, 0);
        unharmed(tab).await;
    }
    browser.close().await;
    server.stop();
}

// ---- pictures

fn photo() -> Bytes {
    jpeg::encode(&Picture::filled(64, 48, Rgb::new(200, 40, 40))).unwrap()
}

/// Widths and heights of its frame header changed.
fn bomb() -> Bytes {
    let mut bytes = photo().to_vec();
    let at = bytes.windows(2).position(|two| two == [0xFF, 0xC0]).unwrap();
    bytes[at + 5..at + 9].copy_from_slice(&[0xFF, 0xDC, 0xFF, 0xDC]);
    bytes.into()
}

/// A good frame header of 320x240, and then anything.
fn garbage() -> Bytes {
    let mut bytes = jpeg::encode(&Picture::filled(320, 240, Rgb::new(9, 9, 9))).unwrap().to_vec();
    let at = bytes.windows(2).position(|two| two == [0xFF, 0xDA]).unwrap();
    let mut chance = Chance(9);
    // without 0xff, which might look like a second frame header
    bytes[at + 2..].iter_mut().for_each(|byte| *byte = chance.number().to_le_bytes()[0] & 0x7F);
    bytes.into()
}

fn no_pictures() -> Vec<(&'static str, Bytes)> {
    vec![
        ("no JPEG", Bytes::from_static(b"\x89PNG\r\n\x1a\n and so on")),
        ("a JPEG that ends in its header", photo().slice(..20)),
        ("a bomb", bomb()),
        ("SVG", Bytes::from_static(b"<svg xmlns='http://www.w3.org/2000/svg' onload='pwned=1'/>")),
        ("a lonely mark", Bytes::from_static(b"\xff\xd8")),
    ]
}

/// Resident memory of the processes that render pages, in bytes.
fn rendering(browser: u32) -> u64 {
    let renders = |pid: &u32| command_line(*pid).is_some_and(|line| line.contains("--type=renderer"));
    descendants(browser).into_iter().filter(renders).filter_map(|pid| resources(pid).ok()).map(|(rss, ..)| rss).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_picture_ends_at_the_server() {
    if !browser_is_there() {
        return;
    }
    let (server, browser) = (Server::start(), browser().await);
    let tab = tab(&browser, DESKTOP).await;
    join(&tab, server.web(), "ada", "lobby").await;
    let mut offenders = Vec::new();
    for (what, bytes) in no_pictures() {
        let mut peer = Peer::join(&server, "mallory", "lobby").unwrap();
        let (number, address) = (peer.number(), peer.address);
        tab.until(&format!("document.querySelector('.tile[data-stream=\"{number}\"]')")).await.unwrap();
        peer.picture(1, &bytes);
        assert_eq!(peer.closed().map(|bye| bye.code), Some(1002), "{what}");
        tab.until(&format!("!document.querySelector('.tile[data-stream=\"{number}\"]')")).await.unwrap();
        offenders.push((what, address));
    }
    assert_eq!(value(&tab, "sidetone.pictures()").await, json!({}), "none of them came through");
    assert_eq!(value(&tab, "events('client.disconnected').length").await, 0);
    unharmed(&tab).await;
    browser.close().await;
    let events = server.stop();
    for (what, address) in offenders {
        let told = events
            .iter()
            .filter(|e| matches!(e, Event::ConnectionMalformed { peer, close_code: 1002, .. } if *peer == address));
        assert_eq!(told.count(), 1, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_picture_is_skipped_by_the_page() {
    /// Most that the page's memory may grow by them, in bytes.
    const GROWTH: u64 = 100 << 20;
    if !browser_is_there() {
        return;
    }
    let (server, browser) = (Server::start(), browser().await);
    let fake = Fake::before(server.web());
    let tab = tab(&browser, DESKTOP).await;
    tab.load(&format!("http://{}/?name=ada&room=lobby&mic=off&camera=off", fake.address)).await.unwrap();
    tab.click("#join").await.unwrap();
    let mut session = fake.welcomed();
    joined(&tab).await;
    let shown = |who: &str| {
        format!(
            "document.querySelector('.tile[data-name={who}] canvas').getAttribute('aria-label').startsWith('Picture of')"
        )
    };
    session.picture(2, 1, &photo());
    tab.until(&shown("bob")).await.unwrap();
    let before = rendering(browser.pid());
    assert!(before > 0, "no process that renders");
    let mut number = 0;
    let (mut bad, rounds) = (0, 20);
    for _ in 0..rounds {
        for (_, bytes) in no_pictures() {
            (number, bad) = (number + 1, bad + 1);
            session.picture(3, number, &bytes);
        }
        number += 1;
        session.picture(3, number, &garbage());
    }
    assert_eq!(session.ask(), Did::Answered);
    let counted = "sidetone.stats().then(({ stats }) => stats.find(({ id }) => id === 'inbound-video-carol'))";
    let counted = value(&tab, counted).await;
    assert_eq!(counted["framesReceived"], bad + rounds, "{counted}");
    let undecodable = counted["framesReceived"].as_u64().unwrap() - counted["framesDecoded"].as_u64().unwrap();
    assert!(undecodable >= bad, "{counted}");
    let growth = rendering(browser.pid()).saturating_sub(before);
    assert!(growth <= GROWTH, "the page's memory grew by {growth} bytes");
    // a good one is still welcome
    session.picture(3, number + 1, &photo());
    tab.until(&shown("carol")).await.unwrap();
    assert_eq!(value(&tab, "events('client.disconnected').length").await, 0);
    unharmed(&tab).await;
    browser.close().await;
    server.stop();
}

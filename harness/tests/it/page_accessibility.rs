//! The page for people who do not see it, do not use a mouse, or do not want it to move. A real browser, the real page.
#![cfg(test)] // so that the lints know the helpers for test code

use super::place::root;
use super::stage::{Peer, Server, browser, browser_is_there, join, skip, tab, unharmed, value};
use serde_json::{Value, json};
use sidetone_harness::browser::tab::{Browser, Look, Tab};
use std::net::SocketAddr;
use std::path::PathBuf;

const DESKTOP: Look = Look { window: (1_280, 800), dark: false, still: false };

// ---- what a checker finds

/// The file of axe-core: `SIDETONE_AXE`, or below `target/axe` or `target/axe-VERSION`, where `make deps` puts it. Says why if
/// it is missing.
fn axe() -> Option<String> {
    let fetched = || {
        let folders =
            std::fs::read_dir(root().join("target")).into_iter().flatten().flatten().map(|entry| entry.path());
        let named =
            folders.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("axe")));
        let files = named.map(|folder| folder.join("package/axe.min.js"));
        files.filter(|file| file.is_file()).max().unwrap_or_else(|| root().join("target/axe/package/axe.min.js"))
    };
    let path = std::env::var_os("SIDETONE_AXE").map_or_else(fetched, PathBuf::from);
    match std::fs::read_to_string(&path) {
        Ok(script) => Some(script),
        Err(error) => {
            skip(&format!("{}: {error}; run `make deps`, or name axe.min.js in SIDETONE_AXE", path.display()));
            None
        }
    }
}

/// What axe-core finds in the page as it is now; one line an element.
const FOUND: &str = "axe.run(document, { resultTypes: ['violations'] }).then(({ violations, passes }) => ({
  rules: passes.length,
  found: violations.flatMap(({ id, help, nodes }) => nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')}: ${help}; ${failureSummary.replace(/\\s+/g, ' ')}`)),
}))";

/// Two frames on, so that the page has seen its new size.
const ARRANGED: &str = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))";

/// Nothing moves any more: colours in the middle of a transition are nobody's.
const SETTLED: &str = "document.getAnimations().every(({ playState }) => playState !== 'running')";

async fn check(tab: &Tab, place: &str, all: &mut Vec<String>) {
    for (window, dark) in [((1_280, 800), false), ((1_280, 800), true), ((360, 740), false), ((360, 740), true)] {
        tab.look(Look { window, dark, still: false }).await.unwrap();
        value(tab, ARRANGED).await;
        tab.until(SETTLED).await.unwrap();
        let result = value(tab, FOUND).await;
        assert!(result["rules"].as_u64().unwrap() >= 10, "{place}: too few rules were of use: {result}");
        let colours = if dark { "dark" } else { "light" };
        let found: Vec<String> = serde_json::from_value(result["found"].clone()).unwrap();
        all.extend(found.into_iter().map(|line| format!("{place}, {}x{}, {colours}: {line}", window.0, window.1)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checker_finds_nothing() {
    if !browser_is_there() {
        return;
    }
    let Some(axe) = axe() else { return };
    let (server, browser) = (Server::start(), browser().await);
    let tab = tab(&browser, DESKTOP).await;
    tab.before_scripts(&axe).await.unwrap();
    let mut found = Vec::new();

    tab.load(&format!("http://{}/?mic=off&camera=off", server.web())).await.unwrap();
    tab.until("Boolean(window.sidetone && window.axe)").await.unwrap();
    check(&tab, "lobby", &mut found).await;
    tab.click("#join").await.unwrap();
    tab.until("document.querySelector('#lobby-error').textContent").await.unwrap();
    check(&tab, "lobby with an error", &mut found).await;

    join(&tab, server.web(), "ada", "lobby").await;
    check(&tab, "alone in the call", &mut found).await;
    let mut peers = ["bob", "carol"].map(|name| Peer::join(&server, name, "lobby").unwrap());
    tab.until("document.querySelectorAll('.tile').length === 3").await.unwrap();
    tab.press("m").await.unwrap();
    check(&tab, "call, muted", &mut found).await;
    peers[0].say("Hello, can you hear me?");
    tab.until("!document.querySelector('#unread').hidden").await.unwrap();
    check(&tab, "call with an unread message", &mut found).await;
    tab.press("t").await.unwrap();
    check(&tab, "chat", &mut found).await;
    tab.press("Escape").await.unwrap();
    tab.press("s").await.unwrap();
    tab.until("document.querySelector('#figures dd')").await.unwrap();
    check(&tab, "statistics", &mut found).await;
    tab.press("Escape").await.unwrap();

    drop(peers);
    server.stop();
    tab.until("!document.querySelector('#notice').hidden && sidetone.state().situation === 'server-gone'")
        .await
        .unwrap();
    check(&tab, "the server is gone", &mut found).await;
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
    unharmed(&tab).await;
    browser.close().await;
}

// ---- keys

/// Presses Tab until the focus comes back to where it was first, the end of the page in between; gives what had it, and how it was shown.
async fn tour(tab: &Tab) -> Vec<(String, f64)> {
    let mut seen: Vec<(String, f64)> = Vec::new();
    for _ in 0..60 {
        tab.press("Tab").await.unwrap();
        let at = value(
            tab,
            "(() => {
               const at = document.activeElement;
               if (!at || at === document.body) return null;
               const style = getComputedStyle(at);
               const name = at.id ? '#' + at.id : at.dataset.close ? `close ${at.dataset.close}` : at.className || at.tagName.toLowerCase();
               return [name, style.outlineStyle === 'none' ? 0 : parseFloat(style.outlineWidth)];
             })()",
        )
        .await;
        let Ok((name, outline)) = serde_json::from_value::<(String, f64)>(at) else { continue };
        if seen.first().is_some_and(|(first, _)| *first == name) {
            break;
        }
        seen.push((name, outline));
    }
    for (name, outline) in &seen {
        assert!(*outline > 0.0, "the focus cannot be seen on {name}");
    }
    seen
}

fn names(tour: &[(String, f64)]) -> Vec<&str> {
    tour.iter().map(|(name, _)| name.as_str()).collect()
}

/// Controls that can be seen, and that Tab should reach.
const CONTROLS: &str = "[...document.querySelectorAll('button, input, select, a[href], textarea')]
  .filter((one) => one.checkVisibility() && !one.disabled && one.tabIndex >= 0)
  .map((one) => one.id ? '#' + one.id : one.dataset.close ? `close ${one.dataset.close}` : one.className || one.tagName.toLowerCase())";

/// Buttons that a screen reader would call just that.
const NAMELESS: &str = "[...document.querySelectorAll('button')]
  .filter((one) => !(one.getAttribute('aria-label') ?? one.textContent).trim() && !one.hidden)
  .map((one) => one.outerHTML)";

const BAR: [&str; 7] =
    ["#mute", "#camera-toggle", "#deafen", "#chat-toggle", "#stats-toggle", "#ascii-toggle", "#leave"];

/// Every control that can be seen is on the way of the tab key.
async fn reaches_all(tab: &Tab, way: &[(String, f64)]) {
    let controls: Vec<String> = serde_json::from_value(value(tab, CONTROLS).await).unwrap();
    for control in controls {
        assert!(names(way).contains(&control.as_str()), "Tab does not reach {control}: {:?}", names(way));
    }
    assert_eq!(value(tab, NAMELESS).await, json!([]), "buttons without a name");
}

async fn alone(browser: &Browser, address: SocketAddr, room: &str) -> Tab {
    let tab = tab(browser, DESKTOP).await;
    join(&tab, address, "ada", room).await;
    tab
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_reach_everything_and_the_focus_is_seen_and_comes_back() {
    if !browser_is_there() {
        return;
    }
    let (server, browser) = (Server::start(), browser().await);
    let lobby = tab(&browser, DESKTOP).await;
    lobby.load(&format!("http://{}/?name=ada&mic=off&camera=off", server.web())).await.unwrap();
    lobby.until("Boolean(window.sidetone)").await.unwrap();
    lobby.evaluate("document.activeElement.blur()").await.unwrap();
    let way = tour(&lobby).await;
    reaches_all(&lobby, &way).await;
    let form = ["#name", "#room", "#microphone", "#microphone-check", "#camera", "#preview-toggle"];
    let end = ["#cleanup", "#join"];
    let seen: Vec<_> = names(&way).into_iter().filter(|n| form.contains(n) || end.contains(n)).collect();
    assert_eq!(seen, [&form[..], &end].concat(), "{way:?}");

    let _bob = Peer::join(&server, "bob", "lobby").unwrap();
    let call = alone(&browser, server.web(), "lobby").await;
    let focus = "document.activeElement.id";
    assert_eq!(value(&call, focus).await, "call-title", "the focus goes with the view");
    let way = tour(&call).await;
    reaches_all(&call, &way).await;
    let bar: Vec<_> = names(&way).into_iter().filter(|n| BAR.contains(n)).collect();
    assert_eq!(bar, BAR);
    for (drawer, toggle, inside) in [("chat", "chat-toggle", "chat-input"), ("stats", "stats-toggle", "stats-title")] {
        call.evaluate(&format!("document.getElementById('{toggle}').focus()")).await.unwrap();
        call.press("Enter").await.unwrap();
        assert_eq!(value(&call, focus).await, inside, "{drawer}");
        let way = tour(&call).await;
        reaches_all(&call, &way).await;
        let close = format!("close {drawer}");
        assert!(names(&way).contains(&close.as_str()), "{way:?}");
        call.evaluate(&format!("document.getElementById('{inside}').focus()")).await.unwrap();
        call.press("Escape").await.unwrap();
        assert_eq!(value(&call, &format!("document.getElementById('{drawer}').hidden")).await, true);
        assert_eq!(value(&call, focus).await, toggle, "Esc gives the focus back");
    }
    for tab in [&lobby, &call] {
        unharmed(tab).await;
    }
    browser.close().await;
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_no_motion_gets_none() {
    if !browser_is_there() {
        return;
    }
    let (server, browser) = (Server::start(), browser().await);
    let running = "document.getAnimations().filter(({ playState }) => playState === 'running').length";
    // so that the test could fail: with motion something moves at the beginning
    for still in [false, true] {
        let tab = tab(&browser, Look { still, ..DESKTOP }).await;
        tab.before_scripts(
            "window.moved = []; for (const what of ['animationstart', 'transitionrun']) {
               addEventListener(what, ({ target }) => moved.push(`${what} ${target.id || target.tagName}`), true);
             }",
        )
        .await
        .unwrap();
        join(&tab, server.web(), "ada", &format!("still {still}")).await;
        let _bob = Peer::join(&server, "bob", &format!("still {still}")).unwrap();
        tab.until("document.querySelectorAll('.tile').length === 2").await.unwrap();
        tab.press("t").await.unwrap();
        if still {
            assert_eq!(value(&tab, running).await, 0);
            assert_eq!(value(&tab, "moved").await, json!([]));
        } else {
            tab.until("moved.length > 0").await.unwrap();
        }
        unharmed(&tab).await;
    }
    browser.close().await;
    server.stop();
}

// ---- shortcuts

/// Whether it is so in the page.
async fn so(tab: &Tab, expression: &str) {
    tab.until(expression).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn single_keys_do_what_they_do_in_the_terminal_and_nothing_while_typing() {
    if !browser_is_there() {
        return;
    }
    let (server, browser) = (Server::start(), browser().await);
    let tab = alone(&browser, server.web(), "lobby").await;
    let _bob = Peer::join(&server, "bob", "lobby").unwrap();
    let pressed =
        |id: &str, on: bool| format!("document.getElementById('{id}').getAttribute('aria-pressed') === '{on}'");
    for (key, id, state) in [("m", "mute", "muted"), ("v", "camera-toggle", "camera"), ("d", "deafen", "deafened")] {
        for on in [true, false] {
            tab.press(key).await.unwrap();
            so(&tab, &format!("sidetone.state().{state} === {on} && {}", pressed(id, on))).await;
        }
    }
    let plain = "[...document.querySelectorAll('.tile .screen')].every((screen) => screen.classList.contains('plain'))";
    for ascii in [false, true] {
        tab.press("p").await.unwrap();
        so(&tab, &format!("{} && ({plain}) !== {ascii}", pressed("ascii-toggle", ascii))).await;
    }
    for key in ["s", "s"] {
        let open = value(&tab, "document.getElementById('stats').hidden").await == Value::Bool(true);
        tab.press(key).await.unwrap();
        so(&tab, &format!("document.getElementById('stats').hidden !== {open} && {}", pressed("stats-toggle", open)))
            .await;
    }
    for key in ["t", "Enter"] {
        tab.press(key).await.unwrap();
        so(&tab, "!document.getElementById('chat').hidden && document.activeElement.id === 'chat-input'").await;
        tab.press("Escape").await.unwrap();
        so(&tab, "document.getElementById('chat').hidden").await;
        tab.evaluate("document.activeElement.blur()").await.unwrap();
    }
    typing(&tab).await;
    tab.press("q").await.unwrap();
    so(&tab, "document.body.dataset.view === 'lobby' && sidetone.state().state === 'lobby'").await;
    unharmed(&tab).await;
    browser.close().await;
    server.stop();
}

/// Letters in the chat are letters.
async fn typing(tab: &Tab) {
    let state = "JSON.stringify({ ...sidetone.state(), chat: 0, ascii: document.getElementById('ascii-toggle').getAttribute('aria-pressed') })";
    tab.press("t").await.unwrap();
    so(tab, "document.activeElement.id === 'chat-input'").await;
    let before = value(tab, state).await;
    for key in ["m", "v", "d", "s", "p", "q", "t"] {
        tab.press(key).await.unwrap();
    }
    assert_eq!(value(tab, "document.getElementById('chat-input').value").await, "mvdspqt");
    assert_eq!(value(tab, state).await, before);
    assert_eq!(
        value(tab, "[document.getElementById('chat').hidden, document.getElementById('stats').hidden]").await,
        json!([false, true])
    );
    tab.press("Enter").await.unwrap();
    so(tab, "sidetone.state().chat.at(-1)?.text === 'mvdspqt' && document.getElementById('chat-input').value === ''")
        .await;
    assert_eq!(value(tab, "document.activeElement.id").await, "chat-input", "one can go on writing");
    tab.press("Escape").await.unwrap();
    so(tab, "document.getElementById('chat').hidden").await;
    tab.evaluate("document.activeElement.blur()").await.unwrap();
}

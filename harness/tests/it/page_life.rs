//! What happens around a call in a browser: the tab goes to the background, the network goes and comes. A real browser, the
//! real page.
#![cfg(test)] // so that the lints know the helpers for test code

use super::place::{SOON, sidetone};
use super::stage::{DESKTOP, Server, browser, browser_is_there, join, tab, unharmed, value};
use std::process::{Child, Command, Stdio};

/// A terminal client that hums.
struct Humming(Child);

impl Humming {
    fn start(server: &Server) -> Self {
        let target = format!("ws://{}", server.web());
        let args = ["client", &target, "--name", "ada", "--mic", "tone:440"];
        let quiet = Command::new(sidetone()).args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self(quiet.unwrap())
    }
}

impl Drop for Humming {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Resolves when so many seconds of sound more were played; gives how many samples of them were made up.
const PLAYED: &str = "async (seconds) => {
  const figures = async () => (await sidetone.stats()).stats.find(({ id }) => id === 'inbound-audio');
  const before = await figures();
  for (;;) {
    const now = await figures();
    if (now.totalSamplesReceived - before.totalSamplesReceived >= seconds * 48_000) return now.concealedSamples - before.concealedSamples;
  }
}";

#[tokio::test(flavor = "multi_thread")]
async fn sound_goes_on_in_the_background_and_through_a_change_of_the_network() {
    if !browser_is_there() {
        return;
    }
    let (server, browser) = (Server::start(), browser().await);
    let humming = Humming::start(&server);
    let tab = tab(&browser, DESKTOP).await;
    join(&tab, server.web(), "bob", "lobby").await;
    tab.until("document.querySelector('.tile[data-name=ada].speaking')").await.unwrap();

    tab.hide(true).await.unwrap();
    tab.until("document.hidden").await.unwrap();
    // a tab whose timers are held back never has a whole second of which hardly anything is made up; a busy machine has
    let good = format!("({PLAYED})(1).then((madeUp) => madeUp < 8_000)");
    let second = async { while value(&tab, &good).await != true {} };
    tokio::time::timeout(SOON, second).await.expect("the sound is made up in the background");
    let told = "events('browser.situation').map(({ situation }) => situation)";
    assert!(value(&tab, told).await.as_array().unwrap().iter().any(|word| word == "background"));
    tab.hide(false).await.unwrap();
    tab.until("!document.hidden && sidetone.state().situation !== 'background'").await.unwrap();

    // a real network cannot be taken from a page on loopback; what the browser says of it can
    value(&tab, "dispatchEvent(new Event('offline')) && null").await;
    tab.until("sidetone.state().situation === 'offline'").await.unwrap();
    value(&tab, "dispatchEvent(new Event('online')) && null").await;
    tab.until("sidetone.state().situation !== 'offline'").await.unwrap();
    value(&tab, &format!("({PLAYED})(1)")).await;
    assert_eq!(value(&tab, "sidetone.state().state").await, "joined");
    assert_eq!(value(&tab, "events('client.disconnected').length").await, 0);
    unharmed(&tab).await;
    drop(humming);
    browser.close().await;
    server.stop();
}

//! The drawn client in a terminal of 80 columns and 24 rows.

use super::support::{Deadline, Fake, Peer, Server, chat};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use sidetone::clock;
use sidetone::event::{Record, Transport};
use sidetone::protocol::{Chat, Joined, Message, Mute, Participant, Speaking};
use sidetone::video::{jpeg, pattern::test_pattern};
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::sync::mpsc::{Receiver, channel};

struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    output: Receiver<Vec<u8>>,
    parser: vt100::Parser,
    raw: Vec<u8>,
}

const fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

impl Terminal {
    fn client(target: &str, arguments: &[&str]) -> Self {
        let pair = native_pty_system().openpty(size(80, 24)).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_sidetone"));
        command.args(["client", target, "--name", "carol"]);
        command.args(arguments);
        for name in ["NO_COLOR", "CLICOLOR_FORCE", "COLORTERM", "LC_ALL", "LC_CTYPE"] {
            command.env_remove(name);
        }
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave); // or the end of the program would not be the end of the output
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut chunk = [0; 4_096];
            loop {
                match reader.read(&mut chunk) {
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Ok(0) | Err(_) => return, // EIO: the program has ended
                    Ok(count) if sender.send(chunk[..count].to_vec()).is_ok() => {}
                    Ok(_) => return,
                }
            }
        });
        let keys = pair.master.take_writer().unwrap();
        let parser = vt100::Parser::new(NonZeroU16::new(24).unwrap(), NonZeroU16::new(80).unwrap(), 0);
        Self { child, master: pair.master, keys, output, parser, raw: vec![] }
    }

    /// Takes some output; `false` at its end.
    fn pump(&mut self, deadline: Deadline) -> bool {
        use std::sync::mpsc::RecvTimeoutError;
        match self.output.recv_timeout(deadline.left()) {
            Ok(bytes) => {
                self.parser.process(&bytes);
                self.raw.extend(bytes);
                true
            }
            Err(RecvTimeoutError::Disconnected) => false,
            Err(RecvTimeoutError::Timeout) => panic!("not in time; the screen shows\n{}", self.text()),
        }
    }

    fn text(&self) -> String {
        self.parser.screen().contents()
    }

    fn row(&self, row: usize) -> String {
        self.parser.screen().rows(0, 80).nth(row).unwrap_or_default()
    }

    fn shows(&mut self, text: &str) {
        self.until(text, |terminal| terminal.text().contains(text));
    }

    fn until(&mut self, what: &str, wanted: impl Fn(&Self) -> bool) {
        let deadline = Deadline::new();
        while !wanted(self) {
            assert!(self.pump(deadline), "{what}: not before the end; the screen shows\n{}", self.text());
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Cells above the last rows that have a colour.
    fn coloured(&self) -> usize {
        let screen = self.parser.screen();
        let cells = (0..20).flat_map(|row| (0..80).filter_map(move |column| screen.cell(row, column)));
        cells.filter(|cell| cell.bgcolor() != vt100::Color::Default || cell.fgcolor() != vt100::Color::Default).count()
    }

    /// Waits for the end: the exit code is 0 and the terminal is as it was.
    fn ends_well(&mut self) {
        let deadline = Deadline::new();
        while self.pump(deadline) {}
        let status = self.child.wait().unwrap();
        assert_eq!(status.exit_code(), 0, "{status:?}\n{}", self.text());
        let screen = self.parser.screen();
        assert!(!screen.alternate_screen(), "the alternate screen is left");
        assert!(!screen.hide_cursor(), "the cursor is shown");
        assert_eq!(screen.contents().trim(), "", "nothing is left on the screen");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.child.kill()); // fails only if it has ended
        drop(self.child.wait());
    }
}

#[test]
fn a_call_is_drawn_and_keys_are_obeyed() {
    let server = Server::start();
    let (mut ada, _) = Peer::join(&server, Transport::Tcp, "ada", "lobby");
    let mut terminal = Terminal::client(&format!("ws://{}", server.websocket()), &["--mic", "tone:440"]);
    terminal.shows("in room \"lobby\"");
    assert!(terminal.parser.screen().alternate_screen() && terminal.parser.screen().hide_cursor());
    terminal.shows("ada");
    terminal.shows("(no picture)");
    assert!(terminal.row(23).contains("m mute  t chat  q leave"), "{}", terminal.text());
    assert_eq!(terminal.coloured(), 0);

    ada.picture(1, &jpeg::encode(&test_pattern("ada", 0)).unwrap());
    terminal.until("a picture", |t| t.coloured() > 500 && !t.text().contains("(no picture)"));
    ada.tell(&chat("good morning"));
    terminal.shows("ada: good morning");
    ada.tell(&Message::Mute(Mute { stream: 0, muted: true }));
    terminal.shows("ada [muted]");

    terminal.press("thi there, q and m are letters x\u{7f}here");
    terminal.until("the line", |t| t.row(23).starts_with("> hi there, q and m are letters here"));
    terminal.press("\r");
    let text =
        ada.until_message("chat", |m| if let Message::Chat(chat) = m { Some((chat.from, chat.text)) } else { None });
    assert_eq!(text, ("carol".to_owned(), "hi there, q and m are letters here".to_owned()));
    terminal.shows("carol: hi there");
    terminal.press("tnever sent");
    terminal.until("the line", |t| t.row(23).starts_with("> never sent"));
    terminal.press("\u{1b}");
    terminal.until("the status again", |t| t.row(23).contains("in room"));

    for muted in [true, false] {
        terminal.press("m");
        let told = ada.until_message("mute", |m| if let Message::Mute(mute) = m { Some(mute.muted) } else { None });
        assert_eq!(told, muted);
        terminal.until("the status", |t| t.row(23).contains("MUTED") == muted);
    }

    terminal.master.resize(size(60, 16)).unwrap();
    terminal.parser.screen_mut().set_size(NonZeroU16::new(16).unwrap(), NonZeroU16::new(60).unwrap());
    terminal.until("the status in the new last row", |t| t.row(15).contains("in room"));
    terminal.press("q");
    terminal.ends_well();
    let left = ada.until_message("left", |m| if let Message::Left(left) = m { Some(left.name) } else { None });
    assert_eq!(left, "carol");
    server.stop();
}

#[test]
fn a_signal_and_the_keys_of_a_terminal_give_it_back_too() {
    let server = Server::start();
    for how in ["SIGTERM", "\u{3}", "\u{4}"] {
        let mut terminal = Terminal::client(&format!("tcp://{}", server.tcp()), &[]);
        terminal.shows("nobody else is here yet");
        terminal.shows("in room");
        if how == "SIGTERM" {
            let pid = i32::try_from(terminal.child.process_id().unwrap()).unwrap();
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM).unwrap();
        } else {
            terminal.press(how);
        }
        terminal.ends_well();
    }
    server.stop();
}

#[test]
fn without_a_connection_keys_are_obeyed_at_once() {
    let fake = Fake::listen(); // it accepts and says nothing
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let args = ["--log-file", log.to_str().unwrap(), "--log-format", "json"];
    let mut terminal = Terminal::client(&format!("tcp://{}", fake.address()), &args);
    terminal.shows("connecting to tcp://127.0.0.1");
    terminal.press("m");
    terminal.until("mute", |t| t.row(23).contains("MUTED"));
    let pressed_ns = clock::monotonic_ns();
    terminal.press("q");
    terminal.ends_well();
    let log = std::fs::read_to_string(log).unwrap();
    let after: Vec<_> =
        log.lines().map(|line| Record::parse(line).unwrap()).filter(|r| r.monotonic_ns > pressed_ns).collect();
    let names: Vec<_> = after.iter().map(|record| record.event.name()).collect();
    assert_eq!(names, ["client.ended"], "q waits for an answer of the server, or for the end of the patience");
}

#[test]
fn a_lost_server_is_told_and_mute_survives_it() {
    let server = Server::start();
    let port = server.tcp().port().to_string();
    let mut terminal = Terminal::client(&format!("tcp://{}", server.tcp()), &[]);
    terminal.shows("in room");
    drop(server); // killed
    terminal.shows("trying again");
    terminal.press("m");
    terminal.until("mute", |t| t.row(23).contains("MUTED"));
    let server = Server::with(&["--port", &port]);
    terminal.shows("in room");
    let (_ada, welcome) = Peer::join(&server, Transport::Tcp, "ada", "lobby");
    assert!(welcome.participants.iter().any(|p| p.name == "carol"));
    terminal.shows("ada");
    terminal.press("q");
    terminal.ends_well();
}

#[test]
fn who_is_heard_is_marked() {
    let fake = Fake::listen();
    let mut terminal = Terminal::client(&format!("tcp://{}", fake.address()), &[]);
    let mut session = fake.accept();
    session.welcome("lobby", "Ada");
    terminal.shows("in room");
    assert!(!terminal.text().contains('*'), "{}", terminal.text());
    session.tell(&Message::Speaking(Speaking { streams: vec![2, 9] }));
    terminal.shows(" * Ada");
    session.tell(&Message::Mute(Mute { stream: 2, muted: true }));
    terminal.shows(" * Ada [muted]");
    session.tell(&Message::Speaking(Speaking { streams: vec![] }));
    terminal.until("no mark", |t| !t.text().contains('*'));
    terminal.press("q");
    terminal.ends_well();
}

#[test]
fn names_and_chat_of_a_hostile_server_stay_text() {
    let evil = "A\u{1b}]0;owned\u{7}\u{1b}[2J\u{1b}[?1049l\u{9b}31m\u{202e}\r\nB";
    let fake = Fake::listen();
    let mut terminal = Terminal::client(&format!("tcp://{}", fake.address()), &[]);
    let mut session = fake.accept();
    session.welcome(evil, evil);
    terminal.shows("\u{b7}]0;owned\u{b7}");
    session.tell(&Message::Chat(Chat { from: evil.to_owned(), text: format!("{evil} one") }));
    session
        .tell(&Message::Joined(Joined { participant: Participant { stream: 3, name: evil.to_owned(), muted: true } }));
    terminal.shows("joined");
    session.picture(1, &jpeg::encode(&test_pattern("ada", 0)).unwrap());
    terminal.until("a picture", |t| t.coloured() > 200);
    assert!(terminal.parser.screen().alternate_screen(), "{}", terminal.text());
    session.tell(&Message::Bye(sidetone::protocol::Bye { code: 1001, reason: evil.to_owned() }));
    terminal.shows("trying again");
    let raw = String::from_utf8_lossy(&terminal.raw).into_owned();
    for part in ["\u{1b}]", "\u{7}", "\u{9b}", "\u{202e}"] {
        assert!(!raw.contains(part), "{part:?} got through");
    }
    terminal.press("q");
    terminal.ends_well();
}

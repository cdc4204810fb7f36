//! The drawn terminal: the others' pictures in a grid, a status line, the last chat lines, and the keys.

use super::session::Command;
use super::shared::{Shared, lock};
use crate::video::ColorMode;
use crate::video::ascii::Palette;
use crate::video::grid::{Rect, layout};
use crate::video::screen::{Canvas, Style, diff};
use crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, poll, read};
use crossterm::{cursor, execute, terminal};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// Between looks at the keys; also the pace of drawing.
const PACE: Duration = Duration::from_millis(66);
/// Rows below the pictures: chat, then status or the line being typed.
const CHAT_ROWS: u16 = 3;
/// The longest line that can be typed, in characters.
const MAX_LINE: usize = 500;

/// What a terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalKind {
    /// Colours.
    pub colors: ColorMode,
    /// Whether characters beyond ASCII are shown.
    pub utf8: bool,
    /// Width at the start.
    pub columns: u16,
    /// Height at the start.
    pub rows: u16,
}

/// The thread that draws and listens to the keys. Dropping it gives the terminal back.
#[derive(Debug)]
pub(super) struct Screen {
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Screen {
    pub(super) fn start(shared: Arc<Shared>, kind: TerminalKind, commands: UnboundedSender<Command>) -> Self {
        let ending = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ending);
        let thread = std::thread::Builder::new().name("screen".to_owned()).spawn(move || {
            let result = Taken::take().and_then(|mut taken| draw_all(&shared, kind, &commands, &seen, &mut taken));
            if result.is_err() {
                drop(commands.send(Command::Leave)); // the terminal is gone, and with it the person
            }
        });
        Self { ending, thread: thread.ok() }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// A terminal in raw mode on its alternate screen; given back whatever happens.
struct Taken(io::Stdout);

impl Taken {
    fn take() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        let mut taken = Self(io::stdout());
        execute!(taken.0, terminal::EnterAlternateScreen, cursor::Hide)?;
        Ok(taken)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        drop(execute!(self.0, cursor::Show, terminal::LeaveAlternateScreen));
        drop(terminal::disable_raw_mode());
    }
}

fn draw_all(
    shared: &Shared,
    kind: TerminalKind,
    commands: &UnboundedSender<Command>,
    ending: &AtomicBool,
    taken: &mut Taken,
) -> io::Result<()> {
    let mut shown: Option<Canvas> = None;
    let mut line: Option<String> = None;
    while !ending.load(Ordering::Relaxed) {
        let (columns, rows) = terminal::size()?;
        if shown.as_ref().is_some_and(|c| (c.columns(), c.rows()) != (columns, rows)) {
            shown = None;
        }
        let canvas = compose(shared, kind, (columns, rows), line.as_deref());
        let output = diff(shown.as_ref(), &canvas, kind.colors);
        taken.0.write_all(output.as_bytes())?;
        taken.0.flush()?;
        shown = Some(canvas);
        if poll(PACE)? {
            match read()? {
                Input::Key(key) if key.kind != KeyEventKind::Release => press(key, &mut line, commands),
                Input::Resize(..) => shown = None,
                Input::Key(_) | Input::Mouse(_) | Input::FocusGained | Input::FocusLost => {}
            }
        }
    }
    Ok(())
}

fn press(key: KeyEvent, line: &mut Option<String>, commands: &UnboundedSender<Command>) {
    let send = |command| drop(commands.send(command));
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match (key.code, line.as_mut()) {
        (KeyCode::Char('c' | 'd'), _) if control => send(Command::Leave),
        (KeyCode::Esc, Some(_)) => *line = None,
        (KeyCode::Enter, Some(_)) => {
            if let Some(text) = line.take().filter(|t| !t.trim().is_empty()) {
                send(Command::Chat(text));
            }
        }
        (KeyCode::Backspace, Some(text)) => drop(text.pop()),
        (KeyCode::Char(c), Some(text)) if text.chars().count() < MAX_LINE => text.push(c),
        (KeyCode::Char('q'), None) => send(Command::Leave),
        (KeyCode::Char('m'), None) => send(Command::ToggleMute),
        (KeyCode::Char('t') | KeyCode::Enter, None) => *line = Some(String::new()),
        _ => {}
    }
}

/// The picture of this moment.
fn compose(shared: &Shared, kind: TerminalKind, size: (u16, u16), line: Option<&str>) -> Canvas {
    let (columns, rows) = size;
    let mut canvas = Canvas::new(columns, rows);
    let room = lock(&shared.room);
    let chat_rows = CHAT_ROWS.min(rows.saturating_sub(4));
    let picture_rows = rows.saturating_sub(chat_rows + 1);
    let palette = Palette::best(kind.colors, kind.utf8);
    for (remote, tile) in room.others.values().zip(layout(room.others.len(), columns, picture_rows)) {
        let (place, label) = tile.fitted();
        if let Some(picture) = &remote.picture {
            canvas.set_picture(place, picture, palette);
        } else {
            let middle = Rect::new(place.x, place.y + place.height / 2, place.width, place.height.min(1));
            canvas.set_text(middle, "  (no picture)", Style::default());
        }
        let muted = if remote.muted { " [muted]" } else { "" };
        let speaking = if remote.speaking { "* " } else { "" };
        canvas.set_text(label, &format!(" {speaking}{}{muted}", remote.name), Style::default());
    }
    if room.others.is_empty() {
        let middle = Rect::new(0, picture_rows / 2, columns, 1);
        canvas.set_text(middle, "  nobody else is here yet", Style::default());
    }
    for (said, row) in room.chat.iter().rev().zip((picture_rows..picture_rows + chat_rows).rev()) {
        canvas.set_text(Rect::new(0, row, columns, 1), said, Style::default());
    }
    let muted = if shared.muted.load(Ordering::Relaxed) { " MUTED" } else { "" };
    let last = line.map_or_else(|| status_line(columns, &room.status, muted), |text| typed_line(columns, text));
    canvas.set_text(Rect::new(0, rows.saturating_sub(1), columns, 1), &last, Style::default());
    canvas
}

/// The end of a long line is what one types at.
fn typed_line(columns: u16, text: &str) -> String {
    let skip = (text.chars().count() + 3).saturating_sub(usize::from(columns));
    format!("> {}", text.chars().skip(skip).collect::<String>())
}

/// A long reason gives way to what the keys do and whether one is heard.
fn status_line(columns: u16, status: &str, muted: &str) -> String {
    let keys = format!("{muted}   m mute  t chat  q leave");
    let left = usize::from(columns).saturating_sub(keys.len());
    if status.chars().count() <= left {
        return format!("{status}{keys}");
    }
    format!("{}...{keys}", status.chars().take(left.saturating_sub(3)).collect::<String>())
}

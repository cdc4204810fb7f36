//! A canvas of cells, and what a terminal must be told to show it.

use super::ascii::{Cell, Cells, Palette, render};
use super::color::{ColorMode, Ink, Pen, Rgb};
use super::grid::Rect;
use super::picture::Picture;
use super::text;
use std::fmt::Write as _;

/// Shown where a text was cut.
const ELLIPSIS: char = '\u{2026}';

/// The colours of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Of the characters; `None` is the terminal's own.
    pub fg: Option<Rgb>,
    /// Behind them; `None` is the terminal's own.
    pub bg: Option<Rgb>,
}

/// What a terminal is to show. Whatever is drawn outside is cut off, and no cell ever holds a control character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canvas {
    cells: Cells,
}

impl Canvas {
    /// Blank.
    pub fn new(columns: u16, rows: u16) -> Self {
        Self { cells: Cells::blank(columns, rows) }
    }

    /// Width.
    pub fn columns(&self) -> u16 {
        self.cells.columns()
    }

    /// Height.
    pub fn rows(&self) -> u16 {
        self.cells.rows()
    }

    /// The cells, for [`to_text`](super::ascii::to_text) and the like.
    pub fn cells(&self) -> &Cells {
        &self.cells
    }

    /// Draws a picture in a rectangle, in its aspect, on blank cells.
    pub fn set_picture(&mut self, area: Rect, picture: &Picture, palette: Palette) {
        let area = self.inside(area);
        self.set_cells(area.x, area.y, &render(picture, area.width, area.height, palette));
    }

    /// Copies cells to a place.
    pub fn set_cells(&mut self, x: u16, y: u16, cells: &Cells) {
        for (line, row) in cells.lines().zip(y..) {
            for (&cell, column) in line.iter().zip(x..) {
                if cell.glyph != Cell::TAIL {
                    self.put(column, row, cell);
                }
            }
        }
    }

    /// Writes a text from anybody on the first row of a rectangle, made harmless ([`text::shown`]), filled up with blanks and
    /// cut with `…` where it is too long. A wide character that does not fit whole is not shown.
    pub fn set_text(&mut self, area: Rect, text: &str, style: Style) {
        let area = self.inside(area);
        if area.width == 0 || area.height == 0 {
            return;
        }
        let cell = |glyph: char| Cell { glyph, fg: style.fg, bg: style.bg };
        let cut = text::columns(text) > usize::from(area.width);
        let room = area.width - u16::from(cut);
        let mut used = 0;
        for (glyph, width) in text::shown(text) {
            if used + width > room {
                break;
            }
            self.put(area.x + used, area.y, cell(glyph));
            used += width;
        }
        if cut {
            self.put(area.x + used, area.y, cell(ELLIPSIS));
            used += 1;
        }
        for column in used..area.width {
            self.put(area.x + column, area.y, cell(' '));
        }
    }

    /// Blanks a rectangle.
    pub fn clear(&mut self, area: Rect, bg: Option<Rgb>) {
        let area = self.inside(area);
        for row in area.y..area.y + area.height {
            for column in area.x..area.x + area.width {
                self.put(column, row, Cell { bg, ..Cell::BLANK });
            }
        }
    }

    fn inside(&self, area: Rect) -> Rect {
        let (x, y) = (area.x.min(self.columns()), area.y.min(self.rows()));
        let width = area.width.min(self.columns() - x);
        let height = area.height.min(self.rows() - y);
        Rect { x, y, width, height }
    }

    /// The only way into the cells: harmless characters only, wide ones always whole.
    fn put(&mut self, column: u16, row: u16, cell: Cell) {
        if column >= self.columns() || row >= self.rows() {
            return;
        }
        let glyph = text::safe(cell.glyph);
        match text::width(glyph) {
            2 if column + 1 < self.columns() => {
                self.part(column + 1, row);
                self.set(column, row, Cell { glyph, ..cell });
                self.set(column + 1, row, Cell { glyph: Cell::TAIL, ..cell });
            }
            1 => self.set(column, row, Cell { glyph, ..cell }),
            _ => self.set(column, row, Cell { glyph: ' ', ..cell }),
        }
    }

    fn set(&mut self, column: u16, row: u16, cell: Cell) {
        if cell.glyph != Cell::TAIL {
            self.part(column, row);
        }
        if let Some(place) = self.cells.get_mut(column, row) {
            *place = cell;
        }
    }

    /// Before a cell is overwritten: the other half of a wide character there becomes blank.
    fn part(&mut self, column: u16, row: u16) {
        let is_tail =
            |canvas: &Self, column| canvas.cells.get(column, row).is_some_and(|cell| cell.glyph == Cell::TAIL);
        let other = if is_tail(self, column) {
            column.checked_sub(1)
        } else {
            column.checked_add(1).filter(|&next| is_tail(self, next))
        };
        if let Some(half) = other.and_then(|other| self.cells.get_mut(other, row)) {
            half.glyph = ' ';
        }
    }
}

/// The escape sequences that turn `previous` into `next`: only the cells that look different in these colours. Without a
/// `previous` of the same size the screen is cleared and drawn in full. Starts and ends with default colours;
/// the cursor is left anywhere. Needs a terminal of at least the size of `next`.
pub fn diff(previous: Option<&Canvas>, next: &Canvas, mode: ColorMode) -> String {
    let size = (next.columns(), next.rows());
    let previous = previous.filter(|canvas| (canvas.columns(), canvas.rows()) == size);
    let mut writer = Writer { out: String::new(), pen: Pen::default(), cursor: None, mode };
    if previous.is_none() {
        writer.out.push_str("\x1b[0m\x1b[2J");
    }
    for (line, row) in next.cells.lines().zip(0_u16..) {
        for (cell, column) in line.iter().zip(0_u16..) {
            let before = previous.and_then(|canvas| canvas.cells.get(column, row)).unwrap_or(&Cell::BLANK);
            if cell.glyph != Cell::TAIL && look(cell, mode) != look(before, mode) {
                writer.cell(column, row, cell);
            }
        }
    }
    writer.pen.reset(&mut writer.out);
    writer.out
}

/// What can be seen of a cell: a blank has no foreground.
fn look(cell: &Cell, mode: ColorMode) -> (char, Option<Ink>, Ink) {
    (cell.glyph, (cell.glyph != ' ').then(|| mode.ink(cell.fg)), mode.ink(cell.bg))
}

struct Writer {
    out: String,
    pen: Pen,
    /// Column and row, if known.
    cursor: Option<(u16, u16)>,
    mode: ColorMode,
}

impl Writer {
    fn cell(&mut self, column: u16, row: u16, cell: &Cell) {
        let written = match self.cursor {
            Some((x, y)) if y == row && x == column => Ok(()),
            Some((x, y)) if y == row && x < column => write!(self.out, "\x1b[{}C", column - x),
            _ => write!(self.out, "\x1b[{};{}H", row + 1, column + 1),
        };
        written.expect("a String takes everything");
        let (glyph, fg, bg) = look(cell, self.mode);
        self.pen.select(&mut self.out, fg, bg);
        self.out.push(glyph);
        // Terminals disagree about the width of many characters: after those the next cell is addressed anew.
        self.cursor = text::is_certain(glyph).then_some((column + 1, row));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::ascii::{to_ansi, to_text};
    use proptest::prelude::*;
    use std::num::NonZero;

    const RED: Style = Style { fg: Some(Rgb::new(255, 0, 0)), bg: None };

    #[test]
    fn only_changes_are_sent() {
        let mut canvas = Canvas::new(20, 3);
        canvas.set_text(Rect::new(2, 1, 10, 1), "hello", Style::default());
        let full = diff(None, &canvas, ColorMode::None);
        assert_eq!(full, "\x1b[0m\x1b[2J\x1b[2;3Hhello");
        assert_eq!(diff(Some(&canvas), &canvas, ColorMode::None), "");
        let mut next = canvas.clone();
        next.set_text(Rect::new(2, 1, 10, 1), "hallo!", RED);
        assert_eq!(diff(Some(&canvas), &next, ColorMode::None), "\x1b[2;4Ha\x1b[3C!");
        assert_eq!(diff(Some(&canvas), &next, ColorMode::Ansi16), "\x1b[2;3H\x1b[91mhallo!\x1b[0m");
        assert!(diff(Some(&Canvas::new(19, 3)), &next, ColorMode::None).starts_with("\x1b[0m\x1b[2J"));
    }

    #[test]
    fn texts_are_cut_at_their_edge_and_wide_characters_stay_whole() {
        let shown = |text: &str, width: u16| {
            let mut canvas = Canvas::new(8, 1);
            canvas.set_text(Rect::new(0, 0, 8, 1), "........", RED);
            canvas.set_text(Rect::new(1, 0, width, 1), text, RED);
            to_text(canvas.cells())
        };
        assert_eq!(shown("abcdef", 4), ".abc….. \n".replace(' ', "."));
        assert_eq!(shown("日本語", 6), ".日本語.\n");
        assert_eq!(shown("日本語", 5), ".日本…..\n");
        assert_eq!(shown("日本語", 4), ".日… ...\n");
        assert_eq!(shown("日本語", 99), ".日本語 \n");
        assert_eq!(shown("日", 1), ".…......\n");
        assert_eq!(shown("\x1b[2J", 5), ".·[2J ..\n");
    }

    #[test]
    fn half_of_a_wide_character_is_never_left() {
        let mut canvas = Canvas::new(6, 1);
        let put = |canvas: &mut Canvas, x, text| canvas.set_text(Rect::new(x, 0, 2, 1), text, RED);
        put(&mut canvas, 1, "日");
        put(&mut canvas, 2, "ab");
        assert_eq!(to_text(canvas.cells()), "  ab  \n");
        put(&mut canvas, 3, "日");
        put(&mut canvas, 2, "本");
        assert_eq!(to_text(canvas.cells()), "  本  \n");
        canvas.set_cells(5, 0, &{
            let mut cells = Cells::blank(1, 1);
            *cells.get_mut(0, 0).unwrap() = Cell { glyph: '語', ..Cell::BLANK };
            cells
        });
        assert_eq!(to_text(canvas.cells()), "  本  \n", "no room for both halves");
    }

    #[test]
    fn cells_made_by_hand_cannot_bring_an_escape_either() {
        let mut cells = Cells::blank(2, 1);
        *cells.get_mut(0, 0).unwrap() = Cell { glyph: '\x1b', ..Cell::BLANK };
        assert_eq!((to_text(&cells), to_ansi(&cells, ColorMode::None)), ("· \n".to_owned(), "· \n".to_owned()));
        let mut canvas = Canvas::new(2, 1);
        canvas.set_cells(0, 0, &cells);
        assert_eq!(canvas.cells().get(0, 0).unwrap().glyph, '·');
        assert_eq!(diff(None, &canvas, ColorMode::None), "\x1b[0m\x1b[2J\x1b[1;1H·");
    }

    /// What can be seen: contents and colours of each cell, as the terminal emulator has them.
    fn seen(bytes: &[&str], columns: u16, rows: u16) -> Vec<(String, bool, vt100::Color, vt100::Color)> {
        let mut terminal = vt100::Parser::new(NonZero::new(rows).unwrap(), NonZero::new(columns).unwrap(), 0);
        for part in bytes {
            terminal.process(part.as_bytes());
        }
        let screen = terminal.screen();
        (0..rows)
            .flat_map(|row| (0..columns).map(move |column| (row, column)))
            .map(|(row, column)| {
                let cell = screen.cell(row, column).unwrap();
                let contents = cell.contents().trim_end().to_owned();
                let tail = cell.is_wide_continuation();
                let fg = if contents.is_empty() && !tail { vt100::Color::Default } else { cell.fgcolor() };
                (contents, cell.is_wide(), fg, cell.bgcolor())
            })
            .collect()
    }

    fn color() -> impl Strategy<Value = Option<Rgb>> {
        prop_oneof![Just(None), Just(Some(Rgb::new(255, 0, 0))), Just(Some(Rgb::new(0, 90, 200)))]
    }

    /// Place, text, colours, and what is drawn.
    type Step = ((u16, u16, u16), String, (Option<Rgb>, Option<Rgb>), u8);

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let text = prop_oneof!["[a-c日🎤 ]{0,8}", "\\PC{0,6}", any::<String>()];
        prop::collection::vec(((0_u16..26, 0_u16..8, 0_u16..14), text, (color(), color()), 0_u8..6), 0..12)
    }

    fn draw(canvas: &mut Canvas, steps: &[Step]) {
        for ((x, y, width), text, (fg, bg), what) in steps {
            let area = Rect::new(*x, *y, *width, 3);
            let picture = Picture::from_fn(8, 6, |x, y| {
                Rgb::new(u8::try_from(x * 31).unwrap(), u8::try_from(y * 40).unwrap(), 90)
            });
            match what {
                0 => canvas.clear(area, *bg),
                1 => canvas.set_picture(area, &picture, Palette::HalfBlocks),
                2 => canvas.set_picture(area, &picture, Palette::ColoredGlyphs),
                _ => canvas.set_text(area, text, Style { fg: *fg, bg: *bg }),
            }
        }
    }

    proptest! {
        #[test]
        fn a_diff_shows_the_same_as_a_full_draw(first in steps(), second in steps(), afresh: bool) {
            let mut before = Canvas::new(24, 7);
            draw(&mut before, &first);
            let mut after = if afresh { Canvas::new(24, 7) } else { before.clone() };
            draw(&mut after, &second);
            for mode in [ColorMode::None, ColorMode::Ansi16, ColorMode::Ansi256, ColorMode::TrueColor] {
                let parts = [diff(None, &before, mode), diff(Some(&before), &after, mode)];
                let full = diff(None, &after, mode);
                prop_assert_eq!(seen(&[&parts[0], &parts[1]], 24, 7), seen(&[&full], 24, 7));
            }
        }

        #[test]
        fn the_terminal_shows_what_the_canvas_holds(list in steps()) {
            let mut canvas = Canvas::new(24, 7);
            draw(&mut canvas, &list);
            let screen = seen(&[&diff(None, &canvas, ColorMode::TrueColor)], 24, 7);
            for (cell, (contents, _, _, bg)) in canvas.cells().lines().flatten().zip(&screen) {
                let expected = if matches!(cell.glyph, ' ' | Cell::TAIL) { String::new() } else { cell.glyph.to_string() };
                prop_assert_eq!(contents.trim(), expected.trim());
                let color = cell.bg.map_or(vt100::Color::Default, |c| vt100::Color::Rgb(c.r, c.g, c.b));
                prop_assert!(cell.glyph == Cell::TAIL || *bg == color, "the emulator keeps colours in the first half alone");
            }
        }

        #[test]
        fn no_text_brings_its_own_control_characters(text in any::<String>()) {
            let mut canvas = Canvas::new(200, 1);
            canvas.set_text(Rect::new(0, 0, 200, 1), &text, Style::default());
            let out = diff(None, &canvas, ColorMode::None);
            let ours = out.strip_prefix("\x1b[0m\x1b[2J").unwrap();
            let moves = |part: &str| {
                let end = part.find(|c: char| !matches!(c, '[' | ';' | '0'..='9')).unwrap();
                part.starts_with('[') && matches!(part.as_bytes()[end], b'H' | b'C')
            };
            prop_assert!(ours.split('\x1b').skip(1).all(moves), "only cursor movement");
            prop_assert!(!ours.chars().any(|c| c.is_control() && c != '\x1b'));
        }
    }
}

//! A picture as terminal cells: glyphs by brightness, with or without colour, or half blocks.

use super::color::{ColorMode, Pen, Rgb};
use super::picture::{Picture, to_u8};
use super::text::safe;

/// Glyphs from dark to light with the share of a cell that they fill, in thousandths of the fullest (`@`), measured on
/// a common font (`DejaVu Sans Mono`). ASCII, so that every terminal has them.
const RAMP: [(char, u16); 12] = [
    (' ', 0),
    ('.', 96),
    (':', 188),
    (';', 258),
    ('+', 387),
    ('?', 446),
    ('z', 517),
    ('o', 635),
    ('X', 716),
    ('&', 819),
    ('#', 878),
    ('@', 1_000),
];
/// The upper half of a cell.
const HALF_BLOCK: char = '\u{2580}';
/// Turns gamma-encoded luma into the share of a cell to fill. Below 2.2, since the eye reads glyphs as shapes too and
/// strict linear light leaves the darker half of a picture empty.
const GAMMA: f32 = 1.5;
/// Most that contrast is raised.
const MAX_GAIN: f32 = 2.0;

/// How a picture becomes cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Palette {
    /// Glyphs by brightness, no colour; for terminals without colour.
    #[default]
    Glyphs,
    /// Glyphs by brightness, each in its colour; needs no UTF-8.
    ColoredGlyphs,
    /// Half blocks, two pixels a cell; needs colour and UTF-8.
    HalfBlocks,
}

impl Palette {
    /// The best that a terminal can show.
    pub fn best(mode: ColorMode, utf8: bool) -> Self {
        match (mode, utf8) {
            (ColorMode::None, _) => Self::Glyphs,
            (ColorMode::Ansi16, _) | (_, false) => Self::ColoredGlyphs,
            (ColorMode::Ansi256 | ColorMode::TrueColor, true) => Self::HalfBlocks,
        }
    }
}

/// One character cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What it shows; [`Cell::TAIL`] in the second column of a wide character.
    pub glyph: char,
    /// Colour of the glyph; `None` is the terminal's own.
    pub fg: Option<Rgb>,
    /// Colour behind it; `None` is the terminal's own.
    pub bg: Option<Rgb>,
}

impl Cell {
    /// Stands for the glyph of a cell that the wide character before it covers.
    pub const TAIL: char = '\0';
    /// Nothing, in the terminal's colours.
    pub const BLANK: Self = Self { glyph: ' ', fg: None, bg: None };
}

impl Default for Cell {
    fn default() -> Self {
        Self::BLANK
    }
}

/// A grid of cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cells {
    columns: u16,
    rows: u16,
    grid: Vec<Cell>,
}

impl Cells {
    /// Blank cells; a size may be 0.
    pub fn blank(columns: u16, rows: u16) -> Self {
        Self { columns, rows, grid: vec![Cell::BLANK; usize::from(columns) * usize::from(rows)] }
    }

    /// Width.
    pub fn columns(&self) -> u16 {
        self.columns
    }

    /// Height.
    pub fn rows(&self) -> u16 {
        self.rows
    }

    /// A cell, or `None` outside.
    pub fn get(&self, column: u16, row: u16) -> Option<&Cell> {
        (column < self.columns).then(|| self.grid.get(self.index(column, row))).flatten()
    }

    /// A cell to change, or `None` outside.
    pub fn get_mut(&mut self, column: u16, row: u16) -> Option<&mut Cell> {
        let index = self.index(column, row);
        (column < self.columns).then(|| self.grid.get_mut(index)).flatten()
    }

    /// The rows from top to bottom, each of all its cells.
    pub fn lines(&self) -> impl Iterator<Item = &[Cell]> {
        self.grid.chunks(usize::from(self.columns.max(1)))
    }

    fn index(&self, column: u16, row: u16) -> usize {
        usize::from(row) * usize::from(self.columns) + usize::from(column)
    }
}

/// Draws a picture as large as it fits, in its aspect (a cell is taken as twice as high as wide), in the middle of blank
/// cells.
pub fn render(picture: &Picture, columns: u16, rows: u16, palette: Palette) -> Cells {
    let mut cells = Cells::blank(columns, rows);
    if columns == 0 || rows == 0 {
        return cells;
    }
    let (width, height) = fitted(picture, columns, rows);
    let (left, top) = ((columns - width) / 2, (rows - height) / 2);
    let drawn = match palette {
        Palette::Glyphs => glyphs(&picture.resample(width.into(), height.into()), false),
        Palette::ColoredGlyphs => glyphs(&picture.resample(width.into(), height.into()), true),
        Palette::HalfBlocks => half_blocks(&picture.resample(width.into(), u32::from(height) * 2)),
    };
    for (line, row) in drawn.chunks(usize::from(width)).zip(top..) {
        let from = cells.index(left, row);
        cells.grid[from..from + line.len()].copy_from_slice(line);
    }
    cells
}

/// Columns and rows of the picture: as large as it fits, at least 1x1.
fn fitted(picture: &Picture, columns: u16, rows: u16) -> (u16, u16) {
    let (width, height) = (u64::from(picture.width()), u64::from(picture.height()));
    let (max_width, max_height) = (u64::from(columns), u64::from(rows) * 2);
    let to_cells = |value: u64, max: u16| u16::try_from(value).unwrap_or(u16::MAX).clamp(1, max);
    if width * max_height >= height * max_width {
        // Rounded to whole cells: two half rows a cell.
        (columns, to_cells((height * max_width + width) / (2 * width), rows))
    } else {
        (to_cells((width * max_height + height / 2) / height, columns), rows)
    }
}

fn glyphs(pixels: &Picture, colored: bool) -> Vec<Cell> {
    let stretch = Stretch::of(pixels);
    pixels
        .pixels()
        .map(|color| {
            let glyph = glyph_for(stretch.apply(color.luma()));
            Cell { glyph, fg: (colored && glyph != ' ').then(|| vivid(color)), bg: None }
        })
        .collect()
}

fn half_blocks(pixels: &Picture) -> Vec<Cell> {
    let width = pixels.width();
    (0..pixels.height() / 2)
        .flat_map(|row| (0..width).map(move |x| (x, row * 2)))
        .map(|(x, y)| Cell { glyph: HALF_BLOCK, fg: pixels.pixel(x, y), bg: pixels.pixel(x, y + 1) })
        .collect()
}

/// The glyph that fills the wanted share of a cell; `luma` from 0 to 255.
fn glyph_for(luma: f32) -> char {
    let fill = 1_000.0 * (luma / 255.0).powf(GAMMA);
    let off = |share: u16| (f32::from(share) - fill).abs();
    RAMP.iter().min_by(|a, b| off(a.1).total_cmp(&off(b.1))).map_or(' ', |&(glyph, _)| glyph)
}

/// A colour at full brightness: the glyph already says how dark it is.
fn vivid(color: Rgb) -> Rgb {
    let max = f32::from(color.r.max(color.g).max(color.b).max(32));
    let [r, g, b] = [color.r, color.g, color.b].map(|value| to_u8(f32::from(value) * 255.0 / max));
    Rgb::new(r, g, b)
}

/// Raises contrast: the darkest and lightest fiftieth of a picture become black and white, within [`MAX_GAIN`].
#[derive(Clone, Copy, Debug)]
struct Stretch {
    middle: f32,
    gain: f32,
    target: f32,
}

impl Stretch {
    fn of(pixels: &Picture) -> Self {
        let mut lumas: Vec<f32> = pixels.pixels().map(Rgb::luma).collect();
        lumas.sort_by(f32::total_cmp);
        let margin = lumas.len() / 50;
        let (low, high) = (lumas[margin], lumas[lumas.len() - 1 - margin]);
        let gain = (255.0 / (high - low).max(1.0)).clamp(1.0, MAX_GAIN);
        let middle = f32::midpoint(low, high);
        // A picture that stays darker or lighter than the whole range is moved no further than it must be to fit.
        let half = (high - low) * gain / 2.0;
        Self { middle, gain, target: middle.clamp(half.min(127.5), (255.0 - half).max(127.5)) }
    }

    fn apply(self, luma: f32) -> f32 {
        ((luma - self.middle) * self.gain + self.target).clamp(0.0, 255.0)
    }
}

/// Plain lines without colour, each of its full width and ended with a newline.
pub fn to_text(cells: &Cells) -> String {
    let mut out = String::new();
    for line in cells.lines() {
        out.extend(line.iter().filter(|cell| cell.glyph != Cell::TAIL).map(|cell| safe(cell.glyph)));
        out.push('\n');
    }
    out
}

/// Lines with colours, selected only where they change and reset before each newline.
pub fn to_ansi(cells: &Cells, mode: ColorMode) -> String {
    let mut out = String::new();
    for line in cells.lines() {
        let mut pen = Pen::default();
        for cell in line.iter().filter(|cell| cell.glyph != Cell::TAIL) {
            let fg = (cell.glyph != ' ').then(|| mode.ink(cell.fg));
            pen.select(&mut out, fg, mode.ink(cell.bg));
            out.push(safe(cell.glyph));
        }
        pen.reset(&mut out);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn ramp_picture() -> Picture {
        Picture::from_fn(256, 64, |x, _| {
            let grey = u8::try_from(x).unwrap();
            Rgb::new(grey, grey, grey)
        })
    }

    #[test]
    fn brightness_becomes_at_least_ten_glyphs_in_order() {
        let text = to_text(&render(&ramp_picture(), 128, 16, Palette::Glyphs));
        let line: Vec<char> = text.lines().next().unwrap().chars().collect();
        let order: Vec<_> = line.iter().map(|c| RAMP.iter().position(|(glyph, _)| glyph == c).unwrap()).collect();
        assert!(order.is_sorted(), "{line:?}");
        assert!(order.iter().collect::<BTreeSet<_>>().len() >= 10, "{line:?}");
    }

    #[test]
    fn a_flat_picture_stays_flat_and_keeps_its_brightness() {
        for (grey, glyph) in [(0, ' '), (255, '@')] {
            let cells = render(&Picture::filled(64, 48, Rgb::new(grey, grey, grey)), 8, 3, Palette::Glyphs);
            assert!(cells.lines().flatten().all(|cell| *cell == Cell { glyph, fg: None, bg: None }), "{cells:?}");
        }
    }

    #[test]
    fn the_aspect_is_kept_between_blank_margins() {
        let white = Picture::filled(320, 240, Rgb::new(255, 255, 255));
        let text = to_text(&render(&white, 80, 24, Palette::Glyphs));
        assert_eq!(text.lines().count(), 24);
        assert!(text.lines().all(|line| line == format!("{:8}{}{:8}", "", "@".repeat(64), "")), "{text}");
        let text = to_text(&render(&white, 8, 9, Palette::Glyphs));
        assert_eq!(text.lines().filter(|line| line.contains('@')).count(), 3);
    }

    #[test]
    fn half_blocks_carry_two_pixels() {
        let picture = Picture::new(1, 2, vec![255, 0, 0, 0, 0, 255]).unwrap();
        let cells = render(&picture, 1, 1, Palette::HalfBlocks);
        assert_eq!(to_text(&cells), "▀\n");
        assert_eq!(to_ansi(&cells, ColorMode::TrueColor), "\x1b[38;2;255;0;0;48;2;0;0;255m▀\x1b[0m\n");
        assert_eq!(to_ansi(&cells, ColorMode::Ansi16), "\x1b[91;44m▀\x1b[0m\n");
        assert_eq!(to_ansi(&cells, ColorMode::None), "▀\n");
    }

    #[test]
    fn colours_are_selected_once_for_a_run() {
        let red = Picture::filled(64, 32, Rgb::new(250, 0, 0));
        let ansi = to_ansi(&render(&red, 8, 2, Palette::ColoredGlyphs), ColorMode::Ansi256);
        assert_eq!(ansi.matches("\x1b[38;5;196m").count(), 2, "{ansi:?}");
        assert_eq!(ansi.matches('\x1b').count(), 4, "{ansi:?}");
    }

    proptest! {
        #[test]
        fn any_picture_fits_any_terminal(w in 1_u32..400, h in 1_u32..400, columns in 0_u16..90, rows in 0_u16..40) {
            let picture = Picture::filled(w, h, Rgb::new(200, 200, 255));
            for palette in [Palette::Glyphs, Palette::ColoredGlyphs, Palette::HalfBlocks] {
                let cells = render(&picture, columns, rows, palette);
                prop_assert_eq!((cells.columns(), cells.rows()), (columns, rows));
                let drawn = cells.lines().flatten().filter(|cell| cell.glyph != ' ').count();
                prop_assert!(columns == 0 || rows == 0 || drawn >= usize::from(columns.min(rows)).min(1));
            }
        }
    }
}

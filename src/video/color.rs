//! Terminal colours: what a terminal can show, and the fewest escape sequences that select it.

use std::fmt::Write as _;

/// A colour, 8 bits a channel, sRGB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rgb {
    /// Red.
    pub r: u8,
    /// Green.
    pub g: u8,
    /// Blue.
    pub b: u8,
}

impl Rgb {
    /// From its channels.
    pub const fn new(r: u8, g: u8, b: u8) -> Self {
        Self { r, g, b }
    }

    /// Luma from 0 to 255 (ITU-R BT.601, as in JPEG); gamma-encoded, so about even to the eye.
    pub fn luma(self) -> f32 {
        0.299 * f32::from(self.r) + 0.587 * f32::from(self.g) + 0.114 * f32::from(self.b)
    }

    fn distance(self, other: Self) -> u32 {
        let d = |a: u8, b: u8| u32::from(a.abs_diff(b)).pow(2);
        // Weights: the eye sees green best and blue worst.
        3 * d(self.r, other.r) + 6 * d(self.g, other.g) + d(self.b, other.b)
    }
}

/// The colours of a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ColorMode {
    /// No colour and no escape sequence for it.
    #[default]
    None,
    /// The sixteen colours of the terminal's theme.
    Ansi16,
    /// The 256 colours of xterm.
    Ansi256,
    /// 24 bits.
    TrueColor,
}

/// A colour as a terminal gets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ink {
    /// The terminal's own.
    #[default]
    Default,
    /// 0 to 15, of the theme.
    Basic(u8),
    /// 16 to 255, of xterm's cube and greys.
    Indexed(u8),
    /// 24 bits.
    True(Rgb),
}

/// The usual values of the sixteen colours (xterm's); a theme may differ.
const BASIC: [Rgb; 16] = [
    Rgb::new(0, 0, 0),
    Rgb::new(205, 0, 0),
    Rgb::new(0, 205, 0),
    Rgb::new(205, 205, 0),
    Rgb::new(0, 0, 238),
    Rgb::new(205, 0, 205),
    Rgb::new(0, 205, 205),
    Rgb::new(229, 229, 229),
    Rgb::new(127, 127, 127),
    Rgb::new(255, 0, 0),
    Rgb::new(0, 255, 0),
    Rgb::new(255, 255, 0),
    Rgb::new(92, 92, 255),
    Rgb::new(255, 0, 255),
    Rgb::new(0, 255, 255),
    Rgb::new(255, 255, 255),
];

/// The steps of a channel in xterm's 6x6x6 cube.
const CUBE: [u8; 6] = [0, 95, 135, 175, 215, 255];

impl ColorMode {
    /// The nearest colour that this terminal has; `None` is its default colour.
    pub fn ink(self, color: Option<Rgb>) -> Ink {
        match (self, color) {
            (Self::None, _) | (_, None) => Ink::Default,
            (Self::Ansi16, Some(rgb)) => Ink::Basic(nearest(rgb, (0..16).zip(BASIC))),
            (Self::Ansi256, Some(rgb)) => Ink::Indexed(nearest_of_256(rgb)),
            (Self::TrueColor, Some(rgb)) => Ink::True(rgb),
        }
    }
}

fn nearest(rgb: Rgb, candidates: impl Iterator<Item = (u8, Rgb)>) -> u8 {
    candidates.min_by_key(|&(_, candidate)| rgb.distance(candidate)).map_or(0, |(index, _)| index)
}

fn nearest_of_256(rgb: Rgb) -> u8 {
    let step = |value: u8| (0_u8..6).min_by_key(|&i| value.abs_diff(CUBE[usize::from(i)])).unwrap_or(0);
    let (r, g, b) = (step(rgb.r), step(rgb.g), step(rgb.b));
    let level = |i: u8| CUBE[usize::from(i)];
    let cube = (16 + 36 * r + 6 * g + b, Rgb::new(level(r), level(g), level(b)));
    let mean = (u16::from(rgb.r) + u16::from(rgb.g) + u16::from(rgb.b)) / 3;
    let step = u8::try_from((mean.saturating_sub(3) / 10).min(23)).unwrap_or(23);
    let value = 8 + 10 * step;
    nearest(rgb, [cube, (232 + step, Rgb::new(value, value, value))].into_iter())
}

/// The colours that the terminal has selected; writes only what changes. Starts at the terminal's defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pen {
    fg: Ink,
    bg: Ink,
}

impl Pen {
    /// Selects the background, and the foreground unless it is `None` (a blank cell shows none).
    pub fn select(&mut self, out: &mut String, fg: Option<Ink>, bg: Ink) {
        let fg = fg.unwrap_or(self.fg);
        if fg == self.fg && bg == self.bg {
            return;
        }
        if fg == Ink::Default && bg == Ink::Default {
            return self.reset(out);
        }
        out.push_str("\x1b[");
        if fg != self.fg {
            push_parameters(out, fg, 30);
        }
        if bg != self.bg {
            if fg != self.fg {
                out.push(';');
            }
            push_parameters(out, bg, 40);
        }
        out.push('m');
        *self = Self { fg, bg };
    }

    /// Back to the defaults.
    pub fn reset(&mut self, out: &mut String) {
        if *self != Self::default() {
            out.push_str("\x1b[0m");
            *self = Self::default();
        }
    }
}

/// `base` is 30 for the foreground, 40 for the background.
fn push_parameters(out: &mut String, ink: Ink, base: u8) {
    let written = match ink {
        Ink::Default => write!(out, "{}", base + 9),
        Ink::Basic(index @ 0..=7) => write!(out, "{}", base + index),
        Ink::Basic(index) => write!(out, "{}", base + 60 + (index & 7)),
        Ink::Indexed(index) => write!(out, "{};5;{index}", base + 8),
        Ink::True(Rgb { r, g, b }) => write!(out, "{};2;{r};{g};{b}", base + 8),
    };
    written.expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_the_nearest_that_there_is() {
        let ink = |mode: ColorMode, r, g, b| mode.ink(Some(Rgb::new(r, g, b)));
        assert_eq!(ink(ColorMode::Ansi16, 250, 5, 5), Ink::Basic(9));
        assert_eq!(ink(ColorMode::Ansi16, 130, 125, 128), Ink::Basic(8));
        assert_eq!(ink(ColorMode::Ansi256, 255, 0, 0), Ink::Indexed(196));
        assert_eq!(ink(ColorMode::Ansi256, 128, 128, 128), Ink::Indexed(244));
        assert_eq!(ink(ColorMode::Ansi256, 255, 255, 255), Ink::Indexed(231));
        assert_eq!(ink(ColorMode::TrueColor, 1, 2, 3), Ink::True(Rgb::new(1, 2, 3)));
        assert_eq!(ink(ColorMode::None, 1, 2, 3), Ink::Default);
        assert_eq!(ColorMode::TrueColor.ink(None), Ink::Default);
    }

    #[test]
    fn a_pen_writes_only_changes() {
        let (mut pen, mut out) = (Pen::default(), String::new());
        pen.select(&mut out, Some(Ink::Default), Ink::Default);
        assert_eq!(out, "");
        pen.select(&mut out, Some(Ink::Basic(9)), Ink::Indexed(20));
        pen.select(&mut out, Some(Ink::Basic(9)), Ink::Indexed(20));
        pen.select(&mut out, None, Ink::Basic(1));
        assert_eq!(out, "\x1b[91;48;5;20m\x1b[41m");
        out.clear();
        pen.select(&mut out, Some(Ink::True(Rgb::new(1, 2, 3))), Ink::Default);
        pen.reset(&mut out);
        pen.reset(&mut out);
        assert_eq!(out, "\x1b[38;2;1;2;3;49m\x1b[0m");
    }
}

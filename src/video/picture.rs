//! RGB pixels, and scaling that does not alias.

use super::color::Rgb;
use crate::protocol::video::{MAX_HEIGHT, MAX_PICTURE, MAX_WIDTH};
use thiserror::Error;

/// Why a picture was refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PictureError {
    /// No pixels, or more bytes or fewer than width x height x 3.
    #[error("{bytes} bytes of RGB do not make a picture of {width}x{height}")]
    Size {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
        /// Bytes given.
        bytes: usize,
    },
    /// More pixels than are taken here; nothing was decoded.
    #[error("a picture of {width}x{height} is above the limit of {limit}")]
    TooLarge {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
        /// Such as `320x240` or `64 megapixels`.
        limit: String,
    },
    /// More bytes of JPEG than a picture may have.
    #[error("a picture of {bytes} bytes is above the limit of {MAX_PICTURE}")]
    TooManyBytes {
        /// Bytes given, or the fewest that it could be encoded in.
        bytes: usize,
    },
    /// Not JPEG (nor PNG, where a file is loaded).
    #[error("not a picture: {reason}")]
    Format {
        /// What was wrong.
        reason: String,
    },
    /// The header is right and the data is not.
    #[error("broken picture: {reason}")]
    Broken {
        /// What the decoder said.
        reason: String,
    },
}

/// RGB8 pixels, row after row; at least 1x1.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({}x{})", self.width, self.height)
    }
}

impl Picture {
    /// From pixels, three bytes each, row after row.
    ///
    /// # Errors
    /// [`PictureError::Size`].
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Result<Self, PictureError> {
        let wanted = u128::from(width) * u128::from(height) * 3;
        if wanted == 0 || wanted != rgb.len() as u128 {
            return Err(PictureError::Size { width, height, bytes: rgb.len() });
        }
        Ok(Self { width, height, rgb })
    }

    /// One colour everywhere; a size of 0 becomes 1.
    pub fn filled(width: u32, height: u32, color: Rgb) -> Self {
        Self::from_fn(width, height, |_, _| color)
    }

    /// From a function of column and row; a size of 0 becomes 1.
    pub fn from_fn(width: u32, height: u32, mut color: impl FnMut(u32, u32) -> Rgb) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        let rgb = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .flat_map(|(x, y)| {
                let Rgb { r, g, b } = color(x, y);
                [r, g, b]
            })
            .collect();
        Self { width, height, rgb }
    }

    /// In pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// In pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The bytes, three a pixel, row after row.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The pixels, row after row.
    pub fn pixels(&self) -> impl Iterator<Item = Rgb> + '_ {
        self.rgb.chunks_exact(3).map(|p| Rgb::new(p[0], p[1], p[2]))
    }

    /// A pixel, or `None` outside.
    pub fn pixel(&self, x: u32, y: u32) -> Option<Rgb> {
        if x >= self.width || y >= self.height {
            return None;
        }
        let at = (y as usize * self.width as usize + x as usize) * 3;
        Some(Rgb::new(self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]))
    }

    /// The largest picture of the same aspect within these limits, never larger than this one, at least 1x1.
    #[must_use]
    pub fn scale_to_fit(&self, max_width: u32, max_height: u32) -> Self {
        let (width, height) = fit((self.width, self.height), (max_width, max_height));
        self.resample(width, height)
    }

    /// Scaled to fit the wire's 320x240.
    #[must_use]
    pub fn scale_to_wire(&self) -> Self {
        self.scale_to_fit(MAX_WIDTH, MAX_HEIGHT)
    }

    /// Exactly this size, larger or smaller; each new pixel is the mean of the area that it covers. 0 becomes 1.
    #[must_use]
    pub fn resample(&self, width: u32, height: u32) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        if (width, height) == (self.width, self.height) {
            return self.clone();
        }
        let columns = spans(self.width, width);
        let rows = spans(self.height, height);
        let mut rgb = Vec::with_capacity(width as usize * height as usize * 3);
        let mut sum = vec![0.0_f32; width as usize * 3];
        let line = self.width as usize * 3;
        // A source row may belong to two new rows; when enlarging it is read again, which is cheap at such sizes.
        for row in &rows {
            sum.fill(0.0);
            for (offset, weight) in row.weights.iter().enumerate() {
                let at = (row.first + offset) * line;
                add_row(&mut sum, &self.rgb[at..at + line], &columns, *weight);
            }
            rgb.extend(sum.iter().map(|&value| to_u8(value)));
        }
        Self { width, height, rgb }
    }
}

/// The largest size of the same aspect within `limit`, not above `size`.
fn fit(size: (u32, u32), limit: (u32, u32)) -> (u32, u32) {
    let (max_width, max_height) = (limit.0.max(1), limit.1.max(1));
    if size.0 <= max_width && size.1 <= max_height {
        return size;
    }
    let share = |value: u32, numerator: u32, denominator: u32| {
        let (value, denominator) = (u64::from(value) * u64::from(numerator), u64::from(denominator));
        u32::try_from((value + denominator / 2) / denominator).unwrap_or(u32::MAX).max(1)
    };
    if u64::from(size.0) * u64::from(max_height) >= u64::from(size.1) * u64::from(max_width) {
        (max_width, share(size.1, max_width, size.0).min(max_height))
    } else {
        (share(size.0, max_height, size.1).min(max_width), max_height)
    }
}

/// The source pixels under one new pixel, along one axis.
struct Span {
    first: usize,
    /// The share of each in the mean; they add up to 1.
    weights: Vec<f32>,
}

fn spans(from: u32, to: u32) -> Vec<Span> {
    // In units of 1/(from * to) of the axis: exact, so no pixel is missed or read twice by rounding.
    let (source, target) = (u64::from(to), u64::from(from));
    (0..u64::from(to))
        .map(|index| {
            let (start, end) = (index * target, (index + 1) * target);
            let (first, last) = (start / source, (end - 1) / source);
            let weights = (first..=last)
                .map(|pixel| {
                    let covered = end.min((pixel + 1) * source) - start.max(pixel * source);
                    covered as f32 / target as f32
                })
                .collect();
            Span { first: usize::try_from(first).unwrap_or(0), weights }
        })
        .collect()
}

fn add_row(sum: &mut [f32], row: &[u8], columns: &[Span], row_weight: f32) {
    for (column, out) in columns.iter().zip(sum.chunks_exact_mut(3)) {
        let pixels = &row[column.first * 3..(column.first + column.weights.len()) * 3];
        for (pixel, weight) in pixels.chunks_exact(3).zip(&column.weights) {
            let weight = weight * row_weight;
            for (total, &value) in out.iter_mut().zip(pixel) {
                *total += weight * f32::from(value);
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of the type")]
pub(super) fn to_u8(value: f32) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_checked() {
        assert!(Picture::new(2, 2, vec![0; 12]).is_ok());
        for (width, height, bytes) in [(2, 2, 11), (2, 2, 13), (0, 2, 0), (u32::MAX, u32::MAX, 12)] {
            let refused = Picture::new(width, height, vec![0; bytes]);
            assert_eq!(refused, Err(PictureError::Size { width, height, bytes }));
        }
    }

    #[test]
    fn pixels_are_found_by_column_and_row() {
        let picture = Picture::from_fn(3, 2, |x, y| Rgb::new(u8::try_from(x).unwrap(), u8::try_from(y).unwrap(), 7));
        assert_eq!(picture.pixel(2, 1), Some(Rgb::new(2, 1, 7)));
        assert_eq!((picture.pixel(3, 0), picture.pixel(0, 2)), (None, None));
    }

    #[test]
    fn scaling_averages_and_keeps_the_aspect() {
        let checks =
            Picture::from_fn(640, 480, |x, y| if (x + y) % 2 == 0 { Rgb::new(200, 0, 100) } else { Rgb::default() });
        let small = checks.scale_to_fit(320, 240);
        assert_eq!((small.width(), small.height()), (320, 240));
        assert!(small.pixels().all(|pixel| pixel == Rgb::new(100, 0, 50)), "two of four pixels are lit everywhere");
        let wide = Picture::filled(1_000, 10, Rgb::new(1, 2, 3)).scale_to_fit(100, 100);
        assert_eq!((wide.width(), wide.height()), (100, 1));
        let tiny = Picture::filled(5, 4, Rgb::default());
        assert_eq!(tiny.scale_to_fit(320, 240), tiny, "never enlarged");
    }

    proptest! {
        #[test]
        fn scaling_fits_and_keeps_flat_colour(w in 1_u32..90, h in 1_u32..90, mw in 0_u32..70, mh in 0_u32..70, grey: u8) {
            let color = Rgb::new(grey, 255 - grey, 17);
            let scaled = Picture::filled(w, h, color).scale_to_fit(mw, mh);
            prop_assert!(scaled.width() >= 1 && scaled.width() <= mw.max(1).min(w));
            prop_assert!(scaled.height() >= 1 && scaled.height() <= mh.max(1).min(h));
            prop_assert!(scaled.pixels().all(|pixel| pixel == color));
        }
    }
}

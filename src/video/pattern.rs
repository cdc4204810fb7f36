//! Test pictures that move, and from which a check can tell whose they are.
//!
//! ```text
//! +--------------------------------------+
//! |  shades of the  |   name's  |  hue   |  180 rows: bars of the hue that belongs to the name,
//! |        (ball, moving)     |          |  and a white ball that moves with the frame number
//! +----+----+----+----+----+----+----+---+
//! | W  | Y  | C  | G  | M  | R  | B  |   |  60 rows: the usual colour bars, the same for all
//! +----+----+----+----+----+----+----+---+
//! ```

use super::color::Rgb;
use super::picture::{Picture, to_u8};

/// Width of a test picture.
pub const WIDTH: u32 = 320;
/// Height of a test picture.
pub const HEIGHT: u32 = 240;
/// How far [`dominant_hue`] may be from [`hue_of_name`], in degrees, after JPEG and scaling. Two names are told apart
/// when their hues differ by more than twice this; names that end in neighbouring letters or digits are 137 apart.
pub const HUE_TOLERANCE: f32 = 10.0;

/// Where the colour bars begin.
const BARS_FROM: u32 = 180;
/// Radius of the ball.
const RADIUS: i64 = 24;
/// Brightness of the bars in the name's hue.
const SHADES: [f32; 5] = [0.6, 0.9, 0.7, 1.0, 0.8];
const BARS: [Rgb; 8] = [
    Rgb::new(230, 230, 230),
    Rgb::new(230, 230, 0),
    Rgb::new(0, 230, 230),
    Rgb::new(0, 230, 0),
    Rgb::new(230, 0, 230),
    Rgb::new(230, 0, 0),
    Rgb::new(0, 0, 230),
    Rgb::new(0, 0, 0),
];

/// The hue that belongs to a name: degrees from 0 (red), below 360. The golden angle times a number made from
/// the bytes, in integers, so that every machine and language gets the same.
pub fn hue_of_name(name: &str) -> f32 {
    let number = name.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    let thousandths = u64::from(number) * 137_508 % 360_000;
    thousandths as f32 / 1_000.0
}

/// Degrees between two hues, from 0 to 180.
pub fn hue_distance(a: f32, b: f32) -> f32 {
    let apart = (a - b).rem_euclid(360.0);
    apart.min(360.0 - apart)
}

/// The test picture of a name: 320x240. The ball moves in every frame; the pictures repeat after 1,496 of them.
pub fn test_pattern(name: &str, frame: u64) -> Picture {
    let hue = hue_of_name(name);
    let shades = SHADES.map(|value| from_hsv(hue, 0.9, value));
    let (cx, cy) = (bounce(frame, 4, i64::from(WIDTH)), bounce(frame, 3, i64::from(BARS_FROM)));
    Picture::from_fn(WIDTH, HEIGHT, |x, y| {
        if y >= BARS_FROM {
            return BARS[(x * 8 / WIDTH) as usize];
        }
        let (dx, dy) = (i64::from(x) - cx, i64::from(y) - cy);
        if dx * dx + dy * dy <= RADIUS * RADIUS {
            return Rgb::new(255, 255, 255);
        }
        shades[(x * 5 / WIDTH) as usize]
    })
}

/// A position that goes to and fro between the walls.
fn bounce(frame: u64, speed: u64, size: i64) -> i64 {
    let room = size - 2 * RADIUS;
    let round = u64::try_from(2 * room).unwrap_or(1);
    let at = i64::try_from(frame % round * speed % round).unwrap_or(0);
    RADIUS + if at > room { 2 * room - at } else { at }
}

/// The hue that colours most of a picture, in degrees; `None` if it is mostly grey or no hue stands out.
pub fn dominant_hue(picture: &Picture) -> Option<f32> {
    const BINS: usize = 36;
    let mut bins = [(0.0_f32, 0.0_f32, 0.0_f32); BINS]; // weight, and the sum as a vector
    let mut total = 0.0;
    for (hue, chroma) in picture.pixels().map(hue_and_chroma).filter(|&(_, chroma)| chroma > 0.15) {
        let (sin, cos) = hue.to_radians().sin_cos();
        let bin = &mut bins[bin_of(hue, BINS)];
        *bin = (bin.0 + chroma, bin.1 + chroma * cos, bin.2 + chroma * sin);
        total += chroma;
    }
    let pixels = picture.width() as f32 * picture.height() as f32;
    // Three neighbouring bins: a hue at the edge of one spreads over two.
    let window = |middle: usize| {
        [middle + BINS - 1, middle, middle + 1].iter().fold((0.0, 0.0, 0.0), |sum: (f32, f32, f32), &bin| {
            let bin = bins[bin % BINS];
            (sum.0 + bin.0, sum.1 + bin.1, sum.2 + bin.2)
        })
    };
    let best = (0..BINS).map(window).max_by(|a, b| a.0.total_cmp(&b.0))?;
    if total < 0.05 * pixels || best.0 < 0.4 * total {
        return None;
    }
    Some(best.2.atan2(best.1).to_degrees().rem_euclid(360.0))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a hue is from 0 to 360")]
fn bin_of(hue: f32, bins: usize) -> usize {
    (hue / 360.0 * bins as f32) as usize % bins
}

/// Hue in degrees, and chroma from 0 (grey) to 1.
fn hue_and_chroma(color: Rgb) -> (f32, f32) {
    let [r, g, b] = [color.r, color.g, color.b].map(|value| f32::from(value) / 255.0);
    let max = r.max(g).max(b);
    let chroma = max - r.min(g).min(b);
    if chroma <= 0.0 {
        return (0.0, 0.0);
    }
    let sextant = if max <= r {
        ((g - b) / chroma).rem_euclid(6.0)
    } else if max <= g {
        (b - r) / chroma + 2.0
    } else {
        (r - g) / chroma + 4.0
    };
    (sextant * 60.0, chroma)
}

fn from_hsv(hue: f32, saturation: f32, value: f32) -> Rgb {
    let channel = |offset: f32| {
        let k = (offset + hue / 60.0).rem_euclid(6.0);
        to_u8(255.0 * (value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0)))
    };
    Rgb::new(channel(5.0), channel(3.0), channel(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::jpeg;
    use proptest::prelude::*;

    #[test]
    fn a_b_and_c_are_far_apart() {
        let [a, b, c] = ["a", "b", "c"].map(hue_of_name);
        assert!((a - 18.276).abs() < 0.01, "an interface: other programs compute it too ({a})");
        for (one, other) in [(a, b), (b, c), (a, c)] {
            assert!(hue_distance(one, other) >= 60.0, "{one} {other}");
        }
        assert!((hue_distance(350.0, 10.0) - 20.0).abs() < 0.001);
    }

    #[test]
    fn the_ball_moves_and_stays_inside() {
        let frames: Vec<_> = (0..40).map(|frame| test_pattern("a", frame)).collect();
        assert!(frames.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(frames[7] == test_pattern("a", 7 + 1_496) && frames[7] != test_pattern("a", 7 + 748));
        for frame in [0, 1, 77, 12_345, u64::MAX] {
            let (x, y) = (bounce(frame, 4, 320), bounce(frame, 3, 180));
            assert!((24..=296).contains(&x) && (24..=156).contains(&y), "{frame}: {x} {y}");
        }
    }

    #[test]
    fn grey_has_no_hue_and_colour_bars_have_no_dominant_one() {
        assert_eq!(dominant_hue(&Picture::filled(40, 30, Rgb::new(90, 90, 90))), None);
        let bars = Picture::from_fn(320, 60, |x, _| BARS[(x * 8 / 320) as usize]);
        assert_eq!(dominant_hue(&bars), None);
        assert!(hue_distance(dominant_hue(&Picture::filled(4, 3, Rgb::new(200, 0, 10))).unwrap(), 357.0) < 1.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn the_owner_is_known_after_jpeg_and_scaling(name in "\\PC{0,12}", frame: u64, divisor in 1_u32..8) {
            let sent = jpeg::encode(&test_pattern(&name, frame)).unwrap();
            let small = jpeg::decode(&sent).unwrap().resample(320 / divisor, 240 / divisor);
            let seen = jpeg::decode(&jpeg::encode(&small).unwrap()).unwrap();
            let hue = dominant_hue(&seen);
            prop_assert!(hue.is_some_and(|hue| hue_distance(hue, hue_of_name(&name)) < HUE_TOLERANCE), "{hue:?} {}", hue_of_name(&name));
        }
    }
}

//! Structural similarity (Wang, Bovik, Sheikh and Simoncelli, 2004): how alike two pictures look.

use super::color::Rgb;
use super::picture::Picture;

/// Side of the Gaussian window; smaller pictures get a smaller one.
const WINDOW: usize = 11;
const SIGMA: f64 = 1.5;
const C1: f64 = (0.01 * 255.0) * (0.01 * 255.0);
const C2: f64 = (0.03 * 255.0) * (0.03 * 255.0);

/// Mean similarity of the luma: 1.0 for equal pictures, around 0 (or below) for unrelated ones. `None` if the sizes differ.
pub fn ssim(a: &Picture, b: &Picture) -> Option<f64> {
    if (a.width(), a.height()) != (b.width(), b.height()) {
        return None;
    }
    let luma = |picture: &Picture| picture.pixels().map(|p: Rgb| f64::from(p.luma())).collect::<Vec<_>>();
    let (x, y) = (luma(a), luma(b));
    let (width, height) = (a.width() as usize, a.height() as usize);
    let product = |p: &[f64], q: &[f64]| p.iter().zip(q).map(|(p, q)| p * q).collect::<Vec<_>>();
    let blurred = |values: &[f64]| blur(values, width, height);
    let (mean_x, mean_y) = (blurred(&x), blurred(&y));
    let (xx, yy, xy) = (blurred(&product(&x, &x)), blurred(&product(&y, &y)), blurred(&product(&x, &y)));
    let total: f64 = (0..mean_x.len())
        .map(|i| {
            let (mx, my) = (mean_x[i], mean_y[i]);
            let (vx, vy, cov) = (xx[i] - mx * mx, yy[i] - my * my, xy[i] - mx * my);
            let luminance = (2.0 * mx * my + C1) / (mx * mx + my * my + C1);
            luminance * (2.0 * cov + C2) / (vx + vy + C2)
        })
        .sum();
    Some(total / mean_x.len() as f64)
}

/// Gaussian mean of each window that lies wholly inside.
fn blur(values: &[f64], width: usize, height: usize) -> Vec<f64> {
    let (across, down) = (kernel(WINDOW.min(width)), kernel(WINDOW.min(height)));
    let inner = width - across.len() + 1;
    let mut lines = Vec::with_capacity(inner * height);
    for line in values.chunks_exact(width) {
        lines.extend(line.windows(across.len()).map(|w| w.iter().zip(&across).map(|(v, k)| v * k).sum::<f64>()));
    }
    let mut out = vec![0.0; inner * (height - down.len() + 1)];
    for (row, sums) in out.chunks_exact_mut(inner).enumerate() {
        for (offset, k) in down.iter().enumerate() {
            let line = &lines[(row + offset) * inner..][..inner];
            for (sum, value) in sums.iter_mut().zip(line) {
                *sum += k * value;
            }
        }
    }
    out
}

fn kernel(length: usize) -> Vec<f64> {
    let middle = (length as f64 - 1.0) / 2.0;
    let raw: Vec<f64> = (0..length).map(|i| (-(i as f64 - middle).powi(2) / (2.0 * SIGMA * SIGMA)).exp()).collect();
    let sum: f64 = raw.iter().sum();
    raw.iter().map(|value| value / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::jpeg;
    use crate::video::pattern::test_pattern;

    fn portrait() -> Picture {
        jpeg::decode(include_bytes!("../../fixtures/media/portrait.jpg")).unwrap()
    }

    #[test]
    fn equal_pictures_are_one() {
        let picture = portrait();
        assert!((ssim(&picture, &picture).unwrap() - 1.0).abs() < 1e-9);
        let dot = Picture::filled(1, 1, Rgb::new(9, 9, 9));
        assert!((ssim(&dot, &dot).unwrap() - 1.0).abs() < 1e-9);
        assert_eq!(ssim(&picture, &dot), None);
    }

    #[test]
    fn a_photo_sent_is_alike_and_other_pictures_are_not() {
        let picture = portrait();
        let sent = jpeg::decode(&jpeg::encode(&picture).unwrap()).unwrap();
        let alike = ssim(&picture, &sent).unwrap();
        assert!(alike > 0.9 && alike < 1.0, "{alike}");
        let other = ssim(&picture, &test_pattern("a", 3)).unwrap();
        assert!(other < 0.5, "{other}");
        let mirrored = Picture::from_fn(320, 240, |x, y| picture.pixel(319 - x, y).unwrap());
        let mirrored = ssim(&picture, &mirrored).unwrap();
        assert!(mirrored < 0.5, "{mirrored}");
    }

    #[test]
    fn a_flat_shift_of_brightness_has_the_value_of_the_formula() {
        let (a, b) =
            (Picture::filled(16, 16, Rgb::new(100, 100, 100)), Picture::filled(16, 16, Rgb::new(150, 150, 150)));
        let expected = (2.0 * 100.0 * 150.0 + 6.5025) / (100.0_f64.powi(2) + 150.0_f64.powi(2) + 6.5025);
        assert!((ssim(&a, &b).unwrap() - expected).abs() < 1e-4);
    }
}

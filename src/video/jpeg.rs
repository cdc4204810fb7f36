//! JPEG within the limits of the wire, and a user's own files.
//!
//! Pictures come from strangers: the header is walked by code of ours ([`jpeg_size`]) before the decoder sees a byte, so
//! nothing is allocated for a size that is not allowed.

use super::picture::{Picture, PictureError, to_u8};
use crate::protocol::video::{JpegError, MAX_HEIGHT, MAX_PICTURE, MAX_WIDTH, jpeg_size};
use bytes::Bytes;
use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageFormat, ImageReader, Limits};
use std::io::Cursor;

/// Where encoding starts.
const QUALITY: u8 = 80;
/// Tried in turn while a picture has too many bytes.
const LOWER: [u8; 8] = [70, 60, 50, 40, 30, 20, 10, 4];
/// Pixels of a file that [`load`] takes.
const MAX_FILE_PIXELS: u64 = 64 * 1_024 * 1_024;
/// Memory for decoding one: 64 megapixels of 8-bit RGBA, and room.
const MAX_FILE_MEMORY: u64 = 512 * 1_024 * 1_024;
/// Memory for decoding a picture from the wire (its pixels are 225 KiB).
const MAX_WIRE_MEMORY: u64 = 4 * 1_024 * 1_024;

/// A JPEG for the wire: scaled down to 320x240 if larger, of quality 80 or the highest below at which it has at most
/// [`MAX_PICTURE`] bytes.
///
/// # Errors
/// [`PictureError::TooManyBytes`]: no quality is low enough (no known picture does this).
pub fn encode(picture: &Picture) -> Result<Bytes, PictureError> {
    let scaled = picture.scale_to_wire();
    let mut bytes = 0;
    for quality in std::iter::once(QUALITY).chain(LOWER) {
        let jpeg = encode_at(&scaled, quality)?;
        if jpeg.len() <= MAX_PICTURE {
            return Ok(jpeg.into());
        }
        bytes = jpeg.len();
    }
    Err(PictureError::TooManyBytes { bytes })
}

fn encode_at(picture: &Picture, quality: u8) -> Result<Vec<u8>, PictureError> {
    let mut jpeg = Vec::with_capacity(16 * 1_024);
    JpegEncoder::new_with_quality(&mut jpeg, quality)
        .encode(picture.rgb(), picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .map_err(|error| broken(&error))?;
    Ok(jpeg)
}

/// Width and height of a JPEG for the wire from its header alone; see [`jpeg_size`].
///
/// # Errors
/// [`PictureError::TooManyBytes`]; [`PictureError::Format`]: not JPEG, or a kind that is not taken (arithmetic, lossless,
/// 12-bit, CMYK); [`PictureError::TooLarge`]: above 320x240.
pub fn check(jpeg: &[u8]) -> Result<(u32, u32), PictureError> {
    jpeg_size(jpeg).map_err(|error| match error {
        JpegError::TooManyBytes { bytes } => PictureError::TooManyBytes { bytes },
        JpegError::TooLarge { width, height } => {
            PictureError::TooLarge { width, height, limit: format!("{MAX_WIDTH}x{MAX_HEIGHT}") }
        }
        JpegError::NotJpeg(_) | JpegError::NotTaken(_) => format_error(&error.to_string()),
    })
}

/// The pixels of a JPEG from the wire. Data that is cut off may give a picture that is grey from there on.
///
/// # Errors
/// Those of [`check`], before anything is allocated; [`PictureError::Broken`]: the data does not decode.
pub fn decode(jpeg: &[u8]) -> Result<Picture, PictureError> {
    let size = check(jpeg)?;
    let mut decoder = JpegDecoder::new(Cursor::new(jpeg)).map_err(|error| broken(&error))?;
    if decoder.dimensions() != size {
        return Err(PictureError::Broken { reason: "the size is ambiguous".to_owned() });
    }
    decoder.set_limits(limits(MAX_WIDTH, MAX_HEIGHT, MAX_WIRE_MEMORY)).map_err(|error| broken(&error))?;
    let pixels = DynamicImage::from_decoder(decoder).map_err(|error| broken(&error))?.into_rgb8();
    Picture::new(size.0, size.1, pixels.into_raw())
}

/// A user's own PNG or JPEG file, upright as its EXIF says, transparent parts on white, scaled down to fit 320x240.
///
/// # Errors
/// [`PictureError::Format`]: neither PNG nor JPEG; [`PictureError::TooLarge`]: above 64 megapixels;
/// [`PictureError::Broken`]: it does not decode within 512 MiB of memory.
pub fn load(file: &[u8]) -> Result<Picture, PictureError> {
    let format = image::guess_format(file).map_err(|_| format_error("neither PNG nor JPEG"))?;
    if !matches!(format, ImageFormat::Png | ImageFormat::Jpeg) {
        return Err(format_error("neither PNG nor JPEG"));
    }
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    reader.limits(limits(u32::MAX, u32::MAX, MAX_FILE_MEMORY));
    let mut decoder = reader.into_decoder().map_err(|error| broken(&error))?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_FILE_PIXELS {
        return Err(PictureError::TooLarge { width, height, limit: "64 megapixels".to_owned() });
    }
    let orientation = decoder.orientation().ok(); // broken EXIF is no reason to refuse a picture
    let pixels = DynamicImage::from_decoder(decoder).map_err(|error| broken(&error))?;
    // A square limit for now: turning it may swap the sides.
    let small = Picture::new(width, height, opaque(pixels))?.scale_to_fit(MAX_WIDTH, MAX_WIDTH);
    let Some(orientation) = orientation else { return Ok(small.scale_to_wire()) };
    let (width, height) = (small.width(), small.height());
    let buffer = image::RgbImage::from_raw(width, height, small.rgb().to_vec()).expect("a picture has all its pixels");
    let mut upright = DynamicImage::ImageRgb8(buffer);
    upright.apply_orientation(orientation);
    let upright = upright.into_rgb8();
    Ok(Picture::new(upright.width(), upright.height(), upright.into_raw())?.scale_to_wire())
}

fn opaque(pixels: DynamicImage) -> Vec<u8> {
    if !pixels.color().has_alpha() {
        return pixels.into_rgb8().into_raw();
    }
    let rgba = pixels.into_rgba8();
    let on_white = |value: u8, alpha: u8| {
        let alpha = f32::from(alpha) / 255.0;
        to_u8(f32::from(value) * alpha + 255.0 * (1.0 - alpha))
    };
    rgba.pixels().flat_map(|p| [on_white(p[0], p[3]), on_white(p[1], p[3]), on_white(p[2], p[3])]).collect()
}

fn limits(width: u32, height: u32, memory: u64) -> Limits {
    let mut limits = Limits::no_limits();
    (limits.max_image_width, limits.max_image_height, limits.max_alloc) = (Some(width), Some(height), Some(memory));
    limits
}

fn format_error(reason: &str) -> PictureError {
    PictureError::Format { reason: reason.to_owned() }
}

fn broken(error: &image::ImageError) -> PictureError {
    PictureError::Broken { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::color::Rgb;
    use crate::video::pattern::test_pattern;
    use proptest::prelude::*;

    const PORTRAIT: &[u8] = include_bytes!("../../fixtures/media/portrait.jpg");

    fn noise(width: u32, height: u32) -> Picture {
        let mut state = 1_u32;
        Picture::from_fn(width, height, |_, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [_, r, g, b] = state.to_le_bytes();
            Rgb::new(r, g, b)
        })
    }

    #[test]
    fn a_picture_survives_the_wire() {
        let picture = test_pattern("a", 0);
        let jpeg = encode(&picture).unwrap();
        assert_eq!(check(&jpeg), Ok((320, 240)));
        let back = decode(&jpeg).unwrap();
        let error: u64 = picture.rgb().iter().zip(back.rgb()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        assert!(error / 230_400 < 6, "mean error {}", error / 230_400);
    }

    #[test]
    fn large_and_noisy_pictures_are_made_to_fit() {
        assert_eq!(check(&encode(&noise(1_000, 500)).unwrap()), Ok((320, 160)));
        let worst = noise(320, 240);
        assert!(encode_at(&worst, QUALITY).unwrap().len() > MAX_PICTURE, "else this tests nothing");
        let jpeg = encode(&worst).unwrap();
        assert!(jpeg.len() <= MAX_PICTURE && decode(&jpeg).is_ok());
    }

    #[test]
    fn the_limits_hold() {
        let of_size = |width, height| encode_at(&Picture::filled(width, height, Rgb::default()), 80).unwrap();
        for (width, height) in [(321, 8), (8, 241)] {
            let refused = Err(PictureError::TooLarge { width, height, limit: "320x240".to_owned() });
            assert_eq!(decode(&of_size(width, height)), refused);
        }
        assert_eq!(check(&of_size(320, 240)), Ok((320, 240)));
        let wide = of_size(321, 8);
        assert_eq!(load(&wide).unwrap().width(), 320, "a user's file may be larger");
        let bytes = vec![0xFF; MAX_PICTURE + 1];
        assert_eq!(check(&bytes), Err(PictureError::TooManyBytes { bytes: bytes.len() }));
        for bad in [
            &b""[..],
            b"\xFF\xD8",
            b"GIF89a",
            b"\xFF\xD8\xFF\xC0\x00\x02",
            b"\xFF\xD8\xFF\xE0\x00\x00",
            &PORTRAIT[..300],
        ] {
            assert!(matches!(check(bad), Err(PictureError::Format { .. })), "{bad:?}");
        }
    }

    #[test]
    fn a_photo_loads_and_a_transparent_png_is_put_on_white() {
        assert_eq!((load(PORTRAIT).unwrap().width(), decode(PORTRAIT).unwrap().height()), (320, 240));
        let mut png = Vec::new();
        let clear = image::RgbaImage::from_pixel(640, 960, image::Rgba([255, 0, 0, 0]));
        clear.write_to(&mut Cursor::new(&mut png), ImageFormat::Png).unwrap();
        let picture = load(&png).unwrap();
        assert_eq!((picture.width(), picture.height()), (160, 240));
        assert_eq!(picture.pixel(80, 120), Some(Rgb::new(255, 255, 255)));
        assert!(matches!(load(b"GIF89a.."), Err(PictureError::Format { .. })));
    }

    #[test]
    fn grey_pictures_are_taken() {
        let mut jpeg = Vec::new();
        JpegEncoder::new(&mut jpeg).encode(&[90; 64], 8, 8, ExtendedColorType::L8).unwrap();
        let Rgb { r, g, b } = decode(&jpeg).unwrap().pixel(3, 3).unwrap();
        assert!(r == g && g == b && r.abs_diff(90) < 3);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn cut_and_changed_data_never_panics(cut in 0_usize..40_000, changes in prop::collection::vec((0_usize..40_000, any::<u8>()), 0..12)) {
            let mut jpeg = PORTRAIT.to_vec();
            jpeg.truncate(cut.max(1));
            for (at, value) in changes {
                let at = at % jpeg.len();
                jpeg[at] = value;
            }
            if let Ok(picture) = decode(&jpeg) {
                prop_assert_eq!(check(&jpeg), Ok((picture.width(), picture.height())));
            }
            let _loaded = load(&jpeg);
        }

        #[test]
        fn changed_headers_never_panic(changes in prop::collection::vec((0_usize..700, any::<u8>()), 1..6)) {
            let mut jpeg = PORTRAIT.to_vec();
            for (at, value) in changes {
                jpeg[at] = value;
            }
            if let Ok(picture) = decode(&jpeg) {
                prop_assert!(picture.width() <= MAX_WIDTH && picture.height() <= MAX_HEIGHT);
            }
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut jpeg = vec![0xFF, 0xD8];
            jpeg.extend(bytes);
            prop_assert!(check(&jpeg).is_err() || decode(&jpeg).is_ok() || decode(&jpeg).is_err());
        }
    }
}

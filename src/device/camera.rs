//! Sources of pictures.

use super::DeviceError;
use crate::video::{jpeg, pattern::test_pattern};
use bytes::Bytes;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The largest picture file in bytes.
const MAX_FILE: u64 = 64 << 20;

/// Gives JPEGs of at most 320x240 and 64 KiB.
pub trait Camera: Send + fmt::Debug {
    /// Picture `number` (from 0); `None` if it cannot be made.
    fn picture(&mut self, number: u64) -> Option<Bytes>;
}

/// Which camera: `test-pattern`, `image:FILE` or `none`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CameraSpec {
    /// Moving colour bars, in a colour that the participant's name decides.
    TestPattern,
    /// A PNG or JPEG file.
    Image(PathBuf),
    /// Nothing is sent.
    None,
}

impl FromStr for CameraSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "test-pattern" => Ok(Self::TestPattern),
            None if text == "none" => Ok(Self::None),
            Some(("image", file)) if !file.is_empty() => Ok(Self::Image(file.into())),
            _ => Err(format!("{text:?} is none of: test-pattern, image:FILE, none")),
        }
    }
}

impl fmt::Display for CameraSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TestPattern => f.write_str("test-pattern"),
            Self::Image(file) => write!(f, "image:{}", file.display()),
            Self::None => f.write_str("none"),
        }
    }
}

/// Opens it for the participant `name`; `None` for [`CameraSpec::None`].
///
/// # Errors
/// The file cannot be read, or is not a picture.
pub fn open(spec: &CameraSpec, name: &str) -> Result<Option<Box<dyn Camera>>, DeviceError> {
    Ok(match spec {
        CameraSpec::TestPattern => Some(Box::new(Pattern(name.to_owned()))),
        CameraSpec::Image(path) => {
            let file = |error| DeviceError::File { path: path.clone(), error };
            let content = |reason: String| DeviceError::Content { path: path.clone(), reason };
            if std::fs::metadata(path).map_err(file)?.len() > MAX_FILE {
                return Err(content("larger than 64 MiB".to_owned()));
            }
            let bytes = std::fs::read(path).map_err(file)?;
            let encoded = jpeg::load(&bytes).and_then(|picture| jpeg::encode(&picture));
            Some(Box::new(Still(encoded.map_err(|error| content(error.to_string()))?)))
        }
        CameraSpec::None => None,
    })
}

#[derive(Debug)]
struct Pattern(String);

impl Camera for Pattern {
    fn picture(&mut self, number: u64) -> Option<Bytes> {
        jpeg::encode(&test_pattern(&self.0, number)).ok()
    }
}

#[derive(Debug)]
struct Still(Bytes);

impl Camera for Still {
    fn picture(&mut self, _: u64) -> Option<Bytes> {
        Some(self.0.clone())
    }
}

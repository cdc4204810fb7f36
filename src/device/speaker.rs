//! Sinks of sound.

use super::DeviceError;
use crate::audio::SAMPLE_RATE;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::str::FromStr;

/// Takes mono samples at 48 kHz.
pub trait Speaker: Send + fmt::Debug {
    /// Plays or stores them.
    ///
    /// # Errors
    /// They cannot be stored.
    fn play(&mut self, samples: &[f32]) -> io::Result<()>;

    /// Completes what was stored.
    ///
    /// # Errors
    /// It cannot be completed.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// Which speaker: `wav:FILE`, `null` or `none`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpeakerSpec {
    /// Recorded as 16-bit PCM.
    Wav(PathBuf),
    /// Taken at the pace of a real device, and forgotten.
    Null,
    /// Nothing is played at all.
    None,
}

impl FromStr for SpeakerSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "null" => Ok(Self::Null),
            None if text == "none" => Ok(Self::None),
            Some(("wav", file)) if !file.is_empty() => Ok(Self::Wav(file.into())),
            _ => Err(format!("{text:?} is none of: wav:FILE, null, none")),
        }
    }
}

impl fmt::Display for SpeakerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wav(file) => write!(f, "wav:{}", file.display()),
            Self::Null => f.write_str("null"),
            Self::None => f.write_str("none"),
        }
    }
}

/// Opens it; `None` for [`SpeakerSpec::None`].
///
/// # Errors
/// The file cannot be created.
pub fn open(spec: &SpeakerSpec) -> Result<Option<Box<dyn Speaker>>, DeviceError> {
    Ok(match spec {
        SpeakerSpec::Wav(path) => {
            let format = hound::WavSpec {
                channels: 1,
                sample_rate: SAMPLE_RATE,
                bits_per_sample: 16,
                sample_format: hound::SampleFormat::Int,
            };
            let writer = hound::WavWriter::create(path, format)
                .map_err(|error| DeviceError::File { path: path.clone(), error: io_error(error) })?;
            Some(Box::new(Recorder(writer)))
        }
        SpeakerSpec::Null => Some(Box::new(Null)),
        SpeakerSpec::None => None,
    })
}

struct Recorder(hound::WavWriter<BufWriter<File>>);

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

fn io_error(error: hound::Error) -> io::Error {
    if let hound::Error::IoError(error) = error { error } else { io::Error::other(error) }
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to the range before")]
fn pcm(sample: f32) -> i16 {
    (sample.clamp(-1.0, 1.0) * f32::from(i16::MAX)) as i16
}

impl Speaker for Recorder {
    fn play(&mut self, samples: &[f32]) -> io::Result<()> {
        samples.iter().try_for_each(|&sample| self.0.write_sample(pcm(sample))).map_err(io_error)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.0.finalize().map_err(io_error)
    }
}

#[derive(Debug)]
struct Null;

impl Speaker for Null {
    fn play(&mut self, _: &[f32]) -> io::Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

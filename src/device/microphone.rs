//! Sources of sound.

use super::DeviceError;
use crate::audio::{SAMPLE_RATE, Tone};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Amplitude of a test tone: -12 dBFS leaves the mixer room for several.
const TONE_AMPLITUDE: f32 = 0.25;
/// The longest WAV file in samples: ten minutes.
const MAX_SAMPLES: u32 = 48_000 * 600;

/// Gives mono samples at 48 kHz.
pub trait Microphone: Send + fmt::Debug {
    /// Fills `frame`; what lies behind the end of the source is silence.
    fn fill(&mut self, frame: &mut [f32]);
}

/// Which microphone: `tone:HZ`, `wav:FILE`, `silence` or `none`.
#[derive(Clone, Debug, PartialEq)]
pub enum MicrophoneSpec {
    /// A sine wave of so many hertz at -12 dBFS.
    Tone(f64),
    /// A file, once from its beginning, then silence.
    Wav(PathBuf),
    /// A microphone that works and delivers digital silence, as one that is muted or broken does.
    Silence,
    /// No microphone: nothing is sent, not even keep-alives.
    None,
}

impl FromStr for MicrophoneSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "silence" => Ok(Self::Silence),
            None if text == "none" => Ok(Self::None),
            Some(("tone", hz)) => match hz.parse::<f64>() {
                Ok(hz) if (20.0..=20_000.0).contains(&hz) => Ok(Self::Tone(hz)),
                _ => Err(format!("tone:{hz}: a tone has 20 to 20000 Hz, for instance tone:440")),
            },
            Some(("wav", file)) if !file.is_empty() => Ok(Self::Wav(file.into())),
            _ => Err(format!("{text:?} is none of: tone:HZ, wav:FILE, silence, none")),
        }
    }
}

impl fmt::Display for MicrophoneSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tone(hz) => write!(f, "tone:{hz}"),
            Self::Wav(file) => write!(f, "wav:{}", file.display()),
            Self::Silence => f.write_str("silence"),
            Self::None => f.write_str("none"),
        }
    }
}

/// Opens it; `None` for [`MicrophoneSpec::None`].
///
/// # Errors
/// The file cannot be read, or is not a WAV file of 48 kHz with one or two channels.
pub fn open(spec: &MicrophoneSpec) -> Result<Option<Box<dyn Microphone>>, DeviceError> {
    Ok(match spec {
        MicrophoneSpec::Tone(hz) => Some(Box::new(Generator(Tone::new(*hz, TONE_AMPLITUDE)))),
        MicrophoneSpec::Wav(path) => Some(Box::new(File { samples: read_wav(path)?, at: 0 })),
        MicrophoneSpec::Silence => Some(Box::new(Silence)),
        MicrophoneSpec::None => None,
    })
}

#[derive(Debug)]
struct Generator(Tone);

impl Microphone for Generator {
    fn fill(&mut self, frame: &mut [f32]) {
        self.0.fill(frame);
    }
}

#[derive(Debug)]
struct Silence;

impl Microphone for Silence {
    fn fill(&mut self, frame: &mut [f32]) {
        frame.fill(0.0);
    }
}

#[derive(Debug)]
struct File {
    samples: Vec<f32>,
    at: usize,
}

impl Microphone for File {
    fn fill(&mut self, frame: &mut [f32]) {
        let rest = &self.samples[self.at..];
        let count = rest.len().min(frame.len());
        frame[..count].copy_from_slice(&rest[..count]);
        frame[count..].fill(0.0);
        self.at += count;
    }
}

/// Reads a WAV file as mono samples at 48 kHz.
///
/// # Errors
/// As [`open`].
pub fn read_wav(path: &Path) -> Result<Vec<f32>, DeviceError> {
    let content = |reason: String| DeviceError::Content { path: path.to_owned(), reason };
    let unreadable = |error: hound::Error| {
        if let hound::Error::IoError(error) = error {
            return DeviceError::File { path: path.to_owned(), error };
        }
        content(format!("not a WAV file that can be read ({error})"))
    };
    let mut reader = hound::WavReader::open(path).map_err(unreadable)?;
    let spec = reader.spec();
    if spec.sample_rate != SAMPLE_RATE || !(1..=2).contains(&spec.channels) {
        let (rate, channels) = (spec.sample_rate, spec.channels);
        return Err(content(format!(
            "{rate} Hz, {channels} channels; 48000 Hz with 1 or 2 channels is needed: sox IN.wav -r 48000 -c 1 OUT.wav"
        )));
    }
    if reader.duration() > MAX_SAMPLES {
        return Err(content("longer than ten minutes".to_owned()));
    }
    let samples: Vec<f32> = match spec.sample_format {
        hound::SampleFormat::Float => reader.samples::<f32>().collect::<Result<_, _>>().map_err(unreadable)?,
        hound::SampleFormat::Int => {
            let scale = 1.0 / (1_u64 << (spec.bits_per_sample - 1)) as f32;
            let scaled = reader.samples::<i32>().map(|sample| sample.map(|s| s as f32 * scale));
            scaled.collect::<Result<_, _>>().map_err(unreadable)?
        }
    };
    let channels = usize::from(spec.channels);
    Ok(samples.chunks(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs() {
        for good in ["none", "silence", "tone:440", "wav:a:b.wav"] {
            assert_eq!(good.parse::<MicrophoneSpec>().unwrap().to_string(), good);
        }
        for bad in ["", "tone", "tone:", "tone:1", "tone:NaN", "wav:", "mp3:x", "silence:", "Silence"] {
            assert!(bad.parse::<MicrophoneSpec>().is_err(), "{bad}");
        }
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "samples are copied, not computed")]
    fn a_silent_microphone_is_there_and_delivers_zeros() {
        assert!(open(&MicrophoneSpec::None).unwrap().is_none());
        let mut silent = open(&MicrophoneSpec::Silence).unwrap().unwrap();
        let mut frame = [1.0; 8];
        silent.fill(&mut frame);
        assert_eq!(frame, [0.0; 8]);
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "samples are copied, not computed")]
    fn a_file_is_played_once_and_then_silent() {
        let mut file = File { samples: vec![0.5; 10], at: 0 };
        let mut frame = [1.0; 8];
        file.fill(&mut frame);
        assert_eq!(frame, [0.5; 8]);
        file.fill(&mut frame);
        assert_eq!(frame, [0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }
}

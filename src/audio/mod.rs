//! The sound engine. PURE: mono `f32` samples at 48 kHz, times are durations on a monotonic clock given as `now`.
//!
//! ```text
//! microphone -> level, VoiceActivity -> Encoder -> wire -> RoomMixer -> wire -> Playout -> speaker
//!
//! RoomMixer = one Voice a participant, loudest N -> sum without oneself -> limiter -> Encoder
//! Playout   = one Voice and the causes of its underruns
//! Voice     = JitterBuffer -> Decoder (concealment) -> Resampler (clock drift)
//! ```
//!
//! One file a thing: [`codec`], [`mod@level`], [`signal`], [`meter`], [`jitter`], [`resample`], [`voice`], [`playout`],
//! [`limiter`], [`mixer`], [`gaps`].

pub mod codec;
pub mod gaps;
pub mod jitter;
pub mod level;
pub mod limiter;
pub mod meter;
pub mod mixer;
pub mod playout;
pub mod resample;
pub mod signal;
pub mod voice;

pub use codec::{CodecError, Decoder, Encoder, Prediction};
pub use gaps::{Gaps, Lack};
pub use jitter::{JitterBuffer, Pull};
pub use level::{VoiceActivity, level};
pub use mixer::{MixOut, RoomMixer};
pub use playout::{Playout, PlayoutStats, Rendered};
pub use signal::Tone;

use std::time::Duration;

/// Samples in a second; also the ticks of the media clock.
pub const SAMPLE_RATE: u32 = 48_000;

/// Samples of a frame of 20 ms.
pub const FRAME_SAMPLES: usize = 960;

/// Duration of a frame.
pub const FRAME: Duration = Duration::from_millis(20);

/// Time between keep-alives of a silent sender, in frames (400 ms).
pub const KEEP_ALIVE_FRAMES: u32 = 20;

/// A time in ticks of the media clock (1/48,000 s).
pub(crate) fn ticks(time: Duration) -> i64 {
    i64::try_from(time.as_nanos() * 3 / 62_500).unwrap_or(i64::MAX)
}

//! What the page plays: as a WAV file, and what its analyser hears.

use super::base64;
use serde_json::Value;
use sidetone::audio::SAMPLE_RATE;
use sidetone::device::{DeviceError, Speaker, SpeakerSpec, speaker};
use sidetone::event::Event;
use std::collections::VecDeque;
use std::io;

/// Sound that comes later than where the file stands by more than this is set to its own time, in samples (80 ms): pieces
/// were lost, or the context was suspended. Less is the rhythm of delivery.
const GAP: i64 = 3_840;
/// Samples of one piece of the page at most: ten seconds of 192 kHz.
const MAX_PIECE: usize = 1_920_000;
/// The most silence that is written for a gap: ten minutes.
const MAX_SILENCE: i64 = 600 * 48_000;
/// Quieter than this is silence (-200 dBFS): JSON knows no infinity.
const SILENCE_DB: f64 = -200.0;

/// The recording. Its first sample is the moment at which it was begun.
#[derive(Debug)]
pub(super) struct Recording {
    spec: SpeakerSpec,
    speaker: Box<dyn Speaker>,
    /// `CLOCK_MONOTONIC` in microseconds.
    began_us: Option<u64>,
    written: i64,
    resampler: Option<Resampler>,
    problem: Option<String>,
}

impl Recording {
    /// Creates the file; `None`: nothing is to be recorded.
    ///
    /// # Errors
    /// It cannot be created.
    pub(super) fn open(spec: &SpeakerSpec) -> Result<Option<Self>, DeviceError> {
        let speaker = if matches!(spec, SpeakerSpec::Wav(_)) { speaker::open(spec)? } else { None };
        Ok(speaker.map(|speaker| Self {
            spec: spec.clone(),
            speaker,
            began_us: None,
            written: 0,
            resampler: None,
            problem: None,
        }))
    }

    /// The recording begins now, the first time that it is called. Gives the event that marks the moment.
    pub(super) fn begin(&mut self, now_us: u64) -> Option<Event> {
        if self.began_us.is_some() {
            return None;
        }
        self.began_us = Some(now_us);
        Some(Event::DeviceOpened {
            device: self.spec.to_string(),
            kind: "speaker".to_owned(),
            sample_rate: SAMPLE_RATE,
            channels: 1,
            period_samples: SAMPLE_RATE / 10,
        })
    }

    /// Takes a piece: `{at, rate, pcm}`, see `page.js`. Pieces before the beginning are forgotten. `ahead_us`: by how much the
    /// clock of the day, which the page knows, is ahead of ours.
    pub(super) fn piece(&mut self, piece: &Value, ahead_us: i64) {
        let bytes = piece["pcm"].as_str().and_then(base64::decode).unwrap_or_default();
        let samples: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
        let (Some(began), Some(at), Some(rate)) = (self.began_us, piece["at"].as_f64(), piece["rate"].as_f64()) else {
            return;
        };
        if samples.len() > MAX_PIECE || !(8_000.0..=192_000.0).contains(&rate) || !at.is_finite() {
            self.fail(&format!("{} samples at {rate} Hz are no piece of a recording", samples.len()));
            return;
        }
        let samples = self.at_our_rate(&samples, rate);
        #[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
        let place = ((at - ahead_us as f64 - began as f64) * f64::from(SAMPLE_RATE) / 1e6).round() as i64;
        let late = place.saturating_sub(self.written);
        let first = self.written == 0;
        let skipped = if first && late < 0 { usize::try_from(-late).unwrap_or(usize::MAX) } else { 0 };
        if late > GAP || first && late > 0 {
            let silence = late.min(MAX_SILENCE);
            self.write(&vec![0.0; usize::try_from(silence).unwrap_or(0)]);
        }
        self.write(samples.get(skipped..).unwrap_or_default());
    }

    fn at_our_rate(&mut self, samples: &[f32], rate: f64) -> Vec<f32> {
        let step = rate / f64::from(SAMPLE_RATE);
        if (step - 1.0).abs() < 1e-9 {
            return samples.to_vec();
        }
        let resampler = self.resampler.get_or_insert_default();
        resampler.next(samples, step)
    }

    fn write(&mut self, samples: &[f32]) {
        self.written += i64::try_from(samples.len()).unwrap_or(0);
        if let Err(error) = self.speaker.play(samples) {
            self.fail(&error.to_string());
        }
    }

    /// The first problem is the one that tells.
    pub(super) fn fail(&mut self, why: &str) {
        self.problem.get_or_insert_with(|| format!("{}: {why}", self.spec));
    }

    /// Completes the file; gives its seconds.
    ///
    /// # Errors
    /// The first problem.
    pub(super) fn finish(self) -> Result<f64, String> {
        let finished: io::Result<()> = self.speaker.finish();
        let problem = self.problem.or_else(|| finished.err().map(|error| format!("{}: {error}", self.spec)));
        let seconds = self.written as f64 / f64::from(SAMPLE_RATE);
        problem.map_or(Ok(seconds), Err)
    }
}

/// Cubic interpolation (Catmull-Rom) to another rate, piece after piece.
#[derive(Debug, Default)]
struct Resampler {
    queue: VecDeque<f32>,
    /// Reading position behind the second sample of the queue.
    at: f64,
}

impl Resampler {
    /// `step`: samples of the input for one of the output.
    fn next(&mut self, samples: &[f32], step: f64) -> Vec<f32> {
        self.queue.extend(samples);
        let mut out = Vec::new();
        while self.queue.len() >= 4 {
            if self.at >= 1.0 {
                let _ = self.queue.pop_front();
                self.at -= 1.0;
                continue;
            }
            #[expect(clippy::cast_possible_truncation, reason = "a sample is an f32")]
            let at = self.at as f32;
            let [a, b, c, d] = [0, 1, 2, 3].map(|i| self.queue[i]);
            let cubic = b + 0.5 * at * (c - a + at * (2.0 * a - 5.0 * b + 4.0 * c - d + at * (3.0 * (b - c) + d - a)));
            out.push(cubic);
            self.at += step;
        }
        out
    }
}

/// What the page's analyser heard.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Heard {
    /// Sum over the looks: mean square times seconds.
    energy: f64,
    seconds: f64,
    loudest: f64,
    loudest_hz: f64,
}

impl Heard {
    /// Adds a look, `{power, hz, seconds}`; gives it as an event of its own.
    pub(super) fn add(&mut self, look: &Value) -> Option<Event> {
        let [power, hz, seconds] = ["power", "hz", "seconds"].map(|field| look[field].as_f64());
        let (power, hz, seconds) = (power?, hz?, seconds?);
        self.energy += power * seconds;
        self.seconds += seconds;
        if power > self.loudest {
            (self.loudest, self.loudest_hz) = (power, hz);
        }
        Some(heard(power, if power > 0.0 { hz } else { 0.0 }, seconds))
    }

    /// All looks together, and the frequency of the loudest one; `None`: nobody looked.
    pub(super) fn total(&self) -> Option<Event> {
        (self.seconds > 0.0).then(|| heard(self.energy / self.seconds, self.loudest_hz, self.seconds))
    }
}

fn heard(power: f64, loudest_hz: f64, seconds: f64) -> Event {
    let level_db = if power > 0.0 { (10.0 * power.log10()).max(SILENCE_DB) } else { SILENCE_DB };
    Event::BrowserHeard { level_db, loudest_hz, seconds }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use sidetone::audio::{Tone, meter};
    use sidetone::device::microphone::read_wav;

    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    /// Between the two clocks: about now.
    const AHEAD: i64 = 1_795_543_335_579_150;

    /// As the page encodes it.
    fn piece(at: f64, rate: u32, samples: &[f32]) -> Value {
        let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        let mut pcm = String::new();
        for three in bytes.chunks(3) {
            let value = three.iter().fold(0, |v, b| v << 8 | usize::from(*b)) << (8 * (3 - three.len()));
            for i in 0..4 {
                pcm.push(if i <= three.len() { char::from(DIGITS[value >> (18 - 6 * i) & 63]) } else { '=' });
            }
        }
        json!({ "at": at + AHEAD as f64, "rate": rate, "pcm": pcm })
    }

    /// The samples of the file after `pieces`; the recording began at 1 s.
    fn recorded(pieces: &[Value]) -> Vec<f32> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.wav");
        let mut recording = Recording::open(&SpeakerSpec::Wav(path.clone())).unwrap().unwrap();
        recording.piece(&piece(0.0, 48_000, &[0.9; 480]), AHEAD);
        assert!(recording.begin(1_000_000).is_some() && recording.begin(2_000_000).is_none());
        for piece in pieces {
            recording.piece(piece, AHEAD);
        }
        recording.finish().unwrap();
        read_wav(&path).unwrap()
    }

    fn runs(samples: &[f32]) -> Vec<(bool, usize)> {
        let runs = samples.chunk_by(|a, b| (*a > 0.1) == (*b > 0.1));
        runs.map(|run| (run[0] > 0.1, run.len())).collect()
    }

    #[test]
    fn the_first_sample_of_the_file_is_the_beginning_of_the_recording() {
        let tenth = vec![0.5; 4_800];
        let late = recorded(&[piece(1_050_000.0, 48_000, &tenth), piece(1_152_000.0, 48_000, &tenth)]);
        assert_eq!(runs(&late), [(false, 2_400), (true, 9_600)], "the rhythm of delivery makes no gap");
        let early = recorded(&[piece(980_000.0, 48_000, &tenth)]);
        assert_eq!(runs(&early), [(true, 3_840)]);
    }

    #[test]
    fn lost_pieces_leave_silence_of_their_length() {
        let tenth = vec![0.5; 4_800];
        let samples = recorded(&[piece(1_000_000.0, 48_000, &tenth), piece(1_400_000.0, 48_000, &tenth)]);
        assert_eq!(runs(&samples), [(true, 4_800), (false, 14_400), (true, 4_800)]);
    }

    #[test]
    fn another_rate_becomes_ours() {
        let mut second = vec![0.0; 44_100];
        // a tone of 440 Hz at 44.1 kHz
        Tone::new(440.0 * 48_000.0 / 44_100.0, 0.25).fill(&mut second);
        let pieces: Vec<_> =
            second.chunks(4_410).zip(0_u32..).map(|(s, i)| piece(1e6 + 1e5 * f64::from(i), 44_100, s)).collect();
        let samples = recorded(&pieces);
        assert!((47_990..=48_000).contains(&samples.len()), "{}", samples.len());
        let tone = meter::tone_db(&samples[4_800..43_200], 440.0);
        let all = meter::rms_db(&samples[4_800..43_200]);
        assert!((tone - all - 3.01).abs() < 0.1 && all > -16.0, "{tone} {all}");
    }

    #[test]
    fn rubbish_is_a_problem_and_no_panic() {
        let folder = tempfile::tempdir().unwrap();
        let mut recording = Recording::open(&SpeakerSpec::Wav(folder.path().join("r.wav"))).unwrap().unwrap();
        recording.begin(0);
        for rubbish in
            [json!(null), json!({"at": 0, "rate": 48_000, "pcm": "%"}), json!({"at": 1e300, "rate": 1, "pcm": ""})]
        {
            recording.piece(&rubbish, 0);
        }
        assert!(recording.finish().unwrap_err().contains("no piece of a recording"));
        assert!(Recording::open(&SpeakerSpec::Null).unwrap().is_none());
        assert!(Recording::open(&SpeakerSpec::Wav("/no/such/folder/r.wav".into())).is_err());
    }

    #[test]
    fn looks_add_up_by_energy() {
        let mut total = Heard::default();
        assert_eq!(total.total(), None);
        total.add(&json!({"power": 0.0, "hz": 17.0, "seconds": 0.5}));
        assert_eq!(total.add(&json!({"power": null})), None);
        let Some(Event::BrowserHeard { level_db, loudest_hz, .. }) =
            total.add(&json!({"power": 0.02, "hz": 440.0, "seconds": 0.5}))
        else {
            panic!()
        };
        assert!((level_db + 16.99).abs() < 0.01 && (loudest_hz - 440.0).abs() < 1e-9);
        let Some(Event::BrowserHeard { level_db, loudest_hz, seconds }) = total.total() else { panic!() };
        assert!((level_db + 20.0).abs() < 0.01 && (loudest_hz - 440.0).abs() < 1e-9 && (seconds - 1.0).abs() < 1e-9);
    }
}

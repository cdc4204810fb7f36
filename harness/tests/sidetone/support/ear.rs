//! What somebody hears, judged by the recording itself: a busy machine cuts sound into pieces, and whatever is cut splashes
//! over all frequencies. Only moments in which nothing was cut tell who is heard.

use super::peer::Voice;
use super::{Deadline, Got, Peer};
use sidetone::audio::{Decoder, FRAME, SAMPLE_RATE};
use sidetone::clock;
use sidetone::protocol::{AudioPacket, Kind};
use std::f64::consts::TAU;
use std::time::Duration;

/// Level of a voice of the tests, in dBFS.
const VOICE_DB: f64 = -12.04;
/// A tone whose level is farther from that was cut.
const TOLERANCE_DB: f64 = 1.0;
/// Where nobody sends: what is there is the codec's noise and the splash of cuts.
const CONTROLS: [f64; 4] = [570.0, 790.0, 990.0, 1_300.0];
/// A moment with more than that at a control was cut.
const SPLASH_DB: f64 = -50.0;
/// Whoever is heard stands so far above the loudest control.
const ABOVE_CONTROL_DB: f64 = 6.0;
/// Length of a moment.
const MOMENT: usize = SAMPLE_RATE as usize / 10;
/// So many moments are enough.
const ENOUGH: usize = 10;
/// Further behind, a device has lost what it missed.
const GIVE_UP: Duration = Duration::from_millis(200);

/// Level of one frequency in dBFS under a Hann window.
fn level_db(part: &[f32], hz: f64) -> f64 {
    let (turn, step) = ((TAU / part.len() as f64).sin_cos(), (TAU * hz / f64::from(SAMPLE_RATE)).sin_cos());
    let on = |(sin, cos): (f64, f64), (by_sin, by_cos): (f64, f64)| {
        (sin * by_cos + cos * by_sin, cos * by_cos - sin * by_sin)
    };
    let (mut window, mut phase, mut re, mut im) = ((0.0, 1.0), (0.0, 1.0), 0.0, 0.0);
    for sample in part {
        let weighed = f64::from(*sample) * (1.0 - window.1);
        (re, im) = (re + weighed * phase.1, im + weighed * phase.0);
        (window, phase) = (on(window, turn), on(phase, step));
    }
    20.0 * (2.0 * re.hypot(im) / part.len() as f64).log10()
}

fn median(mut levels: Vec<f64>) -> f64 {
    levels.sort_by(f64::total_cmp);
    levels[levels.len() / 2]
}

/// What of a recording tells something.
#[derive(Debug)]
pub(crate) struct Ear {
    who: String,
    /// What must be heard, at the level of a voice.
    tones: Vec<f64>,
    /// What must not.
    others: Vec<f64>,
    /// What is softer than that is not heard, dBFS.
    limit_db: f64,
    judged: usize,
    /// Levels of the others, and of the loudest control, in moments that were not cut.
    moments: Vec<(Vec<f64>, f64)>,
}

impl Ear {
    pub(crate) fn new(who: &str, tones: &[f64], others: &[f64], limit_db: f64) -> Self {
        let (tones, others) = (tones.to_vec(), others.to_vec());
        Self { who: who.to_owned(), tones, others, limit_db, judged: 0, moments: vec![] }
    }

    /// Judges what was added to the recording since the last time. Whether enough of it was whole: all tones have their level,
    /// and hardly anything is where nobody sends. If so, the others must not be heard.
    pub(crate) fn is_content(&mut self, heard: &[f32]) -> bool {
        while let Some(part) = heard.get(self.judged..self.judged + MOMENT) {
            self.judged += MOMENT / 2;
            let whole = |hz: &f64| (level_db(part, *hz) - VOICE_DB).abs() < TOLERANCE_DB;
            let control = CONTROLS.map(|hz| level_db(part, hz)).into_iter().fold(f64::NEG_INFINITY, f64::max);
            if self.tones.iter().all(whole) && control < SPLASH_DB {
                self.moments.push((self.others.iter().map(|hz| level_db(part, *hz)).collect(), control));
            }
        }
        if self.moments.len() < ENOUGH {
            return false;
        }
        let control = median(self.moments.iter().map(|(_, control)| *control).collect());
        for (i, hz) in self.others.iter().enumerate() {
            let db = median(self.moments.iter().map(|(others, _)| others[i]).collect());
            let is_silent = db < self.limit_db.max(control + ABOVE_CONTROL_DB);
            assert!(is_silent, "{} hears {hz} Hz at {db:.1} dBFS, a control at {control:.1}: {self:?}", self.who);
        }
        true
    }
}

/// Somebody who talks and listens.
pub(crate) struct Talker<'a> {
    peer: &'a mut Peer,
    voice: Voice,
    decoder: Decoder,
    heard: Vec<f32>,
    ear: Ear,
}

impl<'a> Talker<'a> {
    /// One who says a tone.
    pub(crate) fn new(peer: &'a mut Peer, hz: f64, ear: Ear) -> Self {
        Self { peer, voice: Voice::new(hz), decoder: Decoder::new().unwrap(), heard: Vec::new(), ear }
    }

    fn listen(&mut self) {
        while let Some(got) = self.peer.waiting() {
            let Got::Frame(frame) = got else { panic!("{got:?} instead of sound") };
            if frame.kind == Kind::Audio {
                let packet = AudioPacket::decode(&frame.payload).unwrap();
                if packet.level < 127 {
                    self.decoder.decode(&packet.opus, &mut self.heard).unwrap();
                }
            }
        }
    }
}

/// All talk at the pace of a device, until each has heard what it should.
pub(crate) fn talk(mut talkers: Vec<Talker<'_>>) {
    let patience = Deadline::new();
    let mut next = clock::monotonic();
    loop {
        for talker in &mut talkers {
            let packet = talker.voice.packet();
            talker.peer.audio(&packet);
            talker.listen();
        }
        let mut content = true;
        for talker in &mut talkers {
            content &= talker.ear.is_content(&talker.heard);
        }
        if content {
            return;
        }
        let told: Vec<_> = talkers.iter().map(|talker| &talker.ear).collect();
        assert!(!patience.passed(), "not everybody hears what is said: {told:#?}");
        next += FRAME;
        if clock::monotonic() > next + GIVE_UP {
            next = clock::monotonic();
        }
        clock::sleep_until(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sidetone::audio::Tone;

    /// Somebody of 700 Hz, and 440 Hz at that amplitude, with gaps.
    fn recording(echo: f32) -> Vec<f32> {
        let (mut heard, mut own) = (vec![0.0; 96_000], vec![0.0; 96_000]);
        Tone::new(700.0, 0.25).fill(&mut heard);
        Tone::new(440.0, echo).fill(&mut own);
        heard.iter_mut().zip(own).for_each(|(sample, own)| *sample += own);
        for gap in [9_000, 20_000, 50_000, 70_000] {
            heard[gap..gap + 700].fill(0.0);
        }
        heard
    }

    fn listens(heard: &[f32], tones: &[f64]) -> bool {
        Ear::new("somebody", tones, &[440.0], -60.0).is_content(heard)
    }

    #[test]
    fn a_tone_has_its_level_and_a_gap_splashes() {
        let heard = recording(0.0);
        assert!((level_db(&heard[..MOMENT], 700.0) - VOICE_DB).abs() < 0.01, "{}", level_db(&heard[..MOMENT], 700.0));
        assert!(level_db(&heard[..MOMENT], 440.0) < -90.0, "{}", level_db(&heard[..MOMENT], 440.0));
        assert!(
            level_db(&heard[7_000..7_000 + MOMENT], 440.0) > -50.0,
            "{}",
            level_db(&heard[7_000..7_000 + MOMENT], 440.0)
        );
    }

    #[test]
    fn gaps_are_no_echo_and_too_little_is_not_enough() {
        let heard = recording(0.0);
        assert!(listens(&heard, &[700.0]));
        assert!(!listens(&heard[..20_000], &[700.0]));
        assert!(!listens(&heard, &[700.0, 1_100.0]), "one is missing");
        assert!(!listens(&heard, &[1_100.0]), "it is somebody else");
    }

    #[test]
    #[should_panic(expected = "somebody hears 440 Hz at -52.0 dBFS")]
    fn an_echo_of_a_hundredth_is_heard_beside_gaps() {
        listens(&recording(0.0025), &[700.0]);
    }
}

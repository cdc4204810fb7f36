//! Runs of missing sound: when each began and how much it was. PURE.

use super::SAMPLE_RATE;
use crate::event::{Event, UnderrunCause};
use std::time::Duration;

/// What one reading lacked.
#[derive(Clone, Copy, Debug)]
pub struct Lack {
    /// Why.
    pub cause: UnderrunCause,
    /// Samples that are missing.
    pub samples: u64,
    /// Since when at least, where that is earlier than the reading before.
    pub since: Option<Duration>,
}

/// The gaps of one stream, one after the other.
#[derive(Debug, Default)]
pub struct Gaps {
    open: Option<Open>,
    /// The reading before this one.
    last: Option<Duration>,
}

#[derive(Debug)]
struct Open {
    cause: UnderrunCause,
    samples: u64,
    began: Duration,
}

impl Gaps {
    /// Notes a reading at `now` that lacked so many samples, or none; gives the gap that ended with it. `of`: whose sound it is.
    pub fn observe(&mut self, lacks: Option<Lack>, now: Duration, of: Option<&str>) -> Option<Event> {
        let before = self.last.replace(now).unwrap_or(now);
        match (lacks, &mut self.open) {
            (Some(Lack { cause, samples, .. }), Some(open)) if open.cause == cause => {
                open.samples += samples;
                None
            }
            (Some(Lack { cause, samples, since }), _) => {
                let ended = self.end(now, of);
                let began = since.map_or(before, |since| since.min(before));
                self.open = Some(Open { cause, samples, began });
                ended
            }
            (None, _) => self.end(now, of),
        }
    }

    /// Nothing more is read: gives the gap that is still open.
    pub fn end(&mut self, now: Duration, of: Option<&str>) -> Option<Event> {
        let Open { cause, samples, began } = self.open.take()?;
        // what a device never asked for is told in one reading, after it is over
        let missing = Duration::from_micros(samples.saturating_mul(1_000_000) / u64::from(SAMPLE_RATE));
        let lasted = now.saturating_sub(began).max(missing);
        let lasted_us = u64::try_from(lasted.as_micros()).unwrap_or(u64::MAX);
        Some(Event::AudioGap { of: of.map(str::to_owned), cause, samples, lasted_us, ended_utc_ms: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use UnderrunCause::{LateCallback, LateData};

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    const fn lack(cause: UnderrunCause, samples: u64) -> Lack {
        Lack { cause, samples, since: None }
    }

    fn gap(cause: UnderrunCause, samples: u64, lasted_ms: u64) -> Event {
        Event::AudioGap { of: None, cause, samples, lasted_us: lasted_ms * 1_000, ended_utc_ms: None }
    }

    #[test]
    fn a_run_is_one_gap_from_the_last_good_reading_to_the_next() {
        let mut gaps = Gaps::default();
        let late = Some(lack(LateData, 480));
        let told: Vec<_> = [(0, None), (10, late), (20, late), (30, None), (40, None)]
            .into_iter()
            .filter_map(|(at, lacks)| gaps.observe(lacks, ms(at), None))
            .collect();
        assert_eq!(told, [gap(LateData, 960, 30)]);
    }

    #[test]
    fn another_cause_is_another_gap_and_what_was_never_asked_for_has_its_length() {
        let mut gaps = Gaps::default();
        assert_eq!(gaps.observe(Some(lack(LateData, 100)), ms(100), None), None);
        assert_eq!(gaps.observe(Some(lack(LateCallback, 48_000)), ms(110), None), Some(gap(LateData, 100, 10)));
        assert_eq!(gaps.end(ms(120), None), Some(gap(LateCallback, 48_000, 1_000)));
        assert_eq!(gaps.end(ms(130), None), None);
    }

    #[test]
    fn what_a_device_lost_while_it_caught_up_began_when_it_was_late() {
        let mut gaps = Gaps::default();
        gaps.observe(None, ms(490), None);
        let late = Some(Lack { cause: LateCallback, samples: 960, since: Some(ms(100)) });
        assert_eq!(gaps.observe(late, ms(500), None), None);
        assert_eq!(gaps.observe(None, ms(510), None), Some(gap(LateCallback, 960, 410)));
    }

    #[test]
    fn the_mixer_says_whose_sound_it_was() {
        let mut gaps = Gaps::default();
        gaps.observe(Some(lack(LateData, 960)), ms(20), Some("fay"));
        let told = gaps.observe(None, ms(40), Some("fay")).unwrap().message();
        assert_eq!(told, "of \"fay\": 960 samples missing over 20000 us (late data)");
    }
}

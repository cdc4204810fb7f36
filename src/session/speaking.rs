//! Who is heard in a room, told when it changes.
//!
//! A pause between two words is shorter than [`HANGOVER`], so nobody flickers. The room is told at most every [`PACE`];
//! a listener that could not be told (its queue is long) is owed the news of then, not each of those it missed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long one counts as heard after its last sound.
pub const HANGOVER: Duration = Duration::from_millis(300);
/// Least time between two messages to a listener.
pub const PACE: Duration = Duration::from_millis(100);

/// The state of one room. Times are of a monotonic clock.
#[derive(Clone, Debug, Default)]
pub struct Speakers {
    heard: BTreeMap<u16, Duration>,
    told: Vec<u16>,
    owed: BTreeSet<u16>,
    sent: Option<Duration>,
}

impl Speakers {
    /// A listener comes: it believes that nobody is heard.
    pub fn joined(&mut self, stream: u16) {
        if !self.told.is_empty() {
            self.owed.insert(stream);
        }
    }

    /// A participant goes.
    pub fn left(&mut self, stream: u16) {
        self.heard.remove(&stream);
        self.owed.remove(&stream);
    }

    /// A participant is in the mix.
    pub fn heard(&mut self, stream: u16, now: Duration) {
        self.heard.insert(stream, now);
    }

    /// Who is heard, in ascending order, if somebody in the room has to be told that now. `listeners`: all in the room.
    pub fn news(&mut self, listeners: impl Iterator<Item = u16>, now: Duration) -> Option<Vec<u16>> {
        let silent = self.heard.is_empty() && self.told.is_empty() && self.owed.is_empty();
        if silent || self.sent.is_some_and(|sent| now.saturating_sub(sent) < PACE) {
            return None;
        }
        self.heard.retain(|_, at| now.saturating_sub(*at) < HANGOVER);
        if !self.heard.keys().eq(&self.told) {
            self.told = self.heard.keys().copied().collect();
            self.owed = listeners.collect();
        }
        if self.owed.is_empty() {
            return None;
        }
        self.sent = Some(now);
        Some(self.told.clone())
    }

    /// Tells those who are owed; `tell` gives `false` for one that has to wait.
    pub fn tell(&mut self, mut tell: impl FnMut(u16) -> bool) {
        self.owed.retain(|stream| !tell(*stream));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// A room of streams 1, 2 and 3 in ticks of 20 ms; gives the tick of each message and what it says.
    fn run(ticks: u64, heard: impl Fn(u16, u64) -> bool) -> Vec<(u64, Vec<u16>)> {
        let (mut speakers, mut told) = (Speakers::default(), Vec::new());
        for tick in 0..ticks {
            let now = ms(tick * 20);
            (1..=3).filter(|stream| heard(*stream, tick)).for_each(|stream| speakers.heard(stream, now));
            if let Some(streams) = speakers.news([1, 2, 3].into_iter(), now) {
                let mut count = 0;
                speakers.tell(|_| {
                    count += 1;
                    true
                });
                assert_eq!(count, 3, "each of the room is told once");
                told.push((tick, streams));
            }
        }
        told
    }

    #[test]
    fn a_silent_room_is_told_nothing() {
        assert_eq!(run(1_000, |_, _| false), []);
    }

    #[test]
    fn begin_and_end_are_told_and_a_pause_between_words_is_not() {
        let told = run(200, |stream, tick| stream == 2 && tick < 100 && tick % 20 < 8);
        // the last sound is in tick 87, and 300 ms are 15 ticks
        assert_eq!(told, [(0, vec![2]), (102, vec![])]);
    }

    #[test]
    fn changes_are_gathered_for_100_ms() {
        let told = run(4, |stream, tick| u64::from(stream) <= tick + 1);
        assert_eq!(told, [(0, vec![1])]);
        let told = run(20, |stream, tick| u64::from(stream) <= tick + 1);
        assert_eq!(told, [(0, vec![1]), (5, vec![1, 2, 3])]);
    }

    #[test]
    fn whoever_could_not_be_told_and_whoever_comes_gets_the_latest() {
        let mut speakers = Speakers::default();
        speakers.heard(1, ms(0));
        assert_eq!(speakers.news([1, 2].into_iter(), ms(0)), Some(vec![1]));
        speakers.tell(|stream| stream == 1); // the queue of 2 is long
        speakers.joined(3);
        speakers.heard(1, ms(90));
        assert_eq!(speakers.news([1, 2, 3].into_iter(), ms(90)), None, "not within 100 ms");
        assert_eq!(speakers.news([1, 2, 3].into_iter(), ms(100)), Some(vec![1]));
        let mut asked = Vec::new();
        speakers.tell(|stream| {
            asked.push(stream);
            stream == 3
        });
        assert_eq!(asked, [2, 3], "1 knows it already");
        speakers.left(1);
        speakers.left(2);
        assert_eq!(speakers.news([3].into_iter(), ms(200)), Some(vec![]), "who has left is not heard");
        speakers.tell(|_| true);
        assert_eq!(speakers.news([3].into_iter(), ms(300)), None);
    }
}

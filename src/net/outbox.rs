//! What waits for one receiver: three bounded queues.
//!
//! ```text
//! control  never dropped; overflow closes the connection          first
//! audio    at most 100 ms, oldest first out                       second
//! video    per sender the picture on its way and the latest one   last, a chunk at a time: video never delays audio
//! ```

use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Most control bytes that wait; more means that the receiver does not read.
const CONTROL_BYTES: usize = 256 * 1_024;
/// Control bytes that may wait when something comes that is worth nothing later.
const SHORT_CONTROL_BYTES: usize = 4 * 1_024;
/// Control frames that an idle queue keeps room for.
const IDLE_CAPACITY: usize = 8;
/// 100 ms of audio.
const AUDIO_FRAMES: usize = 5;

/// Why and how the connection is to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// See [`crate::protocol::close`].
    pub code: u16,
    /// For people.
    pub reason: String,
}

/// What to write next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// One encoded frame.
    Frame(Bytes),
    /// The end; nothing comes after it.
    Close(Close),
}

/// What went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Audio frames handed to the transport.
    pub audio_sent: u64,
    /// Audio frames that were too old to be sent.
    pub audio_dropped: u64,
    /// Whole pictures handed to the transport.
    pub pictures_sent: u64,
    /// Pictures replaced by later ones before they began.
    pub pictures_dropped: u64,
}

#[derive(Debug, Default)]
struct Pictures {
    sending: VecDeque<Bytes>,
    latest: Option<Vec<Bytes>>,
}

#[derive(Debug, Default)]
struct State {
    control: VecDeque<Bytes>,
    control_bytes: usize,
    audio: VecDeque<Bytes>,
    video: BTreeMap<u16, Pictures>,
    turn: u16,
    close: Option<Close>,
    closed: bool,
    counts: Counts,
}

/// The queues of one receiver. Senders never wait.
#[derive(Debug, Default)]
pub struct Outbox {
    state: Mutex<State>,
    changed: Notify,
    closing: Notify,
}

impl Outbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A control frame.
    pub fn control(&self, frame: Bytes) {
        let mut state = self.state();
        // after an overflow the end is certain, and what comes until the stalled writer sees it would only fill memory
        if state.closed || state.control_bytes > CONTROL_BYTES {
            return;
        }
        state.control_bytes += frame.len();
        state.control.push_back(frame);
        if state.control_bytes > CONTROL_BYTES {
            let reason = "control messages are not read; come back later".to_owned();
            state.close.get_or_insert(Close { code: crate::protocol::close::TRY_AGAIN_LATER, reason });
        }
        drop(state);
        self.changed.notify_one();
    }

    /// A control frame that the receiver could do without; `false` if it is not taken, because too much waits already.
    pub fn control_if_short(&self, frame: Bytes) -> bool {
        // whatever comes in between only makes the queue longer by itself
        let short = self.state().control_bytes <= SHORT_CONTROL_BYTES;
        if short {
            self.control(frame);
        }
        short
    }

    /// An audio frame; the oldest goes if there are too many.
    pub fn audio(&self, frame: Bytes) {
        let mut state = self.state();
        if state.closed {
            return;
        }
        state.audio.push_back(frame);
        if state.audio.len() > AUDIO_FRAMES {
            state.audio.pop_front();
            state.counts.audio_dropped += 1;
        }
        drop(state);
        self.changed.notify_one();
    }

    /// A whole picture of stream `from` as chunk frames; it replaces one that has not begun.
    pub fn picture(&self, from: u16, chunks: Vec<Bytes>) {
        let mut state = self.state();
        if state.closed {
            return;
        }
        let pictures = state.video.entry(from).or_default();
        let replaced = if pictures.sending.is_empty() {
            pictures.sending = chunks.into();
            None
        } else {
            pictures.latest.replace(chunks)
        };
        state.counts.pictures_dropped += u64::from(replaced.is_some());
        drop(state);
        self.changed.notify_one();
    }

    /// Nothing more of stream `from` is wanted.
    pub fn forget(&self, from: u16) {
        self.state().video.remove(&from);
    }

    /// Ends the connection after the control frames that wait; the first reason stands.
    pub fn close(&self, code: u16, reason: impl Into<String>) {
        self.state().close.get_or_insert_with(|| Close { code, reason: reason.into() });
        self.changed.notify_one();
        self.closing.notify_waiters();
    }

    /// Waits until the connection is to end, and takes nothing out.
    pub async fn closing(&self) {
        loop {
            let closing = self.closing.notified();
            if self.state().close.is_some() {
                return;
            }
            closing.await;
        }
    }

    /// Bytes that wait.
    pub fn queued_bytes(&self) -> u64 {
        let state = self.state();
        let video = state.video.values().flat_map(|p| p.sending.iter().chain(p.latest.iter().flatten()));
        (state.control_bytes + state.audio.iter().chain(video).map(Bytes::len).sum::<usize>()) as u64
    }

    /// What went through so far.
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// What to write next; waits for it. After [`Next::Close`] there is nothing more.
    pub async fn next(&self) -> Next {
        loop {
            let changed = self.changed.notified();
            if let Some(next) = self.state().pop() {
                return next;
            }
            changed.await;
        }
    }
}

impl State {
    fn pop(&mut self) -> Option<Next> {
        let overflow = self.control_bytes > CONTROL_BYTES;
        if !overflow && let Some(frame) = self.control.pop_front() {
            self.control_bytes -= frame.len();
            if self.control.is_empty() {
                self.control.shrink_to(IDLE_CAPACITY); // what a crowd of newcomers needed is not kept for ever
            }
            return Some(Next::Frame(frame));
        }
        if let Some(close) = &self.close {
            self.closed = true;
            return Some(Next::Close(close.clone()));
        }
        if let Some(frame) = self.audio.pop_front() {
            self.counts.audio_sent += 1;
            return Some(Next::Frame(frame));
        }
        self.pop_video().map(Next::Frame)
    }

    /// Streams take turns, a chunk each.
    fn pop_video(&mut self) -> Option<Bytes> {
        let after = self.turn.checked_add(1).unwrap_or(0);
        let ready = |(stream, pictures): (&u16, &Pictures)| (!pictures.sending.is_empty()).then_some(*stream);
        let stream = self.video.range(after..).find_map(ready).or_else(|| self.video.iter().find_map(ready))?;
        self.turn = stream;
        let pictures = self.video.get_mut(&stream)?;
        let chunk = pictures.sending.pop_front()?;
        if pictures.sending.is_empty() {
            self.counts.pictures_sent += 1;
            pictures.sending = pictures.latest.take().unwrap_or_default().into();
        }
        Some(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(tag: u8) -> Bytes {
        Bytes::from(vec![tag; 20])
    }
    fn drain(outbox: &Outbox) -> Vec<u8> {
        let mut tags = Vec::new();
        while let Some(next) = { outbox.state().pop() } {
            match next {
                Next::Frame(frame) => tags.push(frame[0]),
                Next::Close(_) => {
                    tags.push(255);
                    break;
                }
            }
        }
        tags
    }

    #[test]
    fn audio_goes_between_the_chunks_of_a_picture_and_control_before_all() {
        let outbox = Outbox::default();
        outbox.picture(1, vec![frame(10), frame(11)]);
        outbox.audio(frame(2));
        outbox.control(frame(1));
        assert_eq!(drain(&outbox), [1, 2, 10, 11]);
    }

    #[test]
    fn the_latest_picture_wins_but_one_on_its_way_is_finished() {
        let outbox = Outbox::default();
        outbox.picture(1, vec![frame(10), frame(11)]);
        outbox.picture(1, vec![frame(20)]);
        outbox.picture(1, vec![frame(30), frame(31)]);
        outbox.picture(2, vec![frame(90)]);
        assert_eq!(drain(&outbox), [10, 90, 11, 30, 31]);
        let counts = outbox.counts();
        assert_eq!((counts.pictures_sent, counts.pictures_dropped), (3, 1));
    }

    #[test]
    fn audio_keeps_the_newest_100_ms() {
        let outbox = Outbox::default();
        (0..8).for_each(|tag| outbox.audio(frame(tag)));
        assert_eq!(drain(&outbox), [3, 4, 5, 6, 7]);
        assert_eq!(outbox.counts().audio_dropped, 3);
    }

    #[test]
    fn a_close_comes_after_control_and_instead_of_media() {
        let outbox = Outbox::default();
        outbox.audio(frame(7));
        outbox.control(frame(1));
        outbox.close(1001, "bye");
        outbox.close(1002, "too late");
        assert_eq!(drain(&outbox), [1, 255]);
        outbox.control(frame(2));
        assert_eq!(drain(&outbox), [255], "after the close nothing more is taken");
    }

    #[test]
    fn control_overflow_closes() {
        let outbox = Outbox::default();
        (0..CONTROL_BYTES / 20 + 2).for_each(|_| outbox.control(frame(1)));
        assert_eq!(drain(&outbox), [255]);
    }

    #[test]
    fn what_is_not_needed_leaves_room_in_the_queue() {
        let outbox = Outbox::default();
        let taken = (0..1_000).take_while(|_| outbox.control_if_short(frame(1))).count();
        assert_eq!(taken, SHORT_CONTROL_BYTES / 20 + 1);
        assert!(!outbox.control_if_short(frame(1)));
        assert_eq!(drain(&outbox).len(), taken);
        assert!(outbox.control_if_short(frame(1)), "the receiver reads again");
    }

    #[test]
    fn what_waits_for_a_stalled_receiver_is_bounded() {
        let outbox = Outbox::default();
        for _ in 0..10_000 {
            outbox.control(Bytes::from(vec![0; 1_000]));
            outbox.audio(Bytes::from(vec![0; 1_500]));
            outbox.picture(1, vec![Bytes::from(vec![0; 1_000]); 3]);
        }
        let most = CONTROL_BYTES + 1_000 + AUDIO_FRAMES * 1_500 + 2 * 3_000;
        assert!(outbox.queued_bytes() <= most as u64, "{} bytes wait", outbox.queued_bytes());
    }
}

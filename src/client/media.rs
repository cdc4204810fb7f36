//! The paced threads: microphone every 20 ms, speaker every 10 ms, camera at the pace asked for, each against absolute
//! deadlines, so that lateness never adds up.

use super::shared::{Shared, lock};
use crate::audio::{self, Encoder, FRAME_SAMPLES, Gaps, Lack, Prediction, Rendered, VoiceActivity};
use crate::clock;
use crate::device::{self, Camera, DeviceError, Microphone, Speaker};
use crate::event::{Event, UnderrunCause};
use crate::protocol::{AudioPacket, HEADER_LENGTH, VideoChunk};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Samples of a speaker callback: 10 ms.
const PERIOD: u32 = 480;
const PERIOD_TIME: Duration = Duration::from_millis(10);
/// Ticks of a microphone frame.
const FRAME_TICKS: u32 = 960;
/// How long the first packet may take before its absence is reported.
const FIRST_PACKET: Duration = Duration::from_millis(500);
/// Further behind, a device has lost what it missed.
const GIVE_UP: Duration = Duration::from_millis(200);

/// What a thread does until the flag is set.
type Body = Box<dyn FnOnce(&Shared, &AtomicBool) + Send>;

struct Devices {
    microphone: Option<Box<dyn Microphone>>,
    speaker: Option<Box<dyn Speaker>>,
    camera: Option<Box<dyn Camera>>,
}

/// Opened devices and, from the first welcome on, their threads.
pub(super) struct Media {
    devices: Mutex<Option<Devices>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    ending: Arc<AtomicBool>,
}

impl Media {
    /// Opens what the configuration asks for.
    pub(super) fn open(shared: &Shared) -> Result<Self, DeviceError> {
        let config = &shared.config;
        let report = |device: String, kind: &str, error: DeviceError| {
            let reason = error.to_string();
            config.log.emit(Event::DeviceFailed { device, kind: kind.to_owned(), reason });
            error
        };
        let devices = Devices {
            microphone: device::microphone::open(&config.microphone)
                .map_err(|e| report(config.microphone.to_string(), "microphone", e))?,
            speaker: device::speaker::open(&config.speaker)
                .map_err(|e| report(config.speaker.to_string(), "speaker", e))?,
            camera: device::camera::open(&config.camera, &config.name)
                .map_err(|e| report(config.camera.to_string(), "camera", e))?,
        };
        Ok(Self { devices: Mutex::new(Some(devices)), threads: Mutex::default(), ending: Arc::default() })
    }

    /// Starts the threads, once: a recording begins with the first welcome and goes on through reconnects.
    pub(super) fn start(&self, shared: &Arc<Shared>) {
        let Some(devices) = lock(&self.devices).take() else { return };
        let mut threads = lock(&self.threads);
        let mut spawn = |name: &str, body: Body| {
            let (shared, ending) = (Arc::clone(shared), Arc::clone(&self.ending));
            let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || body(&shared, &ending));
            threads.extend(thread.ok());
        };
        let log = &shared.config.log;
        let opened = |device: String, kind: &str, period_samples: u32| {
            log.emit(Event::DeviceOpened {
                device,
                kind: kind.to_owned(),
                sample_rate: audio::SAMPLE_RATE,
                channels: 1,
                period_samples,
            });
        };
        if let Some(speaker) = devices.speaker {
            opened(shared.config.speaker.to_string(), "speaker", PERIOD);
            spawn("speaker", Box::new(move |shared, ending| play(shared, ending, speaker)));
        }
        if let Some(microphone) = devices.microphone {
            opened(shared.config.microphone.to_string(), "microphone", FRAME_TICKS);
            spawn("microphone", Box::new(move |shared, ending| capture(shared, ending, microphone)));
        }
        if let Some(camera) = devices.camera {
            spawn("camera", Box::new(move |shared, ending| film(shared, ending, camera)));
        }
    }

    /// Stops the threads and completes the recording.
    pub(super) fn finish(self) {
        self.ending.store(true, Ordering::Relaxed);
        for thread in lock(&self.threads).drain(..) {
            drop(thread.join());
        }
    }
}

/// Calls `body` every `period` until the end; gives it the time of each call.
fn pace(ending: &AtomicBool, period: Duration, mut body: impl FnMut(Duration)) {
    let mut deadline = clock::monotonic();
    while !ending.load(Ordering::Relaxed) {
        clock::sleep_until(deadline);
        let now = clock::monotonic();
        body(now);
        deadline += period;
        if now.saturating_sub(deadline) > GIVE_UP {
            deadline = now + period;
        }
    }
}

fn capture(shared: &Shared, ending: &AtomicBool, mut microphone: Box<dyn Microphone>) {
    // nothing is predicted across a pause, after which the decoder knows no more than after a loss
    let Ok(mut encoder) = Encoder::new(Prediction::Disabled) else { return };
    let mut activity = VoiceActivity::new();
    let mut frame = vec![0.0; FRAME_SAMPLES];
    let (mut sequence, mut timestamp, mut silent_frames) = (0_u16, 0_u32, 0_u32);
    pace(ending, audio::FRAME, |_| {
        microphone.fill(&mut frame);
        lock(&shared.heard).add(&frame);
        timestamp = timestamp.wrapping_add(FRAME_TICKS);
        let speaks = activity.is_active(&frame) && !shared.muted.load(Ordering::Relaxed);
        let packet = if speaks {
            silent_frames = 0;
            let Ok(opus) = encoder.encode(&frame) else { return };
            // a frame of speech is never marked as silence, however quiet it is
            AudioPacket { level: audio::level(&frame).min(126), opus }
        } else {
            silent_frames += 1;
            if silent_frames % audio::KEEP_ALIVE_FRAMES != 1 {
                return;
            }
            AudioPacket::keep_alive()
        };
        let Some(link) = shared.link() else { return };
        sequence = sequence.wrapping_add(1);
        let payload = 1 + packet.opus.len();
        link.outbox.audio(packet.frame(link.stream, sequence, timestamp).encode());
        shared.counters.audio_packets_sent.fetch_add(1, Ordering::Relaxed);
        shared.counters.keep_alives_sent.fetch_add(u64::from(!speaks), Ordering::Relaxed);
        shared.counters.audio_bytes_sent.fetch_add(payload as u64, Ordering::Relaxed);
    });
}

fn film(shared: &Shared, ending: &AtomicBool, mut camera: Box<dyn Camera>) {
    let mut number = 0_u32;
    pace(ending, Duration::from_secs(1) / shared.config.pictures_per_second.max(1), |now| {
        let Some(link) = shared.link() else { return };
        let Some(jpeg) = camera.picture(u64::from(number)) else { return };
        let timestamp = clock::media_ticks(now);
        let chunks = VideoChunk::split(number, &jpeg);
        let frames: Vec<_> = chunks.iter().map(|c| c.frame(link.stream, c.index, timestamp).encode()).collect();
        debug_assert!(frames.iter().all(|f| f.len() > HEADER_LENGTH), "a chunk is never empty");
        link.outbox.picture(link.stream, frames);
        shared.counters.pictures_sent.fetch_add(1, Ordering::Relaxed);
        number = number.wrapping_add(1);
    });
}

fn play(shared: &Shared, ending: &AtomicBool, mut speaker: Box<dyn Speaker>) {
    let mut out = vec![0.0; PERIOD as usize];
    let (mut reported, mut gaps, mut last) = (None, Gaps::default(), None);
    let (began, mut failed) = (clock::monotonic(), false);
    pace(ending, PERIOD_TIME, |now| {
        let rendered = lock(&shared.playout).render(&mut out, now);
        let callback = shared.counters.callbacks.fetch_add(1, Ordering::Relaxed) + 1;
        let took = now.saturating_sub(began) + PERIOD_TIME;
        shared.counters.callbacks_took_us.store(clock::micros(took), Ordering::Relaxed);
        if let Err(error) = speaker.play(&out)
            && !failed
        {
            failed = true; // once: a full disk stays full
            let (device, reason) = (shared.config.speaker.to_string(), error.to_string());
            shared.config.log.emit(Event::DeviceFailed { device, kind: "speaker".to_owned(), reason });
        }
        if rendered.started {
            let (buffered_samples, target_samples) = (samples(rendered.buffered), samples(rendered.target));
            shared.config.log.emit(Event::AudioPlaying { buffered_samples, target_samples });
        }
        // the first packet of a stream takes its time; until then an empty buffer is no news
        let early = rendered.underrun == Some(UnderrunCause::NothingReceived) && took < FIRST_PACKET;
        // a run of callbacks with the same cause is one event; the counts are in the statistics
        if rendered.underrun != reported
            && !early
            && let Some(cause) = rendered.underrun
        {
            shared.config.log.emit(underrun(cause, &rendered, callback));
        }
        reported = rendered.underrun.filter(|_| !early);
        let before = last.replace(now).unwrap_or(now);
        let lacks = reported.and_then(|cause| lacks(cause, &rendered)).or_else(|| {
            // while nobody speaks a device that asks late loses nothing but time
            let late = now.saturating_sub(before) > GIVE_UP;
            late.then_some(Lack { cause: UnderrunCause::LateCallback, samples: 0, since: None })
        });
        if let Some(event) = gaps.observe(lacks, now, None) {
            shared.config.log.emit(event);
        }
    });
    if let Some(event) = gaps.end(clock::monotonic(), None) {
        shared.config.log.emit(event);
    }
    if let Err(error) = speaker.finish() {
        let (device, reason) = (shared.config.speaker.to_string(), error.to_string());
        shared.config.log.emit(Event::DeviceFailed { device, kind: "speaker".to_owned(), reason });
    }
}

fn samples(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// What a callback went without; a buffer that still fills goes without nothing.
fn lacks(cause: UnderrunCause, rendered: &Rendered) -> Option<Lack> {
    let samples = rendered.expected.saturating_sub(rendered.got) as u64;
    let since = rendered.late_since.filter(|_| cause == UnderrunCause::LateCallback);
    (cause != UnderrunCause::Filling).then_some(Lack { cause, samples, since })
}

/// A buffer that still fills is no fault.
fn underrun(cause: UnderrunCause, rendered: &Rendered, callback: u64) -> Event {
    let (samples_got, samples_expected) = (samples(rendered.got), samples(rendered.expected));
    match cause {
        UnderrunCause::Filling => Event::AudioFilling { samples_got, samples_expected, callback },
        UnderrunCause::NothingReceived | UnderrunCause::LateData | UnderrunCause::LateCallback => {
            let buffered_samples = samples(rendered.buffered);
            Event::AudioUnderrun { cause, samples_got, samples_expected, buffered_samples, callback }
        }
    }
}

//! Every event: its name, level, fields and message.

use super::{ConcealmentCounters, Errno, Family, Holder, Level, ListenerKind, Policy, Transport, UnderrunCause};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What the catalogue says of one event.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Stable name.
    pub name: &'static str,
    /// Its severity.
    pub level: Level,
    /// What it means.
    pub meaning: &'static str,
    /// Field name and type.
    pub fields: &'static [(&'static str, &'static str)],
}

macro_rules! events {
    ($($(#[doc = $doc:literal])+ $name:literal $level:ident $variant:ident {
        $($field:ident: $type:ty),* $(,)?
    } => $message:expr;)+) => {
        /// An event with its fields.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "event", content = "fields")]
        pub enum Event {
            $(
                $(#[doc = $doc])+
                #[serde(rename = $name)]
                $variant {
                    $(#[doc = concat!("`", stringify!($field), "`.")] $field: $type),*
                },
            )+
        }

        impl Event {
            /// Its stable name.
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $name),+ }
            }

            /// Its severity.
            pub const fn level(&self) -> Level {
                match self { $(Self::$variant { .. } => Level::$level),+ }
            }

            /// One line for people.
            pub fn message(&self) -> String {
                match self {
                    $(Self::$variant { $($field),* } => {
                        let _a_message_need_not_use_every_field = ($($field,)*);
                        $message
                    })+
                }
            }
        }

        /// All events, in the order of their life.
        pub const CATALOGUE: &[Entry] = &[
            $(Entry {
                name: $name,
                level: Level::$level,
                meaning: concat!($($doc),+),
                fields: &[$((stringify!($field), stringify!($type))),*],
            }),+
        ];
    };
}

/// Who holds a port is the matter only where it is in use.
fn held_by(errno: &Errno, holder: Option<&Holder>) -> String {
    match holder {
        Some(holder) => format!("held by {holder}; "),
        None if errno.name == "EADDRINUSE" => "no holder was found; ".to_owned(),
        None => String::new(),
    }
}

events! {
    /// The server begins.
    "server.starting" Info ServerStarting { version: String, name: String, on_bind_failure: Policy, command: Vec<String> }
        => format!("sidetone {version} starts as {name:?}, policy {on_bind_failure}");
    /// A listener is about to be bound.
    "listener.binding" Debug ListenerBinding {
        listener: ListenerKind, address: SocketAddr, family: Family, protocol: String, tls: bool, options: Vec<String>,
    } => format!("binding {listener} to {address} ({family}, {protocol}, {})", options.join(", "));
    /// A listener is bound and listens.
    "listener.bound" Info ListenerBound { listener: ListenerKind, address: SocketAddr, family: Family, asked: SocketAddr, backlog: u32 }
        => format!("{listener} listens on {address}");
    /// A listener could not be bound.
    "listener.bind_failed" Error ListenerBindFailed {
        listener: ListenerKind, address: SocketAddr, family: Family, call: String, errno: Errno, holders: Vec<Holder>, remedy: String,
    } => format!("{listener} on {address}: {call} failed with {errno}; {}{remedy}", held_by(errno, holders.first()));
    /// The machine has no such family and nobody asked for it: the other one serves.
    "listener.family_unavailable" Warn ListenerFamilyUnavailable { listener: ListenerKind, address: SocketAddr, family: Family, errno: Errno }
        => format!("{listener}: this machine has no {family} ({errno}), serving without it");
    /// The asked port was taken, another one is used (policy next).
    "listener.fell_back" Warn ListenerFellBack { listener: ListenerKind, asked: u16, port: u16 }
        => format!("{listener}: port {asked} was taken, using {port}");
    /// A listener is closed.
    "listener.closed" Debug ListenerClosed { listener: ListenerKind, address: SocketAddr } => format!("{listener} on {address} closed");
    /// Every listener that can be up is up.
    "server.ready" Info ServerReady { name: String, tcp: Vec<SocketAddr>, websocket: Vec<SocketAddr>, degraded: Vec<String>, startup_us: u64 }
        => if degraded.is_empty() { format!("ready after {startup_us} us") } else { format!("ready, DEGRADED: {}", degraded.join("; ")) };
    /// A signal asked the server to end; clients are told.
    "server.draining" Info ServerDraining { signal: String, connections: u32 } => format!("{signal}: draining {connections} connections");
    /// The server has ended; its ports are free.
    "server.stopped" Info ServerStopped { connections_served: u64, connections_cut: u32, uptime_ms: u64 }
        => format!("stopped after {uptime_ms} ms and {connections_served} connections, {connections_cut} of them cut");

    /// mDNS is about to be announced.
    "mdns.registering" Debug MdnsRegistering { service: String, instance: String, interfaces: Vec<String>, port: u16 }
        => format!("registering {instance:?} ({service}, port {port}) on {}", interfaces.join(", "));
    /// The announcement was sent.
    "mdns.announced" Info MdnsAnnounced { service: String, instance: String, addresses: Vec<String> } => format!("announced {instance:?} at {}", addresses.join(", "));
    /// The announcement was taken back.
    "mdns.withdrawn" Info MdnsWithdrawn { instance: String } => format!("withdrew {instance:?}");
    /// mDNS does not work; the server serves without it.
    "mdns.failed" Warn MdnsFailed { doing: String, reason: String } => format!("mDNS: {doing}: {reason}");

    /// A transport connection was accepted.
    "connection.accepted" Debug ConnectionAccepted { connection: u64, transport: Transport, local: SocketAddr, peer: SocketAddr }
        => format!("connection {connection}: {peer} over {transport}");
    /// The kernel refused to hand out a connection.
    "connection.accept_failed" Error ConnectionAcceptFailed { listener: ListenerKind, address: SocketAddr, errno: Errno, open_connections: u32 }
        => format!("{listener} on {address}: accept failed with {errno} at {open_connections} connections");
    /// A peer broke the wire format; only its own connection is closed.
    "connection.malformed" Warn ConnectionMalformed { connection: u64, peer: SocketAddr, error: String, close_code: u16 }
        => format!("connection {connection} ({peer}): {error}; closed with {close_code}");
    /// A connection ended.
    "connection.closed" Debug ConnectionClosed {
        connection: u64, peer: SocketAddr, close_code: u16, reason: String, by_peer: bool, bytes_received: u64, bytes_sent: u64,
    } => format!("connection {connection} ({peer}) closed: {close_code} {reason}");
    /// An HTTP request was answered.
    "http.answered" Debug HttpAnswered { peer: SocketAddr, method: String, path: String, status: u16 } => format!("{peer} {method} {path} {status}");

    /// A page that is none of ours asked for a WebSocket, and was answered with 403.
    "http.origin_refused" Warn HttpOriginRefused { peer: SocketAddr, origin: String, host: String, remedy: String }
        => format!("{peer}: origin {origin:?} is not allowed to open a WebSocket here (asked for host {host:?}); {remedy}");

    /// A participant is in a room.
    "session.joined" Info SessionJoined { connection: u64, stream: u16, name: String, room: String, transport: Transport, peer: SocketAddr, agent: String }
        => format!("{name:?} joined {room:?} over {transport} as stream {stream}");
    /// A hello was refused.
    "session.refused" Warn SessionRefused { connection: u64, peer: SocketAddr, code: String, reason: String }
        => format!("connection {connection} ({peer}) refused: {code}: {reason}");
    /// A participant left; what the server got from it and sent to it.
    "session.left" Info SessionLeft {
        connection: u64, stream: u16, name: String, room: String, reason: String, inbound: ConcealmentCounters,
        pictures_received: u64, audio_sent: u64, audio_dropped: u64, pictures_sent: u64, pictures_dropped: u64,
    } => format!("{name:?} left {room:?}: {reason}");
    /// Nothing was heard of a peer for the timeout.
    "session.timed_out" Warn SessionTimedOut { connection: u64, name: String, silent_ms: u64 }
        => format!("{name:?}: nothing received for {silent_ms} ms, connection closed");
    /// A receiver did not drain its queue and was closed.
    "session.slow_consumer" Warn SessionSlowConsumer { connection: u64, name: String, stalled_ms: u64, queued_bytes: u64 }
        => format!("{name:?} has not drained its queue for {stalled_ms} ms ({queued_bytes} bytes), closed with 1013");
    /// The mixer's thread runs.
    "mixer.started" Info MixerStarted { frame_ms: u32, scheduling: String } => format!("mixer ticks every {frame_ms} ms, {scheduling}");
    /// What the mixer did since the last such event.
    "mixer.stats" Debug MixerStats {
        ticks: u64, expected_ticks: u64, late_ticks: u64, skipped_ticks: u64, max_lateness_us: u64, run_delay_us: Option<u64>,
        max_work_us: u64, rooms: u32, speakers: u32, concealed_samples: u64,
    } => format!("{ticks} of {expected_ticks} ticks, {late_ticks} late, worst {max_lateness_us} us");

    /// A client tries to connect.
    "client.connecting" Debug ClientConnecting { target: String, address: SocketAddr, attempt: u32 } => format!("connecting to {address} ({target}), attempt {attempt}");
    /// A transport connection is up.
    "client.connected" Debug ClientConnected { target: String, address: SocketAddr, local: SocketAddr, transport: Transport, took_us: u64 }
        => format!("connected to {address} after {took_us} us");
    /// One address did not work.
    "client.connect_failed" Warn ClientConnectFailed { target: String, address: Option<SocketAddr>, stage: String, errno: Option<Errno>, reason: String }
        => format!("{target}: {stage}: {reason}");
    /// In the room; the sound as agreed.
    "client.joined" Info ClientJoined { server: String, room: String, name: String, stream: u16, participants: Vec<String>, codec: String, clock_rate: u32, channels: u8, frame_ms: u8, bitrate: u32 }
        => format!("in room {room:?} of {server:?} as {name:?} with {} others; {codec} {clock_rate} Hz {frame_ms} ms {bitrate} b/s", participants.len());
    /// The server said no.
    "client.refused" Error ClientRefused { code: String, reason: String } => format!("refused: {code}: {reason}");
    /// The connection is gone.
    "client.disconnected" Warn ClientDisconnected { close_code: Option<u16>, reason: String } => format!("disconnected: {reason}");
    /// The next try is scheduled.
    "client.reconnecting" Info ClientReconnecting { attempt: u32, delay_ms: u64 } => format!("attempt {attempt} in {delay_ms} ms");
    /// Somebody came.
    "client.participant_joined" Info ClientParticipantJoined { stream: u16, name: String } => format!("{name:?} joined");
    /// Somebody went.
    "client.participant_left" Info ClientParticipantLeft { stream: u16, name: String } => format!("{name:?} left");
    /// Somebody said something in the chat.
    "client.chat" Debug ClientChat { from: String, text: String } => format!("{from:?} says {text:?}");
    /// Somebody's microphone was muted, or is back.
    "client.participant_muted" Info ClientParticipantMuted { stream: u16, name: String, muted: bool }
        => format!("{name:?} {}", if *muted { "is muted" } else { "is no longer muted" });
    /// The own microphone was muted, or is back.
    "client.muted" Info ClientMuted { muted: bool } => if *muted { "muted".to_owned() } else { "no longer muted".to_owned() };
    /// The first sound of this connection was received.
    "client.first_audio" Info ClientFirstAudio { after_ms: u64, level: u8 } => format!("first sound after {after_ms} ms, level {level}");
    /// The first whole picture of a participant.
    "client.first_picture" Info ClientFirstPicture { stream: u16, name: String, width: u32, height: u32, after_ms: u64 }
        => format!("first picture of {name:?} ({width}x{height}) after {after_ms} ms");
    /// A sound or picture device was opened.
    "device.opened" Info DeviceOpened { device: String, kind: String, sample_rate: u32, channels: u16, period_samples: u32 }
        => format!("{kind} {device}: {sample_rate} Hz, {channels} channels, period {period_samples} samples");
    /// A device cannot be used.
    "device.failed" Error DeviceFailed { device: String, kind: String, reason: String } => format!("{kind} {device}: {reason}");
    /// Playback had fewer samples than the device asked for.
    "audio.underrun" Warn AudioUnderrun { cause: UnderrunCause, samples_got: u32, samples_expected: u32, buffered_samples: u32, callback: u64 }
        => format!("underrun ({cause}): {samples_got} of {samples_expected} samples in callback {callback}");
    /// Sound was missing and is back. `of`: the speaker, where the mixer tells it; `ended_utc_ms`: when (since 1970), where not just now.
    "audio.gap" Debug AudioGap { of: Option<String>, cause: UnderrunCause, samples: u64, lasted_us: u64, ended_utc_ms: Option<u64> }
        => format!("{}{samples} samples missing over {lasted_us} us ({cause})", of.as_ref().map_or_else(String::new, |name| format!("of {name:?}: ")));
    /// Playback still fills its buffer, or nobody speaks; not a fault.
    "audio.filling" Debug AudioFilling { samples_got: u32, samples_expected: u32, callback: u64 }
        => format!("still filling: {samples_got} of {samples_expected} samples in callback {callback}");
    /// Playback began or began again.
    "audio.playing" Debug AudioPlaying { buffered_samples: u32, target_samples: u32 } => format!("playing with {buffered_samples} samples buffered, target {target_samples}");
    /// A snapshot was taken.
    "client.snapshot" Info ClientSnapshot { pictures: Vec<String>, sound_received: bool, waited_ms: u64 }
        => format!("snapshot of {} after {waited_ms} ms, sound {}", pictures.join(", "), if *sound_received { "flowed" } else { "did not flow" });
    /// A browser that a program drives was started.
    "browser.started" Info BrowserStarted { browser: String, version: String, executable: String, browser_pid: u32 }
        => format!("{browser} {version} (pid {browser_pid}, {executable})");
    /// A page was loaded. `bytes`: of all its parts as they came over the wire; `took_us`: until its load event.
    "browser.page_loaded" Info BrowserPageLoaded { url: String, status: Option<u16>, requests: u32, bytes: u64, took_us: u64, secure_context: bool }
        => format!("{url}: {}, {requests} requests, {bytes} bytes in {took_us} us", status.map_or_else(|| "no status".to_owned(), |s| s.to_string()));
    /// A page could not be loaded.
    "browser.page_failed" Error BrowserPageFailed { url: String, reason: String } => format!("{url}: {reason}");
    /// The page wrote to its console. `level`: `log`, `debug`, `info`, `warning` or `error`.
    "browser.console" Debug BrowserConsole { level: String, text: String, location: String } => format!("console.{level}: {text} ({location})");
    /// A script of the page ended with an exception that nobody caught.
    "browser.exception" Error BrowserException { text: String, location: String } => format!("uncaught: {text} ({location})");
    /// A request of the page failed. `blocked`: the policy that forbade it, if one did.
    "browser.request_failed" Warn BrowserRequestFailed { url: String, error: String, blocked: Option<String> }
        => format!("{url}: {error}{}", blocked.as_ref().map_or_else(String::new, |b| format!(", blocked by {b}")));
    /// The page's own policy (CSP, mixed content) forbade something.
    "browser.policy_violation" Error BrowserPolicyViolation { directive: String, blocked_url: String, location: String }
        => format!("{directive} forbids {blocked_url} ({location})");
    /// The page opens a WebSocket.
    "browser.websocket_opening" Debug BrowserWebsocketOpening { socket: String, url: String } => format!("{url}: opening");
    /// The server answered the upgrade.
    "browser.websocket_answered" Info BrowserWebsocketAnswered { socket: String, url: String, status: u16, status_text: String }
        => format!("{url}: {status} {status_text}");
    /// A WebSocket of the page could not be opened, or broke.
    "browser.websocket_failed" Warn BrowserWebsocketFailed { socket: String, url: String, error: String } => format!("{url}: {error}");
    /// A WebSocket of the page is closed. `code`: of the close frame; none if there was none.
    "browser.websocket_closed" Info BrowserWebsocketClosed { socket: String, url: String, code: Option<u16>, reason: String }
        => format!("{url}: closed with {}{}", code.map_or_else(|| "no close frame".to_owned(), |c| c.to_string()), if reason.is_empty() { String::new() } else { format!(" {reason}") });
    /// The state of the page's `AudioContext` (Web Audio API). Times in milliseconds.
    "browser.audio_context" Info BrowserAudioContext { state: String, sample_rate: u32, base_latency_ms: f64, output_latency_ms: f64 }
        => format!("AudioContext is {state}, {sample_rate} Hz, base latency {base_latency_ms:.1} ms, output latency {output_latency_ms:.1} ms");
    /// The page asked for a microphone or a camera. `error`: the name of the exception, for instance `NotAllowedError`.
    "browser.capture" Info BrowserCapture { device: String, granted: bool, error: Option<String>, label: String, sample_rate: Option<u32>, channels: Option<u32> }
        => if *granted { format!("{device}: {label}") } else { format!("{device}: {}", error.as_deref().unwrap_or("not granted")) };
    /// The page tells the person something. `situation`: a stable word, for instance `permission-denied`.
    "browser.situation" Info BrowserSituation { situation: String, sentence: String } => format!("{situation}: {sentence}");
    /// What the page's analyser heard in its output. `loudest_hz`: the frequency with the most power.
    "browser.heard" Info BrowserHeard { level_db: f64, loudest_hz: f64, seconds: f64 }
        => format!("{level_db:.1} dBFS, loudest at {loudest_hz:.0} Hz over {seconds:.1} s");
    /// A picture of the page was saved, as a PNG file.
    "browser.screenshot" Info BrowserScreenshot { path: String, of: String, width: u32, height: u32 } => format!("{of}: {path} ({width}x{height})");
    /// The browser ended. `by_us`: its driver had asked for it.
    "browser.ended" Info BrowserEnded { code: Option<i32>, by_us: bool } => format!("the browser ended{}", if *by_us { "" } else { " by itself" });
    /// The client ends.
    "client.ended" Info ClientEnded { exit_code: u8, reason: String } => format!("ended with {exit_code}: {reason}");
}

#[cfg(test)]
mod tests {
    use super::super::{Record, Unread};
    use super::*;

    fn record() -> Record {
        let event = Event::ListenerBindFailed {
            listener: ListenerKind::WebSocket,
            address: "0.0.0.0:37909".parse().unwrap(),
            family: Family::Ipv4,
            call: "bind".to_owned(),
            errno: Errno { number: 98, name: "EADDRINUSE".to_owned() },
            holders: vec![],
            remedy: "use another port".to_owned(),
        };
        Record {
            time: "2026-11-22T21:30:00.000001Z".to_owned(),
            monotonic_ns: 5,
            level: event.level(),
            source: "src/net/bind.rs:1".to_owned(),
            pid: 1,
            message: event.message(),
            event,
        }
    }

    #[test]
    fn a_line_comes_back_as_the_same_record() {
        let line = serde_json::to_string(&record()).unwrap();
        assert_eq!(Record::parse(&line), Ok(record()));
        assert!(line.contains(r#""event":"listener.bind_failed","fields":{"listener":"websocket""#), "{line}");
    }

    #[test]
    fn free_text_and_drift_are_told_apart() {
        assert!(matches!(Record::parse("thread 'main' panicked at"), Err(Unread::NotStructured(_))));
        let drifted = serde_json::to_string(&record()).unwrap().replace("bind_failed", "bind_exploded");
        assert!(matches!(Record::parse(&drifted), Err(Unread::Drifted(_))));
    }

    #[test]
    fn names_are_unique_and_dotted() {
        let mut names: Vec<_> = CATALOGUE.iter().map(|e| e.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CATALOGUE.len());
        assert!(names.iter().all(|n| n.split('.').count() == 2));
    }
}

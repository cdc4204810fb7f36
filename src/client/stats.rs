//! `--stats json`: a report in the shape and with the names of W3C webrtc-stats; what that has no name for is under
//! `sidetone`.

use super::shared::{Heard, Shared, lock};
use crate::clock;
use crate::device::MicrophoneSpec;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// The report as of now. Durations in seconds, sizes in bytes.
pub(super) fn report(shared: &Shared) -> Value {
    let counters = &shared.counters;
    let queues = shared.queue_counts();
    let playout = lock(&shared.playout).stats();
    let mut inbound = serde_json::to_value(playout).unwrap_or_default();
    let underruns = inbound.as_object_mut().and_then(|o| o.remove("underruns")).unwrap_or_default();
    let callbacks = inbound.as_object_mut().and_then(|o| o.remove("callbacks")).unwrap_or_default();
    if let Some(fields) = inbound.as_object_mut() {
        fields.insert("id".to_owned(), json!("inbound-audio"));
        fields.insert("type".to_owned(), json!("inbound-rtp"));
        fields.insert("kind".to_owned(), json!("audio"));
        fields.insert("codecId".to_owned(), json!("codec"));
        fields.insert("transportId".to_owned(), json!("transport"));
        fields.insert("bytesReceived".to_owned(), json!(get(&counters.audio_bytes_received)));
    }
    let room = lock(&shared.room);
    let mut stats = vec![
        inbound,
        json!({
            "id": "outbound-audio", "type": "outbound-rtp", "kind": "audio", "codecId": "codec", "transportId": "transport",
            "packetsSent": queues.audio_sent, "bytesSent": get(&counters.audio_bytes_sent),
        }),
        json!({
            "id": "outbound-video", "type": "outbound-rtp", "kind": "video", "transportId": "transport",
            "framesSent": queues.pictures_sent, "framesEncoded": get(&counters.pictures_sent),
        }),
        json!({
            "id": "transport", "type": "transport",
            "bytesSent": get(&counters.bytes_sent), "bytesReceived": get(&counters.bytes_received),
            "packetsSent": get(&counters.packets_sent), "packetsReceived": get(&counters.packets_received),
            "currentRoundTripTime": get(&counters.round_trip_us) as f64 / 1e6,
        }),
    ];
    if let Some(audio) = room.welcome.as_ref().map(|w| &w.audio) {
        stats.push(json!({
            "id": "codec", "type": "codec", "mimeType": format!("audio/{}", audio.codec), "clockRate": audio.clock_rate,
            "channels": audio.channels, "sdpFmtpLine": format!("maxaveragebitrate={};usedtx=0", audio.bitrate),
        }));
    }
    if shared.config.microphone != MicrophoneSpec::None {
        stats.push(microphone(*lock(&shared.heard)));
    }
    for (name, pictures) in &room.pictures {
        stats.push(json!({
            "id": format!("inbound-video-{name}"), "type": "inbound-rtp", "kind": "video", "transportId": "transport",
            "trackIdentifier": name, "framesReceived": pictures.received + pictures.undecodable,
            "framesDecoded": pictures.received, "bytesReceived": pictures.bytes,
        }));
    }
    drop(room);
    let seconds = get(&counters.callbacks_took_us) as f64 / 1e6;
    let count = get(&counters.callbacks);
    json!({
        "timestamp": clock::utc(),
        "stats": stats,
        "sidetone": {
            "name": shared.config.name,
            "target": shared.config.target.to_string(),
            "connections": counters.connections.load(Ordering::Relaxed),
            "soundReceived": get(&counters.audio_packets_with_sound) > 0,
            "audioPacketsDropped": queues.audio_dropped,
            "keepAlivesSent": get(&counters.keep_alives_sent),
            "picturesDropped": queues.pictures_dropped,
            "underruns": underruns,
            "callbacks": {
                "count": count, "seconds": seconds, "perSecond": if seconds > 0.0 { count as f64 / seconds } else { 0.0 },
                "rendered": callbacks,
            },
        },
    })
}

/// What the microphone delivered, whatever became of it.
fn microphone(heard: Heard) -> Value {
    json!({
        "id": "microphone", "type": "media-source", "kind": "audio", "audioLevel": heard.level,
        "totalAudioEnergy": heard.energy, "totalSamplesDuration": heard.seconds(),
    })
}

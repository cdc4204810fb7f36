//! The golden vectors in `fixtures/wire/`, which the JavaScript client reads too.

use super::support::fixture;
use bytes::Bytes;
use serde_json::Value;
use sidetone::protocol::{AudioPacket, Decoder, Frame, Kind, Message, VideoChunk, WireError};
use std::collections::BTreeSet;

fn vectors(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(fixture("wire").join(file)).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn from_hex(hex: &str) -> Bytes {
    assert_eq!(hex.len() % 2, 0, "{hex}");
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn bytes_of(vector: &Value, field: &str) -> Bytes {
    from_hex(vector[field].as_str().unwrap_or_else(|| panic!("no {field} in {vector}")))
}

fn number<T: TryFrom<u64>>(vector: &Value, field: &str) -> T {
    let number = vector[field].as_u64().unwrap_or_else(|| panic!("no {field} in {vector}"));
    T::try_from(number).ok().unwrap_or_else(|| panic!("{field} of {vector} is too large"))
}

fn name_of(kind: Kind) -> String {
    match kind {
        Kind::Unknown(_) => "unknown".to_owned(),
        known => format!("{known:?}").to_lowercase(),
    }
}

/// The frame that a writer makes from the fields of a vector.
fn written(vector: &Value) -> Frame {
    let (stream, sequence, timestamp) =
        (number(vector, "stream"), number(vector, "sequence"), number(vector, "timestamp"));
    if let Some(audio) = vector.get("audio") {
        let packet = AudioPacket { level: number(audio, "level"), opus: bytes_of(audio, "opus") };
        return packet.frame(stream, sequence, timestamp);
    }
    if let Some(video) = vector.get("video") {
        let (picture, index, count) = (number(video, "picture"), number(video, "index"), number(video, "count"));
        return VideoChunk { picture, index, count, data: bytes_of(video, "data") }.frame(stream, sequence, timestamp);
    }
    let kind = Kind::from_code(number(vector, "code"));
    let payload = match vector.get("message") {
        Some(message) => Bytes::from(serde_json::to_vec(message).unwrap()),
        None => bytes_of(vector, "payload"),
    };
    let frame = Frame { kind, stream, sequence, timestamp, payload };
    match Message::decode(&frame).unwrap() {
        Some(message) => message.frame(stream, sequence),
        None => frame,
    }
}

fn read_as_stream(bytes: &Bytes) -> Result<Vec<Frame>, WireError> {
    let mut decoder = Decoder::new();
    decoder.buffer().extend_from_slice(bytes);
    std::iter::from_fn(|| decoder.next_frame().transpose()).collect()
}

#[test]
fn every_kind_is_read_and_written_as_the_golden_vectors_say() {
    let mut kinds = BTreeSet::new();
    for vector in vectors("frames.json") {
        let name = &vector["name"];
        let bytes = bytes_of(&vector, "hex");
        let frame = Frame::from_message(bytes.clone()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(read_as_stream(&bytes), Ok(vec![frame.clone()]), "{name}: TCP and WebSocket read the same");
        assert_eq!(name_of(frame.kind), vector["kind"], "{name}");
        assert_eq!(frame.kind.code(), number::<u8>(&vector, "code"), "{name}");
        if let Some(message) = vector.get("message") {
            assert_eq!(&serde_json::from_slice::<Value>(&frame.payload).unwrap(), message, "{name}");
            assert!(Message::decode(&frame).unwrap().is_some(), "{name}: a control message");
        }
        if let Some(audio) = vector.get("audio") {
            let packet = AudioPacket::decode(&frame.payload).unwrap();
            assert_eq!((packet.level, packet.opus), (number(audio, "level"), bytes_of(audio, "opus")), "{name}");
        }
        if let Some(video) = vector.get("video") {
            let chunk = VideoChunk::decode(&frame.payload).unwrap();
            assert_eq!((chunk.picture, chunk.index), (number(video, "picture"), number(video, "index")), "{name}");
            assert_eq!((chunk.count, chunk.data), (number(video, "count"), bytes_of(video, "data")), "{name}");
        }
        assert_eq!(written(&vector), frame, "{name}: the fields");
        assert_eq!(written(&vector).encode(), bytes, "{name}: the bytes");
        kinds.insert(name_of(frame.kind));
    }
    assert_eq!(kinds.len(), 14, "a vector for every kind: {kinds:?}");
}

#[test]
fn what_later_versions_may_add_is_tolerated() {
    for vector in vectors("tolerated.json") {
        let name = &vector["name"];
        let frame = Frame::from_message(bytes_of(&vector, "hex")).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(name_of(frame.kind), vector["kind"], "{name}");
        let message = Message::decode(&frame).unwrap_or_else(|e| panic!("{name}: {e}")).expect("control");
        let read: Value = serde_json::from_slice(&message.frame(0, 0).payload).unwrap();
        assert_eq!(read, vector["message"], "{name}");
    }
}

fn payload_error(frame: &Frame) -> Option<WireError> {
    match frame.kind {
        Kind::Audio => AudioPacket::decode(&frame.payload).err(),
        Kind::Video => VideoChunk::decode(&frame.payload).err(),
        _ => Message::decode(frame).err(),
    }
}

fn error_name(error: &WireError) -> String {
    let debug = format!("{error:?}");
    debug.split([' ', '{', '(']).next().unwrap_or_default().to_owned()
}

#[test]
fn everything_malformed_is_refused_as_listed() {
    let mut errors = BTreeSet::new();
    for vector in vectors("malformed.json") {
        let name = &vector["name"];
        let bytes = bytes_of(&vector, "hex");
        let whole = Frame::from_message(bytes.clone()).and_then(|frame| payload_error(&frame).map_or(Ok(frame), Err));
        let error = whole.expect_err(&format!("{name} is malformed"));
        assert_eq!(error_name(&error), vector["as_message"], "{name} as a message: {error}");
        assert_eq!(error.close_code(), number::<u16>(&vector, "close_code"), "{name}: {error}");
        let on_a_stream = match read_as_stream(&bytes).map(|frames| frames.iter().find_map(payload_error)) {
            Err(error) | Ok(Some(error)) => error_name(&error),
            Ok(None) => {
                let mut decoder = Decoder::new();
                decoder.buffer().extend_from_slice(&bytes);
                while decoder.next_frame().unwrap().is_some() {}
                let whole_frames = decoder.pending() == 0 && !bytes.is_empty();
                if whole_frames { "Frames".to_owned() } else { "Incomplete".to_owned() }
            }
        };
        assert_eq!(on_a_stream, vector["as_stream"], "{name} on a stream");
        errors.insert(error_name(&error));
    }
    assert_eq!(errors.into_iter().collect::<Vec<_>>(), ["NotAFrame", "NotOneFrame", "Payload", "TooBig"]);
}

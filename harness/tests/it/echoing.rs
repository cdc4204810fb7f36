//! An echo room that is not as it should be: a scripted server's step.
#![cfg(test)] // so that the lints know the helpers for test code
#![expect(clippy::wildcard_enum_match_arm, reason = "only sound and pings are answered")]

use sidetone::audio::{Decoder, Encoder, FRAME_SAMPLES, Prediction, level};
use sidetone::protocol::{AudioPacket, Frame, HEADER_LENGTH, Header, Kind};
use std::io::{self, Read, Write};

/// Sends each packet of sound back until the other side goes: `loses` every tenth, `clips` what is in them, or is `pitched`
/// as when 48,000 Hz are taken for 44,100 Hz.
pub(crate) fn echo<S: Read + Write + ?Sized>(stream: &mut S, how: &str) -> io::Result<()> {
    let mut shop = Shop::new();
    loop {
        let frame = read(stream)?;
        let back = match frame.kind {
            Kind::Ping => Some(Frame { kind: Kind::Pong, ..frame }),
            Kind::Bye => return Ok(()),
            Kind::Audio => match how {
                "loses" if frame.sequence % 10 == 5 => None,
                "loses" => Some(Frame { stream: 0, ..frame }),
                "clips" | "pitched" => Some(shop.change(&frame, how)),
                other => panic!("echo {other:?} is not known"),
            },
            _ => None,
        };
        if let Some(back) = back {
            stream.write_all(&back.encode())?;
            stream.flush()?;
        }
    }
}

fn read<S: Read + ?Sized>(stream: &mut S) -> io::Result<Frame> {
    let mut head = [0; HEADER_LENGTH];
    stream.read_exact(&mut head)?;
    let Header { kind, stream: number, sequence, timestamp, length, .. } = Header::decode(&head).unwrap();
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut payload)?;
    Ok(Frame { kind, stream: number, sequence, timestamp, payload: payload.into() })
}

/// Takes sound apart and makes it anew.
struct Shop {
    decoder: Decoder,
    encoder: Encoder,
    samples: Vec<f32>,
    played: usize,
}

impl Shop {
    fn new() -> Self {
        let (decoder, encoder) = (Decoder::new().unwrap(), Encoder::new(Prediction::Disabled).unwrap());
        Self { decoder, encoder, samples: Vec::new(), played: 0 }
    }

    fn change(&mut self, frame: &Frame, how: &str) -> Frame {
        let packet = AudioPacket::decode(&frame.payload).unwrap();
        if packet.opus.is_empty() {
            return Frame { stream: 0, ..frame.clone() };
        }
        self.decoder.decode(&packet.opus, &mut self.samples).unwrap();
        let from = self.played;
        self.played += FRAME_SAMPLES;
        let sound: Vec<f32> = (from..self.played)
            .map(|i| match how {
                "clips" => (self.samples[i] * 40.0).clamp(-1.0, 1.0),
                _ => self.samples[i * 441 / 480],
            })
            .collect();
        let packet = AudioPacket { level: level(&sound).min(126), opus: self.encoder.encode(&sound).unwrap() };
        packet.frame(0, frame.sequence, frame.timestamp)
    }
}

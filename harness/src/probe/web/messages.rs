//! Messages out of the bytes of a server: frames put together again as far as somebody wants to see them. PURE.

use super::frame::{self, CONTINUATION, Header, PING, PONG, TEXT};
use crate::evidence::probed::{Closed, Excerpt, FrameProblem, Message, Opcode};

/// Something whole that the server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A message; its beginning as it came.
    Message(Message, Vec<u8>),
    /// A ping with its payload.
    Ping(Vec<u8>),
    /// A pong with its payload.
    Pong(Vec<u8>),
    /// A close frame.
    Closed(Closed),
}

/// Bytes in, messages out. Payloads are counted and forgotten after the first [`Messages::keep`] bytes of a message.
#[derive(Debug)]
pub struct Messages {
    /// Bytes that were not looked at yet.
    pub buffer: Vec<u8>,
    /// How much of a message is kept.
    pub keep: usize,
    /// Whether an extension was agreed.
    pub extended: bool,
    /// Frames whose header was read.
    pub frames: u64,
    /// Bytes of payloads.
    pub bytes: u64,
    /// The data frame whose payload is coming.
    inside: Option<Inside>,
    /// The message that is not yet whole.
    message: Option<Begun>,
}

#[derive(Debug)]
struct Inside {
    fin: bool,
    left: u64,
}

#[derive(Debug)]
struct Begun {
    opcode: Opcode,
    /// An extension changed the payload, for instance by compression: it is not read.
    coded: bool,
    bytes: u64,
    begins: Vec<u8>,
    utf8: Utf8,
}

impl Messages {
    /// With bytes that have come already.
    pub fn new(early: Vec<u8>, keep: usize) -> Self {
        Self { buffer: early, keep, extended: false, frames: 0, bytes: 0, inside: None, message: None }
    }

    /// The next whole thing; `None`: more bytes are needed.
    ///
    /// # Errors
    /// What the server breaks; the buffer then begins with that frame, or with the payload that is wrong.
    pub fn heard(&mut self) -> Result<Option<Heard>, FrameProblem> {
        loop {
            if let Some(heard) = self.take_payload()? {
                return Ok(Some(heard));
            }
            if self.inside.is_some() {
                return Ok(None);
            }
            let Some(header) = frame::read(&self.buffer, self.extended)? else { return Ok(None) };
            if header.is_control() {
                return self.control(header);
            }
            self.begin(header)?;
        }
    }

    fn control(&mut self, header: Header) -> Result<Option<Heard>, FrameProblem> {
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        let Some(payload) = self.buffer.get(header.own..header.own + length) else { return Ok(None) };
        let heard = match header.opcode {
            PING => Heard::Ping(payload.to_vec()),
            PONG => Heard::Pong(payload.to_vec()),
            _ => Heard::Closed(closed(payload)?),
        };
        self.buffer.drain(..header.own + length);
        self.frames += 1;
        self.bytes += header.length;
        Ok(Some(heard))
    }

    fn begin(&mut self, header: Header) -> Result<(), FrameProblem> {
        match (header.opcode, &self.message) {
            (CONTINUATION, None) => return Err(FrameProblem::ContinuationOfNothing),
            (CONTINUATION, Some(_)) => {}
            (_, Some(_)) => return Err(FrameProblem::MessageInMessage),
            (opcode, None) => {
                let opcode = if opcode == TEXT { Opcode::Text } else { Opcode::Binary };
                let coded = header.reserved;
                self.message = Some(Begun { opcode, coded, bytes: 0, begins: Vec::new(), utf8: Utf8::default() });
            }
        }
        self.buffer.drain(..header.own);
        self.frames += 1;
        self.inside = Some(Inside { fin: header.fin, left: header.length });
        Ok(())
    }

    /// Takes what is there of a payload; a message, if that completes it.
    fn take_payload(&mut self) -> Result<Option<Heard>, FrameProblem> {
        let (Some(inside), Some(message)) = (&mut self.inside, &mut self.message) else { return Ok(None) };
        let there = usize::try_from(inside.left).unwrap_or(usize::MAX).min(self.buffer.len());
        let payload = &self.buffer[..there];
        if message.opcode == Opcode::Text && !message.coded && !message.utf8.goes_on(payload) {
            return Err(FrameProblem::BadUtf8);
        }
        let room = self.keep.saturating_sub(message.begins.len()).min(there);
        message.begins.extend_from_slice(&payload[..room]);
        let taken = u64::try_from(there).unwrap_or(u64::MAX);
        message.bytes += taken;
        self.bytes += taken;
        inside.left -= taken;
        self.buffer.drain(..there);
        if inside.left > 0 {
            return Ok(None);
        }
        let fin = inside.fin;
        self.inside = None;
        if !fin {
            return Ok(None);
        }
        let Some(Begun { opcode, coded, bytes, begins, utf8 }) = self.message.take() else { return Ok(None) };
        if opcode == Opcode::Text && !coded && !utf8.ends_here() {
            return Err(FrameProblem::BadUtf8);
        }
        let cut = &begins[..begins.len().min(4 * Excerpt::MOST)];
        let excerpt = match opcode {
            Opcode::Text if !coded => Excerpt::text(&String::from_utf8_lossy(cut)),
            Opcode::Text | Opcode::Binary => Excerpt::of(cut),
        };
        Ok(Some(Heard::Message(Message { opcode, bytes, begins: excerpt }, begins)))
    }
}

/// RFC 6455, sections 5.5.1 and 7.4.
fn closed(payload: &[u8]) -> Result<Closed, FrameProblem> {
    let (code, reason) = match payload {
        [] => return Ok(Closed { code: None, reason: Excerpt::default() }),
        [_] => return Err(FrameProblem::CloseCode),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(FrameProblem::CloseCode);
    }
    let reason = std::str::from_utf8(reason).map_err(|_| FrameProblem::BadUtf8)?;
    Ok(Closed { code: Some(code), reason: Excerpt::text(reason) })
}

/// What a server breaks, in words.
pub const fn words(problem: FrameProblem) -> &'static str {
    match problem {
        FrameProblem::ReservedBit => "a frame with a reserved bit set, though no extension was agreed",
        FrameProblem::UnknownOpcode => "a frame with an opcode that RFC 6455 does not have",
        FrameProblem::Masked => "a masked frame, which only clients may send",
        FrameProblem::ControlFragmented => "a control frame in fragments",
        FrameProblem::ControlTooLong => "a control frame above 125 bytes",
        FrameProblem::LengthTooLong => "a length with its highest bit set",
        FrameProblem::LengthNotMinimal => "a length in more bytes than it needs",
        FrameProblem::ContinuationOfNothing => "a continuation of no message",
        FrameProblem::MessageInMessage => "a message inside another that is not whole",
        FrameProblem::CloseCode => "a close frame with a code that may not be sent",
        FrameProblem::BadUtf8 => "text that is not UTF-8",
        FrameProblem::TooLarge => "a frame that announces more than 4 GiB",
        FrameProblem::Flood => "more than anybody asked for",
    }
}

/// Whether text that comes in pieces is UTF-8.
#[derive(Debug, Default)]
struct Utf8 {
    /// The first bytes of a character that was cut: 3 at most.
    cut: Vec<u8>,
}

impl Utf8 {
    fn goes_on(&mut self, piece: &[u8]) -> bool {
        let mut piece = piece;
        // a character that was cut ends in the first bytes of this piece
        while let ([first, rest @ ..], false) = (piece, self.cut.is_empty()) {
            self.cut.push(*first);
            piece = rest;
            match std::str::from_utf8(&self.cut) {
                Ok(_) => self.cut.clear(),
                Err(error) if error.error_len().is_some() => return false,
                Err(_) => {}
            }
        }
        match std::str::from_utf8(piece) {
            Ok(_) => true,
            Err(error) if error.error_len().is_some() => false,
            Err(error) => {
                self.cut.extend_from_slice(&piece[error.valid_up_to()..]);
                true
            }
        }
    }

    const fn ends_here(&self) -> bool {
        self.cut.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8]) -> (Vec<Heard>, Option<FrameProblem>) {
        pieces(&[bytes])
    }

    fn pieces(pieces: &[&[u8]]) -> (Vec<Heard>, Option<FrameProblem>) {
        let mut messages = Messages::new(Vec::new(), 2_000);
        let mut heard = Vec::new();
        for piece in pieces {
            messages.buffer.extend_from_slice(piece);
            loop {
                match messages.heard() {
                    Ok(Some(one)) => heard.push(one),
                    Ok(None) => break,
                    Err(problem) => return (heard, Some(problem)),
                }
            }
        }
        (heard, None)
    }

    fn text(bytes: u64, begins: &str) -> Heard {
        let message = Message { opcode: Opcode::Text, bytes, begins: Excerpt::text(begins) };
        Heard::Message(message, begins.as_bytes().to_vec())
    }

    #[test]
    fn fragments_are_put_together_and_a_ping_may_come_between() {
        let (heard, wrong) = all(b"\x01\x02he\x89\x01!\x80\x03llo\x88\x05\x03\xe8bye");
        assert_eq!(wrong, None);
        let closed = Closed { code: Some(1000), reason: Excerpt::text("bye") };
        assert_eq!(heard, [Heard::Ping(b"!".to_vec()), text(5, "hello"), Heard::Closed(closed)]);
        let one_by_one: Vec<&[u8]> = b"\x01\x02he\x80\x03llo".chunks(1).collect();
        assert_eq!(pieces(&one_by_one), (vec![text(5, "hello")], None));
        assert_eq!(all(b"\x88\x00").0, [Heard::Closed(Closed { code: None, reason: Excerpt::default() })]);
    }

    #[test]
    fn a_reserved_bit_means_something_where_an_extension_was_agreed() {
        let compressed = b"\xc1\x03\xf2\x48\x05";
        assert_eq!(all(compressed).1, Some(FrameProblem::ReservedBit));
        let mut messages = Messages { extended: true, ..Messages::new(compressed.to_vec(), 2_000) };
        let Ok(Some(Heard::Message(message, _))) = messages.heard() else { panic!("{messages:?}") };
        assert_eq!((message.opcode, message.bytes, message.begins.as_str()), (Opcode::Text, 3, "\\xf2H\\x05"));
    }

    #[test]
    fn a_long_message_is_counted_and_not_kept() {
        let mut bytes = vec![0x82, 0x7f, 0, 0, 0, 0, 0, 0x10, 0, 0];
        bytes.extend(vec![b'x'; 1 << 20]);
        let (heard, _) = all(&bytes);
        let Heard::Message(message, begins) = &heard[0] else { panic!("{heard:?}") };
        assert_eq!((message.bytes, begins.len()), (1 << 20, 2_000));
    }

    #[test]
    fn broken_rules_are_told() {
        use FrameProblem as P;
        for (bytes, problem) in [
            (&b"\x80\x00"[..], P::ContinuationOfNothing),
            (b"\x01\x00\x81\x00", P::MessageInMessage),
            (b"\x81\x01\xff", P::BadUtf8),
            (b"\x81\x01\xc3", P::BadUtf8),
            (b"\x01\x01\xc3\x80\x01x", P::BadUtf8),
            (b"\x88\x01\x03", P::CloseCode),
            (b"\x88\x02\x03\xed", P::CloseCode),
            (b"\x88\x02\x00\x00", P::CloseCode),
            (b"\x88\x03\x03\xe8\xff", P::BadUtf8),
            (b"\xc1\x01", P::ReservedBit),
        ] {
            assert_eq!(all(bytes).1, Some(problem), "{bytes:x?}");
        }
        assert_eq!(all(b"\x01\x01\xc3\x80\x01\xbc").0, [text(2, "ü")], "a cut character that goes on is fine");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_cuts_change_nothing(
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0x81), Just(0x01), Just(0x80), Just(2)], 0..60),
            size in 1_usize..9,
        ) {
            let cut: Vec<&[u8]> = bytes.chunks(size).collect();
            prop_assert_eq!(all(&bytes), pieces(&cut));
        }

        #[test]
        fn utf8_in_pieces_is_judged_as_the_whole(text in "[aü€😀]{0,12}", size in 1_usize..5, garble: Option<u8>) {
            let mut bytes = text.into_bytes();
            bytes.extend(garble);
            let mut utf8 = Utf8::default();
            let good = bytes.chunks(size).all(|piece| utf8.goes_on(piece)) && utf8.ends_here();
            prop_assert_eq!(good, std::str::from_utf8(&bytes).is_ok());
        }
    }
}

//! Why a handshake ended: the library's errors and the peer's first bytes as data.

use super::alert::alert;
use super::recorder::Seen;
use crate::evidence::probed::{Excerpt, Failure, How, Tls};
use crate::probe::failure;
use rustls::{Error, InvalidMessage};
use std::io;
use std::time::Duration;

/// Types of TLS records: `change_cipher_spec`, `alert`, `handshake`, `application_data`.
const RECORDS: std::ops::RangeInclusive<u8> = 0x14..=0x17;

/// Notes what an error of the handshake says, and what the peer's bytes say against it.
pub(super) fn note(tls: &mut Tls, error: &io::Error, seen: &Seen) {
    let known = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let told = match known {
        _ if no_tls(seen).is_some() => no_tls(seen),
        None if error.kind() == io::ErrorKind::UnexpectedEof => Some(failure::closed(&seen.first)),
        None => Some(failure::of(error).after(&seen.first)),
        Some(Error::AlertReceived(description)) => {
            let received = alert(u8::from(*description));
            let words = format!("the server says {} (alert {})", received.name, received.number);
            tls.alert = Some(received);
            Some(Failure::new(How::Said, words))
        }
        Some(Error::PeerIncompatible(why)) => {
            tls.disagreed = true;
            Some(Failure::new(How::Other, format!("no agreement with what the server chose: {why:?}")))
        }
        Some(Error::InvalidMessage(
            InvalidMessage::HandshakePayloadTooLarge | InvalidMessage::CertificatePayloadTooLarge,
        )) => Some(Failure::new(How::TooMuch, "a handshake message of more than 64 KiB")),
        Some(Error::InvalidMessage(InvalidMessage::UnknownProtocolVersion)) => {
            tls.disagreed = true;
            Some(Failure::new(How::Malformed, "an unknown version of TLS").after(&seen.first))
        }
        Some(other) => Some(Failure::new(How::Malformed, other.to_string()).after(&seen.first)),
    };
    tls.failure = told.map(|failure| Failure { received: seen.received, ..failure });
}

/// The deadline came first.
pub(super) fn late(deadline: Duration, seen: &Seen) -> Failure {
    let failure = no_tls(seen).unwrap_or_else(|| failure::late(deadline, &seen.first));
    Failure { received: seen.received, ..failure }
}

/// What came, if it does not begin as TLS does.
pub(super) fn no_tls(seen: &Seen) -> Option<Failure> {
    let first = seen.first.first()?;
    let begins = Excerpt::of(&seen.first).first_line(60);
    let told = || Failure::new(How::Malformed, format!("not TLS: {begins}")).after(&seen.first);
    (!RECORDS.contains(first)).then(told)
}

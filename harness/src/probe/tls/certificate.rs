//! A certificate (X.509, RFC 5280) as data: what the TLS library does not show.

#![expect(clippy::wildcard_enum_match_arm, reason = "of names and extensions few are wanted; the lists may grow")]

use crate::evidence::probed::{Certificate, Excerpt};
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use std::net::IpAddr;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::objects::{oid_registry, oid2sn};
use x509_parser::oid_registry::Oid;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Name};

/// Most certificates of a chain that are kept.
const MOST_CERTIFICATES: usize = 10;
/// Most names of a certificate that are kept.
const MOST_NAMES: usize = 50;
/// Most bytes of one name that are kept.
const LONGEST_NAME: usize = 300;
/// `id-ad-caIssuers`, RFC 5280 4.2.2.1.
const CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";

/// Curves and keys without parameters, by object identifier.
const KEYS: &[(&str, &str)] = &[
    ("1.2.840.10045.3.1.7", "ECDSA P-256"),
    ("1.3.132.0.34", "ECDSA P-384"),
    ("1.3.132.0.35", "ECDSA P-521"),
    ("1.3.132.0.10", "ECDSA secp256k1"),
    ("1.3.101.112", "Ed25519"),
    ("1.3.101.113", "Ed448"),
];

/// The first certificates of a chain.
pub(super) fn read_all(chain: &[CertificateDer<'_>]) -> Vec<Certificate> {
    chain.iter().take(MOST_CERTIFICATES).map(|der| read(der)).collect()
}

/// One certificate.
pub(super) fn read(der: &[u8]) -> Certificate {
    let sha256 = hex(&Sha256::digest(der));
    let parsed = match X509Certificate::from_der(der) {
        Ok(([], parsed)) => parsed,
        Ok((rest, _)) => {
            let unreadable = Some(format!("{} bytes follow the certificate", rest.len()));
            return Certificate { sha256, unreadable, ..Certificate::default() };
        }
        Err(error) => {
            let unreadable = Some(cut(&format!("{} bytes that are no certificate: {error}", der.len())));
            return Certificate { sha256, unreadable, ..Certificate::default() };
        }
    };
    let signature = &parsed.signature_algorithm.algorithm;
    Certificate {
        subject: distinguished(parsed.subject()),
        issuer: distinguished(parsed.issuer()),
        names: names(&parsed),
        not_before: rfc3339(parsed.validity().not_before),
        not_after: rfc3339(parsed.validity().not_after),
        key: key(parsed.public_key()),
        signature: oid2sn(signature, oid_registry()).map_or_else(|_| signature.to_id_string(), str::to_owned),
        serial: hex(parsed.raw_serial()),
        sha256,
        is_authority: parsed.is_ca(),
        issuer_url: issuer_url(&parsed),
        unreadable: None,
    }
}

/// Whether a certificate names itself as its issuer.
pub(super) fn names_itself(der: &[u8]) -> bool {
    X509Certificate::from_der(der).is_ok_and(|(_, parsed)| parsed.subject().as_raw() == parsed.issuer().as_raw())
}

/// Whether one of these certificates has the subject that the first names as its issuer.
pub(super) fn issuer_is_among(der: &[u8], others: &[CertificateDer<'_>]) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(der) else { return false };
    let issuer = parsed.issuer().as_raw();
    others.iter().any(|other| X509Certificate::from_der(other).is_ok_and(|(_, o)| o.subject().as_raw() == issuer))
}

/// A distinguished name out of its DER, for people.
pub(super) fn distinguished_of(der: &[u8]) -> Option<String> {
    X509Name::from_der(der).ok().map(|(_, name)| distinguished(&name))
}

fn distinguished(name: &X509Name<'_>) -> String {
    cut(&name.to_string())
}

fn cut(text: &str) -> String {
    Excerpt::text(&text[..text.floor_char_boundary(LONGEST_NAME)]).as_str().replace('\n', "\u{fffd}")
}

fn names(parsed: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(found)) = parsed.subject_alternative_name() else { return Vec::new() };
    let of_servers = found.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(cut(name)),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    });
    of_servers.take(MOST_NAMES).collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

fn issuer_url(parsed: &X509Certificate<'_>) -> Option<String> {
    parsed.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityInfoAccess(access) => access.iter().find_map(|one| match &one.access_location {
            GeneralName::URI(url) if one.access_method.to_id_string() == CA_ISSUERS => Some(cut(url)),
            _ => None,
        }),
        _ => None,
    })
}

fn key(info: &SubjectPublicKeyInfo<'_>) -> String {
    let named = |oid: &Oid<'_>| {
        let id = oid.to_id_string();
        KEYS.iter().find(|(known, _)| *known == id).map_or(id, |(_, name)| (*name).to_owned())
    };
    match info.parsed() {
        Ok(PublicKey::RSA(rsa)) => format!("RSA {}", bits(rsa.modulus)),
        Ok(PublicKey::DSA(y)) => format!("DSA {}", bits(y)),
        Ok(PublicKey::EC(_)) => match info.algorithm.parameters.as_ref().and_then(|p| p.as_oid().ok()) {
            Some(curve) => match named(&curve) {
                known if known.starts_with("ECDSA") => known,
                other => format!("ECDSA on {other}"),
            },
            None => "ECDSA on a curve of its own".to_owned(),
        },
        _ => named(&info.algorithm.algorithm),
    }
}

/// Bits of an unsigned number.
fn bits(number: &[u8]) -> u64 {
    let number = &number[number.iter().position(|byte| *byte != 0).unwrap_or(number.len())..];
    let whole = u64::try_from(number.len()).unwrap_or(0) * 8;
    whole - u64::from(number.first().map_or(0, |first| first.leading_zeros()))
}

/// Year 9999 means "never" in certificates, and other libraries' timestamps do not reach it: so by hand.
fn rfc3339(time: ASN1Time) -> String {
    let at = time.to_datetime();
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", at.hour(), at.minute(), at.second())
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for digit in bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        text.extend(char::from_digit(u32::from(digit), 16));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, CustomExtension, DnType, KeyPair, PKCS_ED25519, SanType};

    #[test]
    fn all_that_people_ask_about_is_read() {
        let mut params = CertificateParams::new(vec!["chat.example".to_owned(), "*.example".to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::IpAddress("::1".parse().unwrap()));
        params.distinguished_name.push(DnType::CommonName, "chat\u{7}.example");
        params.not_before = rcgen::date_time_ymd(2026, 11, 1);
        params.not_after = rcgen::date_time_ymd(9999, 12, 31);
        params.serial_number = Some(vec![0x0a, 0xff].into());
        // SEQUENCE { SEQUENCE { caIssuers, [6] "http://ca.example/i" } }
        let mut access = b"\x30\x21\x30\x1f\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x02\x86\x13".to_vec();
        access.extend(b"http://ca.example/i");
        params.custom_extensions.push(CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], access));
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone();
        let read = read(&der);
        assert_eq!(read.unreadable, None);
        assert_eq!(read.subject, "CN=chat\u{fffd}.example");
        assert_eq!(read.issuer, read.subject);
        assert_eq!(read.names, ["chat.example", "*.example", "::1"]);
        assert_eq!(
            (read.not_before.as_str(), read.not_after.as_str()),
            ("2026-11-01T00:00:00Z", "9999-12-31T00:00:00Z")
        );
        assert_eq!((read.key.as_str(), read.signature.as_str()), ("ECDSA P-256", "ecdsa-with-SHA256"));
        assert_eq!((read.serial.as_str(), read.sha256.len(), read.is_authority), ("0aff", 64, false));
        assert_eq!(read.issuer_url.as_deref(), Some("http://ca.example/i"));
        assert!(names_itself(&der) && issuer_is_among(&der, std::slice::from_ref(&der)));
    }

    #[test]
    fn keys_have_their_names() {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let der = CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap().der().clone();
        assert_eq!(read(&der).key, "Ed25519");
        assert_eq!((bits(&[0, 0, 0x80, 0]), bits(&[0x01, 0]), bits(&[0])), (16, 9, 0));
    }

    #[test]
    fn what_is_no_certificate_is_told() {
        let told = read(b"\x30\x03hello");
        assert!(told.unreadable.unwrap().contains("no certificate") && told.subject.is_empty());
        let many: Vec<CertificateDer<'_>> = (0..40_u8).map(|n| CertificateDer::from(vec![n])).collect();
        assert_eq!(read_all(&many).len(), MOST_CERTIFICATES);
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0..600_usize, to: u8) {
            drop(read(&bytes));
            let mut der = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
            der.serial_number = Some(vec![1].into());
            let mut der = der.self_signed(&key_of_the_tests()).unwrap().der().to_vec();
            let at = at % der.len();
            der[at] = to;
            drop((read(&der), names_itself(&der)));
        }
    }

    fn key_of_the_tests() -> KeyPair {
        KeyPair::generate().unwrap()
    }
}

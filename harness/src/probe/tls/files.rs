//! Certificates and keys of the user's files, as PEM (RFC 7468). Errors name the file and what to do; a key is never in them.

#![expect(clippy::wildcard_enum_match_arm, reason = "the libraries' lists of errors may grow")]

use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::io::Read as _;
use std::path::Path;

/// Longest file that is read. The system's whole store has 220 KiB.
const LONGEST: u64 = 4 * 1_024 * 1_024;

/// The authorities of `--ca FILE`, and the name of the file.
///
/// # Errors
/// What is wrong with the file, and what it must hold.
pub fn authorities(path: &Path) -> Result<(String, Vec<CertificateDer<'static>>), String> {
    let text = read(path)?;
    let found = certificates(path, &text)?;
    let mut store = rustls::RootCertStore::empty();
    for (number, certificate) in found.iter().enumerate() {
        store.add(certificate.clone()).map_err(|error| {
            format!("certificate {} of {} cannot be an authority: {error}", number + 1, path.display())
        })?;
    }
    let name = path.file_name().unwrap_or(path.as_os_str());
    Ok((name.to_string_lossy().into_owned(), found))
}

/// The certificate chain and the key of `--client-cert FILE`: one file has both.
///
/// # Errors
/// What is wrong with the file, and what it must hold.
pub fn certificate(path: &Path) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let text = read(path)?;
    let chain = certificates(path, &text)?;
    let file = path.display();
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        PemError::NoItemsFound => {
            format!(
                "{file} has no private key: append it to the certificates (-----BEGIN PRIVATE KEY-----, not encrypted)"
            )
        }
        _ => format!("the private key in {file} is no valid PEM: {}", without_content(&error)),
    })?;
    let provider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            format!(
                "the private key in {file} is not that of its first certificate: put the client's certificate first"
            )
        }
        _ => format!("the private key in {file} cannot be used (RSA, ECDSA and Ed25519 can): {error}"),
    })?;
    Ok((chain, key))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    file.take(LONGEST + 1)
        .read_to_end(&mut text)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    match u64::try_from(text.len()) {
        Ok(length) if length <= LONGEST => Ok(text),
        _ => Err(format!("{} has more than {LONGEST} bytes: give a file of certificates only", path.display())),
    }
}

fn certificates(path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let found = found.map_err(|error| format!("{} is no valid PEM: {}", path.display(), without_content(&error)))?;
    if found.is_empty() {
        return Err(format!(
            "{} has no certificate: it must be PEM (-----BEGIN CERTIFICATE-----; openssl x509 -inform DER makes it of DER)",
            path.display()
        ));
    }
    Ok(found)
}

/// What is wrong, without the text of the file: it may be a key.
fn without_content(error: &PemError) -> &'static str {
    match error {
        PemError::MissingSectionEnd { .. } => "a section has no -----END line",
        PemError::IllegalSectionStart { .. } => "a -----BEGIN line is malformed",
        PemError::Base64Decode(_) => "a section is no base64",
        PemError::SectionTooLarge => "a section is too long",
        _ => "it cannot be read",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};

    fn made() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    #[test]
    fn authorities_and_a_certificate_with_its_key_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let ((first, key), (second, _)) = (made(), made());
        let path = folder.path().join("both.pem");
        std::fs::write(&path, format!("{first}{key}{second}")).unwrap();
        let (name, found) = authorities(&path).unwrap();
        assert_eq!((name.as_str(), found.len()), ("both.pem", 2));
        assert_eq!(certificate(&path).unwrap().0.len(), 2);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_without_its_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pem");
        let ((first, key), (_, other)) = (made(), made());
        let broken = key.replace("-----END", "----");
        for (text, part) in [
            (String::new(), "has no certificate"),
            (first.clone(), "has no private key"),
            (format!("{first}{other}"), "not that of its first certificate"),
            (format!("{first}{broken}"), "no -----END line"),
        ] {
            std::fs::write(&path, &text).unwrap();
            let told = certificate(&path).unwrap_err();
            assert!(told.contains(part) && told.contains("x.pem"), "{told}");
            assert!(!told.contains(key.lines().nth(1).unwrap()), "{told}");
        }
        assert!(authorities(&folder.path().join("none.pem")).unwrap_err().contains("none.pem"));
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(authorities(&path).unwrap_err().contains("certificate 1 of"));
    }
}

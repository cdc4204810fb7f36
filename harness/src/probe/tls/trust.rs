//! Whether a chain is good: issuer, times, purpose, name.

use super::certificate::{issuer_is_among, names_itself};
use super::peer::provider;
use crate::evidence::probed::{Trust, TrustProblem};
use crate::probe::options::TlsOptions;
use jiff::Timestamp;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};
use std::sync::OnceLock;
use std::time::Duration;

/// Who is trusted.
pub(super) struct Authorities {
    store: RootCertStore,
    certificates: Vec<CertificateDer<'static>>,
    /// Where they come from, and how many there are.
    words: String,
}

impl Authorities {
    fn new(certificates: Vec<CertificateDer<'static>>, whose: &str) -> Self {
        let mut store = RootCertStore::empty();
        let (count, _) = store.add_parsable_certificates(certificates.iter().cloned());
        Self { store, certificates, words: format!("{count} of {whose}") }
    }

    /// Those of `--ca`.
    pub(super) fn given(options: &TlsOptions) -> Option<Self> {
        options.authorities.as_ref().map(|(file, certificates)| Self::new(certificates.clone(), file))
    }

    /// Those of the system: read once, and only by who needs them. Reads files: not for an async thread.
    pub(super) fn of_the_system() -> &'static Self {
        static SYSTEM: OnceLock<Authorities> = OnceLock::new();
        SYSTEM.get_or_init(|| {
            let found = rustls_native_certs::load_native_certs();
            let mut read = Self::new(found.certs, "the system");
            if let (true, Some(error)) = (read.store.is_empty(), found.errors.first()) {
                read.words = format!("{}: {error}", read.words);
            }
            read
        })
    }
}

/// Judges a chain, the server's own certificate first, for a name and a time. `None`: there is no chain.
pub(super) fn judge(
    chain: &[CertificateDer<'_>],
    name: &ServerName<'_>,
    authorities: &Authorities,
    now: Timestamp,
) -> Option<Trust> {
    let (own, rest) = chain.split_first()?;
    let verdict = match ParsedCertificate::try_from(own) {
        Err(error) => Err(of_an_error(&error, own, rest)),
        Ok(parsed) => {
            let path = signed_by_one(&parsed, own, rest, authorities, now);
            let named = verify_server_name(&parsed, name);
            match (path, named) {
                (Ok(()), Ok(())) => Ok(()),
                (Ok(()), Err(error)) => Err((TrustProblem::Name, told(&error))),
                (Err(first), Ok(())) => Err(first),
                (Err((problem, words)), Err(error)) => Err((problem, format!("{words}; and {}", told(&error)))),
            }
        }
    };
    let (problem, words) = match verdict {
        Ok(()) => (None, "good".to_owned()),
        Err((problem, words)) => (Some(problem), words),
    };
    Some(Trust {
        good: problem.is_none(),
        problem,
        words,
        authorities: authorities.words.clone(),
        judged_at: format!("{now:.0}"),
        clock_ahead_s: None,
    })
}

type Wrong = (TrustProblem, String);

fn signed_by_one(
    parsed: &ParsedCertificate<'_>,
    own: &CertificateDer<'_>,
    rest: &[CertificateDer<'_>],
    authorities: &Authorities,
    now: Timestamp,
) -> Result<(), Wrong> {
    let since_1970 = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0));
    let at = UnixTime::since_unix_epoch(since_1970);
    let algorithms = provider().signature_verification_algorithms.all;
    let checked = verify_server_cert_signed_by_trust_anchor(parsed, &authorities.store, rest, at, algorithms);
    match checked {
        Ok(()) => Ok(()),
        // an authority that serves its own certificate: times were checked before that, and it is trusted by itself
        Err(error) if is_authority_in_use(&error) && authorities.certificates.iter().any(|one| one == own) => Ok(()),
        Err(error) => Err(of_an_error(&error, own, rest)),
    }
}

fn is_authority_in_use(error: &Error) -> bool {
    matches!(error, Error::InvalidCertificate(CertificateError::Other(other))
        if other.to_string().contains("CaUsedAsEndEntity"))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the library's list may grow; what is not named is bad")]
fn of_an_error(error: &Error, own: &CertificateDer<'_>, rest: &[CertificateDer<'_>]) -> Wrong {
    let Error::InvalidCertificate(wrong) = error else { return (TrustProblem::Bad, told(error)) };
    let problem = match wrong {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TrustProblem::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => TrustProblem::NotYetValid,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => TrustProblem::Name,
        CertificateError::UnknownIssuer if names_itself(own) => TrustProblem::SelfSigned,
        CertificateError::Other(_) if is_authority_in_use(error) && names_itself(own) => TrustProblem::SelfSigned,
        CertificateError::UnknownIssuer if issuer_is_among(own, rest) => TrustProblem::UnknownIssuer,
        CertificateError::UnknownIssuer => TrustProblem::IntermediateMissing,
        // the issuer's name is trusted, its key is not: an authority that was made again
        CertificateError::BadSignature => {
            let words = "its signature does not fit the key of the issuer of that name".to_owned();
            return (TrustProblem::UnknownIssuer, words);
        }
        _ => TrustProblem::Bad,
    };
    (problem, told(error))
}

fn told(error: &Error) -> String {
    let text = error.to_string();
    text.strip_prefix("invalid peer certificate: ").unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Leaf, Signer, day};
    use super::*;

    fn problem(chain: &[CertificateDer<'_>], host: &str, trusted: &[&Signer]) -> Trust {
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let authorities = Authorities::new(trusted.iter().map(|t| t.der.clone()).collect(), "ca.pem");
        judge(chain, &name, &authorities, Timestamp::now()).unwrap()
    }

    #[test]
    fn each_problem_is_told_apart() {
        let (known, stranger) = (Signer::root("known"), Signer::root("stranger"));
        let between = known.intermediate("between");
        let leaf = |days: [i64; 2]| Leaf { days, ..Leaf::new(&["a.example"]) };
        let month = [-1, 30];
        let good = known.sign(&leaf(month)).0;
        let of_between = between.sign(&leaf(month)).0;
        for (chain, host, wanted) in [
            (vec![good.clone()], "a.example", None),
            (vec![of_between.clone(), between.der.clone()], "a.example", None),
            (vec![good], "b.example", Some(TrustProblem::Name)),
            (vec![known.sign(&leaf([-9, -2])).0], "a.example", Some(TrustProblem::Expired)),
            (vec![known.sign(&leaf([2, 9])).0], "a.example", Some(TrustProblem::NotYetValid)),
            (vec![of_between], "a.example", Some(TrustProblem::IntermediateMissing)),
            (vec![leaf(month).self_signed().0], "a.example", Some(TrustProblem::SelfSigned)),
            (vec![stranger.der.clone()], "a.example", Some(TrustProblem::SelfSigned)),
            (vec![stranger.sign(&leaf(month)).0, stranger.der.clone()], "a.example", Some(TrustProblem::UnknownIssuer)),
            (vec![Signer::root("known").sign(&leaf(month)).0], "a.example", Some(TrustProblem::UnknownIssuer)),
            (vec![CertificateDer::from(vec![1, 2, 3])], "a.example", Some(TrustProblem::Bad)),
        ] {
            let trust = problem(&chain, host, &[&known]);
            assert_eq!((trust.problem, trust.good), (wanted, wanted.is_none()), "{trust:?}");
            assert_eq!(trust.authorities, "1 of ca.pem");
        }
        let both = problem(&[known.sign(&leaf([-9, -2])).0], "b.example", &[&known]);
        assert!(both.problem == Some(TrustProblem::Expired) && both.words.contains("b.example"), "{both:?}");
    }

    #[test]
    fn an_authority_that_serves_itself_is_good_if_it_is_trusted() {
        let root = Signer::root_for("known", &["a.example"]);
        let trust = problem(std::slice::from_ref(&root.der), "a.example", &[&root]);
        assert!(trust.good, "{trust:?}");
        let trust = problem(std::slice::from_ref(&root.der), "b.example", &[&root]);
        assert_eq!(trust.problem, Some(TrustProblem::Name), "{trust:?}");
        let stranger = problem(std::slice::from_ref(&root.der), "a.example", &[]);
        assert_eq!((stranger.problem, stranger.authorities.as_str()), (Some(TrustProblem::SelfSigned), "0 of ca.pem"));
    }

    #[test]
    fn the_clock_is_the_callers() {
        let known = Signer::root("known");
        let name = ServerName::try_from("a.example".to_owned()).unwrap();
        let authorities = Authorities::new(vec![known.der.clone()], "ca.pem");
        let chain = [known.sign(&Leaf::new(&["a.example"])).0];
        let later = judge(&chain, &name, &authorities, day(400)).unwrap();
        assert_eq!(later.problem, Some(TrustProblem::Expired));
        assert_eq!(later.judged_at.len(), "2026-11-22T21:30:00Z".len(), "{}", later.judged_at);
        assert_eq!(judge(&[], &name, &authorities, day(0)), None);
    }

    #[test]
    fn the_store_of_the_system_is_read_and_counted() {
        assert!(Authorities::of_the_system().words.contains(" of the system"));
    }
}

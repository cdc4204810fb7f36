//! Handshakes with servers of all kinds, on loopback.

use super::testing::{Leaf, Server, Signer, options, with};
use super::{files, handshake, second_looks};
use crate::evidence::probed::{How, Saw, Tls, TrustProblem};
use crate::probe::open::Connection;
use crate::probe::options::{Options, TlsOptions};
use crate::probe::watch::Watch;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const TLS_1_2: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];

async fn look(address: SocketAddr, options: &Options, alpn: &[&str]) -> (Tls, Option<Connection>) {
    let stream = TcpStream::connect(address).await.unwrap();
    let watch = Watch::start(options.deadline);
    let (step, stream) = handshake(Box::new(stream), address, options, alpn, watch).await;
    assert_eq!(step.address, Some(address));
    let Saw::Tls(tls) = step.saw else { panic!("{step:?}") };
    assert_eq!(tls.failure.is_none(), stream.is_some(), "{tls:?}");
    (tls, stream)
}

async fn further(address: SocketAddr, options: &Options, first: &Tls) -> Vec<Tls> {
    let steps = second_looks(address, options, first, Watch::start(options.deadline)).await;
    let tls = steps.into_iter().map(|step| {
        let Saw::Tls(tls) = step.saw else { panic!("{step:?}") };
        assert!(tls.second_look);
        tls
    });
    tls.collect()
}

/// A server that answers each `ClientHello` with these bytes, and closes or hangs.
async fn scripted(answer: Vec<u8>, hangs: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                drop(stream.read(&mut [0; 2_048]).await);
                drop(stream.write_all(&answer).await);
                if hangs {
                    drop(stream.read_to_end(&mut Vec::new()).await);
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_good_server_is_read_from_top_to_bottom() {
    let signer = Signer::root("known");
    let server = Server { alpn: vec![b"http/1.1".to_vec()], ..Server::new(signer.sign(&Leaf::new(&["localhost"]))) };
    let address = server.start(b"hello").await;
    let options = options(&format!("wss://localhost:{}/", address.port()), &[&signer]);
    let (tls, stream) = look(address, &options, &["http/1.1"]).await;
    assert_eq!(tls.failure, None);
    assert_eq!((tls.version.as_deref(), tls.protocol.as_deref()), (Some("TLS 1.3"), Some("http/1.1")));
    assert_eq!((tls.server_name.as_deref(), tls.key_exchange.as_deref()), (Some("localhost"), Some("X25519")));
    assert!(tls.cipher.as_ref().unwrap().starts_with("TLS13_"), "{tls:?}");
    assert!(tls.trust.as_ref().unwrap().good && !tls.asks_certificate && tls.chain_bytes > 100, "{tls:?}");
    assert_eq!((tls.chain.len(), tls.chain[0].subject.as_str()), (1, "CN=localhost"));
    let mut heard = [0; 5];
    stream.unwrap().read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hello");
    let more = further(address, &options, &tls).await;
    assert_eq!(more.len(), 1);
    assert_eq!((&more[0].server_name, &more[0].chain), (&None, &tls.chain));
}

#[tokio::test]
async fn a_bad_certificate_does_not_end_the_handshake() {
    let signer = Signer::root("known");
    for (pair, host, problem) in [
        (signer.sign(&Leaf { days: [-9, -2], ..Leaf::new(&["localhost"]) }), "localhost", TrustProblem::Expired),
        (signer.sign(&Leaf { days: [2, 9], ..Leaf::new(&["localhost"]) }), "localhost", TrustProblem::NotYetValid),
        (signer.sign(&Leaf::new(&["other.example"])), "localhost", TrustProblem::Name),
        (signer.sign(&Leaf::new(&["localhost"])), "127.0.0.1", TrustProblem::Name),
        (Leaf::new(&["localhost"]).self_signed(), "localhost", TrustProblem::SelfSigned),
        (
            Signer::root("x").intermediate("y").sign(&Leaf::new(&["localhost"])),
            "localhost",
            TrustProblem::IntermediateMissing,
        ),
    ] {
        let address = Server::new(pair).start(b"").await;
        let options = options(&format!("tls://{host}:{}", address.port()), &[&signer]);
        let (tls, _) = look(address, &options, &[]).await;
        assert_eq!((tls.failure, tls.trust.unwrap().problem), (None, Some(problem)));
    }
}

#[tokio::test]
async fn an_address_is_looked_at_by_the_name_of_its_certificate() {
    let signer = Signer::root("known");
    let address = Server::new(signer.sign(&Leaf::new(&["chat.example"]))).start(b"").await;
    let options = options(&format!("tls://{address}"), &[&signer]);
    let (tls, _) = look(address, &options, &[]).await;
    assert_eq!(tls.server_name, None);
    let more = further(address, &options, &tls).await;
    assert_eq!(more[0].server_name.as_deref(), Some("chat.example"));
    assert!(more[0].trust.as_ref().unwrap().good, "{more:?}");
}

#[tokio::test]
async fn only_tls_1_2_is_spoken_with() {
    let signer = Signer::root("known");
    let server = Server::new(signer.sign(&Leaf::new(&["localhost"])));
    let address = Server { versions: TLS_1_2, ..server }.start(b"").await;
    let (tls, _) = look(address, &options(&format!("tls://localhost:{}", address.port()), &[&signer]), &[]).await;
    assert_eq!((tls.version.as_deref(), tls.failure), (Some("TLS 1.2"), None));
}

#[tokio::test]
async fn a_server_that_wants_another_protocol_says_so() {
    let signer = Signer::root("known");
    let server = Server { alpn: vec![b"h2".to_vec()], ..Server::new(signer.sign(&Leaf::new(&["localhost"]))) };
    let address = server.start(b"").await;
    let options = options(&format!("wss://localhost:{}/", address.port()), &[&signer]);
    let (tls, _) = look(address, &options, &["http/1.1"]).await;
    assert_eq!(tls.alert.map(|alert| alert.number), Some(120));
    assert_eq!(tls.failure.unwrap().how, How::Said);
}

#[tokio::test]
async fn a_certificate_of_ours_is_asked_for_missed_and_sent() {
    let signer = Signer::root("known");
    for version in rustls::ALL_VERSIONS {
        let versions: &'static [&'static rustls::SupportedProtocolVersion] = Box::leak(Box::new([*version]));
        let server = Server::new(signer.sign(&Leaf::new(&["localhost"])));
        let server = Server { versions, wants: Some(signer.der.clone()), ..server };
        let address = server.start(b"welcome").await;
        let target = format!("tls://localhost:{}", address.port());
        let without = options(&target, &[&signer]);
        let (tls, _) = look(address, &without, &[]).await;
        assert!(tls.asks_certificate && !tls.sent_certificate && tls.failure.is_some(), "{tls:?}");
        assert_eq!(tls.asks_for_those_of, ["CN=known"]);
        assert_eq!(tls.alert.as_ref().map(|alert| alert.number), Some(116), "{tls:?}");
        let (certificate, key) = signer.sign(&Leaf::new(&["me"]));
        let given = TlsOptions {
            authorities: without.tls.authorities.clone(),
            certificate: Some((vec![certificate], key)),
            ..TlsOptions::default()
        };
        let (tls, stream) = look(address, &with(without.url.clone(), given), &[]).await;
        assert!(tls.asks_certificate && tls.sent_certificate && tls.failure.is_none(), "{tls:?}");
        let mut heard = [0; 7];
        stream.unwrap().read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"welcome");
    }
}

#[tokio::test]
async fn what_is_no_tls_is_told_by_its_first_bytes() {
    for answer in ["HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "no"] {
        let address = scripted(answer.as_bytes().to_vec(), false).await;
        let (tls, _) = look(address, &options(&format!("wss://{address}/"), &[]), &[]).await;
        let failure = tls.failure.unwrap();
        assert_eq!((failure.how, failure.received), (How::Malformed, answer.len() as u64), "{failure:?}");
        assert!(failure.begins.as_str().starts_with(answer.lines().next().unwrap()), "{failure:?}");
    }
}

#[tokio::test]
async fn silence_and_dripping_end_at_the_deadline() {
    for (bytes, how, ms) in [(&b""[..], How::TimedOut, 300), (b"\x16\x03\x03\x40", How::TooSlow, 2_000)] {
        let address = scripted(bytes.to_vec(), true).await;
        let mut options = options(&format!("wss://{address}/"), &[]);
        options.deadline = Duration::from_millis(ms);
        let (tls, _) = look(address, &options, &[]).await;
        assert_eq!(tls.failure.as_ref().unwrap().how, how, "{tls:?}");
        assert!(further(address, &options, &tls).await.is_empty());
    }
}

#[tokio::test]
async fn a_chain_of_a_megabyte_is_too_much() {
    // ServerHello of TLS 1.2, then a Certificate message of a megabyte in records of 16 KiB
    let mut answer = vec![0x16, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3];
    answer.extend([7; 32]);
    answer.extend([0, 0xc0, 0x2f, 0]);
    let mut certificate = vec![11, 0x10, 0, 0];
    certificate.resize(1_048_576 + 4, 0);
    for part in certificate.chunks(16_384) {
        answer.extend([0x16, 3, 3]);
        answer.extend(u16::try_from(part.len()).unwrap().to_be_bytes());
        answer.extend(part);
    }
    let address = scripted(answer, true).await;
    let (tls, _) = look(address, &options(&format!("wss://{address}/"), &[]), &[]).await;
    let failure = tls.failure.unwrap();
    assert_eq!(failure.how, How::TooMuch, "{failure:?}");
}

#[tokio::test]
async fn an_old_server_is_asked_in_its_own_words() {
    let der = Leaf::new(&["old.example"]).self_signed().0;
    let address = scripted(super::old::tests::answer_of_1999(&der), true).await;
    let options = options(&format!("wss://localhost:{}/", address.port()), &[]);
    let (tls, _) = look(address, &options, &[]).await;
    assert!(tls.disagreed && tls.failure.is_some(), "{tls:?}");
    let more = further(address, &options, &tls).await;
    let old = more[0].old.as_ref().unwrap();
    assert_eq!(old.version.as_deref(), Some("TLS 1.0"), "{old:?}");
    assert_eq!(old.chain[0].names, ["old.example"]);
}

#[tokio::test]
async fn a_server_that_refuses_both_hellos_is_told() {
    let address = scripted(b"\x15\x03\x03\x00\x02\x02\x28".to_vec(), false).await;
    let options = options(&format!("wss://{address}/"), &[]);
    let (tls, _) = look(address, &options, &[]).await;
    assert_eq!(tls.alert.as_ref().map(|alert| alert.name.as_str()), Some("handshake_failure"));
    let more = further(address, &options, &tls).await;
    assert_eq!(more[0].old.as_ref().unwrap().alert.as_ref().map(|alert| alert.number), Some(40));
}

#[tokio::test]
async fn the_clock_of_a_peer_is_asked_for_when_a_certificate_has_expired() {
    let signer = Signer::root("known");
    let pair = signer.sign(&Leaf { days: [-9, -2], ..Leaf::new(&["localhost"]) });
    let answer = b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
    let address = Server::new(pair).start(answer).await;
    let options = options(&format!("wss://localhost:{}/", address.port()), &[&signer]);
    let (tls, _) = look(address, &options, &[]).await;
    let more = further(address, &options, &tls).await;
    let ahead: Vec<_> = more.iter().filter_map(|tls| tls.trust.as_ref()?.clock_ahead_s).collect();
    assert!(ahead.len() == 1 && ahead[0] < -900_000_000, "{more:?}");
}

#[test]
fn the_readers_of_files_give_what_the_options_take() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, "no certificate").unwrap();
    assert!(files::authorities(&path).is_err());
}

//! How a client ends, and what it leaves behind.

use super::support::ear::Ear;
use super::support::peer::Voice;
use super::support::{Deadline, Fake, Peer, Program, Server, chat, client, fixture};
use nix::sys::signal::Signal;
use serde_json::Value;
use sidetone::device::microphone::read_wav;
use sidetone::event::{Event, Transport};
use sidetone::protocol::{Kind, Message, VideoChunk};
use sidetone::video::{jpeg, pattern::test_pattern};
use socket2::{Domain, Socket, Type};
use std::net::SocketAddr;

/// Ends with that code, and says why in one line with those words.
fn ends(mut program: Program, code: i32, words: &str) -> Program {
    assert_eq!(program.code(), code, "{}", program.story());
    let said = program.text.iter().any(|line| line.starts_with("sidetone: ") && line.contains(words));
    assert!(said, "{words:?} is not in {:?}\n{}", program.text, program.story());
    let ended = program.named("client.ended");
    assert!(matches!(ended, Event::ClientEnded { exit_code, .. } if i32::from(exit_code) == code), "{ended:?}");
    program
}

/// A port that is taken and on which nobody listens.
fn deaf() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

fn tcp(server: &Server) -> String {
    format!("tcp://{}", server.tcp())
}

/// A patience that has to end: long enough for a first attempt on a busy machine. Clients that wait for it do so at the same time.
const SHORT: [&str; 2] = ["--timeout", "5s"];

#[test]
fn nothing_listens_4() {
    let (_socket, address) = deaf();
    let all = [("tcp", "--snapshot"), ("tcp", "--once"), ("ws", "--snapshot"), ("ws", "--once")];
    let all = all.map(|(scheme, mode)| client(&format!("{scheme}://{address}"), &[&[mode], &SHORT[..]].concat()));
    for program in all {
        let mut program = ends(program, 4, "refused the connection");
        let failed = program.named("client.connect_failed");
        let Event::ClientConnectFailed { address: asked, errno, .. } = failed else { unreachable!() };
        assert_eq!((asked, errno.unwrap().name.as_str()), (Some(address), "ECONNREFUSED"));
    }
}

#[test]
fn whoever_comes_to_listen_is_joined() {
    let (socket, address) = deaf();
    for scheme in ["tcp", "ws"] {
        let mut program = client(&format!("{scheme}://{address}"), &["--once"]);
        program.repeated("client.connect_failed", 3);
        program.signal(Signal::SIGTERM);
        assert_eq!(program.code(), 0, "{}", program.story());
    }
    let mut program = client(&format!("tcp://{address}"), &["--once"]);
    program.named("client.connect_failed");
    socket.listen(1).unwrap();
    let mut session = Fake::from(socket).accept();
    session.welcome("lobby", "ada");
    program.named("client.joined");
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for_4() {
    // in time or not, it is the server that is named
    let fake = Fake::listen();
    for scheme in ["tcp", "ws"] {
        for mode in ["--snapshot", "--once"] {
            let program = client(&format!("{scheme}://{}", fake.address()), &[mode, "--timeout", "600ms"]);
            ends(program, 4, &fake.address().to_string());
        }
    }
}

#[test]
fn something_else_answers_4() {
    let server = Server::start();
    let cases = [
        (format!("tcp://{}", server.websocket()), "does not speak Sidetone"),
        (format!("ws://{}/healthz", server.websocket()), "200 OK"),
        (format!("ws://{}/nowhere", server.websocket()), "404 Not Found"),
        (format!("ws://{}", server.tcp()), "no WebSocket server answers"),
    ];
    let all = cases.map(|(target, words)| (client(&target, &[&["--once"], &SHORT[..]].concat()), words));
    for (program, words) in all {
        ends(program, 4, words);
    }
}

#[test]
fn the_server_says_no_5() {
    let server = Server::with(&["--max-clients", "1"]);
    let (_ada, _) = Peer::join(&server, Transport::Tcp, "ada", "lobby");
    ends(client(&tcp(&server), &["--snapshot", "--name", "ada"]), 5, "every place is taken");
    drop(server);
    let server = Server::start();
    let (_ada, _) = Peer::join(&server, Transport::Tcp, "ada", "lobby");
    for target in [tcp(&server), format!("http://{}/", server.websocket())] {
        let mut program = ends(client(&target, &["--name", "ada"]), 5, "choose another name with --name");
        let refused = program.named("client.refused");
        assert!(matches!(&refused, Event::ClientRefused { code, .. } if code == "name_taken"), "{refused:?}");
    }
}

#[test]
fn nothing_came_6() {
    let server = Server::start();
    let (_ada, _) = Peer::join(&server, Transport::Tcp, "ada", "lobby");
    let alone = client(&tcp(&server), &[&["-S", "--room", "another"], &SHORT[..]].concat());
    let with_ada = client(&tcp(&server), &[&["-S"], &SHORT[..]].concat());
    ends(alone, 6, "nobody else came");
    ends(with_ada, 6, "no picture came");
}

#[test]
fn the_connection_is_lost_7() {
    let server = Server::start();
    let mut program = client(&tcp(&server), &[&["--once"], &SHORT[..]].concat());
    program.named("client.joined");
    drop(server); // killed
    ends(program, 7, "refused the connection");
}

#[test]
fn no_such_device_8() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 44_100,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(path("44100.wav"), spec).unwrap();
    wav.write_sample(1_i16).unwrap();
    wav.finalize().unwrap();
    std::fs::write(path("text.wav"), "no sound").unwrap();
    std::fs::write(path("text.png"), "no picture").unwrap();
    let (_socket, address) = deaf();
    let cases = [
        ("--mic", format!("wav:{}", path("missing.wav")), "No such file"),
        ("--mic", format!("wav:{}", path("44100.wav")), "44100 Hz, 1 channels; 48000 Hz"),
        ("--mic", format!("wav:{}", path("text.wav")), "not a WAV file"),
        ("--speaker", format!("wav:{}", path("missing/out.wav")), "No such file"),
        ("--video", format!("image:{}", path("missing.png")), "No such file"),
        ("--video", format!("image:{}", path("text.png")), "text.png"),
    ];
    for (flag, value, words) in cases {
        let mut program = ends(client(&format!("tcp://{address}"), &[flag, &value]), 8, words);
        program.named("device.failed");
        assert!(!program.records.iter().any(|r| r.event.name() == "client.connecting"), "{flag}: before it connects");
    }
}

#[test]
fn wrong_usage_2() {
    let cases: [(&[&str], &str); 10] = [
        (&["ftp://localhost"], "ftp://"),
        (&["wss://localhost"], "TLS"),
        (&["localhost"], "no port"),
        (&[":0"], "1 to 65535"),
        (&[":7460", "--name", "a\u{1b}b"], "--name: a name has no control characters"),
        (&[":7460", "--room", " lobby"], "--room: a name does not begin"),
        (&[":7460", "--mic", "tone:5"], "20 to 20000 Hz"),
        (&[":7460", "--timeout", "soon"], "500ms"),
        (&[":7460", "--fps", "31"], "31 is not in 1..=30"),
        (&[":7460", "--stats", "xml"], "json"),
    ];
    for (arguments, words) in cases {
        let output = super::support::sidetone(&["client"]).args(arguments).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(words) && !text.contains('\u{1b}'), "{arguments:?}: {text:?}");
    }
}

#[test]
fn a_snapshot_shows_the_others_and_saves_their_pictures() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let (mut ada, _) = Peer::join(&server, Transport::WebSocket, "ada", "lobby");
    let encoded = jpeg::encode(&test_pattern("ada", 0)).unwrap();
    let saved = folder.path().join("pictures");
    let mut program = client(
        &tcp(&server),
        &["-S", "--color", "never", "--save-pictures", saved.to_str().unwrap(), "--stats", "json"],
    );
    ada.until_message("joined", |m| matches!(m, Message::Joined(_)).then_some(()));
    ada.picture(1, &encoded);
    assert_eq!(program.code(), 0, "{}", program.story());
    let (stats, lines) = program.out.split_last().unwrap();
    assert_eq!(lines.last().unwrap(), "pictures of ada; no sound came");
    assert!(lines.len() >= 22 && lines.iter().all(|l| !l.contains('\u{1b}')), "{lines:?}");
    assert!(lines.iter().any(|l| l.trim() == "ada"), "the name under the picture: {lines:?}");
    assert_eq!(std::fs::read(saved.join("ada.jpg")).unwrap(), encoded, "the picture as it came");
    let stats: Value = serde_json::from_str(stats).unwrap();
    let video = stats["stats"].as_array().unwrap().iter().find(|s| s["trackIdentifier"] == "ada").unwrap();
    assert_eq!((&video["framesDecoded"], &video["bytesReceived"]), (&1.into(), &encoded.len().into()));
    let snapshot = program.named("client.snapshot");
    assert!(matches!(snapshot, Event::ClientSnapshot { sound_received: false, .. }), "{snapshot:?}");
}

#[test]
fn a_hostile_server_cannot_write_to_the_terminal() {
    let fake = Fake::listen();
    let mut program = client(&format!("tcp://{}", fake.address()), &["-S", "--color", "always"]);
    let mut session = fake.accept();
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2Jx\u{9b}31m";
    session.welcome(evil, evil);
    session.picture(1, &jpeg::encode(&test_pattern("ada", 0)).unwrap());
    assert_eq!(program.code(), 0, "{}", program.story());
    for line in &program.out {
        assert!(!line.contains("\u{1b}]") && !line.contains("\u{1b}[2J"), "{line:?}");
        assert!(!line.contains(['\u{7}', '\u{9b}']), "{line:?}");
    }
}

#[test]
fn pictures_are_sent_at_the_pace_asked_for() {
    let fake = Fake::listen();
    let target = format!("tcp://{}", fake.address());
    let mut program = client(&target, &["--once", "--video", "test-pattern", "--fps", "30"]);
    let mut session = fake.accept();
    session.welcome("lobby", "ada");
    // number and time of each picture, by its first chunk; the media clock has 48,000 ticks a second
    let mut taken = std::iter::from_fn(|| session.next())
        .filter(|frame| frame.kind == Kind::Video && frame.sequence == 0)
        .map(|frame| (VideoChunk::decode(&frame.payload).unwrap().picture, frame.timestamp));
    let mut seen = vec![taken.next().unwrap()];
    // 0.67 s at 30 a second and 2 s at the default of ten; whatever a busy machine delays, it makes nothing faster
    let seconds = loop {
        let (number, at) = taken.next().unwrap();
        seen.push((number, at));
        let before = seen.iter().rfind(|(earlier, _)| number.wrapping_sub(*earlier) >= 20);
        let took = before.map(|(_, then)| f64::from(at.wrapping_sub(*then)) / 48_000.0);
        if let Some(seconds) = took.filter(|seconds| *seconds < 1.4) {
            break seconds;
        }
        assert!(seen.len() < 1_000, "20 pictures never come in {took:?} s");
    };
    assert!(seconds > 0.4, "20 pictures in {seconds} s");
    program.signal(Signal::SIGTERM);
    while session.next().is_some() {}
    assert_eq!(program.code(), 0, "{}", program.story());
}

#[test]
fn that_a_microphone_delivers_silence_is_measured() {
    for (mic, sends, delivers) in [("silence", true, Some(0.0)), ("tone:440", true, Some(0.03)), ("none", false, None)]
    {
        let fake = Fake::listen();
        let target = format!("tcp://{}", fake.address());
        let mut program = client(&target, &["--once", "--stats", "json", "--mic", mic]);
        let mut session = fake.accept();
        session.welcome("lobby", "ada");
        program.named("client.joined");
        let levels: Vec<_> = (0..if sends { 2 } else { 0 }).map(|_| session.level()).collect();
        program.signal(Signal::SIGTERM);
        while session.next().is_some() {}
        assert_eq!(program.code(), 0, "{}", program.story());
        let report: Value = serde_json::from_str(&program.out[0]).unwrap();
        let microphone = report["stats"].as_array().unwrap().iter().find(|s| s["id"] == "microphone");
        let energy_a_second = microphone.map(|m| {
            let seconds = m["totalSamplesDuration"].as_f64().unwrap();
            assert!(seconds >= 0.04, "{report:#}");
            m["totalAudioEnergy"].as_f64().unwrap() / seconds
        });
        let keep_alives = report["sidetone"]["keepAlivesSent"].as_u64().unwrap();
        match delivers {
            None => assert_eq!(energy_a_second, None, "{report:#}"),
            // a sine of amplitude 0.25: half of its square
            Some(expected) => assert!((energy_a_second.unwrap() - expected).abs() < 0.003, "{report:#}"),
        }
        match mic {
            "silence" => assert!(keep_alives >= 2 && levels == [127, 127], "{levels:?} {report:#}"),
            _ => assert!(keep_alives == 0 && !levels.contains(&127), "{levels:?} {report:#}"),
        }
    }
}

#[test]
fn statistics_have_the_names_of_w3c() {
    let fake = Fake::listen();
    let target = format!("tcp://{}", fake.address());
    let mut program = client(&target, &["--once", "--stats", "json", "--mic", "tone:440"]);
    let mut session = fake.accept();
    session.welcome("lobby", "ada");
    for sequence in 0..10 {
        let packet = Voice::new(700.0).packet();
        session.send(&packet.frame(0, sequence, u32::from(sequence) * 960).encode());
    }
    // what comes after them was read after them
    session.tell(&chat("that was all"));
    program.named("client.chat");
    program.named("client.first_audio");
    let levels: Vec<_> = (0..10).map(|_| session.level()).collect();
    assert!(!levels.contains(&127), "a tone is no silence: {levels:?}");
    program.signal(Signal::SIGTERM);
    while session.next().is_some() {}
    assert_eq!(program.code(), 0, "{}", program.story());
    let [line] = &program.out[..] else { panic!("one line: {:?}", program.out) };
    let report: Value = serde_json::from_str(line).unwrap();
    let stats = report["stats"].as_array().unwrap();
    let expected = [
        (
            "inbound-audio",
            "inbound-rtp",
            &[
                "packetsReceived",
                "bytesReceived",
                "concealedSamples",
                "concealmentEvents",
                "totalSamplesReceived",
                "jitterBufferDelay",
                "jitterBufferEmittedCount",
                "packetsDiscarded",
            ][..],
        ),
        ("outbound-audio", "outbound-rtp", &["packetsSent", "bytesSent"]),
        ("microphone", "media-source", &["audioLevel", "totalAudioEnergy", "totalSamplesDuration"]),
        ("outbound-video", "outbound-rtp", &["framesSent", "framesEncoded"]),
        ("transport", "transport", &["bytesSent", "bytesReceived", "packetsSent", "packetsReceived"]),
        ("codec", "codec", &["mimeType", "clockRate", "channels"]),
    ];
    for (id, kind, fields) in expected {
        let found = stats.iter().find(|s| s["id"] == id).unwrap_or_else(|| panic!("no {id} in {report:#}"));
        assert_eq!(found["type"], kind, "{id}");
        for field in fields {
            assert!(!found[field].is_null(), "{id} has no {field}: {found:#}");
        }
    }
    let packets = |id: &str, field: &str| stats.iter().find(|s| s["id"] == id).unwrap()[field].as_u64().unwrap();
    assert_eq!(packets("inbound-audio", "packetsReceived"), 10, "{report:#}");
    assert!(packets("outbound-audio", "packetsSent") >= 10, "{report:#}");
    let ids: std::collections::BTreeSet<_> = stats.iter().map(|s| s["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), stats.len(), "ids are unique");
}

#[test]
fn a_server_that_comes_back_is_joined_again() {
    let mut server = Server::start();
    let (port, websocket) = (server.tcp().port().to_string(), server.websocket().port().to_string());
    for target in [tcp(&server), format!("ws://{}", server.websocket())] {
        let mut program = client(&target, &["--mic", "tone:440"]);
        program.named("client.joined");
        drop(server); // killed
        program.named("client.disconnected");
        server = Server::with(&["--port", &port, "--websocket-port", &websocket]);
        program.repeated("client.joined", 2);
        let (mut ada, _) = Peer::join(&server, Transport::Tcp, "ada", "lobby");
        ada.hears_sound();
        program.signal(Signal::SIGINT);
        assert_eq!(program.code(), 0, "{}", program.story());
        let left = ada.until_message("left", |m| if let Message::Left(left) = m { Some(left.name) } else { None });
        assert_eq!(left, "carol");
    }
    server.stop();
}

#[test]
fn two_clients_hear_each_other_and_not_themselves() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let wav = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let speaker = [format!("wav:{}", wav("one.wav")), format!("wav:{}", wav("two.wav"))];
    let targets = [tcp(&server), format!("ws://{}", server.websocket())];
    let mut programs = [("one", "tone:440"), ("two", "tone:700")].into_iter().zip(targets).zip(&speaker).map(
        |(((name, tone), target), speaker)| client(&target, &["--name", name, "--mic", tone, "--speaker", speaker]),
    );
    let (mut one, mut two) = (programs.next().unwrap(), programs.next().unwrap());
    let (mut ada, _) = Peer::join(&server, Transport::Tcp, "ada", "lobby");
    for program in [&mut one, &mut two] {
        program.named("client.first_audio");
    }
    let mut ears = [("one.wav", 700.0, 440.0), ("two.wav", 440.0, 700.0)]
        .map(|(file, other, own)| (wav(file), Ear::new(file, &[other], &[own], -60.0)));
    let patience = Deadline::new();
    // the recording grows while they talk
    while !ears.iter_mut().fold(true, |all, (file, ear)| all & ear.is_content(&recorded(file))) {
        assert!(!patience.passed(), "{ears:?}");
        ada.until("more sound", |frame| (frame.kind == Kind::Audio && frame.payload[0] < 127).then_some(()));
    }
    for program in [&mut one, &mut two] {
        program.signal(Signal::SIGTERM);
        assert_eq!(program.code(), 0, "{}", program.story());
    }
    for (file, _) in &ears {
        assert_eq!(read_wav(file.as_ref()).unwrap().get(..48_000), recorded(file).get(..48_000), "{file}");
    }
}

/// The sound in a file that may not be complete: 16-bit samples after a header of 44 bytes.
fn recorded(file: &str) -> Vec<f32> {
    let bytes = std::fs::read(file).unwrap();
    let samples = bytes.get(44..).unwrap_or_default().chunks_exact(2);
    samples.map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0).collect()
}

#[test]
fn a_file_is_heard_and_a_picture_is_seen() {
    let server = Server::start();
    let (mut ada, _) = Peer::join(&server, Transport::Tcp, "ada", "lobby");
    let (mic, video) = (fixture("media/speech.wav"), fixture("media/portrait.jpg"));
    let (mic, video) = (format!("wav:{}", mic.display()), format!("image:{}", video.display()));
    let mut program = client(&tcp(&server), &["--mic", &mic, "--video", &video]);
    let (mut sound, mut chunks) = (false, 0);
    ada.until("sound and a picture", |frame| {
        sound |= frame.kind == Kind::Audio && frame.payload[0] < 127;
        chunks += u32::from(frame.kind == Kind::Video);
        (sound && chunks > 2).then_some(())
    });
    program.signal(Signal::SIGTERM);
    assert_eq!(program.code(), 0, "{}", program.story());
}

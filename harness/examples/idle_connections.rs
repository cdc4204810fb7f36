//! How much memory of the server an idle WebSocket connection takes: `idle_connections path/to/sidetone`.
//!
//! A thousand connections are opened; the growth of the server's resident size is divided among them. `--max-clients` counts
//! participants; a visitor who has not said hello is given 5 s, so that variant is measured at once.

mod support;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use sidetone::net::transport::{self, Reader, Received, Stream, Writer};
use sidetone::protocol::{AudioParameters, Capability, Hello, Message, SUBPROTOCOL};
use sidetone_harness::launch::resources::resources;
use std::net::SocketAddr;
use std::time::Duration;
use support::{Anything, programs, server, tell};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;

const CONNECTIONS: usize = 1_000;
/// KiB a connection.
const TARGET: f64 = 24.0;
/// How often resident size is read, and how many equal readings end the wait.
const LOOK: Duration = Duration::from_millis(200);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Anything<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most.min(8_192), most)?;
    measure("connected, no hello yet", None).await?;
    measure("joined, all in one room", Some(CONNECTIONS)).await?;
    measure("joined, rooms of 10", Some(10)).await
}

async fn measure(what: &str, room_of: Option<usize>) -> Anything<()> {
    let (sidetone, harness) = programs()?;
    let folder = tempfile::tempdir()?;
    let (mut process, ready, _) = server(&sidetone, harness, folder.path()).await?;
    let address = *ready.websocket.first().ok_or("no WebSocket listener")?;
    // the first connection pays for what all share
    let first = connect(address).await?;
    let before = settled(process.pid, room_of.is_none()).await?;
    let mut open = Vec::new();
    let mut joined = JoinSet::new();
    for number in 0..CONNECTIONS {
        let (mut reader, mut writer) = connect(address).await?;
        if let Some(size) = room_of {
            join(&mut reader, &mut writer, number, number / size).await?;
            joined.spawn(stay(reader, writer));
        } else {
            open.push((reader, writer));
        }
    }
    let after = settled(process.pid, room_of.is_none()).await?;
    let (_, descriptors, _) = resources(process.pid)?;
    if !joined.is_empty() && joined.try_join_next().is_some() || (descriptors as usize) < CONNECTIONS {
        return Err("the server closed a connection while it was measured".into());
    }
    let each = after.saturating_sub(before) as f64 / CONNECTIONS as f64 / 1_024.0;
    let verdict = if each <= TARGET { "" } else { " (above)" };
    let what = format!("memory of an idle WebSocket connection, {what}");
    tell(&what, &format!("{each:.1} KiB"), &format!("target at most {TARGET} KiB{verdict}"))?;
    drop((first, open));
    joined.shutdown().await;
    process.stop(Duration::from_secs(10)).await;
    Ok(())
}

async fn connect(address: SocketAddr) -> Anything<(Reader, Writer)> {
    let mut request = format!("ws://{address}/ws").into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
    let stream: Box<dyn Stream> = Box::new(TcpStream::connect(address).await?);
    let config = Some(transport::websocket_config());
    let (socket, _) = tokio_tungstenite::client_async_with_config(request, stream, config).await?;
    Ok(transport::websocket(socket))
}

async fn join(reader: &mut Reader, writer: &mut Writer, number: usize, room: usize) -> Anything<()> {
    let hello = Message::Hello(Hello {
        version_min: 1,
        version_max: 1,
        name: format!("idle-{number}"),
        room: format!("room-{room}"),
        capabilities: vec![Capability::Audio, Capability::Picture, Capability::Chat],
        agent: "idle_connections".to_owned(),
        audio: AudioParameters::default(),
    });
    writer.send(hello.frame(0, 0).encode()).await?;
    loop {
        match reader.next().await? {
            Received::Frame(frame) => match Message::decode(&frame)? {
                Some(Message::Welcome(_)) => return Ok(()),
                Some(Message::Refusal(refusal)) => return Err(refusal.message.into()),
                _ => {}
            },
            Received::Alive => {}
            Received::Closed(_, reason) => return Err(reason.into()),
        }
    }
}

/// Answers heartbeats and forgets everything else, until the connection ends.
async fn stay(mut reader: Reader, mut writer: Writer) {
    let mut sequence = 1;
    while let Ok(Received::Frame(_) | Received::Alive) = answer(&mut reader, &mut writer, &mut sequence).await {}
}

async fn answer(reader: &mut Reader, writer: &mut Writer, sequence: &mut u16) -> Anything<Received> {
    let received = reader.next().await?;
    if let Received::Frame(frame) = &received
        && let Some(Message::Ping(ping)) = Message::decode(frame)?
    {
        writer.send(Message::Pong(ping).frame(0, *sequence).encode()).await?;
        *sequence = sequence.wrapping_add(1);
    }
    Ok(received)
}

/// Resident size in bytes once it has stopped to change; `soon`: as it is after one look.
async fn settled(pid: u32, soon: bool) -> Anything<u64> {
    let mut last = 0;
    let mut equal = 0;
    for _ in 0..100 {
        tokio::time::sleep(LOOK).await;
        let (resident, ..) = resources(pid)?;
        equal = if resident.abs_diff(last) < 64 * 1_024 { equal + 1 } else { 0 };
        last = resident;
        if soon || equal == 10 {
            break;
        }
    }
    Ok(last)
}

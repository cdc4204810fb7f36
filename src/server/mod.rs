//! The server: takes its listeners and its shutdown, gives everybody the others' sound and pictures. I/O.
//!
//! * `hub`: rooms and who is in them;
//! * `connection`: one peer from hello to goodbye; `intake`: what it may send; `http`: the WebSocket port;
//! * `mixer`: the thread that ticks every 20 ms; `metrics`: figures for Prometheus;
//! * `counted`: bytes each way; `realtime`: how the mixer's thread is scheduled; `sabotage`: only for negative controls.

mod connection;
mod counted;
mod http;
mod hub;
mod intake;
mod metrics;
mod mixer;
mod realtime;
#[cfg(feature = "sabotage")]
pub mod sabotage;

use crate::clock;
use crate::event::{Errno, Event, ListenerKind, Transport};
use crate::log::Log;
use crate::net::transport;
pub use http::origin::{AllowedOrigin, Origins, WebOrigin};
use hub::Hub;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Where a WebSocket is opened.
pub const WEBSOCKET_PATH: &str = http::PATH;

/// How a server behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// Shown to clients.
    pub name: String,
    /// Most participants in all rooms together.
    pub max_clients: u32,
    /// Most speakers of a room that are heard at once; the loudest win.
    pub loudest: usize,
    /// What is missing, a sentence each; empty if everything is up.
    pub degraded: Vec<String>,
    /// Which pages may open a WebSocket.
    pub origins: Origins,
    /// Serve the page's files from that folder, not those in the program.
    pub page_from: Option<PathBuf>,
    /// Where events go.
    pub log: Log,
    /// What to do wrong.
    #[cfg(feature = "sabotage")]
    pub sabotage: Option<sabotage::Sabotage>,
}

/// Bound, listening, non-blocking sockets.
#[derive(Debug)]
pub struct Listeners {
    /// For the framed protocol.
    pub tcp: Vec<std::net::TcpListener>,
    /// For HTTP and WebSocket.
    pub websocket: Vec<std::net::TcpListener>,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    hub: Arc<Hub>,
    accepting: Vec<JoinHandle<()>>,
    mixer: std::thread::JoinHandle<()>,
    started: Duration,
}

/// What a server did in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// All transport connections.
    pub connections_served: u64,
    /// Those that had to be cut at the end.
    pub connections_cut: u32,
}

impl Server {
    /// Starts serving. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// A listener cannot be registered, or the mixer's thread cannot be started.
    pub fn start(listeners: Listeners, config: Config) -> io::Result<Self> {
        let hub = Arc::new(Hub::new(config));
        let mut accepting = Vec::new();
        let all = [(ListenerKind::Tcp, listeners.tcp), (ListenerKind::WebSocket, listeners.websocket)];
        for (kind, listeners) in all {
            for listener in listeners {
                let listener = TcpListener::from_std(listener)?;
                accepting.push(tokio::spawn(accept(Arc::clone(&hub), kind, listener)));
            }
        }
        let of_mixer = Arc::clone(&hub);
        let mixer = std::thread::Builder::new().name("mixer".to_owned()).spawn(move || mixer::run(&of_mixer))?;
        Ok(Self { hub, accepting, mixer, started: clock::monotonic() })
    }

    /// Ends it: no new connections, everybody is told, at most `patience` for them to go. When this returns the ports are
    /// free.
    pub async fn drain(self, signal: &str, patience: Duration) -> Summary {
        let log = &self.hub.config.log;
        log.emit(Event::ServerDraining { signal: signal.to_owned(), connections: self.hub.open_connections() });
        for task in self.accepting {
            task.abort();
            drop(task.await); // its listener is closed when it is gone
        }
        let connections_cut = self.hub.drain(patience).await;
        let mixer = self.mixer;
        drop(tokio::task::spawn_blocking(move || mixer.join()).await);
        let connections_served = self.hub.connections_served();
        let uptime_ms = clock::millis(clock::monotonic().saturating_sub(self.started));
        log.emit(Event::ServerStopped { connections_served, connections_cut, uptime_ms });
        Summary { connections_served, connections_cut }
    }
}

/// Says that a listener is closed, however the accepting task ends.
struct Closing {
    hub: Arc<Hub>,
    listener: ListenerKind,
    address: SocketAddr,
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.hub.config.log.emit(Event::ListenerClosed { listener: self.listener, address: self.address });
    }
}

async fn accept(hub: Arc<Hub>, kind: ListenerKind, listener: TcpListener) {
    let Ok(address) = listener.local_addr() else { return };
    let _closing = Closing { hub: Arc::clone(&hub), listener: kind, address };
    let mut last_error = Duration::ZERO;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => accepted(&hub, kind, address, stream, peer),
            Err(error) => {
                // out of descriptors: the connection stays in the queue, so waiting is the only thing that helps
                let now = clock::monotonic();
                if now.saturating_sub(last_error) >= Duration::from_secs(1) {
                    last_error = now;
                    let number = error.raw_os_error().unwrap_or_default();
                    let name = format!("{:?}", nix::errno::Errno::from_raw(number));
                    let errno = Errno { number, name };
                    let open_connections = hub.open_connections();
                    hub.config.log.emit(Event::ConnectionAcceptFailed {
                        listener: kind,
                        address,
                        errno,
                        open_connections,
                    });
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn accepted(hub: &Arc<Hub>, kind: ListenerKind, local: SocketAddr, stream: TcpStream, peer: SocketAddr) {
    let Some(registration) = hub.register() else { return };
    drop(stream.set_nodelay(true)); // fails only on a connection that is already gone
    let transport = match kind {
        ListenerKind::Tcp => Transport::Tcp,
        ListenerKind::WebSocket => Transport::WebSocket,
    };
    let connection = registration.id;
    hub.config.log.emit(Event::ConnectionAccepted { connection, transport, local, peer });
    let hub = Arc::clone(hub);
    match kind {
        ListenerKind::Tcp => {
            let origin = connection::Origin { transport, peer };
            tokio::spawn(async move {
                Box::pin(connection::serve(hub, registration, origin, transport::tcp(stream))).await;
            });
        }
        ListenerKind::WebSocket => {
            // the address that was asked for, where `local` may be all of them
            let ends = http::Ends { local: stream.local_addr().unwrap_or(local), peer };
            tokio::spawn(async move { Box::pin(http::serve(hub, registration, stream, ends)).await });
        }
    }
}

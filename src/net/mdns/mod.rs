//! mDNS (RFC 6762) and DNS-SD (RFC 6763): announcing a server and finding others, on chosen interfaces only.
//!
//! Nothing leaves on an interface that was not chosen, group membership reports included: each interface and family
//! has a socket of its own, bound to the device and to the group, that joins there and nowhere else. This is why the
//! code is our own: libraries that were looked at join the groups of every interface before they can be told not to.
//!
//! * `message` writes the records (pure, over `simple-dns`);
//! * `responder` is the state machine of an announcement (pure); [`advertise`] runs it on a thread;
//! * [`browse`](mod@browse) asks and collects answers;
//! * `link` knows interfaces and opens sockets.
//!
//! Left out: unicast answers (to queriers that use another port than 5353), following interfaces that come and go.

pub mod browse;
mod link;
mod message;
mod responder;

pub use browse::{BrowseOptions, Found, browse};
pub use link::{interfaces_of, usable_interfaces};

use crate::event::{Event, Reporter};
use link::Link;
use message::Service;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use responder::{Output, Responder};
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The type of our service.
pub const SERVICE: &str = "_sidetone._tcp.local.";

/// How long [`Announcement::withdraw`] waits for the goodbye to be sent.
const GOODBYE: Duration = Duration::from_secs(1);
/// Longer than any mDNS packet (RFC 6762, section 17).
const PACKET: usize = 9000;

/// Why mDNS does not work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MdnsError {
    /// The name is empty or longer than 63 bytes.
    #[error("{0:?} cannot be announced: a name has 1 to 63 bytes")]
    Name(String),
    /// Nowhere to speak.
    #[error("no interface was given and none fits: name one with --mdns-interface")]
    NoInterface,
    /// There is none of that name.
    #[error("there is no interface {0}: `ip link` lists those of this machine")]
    UnknownInterface(String),
    /// It has no address, or the sockets cannot be opened.
    #[error("{interface}: {reason}")]
    Interface {
        /// Its name.
        interface: String,
        /// What is wrong.
        reason: String,
    },
    /// The system refused something else.
    #[error("{doing}: {reason}")]
    System {
        /// What was tried.
        doing: String,
        /// What it said.
        reason: String,
    },
}

/// What is announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advert {
    /// Name for people, 1 to 63 bytes; a taken one gets a number.
    pub instance: String,
    /// Port of the framed protocol.
    pub port: u16,
    /// Port of HTTP and WebSocket, if that listener is up.
    pub websocket_port: Option<u16>,
    /// Path of the WebSocket.
    pub path: String,
    /// Whether the listeners speak TLS.
    pub tls: bool,
    /// Whether something that was asked for is missing.
    pub degraded: bool,
    /// Version of the program.
    pub version: String,
    /// Names of the interfaces, never none; see [`interfaces_of`].
    pub interfaces: Vec<String>,
    /// Bound addresses. Each interface tells those that it has; a wildcard stands for all of its family.
    pub addresses: Vec<IpAddr>,
}

/// A running announcement; says goodbye when it is withdrawn or dropped.
pub struct Announcement {
    instance: Arc<Mutex<String>>,
    /// When it closes, the thread wakes and says goodbye.
    stop: UnixStream,
    ended: Receiver<()>,
}

impl fmt::Debug for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announcement").field("instance", &self.instance()).finish_non_exhaustive()
    }
}

impl Announcement {
    /// The name in use: not the asked one if another server has that.
    pub fn instance(&self) -> String {
        self.instance.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells everybody that the server goes, and waits until that is sent (a second at most). `false`: it was not.
    pub fn withdraw(self) -> bool {
        drop(self.stop);
        self.ended.recv_timeout(GOODBYE).is_ok()
    }
}

/// Announces a server until [`Announcement::withdraw`]. The name is probed for the better part of a second first;
/// `mdns.announced` is reported when the announcement was really sent.
///
/// # Errors
/// A bad name or interface; later trouble is reported as `mdns.failed`.
pub fn advertise(advert: &Advert, report: &Reporter) -> Result<Announcement, MdnsError> {
    let links = link::open(&advert.interfaces)?;
    let service = Service::new(advert, &hostname(), std::process::id())?;
    let addresses = links.iter().map(|link| link.tell(&advert.addresses)).collect();
    let system = |doing: &str, error: &dyn fmt::Display| MdnsError::System {
        doing: doing.to_owned(),
        reason: error.to_string(),
    };
    let (stop, stopped) = UnixStream::pair().map_err(|error| system("socketpair", &error))?;
    // after the last descriptor is open: who counts descriptors at this event counts all of them
    report.report(Event::MdnsRegistering {
        service: SERVICE.to_owned(),
        instance: advert.instance.clone(),
        interfaces: links.iter().map(|link| link.name.clone()).collect(),
        port: advert.port,
    });
    let (end, ended) = channel();
    let instance = Arc::new(Mutex::new(advert.instance.clone()));
    let running = Running {
        responder: Responder::new(service, addresses, now(), jitter()),
        links,
        instance: Arc::clone(&instance),
        report: report.clone(),
        mute: BTreeSet::new(),
    };
    std::thread::Builder::new()
        .name("mdns".to_owned())
        .spawn(move || running.run(&stopped, &end))
        .map_err(|error| system("starting the mDNS thread", &error))?;
    Ok(Announcement { instance, stop, ended })
}

/// The host name that a server of this process is announced under.
pub fn host_name() -> String {
    format!("{}.local", message::host(&hostname(), std::process::id()))
}

/// The machine's name as one DNS label.
fn hostname() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    name.split('.').next().unwrap_or_default().to_owned()
}

#[expect(clippy::disallowed_methods, reason = "the I/O shell of mDNS reads the clock for its pure parts")]
fn now() -> Instant {
    Instant::now()
}

/// Machines that are switched on together should not probe together (RFC 6762, section 8.1).
fn jitter() -> Duration {
    Duration::from_millis(rand::random_range(0..100))
}

struct Running {
    responder: Responder,
    links: Vec<Link>,
    instance: Arc<Mutex<String>>,
    report: Reporter,
    /// Interfaces on which the last packet could not be sent, which was reported.
    mute: BTreeSet<usize>,
}

impl Running {
    fn run(mut self, stopped: &UnixStream, end: &Sender<()>) {
        let mut buffer = vec![0; PACKET];
        while !self.wait(stopped) {
            for n in 0..self.links.len() {
                for packet in self.links[n].receive(&mut buffer) {
                    let outputs = self.responder.receive(n, &packet, now());
                    self.act(outputs);
                }
            }
            let outputs = self.responder.tick(now());
            self.act(outputs);
        }
        let goodbye = self.responder.goodbye();
        let announced = !goodbye.is_empty();
        self.act(goodbye);
        if announced && self.is_heard() {
            self.report.report(Event::MdnsWithdrawn { instance: self.responder.instance() });
        }
        // Whoever dropped the announcement does not listen.
        let _nobody_waits = end.send(());
    }

    /// Until a packet came, something is due, or the announcement is withdrawn (true).
    fn wait(&self, stopped: &UnixStream) -> bool {
        let timeout = match self.responder.wakeup() {
            // Rounded up, or the thread would spin through the last millisecond.
            Some(due) => due.saturating_duration_since(now()) + Duration::from_millis(1),
            None => Duration::from_hours(1),
        };
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        let mut fds = vec![PollFd::new(stopped.as_fd(), PollFlags::POLLIN)];
        fds.extend(self.links.iter().flat_map(Link::sockets).map(|s| PollFd::new(s.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, timeout) {
            Ok(_) => fds[0].any().unwrap_or(true),
            Err(nix::errno::Errno::EINTR) => false,
            Err(error) => {
                self.fail("waiting for packets".to_owned(), error.to_string());
                true
            }
        }
    }

    fn act(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Send { link, packet } => {
                    if let Err(error) = self.links[link].send(&packet) {
                        if self.mute.insert(link) {
                            let doing = format!("sending on {}", self.links[link].name);
                            self.fail(doing, error.to_string());
                        }
                    } else {
                        self.mute.remove(&link);
                    }
                }
                Output::Named(instance) => *self.instance.lock().unwrap_or_else(PoisonError::into_inner) = instance,
                Output::Announced { instance, addresses } => {
                    if self.is_heard() {
                        self.report.report(Event::MdnsAnnounced { service: SERVICE.to_owned(), instance, addresses });
                    }
                }
            }
        }
    }

    fn is_heard(&self) -> bool {
        self.mute.len() < self.links.len()
    }

    fn fail(&self, doing: String, reason: String) {
        self.report.report(Event::MdnsFailed { doing, reason });
    }
}

#[cfg(test)]
mod tests;

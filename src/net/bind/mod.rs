//! Binding a listener, and saying so.
//!
//! Each address is a socket of its own (IPv6 with `IPV6_V6ONLY`), so each can fail alone and say why:
//!
//! * port 0: all addresses take the same number; it is drawn again until that works;
//! * a family that this machine does not have is a warning, unless it was asked for;
//! * what a failure means is the [`Policy`]'s decision, after every address was tried and every failure reported.
//!
//! `open` makes the system calls, `failure` is what is known of one that failed, `remedy` says what helps (pure).

mod failure;
mod open;
mod remedy;

pub use failure::{AddressFailure, BindFailure};
pub use open::BACKLOG;

use crate::event::{Event, Family, ListenerKind, Policy, Reporter};
use crate::net::errno::of_number;
use nix::libc;
use open::{Kernel, Refused, System};
use std::net::{IpAddr, SocketAddr, TcpListener};

/// How often port 0 is drawn until one number is free on all addresses.
const DRAWS: u16 = 50;
/// Holders named in an event, at most: a busy listener has thousands of connections.
const HOLDERS: usize = 8;

/// A listener to be bound.
#[derive(Clone, Debug)]
pub struct BindPlan {
    /// Which listener.
    pub listener: ListenerKind,
    /// Where, in the order of trying; an address given twice is bound once.
    pub addresses: Vec<IpAddr>,
    /// 0: the kernel chooses a number, the same for all addresses.
    pub port: u16,
    /// Families that somebody asked for, so that their absence is a failure.
    pub asked_families: Vec<Family>,
    /// What a failure means.
    pub policy: Policy,
    /// Ports tried after the asked one under [`Policy::Next`].
    pub next_limit: u16,
    /// Ports that [`Policy::Next`] leaves alone: those asked for by other listeners.
    pub avoid: Vec<u16>,
}

/// What was bound.
#[derive(Debug)]
pub struct Bound {
    /// Non-blocking, in the order of the plan; empty only under [`Policy::Degrade`], when nothing could be bound.
    pub listeners: Vec<TcpListener>,
    /// The number they share; the asked one if there are none.
    pub port: u16,
    /// A sentence for each address that is missing, under [`Policy::Degrade`].
    pub degraded: Vec<String>,
}

/// Binds the addresses of the plan and listens on them.
///
/// # Errors
/// [`BindFailure`] with every address that failed; what had been bound is closed. Under [`Policy::Next`] only what
/// another port cannot heal, or no free port, is an error; under [`Policy::Degrade`] nothing is.
pub fn bind(plan: &BindPlan, report: &Reporter) -> Result<Bound, BindFailure> {
    Binder { plan, report, system: &Kernel }.bind()
}

struct Binder<'a> {
    plan: &'a BindPlan,
    report: &'a Reporter,
    system: &'a dyn System,
}

/// One address after its turn.
struct Tried {
    asked: SocketAddr,
    outcome: Result<TcpListener, Refused>,
}

#[derive(Default)]
struct Settled {
    listeners: Vec<TcpListener>,
    failures: Vec<AddressFailure>,
    unavailable: Vec<(SocketAddr, Refused)>,
}

impl Binder<'_> {
    fn bind(&self) -> Result<Bound, BindFailure> {
        let mut settled = Settled::default();
        if self.plan.port == 0 {
            self.settle_all(self.draw(), &mut settled);
        } else {
            for address in self.addresses(self.plan.port) {
                let tried = self.try_one(address);
                self.settle(tried, &mut settled);
            }
        }
        self.nothing_left(&mut settled);
        if settled.failures.is_empty() {
            return Ok(self.bound(settled.listeners, vec![]));
        }
        match self.plan.policy {
            Policy::Degrade => {
                let degraded = settled.failures.iter().map(AddressFailure::missing).collect();
                Ok(self.bound(settled.listeners, degraded))
            }
            Policy::Next if self.plan.port != 0 && settled.failures.iter().all(AddressFailure::is_of_the_port) => {
                self.close(settled.listeners);
                self.fall_back(settled.failures)
            }
            Policy::Next | Policy::Fail => {
                self.close(settled.listeners);
                Err(BindFailure { failures: settled.failures, others_tried: 0 })
            }
        }
    }

    fn addresses(&self, port: u16) -> impl Iterator<Item = SocketAddr> {
        let all = &self.plan.addresses;
        let first = |(n, ip): &(usize, &IpAddr)| !all[..*n].contains(ip);
        all.iter().enumerate().filter(first).map(move |(_, &ip)| SocketAddr::new(ip, port))
    }

    fn try_one(&self, asked: SocketAddr) -> Tried {
        let mut options = vec!["SO_REUSEADDR".to_owned(), format!("backlog {BACKLOG}")];
        if asked.is_ipv6() {
            options.insert(1, "IPV6_V6ONLY".to_owned());
        }
        let protocol = match self.plan.listener {
            ListenerKind::Tcp => crate::protocol::SUBPROTOCOL,
            ListenerKind::WebSocket => "http/1.1",
        };
        self.report.report(Event::ListenerBinding {
            listener: self.plan.listener,
            address: asked,
            family: Family::of(&asked),
            protocol: protocol.to_owned(),
            tls: false,
            options,
        });
        Tried { asked, outcome: self.system.listen(asked) }
    }

    /// Port 0: the first address that can be bound decides the number; drawn again if another has it taken.
    fn draw(&self) -> Vec<Tried> {
        let mut tried = vec![];
        for _ in 0..DRAWS {
            tried.clear();
            let mut port = 0;
            let mut collided = false;
            for asked in self.addresses(0) {
                let this = Tried { asked, ..self.try_one(SocketAddr::new(asked.ip(), port)) };
                match &this.outcome {
                    Ok(listener) => port = local(listener, asked).port(),
                    Err(refused) => collided |= port != 0 && refused.number == libc::EADDRINUSE,
                }
                tried.push(this);
            }
            if !collided {
                break;
            }
        }
        tried
    }

    /// The next free port, the same for all addresses. `failures` are those of the asked port.
    fn fall_back(&self, failures: Vec<AddressFailure>) -> Result<Bound, BindFailure> {
        let mut others_tried = 0;
        for port in next_ports(self.plan.port, &self.plan.avoid).take(usize::from(self.plan.next_limit)) {
            others_tried += 1;
            let tried: Vec<_> = self.addresses(port).map(|address| self.try_one(address)).collect();
            if tried.iter().any(|t| t.outcome.as_ref().is_err_and(|e| e.number == libc::EADDRINUSE)) {
                continue;
            }
            let mut settled = Settled::default();
            self.settle_all(tried, &mut settled);
            self.nothing_left(&mut settled);
            if !settled.failures.is_empty() {
                self.close(settled.listeners);
                return Err(BindFailure { failures: settled.failures, others_tried });
            }
            self.report.report(Event::ListenerFellBack { listener: self.plan.listener, asked: self.plan.port, port });
            return Ok(self.bound(settled.listeners, vec![]));
        }
        Err(BindFailure { failures, others_tried })
    }

    fn settle_all(&self, tried: Vec<Tried>, settled: &mut Settled) {
        for one in tried {
            self.settle(one, settled);
        }
    }

    fn settle(&self, Tried { asked, outcome }: Tried, settled: &mut Settled) {
        match outcome {
            Ok(listener) => {
                self.report.report(Event::ListenerBound {
                    listener: self.plan.listener,
                    address: local(&listener, asked),
                    family: Family::of(&asked),
                    asked,
                    backlog: BACKLOG,
                });
                settled.listeners.push(listener);
            }
            Err(refused) if family_is_missing(asked, &refused) && !self.was_asked(asked) => {
                settled.unavailable.push((asked, refused));
            }
            Err(refused) => settled.failures.push(self.failed(asked, &refused)),
        }
    }

    /// A missing family is a warning only while the other one serves.
    fn nothing_left(&self, settled: &mut Settled) {
        let alone = settled.listeners.is_empty() && settled.failures.is_empty();
        for (address, refused) in settled.unavailable.drain(..) {
            if alone {
                settled.failures.push(self.failed(address, &refused));
            } else {
                self.report.report(Event::ListenerFamilyUnavailable {
                    listener: self.plan.listener,
                    address,
                    family: Family::of(&address),
                    errno: of_number(refused.number),
                });
            }
        }
    }

    fn was_asked(&self, address: SocketAddr) -> bool {
        self.plan.asked_families.contains(&Family::of(&address))
    }

    fn failed(&self, address: SocketAddr, refused: &Refused) -> AddressFailure {
        let held = if refused.number == libc::EADDRINUSE { self.system.holders(address) } else { Ok(vec![]) };
        let errno = of_number(refused.number);
        let remedy = remedy::Circumstances {
            listener: self.plan.listener,
            address,
            number: refused.number,
            held: held.as_deref(),
            ports: &self.system.port_facts(),
            own_pid: std::process::id(),
        }
        .remedy();
        let mut holders = held.unwrap_or_default();
        holders.truncate(HOLDERS);
        let listener = self.plan.listener;
        let failure = AddressFailure { listener, address, call: refused.call, errno, holders, remedy };
        self.report.report(failure.event());
        failure
    }

    fn bound(&self, listeners: Vec<TcpListener>, degraded: Vec<String>) -> Bound {
        let port = listeners.first().and_then(|l| l.local_addr().ok()).map_or(self.plan.port, |a| a.port());
        Bound { listeners, port, degraded }
    }

    fn close(&self, listeners: Vec<TcpListener>) {
        for listener in listeners {
            let address = listener.local_addr();
            drop(listener);
            if let Ok(address) = address {
                self.report.report(Event::ListenerClosed { listener: self.plan.listener, address });
            }
        }
    }
}

fn local(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}

/// The family has no code in the kernel, or is switched off so that even its own loopback has no address.
fn family_is_missing(address: SocketAddr, refused: &Refused) -> bool {
    let own = address.ip().is_loopback() || address.ip().is_unspecified();
    match refused.number {
        libc::EAFNOSUPPORT => true,
        libc::EADDRNOTAVAIL => address.is_ipv6() && own,
        _ => false,
    }
}

/// Upwards from the asked port, from 65535 on to 1024.
fn next_ports(asked: u16, avoid: &[u16]) -> impl Iterator<Item = u16> {
    let up = asked.max(1023).checked_add(1).into_iter().flat_map(|from| from..=u16::MAX);
    up.chain(1024..asked).filter(move |port| !avoid.contains(port))
}

#[cfg(test)]
mod tests;

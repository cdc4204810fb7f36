//! Real sockets on loopback, and a made-up system for what loopback cannot show.

use super::*;
use crate::event::SocketRole;
use std::cell::Cell;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

fn plan(addresses: &[&str], port: u16, policy: Policy) -> BindPlan {
    BindPlan {
        listener: ListenerKind::Tcp,
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        port,
        asked_families: vec![],
        policy,
        next_limit: 64,
        avoid: vec![],
    }
}

#[derive(Default)]
struct Log(Arc<Mutex<Vec<Event>>>);

impl Log {
    fn reporter(&self) -> Reporter {
        let events = Arc::clone(&self.0);
        Reporter::new(move |event, _| events.lock().unwrap().push(event))
    }

    fn names(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().iter().map(Event::name).filter(|&name| name != "listener.binding").collect()
    }
}

fn run(plan: &BindPlan) -> (Result<Bound, BindFailure>, Log) {
    let log = Log::default();
    let result = bind(plan, &log.reporter());
    (result, log)
}

/// A listener on loopback and its port.
fn held() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[test]
fn port_0_gives_both_families_the_same_number() {
    let (bound, log) = run(&plan(&["127.0.0.1", "::1"], 0, Policy::Fail));
    let bound = bound.unwrap();
    let ports: Vec<_> = bound.listeners.iter().map(|l| l.local_addr().unwrap()).collect();
    assert_eq!(
        ports,
        [SocketAddr::from(([127, 0, 0, 1], bound.port)), SocketAddr::new("::1".parse().unwrap(), bound.port)]
    );
    assert_ne!(bound.port, 0);
    assert_eq!(log.names(), ["listener.bound", "listener.bound"]);
    for address in ports {
        let accepted = TcpStream::connect(address).unwrap();
        assert_eq!(accepted.peer_addr().unwrap(), address);
    }
}

#[test]
fn the_sockets_are_as_promised() {
    let (bound, _) = run(&plan(&["127.0.0.1", "::1", "127.0.0.1"], 0, Policy::Fail));
    let listeners = bound.unwrap().listeners;
    assert_eq!(listeners.len(), 2, "an address given twice is bound once");
    for listener in listeners {
        assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        let socket = socket2::Socket::from(listener);
        assert!(socket.reuse_address().unwrap());
        assert!(socket.local_addr().unwrap().is_ipv4() || socket.only_v6().unwrap());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_held_port_fails_with_its_holder_after_all_addresses_were_tried() {
    let (holder, port) = held();
    let (result, log) = run(&plan(&["127.0.0.1", "::1"], port, Policy::Fail));
    let failure = result.unwrap_err();
    assert_eq!(failure.failures.len(), 1);
    let first = &failure.failures[0];
    assert_eq!((first.call, first.errno.name.as_str()), ("bind", "EADDRINUSE"));
    assert_eq!(first.holders[0].pid, Some(std::process::id()));
    assert_eq!(first.holders[0].role, SocketRole::Listener);
    let line = failure.to_string();
    let pid = std::process::id();
    assert!(
        line.starts_with(&format!("tcp on 127.0.0.1:{port}: bind failed with EADDRINUSE (98); held by pid {pid} (")),
        "{line}"
    );
    assert_eq!(log.names(), ["listener.bind_failed", "listener.bound", "listener.closed"]);
    assert!(run(&plan(&["::1"], port, Policy::Fail)).0.is_ok(), "what was bound is closed again");
    drop(holder);
}

#[test]
fn next_takes_the_same_port_for_both_families_and_says_so() {
    let (_holder, port) = held();
    let (result, log) = run(&plan(&["127.0.0.1", "::1"], port, Policy::Next));
    let bound = result.unwrap();
    assert_ne!(bound.port, port);
    assert!(bound.listeners.iter().all(|l| l.local_addr().unwrap().port() == bound.port));
    assert_eq!(bound.listeners.len(), 2);
    let names = log.names();
    assert_eq!(names[0], "listener.bind_failed");
    assert_eq!(names.iter().filter(|&&n| n == "listener.bind_failed").count(), 1, "only the asked port is a failure");
    let fell_back = Event::ListenerFellBack { listener: ListenerKind::Tcp, asked: port, port: bound.port };
    assert!(log.0.lock().unwrap().contains(&fell_back));
}

#[test]
fn degrade_keeps_what_is_bound_and_names_what_is_missing() {
    let (_holder, port) = held();
    let (result, _) = run(&plan(&["127.0.0.1", "::1"], port, Policy::Degrade));
    let bound = result.unwrap();
    assert_eq!((bound.listeners.len(), bound.port), (1, port));
    assert_eq!(bound.degraded.len(), 1);
    assert!(
        bound.degraded[0].starts_with(&format!("tcp on 127.0.0.1:{port} is missing: bind failed")),
        "{:?}",
        bound.degraded
    );

    let (nothing, log) = run(&plan(&["127.0.0.1"], port, Policy::Degrade));
    let nothing = nothing.unwrap();
    assert!(nothing.listeners.is_empty());
    assert_eq!((nothing.degraded.len(), nothing.port), (1, port));
    assert_eq!(log.names(), ["listener.bind_failed"]);
}

#[cfg(target_os = "linux")]
#[test]
fn the_wildcard_conflicts_with_a_listener_on_one_address() {
    let (holder, port) = held();
    let (result, _) = run(&plan(&["0.0.0.0"], port, Policy::Fail));
    let failure = result.unwrap_err();
    assert_eq!(failure.failures[0].errno.name, "EADDRINUSE");
    let found = &failure.failures[0].holders;
    assert!(found.iter().any(|h| h.local == holder.local_addr().unwrap() && h.pid == Some(std::process::id())));
}

#[test]
fn a_foreign_address_is_not_healed_by_another_port() {
    for policy in [Policy::Fail, Policy::Next] {
        let (result, log) = run(&plan(&["192.0.2.77", "127.0.0.1"], 0, policy));
        let failure = result.unwrap_err();
        assert_eq!(failure.failures[0].errno.name, "EADDRNOTAVAIL");
        assert!(failure.failures[0].remedy.contains("192.0.2.77 is no address of this machine"));
        assert_eq!(log.names(), ["listener.bind_failed", "listener.bound", "listener.closed"]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_local_end_of_an_outgoing_connection_is_found() {
    let (_listener, port) = held();
    // Without SO_REUSEADDR, as any client that never heard of it.
    let client = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    client.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    client.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).unwrap();
    let own = client.local_addr().unwrap().as_socket().unwrap();

    let (result, _) = run(&plan(&["0.0.0.0"], own.port(), Policy::Fail));
    let failure = result.unwrap_err();
    let first = &failure.failures[0];
    assert_eq!(first.errno.name, "EADDRINUSE");
    let connection = first.holders.iter().find(|h| h.local == own).unwrap();
    assert_eq!((connection.role, connection.state.as_str()), (SocketRole::Connection, "ESTABLISHED"));
    assert_eq!(connection.remote, Some(SocketAddr::from(([127, 0, 0, 1], port))));
    assert_eq!(connection.pid, Some(std::process::id()));
}

/// Says no where told to; otherwise the kernel decides.
struct MadeUp<F>(F);

impl<F: Fn(SocketAddr) -> Option<i32>> System for MadeUp<F> {
    fn listen(&self, address: SocketAddr) -> Result<TcpListener, Refused> {
        match (self.0)(address) {
            Some(number) => Err(Refused { call: "bind", number }),
            None => Kernel.listen(address),
        }
    }
}

fn run_on(system: &dyn System, plan: &BindPlan) -> (Result<Bound, BindFailure>, Log) {
    let log = Log::default();
    let result = Binder { plan, report: &log.reporter(), system }.bind();
    (result, log)
}

#[test]
fn a_missing_family_is_a_warning_unless_asked_for_or_alone() {
    let no_ipv6 = MadeUp(|a: SocketAddr| a.is_ipv6().then_some(libc::EAFNOSUPPORT));
    let both = plan(&["127.0.0.1", "::1"], 0, Policy::Fail);
    let (result, log) = run_on(&no_ipv6, &both);
    assert_eq!(result.unwrap().listeners.len(), 1);
    assert_eq!(log.names(), ["listener.bound", "listener.family_unavailable"]);

    let (result, _) = run_on(&no_ipv6, &BindPlan { asked_families: vec![Family::Ipv6], ..both });
    assert_eq!(result.unwrap_err().failures[0].errno.name, "EAFNOSUPPORT");

    let (result, log) = run_on(&no_ipv6, &plan(&["::1"], 0, Policy::Fail));
    assert_eq!(result.unwrap_err().failures.len(), 1);
    assert_eq!(log.names(), ["listener.bind_failed"]);
}

#[test]
fn an_absent_address_is_a_missing_family_only_on_ipv6_loopback_and_wildcard() {
    let missing = |address: &str| {
        family_is_missing(address.parse().unwrap(), &Refused { call: "bind", number: libc::EADDRNOTAVAIL })
    };
    assert!(missing("[::1]:1") && missing("[::]:1"));
    assert!(!missing("[2001:db8::1]:1") && !missing("127.0.0.1:1") && !missing("192.0.2.77:1"));
}

#[test]
fn a_drawn_port_that_the_other_family_has_taken_is_drawn_again_without_a_failure() {
    let left = Cell::new(3);
    let unlucky = MadeUp(|a: SocketAddr| {
        (a.is_ipv6() && left.get() > 0).then(|| {
            left.set(left.get() - 1);
            libc::EADDRINUSE
        })
    });
    let (result, log) = run_on(&unlucky, &plan(&["127.0.0.1", "::1"], 0, Policy::Fail));
    assert_eq!(result.unwrap().listeners.len(), 2);
    assert_eq!(log.names(), ["listener.bound", "listener.bound"]);

    let never = MadeUp(|a: SocketAddr| a.is_ipv6().then_some(libc::EADDRINUSE));
    let (result, _) = run_on(&never, &plan(&["127.0.0.1", "::1"], 0, Policy::Fail));
    assert_eq!(result.unwrap_err().failures.len(), 1);
}

#[test]
fn an_exhausted_range_fails_at_once_and_a_full_next_range_says_how_far_it_looked() {
    let tries = Cell::new(0);
    let full = MadeUp(|_| {
        tries.set(tries.get() + 1);
        Some(libc::EADDRINUSE)
    });
    let (result, _) = run_on(&full, &plan(&["127.0.0.1"], 0, Policy::Next));
    assert!(result.unwrap_err().failures[0].remedy.contains("ip_local_port_range"));
    assert_eq!(tries.get(), 1);

    let (result, log) = run_on(&full, &BindPlan { next_limit: 5, ..plan(&["127.0.0.1"], 7460, Policy::Next) });
    let failure = result.unwrap_err();
    assert_eq!((failure.failures.len(), failure.others_tried), (1, 5));
    assert!(failure.to_string().ends_with("none of the next 5 ports could be used either"));
    assert_eq!(log.names(), ["listener.bind_failed"]);
}

#[test]
fn next_ports_count_up_wrap_and_never_enter_the_privileged_ones() {
    let next = |asked, n| next_ports(asked, &[7461]).take(n).collect::<Vec<_>>();
    assert_eq!(next(7460, 2), [7462, 7463]);
    assert_eq!(next(65534, 3), [65535, 1024, 1025]);
    assert_eq!(next(65535, 1), [1024]);
    assert_eq!(next(80, 2), [1024, 1025]);
    assert!(!next(7460, 70_000).contains(&7460));
}

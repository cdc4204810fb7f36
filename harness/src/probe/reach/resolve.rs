//! The addresses of a name.

use super::names;
use crate::evidence::probed::{Failure, FamilyAnswer, How, LookupError, NameSource, Resolved, Saw, Step};
use crate::probe::options::Options;
use crate::probe::watch::{Lap, Watch};
use dns_lookup::{AddrInfoHints, getaddrinfo};
use nix::libc;
use nix::net::if_::if_nametoindex;
use sidetone::event::Family;
use std::net::{IpAddr, SocketAddr};
use tokio::sync::oneshot;
use tokio::time::timeout_at;

/// What is read of the system's own files, at most, in bytes.
const MOST_OF_A_FILE: usize = 1 << 20;

/// Every address of each family that is wanted, each family looked up on its own and both at once.
pub async fn resolve(options: &Options, watch: Watch) -> Step {
    let lap = watch.begin();
    let host = options.url.host.as_str();
    let resolved = match names::literal(host) {
        Some((address, zone)) => literal(options, address, zone),
        None => match given(options) {
            answers if answers.iter().any(|answer| !answer.addresses.is_empty()) => {
                let source = if options.by_mdns { NameSource::Mdns } else { NameSource::Given };
                Resolved { source, ..in_order(options, answers, &[]) }
            }
            _ => asked(options, lap).await,
        },
    };
    lap.end(None, Saw::Resolve(Resolved { host: host.to_owned(), ..resolved }))
}

fn literal(options: &Options, address: IpAddr, zone: Option<&str>) -> Resolved {
    let Ok(scope) = zone.map(|zone| zone.parse().map_or_else(|_| if_nametoindex(zone), Ok)).transpose() else {
        let words = format!("this machine has no interface {}", zone.unwrap_or_default());
        return Resolved { failure: Some(Failure::new(How::NoAddress, words)), ..Resolved::default() };
    };
    let scope = scope.unwrap_or(0);
    let address = names::with_scope(address, options.url.port, scope);
    let failure = (!names::wanted(&address, options.only)).then(|| {
        let family = Family::of(&address);
        Failure::new(How::NoAddress, format!("it is an {family} address, and another family was asked for"))
    });
    let order = if failure.is_some() { Vec::new() } else { vec![address] };
    Resolved { order, failure, ..Resolved::default() }
}

/// What `--resolve` says of the name.
fn given(options: &Options) -> Vec<FamilyAnswer> {
    let url = &options.url;
    let fits = |(host, port, _): &&(String, Option<u16>, IpAddr)| {
        host.eq_ignore_ascii_case(&url.host) && port.is_none_or(|port| port == url.port)
    };
    let all: Vec<IpAddr> = options.resolve.iter().filter(fits).map(|(_, _, address)| *address).collect();
    let of = |family| {
        let addresses = all.iter().copied().filter(|address| Family::of(&SocketAddr::new(*address, 0)) == family);
        FamilyAnswer { family, addresses: addresses.collect(), error: None, took_us: 0 }
    };
    [Family::Ipv4, Family::Ipv6].map(of).into_iter().filter(|a| options.only.is_none_or(|f| f == a.family)).collect()
}

/// The system's resolver.
async fn asked(options: &Options, lap: Lap) -> Resolved {
    let host = options.url.host.as_str();
    let wanted = |family| options.only.is_none_or(|only| only == family);
    let (v4, v6) = tokio::join!(
        async { if wanted(Family::Ipv4) { Some(look_up(host, Family::Ipv4, lap).await) } else { None } },
        async { if wanted(Family::Ipv6) { Some(look_up(host, Family::Ipv6, lap).await) } else { None } },
    );
    let (mut answers, mut scoped) = (Vec::new(), Vec::new());
    for (answer, addresses) in [v4, v6].into_iter().flatten() {
        answers.push(answer);
        scoped.extend(addresses);
    }
    // whether the name has no address at all, or none of the family that was asked for
    if let Some(only) = options.only.filter(|_| scoped.is_empty()) {
        let other = if only == Family::Ipv4 { Family::Ipv6 } else { Family::Ipv4 };
        answers.push(look_up(host, other, lap).await.0);
    }
    let in_hosts = read("/etc/hosts").map(|text| names::in_hosts(&text, host)).unwrap_or_default();
    let from_file = scoped.iter().any(|address| in_hosts.contains(&address.ip()));
    let resolver = read("/etc/resolv.conf").map(|text| names::name_servers(&text));
    Resolved {
        source: if from_file { NameSource::HostsFile } else { NameSource::Resolver },
        name_servers: resolver.filter(|_| !from_file),
        ..in_order(options, answers, &scoped)
    }
}

/// Answers with the order in which their addresses are tried. `scoped` are addresses of the resolver with their scopes.
fn in_order(options: &Options, answers: Vec<FamilyAnswer>, scoped: &[SocketAddr]) -> Resolved {
    let plain = |address: &IpAddr| {
        let known = scoped.iter().find(|scoped| scoped.ip() == *address);
        known.copied().unwrap_or_else(|| SocketAddr::new(*address, 0))
    };
    let all = answers.iter().flat_map(|answer| &answer.addresses).map(|address| {
        let mut address = plain(address);
        address.set_port(options.url.port);
        address
    });
    let all: Vec<_> = all.filter(|address| names::wanted(address, options.only)).collect();
    let order = names::in_turn(&all);
    let failure = order.is_empty().then(|| why_none(&answers, options.only));
    Resolved { answers, order, failure, ..Resolved::default() }
}

fn why_none(answers: &[FamilyAnswer], only: Option<Family>) -> Failure {
    let wanted = |answer: &&FamilyAnswer| only.is_none_or(|family| family == answer.family);
    let errors: Vec<_> = answers.iter().filter(wanted).filter_map(|answer| answer.error.as_ref()).collect();
    let late = errors.iter().any(|error| error.number == 0);
    let mut told: Vec<_> = errors.iter().map(ToString::to_string).collect();
    told.dedup();
    let what = only.map_or_else(|| "no address".to_owned(), |family| format!("no {family} address"));
    let words = if told.is_empty() { what } else { format!("{what}: {}", told.join(", ")) };
    Failure::new(if late { How::TimedOut } else { How::NoAddress }, words)
}

/// One family, and its addresses with their scopes. `getaddrinfo` cannot be interrupted, so it gets a thread of its own: one of
/// the runtime would hold that at its end.
async fn look_up(host: &str, family: Family, lap: Lap) -> (FamilyAnswer, Vec<SocketAddr>) {
    let began_us = lap.so_far_us();
    let (sender, receiver) = oneshot::channel();
    let name = host.to_owned();
    let thread = std::thread::Builder::new().name("resolver".to_owned());
    let spawned = thread.spawn(move || drop(sender.send(ask(&name, family))));
    let outcome = match spawned {
        Err(error) => {
            Err(LookupError { number: libc::EAI_SYSTEM, name: format!("no thread for the resolver: {error}") })
        }
        Ok(_) => match timeout_at(lap.until(), receiver).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(LookupError { number: libc::EAI_FAIL, name: "the resolver failed".to_owned() }),
            Err(_) => Err(LookupError { number: 0, name: "timed out".to_owned() }),
        },
    };
    let took_us = lap.so_far_us() - began_us;
    match outcome {
        Ok(all) => {
            let mut addresses: Vec<IpAddr> = all.iter().map(SocketAddr::ip).collect();
            addresses.dedup();
            (FamilyAnswer { family, addresses, error: None, took_us }, all)
        }
        Err(error) => (FamilyAnswer { family, addresses: Vec::new(), error: Some(error), took_us }, Vec::new()),
    }
}

fn ask(host: &str, family: Family) -> Result<Vec<SocketAddr>, LookupError> {
    let address = match family {
        Family::Ipv4 => libc::AF_INET,
        Family::Ipv6 => libc::AF_INET6,
    };
    let hints = AddrInfoHints { socktype: libc::SOCK_STREAM, address, ..AddrInfoHints::default() };
    match getaddrinfo(Some(host), None, Some(hints)) {
        Ok(found) => Ok(found.filter_map(|info| Some(info.ok()?.sockaddr)).collect()),
        Err(error) => {
            let number = error.error_num();
            Err(LookupError { number, name: names::lookup_error(number) })
        }
    }
}

/// A small file of the system; `None`: not readable.
fn read(path: &str) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    Some(String::from_utf8_lossy(&bytes[..bytes.len().min(MOST_OF_A_FILE)]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::target::Target;
    use std::sync::Arc;
    use std::time::Duration;

    fn options(target: &str) -> Options {
        let Ok(Target::Url(url)) = target.parse() else { panic!("{target}") };
        Options::new(url)
    }

    async fn look(options: &Options) -> Resolved {
        let step = resolve(options, Watch::start(Duration::from_secs(20))).await;
        let Saw::Resolve(resolved) = step.saw else { panic!("{step}") };
        resolved
    }

    #[tokio::test]
    async fn addresses_are_asked_of_nobody() {
        let v4 = look(&options("127.0.0.1:9")).await;
        assert_eq!((v4.source, v4.order), (NameSource::Literal, vec!["127.0.0.1:9".parse().unwrap()]));
        let other = look(&Options { only: Some(Family::Ipv6), ..options("127.0.0.1:9") }).await;
        assert!(other.order.is_empty() && other.failure.unwrap().words.contains("IPv4"));
        let numbered = look(&options("[fe80::1%1]:9")).await;
        assert_eq!(numbered.order, [names::with_scope("fe80::1".parse().unwrap(), 9, 1)]);
        let none = look(&options("[fe80::1%none0]:9")).await;
        assert!(none.failure.unwrap().words.contains("none0"));
    }

    #[tokio::test]
    async fn what_the_user_gives_comes_before_the_resolver() {
        let given: Arc<[_]> = Arc::new([
            ("EXAMPLE.org".to_owned(), Some(9), "10.0.0.1".parse().unwrap()),
            ("example.org".to_owned(), None, "::1".parse().unwrap()),
            ("example.org".to_owned(), Some(10), "10.0.0.2".parse().unwrap()),
        ]);
        let found = look(&Options { resolve: Arc::clone(&given), ..options("example.org:9") }).await;
        assert_eq!(found.source, NameSource::Given);
        assert_eq!(found.order, ["[::1]:9".parse().unwrap(), "10.0.0.1:9".parse::<SocketAddr>().unwrap()]);
        let found = look(&Options { resolve: Arc::clone(&given), by_mdns: true, ..options("example.org:9") }).await;
        assert_eq!(found.source, NameSource::Mdns);
        let only = Options { resolve: given, only: Some(Family::Ipv4), ..options("example.org:9") };
        assert_eq!(look(&only).await.order, ["10.0.0.1:9".parse::<SocketAddr>().unwrap()]);
    }

    #[tokio::test]
    async fn localhost_comes_from_the_hosts_file() {
        let file = names::in_hosts(&std::fs::read_to_string("/etc/hosts").unwrap_or_default(), "localhost");
        let found = look(&options("localhost:9")).await;
        assert!(found.order.iter().all(|address| address.ip().is_loopback() && address.port() == 9), "{found:?}");
        if !file.is_empty() {
            assert_eq!(found.source, NameSource::HostsFile);
            assert!(!found.order.is_empty() && found.answers.len() == 2, "{found:?}");
        }
    }

    #[test]
    fn no_address_says_why_for_the_family_that_was_asked_for() {
        let answer = |family, number| FamilyAnswer {
            family,
            addresses: Vec::new(),
            error: Some(LookupError { number, name: names::lookup_error(number) }),
            took_us: 1,
        };
        let both = [answer(Family::Ipv4, -2), answer(Family::Ipv6, -2)];
        assert_eq!(why_none(&both, None).words, "no address: EAI_NONAME (-2)");
        let only = [answer(Family::Ipv6, -5), answer(Family::Ipv4, -2)];
        assert_eq!(why_none(&only, Some(Family::Ipv6)).words, "no IPv6 address: EAI_NODATA (-5)");
        assert_eq!(why_none(&[answer(Family::Ipv4, 0)], None).how, How::TimedOut);
    }
}

//! `sidetone-harness doctor`: what cannot be seen on this machine, what that costs, and what helps.

use super::{fail, print_and_exit};
use crate::browser::find::find as find_browser;
use crate::diagnosis::outcome::exit;
use crate::evidence::{Observation, Status, TableSource};
use crate::probe::behind::firewall;
use crate::probe::reach::names;
use crate::sockets;
use clap::Args;
use nix::sys::resource::{Resource, getrlimit};
use serde::Serialize;
use sidetone::net::mdns;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;

/// Fewer descriptors are few for a probe of many targets.
const FEW_DESCRIPTORS: u64 = 1_024;

/// Say what cannot be seen or used on this machine, what that costs, and what helps.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// As JSON: one array.
    #[arg(long)]
    json: bool,
}

/// Something that the harness uses.
#[derive(Debug, Serialize)]
struct Item {
    /// What.
    what: &'static str,
    /// Whether it can be used.
    status: Status,
    /// What was found.
    found: String,
    /// What is lost without it.
    costs: Option<&'static str>,
    /// What helps.
    remedy: Option<String>,
}

fn good(what: &'static str, found: impl Into<String>) -> Item {
    Item { what, status: Status::Pass, found: found.into(), costs: None, remedy: None }
}

fn lacks(what: &'static str, status: Status, found: impl Into<String>, costs: &'static str, remedy: &str) -> Item {
    Item { what, status, found: found.into(), costs: Some(costs), remedy: Some(remedy.to_owned()) }
}

impl Doctor {
    pub(super) fn run(&self) -> ExitCode {
        let items = examine();
        let code = if items.iter().any(|item| item.status == Status::Fail) { exit::FAILED } else { exit::GOOD };
        if self.json {
            return match serde_json::to_string_pretty(&items) {
                Ok(text) => print_and_exit(&text, code),
                Err(error) => fail(exit::HARNESS, error),
            };
        }
        print_and_exit(&text(&items), code)
    }
}

fn examine() -> Vec<Item> {
    let mut items = vec![processes(), hidden_processes()];
    items.extend(readers());
    items.extend([family("IPv4", "127.0.0.1:0"), family("IPv6", "[::1]:0")]);
    items.extend(firewalls());
    items.extend([resolver(&fs::read_to_string("/etc/resolv.conf")), multicast(), clock(), browser(), descriptors()]);
    items
}

/// Whether the first process, which is root's, may be looked at.
fn processes() -> Item {
    let what = "processes of other users";
    match fs::read_dir("/proc/1/fd") {
        Ok(_) => good(what, "their descriptors can be seen"),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => lacks(
            what,
            Status::Warn,
            "their descriptors may not be seen",
            "whose a listener is, and what that process does, is seen for your own processes only",
            "run the probe as root, or as the user of the server",
        ),
        Err(error) => lacks(
            what,
            Status::Fail,
            format!("/proc/1/fd: {error}"),
            "nothing is known of owners and states of processes",
            "mount /proc (Linux), or look with lsof",
        ),
    }
}

fn hidden_processes() -> Item {
    let what = "list of processes";
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let is_process = |entry: &fs::DirEntry| entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok());
    let count = fs::read_dir("/proc").into_iter().flatten().flatten().filter(is_process).count();
    match hidepid(&mounts) {
        Some(value) => lacks(
            what,
            Status::Warn,
            format!("/proc is mounted with hidepid={value}; {count} processes can be seen"),
            "processes of other users are not even listed",
            "run the probe as root, or mount -o remount,hidepid=0 /proc",
        ),
        None if count == 0 => lacks(what, Status::Fail, "no process is listed", "as above", "mount /proc (Linux)"),
        None => good(what, format!("{count} processes can be seen")),
    }
}

/// The value of `hidepid` of `/proc`, if it hides anything.
fn hidepid(mounts: &str) -> Option<&str> {
    let proc = mounts.lines().find(|line| line.split(' ').nth(1) == Some("/proc"))?;
    let options = proc.split(' ').nth(3)?;
    let value = options.split(',').find_map(|option| option.strip_prefix("hidepid="))?;
    (!["0", "off"].contains(&value)).then_some(value)
}

/// Both readers of the socket table, by a socket of our own.
fn readers() -> Vec<Item> {
    let tests = sockets::self_test();
    let judge = |source: TableSource, what: &'static str, remedy: &str| {
        let of_source = tests.iter().filter_map(|test| {
            let Observation::SocketSelfTest { source: s, seen, owned, error, .. } = test else { return None };
            (*s == source).then(|| (*seen && *owned, error.clone()))
        });
        let bad = of_source.clone().find(|(works, _)| !works);
        match bad {
            None if of_source.count() > 0 => good(what, "sees sockets and their owners"),
            found => {
                let why =
                    found.and_then(|(_, error)| error).unwrap_or_else(|| "does not see a socket of our own".to_owned());
                let costs = "listeners, queues and holders of ports are seen in part or not at all";
                lacks(what, Status::Warn, why, costs, remedy)
            }
        }
    };
    vec![
        judge(TableSource::Netstat2, "sockets by netlink", "allow NETLINK_SOCK_DIAG in this sandbox"),
        judge(TableSource::Proc, "sockets by /proc/net", "mount /proc"),
    ]
}

fn family(name: &'static str, loopback: &str) -> Item {
    match TcpListener::bind(loopback) {
        Ok(_) => good(name, "its loopback address can be bound"),
        Err(error) => {
            let status = if name == "IPv4" { Status::Fail } else { Status::Warn };
            let costs = "servers and clients of that family cannot be tested or reached";
            lacks(
                name,
                status,
                error.to_string(),
                costs,
                "sysctl net.ipv6.conf.all.disable_ipv6=0, or give the container IPv6",
            )
        }
    }
}

fn firewalls() -> Vec<Item> {
    let tools = [("rules of nft", "nft", &["list", "ruleset"][..]), ("rules of iptables", "iptables", &["-S"][..])];
    let costs = "a rule that drops or rejects is told by its effect only";
    let judge = |(what, tool, arguments): (&'static str, &str, &[&str])| match firewall::find(tool) {
        None => lacks(what, Status::Warn, format!("{tool} is not installed"), costs, "install nftables (or iptables)"),
        Some(path) => match firewall::ask(&path, arguments) {
            Ok(_) => good(what, "can be read"),
            Err(why) => lacks(what, Status::Warn, why, costs, "run the probe as root"),
        },
    };
    let items: Vec<_> = tools.into_iter().map(judge).collect();
    // one of the two is enough
    match items.iter().position(|item| item.status == Status::Pass) {
        Some(_) => items.into_iter().filter(|item| item.status == Status::Pass).collect(),
        None => items,
    }
}

fn resolver(file: &io::Result<String>) -> Item {
    let what = "resolver";
    let (costs, remedy) =
        ("names outside /etc/hosts cannot be resolved", "write a line nameserver ADDRESS, or use --resolve");
    match file {
        Ok(text) => match names::name_servers(text) {
            servers if servers.is_empty() => {
                lacks(what, Status::Warn, "/etc/resolv.conf names no server", costs, remedy)
            }
            servers => good(what, format!("name servers {}", servers.join(", "))),
        },
        Err(error) => lacks(what, Status::Warn, format!("/etc/resolv.conf: {error}"), costs, remedy),
    }
}

fn multicast() -> Item {
    let what = "mDNS";
    let costs = "servers on the network are not found by name";
    match mdns::usable_interfaces() {
        Ok(interfaces) if interfaces.is_empty() => {
            lacks(what, Status::Warn, "no interface can be used", costs, "bring an interface with multicast up")
        }
        Ok(interfaces) => good(what, format!("interfaces {}", interfaces.join(", "))),
        Err(error) => lacks(what, Status::Warn, error.to_string(), costs, "name an interface: --mdns-interface"),
    }
}

/// Whether somebody keeps the clock right, where that leaves a trace.
fn clock() -> Item {
    let what = "clock";
    let traces =
        ["/run/systemd/timesync/synchronized", "/run/chrony/chronyd.pid", "/run/ntpd.pid", "/var/run/ntpd.pid"];
    match traces.iter().find(|path| Path::new(path).exists()) {
        Some(path) => good(what, format!("kept right ({path})")),
        None => lacks(
            what,
            Status::Unknown,
            "no service that keeps it right was found",
            "a certificate that is judged expired may be a clock that is wrong",
            "timedatectl shows whether it is synchronized",
        ),
    }
}

fn browser() -> Item {
    let what = "browser";
    match find_browser(None) {
        Ok(path) => good(what, path.display().to_string()),
        Err(error) => {
            let costs = "scenarios with a browser are skipped; probes need none";
            lacks(what, Status::Warn, error.to_string(), costs, "install chromium")
        }
    }
}

fn descriptors() -> Item {
    let what = "descriptors";
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, _)) if soft < FEW_DESCRIPTORS => {
            let costs = "probes of many targets at once run out of them (EMFILE)";
            lacks(what, Status::Warn, format!("{soft} may be open"), costs, "ulimit -n 4096, or fewer --jobs")
        }
        Ok((soft, _)) => good(what, format!("{soft} may be open")),
        Err(errno) => {
            lacks(what, Status::Unknown, errno.to_string(), "it is not known how many may be open", "ulimit -n")
        }
    }
}

fn text(items: &[Item]) -> String {
    let width = items.iter().map(|item| item.what.len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for item in items {
        lines.push(format!("{:7}  {:width$}  {}", item.status.word(), item.what, item.found));
        let indent = " ".repeat(width + 11);
        lines.extend(item.costs.map(|costs| format!("{indent}costs: {costs}")));
        lines.extend(item.remedy.as_ref().map(|remedy| format!("{indent}helps: {remedy}")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_says_what_it_costs_and_what_helps() {
        let items = examine();
        assert!(items.len() >= 10);
        for item in &items {
            let complete = item.costs.is_some() && item.remedy.is_some();
            assert!(item.status == Status::Pass || complete, "{item:?}");
            assert!(!item.found.is_empty() && !item.found.contains('\n'), "{item:?}");
        }
        let told = text(&items);
        assert_eq!(told.matches("costs: ").count(), items.iter().filter(|item| item.costs.is_some()).count());
    }

    #[test]
    fn hidden_processes_are_noticed() {
        let mounts = "proc /proc proc rw,nosuid,hidepid=invisible 0 0\nproc /x/proc proc rw,hidepid=2 0 0\n";
        assert_eq!(hidepid(mounts), Some("invisible"));
        assert_eq!(hidepid("proc /proc proc rw,hidepid=0 0 0\n"), None);
        assert_eq!(hidepid("proc /proc proc rw,nosuid 0 0\n"), None);
    }

    #[test]
    fn a_resolver_is_named_or_missed() {
        assert_eq!(resolver(&Ok("nameserver 10.0.0.53\n".to_owned())).status, Status::Pass);
        assert_eq!(resolver(&Ok(String::new())).status, Status::Warn);
        assert!(resolver(&Err(io::Error::from(io::ErrorKind::NotFound))).found.contains("resolv.conf"));
    }
}

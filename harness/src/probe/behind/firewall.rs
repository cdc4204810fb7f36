//! Rules that drop or reject packets, as nft and iptables list them. Reading them mostly needs root.

use crate::evidence::probed::{Filters, Unseen};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Tools, what they are asked, and where they are if PATH has them not.
const TOOLS: [(&str, &[&str]); 3] = [("nft", &["list", "ruleset"]), ("iptables", &["-S"]), ("ip6tables", &["-S"])];
const FOLDERS: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];
/// How long a tool may take: one that answers does so at once, but on a busy machine it may have to wait for a processor.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most bytes that are read of what it says.
const MOST: u64 = 1 << 20;
/// Most rules that are kept, and most characters of each.
const RULES: usize = 10;
const LENGTH: usize = 200;

/// What each tool lists, and what could not be asked.
pub fn read(port: u16) -> (Vec<Filters>, Vec<Unseen>) {
    let (mut filters, mut unseen) = (Vec::new(), Vec::new());
    for (tool, arguments) in TOOLS {
        let Some(path) = find(tool) else { continue };
        match ask(&path, arguments) {
            Ok(text) => filters.push(pick(tool, &text, port)),
            Err(why) => unseen.push(Unseen {
                what: format!("the rules of {tool}"),
                why,
                remedy: Some("run the probe as root".to_owned()),
            }),
        }
    }
    if filters.is_empty() && unseen.is_empty() {
        unseen.push(Unseen {
            what: "whether packets are filtered here".to_owned(),
            why: "neither nft nor iptables is installed".to_owned(),
            remedy: Some("install nftables, which lists the rules".to_owned()),
        });
    }
    (filters, unseen)
}

/// A program on PATH, or where system administrators have theirs.
pub fn find(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(FOLDERS.iter().map(|folder| Path::new(folder).to_owned()));
    folders.map(|folder| folder.join(tool)).find(|path| path.is_file())
}

/// What a tool prints, in bounded time and size.
///
/// # Errors
/// It does not start, takes too long, or refuses: its first words.
pub fn ask(path: &Path, arguments: &[&str]) -> Result<String, String> {
    let mut child = Command::new(path)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("it cannot be started: {error}"))?;
    let outcome = listen(&mut child);
    drop(child.kill()); // it has ended mostly
    let status = child.wait().map_err(|error| format!("how it ended is not known: {error}"))?;
    let (said, complaints) = outcome?;
    if status.success() {
        return Ok(said);
    }
    let words: String = complaints.lines().next().unwrap_or("it failed").chars().take(120).collect();
    Err(words)
}

/// What it says and complains of, until it ends.
fn listen(child: &mut Child) -> Result<(String, String), String> {
    let (sender, receiver) = mpsc::channel();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    std::thread::spawn(move || {
        let text = |pipe: Option<&mut dyn std::io::Read>| {
            let mut bytes = Vec::new();
            if let Some(pipe) = pipe {
                drop(pipe.take(MOST).read_to_end(&mut bytes));
            }
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (mut stdout, mut stderr) = (stdout, stderr);
        let said = text(stdout.as_mut().map(|pipe| pipe as &mut dyn std::io::Read));
        let complaints = text(stderr.as_mut().map(|pipe| pipe as &mut dyn std::io::Read));
        // nobody may wait any more
        drop(sender.send((said, complaints)));
    });
    receiver.recv_timeout(PATIENCE).map_err(|_| format!("it did not answer within {} ms", PATIENCE.as_millis()))
}

/// The rules that drop or reject, and name this port or none. Pure.
fn pick(tool: &str, text: &str, port: u16) -> Filters {
    let rules: Vec<&str> = text.lines().map(str::trim).filter(|line| is_rule(line)).collect();
    let kept = rules.iter().filter(|rule| stops(rule) && names(rule, port) != Some(false)).take(RULES);
    Filters {
        tool: tool.to_owned(),
        rules: kept.map(|rule| rule.chars().take(LENGTH).collect()).collect(),
        count: rules.len() as u64,
    }
}

/// Not a brace, a table or a declaration of a set; the head of a chain counts: it has the policy.
fn is_rule(line: &str) -> bool {
    let heads = ["table ", "chain ", "set ", "map ", "elements", "flags", "#", "}", "-N "];
    !line.is_empty() && !heads.iter().any(|head| line.starts_with(head))
}

fn stops(rule: &str) -> bool {
    let policy_accepts = rule.contains("policy accept") || rule.starts_with("-P") && rule.ends_with("ACCEPT");
    let mut words = rule.split([' ', ';']);
    !policy_accepts && words.any(|word| ["drop", "reject", "DROP", "REJECT"].contains(&word))
}

/// Whether a rule names the port; `None`: it names none.
pub fn names(rule: &str, port: u16) -> Option<bool> {
    let at = ["dport", "dports"].iter().find_map(|word| rule.split_once(&format!("{word} ")));
    let (_, ports) = at?;
    let ports = ports.trim_start_matches("!= ");
    let list = match ports.strip_prefix('{') {
        Some(set) => set.split('}').next().unwrap_or_default(),
        None => ports.split(' ').next().unwrap_or_default(),
    };
    let within = |part: &str| match part.split_once([':', '-']) {
        Some((low, high)) => {
            let (low, high) = (low.trim().parse().unwrap_or(0_u16), high.trim().parse().unwrap_or(u16::MAX));
            (low..=high).contains(&port)
        }
        None => part.trim().parse() == Ok(port),
    };
    Some(list.split(',').any(within))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_stop_packets_to_the_port_or_to_all() {
        let text = "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\
                    \t\ttcp dport 7461 reject with tcp reset\n\t\ttcp dport { 80, 443 } drop\n\t\ttcp dport 22 accept\n\t}\n}\n";
        let found = pick("nft", text, 7461);
        assert_eq!(found.count, 4);
        let rules = ["type filter hook input priority filter; policy drop;", "tcp dport 7461 reject with tcp reset"];
        assert_eq!(found.rules, rules);
        let text = "-P INPUT ACCEPT\n-A INPUT -p tcp -m multiport --dports 7000:8000,9 -j DROP\n-A INPUT -s 10.0.0.9/32 -j REJECT\n";
        assert_eq!(pick("iptables", text, 7461).rules.len(), 2);
        assert_eq!(pick("iptables", text, 22).rules, ["-A INPUT -s 10.0.0.9/32 -j REJECT"]);
    }

    #[test]
    fn ports_stand_alone_in_sets_and_in_ranges() {
        assert_eq!(names("tcp dport 80 drop", 80), Some(true));
        assert_eq!(names("tcp dport 8080 drop", 80), Some(false));
        assert_eq!(names("tcp dport { 22, 80-90 } drop", 85), Some(true));
        assert_eq!(names("ip saddr 10.0.0.1 drop", 80), None);
        assert_eq!(names("-A INPUT -p tcp -m tcp --dport 80 -j DROP", 80), Some(true));
    }

    #[test]
    fn a_tool_that_hangs_fails_or_floods_is_ended() {
        let sh = |script: &str| ask(Path::new("/bin/sh"), &["-c", script]);
        assert_eq!(sh("echo a; echo b").unwrap(), "a\nb\n");
        assert_eq!(sh("echo no right >&2; exit 1"), Err("no right".to_owned()));
        assert!(sh("exec sleep 60").unwrap_err().contains("did not answer"));
        assert!(sh("exec yes").unwrap_err().contains("did not answer"));
        assert!(ask(Path::new("/nonexistent/nft"), &[]).unwrap_err().contains("cannot be started"));
    }
}

//! Probes in a network of their own, where packets are lost, have no way, or are refused by a filter; and what lists sockets.
//! What this machine cannot set up is said and passes.
#![cfg(test)] // so that the lints know the helpers for test code

use super::place::{Ended, Place, harness, json};
use std::net::TcpListener;
use tokio::process::Command;

/// Runs a script of the shell in a network of its own, with the harness as `$0`.
async fn inside(place: &Place, script: &str) -> Ended {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "sh", "-c", script]).arg(harness());
    place.prepare(&mut command);
    place.end(command.spawn().expect("unshare is part of util-linux")).await
}

/// Whether the script can be run; says so if not.
async fn works(place: &Place, what: &str, script: &str) -> bool {
    let tried = inside(place, script).await;
    if tried.code != Some(0) {
        eprintln!("NOT TESTED: {what}: this does not work here: {script}: {tried:?}");
    }
    tried.code == Some(0)
}

/// A link behind which nobody is: whatever is sent is lost.
const NOBODY: &str =
    "ip link set lo up && ip link add void type dummy && ip address add 10.99.0.1/24 dev void && ip link set void up";
fn told(ended: &Ended, code: i32, cause: &str, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    let last = ended.stdout.trim_end().lines().last().unwrap_or_default();
    for part in [&[cause], words].concat() {
        assert!(ended.stdout.contains(part), "{part}: {last}\n{}", ended.stdout);
    }
}

#[tokio::test]
async fn packets_that_are_lost_and_addresses_without_a_way() {
    let place = Place::new();
    if !works(&place, "lost packets", NOBODY).await {
        return;
    }
    let lost = inside(&place, &format!("{NOBODY} && exec \"$0\" probe tcp://10.99.0.2:9 --timeout 500ms")).await;
    told(&lost, 1, "tcp.filtered", &["no answer from 10.99.0.2:9 within 500 ms"]);
    let no_way = inside(&place, "ip link set lo up && exec \"$0\" probe tcp://10.98.0.1:9 --timeout 2s").await;
    told(&no_way, 1, "tcp.unreachable", &["no way leads to 10.98.0.1:9", "ENETUNREACH"]);
    let link_local = inside(&place, &format!("{NOBODY} && exec \"$0\" probe 'tcp://[fe80::9]:9' --timeout 2s")).await;
    told(&link_local, 1, "family.scope_id_missing", &["fe80::9"]);
}

#[tokio::test]
async fn a_machine_without_ipv6() {
    let place = Place::new();
    let off = "ip link set lo up && echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 && echo 1 > /proc/sys/net/ipv6/conf/lo/disable_ipv6";
    if works(&place, "IPv6 switched off", off).await {
        let seen = inside(&place, &format!("{off} && exec \"$0\" probe 'tcp://[::1]:9' --timeout 2s")).await;
        told(&seen, 1, "family.ipv6_disabled", &["this machine has no IPv6"]);
    }
}

#[tokio::test]
async fn a_filter_that_rejects_or_drops_for_a_server_that_listens() {
    let place = Place::new();
    let filter = |verdict: &str| {
        format!(
            "ip link set lo up && nft add table inet f && nft 'add chain inet f input {{ type filter hook input priority 0; }}' \
             && nft add rule inet f input tcp dport 7461 {verdict}"
        )
    };
    if !works(&place, "a filter", &filter("drop")).await {
        return;
    }
    let listen = "sidetone=$(dirname \"$0\")/sidetone; $sidetone server --bind 127.0.0.1 --port 0 --websocket-port 7461 --no-mdns > ready & \
                  until grep -q 7461 ready; do :; done; ";
    for (verdict, cause) in [("drop", "tcp.filtered"), ("reject with tcp reset", "tcp.rejected_by_filter")] {
        let script = format!(
            "{}; {listen} \"$0\" probe ws://127.0.0.1:7461 --timeout 500ms; code=$?; kill %1; exit $code",
            filter(verdict)
        );
        let seen = inside(&place, &script).await;
        told(&seen, 1, cause, &["nft", "7461"]);
    }
}

#[tokio::test]
async fn listeners_are_listed_and_those_that_are_wide_are_marked() {
    let place = Place::new();
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let text = place.harness(&["sockets"]).await;
    let line = text.stdout.lines().find(|line| line.contains(&format!(" {address} "))).unwrap();
    assert!(line.contains(" WIDE ") && line.contains(&format!("pid {} ", std::process::id())), "{line}");
    let all = place.harness(&["sockets", "--udp", "--json"]).await;
    let all = json(&all.stdout);
    let row = all.as_array().unwrap().iter().find(|row| row["address"] == address.as_str()).unwrap();
    assert_eq!((row["reach"].as_str(), row["pid"].as_u64()), (Some("wide"), Some(std::process::id().into())), "{row}");
}

#[tokio::test]
async fn the_doctor_says_what_is_missing_and_what_helps() {
    let place = Place::new();
    let text = place.harness(&["doctor"]).await;
    assert!([Some(0), Some(1)].contains(&text.code), "{text:?}");
    assert_eq!(text.code == Some(1), text.stdout.contains("FAIL "), "{}", text.stdout);
    let all = place.harness(&["doctor", "--json"]).await;
    let all = json(&all.stdout);
    let items = all.as_array().unwrap();
    assert!(
        items.len() >= 10 && items.iter().all(|item| item["status"] == "pass" || item["remedy"].is_string()),
        "{all}"
    );
}

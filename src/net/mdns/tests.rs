//! The state machine on a made-up clock, and a real announcement on loopback.

use super::*;
use proptest::prelude::*;

pub(super) fn advert(instance: &str) -> Advert {
    Advert {
        instance: instance.to_owned(),
        port: 7460,
        websocket_port: Some(7461),
        path: "/ws".to_owned(),
        tls: false,
        degraded: true,
        version: "0.1.0".to_owned(),
        interfaces: vec!["lo".to_owned()],
        addresses: vec!["127.0.0.1".parse().unwrap()],
    }
}

fn responder(pid: u32, start: Instant) -> Responder {
    let service = Service::new(&advert("Blue"), "vm", pid).unwrap();
    Responder::new(service, vec![vec!["127.0.0.1".parse().unwrap()]], start, Duration::ZERO)
}

/// Runs the machine up to a time; what it sent, and the other outputs.
fn run(machine: &mut Responder, until: Instant) -> (Vec<Vec<u8>>, Vec<Output>) {
    let (mut packets, mut others) = (vec![], vec![]);
    while let Some(at) = machine.wakeup().filter(|at| *at <= until) {
        for output in machine.tick(at) {
            match output {
                Output::Send { packet, .. } => packets.push(packet),
                Output::Named(_) | Output::Announced { .. } => others.push(output),
            }
        }
    }
    (packets, others)
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn three_probes_then_two_announcements_then_quiet() {
    let start = now();
    let mut machine = responder(1, start);
    let (packets, others) = run(&mut machine, start + 10 * SECOND);
    assert_eq!(packets.len(), 5);
    assert_eq!((&packets[0], &packets[1]), (&packets[1], &packets[2]));
    assert_ne!(packets[2], packets[3]);
    assert_eq!(others, [Output::Announced { instance: "Blue".to_owned(), addresses: vec!["127.0.0.1".to_owned()] }]);
    assert_eq!(machine.wakeup(), None);
    assert_eq!(machine.goodbye().len(), 1);
}

#[test]
fn its_own_packets_coming_back_change_nothing() {
    let start = now();
    let mut machine = responder(1, start);
    let (packets, _) = run(&mut machine, start);
    assert_eq!(machine.receive(0, &packets[0], start), []);
    let (packets, others) = run(&mut machine, start + SECOND);
    assert_eq!(machine.receive(0, packets.last().unwrap(), start + SECOND), []);
    assert_eq!(others.len(), 1);
    assert_eq!(machine.instance(), "Blue");
}

#[test]
fn a_name_that_is_taken_gets_a_number() {
    let start = now();
    let mut first = responder(1, start);
    let (packets, _) = run(&mut first, start + 10 * SECOND);
    let mut second = responder(2, start + 10 * SECOND);
    let (probes, _) = run(&mut second, start + 10 * SECOND);
    first.receive(0, &probes[0], start + 10 * SECOND);
    let (defence, _) = run(&mut first, start + 10 * SECOND);
    assert_eq!(defence, [packets.last().unwrap().clone()], "a probe is answered at once");
    let named = second.receive(0, &defence[0], start + 10 * SECOND);
    assert_eq!(named, [Output::Named("Blue (2)".to_owned())]);
    let (_, others) = run(&mut second, start + 20 * SECOND);
    assert!(matches!(&others[0], Output::Announced { instance, .. } if instance == "Blue (2)"));
}

#[test]
fn of_two_that_probe_together_one_waits() {
    let start = now();
    let (mut low, mut high) = (responder(1, start), responder(2, start));
    let (low_probe, _) = run(&mut low, start);
    let (high_probe, _) = run(&mut high, start);
    low.receive(0, &high_probe[0], start);
    high.receive(0, &low_probe[0], start);
    assert_eq!(low.wakeup(), Some(start + SECOND));
    assert_eq!(high.wakeup(), Some(start + Duration::from_millis(250)));
}

#[test]
fn a_question_is_answered_once_a_second_at_most_and_not_if_the_answer_is_known() {
    let start = now();
    let mut machine = responder(1, start);
    let (packets, _) = run(&mut machine, start + 10 * SECOND);
    let ask = message::query(vec![(message::service_name(), simple_dns::TYPE::PTR)]);
    let at = start + 20 * SECOND;
    machine.receive(0, &ask, at);
    let (answers, _) = run(&mut machine, at + SECOND / 10);
    assert_eq!(answers, [packets.last().unwrap().clone()]);
    machine.receive(0, &ask, at + SECOND / 10);
    assert_eq!(run(&mut machine, at + SECOND / 2).0.len(), 0, "not again within a second");
    assert_eq!(run(&mut machine, at + 2 * SECOND).0.len(), 1, "but then it is");

    let mut knowing = simple_dns::Packet::parse(&ask).unwrap();
    let known = Service::new(&advert("Blue"), "vm", 1).unwrap();
    knowing.answers = known.records(&[], 120);
    machine.receive(0, &knowing.build_bytes_vec().unwrap(), at + 10 * SECOND);
    assert_eq!(machine.wakeup(), None);
    let other = message::query(vec![(simple_dns::Name::new("_http._tcp.local").unwrap(), simple_dns::TYPE::PTR)]);
    machine.receive(0, &other, at + 10 * SECOND);
    assert_eq!(machine.wakeup(), None);
}

#[test]
fn a_peer_that_disputes_every_name_is_met_with_a_pause() {
    let start = now();
    let mut machine = responder(1, start);
    for _ in 0..20 {
        let name = machine.instance();
        let other = Service::new(&advert(&name), "vm", 2).unwrap();
        machine.receive(0, &other.announcement(&[], 120), start);
    }
    assert_eq!(machine.wakeup(), Some(start + 5 * SECOND));
}

proptest! {
    #[test]
    fn no_packet_from_the_network_panics(at in 0usize..400, bytes in proptest::collection::vec(any::<u8>(), 0..40), length in 0usize..400) {
        let start = now();
        let mut machine = responder(1, start);
        let (packets, _) = run(&mut machine, start + SECOND);
        for mut packet in packets {
            for (n, byte) in bytes.iter().enumerate() {
                if let Some(place) = packet.get_mut(at + n) {
                    *place = *byte;
                }
            }
            packet.truncate(length);
            machine.receive(0, &packet, start + SECOND);
            browse::learns(&packet);
        }
    }
}

#[test]
fn nothing_is_taken_back_that_was_never_announced() {
    let start = now();
    let mut machine = responder(1, start);
    run(&mut machine, start);
    assert_eq!(machine.goodbye(), []);
}

#[test]
fn names_have_1_to_63_bytes_and_numbers_fit_in() {
    assert!(matches!(Service::new(&advert(""), "vm", 1), Err(MdnsError::Name(_))));
    assert!(Service::new(&advert(&"x".repeat(63)), "vm", 1).is_ok());
    assert!(matches!(Service::new(&advert(&"x".repeat(64)), "vm", 1), Err(MdnsError::Name(_))));
    let long = Service::numbered(&"é".repeat(31), 12);
    assert!(long.ends_with("é (12)") && long.len() <= 63, "{long}");
}

/// Events of an announcement, and a way to wait for one.
fn reporter() -> (Reporter, Receiver<Event>) {
    let (sender, receiver) = channel();
    let report = Reporter::new(move |event, _| drop(sender.send(event)));
    (report, receiver)
}

fn announced(events: &Receiver<Event>) -> String {
    loop {
        let event = events.recv_timeout(Duration::from_mins(1)).unwrap();
        if let Event::MdnsAnnounced { instance, .. } = event {
            return instance;
        }
        assert!(matches!(event, Event::MdnsRegistering { .. }), "{}", event.message());
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_is_announced_on_loopback_is_found_there_until_it_is_withdrawn() {
    let name = format!("test {}", std::process::id());
    let (report, events) = reporter();
    let first = advertise(&advert(&name), &report).unwrap();
    assert_eq!(announced(&events), name);
    let (report, second_events) = reporter();
    let second = advertise(&Advert { port: 7470, ..advert(&name) }, &report).unwrap();
    let renamed = format!("{name} (2)");
    assert_eq!(announced(&second_events), renamed);
    assert_eq!((first.instance(), second.instance()), (name.clone(), renamed.clone()));

    let look = |timeout| {
        let interfaces = Some(vec!["lo".to_owned()]);
        browse(BrowseOptions { interfaces, timeout: Duration::from_millis(timeout), stop_after_first: false })
    };
    // Each look asks anew; the first is enough unless the machine is very busy.
    let both = async {
        loop {
            let mut ours = look(1500).await.unwrap();
            ours.retain(|found| found.instance.starts_with(&name));
            if ours.len() == 2 {
                break ours;
            }
        }
    };
    let ours = tokio::time::timeout(Duration::from_mins(1), both).await.expect("both are found");
    assert_eq!((ours[0].instance.as_str(), ours[0].port, ours[0].websocket_port), (name.as_str(), 7460, Some(7461)));
    assert_eq!((ours[1].instance.as_str(), ours[1].port), (renamed.as_str(), 7470));
    assert_eq!(ours[0].addresses, ["127.0.0.1".parse::<IpAddr>().unwrap()]);

    assert!(first.withdraw());
    assert!(events.try_iter().any(|event| event == Event::MdnsWithdrawn { instance: name.clone() }));
    assert!(second.withdraw());
    let left = look(1500).await.unwrap();
    assert!(!left.iter().any(|f| f.instance.starts_with(&name)), "{left:?}");
}

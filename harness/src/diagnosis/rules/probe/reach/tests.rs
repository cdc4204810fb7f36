//! Steps in, causes out.

use crate::diagnosis::diagnose;
use crate::evidence::probed::{
    Behind, Connected, Excerpt, Exchange, Failure, FamilyAnswer, Filters, Firewall, Hello, How, Identified, Listening,
    LookupError, NameSource, Owner, Proxied, Resolved, Route, Saw, Speaks, Step, Upgrade,
};
use crate::evidence::{
    Answer, Confidence, Environment, Evidence, Held, Observation, Observed, Plan, ProbePlan, ProcessState, Report,
    RunInfo, SCHEMA_VERSION, SocketRow, Speak, Status,
};
use sidetone::event::{Errno, Family};
use std::collections::BTreeMap;
use std::net::SocketAddr;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn step(address: Option<&str>, saw: Saw) -> Step {
    Step { address: address.map(at), began_us: 0, took_us: 200, deadline_ms: 1_000, saw }
}

fn failure(how: How, errno: Option<(i32, &str)>, words: &str) -> Failure {
    let errno = errno.map(|(number, name)| Errno { number, name: name.to_owned() });
    Failure { errno, ..Failure::new(how, words) }
}

fn refused() -> Failure {
    failure(How::Refused, Some((111, "ECONNREFUSED")), "")
}

fn silent() -> Failure {
    failure(How::TimedOut, None, "no byte within 1000 ms")
}

fn connect(address: &str, failure: Option<Failure>) -> Step {
    let chosen = failure.is_none();
    step(Some(address), Saw::Connect(Connected { order: 1, chosen, failure, ..Connected::default() }))
}

fn behind(address: &str, seen: Behind) -> Step {
    step(Some(address), Saw::Behind(Behind { port: at(address).port(), ..seen }))
}

fn listener(address: &str, target: &str, state: &str) -> Listening {
    let state = ProcessState {
        state: state.to_owned(),
        waits_in: None,
        cpu_ms: 1,
        descriptors: Some(10),
        descriptor_limit: Some(1_024),
    };
    let owner =
        Owner { pid: 4711, command: Some("server --x".to_owned()), since: None, state: Some(state), threads: None };
    Listening {
        address: at(address),
        covers: Listening::takes(at(address), None, at(target)),
        v6only: None,
        waiting: Some(0),
        backlog: Some(128),
        user_id: None,
        namespace: None,
        owners: vec![owner],
    }
}

fn diagnosed(speak: Speak, steps: Vec<Step>, environment: Environment) -> Report {
    let plan = ProbePlan {
        target: "example".to_owned(),
        speak,
        host: "example".to_owned(),
        port: 9,
        deadline_ms: 1_000,
        only: None,
        deep: false,
        intrusive: false,
        insecure: false,
        subprotocols: vec![],
        origin: None,
        proxy: None,
        proxies_of_environment: vec![],
        log: false,
        ..ProbePlan::default()
    };
    let observed =
        |step| Observed { time: "2026-11-28T00:00:00Z".to_owned(), monotonic_ns: 1, what: Observation::Probed(step) };
    let evidence = Evidence {
        schema_version: SCHEMA_VERSION.to_owned(),
        run: RunInfo::default(),
        plan: Plan { probe: Some(plan), ..Plan::default() },
        environment,
        logs: vec![],
        observations: steps.into_iter().map(observed).collect(),
        artefacts: BTreeMap::new(),
    };
    diagnose(&evidence, vec![])
}

/// The causes with their confidence; every check of ours that is not well must be explained by one.
fn causes(speak: Speak, steps: Vec<Step>) -> Vec<(String, Confidence)> {
    let report = diagnosed(speak, steps, Environment::default());
    for check in &report.checks {
        let well = matches!(check.status, Status::Pass | Status::Skip);
        assert!(well || check.caused_by.is_some(), "{check:#?} {:#?}", report.findings);
    }
    report.findings.into_iter().map(|finding| (finding.cause, finding.confidence)).collect()
}

#[track_caller]
fn one(steps: Vec<Step>, cause: &str, confidence: Confidence) {
    assert_eq!(causes(Speak::Tcp, steps), [(cause.to_owned(), confidence)]);
}

fn resolved(answers: &[(Family, i32, &str)], servers: Option<&[&str]>) -> Step {
    let answer = |(family, number, name): &(Family, i32, &str)| FamilyAnswer {
        family: *family,
        addresses: if name.contains('E') { vec![] } else { vec![name.parse().unwrap()] },
        error: name.contains('E').then(|| LookupError { number: *number, name: (*name).to_owned() }),
        took_us: 100,
    };
    let answers: Vec<_> = answers.iter().map(answer).collect();
    let name_servers = servers.map(|all| all.iter().map(ToString::to_string).collect());
    let failure = Some(Failure::new(How::NoAddress, "no address"));
    let source = NameSource::Resolver;
    let it = Resolved { host: "a.example".to_owned(), source, answers, order: vec![], name_servers, failure };
    step(None, Saw::Resolve(it))
}

#[test]
fn names() {
    let (v4, v6) = (Family::Ipv4, Family::Ipv6);
    let servers = Some(&["10.0.0.53"][..]);
    let none = [(v4, -2, "EAI_NONAME"), (v6, -2, "EAI_NONAME")];
    one(vec![resolved(&none, servers)], "dns.name_not_found", Confidence::High);
    let again = [(v4, -3, "EAI_AGAIN"), (v6, -3, "EAI_AGAIN")];
    one(vec![resolved(&again, servers)], "dns.resolver_unavailable", Confidence::High);
    one(vec![resolved(&again, Some(&[]))], "dns.resolver_not_configured", Confidence::High);
    one(vec![resolved(&again, None)], "dns.resolver_not_configured", Confidence::Medium);
    let late = [(v4, 0, "timEd out")];
    one(vec![resolved(&late, servers)], "dns.resolver_unavailable", Confidence::High);
    let other = [(v6, -5, "EAI_NODATA"), (v4, 0, "10.0.0.1")];
    one(vec![resolved(&other, servers)], "dns.no_address_of_family", Confidence::High);
}

#[test]
fn a_slow_resolver_is_a_warning() {
    let answer =
        FamilyAnswer { family: Family::Ipv4, addresses: vec!["10.0.0.1".parse().unwrap()], error: None, took_us: 5 };
    let it = Resolved {
        host: "a.example".to_owned(),
        source: NameSource::Resolver,
        answers: vec![answer],
        order: vec![at("10.0.0.1:9")],
        name_servers: None,
        failure: None,
    };
    let slow = Step { took_us: 5_000_000, ..step(None, Saw::Resolve(it)) };
    one(vec![slow, connect("10.0.0.1:9", None)], "dns.resolver_slow", Confidence::High);
}

#[test]
fn refused_here_and_elsewhere() {
    let free = Behind { bind: Some(Answer::Bound {}), ..Behind::default() };
    let here = vec![connect("127.0.0.1:9", Some(refused())), behind("127.0.0.1:9", free)];
    one(here, "tcp.refused", Confidence::High);
    one(vec![connect("10.9.9.9:9", Some(refused()))], "tcp.refused", Confidence::Medium);
    let udp = Exchange { over: "udp".to_owned(), failure: Some(refused()), ..Exchange::default() };
    let found = causes(Speak::Udp, vec![step(Some("10.9.9.9:9"), Saw::Exchange(udp))]);
    assert_eq!(found, [("tcp.refused".to_owned(), Confidence::High)]);
}

fn in_use() -> Answer {
    Answer::NotBound { call: "bind".to_owned(), errno: Errno { number: 98, name: "EADDRINUSE".to_owned() } }
}

#[test]
fn a_port_that_is_held_without_a_listener() {
    let bound = Behind { bind: Some(in_use()), ..Behind::default() };
    let steps = |seen| vec![connect("127.0.0.1:40000", Some(refused())), behind("127.0.0.1:40000", seen)];
    one(steps(bound), "bind.bound_not_listening", Confidence::High);
    let row = SocketRow {
        local: at("127.0.0.1:40000"),
        remote: Some(at("127.0.0.1:443")),
        state: "ESTABLISHED".to_owned(),
        inode: 7,
        pids: vec![4711],
        rx_queue: None,
    };
    let held = Held { socket: row, command: Some("curl x".to_owned()), since: None };
    let outgoing = Behind {
        bind: Some(in_use()),
        others: vec![held],
        others_count: 1,
        ephemeral_range: Some((32_768, 60_999)),
        ..Behind::default()
    };
    one(steps(outgoing), "bind.port_taken_by_outgoing", Confidence::High);
    let namespace = Some("net:[4026532008]".to_owned());
    let away = Listening { namespace, ..listener("127.0.0.1:40000", "127.0.0.1:40000", "S") };
    let elsewhere = Behind { bind: Some(Answer::Bound {}), elsewhere: vec![away], ..Behind::default() };
    one(steps(elsewhere), "bind.other_network_namespace", Confidence::High);
}

#[test]
fn a_listener_on_another_address_or_family() {
    let on =
        |address: &str, target: &str| Behind { listeners: vec![listener(address, target, "S")], ..Behind::default() };
    let loopback = vec![connect("10.0.0.5:9", Some(refused())), behind("10.0.0.5:9", on("127.0.0.1:9", "10.0.0.5:9"))];
    one(loopback, "bind.loopback_only", Confidence::High);
    let v4_only = vec![
        connect("[::1]:9", Some(refused())),
        connect("127.0.0.1:9", None),
        behind("[::1]:9", on("127.0.0.1:9", "127.0.0.1:9")),
    ];
    one(v4_only, "family.server_v4_only", Confidence::High);
    let far = vec![connect("10.9.9.9:9", Some(refused())), connect("[fd00::9]:9", None)];
    one(far, "family.server_v6_only", Confidence::Medium);
    let it = Resolved {
        host: "localhost".to_owned(),
        source: NameSource::HostsFile,
        order: vec![at("127.0.0.1:9")],
        ..Resolved::default()
    };
    let name = vec![
        step(None, Saw::Resolve(it)),
        connect("127.0.0.1:9", Some(refused())),
        behind("127.0.0.1:9", on("[::1]:9", "127.0.0.1:9")),
    ];
    one(name, "family.name_gives_one_family", Confidence::High);
}

#[test]
fn a_filter_that_rejects_or_drops() {
    let rules = |rule: &str| Firewall {
        filters: vec![Filters { tool: "nft".to_owned(), rules: vec![rule.to_owned()], count: 1 }],
    };
    let seen = |firewall| Behind {
        listeners: vec![listener("127.0.0.1:9", "127.0.0.1:9", "S")],
        overflows_rose: Some((0, 0)),
        firewall,
        ..Behind::default()
    };
    let steps = |failure, seen| vec![connect("127.0.0.1:9", Some(failure)), behind("127.0.0.1:9", seen)];
    one(steps(refused(), seen(rules("tcp dport 9 reject"))), "tcp.rejected_by_filter", Confidence::High);
    one(steps(refused(), seen(Firewall::default())), "tcp.rejected_by_filter", Confidence::Medium);
    one(steps(silent(), seen(rules("tcp dport 9 drop"))), "tcp.filtered", Confidence::High);
    one(vec![connect("10.9.9.9:9", Some(silent()))], "tcp.filtered", Confidence::Medium);
    let mut full = seen(Firewall::default());
    full.listeners[0].waiting = Some(129);
    full.overflows_rose = Some((3, 3));
    one(steps(silent(), full), "tcp.accept_queue_full", Confidence::High);
}

#[test]
fn a_process_that_cannot_serve_explains_all_that_is_above() {
    let hello = Hello { failure: Some(silent()), ..Hello::default() };
    let steps = |state: &str, change: fn(&mut Listening)| {
        let mut one = listener("127.0.0.1:9", "127.0.0.1:9", state);
        change(&mut one);
        let seen = Behind { listeners: vec![one], ..Behind::default() };
        vec![
            connect("127.0.0.1:9", None),
            step(Some("127.0.0.1:9"), Saw::Hello(hello.clone())),
            step(
                Some("127.0.0.1:9"),
                Saw::Identify(Identified { otherwise: "waits".to_owned(), ..Identified::default() }),
            ),
            behind("127.0.0.1:9", seen),
        ]
    };
    let found = |steps| causes(Speak::Any, steps);
    assert_eq!(found(steps("T", |_| ())), [("process.stopped".to_owned(), Confidence::High)]);
    assert_eq!(found(steps("D", |_| ())), [("process.blocked_on_io".to_owned(), Confidence::Medium)]);
    let full = |one: &mut Listening| {
        one.waiting = Some(2);
        let state = one.owners[0].state.as_mut().unwrap();
        state.descriptors = Some(1_024);
    };
    assert_eq!(found(steps("S", full)), [("resource.fd_limit".to_owned(), Confidence::High)]);
}

#[test]
fn silence_without_a_cause_fails_without_one() {
    let silent = Identified { otherwise: "waits".to_owned(), ..Identified::default() };
    let steps = vec![connect("10.9.9.9:9", None), step(Some("10.9.9.9:9"), Saw::Identify(silent))];
    let report = diagnosed(Speak::Any, steps, Environment::default());
    assert_eq!((report.verdict.status, report.findings.len()), (Status::Fail, 0), "{report:#?}");
    let greeting = crate::evidence::probed::Greeting {
        begins: Excerpt::of(b"SSH-2.0-x\r\n"),
        protocol: Some("SSH".to_owned()),
        after_us: 1,
    };
    let ssh = Identified { speaks: Speaks::Greeting, greeting: Some(greeting), ..Identified::default() };
    assert!(
        causes(Speak::Any, vec![connect("10.9.9.9:9", None), step(Some("10.9.9.9:9"), Saw::Identify(ssh))]).is_empty()
    );
}

#[test]
fn connections_that_end_before_a_byte() {
    let cut = |how| Upgrade { failure: Some(Failure::new(how, "closed without a byte")), ..Upgrade::default() };
    let steps = |how, identified: Option<Speaks>| {
        let mut steps = vec![connect("10.9.9.9:9", None), step(Some("10.9.9.9:9"), Saw::Upgrade(cut(how)))];
        steps.extend(
            identified
                .map(|speaks| step(Some("10.9.9.9:9"), Saw::Identify(Identified { speaks, ..Identified::default() }))),
        );
        let report = diagnosed(Speak::Ws, steps, Environment::default());
        report.findings.first().map(|finding| finding.cause.clone())
    };
    assert_eq!(steps(How::Closed, Some(Speaks::Closes)).as_deref(), Some("tcp.closed_early"));
    assert_eq!(steps(How::Reset, None).as_deref(), Some("tcp.reset_after_accept"));
    assert_ne!(
        steps(How::Reset, Some(Speaks::Tls)).as_deref(),
        Some("tcp.reset_after_accept"),
        "it only speaks otherwise"
    );
    let closes = |otherwise: &str| {
        let it = Identified { speaks: Speaks::Closes, otherwise: otherwise.to_owned(), ..Identified::default() };
        causes(Speak::Any, vec![connect("10.9.9.9:9", None), step(Some("10.9.9.9:9"), Saw::Identify(it))])
    };
    assert_eq!(closes("closes"), [("tcp.closed_early".to_owned(), Confidence::High)]);
    assert_eq!(closes("resets"), [("tcp.reset_after_accept".to_owned(), Confidence::High)]);
}

#[test]
fn what_this_machine_lacks() {
    let no_scope = failure(How::Unreachable, Some((22, "EINVAL")), "");
    let route = |address: &str, failure: Failure| {
        step(Some(address), Saw::Route(Route { failure: Some(failure), ..Route::default() }))
    };
    let steps = vec![route("[fe80::1]:9", no_scope.clone()), connect("[fe80::1]:9", Some(no_scope))];
    one(steps, "family.scope_id_missing", Confidence::High);
    let no_way = failure(How::Unreachable, Some((101, "ENETUNREACH")), "no route leads there");
    let steps = vec![route("10.9.9.9:9", no_way.clone()), connect("10.9.9.9:9", Some(no_way.clone()))];
    one(steps, "tcp.unreachable", Confidence::High);
    let taken = failure(How::Unreachable, Some((99, "EADDRNOTAVAIL")), "28232 of the 28232 ports are taken");
    one(vec![connect("10.9.9.9:9", Some(taken))], "tcp.ephemeral_ports_exhausted", Confidence::High);
    // the family that works is enough
    let steps = vec![
        route("[2001:db8::9]:9", no_way.clone()),
        connect("[2001:db8::9]:9", Some(no_way.clone())),
        connect("10.9.9.9:9", None),
    ];
    assert_eq!(causes(Speak::Tcp, steps), []);
    let environment = Environment { ipv6: Some(false), ..Environment::default() };
    let report = diagnosed(Speak::Tcp, vec![connect("[2001:db8::9]:9", Some(no_way))], environment);
    assert_eq!(report.findings[0].cause, "family.ipv6_disabled");
}

#[test]
fn a_family_that_is_lost_and_a_proxy_that_says_no() {
    let steps = vec![connect("[2001:db8::9]:9", Some(silent())), connect("10.9.9.9:9", None)];
    one(steps, "family.slow_fallback", Confidence::High);
    let it = Proxied {
        proxy: "http://10.0.0.1:3128".to_owned(),
        authority: "example:9".to_owned(),
        status: Some(403),
        failure: Some(Failure::new(How::Said, "it answers 403 Forbidden")),
        ..Proxied::default()
    };
    one(vec![step(Some("10.0.0.1:3128"), Saw::Proxy(it))], "tcp.proxy_interferes", Confidence::High);
}

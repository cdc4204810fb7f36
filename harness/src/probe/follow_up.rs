//! Answers to the questions of the diagnosis. Each takes a second at most (a browse a second more), and says so when it
//! could not be found out.

use super::bind::bind;
use super::mdns;
use super::tcp::{begin, connect, took_us};
use crate::evidence::{Answer, Observation, Question};
use crate::launch::resources;
use crate::sockets;
use sidetone::event::Reporter;
use sidetone::net::mdns::{Advert, Announcement, advertise};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// For every question but a browse.
const PATIENCE: Duration = Duration::from_secs(1);
/// For a browse.
const BROWSE: Duration = Duration::from_secs(2);
/// How long a browse listens: it ends by itself before the patience does.
const LISTEN: Duration = Duration::from_millis(1_700);
/// Where it browses: servers of the harness announce themselves there alone.
const LOOPBACK: &str = "lo";

/// Answers a question; `because` is what the answer decides.
pub async fn answer(question: &Question, because: &str) -> Observation {
    let began = begin();
    let answer = find_out(question).await;
    Observation::FollowUp { question: question.clone(), because: because.to_owned(), answer, took_us: took_us(began) }
}

async fn find_out(question: &Question) -> Answer {
    match *question {
        Question::Bind { address, v6only } => aside(PATIENCE, move || bind(address, v6only)).await,
        Question::Holders { port } => aside(PATIENCE, move || holders(port)).await,
        Question::Connect { address } => connected(address).await,
        Question::Browse { ref instance } => browse(instance).await,
        Question::Process { pid, .. } => aside(PATIENCE, move || process(pid)).await,
        Question::EphemeralRange {} => aside(PATIENCE, ephemeral_range).await,
        Question::Later => Answer::None { why: "this version does not know how".to_owned() },
    }
}

/// On a thread of its own: reading of a process that hangs in the kernel may hang too, and would hold the runtime at its end.
async fn aside(patience: Duration, work: impl FnOnce() -> Answer + Send + 'static) -> Answer {
    let (sender, receiver) = oneshot::channel();
    let thread = std::thread::Builder::new().name("follow-up".to_owned());
    if let Err(error) = thread.spawn(move || drop(sender.send(work()))) {
        return Answer::None { why: format!("cannot start a thread: {error}") };
    }
    match timeout(patience, receiver).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Answer::None { why: "the harness failed while it looked".to_owned() },
        Err(_) => Answer::None { why: format!("the system did not tell within {} ms", patience.as_millis()) },
    }
}

fn holders(port: u16) -> Answer {
    match sockets::holders(port) {
        Ok(sockets) => Answer::Holders { sockets },
        Err(why) => Answer::None { why },
    }
}

async fn connected(address: SocketAddr) -> Answer {
    let Observation::Connect { errno, .. } = connect(address, PATIENCE).await else {
        return Answer::None { why: "nothing was tried".to_owned() };
    };
    match errno {
        None => Answer::Connected {},
        // Our own limit says nothing of the address.
        Some(own) if own.starts_with("EMFILE") || own.starts_with("ENFILE") => {
            Answer::None { why: format!("the harness itself cannot open a socket: {own}") }
        }
        Some(errno) => Answer::NotConnected { errno },
    }
}

/// Browses for the instance, and beside it for an announcement of the harness itself: a browse that does not find that one
/// either is blind, and what it does not see says nothing.
async fn browse(instance: &str) -> Answer {
    let began = begin();
    let name = format!("control of the harness {}", std::process::id());
    let control = control(&name);
    let interfaces = [LOOPBACK.to_owned()];
    let looks = async {
        tokio::join!(mdns::find(&interfaces, instance, LISTEN), async {
            match &control {
                Some(_) => Some(mdns::find(&interfaces, &name, LISTEN).await),
                None => None,
            }
        })
    };
    let Ok((seen, control_seen)) = timeout(BROWSE, looks).await else {
        return Answer::None { why: format!("the browse did not end within {} ms", BROWSE.as_millis()) };
    };
    let waited_ms = took_us(began) / 1_000;
    if let Some(control) = control {
        aside(PATIENCE, move || {
            control.withdraw();
            Answer::Found { ports: Vec::new() }
        })
        .await;
    }
    let Observation::Browse { found, error, .. } = seen else {
        return Answer::None { why: "nothing was tried".to_owned() };
    };
    let control_found = control_seen
        .map(|seen| matches!(seen, Observation::Browse { found, .. } if found.iter().any(|row| row.instance == name)));
    match (found.iter().find(|row| row.instance == instance), error) {
        (Some(row), _) => Answer::Found { ports: std::iter::once(row.port).chain(row.websocket_port).collect() },
        (None, Some(why)) => Answer::None { why },
        (None, None) => Answer::NotFound { waited_ms, control_found },
    }
}

/// An announcement on loopback that a browse must find; `None`: it cannot be made.
fn control(name: &str) -> Option<Announcement> {
    let advert = Advert {
        instance: name.to_owned(),
        port: 9,
        websocket_port: None,
        path: String::new(),
        tls: false,
        degraded: false,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        interfaces: vec![LOOPBACK.to_owned()],
        addresses: vec![Ipv4Addr::LOCALHOST.into()],
    };
    advertise(&advert, &Reporter::new(|_, _| {})).ok()
}

fn process(pid: u32) -> Answer {
    match resources::process_state(pid) {
        Ok(Some(state)) => Answer::Process(state),
        Ok(None) => Answer::Gone {},
        Err(why) => Answer::None { why },
    }
}

fn ephemeral_range() -> Answer {
    let Some(range) = resources::ephemeral_range() else {
        return Answer::None { why: "the kernel's ephemeral range is not readable".to_owned() };
    };
    match sockets::local_ports() {
        Ok(ports) => {
            let taken = ports.iter().filter(|port| (range.0..=range.1).contains(port)).count();
            Answer::Range { range, taken: u32::try_from(taken).unwrap_or(u32::MAX) }
        }
        Err(why) => Answer::None { why },
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::net::TcpListener;

    async fn ask(question: Question) -> Answer {
        let seen = answer(&question, "a test asks").await;
        let text = serde_json::to_string(&seen).unwrap();
        assert_eq!(serde_json::from_str::<Observation>(&text).unwrap(), seen, "it comes back from the file");
        let Observation::FollowUp { question: asked, because, answer, .. } = seen else { panic!("{seen:?}") };
        assert_eq!((asked, because.as_str()), (question, "a test asks"));
        answer
    }

    #[tokio::test]
    async fn a_port_that_is_held_and_whose_it_is() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let refused = ask(Question::Bind { address, v6only: None }).await;
        assert!(matches!(&refused, Answer::NotBound { errno, .. } if errno.name == "EADDRINUSE"), "{refused:?}");
        let Answer::Holders { sockets } = ask(Question::Holders { port: address.port() }).await else { panic!() };
        assert!(sockets.iter().any(|held| held.socket.pids.contains(&std::process::id())), "{sockets:?}");
        assert_eq!(ask(Question::Connect { address }).await, Answer::Connected {});
    }

    #[tokio::test]
    async fn nobody_listens() {
        // bound, so that nobody else gets the port, and not listening
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let refused = Answer::NotConnected { errno: "ECONNREFUSED (111)".to_owned() };
        assert_eq!(ask(Question::Connect { address }).await, refused);
    }

    #[tokio::test]
    async fn processes_that_live_and_one_that_never_did() {
        let process = |pid| Question::Process { process: "server".to_owned(), pid };
        let own = ask(process(std::process::id())).await;
        assert!(matches!(&own, Answer::Process(state) if state.descriptors > Some(2)), "{own:?}");
        assert_eq!(ask(process(u32::MAX)).await, Answer::Gone {});
    }

    #[tokio::test]
    async fn a_port_of_the_range_that_is_taken_counts() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let Answer::Range { range: (low, high), taken } = ask(Question::EphemeralRange {}).await else { panic!() };
        assert!((low..=high).contains(&listener.local_addr().unwrap().port()), "{low}-{high}");
        assert!(taken >= 1 && taken <= u32::from(high - low) + 1, "{taken}");
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_not_found() {
        let instance = format!("nobody {}", std::process::id());
        let answer = ask(Question::Browse { instance }).await;
        let late = matches!(&answer, Answer::None { why } if why.contains("did not end")); // a very busy machine
        assert!(late || matches!(answer, Answer::NotFound { waited_ms: 1_200.., .. }), "{answer:?}");
    }

    #[tokio::test]
    async fn what_does_not_come_in_time_is_no_answer() {
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let answer =
            aside(Duration::from_millis(10), move || wait.recv().map_or(Answer::Gone {}, |()| Answer::Bound {}));
        assert!(matches!(answer.await, Answer::None { why } if why.contains("within 10 ms")));
        drop(release);
        let answer = aside(PATIENCE, || panic!("on purpose")).await;
        assert!(matches!(&answer, Answer::None { why } if why.contains("failed")), "{answer:?}");
    }
}

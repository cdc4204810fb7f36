//! The upgrade to a WebSocket (RFC 6455, section 4).

use super::answer::{self, Answer};
use super::request::{Request, own_origin};
use super::socket::WebSocket;
use crate::evidence::probed::{Failure, How, Http, OriginTried, Saw, Step, Upgrade, UpgradeProblem};
use crate::probe::open::{self, Connection};
use crate::probe::options::Options;
use crate::probe::target::Url;
use crate::probe::watch::{Lap, Watch};
use sidetone::net::dial::target::WEBSOCKET_PATH;
use std::net::SocketAddr;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// An upgrade that was asked for, with its answer.
struct Asked {
    upgrade: Upgrade,
    socket: Option<WebSocket>,
}

/// Asks for the upgrade, and looks at every header of the answer. Further connections tell what a refusal is about, each a step
/// of its own: a status from 400 to 499 (but not 429) to an offered subprotocol is tried without one; after a 403, whether the
/// `Origin` decides; where that path has no WebSocket, whether a usual one has.
pub async fn upgrade(
    stream: Connection,
    address: SocketAddr,
    options: &Options,
    watch: Watch,
) -> (Vec<Step>, Option<WebSocket>) {
    let lap = watch.begin();
    let offered = options.offered();
    let first = ask(stream, options, &offered, (lap, watch)).await;
    let status = first.upgrade.answer.status;
    let mut steps = vec![lap.end(address, Saw::Upgrade(first.upgrade))];
    if first.socket.is_some() {
        return (steps, first.socket);
    }
    if matches!(status, Some(400..=428 | 430..=499)) && !offered.is_empty() {
        let lap = watch.begin();
        let without = Options { subprotocols: [].into(), ..options.clone() };
        let second = ask_again(address, &without, &[], (lap, watch)).await;
        steps.push(lap.end(address, Saw::Upgrade(Upgrade { second_try: true, ..second.upgrade })));
        if second.socket.is_some() {
            return (steps, second.socket);
        }
    }
    if status == Some(403) {
        // the one that was not tried yet
        let origin = if options.origin.is_some() { None } else { Some(own_origin(&options.url)) };
        steps.push(with_origin(origin, address, options, watch).await);
    }
    // who switched, and who cannot serve at all, has no other path to be asked for
    if matches!(status, Some(200..=299 | 400 | 404 | 405 | 410 | 426 | 501)) {
        steps.extend(elsewhere(address, options, watch).await);
    }
    (steps, None)
}

/// The upgrade at the usual paths other than the one that was asked for: the first that switches, or all that do not.
async fn elsewhere(address: SocketAddr, options: &Options, watch: Watch) -> Vec<Step> {
    let asked = options.url.path.split('?').next().unwrap_or_default();
    let mut steps = Vec::new();
    for path in ["/", WEBSOCKET_PATH].into_iter().filter(|path| *path != asked) {
        let lap = watch.begin();
        let url = Url { path: path.to_owned(), ..options.url.clone() };
        let options = Options { url, ..options.clone() };
        let tried = ask_again(address, &options, &options.offered(), (lap, watch)).await;
        steps.push(lap.end(address, Saw::Upgrade(Upgrade { elsewhere: true, ..tried.upgrade })));
        if let Some(socket) = tried.socket {
            socket.leave().await;
            break;
        }
    }
    steps
}

async fn ask_again(address: SocketAddr, options: &Options, offered: &[String], time: (Lap, Watch)) -> Asked {
    match open::again(address, options, time.1).await {
        Ok(stream) => ask(stream, options, offered, time).await,
        Err(failure) => Asked { upgrade: Upgrade { failure: Some(failure), ..Upgrade::default() }, socket: None },
    }
}

/// An upgrade with another `Origin`, or without one, on a connection of its own: its status is what matters.
pub(super) async fn with_origin(origin: Option<String>, address: SocketAddr, options: &Options, watch: Watch) -> Step {
    let lap = watch.begin();
    let options = Options { origin: origin.clone(), ..options.clone() };
    let (status, failure) = match open::again(address, &options, watch).await {
        Ok(stream) => {
            let asked = ask(stream, &options, &options.offered(), (lap, watch)).await;
            if let Some(socket) = asked.socket {
                socket.leave().await;
            }
            (asked.upgrade.answer.status, asked.upgrade.answer.failure)
        }
        Err(failure) => (None, Some(failure)),
    };
    lap.end(address, Saw::Origin(OriginTried { origin, status, failure }))
}

/// A further WebSocket like the first, for tests that need one each.
///
/// # Errors
/// Why there is none.
pub(super) async fn another(address: SocketAddr, options: &Options, watch: Watch) -> Result<WebSocket, Failure> {
    let lap = watch.begin();
    let stream = open::again(address, options, watch).await?;
    let asked = ask(stream, options, &options.offered(), (lap, watch)).await;
    asked
        .socket
        .ok_or_else(|| asked.upgrade.failure.unwrap_or_else(|| Failure::new(How::Said, "it does not upgrade again")))
}

async fn ask(mut stream: Connection, options: &Options, offered: &[String], (lap, watch): (Lap, Watch)) -> Asked {
    let mut request = Request::of(options).upgrading();
    if !offered.is_empty() {
        request = request.with("Sec-WebSocket-Protocol", offered.join(", "));
    }
    let key = request.value("sec-websocket-key").unwrap_or_default();
    let accept_wanted = derive_accept_key(key.as_bytes());
    let Answer { http, early, .. } = answer::ask(&mut stream, &request, lap, watch).await;
    let mut upgrade = Upgrade {
        request: request.shown(),
        offered: offered.to_vec(),
        subprotocol: http.header("sec-websocket-protocol").map(str::to_owned),
        extensions: http.header("sec-websocket-extensions").map(str::to_owned),
        accept_wanted,
        answer: http,
        ..Upgrade::default()
    };
    // by a header of the user's own, too: what was sent counts, and its values are nobody's business
    let wanted = Wanted {
        subprotocols: names(request.value("sec-websocket-protocol")),
        extensions: names(request.value("sec-websocket-extensions")),
        must_choose: !options.subprotocols.is_empty(),
    };
    judge(&mut upgrade, &wanted);
    let subprotocol = upgrade.subprotocol.clone();
    let extended = upgrade.extensions.as_deref().is_some_and(|names| !names.trim().is_empty());
    let socket = upgrade.failure.is_none().then(|| WebSocket { stream, early, subprotocol, extended });
    Asked { upgrade, socket }
}

/// What the request offers.
#[derive(Debug, Default)]
struct Wanted {
    subprotocols: Vec<String>,
    /// Names, without parameters.
    extensions: Vec<String>,
    /// The user wants one of the subprotocols.
    must_choose: bool,
}

/// The names in a list of subprotocols or extensions, without parameters.
fn names(list: Option<&str>) -> Vec<String> {
    let all = list.unwrap_or_default().split(',').map(|one| one.split(';').next().unwrap_or_default().trim());
    all.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// What is wrong with an answer.
fn judge(upgrade: &mut Upgrade, wanted: &Wanted) {
    let http = &upgrade.answer;
    let Some(status) = http.status else {
        upgrade.failure.clone_from(&http.failure);
        return;
    };
    if status != 101 {
        let words = format!("{} instead of 101", status_line(http));
        upgrade.failure = Some(Failure::new(How::Said, words));
        return;
    }
    upgrade.problems = problems(upgrade, wanted);
    if !upgrade.problems.is_empty() {
        let told: Vec<_> = upgrade.problems.iter().map(|problem| words(*problem, upgrade)).collect();
        upgrade.failure = Some(Failure::new(How::Malformed, told.join("; ")));
    }
}

/// `404 Not Found`.
fn status_line(http: &Http) -> String {
    let status = http.status.unwrap_or_default();
    format!("{status} {}", http.reason.first_line(60)).trim_end().to_owned()
}

/// RFC 6455, section 4.1, what a client must look at.
fn problems(upgrade: &Upgrade, wanted: &Wanted) -> Vec<UpgradeProblem> {
    let http = &upgrade.answer;
    let all = |name: &str| -> Vec<&str> {
        let same = http.headers.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str().trim()).collect()
    };
    let has_token = |name: &str, token: &str| {
        all(name).iter().flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
    };
    let mut problems = Vec::new();
    if !has_token("upgrade", "websocket") {
        problems.push(UpgradeProblem::UpgradeHeader);
    }
    if !has_token("connection", "upgrade") {
        problems.push(UpgradeProblem::ConnectionHeader);
    }
    match all("sec-websocket-accept").first() {
        None => problems.push(UpgradeProblem::AcceptMissing),
        Some(accept) if *accept != upgrade.accept_wanted => problems.push(UpgradeProblem::AcceptWrong),
        Some(_) => {}
    }
    match all("sec-websocket-protocol").first() {
        None if wanted.must_choose => problems.push(UpgradeProblem::SubprotocolMissing),
        Some(chosen) if !wanted.subprotocols.iter().any(|offered| offered == chosen) => {
            problems.push(UpgradeProblem::SubprotocolNotOffered);
        }
        None | Some(_) => {}
    }
    let agreed = all("sec-websocket-extensions").into_iter().flat_map(|value| names(Some(value)));
    if agreed.into_iter().any(|name| !wanted.extensions.contains(&name)) {
        problems.push(UpgradeProblem::ExtensionNotOffered);
    }
    if ["sec-websocket-accept", "sec-websocket-protocol"].iter().any(|name| all(name).len() > 1) {
        problems.push(UpgradeProblem::Twice);
    }
    problems
}

fn words(problem: UpgradeProblem, upgrade: &Upgrade) -> String {
    let given = |name: &str| match upgrade.answer.header(name) {
        Some(value) => format!("{:?}", value.chars().take(80).collect::<String>()),
        None => "missing".to_owned(),
    };
    match problem {
        UpgradeProblem::UpgradeHeader => format!("Upgrade is {}, not \"websocket\"", given("upgrade")),
        UpgradeProblem::ConnectionHeader => format!("Connection is {}, not \"Upgrade\"", given("connection")),
        UpgradeProblem::AcceptMissing => "Sec-WebSocket-Accept is missing".to_owned(),
        UpgradeProblem::AcceptWrong => {
            let wanted = &upgrade.accept_wanted;
            format!("Sec-WebSocket-Accept is {}, the key demands {wanted:?}", given("sec-websocket-accept"))
        }
        UpgradeProblem::SubprotocolNotOffered => {
            let offered = if upgrade.offered.is_empty() { "none".to_owned() } else { upgrade.offered.join(", ") };
            format!("Sec-WebSocket-Protocol is {}, offered: {offered}", given("sec-websocket-protocol"))
        }
        UpgradeProblem::SubprotocolMissing => {
            format!("no subprotocol was chosen, offered: {}", upgrade.offered.join(", "))
        }
        UpgradeProblem::ExtensionNotOffered => {
            format!("Sec-WebSocket-Extensions is {}, which was not offered", given("sec-websocket-extensions"))
        }
        UpgradeProblem::Twice => "Sec-WebSocket-Accept or Sec-WebSocket-Protocol stands twice".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::probed::Excerpt;
    use crate::probe::target::Target;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    fn answered(headers: &[(&str, &str)], offered: &[&str], must_choose: bool) -> Upgrade {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), Excerpt::of(v.as_bytes()))).collect();
        let mut upgrade = Upgrade {
            answer: Http { status: Some(101), headers, ..Http::default() },
            offered: offered.iter().map(|&o| o.to_owned()).collect(),
            accept_wanted: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned(),
            ..Upgrade::default()
        };
        let wanted =
            Wanted { subprotocols: upgrade.offered.clone(), extensions: vec!["x-ours".to_owned()], must_choose };
        judge(&mut upgrade, &wanted);
        upgrade
    }

    const GOOD: [(&str, &str); 3] = [
        ("upgrade", "WebSocket"),
        ("Connection", "keep-alive, upgrade"),
        ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ];

    #[test]
    fn every_header_of_the_answer_is_looked_at() {
        use UpgradeProblem as P;
        assert_eq!(derive_accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), GOOD[2].1, "the example of the RFC");
        assert!(answered(&GOOD, &[], false).failure.is_none());
        let without = |at: usize| {
            let mut headers = GOOD.to_vec();
            headers.remove(at);
            answered(&headers, &["a"], false).problems
        };
        assert_eq!(without(0), [P::UpgradeHeader]);
        assert_eq!(without(1), [P::ConnectionHeader]);
        assert_eq!(without(2), [P::AcceptMissing]);
        let with = |more: &[(&str, &str)], must| answered(&[&GOOD[..], more].concat(), &["a", "b"], must);
        assert_eq!(with(&[("sec-websocket-protocol", "b")], true).problems, []);
        assert_eq!(with(&[("sec-websocket-protocol", "c")], false).problems, [P::SubprotocolNotOffered]);
        assert_eq!(with(&[], true).problems, [P::SubprotocolMissing]);
        assert_eq!(
            with(&[("sec-websocket-extensions", "permessage-deflate")], false).problems,
            [P::ExtensionNotOffered]
        );
        assert_eq!(with(&[("sec-websocket-extensions", "x-ours; level=9")], false).problems, []);
        assert_eq!(with(&[GOOD[2]], false).problems, [P::Twice]);
        let mut wrong = GOOD;
        wrong[2].1 = "x";
        let wrong = answered(&wrong, &[], false);
        assert_eq!(wrong.problems, [P::AcceptWrong]);
        let words = wrong.failure.unwrap().words;
        assert!(words.contains("is \"x\"") && words.contains(GOOD[2].1), "{words}");
    }

    /// Refuses while a subprotocol is offered (`{status}`), and tells what it was asked.
    async fn refusing(status: &'static str, then: &'static str) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                let mut request = vec![0; 4096];
                let Ok(length) = stream.read(&mut request).await else { return };
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap_or_default();
                let answer = if request.contains("Sec-WebSocket-Protocol") { status } else { then };
                let answer = answer.replace("{accept}", &derive_accept_key(key.as_bytes()));
                drop(stream.write_all(answer.as_bytes()).await);
                told.lock().unwrap().push(request);
            }
        });
        (address, asked)
    }

    const SWITCHES: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                            Sec-WebSocket-Accept: {accept}\r\n\r\n";

    async fn tried(address: SocketAddr, subprotocols: &[&str]) -> (Vec<Step>, Option<WebSocket>) {
        let Ok(Target::Url(url)) = format!("ws://{address}/x").parse() else { panic!() };
        let stream = TcpStream::connect(address).await.unwrap();
        let watch = Watch::start(Duration::from_secs(30));
        let options = Options { subprotocols: subprotocols.iter().map(|&name| name.to_owned()).collect(), ..Options::new(url) };
        upgrade(Box::new(stream), address, &options, watch).await
    }

    #[tokio::test]
    async fn a_server_that_does_not_like_a_subprotocol_is_asked_without() {
        let (address, asked) = refusing("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", SWITCHES).await;
        let (steps, socket) = tried(address, &["chat"]).await;
        assert!(socket.is_some_and(|socket| socket.subprotocol.is_none()));
        let second = |step: &Step| matches!(&step.saw, Saw::Upgrade(u) if u.second_try && u.failure.is_none());
        assert!(steps.len() == 2 && second(&steps[1]), "{steps:?}");
        let asked = asked.lock().unwrap();
        assert!(asked[0].starts_with("GET /x HTTP/1.1\r\n") && asked[0].contains("Sec-WebSocket-Protocol: chat\r\n"));
        assert!(asked[0].contains("Upgrade: websocket\r\n") && asked[0].contains("Connection: Upgrade\r\n"));
    }

    #[tokio::test]
    async fn a_403_is_looked_at_with_an_origin_too() {
        let no = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
        let (address, asked) = refusing(no, no).await;
        let (steps, socket) = tried(address, &[]).await;
        assert!(socket.is_none());
        let Saw::Origin(origin) = &steps[1].saw else { panic!("{steps:?}") };
        assert_eq!((origin.origin.as_deref(), origin.status), (Some(format!("http://{address}").as_str()), Some(403)));
        let asked = asked.lock().unwrap();
        assert!(asked[1].contains(&format!("Origin: http://{address}\r\n")));
        assert!(!asked[0].contains("Sec-WebSocket-Protocol"), "nobody named one");
    }

    #[tokio::test]
    async fn where_the_path_has_no_websocket_the_usual_ones_are_tried() {
        let none = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        let (address, asked) = refusing(none, none).await;
        let (steps, socket) = tried(address, &[]).await;
        assert!(socket.is_none());
        let elsewhere = steps.iter().filter(|step| matches!(&step.saw, Saw::Upgrade(u) if u.elsewhere)).count();
        assert_eq!((steps.len(), elsewhere), (3, 2), "{steps:?}");
        let asked = asked.lock().unwrap();
        let paths: Vec<_> = asked.iter().filter_map(|request| request.split(' ').nth(1)).collect();
        assert_eq!(paths, ["/x", "/", "/ws"]);
    }

    #[tokio::test]
    async fn who_says_that_there_is_too_much_is_not_asked_again() {
        let (address, asked) = refusing("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n", SWITCHES).await;
        let (steps, _) = tried(address, &["chat"]).await;
        assert_eq!((steps.len(), asked.lock().unwrap().len()), (1, 1));
    }
}

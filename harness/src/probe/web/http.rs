//! HTTP/1.1: a GET, and the redirects that follow from it.

use super::answer::{self, Answer};
use super::request::Request;
use crate::evidence::Speak;
use crate::evidence::probed::{Failure, How, Http, Saw, Step};
use crate::probe::open::{self, Connection};
use crate::probe::options::{Options, TlsOptions};
use crate::probe::reach::resolve;
use crate::probe::target::{Target, Url};
use crate::probe::watch::{Lap, Watch};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::time::timeout_at;

/// Most redirects that are followed.
const MOST_REDIRECTS: u32 = 5;
/// Most addresses of a name that a redirect leads to.
const MOST_ADDRESSES: usize = 4;

/// Where a redirect leads to, and what is told there.
struct Way {
    options: Options,
    peer: SocketAddr,
}

/// Asks for the target's path, and follows redirects (5 at most, never from `https` to `http`, the user's headers only to the
/// same host and port): a step each.
pub async fn get(stream: Connection, address: SocketAddr, options: &Options, watch: Watch) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut asked: Vec<String> = Vec::new();
    let mut way = Way { options: options.clone(), peer: address };
    let mut lap = watch.begin();
    let mut opened = Ok(stream);
    loop {
        let hop = u32::try_from(steps.len()).unwrap_or(u32::MAX);
        let url = way.options.url.to_string();
        let Answer { mut http, location, .. } = match opened {
            Ok(mut stream) => answer::ask(&mut stream, &plain(&way.options), lap, watch).await,
            Err(failure) => Answer {
                http: Http { method: "GET".to_owned(), url: url.clone(), failure: Some(failure), ..Http::default() },
                ..Answer::default()
            },
        };
        http.hop = hop;
        http.peer = (way.peer != address).then_some(way.peer);
        asked.push(url);
        let redirected = http.failure.is_none() && matches!(http.status, Some(301 | 302 | 303 | 307 | 308));
        let next = match location.filter(|_| redirected) {
            None => None,
            Some(location) => match onward(&way.options.url, &location, &asked) {
                Ok(url) => Some(url),
                Err(failure) => {
                    http.failure = Some(failure);
                    None
                }
            },
        };
        steps.push(lap.end(address, Saw::Http(http)));
        let Some(url) = next else { return steps };
        lap = watch.begin();
        way = follow(way, url);
        opened = match timeout_at(lap.until(), open(&mut way, watch)).await {
            Ok(opened) => opened,
            Err(_) => Err(Failure::new(How::TimedOut, no_connection(&way, watch))),
        };
    }
}

fn no_connection(way: &Way, watch: Watch) -> String {
    format!("no connection to {} within {} ms", way.options.url.authority(), watch.deadline.as_millis())
}

/// A GET that asks for nothing special, on a connection of its own.
fn plain(options: &Options) -> Request {
    Request::of(options).with("Accept", "*/*").with("Accept-Encoding", "identity").with("Connection", "close")
}

/// Where a redirect leads to, if it may be followed.
fn onward(from: &Url, location: &str, asked: &[String]) -> Result<Url, Failure> {
    let said = |words: String| Failure::new(How::Said, words);
    let to =
        joined(from, location).ok_or_else(|| said("it redirects to what is no http:// or https:// URL".to_owned()))?;
    let shown = to.to_string();
    if from.speak.secure() && !to.speak.secure() {
        return Err(said("it redirects from https to http, which is not followed".to_owned()));
    }
    if asked.contains(&shown) {
        return Err(Failure::new(How::TooMuch, "it redirects in a circle (cookies are not kept)"));
    }
    if asked.len() > MOST_REDIRECTS as usize {
        return Err(Failure::new(How::TooMuch, format!("more than {MOST_REDIRECTS} redirects")));
    }
    Ok(to)
}

/// A `Location`, as seen from where it was given (RFC 3986, section 5.2; `..` is left to the server).
fn joined(from: &Url, location: &str) -> Option<Url> {
    let location = location.split('#').next().unwrap_or_default();
    let has_scheme = location.split(['/', '?']).next().is_some_and(|begin| begin.contains(':'));
    let absolute = match location {
        _ if has_scheme => location.to_owned(),
        _ if location.starts_with("//") => format!("{}:{location}", from.speak.word()),
        _ => {
            let path = from.path.split('?').next().unwrap_or_default();
            let folder = &path[..path.rfind('/').map_or(0, |at| at + 1)];
            let path = match location.chars().next() {
                None => from.path.clone(),
                Some('/') => location.to_owned(),
                Some('?') => format!("{path}{location}"),
                Some(_) => format!("{folder}{location}"),
            };
            return Some(Url { path, ..from.clone() });
        }
    };
    match absolute.parse() {
        Ok(Target::Url(url)) if matches!(url.speak, Speak::Http | Speak::Https) => Some(url),
        Ok(_) | Err(_) => None,
    }
}

/// The options of the next request. Secrets of the user are for the host and port that they were given for; a redirect back to
/// it gets none either.
fn follow(way: Way, url: Url) -> Way {
    let Way { options, peer } = way;
    let same = url.host.eq_ignore_ascii_case(&options.url.host)
        && url.port == options.url.port
        && url.speak == options.url.speak;
    if same {
        let url = Url { credentials: options.url.credentials.clone(), ..url };
        return Way { options: Options { url, ..options }, peer };
    }
    let tls =
        TlsOptions { insecure: options.tls.insecure, authorities: options.tls.authorities.clone(), certificate: None };
    let url = Url { credentials: None, ..url };
    Way { options: Options { url, headers: Arc::default(), tls: Arc::new(tls), ..options }, peer }
}

/// A fresh connection for the next request.
async fn open(way: &mut Way, watch: Watch) -> Result<Connection, Failure> {
    let options = &way.options;
    let mut addresses = vec![way.peer];
    if options.proxy.is_none() {
        let Step { saw: Saw::Resolve(resolved), .. } = resolve::resolve(options, watch).await else {
            return Err(Failure::new(How::NoAddress, format!("{} has no address", options.url.host)));
        };
        if let Some(failure) = resolved.failure {
            return Err(Failure { words: format!("{}: {}", options.url.host, failure.words), ..failure });
        }
        // the address that answered last comes first, where it is one of them
        addresses = resolved.order;
        addresses.sort_by_key(|address| *address != way.peer);
        addresses.truncate(MOST_ADDRESSES);
    }
    let mut last = Failure::new(How::NoAddress, format!("{} has no address", options.url.host));
    for address in addresses {
        match open::again(address, options, watch).await {
            Ok(stream) => {
                way.peer = address;
                return Ok(stream);
            }
            Err(failure) => last = Failure { words: format!("{address}: {}", failure.words), ..failure },
        }
    }
    Err(last)
}

/// One GET for a scenario: status, body, and what is wrong.
pub async fn once(stream: &mut Connection, address: SocketAddr, path: &str, (lap, watch): (Lap, Watch)) -> Answer {
    let request = Request::new(&format!("http://{address}{path}"), address.to_string(), path, Arc::default());
    answer::ask(stream, &request.with("Connection", "close"), lap, watch).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    fn url(text: &str) -> Url {
        let Ok(Target::Url(url)) = text.parse() else { panic!("{text}") };
        url
    }

    #[test]
    fn locations_are_read_from_where_they_were_given() {
        let from = url("https://a.example:9/b/c?d");
        for (location, to) in [
            ("/x?y#z", "https://a.example:9/x?y"),
            ("x", "https://a.example:9/b/x"),
            ("?e", "https://a.example:9/b/c?e"),
            ("", "https://a.example:9/b/c?d"),
            ("//b.example/x", "https://b.example:443/x"),
            ("http://b.example", "http://b.example:80/"),
            ("x?u=http://c", "https://a.example:9/b/x?u=http://c"),
        ] {
            assert_eq!(joined(&from, location).unwrap().to_string(), to, "{location}");
        }
        for bad in ["ftp://x", "javascript:alert(1)", "http://", "http://x:0/", "ws://x"] {
            assert!(joined(&from, bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_may_not_be_followed_is_told() {
        let told = |from: &str, to: &str, asked: &[String]| onward(&url(from), to, asked).unwrap_err();
        assert!(told("https://a/", "http://a/", &[]).words.contains("from https to http"));
        assert!(told("http://a/", "/", &["http://a:80/".to_owned()]).words.contains("circle"));
        let many: Vec<String> = (0..6).map(|i| format!("http://a:80/{i}")).collect();
        assert_eq!(told("http://a/5", "/6", &many).words, "more than 5 redirects");
        assert!(told("http://a/", "mailto:me", &[]).words.contains("no http://"));
    }

    #[test]
    fn secrets_go_to_the_same_host_and_port_alone() {
        let options = Options {
            headers: Arc::new([("X-Token".to_owned(), "s3cret".to_owned())]),
            ..Options::new(url("http://me:s3cret@a.example:9/"))
        };
        let way = |to: &str| {
            let way = Way { options: options.clone(), peer: ([127, 0, 0, 1], 9).into() };
            String::from_utf8(plain(&follow(way, url(to)).options).encode()).unwrap()
        };
        let same = way("http://A.example:9/x");
        assert!(same.contains("s3cret") && same.contains("Authorization: Basic"), "{same}");
        for elsewhere in
            ["http://b.example:9/", "http://a.example:10/", "https://a.example:9/", "http://you:pw@b.example/"]
        {
            let request = way(elsewhere);
            assert!(!request.contains("s3cret") && !request.contains("Authorization"), "{request}");
        }
    }

    /// Answers the n-th connection with the n-th answer, `{port}` being its own port.
    async fn serve(answers: &'static [&'static str]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            for answer in answers.iter().cycle() {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                drop(stream.read(&mut [0; 4096]).await);
                let answer = answer.replace("{port}", &address.port().to_string());
                drop(stream.write_all(answer.as_bytes()).await);
            }
        });
        address
    }

    async fn got(address: SocketAddr) -> Vec<Http> {
        let stream = TcpStream::connect(address).await.unwrap();
        let options = Options::new(url(&format!("http://{address}/")));
        let watch = Watch::start(Duration::from_secs(5));
        let steps = get(Box::new(stream), address, &options, watch).await;
        let http = |step: Step| if let Saw::Http(http) = step.saw { http } else { panic!("{step:?}") };
        steps.into_iter().map(http).collect()
    }

    #[tokio::test]
    async fn a_redirect_is_followed_on_a_connection_of_its_own() {
        let address = serve(&[
            "HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:{port}/there\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        ])
        .await;
        let got = got(address).await;
        let seen: Vec<_> = got.iter().map(|http| (http.hop, http.status, http.failure.is_none())).collect();
        assert_eq!(seen, [(0, Some(301), true), (1, Some(200), true)]);
        assert!(got[1].url.ends_with("/there") && got[1].body.as_str() == "hi");
    }

    #[tokio::test]
    async fn redirects_without_an_end_are_ended() {
        let circle = got(serve(&["HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"]).await).await;
        assert_eq!(circle.len(), 1);
        assert!(circle[0].failure.as_ref().unwrap().words.contains("circle"));
        let onward = got(serve(&["HTTP/1.1 302 Found\r\nLocation: x/\r\nContent-Length: 0\r\n\r\n"]).await).await;
        assert_eq!(onward.len(), 6, "the first and five redirects");
        assert_eq!(onward[5].failure.as_ref().unwrap().words, "more than 5 redirects");
    }
}

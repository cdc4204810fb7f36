//! From what was typed to what is probed.

use crate::evidence::Speak;
use crate::probe::behind;
use crate::probe::options::{Options, Proxy, TlsOptions};
use crate::probe::target::{Target, Url};
use crate::probe::tls::files;
use regex::bytes::Regex;
use sidetone::event::Family;
use sidetone::net::dial::Typed;
use sidetone::net::mdns::{BrowseOptions, browse};
use std::io::Read as _;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a name is looked for by mDNS.
const BROWSE: Duration = Duration::from_secs(2);
/// Most bytes of a file of targets, headers or words to send.
const MOST: u64 = 16 << 20;

/// One thing to probe, with the name that reports show.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) options: Options,
}

/// What went wrong before anything was probed: it is the user's mistake, or the target is not there.
pub(super) enum Stop {
    Usage(String),
    NotThere(String),
}

impl super::Probe {
    /// Everything that is to be probed, in order.
    pub(super) async fn gather(&self) -> Result<Vec<Wanted>, Stop> {
        let mut typed = self.targets.clone();
        for path in &self.target_files {
            typed.extend(read_targets(path).map_err(Stop::Usage)?);
        }
        if typed.is_empty() {
            return Err(Stop::Usage("no target: give one, or --targets FILE".to_owned()));
        }
        let base = self.base().map_err(Stop::Usage)?;
        let mut all = Vec::new();
        for text in &typed {
            let target: Target = text.parse().map_err(|error| Stop::Usage(format!("{error}")))?;
            for (name, url, resolve) in self.expand(target).await? {
                let mut options = Options { url, ..base.clone() };
                if !resolve.is_empty() {
                    options.resolve = options.resolve.iter().cloned().chain(resolve).collect();
                    options.by_mdns = true;
                    options.sidetone = true;
                }
                all.extend(self.variants(&name, options).map_err(Stop::Usage)?);
            }
        }
        for wanted in &all {
            let plan = wanted.options.plan();
            for bound in self.max.iter().chain(&self.min) {
                crate::diagnosis::probed::bounds::fits(bound, &plan).map_err(Stop::Usage)?;
            }
        }
        Ok(all)
    }

    async fn expand(&self, target: Target) -> Result<Vec<(String, Url, Given)>, Stop> {
        match target {
            Target::Url(url) => Ok(vec![(url.to_string(), url, Vec::new())]),
            Target::Process(pid) => {
                let listening = tokio::task::spawn_blocking(move || behind::listens(pid)).await;
                let addresses = listening.unwrap_or_else(|error| Err(error.to_string())).map_err(Stop::NotThere)?;
                if addresses.is_empty() {
                    return Err(Stop::NotThere(format!("pid {pid} listens on no TCP port")));
                }
                let url = |address: std::net::SocketAddr| Url {
                    speak: Speak::Any,
                    host: reachable(address.ip()).to_string(),
                    port: address.port(),
                    path: String::new(),
                    credentials: None,
                };
                Ok(addresses.into_iter().map(|a| (format!("pid:{pid} {a}"), url(a), Vec::new())).collect())
            }
            Target::Instance(name) => self.instance(&name).await,
        }
    }

    /// A server that announces itself: both its listeners.
    async fn instance(&self, name: &str) -> Result<Vec<(String, Url, Given)>, Stop> {
        let interfaces = (!self.mdns_interfaces.is_empty()).then(|| self.mdns_interfaces.clone());
        let options = BrowseOptions { interfaces, timeout: BROWSE, stop_after_first: false };
        let found = browse(options).await.map_err(|error| Stop::NotThere(format!("{name}: {error}")))?;
        let Some(server) = found.iter().find(|server| server.instance == name) else {
            let names: Vec<_> = found.iter().map(|server| format!("{:?}", server.instance)).collect();
            let others = if names.is_empty() { "nobody answered".to_owned() } else { names.join(", ") };
            return Err(Stop::NotThere(format!(
                "no server {name:?} answered a browse by mDNS within {} s ({others}); with a port it is a host: {name}:7461",
                BROWSE.as_secs()
            )));
        };
        let host = server.host.trim_end_matches('.').to_owned();
        let given: Given = server.addresses.iter().map(|address| (host.clone(), None, *address)).collect();
        let url =
            |speak, port, path: &str| Url { speak, host: host.clone(), port, path: path.to_owned(), credentials: None };
        let (framed, web) = if server.tls { (Speak::Tls, Speak::Wss) } else { (Speak::Tcp, Speak::Ws) };
        let path = if server.path.is_empty() { "/ws" } else { &server.path };
        let web =
            server.websocket_port.map(|port| (format!("{name} ({})", web.word()), url(web, port, path), given.clone()));
        let framed = (format!("{name} ({})", framed.word()), url(framed, server.port, ""), given.clone());
        Ok(web.into_iter().chain([framed]).collect())
    }

    /// `--compare`: the same target in several ways.
    fn variants(&self, name: &str, options: Options) -> Result<Vec<Wanted>, String> {
        if self.compare.is_empty() {
            return Ok(vec![Wanted { name: name.to_owned(), options }]);
        }
        let one = |way: &String| {
            let (name, options) = match way.as_str() {
                "ipv4" | "4" => (format!("{name} (IPv4)"), Options { only: Some(Family::Ipv4), ..options.clone() }),
                "ipv6" | "6" => (format!("{name} (IPv6)"), Options { only: Some(Family::Ipv6), ..options.clone() }),
                "direct" => (format!("{name} (direct)"), Options { proxy: None, ..options.clone() }),
                "proxy" if options.proxy.is_none() => {
                    return Err("--compare proxy needs --proxy URL".to_owned());
                }
                "proxy" => (format!("{name} (proxy)"), options.clone()),
                word => {
                    let all = [Speak::Tcp, Speak::Tls, Speak::Ws, Speak::Wss, Speak::Http, Speak::Https];
                    let speak = all.into_iter().find(|speak| speak.word() == word).ok_or_else(|| {
                        format!("--compare {word}: there are tcp, tls, ws, wss, http, https, ipv4, ipv6, direct, proxy")
                    })?;
                    let url = options.url.with(speak);
                    (url.to_string(), Options { url, ..options.clone() })
                }
            };
            Ok(Wanted { name, options })
        };
        self.compare.iter().map(one).collect()
    }

    /// Everything but the target.
    fn base(&self) -> Result<Options, String> {
        let Target::Url(url) = "localhost:1".parse::<Target>().map_err(|error| error.to_string())? else {
            return Err("a target".to_owned());
        };
        let mut headers = Vec::new();
        for text in &self.headers {
            headers.extend(read_headers(text)?);
        }
        let tls = TlsOptions {
            insecure: self.insecure,
            authorities: self.ca.as_deref().map(files::authorities).transpose()?,
            certificate: self.client_cert.as_deref().map(files::certificate).transpose()?,
        };
        let proxies = proxies_of_environment();
        let subprotocols = read_subprotocols(&self.subprotocols)?;
        Ok(Options {
            deadline: self.timeout,
            only: match (self.ipv4, self.ipv6) {
                (true, _) => Some(Family::Ipv4),
                (_, true) => Some(Family::Ipv6),
                _ => None,
            },
            resolve: self.resolve.iter().map(|text| read_resolve(text)).collect::<Result<Vec<_>, _>>()?.into(),
            headers: headers.into(),
            origin: self.origin.clone(),
            sidetone: self.sidetone || subprotocols.iter().any(|name| name == sidetone::protocol::SUBPROTOCOL),
            no_subprotocol: !self.subprotocols.is_empty() && subprotocols.is_empty(),
            subprotocols: subprotocols.into(),
            tls: Arc::new(tls),
            proxy: self.proxy.as_deref().map(|text| read_proxy(text, &proxies)).transpose()?,
            proxies_of_environment: proxies.iter().map(|(name, value)| format!("{name}={}", hidden(value))).collect(),
            deep: self.deep,
            intrusive: self.intrusive,
            send: self.send.as_deref().map(read_words).transpose()?.map(Arc::from),
            expect: self.expect.as_deref().map(read_pattern).transpose()?,
            mdns_interfaces: self.mdns_interfaces.clone().into(),
            log: self.log.is_some(),
            ..Options::new(url)
        })
    }
}

/// Addresses that are given instead of a resolver's.
type Given = Vec<(String, Option<u16>, IpAddr)>;

/// Where a listener on a wildcard can be reached from this machine.
fn reachable(ip: IpAddr) -> IpAddr {
    match (ip.is_unspecified(), ip.is_ipv4()) {
        (false, _) => ip,
        (true, true) => std::net::Ipv4Addr::LOCALHOST.into(),
        (true, false) => std::net::Ipv6Addr::LOCALHOST.into(),
    }
}

fn read_file(path: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = if path == "-" {
        std::io::stdin().lock().take(MOST).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(Path::new(path)).and_then(|file| file.take(MOST).read_to_end(&mut bytes))
    };
    read.map(|_| bytes).map_err(|error| format!("{path}: {error}"))
}

/// One a line; what follows `#` after a blank, and empty lines, are left out.
fn read_targets(path: &str) -> Result<Vec<String>, String> {
    let bytes = read_file(path)?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{path}: not UTF-8 text; one target a line is needed"))?;
    let targets: Vec<_> = text
        .lines()
        .map(|line| line.split(" #").next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    if targets.is_empty() { Err(format!("{path}: no target in it; one a line is needed")) } else { Ok(targets) }
}

/// `NAME:VALUE`, or `@FILE` with one a line.
fn read_headers(text: &str) -> Result<Vec<(String, String)>, String> {
    let lines = match text.strip_prefix('@') {
        Some(path) => String::from_utf8(read_file(path)?).map_err(|_| format!("{path}: not UTF-8 text"))?,
        None => text.to_owned(),
    };
    let mut headers = Vec::new();
    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
        let (name, value) = line.split_once(':').ok_or("-H: NAME:VALUE is needed, or @FILE with one a line")?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || !name.chars().all(in_token) || value.chars().any(|c| c.is_control() && c != '\t') {
            return Err(format!("-H: {name:?} is no name of a header, or its value has control characters"));
        }
        headers.push((name.to_owned(), value.to_owned()));
    }
    Ok(headers)
}

/// Names of subprotocols; `none` or an empty one alone: no name at all.
fn read_subprotocols(given: &[String]) -> Result<Vec<String>, String> {
    let is_none = |name: &&String| name.is_empty() || *name == "none";
    let names: Vec<String> = given.iter().filter(|name| !is_none(name)).cloned().collect();
    if !names.is_empty() && names.len() < given.len() {
        return Err(format!("--subprotocol none: it excludes {}", names.join(", ")));
    }
    // RFC 6455, section 4.1: a token, as names of headers are
    match names.iter().find(|name| !name.chars().all(in_token)) {
        Some(name) => Err(format!("--subprotocol {name:?}: not a valid name; repeat the option for several names")),
        None => Ok(names),
    }
}

/// RFC 9110, section 5.6.2.
fn in_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// `HOST:ADDRESS` or `HOST:PORT:ADDRESS`, IPv6 with or without brackets.
fn read_resolve(text: &str) -> Result<(String, Option<u16>, IpAddr), String> {
    let wrong =
        || format!("--resolve {text:?}: HOST:ADDRESS or HOST:PORT:ADDRESS is needed, as in example.org:443:192.0.2.7");
    let (host, rest) = text.split_once(':').ok_or_else(wrong)?;
    let address = |text: &str| text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    if host.is_empty() {
        return Err(wrong());
    }
    if let Some(address) = address(rest) {
        return Ok((host.to_owned(), None, address));
    }
    let (port, rest) = rest.split_once(':').ok_or_else(wrong)?;
    let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
    Ok((host.to_owned(), Some(port), address(rest).ok_or_else(wrong)?))
}

/// `TEXT` with `\n \r \t \\ \xNN`, or `@FILE` as it is.
fn read_words(text: &str) -> Result<Vec<u8>, String> {
    if let Some(path) = text.strip_prefix('@') {
        return read_file(path);
    }
    let wrong = || format!("--send {text:?}: after a backslash n, r, t, 0, \\ or xNN is needed");
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match bytes.next().ok_or_else(wrong)? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'0' => 0,
            b'\\' => b'\\',
            b'x' => {
                let digits = [bytes.next().ok_or_else(wrong)?, bytes.next().ok_or_else(wrong)?];
                let digits = std::str::from_utf8(&digits).map_err(|_| wrong())?;
                u8::from_str_radix(digits, 16).map_err(|_| wrong())?
            }
            _ => return Err(wrong()),
        });
    }
    Ok(out)
}

fn read_pattern(text: &str) -> Result<Regex, String> {
    // bytes, not characters: a peer may send anything
    Regex::new(text).map_err(|error| format!("--expect: {error}"))
}

/// `http_proxy` and the like; names are compared in lower case as other programs do.
fn proxies_of_environment() -> Vec<(String, String)> {
    let names = ["http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy"];
    std::env::vars()
        .filter(|(name, value)| names.contains(&name.to_ascii_lowercase().as_str()) && !value.is_empty())
        .collect()
}

/// Without credentials.
fn hidden(value: &str) -> String {
    sidetone::net::dial::typed::redacted(value)
}

/// `http://[NAME:PASSWORD@]HOST:PORT`, or `env` for that of the environment.
fn read_proxy(text: &str, environment: &[(String, String)]) -> Result<Proxy, String> {
    let text = match text {
        "env" => {
            let first = environment
                .first()
                .ok_or("--proxy env: the environment names no proxy (https_proxy, http_proxy, all_proxy)")?;
            first.1.as_str()
        }
        text => text,
    };
    let typed = Typed::parse(text).map_err(|error| format!("--proxy: {error}"))?;
    if typed.scheme.as_deref().is_some_and(|scheme| scheme != "http") {
        return Err(format!("--proxy {}: only http:// proxies are spoken to", hidden(text)));
    }
    let port = typed.port.ok_or_else(|| format!("--proxy {}: no port, as in http://proxy:3128", hidden(text)))?;
    let host = if typed.host.is_empty() { "localhost".to_owned() } else { typed.host };
    Ok(Proxy { host, port, credentials: typed.credentials })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_to_send() {
        assert_eq!(read_words("a\\r\\n\\x00\\\\").unwrap(), b"a\r\n\0\\");
        for wrong in ["\\", "\\q", "\\x0", "\\xzz"] {
            assert!(read_words(wrong).unwrap_err().contains("--send"), "{wrong}");
        }
    }

    #[test]
    fn subprotocols_or_none() {
        let read = |given: &[&str]| read_subprotocols(&given.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        assert_eq!(read(&[]).unwrap(), [] as [&str; 0]);
        assert_eq!((read(&["none"]).unwrap(), read(&[""]).unwrap()), (vec![], vec![]));
        assert_eq!(read(&["mqtt", "v12.stomp"]).unwrap(), ["mqtt", "v12.stomp"]);
        for wrong in [&["none", "mqtt"][..], &["a b"], &["a,b"]] {
            assert!(read(wrong).unwrap_err().starts_with("--subprotocol"), "{wrong:?}");
        }
    }

    #[test]
    fn addresses_instead_of_a_resolver() {
        let read = |text: &str| read_resolve(text).map(|(host, port, ip)| format!("{host} {port:?} {ip}"));
        assert_eq!(read("a.b:192.0.2.7").unwrap(), "a.b None 192.0.2.7");
        assert_eq!(read("a.b:443:[::1]").unwrap(), "a.b Some(443) ::1");
        assert_eq!(read("a.b:443:::1").unwrap(), "a.b Some(443) ::1");
        for wrong in ["", "a.b", ":1:::1", "a.b:0:192.0.2.7", "a.b:x:192.0.2.7", "a.b:443:nowhere"] {
            assert!(read(wrong).unwrap_err().contains("--resolve"), "{wrong}");
        }
    }

    #[test]
    fn headers_and_proxies() {
        assert_eq!(read_headers("A: b:c").unwrap(), [("A".to_owned(), "b:c".to_owned())]);
        assert!(read_headers("A").is_err() && read_headers("A b: c").is_err() && read_headers(": c").is_err());
        let proxy = read_proxy("http://me:pw@[::1]:3128", &[]).unwrap();
        assert_eq!((proxy.to_string().as_str(), proxy.credentials.as_deref()), ("http://[::1]:3128", Some("me:pw")));
        for wrong in ["socks5://me:s3cret@a:1", "http://me:s3cret@a", "env"] {
            let error = read_proxy(wrong, &[]).unwrap_err();
            assert!(!error.contains("s3cret") && error.contains("--proxy"), "{error}");
        }
    }
}

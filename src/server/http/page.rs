//! The browser client's files: embedded, or from a folder for those who work on them.

use super::{Answer, elements, text};
use crate::web;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Nothing from elsewhere, no script or style inside the document, no markup made from text, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
    connect-src 'self'; media-src 'self' blob:; worker-src 'self'; manifest-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// What every answer with a part of the page says. Workers and worklets take their policy from their own file.
const HEADERS: [(HeaderName, &str); 8] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(self), microphone=(self)"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::SERVER, concat!("sidetone/", env!("CARGO_PKG_VERSION"))),
];

/// The folder's name where files change under it: whatever is below it is read anew.
const LIVE: &str = "/page-live";
/// Largest file that is read from a folder.
const MOST_BYTES: u64 = 4 * 1_024 * 1_024;

/// The page of one server.
#[derive(Debug)]
pub(crate) struct Page {
    server: String,
    from: Option<PathBuf>,
    index: OnceLock<Index>,
}

#[derive(Debug)]
struct Index {
    plain: Bytes,
    gzipped: Option<Bytes>,
    tag: String,
}

/// A body in both codings.
struct Body {
    content_type: &'static str,
    plain: Bytes,
    gzipped: Option<Bytes>,
}

impl Page {
    /// `from`: read the files there at each request, instead of those in the program.
    pub(crate) fn new(server: &str, from: Option<PathBuf>) -> Self {
        Self { server: server.to_owned(), from, index: OnceLock::new() }
    }

    /// Whether something is at that path. The folder of another version is not: its files are gone.
    pub(super) fn has(&self, path: &str) -> bool {
        path == "/" || self.name_below(path).is_some_and(|name| self.from.is_some() || web::find(name).is_some())
    }

    /// The answer to GET and HEAD of a path that is there.
    pub(super) fn answer(&self, path: &str, headers: &HeaderMap) -> Answer {
        match (&self.from, self.name_below(path)) {
            (Some(folder), name) => self.live(folder, name),
            (None, Some(name)) => {
                web::find(name).map_or_else(|| text(StatusCode::NOT_FOUND, "not found\n"), |asset| file(asset, headers))
            }
            (None, None) => self.document(headers),
        }
    }

    /// The name of a file that may be asked for at that path.
    fn name_below<'p>(&self, path: &'p str) -> Option<&'p str> {
        let folder = if self.from.is_some() { LIVE } else { web::folder() };
        let name = path.strip_prefix(folder)?.strip_prefix('/')?;
        (is_plain(name) && name != web::INDEX && web::content_type(name).is_some()).then_some(name)
    }

    /// `/`: asked for again each time, and sent again only if it changed.
    fn document(&self, headers: &HeaderMap) -> Answer {
        let index = self.index.get_or_init(|| {
            let html = web::render(web::index(), web::folder(), &self.server);
            Index {
                tag: format!("W/\"{:016x}\"", web::fingerprint([html.as_bytes()])),
                gzipped: web::gzip(html.as_bytes()).map(Bytes::from),
                plain: Bytes::from(html),
            }
        });
        let body = Body {
            content_type: "text/html; charset=utf-8",
            plain: index.plain.clone(),
            gzipped: index.gzipped.clone(),
        };
        cached(body, "no-cache", &index.tag, headers)
    }

    /// For people who work on the page: what is on the disk now.
    fn live(&self, folder: &Path, name: Option<&str>) -> Answer {
        let name_or_index = name.unwrap_or(web::INDEX);
        let path = folder.join(name_or_index);
        let found = std::fs::metadata(&path).is_ok_and(|found| found.is_file() && found.len() <= MOST_BYTES);
        let Some(bytes) = found.then(|| std::fs::read(&path).ok()).flatten() else {
            return text(StatusCode::NOT_FOUND, format!("{name_or_index} cannot be read\n"));
        };
        let plain = match name {
            Some(_) => Bytes::from(bytes),
            None => Bytes::from(web::render(&String::from_utf8_lossy(&bytes), LIVE, &self.server)),
        };
        let content_type = web::content_type(name_or_index).unwrap_or_default();
        with_headers(Body { content_type, plain, gzipped: None }, "no-store", false)
    }
}

/// A name that cannot lead out of a folder.
fn is_plain(name: &str) -> bool {
    !name.starts_with('.') && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// A file below the hashed folder never changes.
fn file(asset: &'static web::Asset, headers: &HeaderMap) -> Answer {
    let body = Body {
        content_type: web::content_type(asset.name).unwrap_or_default(),
        plain: Bytes::from_static(asset.bytes),
        gzipped: asset.gzipped().map(Bytes::from_static),
    };
    let tag = format!("W/\"{}\"", web::folder().trim_start_matches(web::FOLDER_PREFIX));
    cached(body, "public, max-age=31536000, immutable", &tag, headers)
}

fn cached(body: Body, control: &'static str, tag: &str, asked: &HeaderMap) -> Answer {
    let known = elements(asked, header::IF_NONE_MATCH).any(|t| t == "*" || opaque(t) == opaque(tag));
    let mut answer = with_headers(body, control, accepts_gzip(asked));
    if let Ok(tag) = HeaderValue::from_str(tag) {
        answer.headers_mut().insert(header::ETAG, tag);
    }
    if known {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        *answer.body_mut() = Full::default();
        answer.headers_mut().remove(header::CONTENT_ENCODING);
    }
    answer
}

/// An entity tag as weak comparison sees it (RFC 9110, section 8.8.3.2).
fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

fn with_headers(body: Body, control: &'static str, gzip: bool) -> Answer {
    let (bytes, encoded) = match body.gzipped {
        Some(gzipped) if gzip => (gzipped, true),
        _ => (body.plain, false),
    };
    let mut answer = Response::new(Full::new(bytes));
    let headers = answer.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(body.content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(control));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if encoded {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

/// RFC 9110, section 12.5.3: what is named counts before `*`, and a weight of 0 means no.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let weight = |wanted: &[&str]| {
        elements(headers, header::ACCEPT_ENCODING).find_map(|element| {
            let mut parts = element.split(';').map(str::trim);
            let coding = parts.next()?;
            let named = wanted.iter().any(|w| coding.eq_ignore_ascii_case(w));
            let q = parts.find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")));
            named.then(|| q.is_none_or(|q| q.parse::<f32>().is_ok_and(|q| q > 0.0)))
        })
    };
    weight(&["gzip", "x-gzip"]).or_else(|| weight(&["*"])).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        let cases = [
            ("gzip, deflate, br, zstd", true),
            ("deflate, GZIP", true),
            ("x-gzip", true),
            ("*", true),
            ("gzip;q=0.001", true),
            ("br;q=1.0, gzip; q=0.5", true),
            ("", false),
            ("identity", false),
            ("gzip;q=0", false),
            ("gzip; q=0.000, *", false),
            ("*;q=0", false),
            ("gzip;q=yes", false),
            ("gzipped", false),
        ];
        for (value, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            assert_eq!(accepts_gzip(&headers), expected, "{value:?}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn only_plain_names_of_this_version_are_there() {
        let (embedded, live) = (Page::new("a", None), Page::new("a", Some(PathBuf::from("/nowhere"))));
        let below = |name: &str| format!("{}/{name}", web::folder());
        assert!(embedded.has("/") && embedded.has(&below("app.js")));
        assert!(live.has("/") && live.has("/page-live/anything.js"));
        for path in [&below(""), &below("index.html"), &below("nothing.js"), "/page-0123456789abcdef/app.js", "/app.js"]
        {
            assert!(!embedded.has(path), "{path}");
        }
        let bad = ["", "../Cargo.toml", "..", ".hidden.js", "a/b.js", "a%2fb.js", "a\\b.js", "mod.rs", "index.html"];
        for name in bad {
            assert!(!live.has(&format!("/page-live/{name}")), "{name}");
        }
    }
}

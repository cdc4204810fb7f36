//! The browser client: the files of the page, embedded in the program. PURE.
//!
//! They are plain HTML, CSS and ES modules, served as they lie in this folder: nothing is built. `index.html` is a
//! template ([`render`]) and is served as `/`; every other file lies below [`folder`], whose name changes with any byte of
//! any file, so that browsers may keep them for ever and relative imports (`./wire.js`) need no rewriting.

use std::io::Write;
use std::sync::OnceLock;

/// Name of the template.
pub const INDEX: &str = "index.html";

/// What the path of every folder of files begins with.
pub const FOLDER_PREFIX: &str = "/page-";

macro_rules! assets {
    ($($name:literal),* $(,)?) => {
        static ASSETS: [Asset; [$($name),*].len()] = [$(Asset::new($name, include_bytes!($name))),*];
    };
}

// Every file of the page. Add new ones here; a test finds those that are forgotten.
assets![
    "app.js",
    "ascii.js",
    "call.js",
    "camera.js",
    "capture-worklet.js",
    "conceal.js",
    "devices.js",
    "drift.js",
    "engine.js",
    "gear.js",
    "grid.js",
    "icon.svg",
    "index.html",
    "jitter.js",
    "keys.js",
    "level.js",
    "line.js",
    "lobby.js",
    "manifest.webmanifest",
    "news.js",
    "now.js",
    "options.js",
    "outbox.js",
    "panel.js",
    "patience.js",
    "playout-worklet.js",
    "playout.js",
    "receiver.js",
    "resample.js",
    "room.js",
    "sender.js",
    "session.js",
    "settings.js",
    "show.js",
    "situations.js",
    "sound.js",
    "style.css",
    "text.js",
    "wire.js"
];

/// One file of the page.
#[derive(Debug)]
pub struct Asset {
    /// Without a folder.
    pub name: &'static str,
    /// As it lies in the source.
    pub bytes: &'static [u8],
    gzipped: OnceLock<Option<Vec<u8>>>,
}

impl Asset {
    const fn new(name: &'static str, bytes: &'static [u8]) -> Self {
        Self { name, bytes, gzipped: OnceLock::new() }
    }

    /// The bytes in gzip's format, made at the first call; `None` if that is not smaller.
    pub fn gzipped(&self) -> Option<&[u8]> {
        self.gzipped.get_or_init(|| gzip(self.bytes)).as_deref()
    }
}

/// The file of that name.
pub fn find(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

/// The template of the page's document.
pub fn index() -> &'static str {
    find(INDEX).and_then(|asset| std::str::from_utf8(asset.bytes).ok()).unwrap_or_default()
}

/// Where the files are, for instance `/page-1f2e3d4c5b6a7988`.
pub fn folder() -> &'static str {
    static FOLDER: OnceLock<String> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let parts = ASSETS.iter().flat_map(|asset| [asset.name.as_bytes(), &[0], asset.bytes, &[0]]);
        format!("{FOLDER_PREFIX}{:016x}", fingerprint(parts))
    })
}

/// FNV-1a (RFC 9923): tells versions apart, and is no defence against anybody.
pub fn fingerprint<'b>(parts: impl IntoIterator<Item = &'b [u8]>) -> u64 {
    let bytes = parts.into_iter().flatten();
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3))
}

/// The document: `{{assets}}` becomes the folder of the files, `{{server}}` the server's name as HTML text.
pub fn render(template: &str, assets: &str, server: &str) -> String {
    template.replace("{{assets}}", assets).replace("{{server}}", &escaped(server))
}

/// As text in HTML, also inside the quotes of an attribute.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// The type of a file by its name's ending; `None` for what no page has.
pub fn content_type(name: &str) -> Option<&'static str> {
    let (_, extension) = name.rsplit_once('.')?;
    Some(match extension {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "webmanifest" => "application/manifest+json",
        _ => return None,
    })
}

/// The bytes in gzip's format (RFC 1952); `None` if that is not smaller.
pub fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok().filter(|gzipped| gzipped.len() < bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::io::Read;

    #[test]
    fn every_file_of_the_folder_is_served_and_has_a_type() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web");
        let there: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_type().unwrap().is_file())
            .map(|entry| entry.file_name().into_string().unwrap())
            .filter(|name| !["mod.rs", "package.json"].contains(&name.as_str()))
            .collect();
        let listed: BTreeSet<String> = ASSETS.iter().map(|asset| asset.name.to_owned()).collect();
        assert_eq!(there, listed, "list the files of src/web in ASSETS");
        assert_eq!(listed.len(), ASSETS.len(), "one of them is listed twice");
        assert!(ASSETS.iter().all(|asset| content_type(asset.name).is_some()), "{listed:?}");
    }

    /// What a first visit loads, as the server sends it.
    #[test]
    fn the_page_is_at_most_120_kib_on_the_wire() {
        let sent = |asset: &Asset| asset.gzipped().map_or(asset.bytes.len(), <[u8]>::len);
        let all: usize = ASSETS.iter().map(sent).sum();
        assert!(all <= 120 * 1_024, "{all} bytes");
    }

    #[test]
    fn gzip_comes_back_and_is_never_larger() {
        let text = "all work and no play ".repeat(100);
        let gzipped = gzip(text.as_bytes()).unwrap();
        let mut back = String::new();
        flate2::read::GzDecoder::new(&gzipped[..]).read_to_string(&mut back).unwrap();
        assert_eq!(back, text);
        assert_eq!((gzip(b""), gzip(b"short")), (None, None));
    }

    #[test]
    fn the_folder_changes_with_any_byte_of_any_file() {
        assert_eq!(fingerprint([&b"foobar"[..]]), 0x8594_4171_F739_67E8); // a test vector of RFC 9923
        let hash = folder().strip_prefix(FOLDER_PREFIX).unwrap();
        assert!(hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()), "{hash}");
    }

    #[test]
    fn a_servers_name_stays_text() {
        let page = render("<p title='{{server}}'>{{server}} {{assets}}/a.js", "/page-1", "a'\"<b>&{{assets}}");
        assert_eq!(
            page,
            "<p title='a&#39;&quot;&lt;b&gt;&amp;{{assets}}'>a&#39;&quot;&lt;b&gt;&amp;{{assets}} /page-1/a.js"
        );
        assert!(index().contains("{{assets}}/") && index().contains("{{server}}"));
    }
}

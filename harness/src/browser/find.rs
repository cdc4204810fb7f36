//! Where browsers are, and what they call themselves.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// Names that are looked for on `PATH`, in this order.
const NAMES: [&str; 9] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "microsoft-edge-stable",
    "brave-browser",
    "brave",
];

/// Where installers put them without telling `PATH`.
const PLACES: [&str; 7] = [
    "/usr/lib/chromium/chromium",
    "/opt/google/chrome/chrome",
    "/opt/microsoft/msedge/msedge",
    "/opt/brave.com/brave/brave",
    "/snap/bin/chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
];

/// The variable that names a browser.
pub const VARIABLE: &str = "SIDETONE_BROWSER";

/// How long `--version` may take.
const VERSION_WITHIN: Duration = Duration::from_secs(5);

/// No browser. Says what was looked for and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoBrowser {
    /// The one that was asked for is not there.
    #[error("{path} (from {given_by}) is no program that can be run; install chromium, or name another browser with --browser", path = path.display())]
    NotThere {
        /// As asked for.
        path: PathBuf,
        /// `--browser` or the variable.
        given_by: &'static str,
    },
    /// Nobody asked for one and none is installed.
    #[error(
        "no browser was found on PATH (looked for {}); install chromium (apt-get install chromium), or give --browser PATH",
        NAMES.join(", ")
    )]
    None,
}

/// The browser to use: the given one, that of [`VARIABLE`], or the first that is installed.
///
/// # Errors
/// [`NoBrowser`].
pub fn find(given: Option<&Path>) -> Result<PathBuf, NoBrowser> {
    let variable = std::env::var_os(VARIABLE).filter(|v| !v.is_empty());
    let path = std::env::var_os("PATH").unwrap_or_default();
    choose(given, variable.as_deref(), &path, is_program)
}

fn choose(
    given: Option<&Path>,
    variable: Option<&OsStr>,
    path: &OsStr,
    exists: impl Fn(&Path) -> bool,
) -> Result<PathBuf, NoBrowser> {
    let on_path = |name: &Path| std::env::split_paths(path).map(|folder| folder.join(name)).find(|p| exists(p));
    let asked = given.map(|p| (p, "--browser")).or_else(|| Some((Path::new(variable?), VARIABLE)));
    if let Some((asked, given_by)) = asked {
        let bare = asked.components().count() == 1;
        let found = if bare { on_path(asked) } else { exists(asked).then(|| asked.to_owned()) };
        return found.ok_or_else(|| NoBrowser::NotThere { path: asked.to_owned(), given_by });
    }
    let named = NAMES.iter().find_map(|name| on_path(Path::new(name)));
    let placed = || PLACES.iter().map(PathBuf::from).find(|p| exists(p));
    named.or_else(placed).ok_or(NoBrowser::None)
}

fn is_program(path: &Path) -> bool {
    path.is_file() && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
}

/// What `--version` says: name and version. A browser that does not say has its file's name and no version.
pub(super) async fn name_and_version(executable: &Path) -> (String, String) {
    let asked = Command::new(executable)
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let text = match timeout(VERSION_WITHIN, asked).await {
        Ok(Ok(output)) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Ok(Err(_)) | Err(_) => String::new(),
    };
    let name = executable.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    split_version(&text).unwrap_or((name, String::new()))
}

/// `Google Chrome 142.0.7444.59 unknown` is Google Chrome, 142.0.7444.59.
fn split_version(text: &str) -> Option<(String, String)> {
    let words: Vec<_> = text.lines().next()?.split_whitespace().collect();
    let at = words.iter().position(|w| w.starts_with(|c: char| c.is_ascii_digit()) && w.contains('.'))?;
    (at > 0).then(|| (words[..at].join(" "), words[at].to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(given: Option<&str>, variable: Option<&str>, there: &[&str]) -> Result<String, String> {
        let exists = |path: &Path| there.iter().any(|t| Path::new(t) == path);
        choose(given.map(Path::new), variable.map(OsStr::new), OsStr::new("/a:/b"), exists)
            .map(|p| p.display().to_string())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn the_given_one_goes_before_the_variable_and_that_before_path() {
        let there = ["/b/chromium", "/a/brave", "/x/edge", "/opt/google/chrome/chrome"];
        assert_eq!(found(Some("/x/edge"), Some("brave"), &there).unwrap(), "/x/edge");
        assert_eq!(found(None, Some("brave"), &there).unwrap(), "/a/brave");
        assert_eq!(found(None, None, &there).unwrap(), "/b/chromium", "the order of the names, not of PATH");
        assert_eq!(found(None, None, &there[3..]).unwrap(), "/opt/google/chrome/chrome");
    }

    #[test]
    fn what_is_missing_is_named_with_its_remedy() {
        for (given, variable, expected) in [
            (Some("/no/such"), None, "/no/such (from --browser) is no program"),
            (None, Some("gone"), "gone (from SIDETONE_BROWSER) is no program"),
            (None, None, "no browser was found on PATH"),
        ] {
            let text = found(given, variable, &["/a/other"]).unwrap_err();
            assert!(text.contains(expected) && text.contains("install chromium"), "{text}");
        }
    }

    #[test]
    fn names_and_versions() {
        for (text, name, version) in [
            ("Chromium 156.0.8078.79 built on Debian GNU/Linux 12 (bookworm)", "Chromium", "156.0.8078.79"),
            ("Google Chrome 142.0.7444.59 unknown\n", "Google Chrome", "142.0.7444.59"),
            ("Brave Browser 142.1.84.135 ", "Brave Browser", "142.1.84.135"),
        ] {
            assert_eq!(split_version(text), Some((name.to_owned(), version.to_owned())));
        }
        assert_eq!(split_version("1.2"), None);
        assert_eq!(split_version(""), None);
    }
}

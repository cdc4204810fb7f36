//! What the program says of itself: held by snapshots, so that a change of an interface is seen.

use super::support::sidetone;

fn printed(arguments: &[&str]) -> String {
    let output = sidetone(arguments).env("COLUMNS", "100").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn help() {
    for (name, arguments) in [
        ("help", &["--help"][..]),
        ("help_server", &["server", "--help"]),
        ("help_client", &["client", "--help"]),
        ("help_events", &["events", "--help"]),
    ] {
        insta::assert_snapshot!(name, printed(arguments));
    }
}

#[test]
fn the_catalogue_of_events() {
    insta::assert_snapshot!("events", printed(&["events"]));
}

#[test]
fn the_catalogue_as_json_lists_the_same_events() {
    let catalogue: Vec<serde_json::Value> = serde_json::from_str(&printed(&["events", "--json"])).unwrap();
    let names: Vec<_> = catalogue.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    let of_text = printed(&["events"]);
    let of_text: Vec<_> =
        of_text.lines().filter(|l| !l.starts_with(' ')).filter_map(|l| l.split_whitespace().next()).collect();
    assert_eq!(names, of_text);
    assert!(catalogue.iter().all(|entry| entry["fields"].is_object() && entry["level"].is_string()));
}

#[test]
fn version_and_wrong_usage() {
    assert_eq!(printed(&["--version"]), format!("sidetone {}\n", env!("CARGO_PKG_VERSION")));
    for arguments in [&[][..], &["nothing"], &["server", "extra"], &["events", "--yaml"], &["client", "ftp://a"]] {
        assert_cmd::assert::Assert::new(sidetone(arguments).output().unwrap()).code(2).stdout("");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    use std::process::Stdio;
    let mut child = sidetone(&["events"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

//! What a run leaves: the same diagnosis again from its evidence, citations that hold, folders that do not get mixed up.
#![cfg(test)] // so that the lints know the helpers for test code

use super::place::{Ended, Place, json, list};
use serde_json::{Value, json as value};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

pub(crate) async fn diagnose(place: &Place, file: &str, more: &[&str]) -> Ended {
    place.harness(&[&["diagnose", file], more].concat()).await
}

#[tokio::test]
async fn the_evidence_of_a_run_gives_the_same_report_again() {
    let place = Place::new();
    let run = place.run(&["--duration", "1s"]).await;
    // what a busy machine does to a call of a second is no matter here
    assert!(matches!(run.code, Some(0 | 1)), "{run:?}");
    let file = place.latest("call/evidence.json");
    let again = diagnose(&place, file.to_str().unwrap(), &["--format", "markdown"]).await;
    assert_eq!(again.code, run.code, "{}", again.stderr);
    assert_eq!(again.stdout, place.read("call/report.md"));
    cited(&place, "call");
    let evidence = json(&place.read("call/evidence.json"));
    other_versions(&place, &evidence, &again.stdout).await;
}

/// Every piece of evidence stands where it is said to stand, in the very file that was seen.
pub(crate) fn cited(place: &Place, scenario: &str) {
    let report = place.report();
    let items = list(&report["reports"][0]["evidence"]);
    assert!(items.len() > 30, "{}", items.len());
    for item in items {
        let (source, excerpt) = (item["source"].as_str().unwrap(), item["excerpt"].as_str().unwrap());
        let (path, line) = source.rsplit_once(':').unwrap();
        let bytes = std::fs::read(place.latest(scenario).join(path)).unwrap_or_else(|e| panic!("{source}: {e}"));
        let text = String::from_utf8_lossy(&bytes);
        let line =
            text.lines().nth(line.parse::<usize>().unwrap() - 1).unwrap_or_else(|| panic!("{source}: no such line"));
        assert!(line.starts_with(excerpt) && !excerpt.is_empty(), "{source}: {excerpt:?} is not {line:?}");
        assert!(excerpt.len() == line.len() || excerpt.len() > 500, "{source} is cut early: {excerpt:?}");
        let hash = Sha256::digest(&bytes).iter().fold(String::new(), |hex, b| hex + &format!("{b:02x}"));
        assert_eq!(item["sha256"], hash, "{source}");
    }
    let known: BTreeSet<_> = items.iter().map(|i| i["id"].as_str().unwrap()).collect();
    for check in list(&report["reports"][0]["checks"]) {
        for id in list(&check["evidence"]) {
            assert!(known.contains(id.as_str().unwrap()), "{check} cites {id}");
        }
    }
}

/// A later minor version with fields that nobody here knows is read; another major version is not.
async fn other_versions(place: &Place, evidence: &Value, report: &str) {
    let mut later = evidence.clone();
    later["schema_version"] = value!("1.9");
    for pointer in [
        "",
        "/run",
        "/plan",
        "/plan/server",
        "/plan/clients/0",
        "/plan/limits",
        "/environment",
        "/logs/0",
        "/observations/0",
        "/observations/9",
    ] {
        later.pointer_mut(pointer).unwrap()["a_later_field"] = value!({"is": ["unknown"]});
    }
    let unknown = value!({"time": "", "monotonic_ns": 0, "kind": "telepathy", "with": "whom"});
    later["observations"].as_array_mut().unwrap().push(unknown);
    let file = place.write("later.json", &later.to_string());
    let ended = diagnose(place, &file, &["--format", "markdown"]).await;
    assert_eq!(ended.stderr, "", "it is read");
    // excerpts of observations are made of what this version knows of them
    assert_eq!(ended.stdout.lines().next(), report.lines().next());
    let mut other = evidence.clone();
    other["schema_version"] = value!("2.0");
    unreadable(place, "other.json", &other.to_string(), &["schema version 2.0", "this harness reads 1.3"]).await;
    let whole = evidence.to_string();
    unreadable(place, "cut.json", &whole[..whole.floor_char_boundary(whole.len() / 2)], &["not JSON", "EOF"]).await;
}

async fn unreadable(place: &Place, name: &str, text: &str, words: &[&str]) {
    let file = place.write(name, text);
    let ended = diagnose(place, &file, &[]).await;
    assert_eq!(ended.code, Some(2), "{name}: {ended:?}");
    assert!(ended.stdout.is_empty() && ended.stderr.contains(&file), "{ended:?}");
    for word in words {
        assert!(ended.stderr.contains(word), "{word:?} is missing for {name}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn evidence_that_is_none() {
    let place = Place::new();
    unreadable(&place, "empty.json", "", &["the file is empty"]).await;
    unreadable(&place, "text.json", "this is no JSON", &["not JSON"]).await;
    unreadable(&place, "array.json", "[1, 2]", &["no schema_version"]).await;
    unreadable(&place, "object.json", "{\"schema_version\": 1}", &["no schema_version"]).await;
    unreadable(&place, "report.json", "{\"schema_version\": \"1.0\", \"run_id\": \"x\"}", &["not an evidence file"])
        .await;
    let ended = diagnose(&place, "/nowhere/evidence.json", &[]).await;
    assert!(ended.code == Some(2) && ended.stderr.contains("/nowhere/evidence.json: No such file"), "{ended:?}");
}

/// Names of all runs in `out`, sorted.
fn runs(place: &Place) -> Vec<String> {
    let names = std::fs::read_dir(place.join("out")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|n| n != "latest").collect();
    names.sort();
    names
}

#[tokio::test]
async fn harnesses_that_share_a_folder_do_not_disturb_each_other() {
    let place = Place::new();
    // a server alone is over in a moment, so that several start in one second
    let scenario = place.write("alone.toml", "name = \"alone\"\n[server]\nbind = [\"127.0.0.1\"]\n");
    let args = [scenario.as_str(), "--keep", "1"];
    let all = [(); 4].map(|()| place.run(&args));
    for ended in futures_util::future::join_all(all).await {
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    let ended = place.run(&[&scenario, "--keep", "10"]).await;
    let left = runs(&place);
    assert!((1..=5).contains(&left.len()), "{left:?}");
    for run in &left {
        let report = json(&std::fs::read_to_string(place.join("out").join(run).join("report.json")).unwrap());
        assert_eq!(report["run_id"], run.as_str(), "the id of a run is the name of its folder");
    }
    let latest = std::fs::read_link(place.join("out/latest")).unwrap();
    assert!(ended.stderr.contains(latest.to_str().unwrap()), "latest is the newest: {latest:?}, {}", ended.stderr);
}

#[tokio::test]
async fn the_newest_runs_are_kept() {
    let place = Place::new();
    let scenario = place.write("alone.toml", "name = \"alone\"\n[server]\nbind = [\"127.0.0.1\"]\n");
    std::fs::create_dir_all(place.join("out/mine")).unwrap();
    let mut ids = Vec::new();
    for _ in 0..4 {
        let ended = place.run(&[&scenario, "--keep", "2"]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ids.push(place.report()["run_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 4, "run ids are unique: {ids:?}");
    let mut expected = vec![ids[2].clone(), ids[3].clone(), "mine".to_owned()];
    expected.sort();
    assert_eq!(runs(&place), expected, "the two newest, and what is no run");
}

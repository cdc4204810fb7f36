//! House rules as tests: they walk the tree and say what to do about what they find.
#![cfg(test)] // so that the lints know the helpers for test code

use sidetone_harness::cause;
use sidetone_harness::scenario::{file, shipped};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Most lines of a file that are not its tests.
const MOST_LINES: usize = 400;

/// Files that may be longer, and why.
const LONGER: &[(&str, usize, &str)] = &[
    ("src/audio/jitter.rs", 440, "the buffer and its estimate of the delay; both look at every packet"),
    ("harness/src/evidence/concluded.rs", 500, "one document type after the other, without logic"),
];

/// What no pure module may name: the world outside.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::thread",
    "std::process",
    "std::env",
    "tokio",
    "Instant::now",
    "SystemTime",
    "Timestamp::now",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "File",
];

/// Never, whatever the table in ARCHITECTURE.md says: (crate, module or `*`, what it must not import, why).
const NEVER: &[(&str, &str, &str, &str)] = &[
    ("sidetone", "server", "client", "they meet on the wire alone"),
    ("sidetone", "client", "server", "they meet on the wire alone"),
    ("sidetone-harness", "probe", "diagnosis", "a probe tells what it saw and concludes nothing"),
    ("sidetone-harness", "report", "diagnosis", "a report shows conclusions and draws none"),
    ("sidetone-harness", "*", "sidetone::server", "the harness runs the server as a process, as a user would"),
    ("sidetone-harness", "*", "sidetone::client", "the harness runs clients as processes, as a user would"),
    ("sidetone-harness", "*", "sidetone::cli", "what both programs need belongs into a module below"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Files below a folder, by their path from the root, sorted.
fn files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() && !path.is_symlink() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn rust(folder: &str) -> Vec<String> {
    files(folder).into_iter().filter(|path| has_extension(path, "rs")).collect()
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

fn tell(what: &str, mut wrong: Vec<String>) {
    wrong.sort();
    assert!(wrong.is_empty(), "{what}\n  {}\n", wrong.join("\n  "));
}

/// A file without its tests: the item after each `#[cfg(test)]` is left out. The layout is that of rustfmt.
fn without_tests(text: &str) -> Vec<&str> {
    let mut kept = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let indent = &line[..line.len() - line.trim_start().len()];
        if line.trim() != "#[cfg(test)]" {
            kept.push(line);
            continue;
        }
        let end = format!("{indent}}}");
        for inner in lines.by_ref() {
            if inner == end
                || inner.ends_with(';') && inner.starts_with(indent) && !inner[indent.len()..].starts_with(' ')
            {
                break;
            }
        }
    }
    kept
}

/// A file without its tests and comments.
fn code(text: &str) -> String {
    let lines = without_tests(text).into_iter().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| line.split(" // ").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The text after each occurrence of `word` that stands alone.
fn after<'t>(text: &'t str, word: &str) -> Vec<&'t str> {
    let alone = |at: &usize| {
        !text[..*at].ends_with(is_word) && (!word.ends_with(is_word) || !text[at + word.len()..].starts_with(is_word))
    };
    text.match_indices(word).map(|(at, _)| at).filter(alone).map(|at| &text[at + word.len()..]).collect()
}

fn has_word(text: &str, word: &str) -> bool {
    !after(text, word).is_empty()
}

/// First names below `prefix` (`crate::`): of paths, and of groups in braces.
fn names_below(text: &str, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for rest in after(text, prefix) {
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut first = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => first.push(','),
                    _ if depth == 0 => first.push(c),
                    _ => {}
                }
            }
            names.extend(first.split(',').map(|name| name.trim().chars().take_while(|c| is_word(*c)).collect()));
        } else {
            names.insert(rest.chars().take_while(|c| is_word(*c)).collect());
        }
    }
    names.remove("");
    names
}

/// Files that only tests compile: `#[cfg(test)] mod name;` in a parent.
fn test_only(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for path in rust(folder) {
        let text = read(&path);
        let lines: Vec<_> = text.lines().collect();
        let below = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for pair in lines.windows(2).filter(|pair| pair[0].trim() == "#[cfg(test)]") {
            if let Some(name) = pair[1].strip_suffix(';').and_then(|line| line.rsplit_once("mod ")) {
                found.push(format!("{below}/{}", name.1));
            }
        }
    }
    found
}

/// Files of a crate by module (the first folder or file below `src`), without those of tests.
fn modules(src: &str) -> BTreeMap<String, Vec<String>> {
    let tests = test_only(src);
    let mut modules: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in rust(src) {
        if tests.iter().any(|test| path == format!("{test}.rs") || path.starts_with(&format!("{test}/"))) {
            continue;
        }
        let inside = path.strip_prefix(&format!("{src}/")).unwrap();
        let module = inside.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
        modules.entry(module).or_default().push(path);
    }
    modules.remove("lib");
    modules
}

/// One row of the table in ARCHITECTURE.md.
struct Row {
    pure: bool,
    imports: BTreeSet<String>,
}

/// The fenced block below the heading that names the crate: `module  pure|I/O  what it may import`.
fn table(name: &str) -> BTreeMap<String, Row> {
    let text = read("ARCHITECTURE.md");
    let block = text.split(&format!("```text {name}\n")).nth(1).and_then(|rest| rest.split("```").next());
    let block = block.unwrap_or_else(|| panic!("ARCHITECTURE.md has no block ```text {name}"));
    let row = |line: &str| {
        let mut words = line.split_whitespace().map(|word| word.trim_end_matches(',').to_owned());
        let (module, kind) = (words.next()?, words.next()?);
        assert!(
            ["pure", "I/O"].contains(&kind.as_str()),
            "ARCHITECTURE.md, {name}: {line:?} says neither pure nor I/O"
        );
        Some((module, Row { pure: kind == "pure", imports: words.filter(|word| word != "-").collect() }))
    };
    block.lines().filter_map(row).collect()
}

const CRATES: [(&str, &str); 2] = [("sidetone", "src"), ("sidetone-harness", "harness/src")];

/// What a file imports: modules of its own crate by name, those of the library as `sidetone::name`.
fn imports(path: &str) -> BTreeSet<String> {
    let code = code(&read(path));
    let library = names_below(&code, "sidetone::").into_iter().map(|name| format!("sidetone::{name}"));
    names_below(&code, "crate::").into_iter().chain(library).collect()
}

#[test]
fn modules_import_only_what_the_architecture_allows() {
    let mut wrong = Vec::new();
    for (name, src) in CRATES {
        let table = table(name);
        let modules = modules(src);
        wrong.extend(
            table.keys().filter(|m| !modules.contains_key(*m)).map(|m| format!("{name}: {m} is in the table only")),
        );
        for (module, paths) in &modules {
            let Some(row) = table.get(module) else {
                wrong.push(format!("{name}: {module} is not in the table"));
                continue;
            };
            for path in paths {
                for import in imports(path).into_iter().filter(|i| i != module && modules_know(i, &modules)) {
                    if !row.imports.contains(&import) {
                        wrong.push(format!("{path} imports {import}"));
                    }
                }
            }
        }
    }
    tell("Move the code to where it may be used from, or change the table in ARCHITECTURE.md and say why:", wrong);
}

/// `crate::Thing` at the root of a crate is no module.
fn modules_know(import: &str, modules: &BTreeMap<String, Vec<String>>) -> bool {
    import.starts_with("sidetone::") || modules.contains_key(import)
}

#[test]
fn some_imports_are_never_allowed() {
    let mut wrong = Vec::new();
    for (name, src) in CRATES {
        for (module, paths) in modules(src) {
            for (_, _, import, why) in NEVER.iter().filter(|(c, m, _, _)| *c == name && (*m == "*" || *m == module)) {
                let found = paths.iter().filter(|path| imports(path).contains(*import));
                wrong.extend(found.map(|path| format!("{path} imports {import}: {why}")));
            }
        }
    }
    tell("These imports turn the house upside down; pass data instead:", wrong);
}

#[test]
fn pure_modules_do_not_touch_the_world() {
    let mut wrong = Vec::new();
    let library = table("sidetone");
    for (name, src) in CRATES {
        let table = table(name);
        let is_pure = |import: &str| match import.strip_prefix("sidetone::") {
            Some(module) => library.get(module).is_some_and(|row| row.pure),
            None => table.get(import).is_none_or(|row| row.pure),
        };
        for (module, paths) in modules(src).iter().filter(|(module, _)| table.get(*module).is_some_and(|row| row.pure))
        {
            for path in paths {
                let code = code(&read(path));
                let grouped = names_below(&code, "std::").into_iter().map(|name| format!("std::{name}"));
                let grouped: BTreeSet<_> = grouped.filter(|name| IMPURE.contains(&name.as_str())).collect();
                let direct = IMPURE.iter().filter(|word| has_word(&code, word)).map(|word| (*word).to_owned());
                let named: BTreeSet<_> = direct.chain(grouped).collect();
                wrong.extend(named.iter().map(|word| format!("{path} names {word}, and {module} is pure")));
                let impure = imports(path).into_iter().filter(|import| import != module && !is_pure(import));
                wrong.extend(
                    impure.map(|import| format!("{path} imports {import}, which does I/O, and {module} is pure")),
                );
            }
        }
    }
    tell("A pure module takes values and gives values: let its caller read the clock, the file, the socket:", wrong);
}

/// `mod name;` lines of a file, and its inner documentation.
fn children(path: &str) -> (Vec<String>, String) {
    let text = read(path);
    let kept = without_tests(&text);
    let name = |line: &&str| {
        let rest = line
            .split_once("mod ")
            .filter(|(before, _)| ["", "pub ", "pub(crate) ", "pub(super) "].contains(before))?;
        rest.1.strip_suffix(';').map(str::to_owned)
    };
    let docs = kept.iter().filter(|line| line.starts_with("//!")).fold(String::new(), |docs, line| docs + line + "\n");
    (kept.iter().filter_map(name).collect(), docs)
}

#[test]
fn the_map_in_a_module_names_its_parts() {
    let mut wrong = Vec::new();
    for (_, src) in CRATES {
        let tops = modules(src).into_keys().map(|module| format!("{src}/{module}/mod.rs"));
        for path in tops.chain([format!("{src}/lib.rs")]).filter(|path| root().join(path).is_file()) {
            let (names, docs) = children(&path);
            if docs.is_empty() {
                wrong.push(format!("{path} has no documentation"));
            }
            if names.len() > 1 {
                wrong.extend(names.iter().filter(|name| !has_word(&docs, name)).map(|name| format!("{path}: {name}")));
            }
        }
    }
    tell("Give each of these modules a few words in the `//!` of its parent:", wrong);
}

#[test]
fn files_stay_short() {
    let mut wrong = Vec::new();
    for path in CRATES.iter().flat_map(|(_, src)| modules(src)).flat_map(|(_, paths)| paths) {
        let lines = without_tests(&read(&path)).len();
        let most = LONGER.iter().find(|(longer, ..)| *longer == path).map_or(MOST_LINES, |(_, most, _)| *most);
        if lines > most {
            wrong.push(format!("{path}: {lines} lines without its tests; at most {most}"));
        }
    }
    let gone = LONGER.iter().filter(|(path, ..)| without_tests(&read(path)).len() <= MOST_LINES);
    wrong.extend(gone.map(|(path, ..)| format!("{path} is short by now: take it off the list LONGER")));
    tell("Split the file where it does two things, or give a reason in LONGER:", wrong);
}

#[test]
fn every_cause_is_explained_and_found_by_a_rule() {
    let rules: String = rust("harness/src/diagnosis").iter().map(|path| code(&read(path))).collect();
    let mut wrong = Vec::new();
    let mut codes = BTreeSet::new();
    for cause in cause::iter() {
        let fix = cause.fixes.first().map_or("", |(_, text)| *text);
        let later = cause.later.first().map_or("", |(_, text)| *text);
        let empty = [
            ("title", cause.title),
            ("explanation", cause.explanation),
            ("evidence that settles it", cause.settled_by),
            ("confounder", cause.confounder),
            ("fix", fix),
            ("prevention", later),
        ];
        let empty = empty.iter().filter(|(_, text)| text.trim().is_empty());
        wrong.extend(empty.map(|(what, _)| format!("{}: no {what}", cause.code)));
        if !codes.insert(cause.code) {
            wrong.push(format!("{}: twice in the catalogue", cause.code));
        }
        if !rules.contains(&format!("\"{}\"", cause.code)) {
            wrong.push(format!("{}: no rule in harness/src/diagnosis names it", cause.code));
        }
    }
    tell("Complete the entry in harness/src/cause, or write the rule (CONTRIBUTING.md shows how):", wrong);
}

#[test]
fn every_scenario_file_is_shipped_and_valid() {
    let mut wrong = Vec::new();
    let names: BTreeSet<_> = shipped::all().map(|(name, _)| name).collect();
    for path in files("fixtures/scenarios").iter().filter(|path| has_extension(path, "toml")) {
        let stem = Path::new(path).file_stem().unwrap().to_str().unwrap();
        if !names.contains(stem) {
            wrong.push(format!("{path}: not in CALLS or FAULTS of harness/src/scenario/shipped.rs"));
        }
        match file::find(root().join(path).to_str().unwrap()) {
            Ok(scenarios) if scenarios.iter().all(|s| s.plan.scenario == stem) => {}
            Ok(_) => wrong.push(format!("{path}: its name is not {stem:?}")),
            Err(error) => wrong.push(error.to_string()),
        }
    }
    wrong.extend(names.iter().filter_map(|name| file::find(name).err()).map(|error| error.to_string()));
    tell("Ship the scenario, and make it valid (sidetone-harness run FILE says what is wrong):", wrong);
}

#[test]
fn no_file_is_forgotten() {
    let mut wrong = Vec::new();
    for (folder, top) in [
        ("harness/tests/sidetone", "main.rs"),
        ("harness/tests/it", "main.rs"),
        ("src", "lib.rs"),
        ("harness/src", "lib.rs"),
    ] {
        let paths = rust(folder);
        for path in &paths {
            let (above, file) = path.rsplit_once('/').unwrap();
            let (parent, name) = match file {
                "main.rs" | "lib.rs" => continue,
                "mod.rs" => above.rsplit_once('/').unwrap(),
                _ => (above, file.trim_end_matches(".rs")),
            };
            let parent = if parent == folder { format!("{parent}/{top}") } else { format!("{parent}/mod.rs") };
            let text = if paths.contains(&parent) { read(&parent) } else { String::new() };
            if !text
                .lines()
                .any(|line| line.ends_with(&format!("mod {name};")) || line.contains(&format!("= \"{file}\"")))
            {
                wrong.push(format!("{path}: {parent} has no `mod {name};`"));
            }
        }
    }
    tell("Nobody compiles these files; declare them or remove them:", wrong);
}

#[test]
fn every_event_of_the_catalogue_is_emitted() {
    let catalogue = read("src/event/catalogue.rs");
    let is_entry = |line: &&str| line.starts_with("    \"") && line.contains('{');
    // the name in quotes, and the variant
    let words = |line: &str| {
        let mut words = line.split_whitespace().map(str::to_owned);
        (words.next().unwrap(), words.nth(1).unwrap())
    };
    let variants: Vec<_> = catalogue.lines().filter(is_entry).map(words).collect();
    assert_eq!(
        variants.len(),
        sidetone::event::CATALOGUE.len(),
        "the catalogue is laid out differently; mend this test"
    );
    let paths = modules("src").into_iter().filter(|(module, _)| module != "event").flat_map(|(_, paths)| paths);
    let driver: String = rust("harness/src/browser").iter().map(|path| code(&read(path))).collect();
    let all: String = paths.map(|path| code(&read(&path))).chain([driver.clone()]).collect();
    // some come from the page, and the driver names them when it lets them through
    let silent = variants
        .into_iter()
        .filter(|(name, variant)| !has_word(&all, &format!("Event::{variant}")) && !driver.contains(name));
    tell("These events are promised and nobody emits them; emit them or take them out:", silent.map(|s| s.1).collect());
}

#[test]
fn nothing_is_left_to_do_and_no_path_is_private() {
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let private = [concat!("/wo", "rk/"), concat!("/tmp/", "wt/"), concat!("/root", "/"), concat!("/home", "/")];
    let folders = ["src", "harness", "fixtures", "reports/sample", ".ci", ".github"];
    let single = ["Makefile", "Cargo.toml", "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];
    let mut wrong = Vec::new();
    for path in folders.into_iter().flat_map(files).chain(single.map(str::to_owned)) {
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue }; // sound, pictures
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| has_word(line, word)) || private.iter().any(|part| line.contains(part)) {
                let line: String = line.trim().chars().take(80).collect();
                wrong.push(format!("{path}:{}: {line}", number + 1));
            }
        }
    }
    tell("Do it, or open an issue; and let no path of one machine into the tree:", wrong);
}

#[test]
fn the_walker_sees_imports_and_overlooks_tests_and_comments() {
    let text = "use crate::{a::B, c::{D, E}};\n/// [`crate::docs`]\nfn f() {\n    crate::g::h(); // crate::comment\n}\n\
                #[cfg(test)]\nmod tests {\n    use crate::tested;\n}\nuse other_crate::x;\nuse crate::last;\n";
    let names = names_below(&code(text), "crate::");
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["a", "c", "g", "last"]);
    assert!(has_word("a File is", "File") && !has_word("a FileName", "File") && !has_word("MyFile", "File"));
}

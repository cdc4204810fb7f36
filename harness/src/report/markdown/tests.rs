//! What is true of every markdown report, hostile ones included.

use super::super::{Reporter, samples};
use super::Markdown;
use crate::evidence::{Expectation, HypothesisState, RunReport, Status};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

fn events(markdown: &str) -> Vec<Event<'_>> {
    Parser::new_ext(markdown, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH).collect()
}

#[test]
fn snapshots() {
    for (name, run) in samples::all() {
        insta::assert_snapshot!(format!("markdown_{name}"), Markdown.render(&run));
    }
}

#[test]
fn the_verdict_is_the_first_thing_that_is_read() {
    for (name, run) in samples::all() {
        let word = run.verdict.status.word();
        let markdown = Markdown.render(&run);
        assert!(markdown.starts_with(&format!("**{word}** ")), "{name}");
    }
}

#[test]
fn every_link_inside_has_its_anchor() {
    for (name, run) in samples::all() {
        let markdown = Markdown.render(&run);
        let mut inside = 0;
        for event in events(&markdown) {
            if let Event::Start(Tag::Link { dest_url, .. }) = event
                && let Some(anchor) = dest_url.strip_prefix('#')
            {
                inside += 1;
                let found = markdown.matches(&format!("<a id=\"{anchor}\"></a>")).count();
                assert_eq!(found, 1, "{name}: #{anchor}");
            }
        }
        assert!(inside > 0 || name == "unknown" || name == "several", "{name}");
    }
}

#[test]
#[expect(clippy::wildcard_enum_match_arm, reason = "a parser's events, of which few matter here")]
fn every_row_has_as_many_cells_as_its_head_in_the_text_and_when_read() {
    for (name, run) in samples::all() {
        let markdown = Markdown.render(&run);
        let (mut cells, mut head, mut tables) = (0, 0, 0);
        for event in events(&markdown) {
            match event {
                Event::Start(Tag::Table(columns)) => {
                    tables += 1;
                    head = columns.len();
                }
                Event::Start(Tag::TableHead | Tag::TableRow) => cells = 0,
                Event::Start(Tag::TableCell) => cells += 1,
                Event::End(TagEnd::TableHead | TagEnd::TableRow) => assert_eq!(cells, head, "{name}"),
                _ => {}
            }
        }
        // A reader fills up and cuts off rows, so the bars are counted as well.
        let mut bars = None;
        let mut written = 0;
        for line in markdown.lines() {
            let here = line.starts_with('|').then(|| line.matches('|').count());
            if let Some(here) = here {
                written += usize::from(bars.is_none());
                assert_eq!(bars.get_or_insert(here), &here, "{name}: {line}");
            } else {
                bars = None;
            }
        }
        assert_eq!(tables, written, "{name}: every table is read as one");
    }
}

#[test]
#[expect(clippy::wildcard_enum_match_arm, reason = "a parser's events, of which few matter here")]
fn nothing_from_outside_becomes_html_a_heading_a_picture_or_a_link_of_its_own() {
    let run = samples::hostile();
    let markdown = Markdown.render(&run);
    let ours = ["<a id=\"", "</a>", "<br>", "<code>", "</code>", "<details>", "</details>", "<summary>", "</summary>"];
    let mut heading = false;
    let mut headings = Vec::new();
    for event in events(&markdown) {
        match event {
            Event::Html(html) | Event::InlineHtml(html) => {
                assert!(ours.iter().any(|o| html.trim().starts_with(o)), "{html:?}");
                assert!(!html.contains("script"), "{html:?}");
            }
            Event::Start(Tag::Heading { .. }) => heading = true,
            Event::End(TagEnd::Heading(_)) => heading = false,
            Event::Text(text) if heading => headings.push(text.to_string()),
            Event::Start(Tag::Image { .. }) => panic!("a picture"),
            Event::Start(Tag::Link { dest_url, .. }) => assert!(!dest_url.starts_with("javascript:"), "{dest_url}"),
            _ => {}
        }
    }
    let calm = Markdown.render(&samples::held_port());
    let mut expected: Vec<_> = calm.lines().filter_map(|l| l.strip_prefix("## ")).collect();
    expected.insert(expected.iter().position(|h| *h == "Timeline").unwrap(), "Figures");
    assert_eq!(headings, expected);
    assert!(!markdown.contains('\x1b') && !markdown.contains('\u{202e}'));
    assert!(markdown.lines().all(|l| l.chars().count() < 4000), "nothing is endless");
}

#[test]
fn consequences_are_told_once_under_their_cause() {
    let markdown = Markdown.render(&samples::held_port());
    assert_eq!(markdown.matches("b was not there").count(), 1);
    let (_, after) = markdown.split_once("<details><summary>5 checks follow from this").unwrap();
    assert!(after.split("</details>").next().unwrap().contains("b was not there"));
}

#[test]
fn a_title_promises_no_more_than_was_ruled_out() {
    let mut run = samples::held_port();
    assert!(Markdown.render(&run).contains("\n## Considered\n"));
    run.reports[0].considered.retain(|h| h.state == HypothesisState::Refuted);
    assert!(Markdown.render(&run).contains("\n## Considered and ruled out\n"));
}

#[test]
fn cells_stay_cells() {
    let markdown = Markdown.render(&samples::hostile());
    let (_, section) = markdown.split_once("## Considered").unwrap();
    let section = section.split("## Server side").next().unwrap();
    assert!(section.contains("## Follow-up checks"));
    assert!(section.lines().all(|line| line.chars().count() < 1200), "{section}");
}

#[test]
fn a_failure_that_was_wanted_is_told_to_be_a_pass() {
    let mut run = samples::held_port();
    let line = |run: &RunReport| Markdown.render(run).lines().nth(2).unwrap().to_owned();
    assert!(line(&run).starts_with("**As expected:** ") && line(&run).ends_with("so this FAIL counts as a pass."));
    run.reports[0].verdict.status = Status::Pass;
    assert!(line(&run).ends_with(" All of it was found."));
    let expected = "bind.port_in_use".to_owned();
    run.reports[0].expectation = Expectation::Unmet { expected, found: "tcp.refused".to_owned() };
    assert!(line(&run).starts_with("**Not as expected:** ") && line(&run).ends_with("Found instead: tcp.refused."));
}

#[test]
fn what_a_root_cause_says_to_do_is_not_recommended_once_more() {
    let mut run = samples::held_port();
    let report = Markdown.render(&run);
    let (_, recommendations) = report.split_once("## Recommendations").unwrap();
    assert!(recommendations.contains("- [what to do about the root cause](#cause-1)"));
    assert!(!recommendations.contains("use a port below 32768\n"));
    run.reports[0].findings.clear();
    let report = Markdown.render(&run);
    let (_, recommendations) = report.split_once("## Recommendations").unwrap();
    assert!(recommendations.contains("- use a port below 32768\n"));
}

#[test]
fn what_is_empty_is_left_out_but_for_what_was_not_checked() {
    let markdown = Markdown.render(&samples::unknown());
    for absent in [
        "Root cause",
        "Considered",
        "Follow-up checks",
        "Client side",
        "Impact",
        "Connectivity",
        "Figures",
        "Evidence",
        "Environment",
        "How to",
    ] {
        assert!(!markdown.contains(&format!("## {absent}")), "{absent}");
    }
    assert!(Markdown.render(&samples::healthy()).contains("Everything that this scenario plans was checked."));
}

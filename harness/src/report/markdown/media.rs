//! Pictures; figures: sound, pictures and mixer by participant, then the rest.

use super::super::figures;
use super::escape::{code, text};
use super::table::Table;
use super::view::View;
use crate::evidence::{Metric, Report};
use std::collections::{BTreeMap, BTreeSet};

/// Parts of a metric's name that make it a media figure, and what people call them.
const KINDS: [(&str, &str); 3] = [(".audio.", "Sound"), (".video.", "Pictures"), (".mixer.", "Mixer")];

/// With more participants than this a participant gets a row of its own for each figure.
const COLUMNS: usize = 6;

/// Figure, then participant.
type Grid<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a Metric>>;

/// All figures; nothing if there is none.
pub(super) fn section(report: &Report) -> Option<String> {
    let mut kinds: [Grid<'_>; 3] = Default::default();
    let mut other = Table::new(&["Other figure", "Value"]);
    for (name, metric) in &report.metrics {
        let parts = KINDS.iter().enumerate().find_map(|(k, (mark, _))| Some((k, name.split_once(mark)?)));
        match parts {
            Some((kind, (who, figure))) => {
                kinds[kind].entry(figure).or_default().insert(who, metric);
            }
            None => other.row([code(name), text(&figures::metric(metric))]),
        }
    }
    let media = kinds.iter().zip(KINDS).filter_map(|(grid, (_, title))| by_participant(title, grid));
    let parts: Vec<_> = media.chain(other.finish()).collect();
    (!parts.is_empty()).then(|| parts.join("\n\n"))
}

/// Pictures of what people saw.
pub(super) fn pictures(view: &View<'_>) -> Option<String> {
    let shown = view.report.pictures.iter().map(|p| format!("![{}]({})", text(&p.caption), view.artefact(&p.path)));
    let lines: Vec<_> = shown.collect();
    (!lines.is_empty()).then(|| lines.join("\n\n"))
}

fn by_participant(title: &str, grid: &Grid<'_>) -> Option<String> {
    let people: BTreeSet<&str> = grid.values().flat_map(|row| row.keys().copied()).collect();
    let show = |metric: &Metric| text(&figures::metric(metric));
    if people.len() > COLUMNS {
        let mut table = Table::new(&[title, "Of", "Value"]);
        for (figure, row) in grid {
            for (who, metric) in row {
                table.row([code(figure), text(who), show(metric)]);
            }
        }
        return table.finish();
    }
    let names: Vec<_> = people.iter().map(|who| text(who)).collect();
    let head: Vec<&str> = std::iter::once(title).chain(names.iter().map(String::as_str)).collect();
    let mut table = Table::new(&head);
    for (figure, row) in grid {
        let cells = people.iter().map(|who| row.get(who).map_or_else(|| "–".to_owned(), |m| show(m)));
        table.push(std::iter::once(code(figure)).chain(cells).collect());
    }
    table.finish()
}

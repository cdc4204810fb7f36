//! `sidetone events`.

use super::exit;
use crate::event::CATALOGUE;
use clap::Args;
use std::fmt::Write as _;
use std::process::ExitCode;

/// Print the catalogue of log events.
#[derive(Debug, Args)]
pub struct Events {
    /// As one JSON document.
    #[arg(long)]
    json: bool,
}

impl Events {
    /// Prints it.
    pub fn run(&self) -> ExitCode {
        let text = if self.json { as_json() } else { as_text() };
        match super::print(&text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => exit::with(exit::INTERNAL, format!("stdout: {error}")),
        }
    }
}

fn as_text() -> String {
    let mut text = String::new();
    for entry in CATALOGUE {
        let level = entry.level.to_string().to_uppercase();
        let meaning = entry.meaning.trim();
        writeln!(text, "{:<28} {level:<5} {meaning}", entry.name).expect("writing to a String does not fail");
        let fields: Vec<_> = entry.fields.iter().map(|(name, kind)| format!("{name}: {kind}")).collect();
        writeln!(text, "{:<28}       {}", "", fields.join(", ")).expect("writing to a String does not fail");
    }
    text
}

fn as_json() -> String {
    let entries: Vec<_> = CATALOGUE
        .iter()
        .map(|entry| {
            let fields: serde_json::Map<_, _> =
                entry.fields.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).into())).collect();
            serde_json::json!({
                "name": entry.name, "level": entry.level, "meaning": entry.meaning.trim(), "fields": fields,
            })
        })
        .collect();
    format!("{:#}\n", serde_json::Value::from(entries))
}

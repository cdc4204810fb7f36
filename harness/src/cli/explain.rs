//! `sidetone-harness explain`.

use super::{fail, print_and_exit};
use crate::cause::{self, Cause, render};
use crate::diagnosis::outcome::exit;
use clap::Args;
use std::process::ExitCode;

/// Less alike than this is no suggestion.
const ALIKE: f64 = 0.75;

/// Tell what a cause is, how it is known and what to do about it.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// Codes such as `bind.port_in_use`, or a layer such as `bind` [default: list all].
    #[arg(value_name = "CODE")]
    codes: Vec<String>,
}

impl Explain {
    pub(super) fn run(&self) -> ExitCode {
        match explain(&self.codes) {
            Ok(text) => print_and_exit(&text, exit::GOOD),
            Err(reason) => fail(exit::USAGE, reason),
        }
    }
}

/// Nothing is printed if one of the codes is unknown.
fn explain(codes: &[String]) -> Result<String, String> {
    if codes.is_empty() {
        let layers = cause::CAUSES.iter().map(|layer| table(layer)).collect::<Vec<_>>().join("\n");
        return Ok(format!("{layers}\nsidetone-harness explain CODE tells more.\n"));
    }
    let each: Result<Vec<_>, _> = codes.iter().map(|code| one(code)).collect();
    Ok(each?.join(&format!("\n{}\n\n", "-".repeat(96))))
}

fn one(code: &str) -> Result<String, String> {
    if let Some(cause) = cause::by_code(code) {
        return Ok(render(cause));
    }
    if let Some(causes) = cause::CAUSES.iter().find(|causes| causes.first().is_some_and(|c| layer(c) == code)) {
        return Ok(table(causes));
    }
    let hint = nearest(code).map_or_else(String::new, |near| format!("; did you mean {near}?"));
    Err(format!("{code}: no such cause{hint} (sidetone-harness explain lists all)"))
}

/// The causes of a layer with their titles.
fn table(causes: &[Cause]) -> String {
    let width = cause::iter().map(|cause| cause.code.len()).max().unwrap_or(0);
    let name = causes.first().map_or("", layer);
    causes.iter().fold(format!("{name}\n"), |all, cause| format!("{all}  {:width$}  {}\n", cause.code, cause.title))
}

/// What stands before the dot of a code.
fn layer(cause: &Cause) -> &'static str {
    cause.code.split_once('.').map_or(cause.code, |(layer, _)| layer)
}

/// The code that was probably meant; its layer may be missing.
fn nearest(asked: &str) -> Option<&'static str> {
    let asked = asked.to_lowercase();
    let alike = |code: &'static str| {
        let kind = code.split_once('.').map_or(code, |(_, kind)| kind);
        let with_layer = if asked.contains('.') { strsim::jaro_winkler(code, &asked) } else { 0.0 };
        with_layer.max(strsim::jaro_winkler(kind, &asked))
    };
    let likest = cause::iter().map(|cause| (alike(cause.code), cause.code)).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (likest.0 > ALIKE).then_some(likest.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(codes: &[&str]) -> Result<String, String> {
        explain(&codes.iter().map(|&code| code.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn without_a_code_every_cause_is_listed_under_its_layer() {
        let text = asked(&[]).unwrap();
        for cause in cause::iter() {
            let line = text.lines().find(|line| line.trim_start().starts_with(&format!("{} ", cause.code))).unwrap();
            assert!(line.ends_with(cause.title), "{line}");
            assert!(line.chars().count() <= 100, "{line}");
        }
        let heads: Vec<_> = text.lines().filter(|line| !line.starts_with(' ') && !line.contains(' ')).collect();
        let layers = "process bind family dns tcp tls http websocket session media resource time log";
        assert_eq!(heads.into_iter().filter(|head| !head.is_empty()).collect::<Vec<_>>().join(" "), layers);
    }

    #[test]
    fn codes_are_explained_in_the_order_they_were_asked_for_and_a_layer_lists_its_own() {
        let text = asked(&["tcp.refused", "bind.port_in_use"]).unwrap();
        assert!(text.starts_with("tcp.refused: ") && text.contains("\n\nbind.port_in_use: "), "{text}");
        let bind = asked(&["bind"]).unwrap();
        assert_eq!(bind.lines().count(), 1 + cause::bind::CAUSES.len());
        assert!(!bind.contains("tcp.refused"));
    }

    #[test]
    fn what_was_meant_is_guessed() {
        let hint = |code: &str| asked(&["tcp.refused", code]).unwrap_err();
        assert!(hint("bind.port_inuse").contains("no such cause; did you mean bind.port_in_use?"), "{}", hint("x"));
        assert!(hint("port_in_use").contains("did you mean bind.port_in_use?"));
        assert!(hint("Media.Silence").contains("did you mean media.silence?"));
        assert!(hint("recource.fd_limit").contains("did you mean resource.fd_limit?"));
        assert!(!hint("zzz").contains("did you mean"));
    }
}

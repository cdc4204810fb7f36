//! The catalogue of causes. PURE. Codes are an interface: never renamed, never reused.
//!
//! One file a layer: [`bind`], [`family`], [`dns`], [`process`], [`tcp`], [`tls`], [`http`],
//! [`websocket`], [`session`], [`media`], [`resource`], [`time`], [`log`]; [`text`] lays an entry out for `explain`.
//!
//! To add one: an entry in its layer's file, a rule in [`crate::diagnosis::rules`] that finds it, evidence that proves the rule.

pub mod bind;
pub mod dns;
pub mod family;
pub mod http;
pub mod log;
pub mod media;
pub mod process;
pub mod resource;
pub mod session;
pub mod tcp;
pub mod text;
pub mod time;
pub mod tls;
pub mod websocket;

pub use text::render;

use crate::evidence::{FixKind, Horizon, Layer};

/// What the catalogue says of one cause.
#[derive(Clone, Copy, Debug)]
pub struct Cause {
    /// `layer.kind`.
    pub code: &'static str,
    /// Its layer.
    pub layer: Layer,
    /// In a few words.
    pub title: &'static str,
    /// What happened and how it comes about, for somebody who was paged at night.
    pub explanation: &'static str,
    /// The evidence that settles it.
    pub settled_by: &'static str,
    /// The nearest other explanation, and what splits the two.
    pub confounder: &'static str,
    /// What to do now, least intrusive first; imperative, without a full stop.
    pub fixes: &'static [(FixKind, &'static str)],
    /// What keeps it from coming back, soonest first; imperative, without a full stop.
    pub later: &'static [(Horizon, &'static str)],
    /// The shipped scenario that shows it; empty: only a server that was built to misbehave does.
    pub scenario: &'static str,
}

/// Every cause, layer by layer from the process up.
pub const CAUSES: &[&[Cause]] = &[
    process::CAUSES,
    bind::CAUSES,
    family::CAUSES,
    dns::CAUSES,
    tcp::CAUSES,
    tls::CAUSES,
    http::CAUSES,
    websocket::CAUSES,
    session::CAUSES,
    media::CAUSES,
    resource::CAUSES,
    time::CAUSES,
    log::CAUSES,
];

/// Every cause, one after the other.
pub fn iter() -> impl Iterator<Item = &'static Cause> {
    CAUSES.iter().copied().flatten()
}

/// The entry of a code.
pub fn by_code(code: &str) -> Option<&'static Cause> {
    iter().find(|cause| cause.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_in_the_file_of_its_layer() {
        for cause in iter() {
            let layer = format!("{:?}", cause.layer).to_lowercase();
            assert_eq!(cause.code.split_once('.').map(|(layer, _)| layer), Some(layer.as_str()));
            assert_eq!(by_code(cause.code).unwrap().title, cause.title);
        }
        assert!(by_code("bind").is_none() && by_code("").is_none());
    }

    #[test]
    fn the_least_intrusive_fix_and_the_soonest_horizon_come_first() {
        for cause in iter() {
            assert!(cause.fixes.is_sorted_by_key(|(kind, _)| kind), "{}", cause.code);
            assert!(cause.later.is_sorted_by_key(|(horizon, _)| horizon), "{}", cause.code);
            assert!(
                cause.later.iter().all(|(horizon, _)| *horizon != Horizon::Immediate),
                "{}: fixes say that",
                cause.code
            );
        }
    }

    #[test]
    fn texts_are_sentences_and_things_to_do_are_none() {
        for cause in iter() {
            for text in [cause.explanation, cause.settled_by, cause.confounder] {
                assert!(text.ends_with('.') && !text.contains("  "), "{}: {text}", cause.code);
            }
            let todo = cause.fixes.iter().map(|(_, text)| text).chain(cause.later.iter().map(|(_, text)| text));
            for text in todo.chain([&cause.title]) {
                assert!(!text.ends_with('.') && !text.contains("  "), "{}: {text}", cause.code);
                assert!(text.len() <= 240, "{}: too long for a line of a report: {text}", cause.code);
            }
            let sentences = cause.explanation.split(". ").count();
            assert!((2..=5).contains(&sentences), "{}: {sentences} sentences", cause.code);
        }
    }
}

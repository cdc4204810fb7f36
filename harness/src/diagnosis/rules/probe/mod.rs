//! Causes that a probe finds: [`behind`] the socket first (what a process does explains what its socket does not), then what its [`log`] says, then from the
//! name up: [`reach`], [`tls`], [`web`], [`talk`].

pub(in crate::diagnosis::rules) mod behind;
mod log;
mod reach;
mod talk;
mod tls;
mod web;

use super::Rule;

/// In the order in which one explains the other.
pub(super) const FAMILIES: &[&[Rule]] = &[behind::RULES, log::RULES, reach::RULES, tls::RULES, web::RULES, talk::RULES];

//! Checks of a probe, by layer: [`reach`], [`tls`], [`web`], [`talk`], [`behind`]. Each looks at the steps of its layer, one
//! outcome a step; what a probe did not come to is skipped here with its reason.

pub(in crate::diagnosis) mod behind;
pub(in crate::diagnosis) mod reach;
mod talk;
mod tls;
mod web;

use super::CheckDef;

/// All of them, from the name up.
pub(in crate::diagnosis) const CHECKS: &[&[CheckDef]] =
    &[reach::CHECKS, tls::CHECKS, web::CHECKS, talk::CHECKS, behind::CHECKS];

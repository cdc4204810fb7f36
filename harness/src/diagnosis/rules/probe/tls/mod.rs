//! Handshake and certificates.

use crate::diagnosis::rules::Rule;

/// In this order.
pub(super) const RULES: &[Rule] = &[];

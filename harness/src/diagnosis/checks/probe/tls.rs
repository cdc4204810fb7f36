//! Handshake and certificates.

use crate::diagnosis::checks::CheckDef;

/// In this order.
pub(super) const CHECKS: &[CheckDef] = &[];

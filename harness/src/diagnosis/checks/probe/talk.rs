//! Sidetone: hello, echo room, mDNS.

use crate::diagnosis::checks::CheckDef;

/// In this order.
pub(super) const CHECKS: &[CheckDef] = &[];

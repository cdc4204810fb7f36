//! Behind the socket.

use crate::diagnosis::checks::CheckDef;

/// In this order.
pub(super) const CHECKS: &[CheckDef] = &[];

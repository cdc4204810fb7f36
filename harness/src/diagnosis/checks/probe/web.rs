//! HTTP and WebSocket.

use crate::diagnosis::checks::CheckDef;

/// In this order.
pub(super) const CHECKS: &[CheckDef] = &[];

//! The name, the way, connections, proxies, what speaks there, words of any protocol, STUN.

use crate::diagnosis::checks::CheckDef;

/// In this order.
pub(super) const CHECKS: &[CheckDef] = &[];

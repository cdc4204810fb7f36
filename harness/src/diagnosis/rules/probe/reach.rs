//! The name, the way, connections, proxies, what speaks there, words of any protocol, STUN.

use crate::diagnosis::rules::Rule;

/// In this order.
pub(super) const RULES: &[Rule] = &[];

//! Clocks.

use super::Cause;

/// Of the layer `time`.
pub const CAUSES: &[Cause] = &[];

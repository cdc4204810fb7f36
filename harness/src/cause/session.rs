//! Sessions.

use super::Cause;

/// Of the layer `session`.
pub const CAUSES: &[Cause] = &[];

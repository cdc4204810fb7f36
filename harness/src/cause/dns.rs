//! Names.

use super::Cause;

/// Of the layer `dns`.
pub const CAUSES: &[Cause] = &[];

//! TLS.

use super::Cause;

/// Of the layer `tls`.
pub const CAUSES: &[Cause] = &[];

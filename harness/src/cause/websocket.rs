//! WebSocket.

use super::Cause;

/// Of the layer `websocket`.
pub const CAUSES: &[Cause] = &[];

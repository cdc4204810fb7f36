//! Frames of RFC 6455, section 5. PURE.

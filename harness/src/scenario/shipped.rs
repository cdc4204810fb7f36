//! The scenarios in this binary.

/// Name and text of each, in the order of `run --list`.
pub const SHIPPED: &[(&str, &str)] = &[
    ("call", include_str!("../../../fixtures/scenarios/call.toml")),
    ("call-speech", include_str!("../../../fixtures/scenarios/call-speech.toml")),
];

/// Run when no scenario is named.
pub const DEFAULT: &str = "call";

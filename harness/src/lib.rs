//! Sidetone's harness: launches servers and clients, looks at what the kernel, the network, the logs and the sound itself
//! say, names what is wrong with the evidence for it, and writes the report.
//!
//! | module | kind | what it is |
//! |---|---|---|
//! | [`evidence`] | pure | all that was observed, and what is concluded from it, as data |
pub mod evidence;

//! Sidetone's harness: launches servers and clients, looks at what the kernel, the network, the logs and the sound itself
//! say, names what is wrong with the evidence for it, and writes the report.
//!
//! | module | kind | what it is |
//! |---|---|---|
//! | [`evidence`] | pure | all that was observed, and what is concluded from it, as data |
//! | [`report`] | pure | conclusions in, a document out: one reporter a format |
//! | [`timeline`] | pure | one clock for what the programs logged and what the harness saw |
pub mod evidence;
pub mod report;
pub mod timeline;

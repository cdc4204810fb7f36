//! The integration tests: one binary.
mod bad_input;
mod disk;
mod evidence;
mod fault_runs;
mod faults;
mod interrupts;
mod launch;
mod offline;
mod page_accessibility;
mod page_hardening;
mod place;
mod probes;
mod sabotage;
mod sample;
mod stage;
mod tidy;
mod victims;

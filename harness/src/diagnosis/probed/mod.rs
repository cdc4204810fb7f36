//! What a probe measured and what that means as a whole.
//!
//! * [`samples`]: figures by name, over all rounds; [`bounds`]: the user's thresholds;
//! * [`compare`](mod@compare): several targets side by side; [`sentence`]: the verdict's words.

pub mod bounds;
pub mod compare;
pub mod samples;
pub(super) mod sentence;

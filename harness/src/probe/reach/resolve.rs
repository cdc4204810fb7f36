//! The addresses of a name.

use crate::evidence::probed::{Failure, How, Resolved, Saw, Step};
use crate::probe::options::Options;
use crate::probe::watch::Watch;

/// Every address of each family that is wanted.
pub async fn resolve(options: &Options, watch: Watch) -> Step {
    let lap = watch.begin();
    let all: Result<Vec<_>, _> =
        tokio::net::lookup_host((options.url.host.as_str(), options.url.port)).await.map(Iterator::collect);
    let failure = all.as_ref().err().map(|e| Failure::new(How::NoAddress, e.to_string()));
    lap.end(
        None,
        Saw::Resolve(Resolved {
            host: options.url.host.clone(),
            order: all.unwrap_or_default(),
            failure,
            ..Resolved::default()
        }),
    )
}

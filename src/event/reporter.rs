//! How code that knows only the vocabulary hands its events on.

use super::Event;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

type Take = dyn Fn(Event, &'static Location<'static>) + Send + Sync;

/// Takes events together with the place in the code that reports them. Clones hand on to the same place.
#[derive(Clone)]
pub struct Reporter(Arc<Take>);

impl Reporter {
    /// Hands events and places on to `take`.
    pub fn new(take: impl Fn(Event, &'static Location<'static>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    /// Reports an event from the caller's place in the code.
    #[track_caller]
    pub fn report(&self, event: Event) {
        (self.0)(event, Location::caller());
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn the_place_is_the_callers() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        let reporter = Reporter::new(move |event, place| sink.lock().unwrap().push((event.name(), place.line())));
        reporter.report(Event::MdnsWithdrawn { instance: String::new() });
        assert_eq!(*seen.lock().unwrap(), [("mdns.withdrawn", line!() - 1)]);
    }
}

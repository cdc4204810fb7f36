//! A program that is stopped for a while, again and again.

use nix::sys::signal::Signal;
use std::convert::Infallible;
use std::io;
use std::time::Duration;
use tokio::time::sleep;

/// At the end of each round of `every` sends SIGSTOP, and after `hold` SIGCONT, until it is dropped or a signal fails. However
/// it ends, the program does not stay stopped. `signal` is for instance `|s| process.signal(s)`.
///
/// # Errors
/// That of `signal`; nothing else ends it.
pub async fn run<F>(signal: F, hold: Duration, every: Duration) -> io::Result<Infallible>
where
    F: Fn(Signal) -> io::Result<()>,
{
    loop {
        let runs = every.saturating_sub(hold);
        if !runs.is_zero() {
            sleep(runs).await;
        }
        // Before the stop: a cancelled call must not leave anything stopped, however early that is.
        let guard = Continue(&signal);
        signal(Signal::SIGSTOP)?;
        sleep(hold).await;
        drop(guard);
    }
}

/// Sends SIGCONT when it goes.
struct Continue<'s, F: Fn(Signal) -> io::Result<()>>(&'s F);

impl<F: Fn(Signal) -> io::Result<()>> Drop for Continue<'_, F> {
    fn drop(&mut self) {
        // Whom no signal reaches is gone, or the next SIGSTOP says so.
        drop((self.0)(Signal::SIGCONT));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[tokio::test]
    async fn stops_and_goes_on_again_and_again() {
        let sent = RefCell::new(Vec::new());
        let signal = |which| {
            sent.borrow_mut().push(which);
            // the third stop fails
            if sent.borrow().len() == 5 { Err(io::Error::other("gone")) } else { Ok(()) }
        };
        let ended = run(signal, Duration::from_millis(2), Duration::from_millis(4)).await;
        assert_eq!(ended.unwrap_err().to_string(), "gone");
        let (stop, go) = (Signal::SIGSTOP, Signal::SIGCONT);
        assert_eq!(*sent.borrow(), [stop, go, stop, go, stop, go]);
    }

    #[tokio::test]
    async fn nobody_stays_stopped_when_it_is_dropped() {
        let sent = RefCell::new(Vec::new());
        let signal = |which| {
            sent.borrow_mut().push(which);
            Ok(())
        };
        let paused = run(signal, Duration::from_mins(1), Duration::from_mins(1));
        tokio::select! {
            biased;
            ended = paused => panic!("{ended:?}"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(*sent.borrow(), [Signal::SIGSTOP, Signal::SIGCONT]);
    }
}

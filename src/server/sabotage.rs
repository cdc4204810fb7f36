//! Misbehaviour on purpose, for the harness's negative controls. Only with the feature `sabotage`, which no shipped binary has.

use crate::audio::mixer::MixOut;

/// What to do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Sabotage {
    /// Everybody hears silence.
    Mute,
    /// Everybody hears what another one should hear.
    Swap,
    /// Everybody hears only themselves.
    Loopback,
    /// No picture is passed on.
    DropPictures,
    /// A descriptor is lost at each join.
    LeakDescriptor,
    /// A listener is claimed that does not exist.
    PhantomListener,
}

/// Sends mixes to the wrong places.
pub(crate) fn reroute(sabotage: Option<Sabotage>, mut outs: Vec<MixOut>) -> Vec<MixOut> {
    match sabotage {
        Some(Sabotage::Mute) => Vec::new(),
        Some(Sabotage::Swap) => {
            let last = outs.len().saturating_sub(1);
            for i in 0..last {
                let (left, right) = outs.split_at_mut(i + 1);
                std::mem::swap(&mut left[i].opus, &mut right[0].opus);
                std::mem::swap(&mut left[i].level, &mut right[0].level);
            }
            outs
        }
        Some(Sabotage::Loopback | Sabotage::DropPictures | Sabotage::LeakDescriptor | Sabotage::PhantomListener)
        | None => outs,
    }
}

//! Misbehaviour on purpose, for the harness's negative controls. Only with the feature `sabotage`, which no shipped binary has.

use crate::audio::mixer::MixOut;
use crate::event::Event;
use crate::log::Log;
use crate::net::mdns::{Advert, SERVICE};

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
    /// The server says that it is announced by mDNS, and neither speaks nor answers there.
    SilentMdns,
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
        Some(
            Sabotage::Loopback
            | Sabotage::DropPictures
            | Sabotage::LeakDescriptor
            | Sabotage::PhantomListener
            | Sabotage::SilentMdns,
        )
        | None => outs,
    }
}

/// The events of an announcement, without one.
pub(crate) fn pretend_to_announce(advert: &Advert, log: &Log) {
    let (service, instance) = (SERVICE.to_owned(), advert.instance.clone());
    log.emit(Event::MdnsRegistering {
        service: service.clone(),
        instance: instance.clone(),
        interfaces: advert.interfaces.clone(),
        port: advert.port,
    });
    let addresses = advert.addresses.iter().map(ToString::to_string).collect::<std::collections::BTreeSet<_>>();
    log.emit(Event::MdnsAnnounced { service, instance, addresses: addresses.into_iter().collect() });
}

/// The event of its end.
pub(crate) fn pretend_to_withdraw(instance: String, log: &Log) {
    log.emit(Event::MdnsWithdrawn { instance });
}

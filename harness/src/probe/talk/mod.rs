//! Sessions and what goes beyond: [`hello`], [`echo`], [`advertised`], [`stun`].

pub mod advertised;
pub mod echo;
pub mod hello;
pub mod stun;

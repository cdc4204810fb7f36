//! Sessions and what goes beyond: [`hello`], [`echo`] (what it heard is judged in `ear`), [`advertised`], [`stun`]; `link` is a
//! connection on which Sidetone is spoken.

pub mod advertised;
pub mod ear;
pub mod echo;
pub mod hello;
pub(in crate::probe) mod link;
pub mod stun;

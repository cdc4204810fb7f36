//! From the name to the first bytes: [`resolve`], [`route`], [`connect`], [`proxy`], [`identify`], [`exchange`].
//!
//! Pure parts in files of their own: [`names`] (hosts file, order of families, numbers of `getaddrinfo`), [`greeting`] and [`protocols`]
//! (by their first bytes, by a question of their own).

pub mod connect;
mod converse;
pub mod exchange;
pub mod greeting;
pub mod identify;
pub mod names;
pub mod protocols;
pub mod proxy;
pub mod resolve;
pub mod route;

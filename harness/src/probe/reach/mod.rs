//! From the name to the first bytes: [`resolve`], [`route`], [`connect`], [`proxy`], [`identify`], [`exchange`].
//!
//! Pure parts in files of their own: [`names`] (hosts file, order of families, numbers of `getaddrinfo`), [`greeting`]
//! (protocols by their first bytes).

pub mod connect;
pub mod exchange;
pub mod greeting;
pub mod identify;
pub mod names;
pub mod proxy;
pub mod resolve;
pub mod route;

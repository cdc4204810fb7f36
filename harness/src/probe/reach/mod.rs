//! From the name to the first bytes: [`resolve`], [`route`], [`connect`], [`proxy`], [`identify`], [`exchange`].

pub mod connect;
pub mod exchange;
pub mod identify;
pub mod proxy;
pub mod resolve;
pub mod route;

//! HTTP and WebSocket: [`http`] reads answers, [`upgrade`] asks for a WebSocket, [`socket`] speaks it, [`frame`] is its
//! wire (pure), [`origin`] and [`limits`] are for `--deep` and `--intrusive`.

pub mod frame;
pub mod http;
pub mod limits;
pub mod origin;
pub mod socket;
pub mod upgrade;

//! HTTP and WebSocket: [`request`] (pure) and [`answer`] with its [`body`] are HTTP/1.1, [`http`] follows redirects; [`upgrade`]
//! asks for a WebSocket, [`socket`] looks at it over a [`wire`]; [`frame`] and [`messages`] are RFC 6455 (pure); [`origin`] and
//! [`limits`] are for `--deep` and `--intrusive`; [`base64`] is what both write in their headers.

pub mod answer;
pub mod base64;
mod body;
pub mod frame;
pub mod http;
pub mod limits;
pub mod messages;
pub mod origin;
pub mod request;
pub mod socket;
pub mod upgrade;
mod wire;

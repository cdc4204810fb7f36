//! Connections to the target: the first, and further ones like it.

use super::options::Options;
use super::reach::{connect, proxy};
use super::watch::Watch;
use super::{failure, tls};
use crate::evidence::probed::{Failure, How, Saw, Step, Tls};
use sidetone::net::transport::Stream;
use std::net::SocketAddr;

/// Plain or in TLS.
pub type Connection = Box<dyn Stream>;

/// ALPN for HTTP/1.1, which a WebSocket needs.
pub const HTTP_1: &[&str] = &["http/1.1"];

/// Whether anything may be said on a connection: its certificate is good, or the user said that it need not be.
pub fn may_go_on(tls: &Tls, options: &Options) -> bool {
    tls.failure.is_none() && (options.tls.insecure || tls.trust.as_ref().is_some_and(|trust| trust.good))
}

/// A further connection to the same address, as the first was: through the proxy, in TLS.
///
/// # Errors
/// Why there is none.
pub async fn again(address: SocketAddr, options: &Options, watch: Watch) -> Result<Connection, Failure> {
    let (step, stream) = match &options.proxy {
        Some(proxy) => proxy::tunnel(options, proxy, watch).await,
        None => connect::connect(address, watch).await,
    };
    let Some(stream) = stream else { return Err(why(&step)) };
    stream.set_nodelay(true).map_err(|error| failure::of(&error))?;
    if !options.url.speak.secure() {
        return Ok(Box::new(stream));
    }
    let alpn = if options.url.speak == crate::evidence::Speak::Tls { &[][..] } else { HTTP_1 };
    match tls::handshake(Box::new(stream), address, options, alpn, watch).await {
        (Step { saw: Saw::Tls(tls), .. }, Some(stream)) if may_go_on(&tls, options) => Ok(stream),
        (step, _) => Err(why(&step)),
    }
}

fn why(step: &Step) -> Failure {
    step.saw.failure().cloned().unwrap_or_else(|| Failure::new(How::Said, "its certificate is not trusted"))
}

//! Discovery: does a browse find the server?

use super::tcp::{begin, took_us};
use crate::evidence::{BrowseRow, Observation};
use sidetone::net::mdns::{BrowseOptions, browse};
use std::time::Duration;

/// Browses on the given interfaces until `instance` is found, at most `patience`.
pub async fn find(interfaces: &[String], instance: &str, patience: Duration) -> Observation {
    let began = begin();
    let mut rows = Vec::new();
    let mut error = None;
    // one answer ends a browse, and there may be other servers: ask again until ours is among them
    while rows.iter().all(|r: &BrowseRow| r.instance != instance) && began.elapsed() < patience && error.is_none() {
        let options = BrowseOptions {
            interfaces: Some(interfaces.to_vec()),
            timeout: Duration::from_millis(400).min(patience.saturating_sub(began.elapsed())),
            stop_after_first: true,
        };
        match browse(options).await {
            Ok(found) => {
                rows = found
                    .into_iter()
                    .map(|f| BrowseRow {
                        instance: f.instance,
                        port: f.port,
                        websocket_port: f.websocket_port,
                        addresses: f.addresses,
                    })
                    .collect();
            }
            Err(e) => error = Some(e.to_string()),
        }
    }
    Observation::Browse {
        interfaces: interfaces.to_vec(),
        found: rows,
        expected_instance: instance.to_owned(),
        error,
        took_ms: took_us(began) / 1_000,
    }
}

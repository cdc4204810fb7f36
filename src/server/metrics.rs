//! Figures for `/metrics`, in the text format that Prometheus reads.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// All figures; each is cheap to change from anywhere.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) connections: Gauge,
    pub(crate) connections_total: Counter,
    participants: Gauge,
    rooms: Gauge,
    pub(crate) refused_total: Counter,
    pub(crate) malformed_total: Counter,
    pub(crate) audio_received_total: Counter,
    pub(crate) pictures_received_total: Counter,
    pub(crate) bytes_received_total: Counter,
    pub(crate) bytes_sent_total: Counter,
    pub(crate) mixer_ticks_total: Counter,
    pub(crate) mixer_late_ticks_total: Counter,
    pub(crate) concealed_samples_total: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("sidetone");
        let mut gauge = |name: &str, help: &str| {
            let metric = Gauge::default();
            registry.register(name, help, metric.clone());
            metric
        };
        let connections = gauge("connections", "Open transport connections");
        let participants = gauge("participants", "Participants in all rooms, echo rooms included");
        let rooms = gauge("rooms", "Rooms with at least one participant, without echo rooms");
        let mut counter = |name: &str, help: &str| {
            let metric = Counter::default();
            registry.register(name, help, metric.clone());
            metric
        };
        Self {
            connections,
            participants,
            rooms,
            connections_total: counter("connections_accepted", "Transport connections accepted"),
            refused_total: counter("hellos_refused", "Hellos answered with a refusal"),
            malformed_total: counter("malformed", "Connections closed because the peer broke the wire format"),
            audio_received_total: counter("audio_packets_received", "Audio packets received"),
            pictures_received_total: counter("pictures_received", "Whole pictures received"),
            bytes_received_total: counter("bytes_received", "Frame bytes received from participants"),
            bytes_sent_total: counter("bytes_sent", "Frame bytes sent to participants"),
            mixer_ticks_total: counter("mixer_ticks", "Ticks of the mixer"),
            mixer_late_ticks_total: counter("mixer_late_ticks", "Ticks more than 5 ms after their deadline"),
            concealed_samples_total: counter("concealed_samples", "Samples of speakers that the mixer made up"),
            registry,
        }
    }

    /// Sets the figures of participants and rooms.
    pub(crate) fn count_people(&self, participants: usize, rooms: usize) {
        self.participants.set(i64::try_from(participants).unwrap_or(i64::MAX));
        self.rooms.set(i64::try_from(rooms).unwrap_or(i64::MAX));
    }

    /// The text of `/metrics`.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String does not fail");
        text
    }
}

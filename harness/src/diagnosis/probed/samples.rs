//! Figures of a probe by name. Names and units are an interface.

use crate::evidence::probed::{Saw, Step};
use crate::evidence::{Evidence, Metric, Observation, Speak};
use std::collections::BTreeMap;

/// A figure that a probe can measure.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// `layer.what`.
    pub name: &'static str,
    /// `us`, `s`, `fraction` or `dB`.
    pub unit: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Whether a target that is spoken to like that can have it (`deep`: with `--deep`).
    pub measured: fn(speak: Speak, deep: bool) -> bool,
}

const fn streams(speak: Speak, _: bool) -> bool {
    !speak.datagrams()
}

const fn any(_: Speak, _: bool) -> bool {
    true
}

const fn tls(speak: Speak, _: bool) -> bool {
    speak.secure() || matches!(speak, Speak::Any)
}

const fn http(speak: Speak, _: bool) -> bool {
    matches!(speak, Speak::Http | Speak::Https | Speak::Any) || speak.websocket()
}

const fn websocket(speak: Speak, _: bool) -> bool {
    speak.websocket() || matches!(speak, Speak::Any)
}

const fn session(speak: Speak, _: bool) -> bool {
    speak.websocket() || matches!(speak, Speak::Tcp | Speak::Tls | Speak::Any)
}

const fn deep(speak: Speak, deep: bool) -> bool {
    deep && session(speak, deep)
}

const fn stun(speak: Speak, _: bool) -> bool {
    matches!(speak, Speak::Stun | Speak::Turn)
}

const fn of(name: &'static str, unit: &'static str, about: &'static str, measured: fn(Speak, bool) -> bool) -> Figure {
    Figure { name, unit, about, measured }
}

/// All of them.
pub const FIGURES: &[Figure] = &[
    of("dns.resolve", "us", "until the name had its addresses", any),
    of("tcp.connect", "us", "until a connection was there", streams),
    of("tls.handshake", "us", "from the ClientHello until data can be sent", tls),
    of("tls.expiry", "s", "until the first certificate of the chain ends", tls),
    of("http.first_byte", "us", "from the request to the first byte of its answer", http),
    of("websocket.upgrade", "us", "from the request to 101", websocket),
    of("websocket.rtt", "us", "from a ping to its pong", websocket),
    of("session.hello", "us", "from a Sidetone hello to its answer", session),
    of("stun.rtt", "us", "from a binding request to its answer", stun),
    of("echo.rtt", "us", "round trip of heartbeats on the session", deep),
    of("echo.jitter", "us", "interarrival jitter (RFC 3550)", deep),
    of("echo.loss", "fraction", "packets that are missing", deep),
    of("echo.concealed", "fraction", "samples that had to be made up", deep),
    of("echo.mouth_to_ear", "us", "from the probe's mouth to its ear", deep),
    of("echo.level", "dB", "level of what came back against what was sent", deep),
    of("probe.total", "us", "all of it", any),
];

/// The figure of a name, and what of its samples: `tcp.connect.p95` is (`tcp.connect`, 95th percentile).
///
/// # Errors
/// The name that is probably meant, if one is near.
pub fn find(name: &str) -> Result<(&'static Figure, Statistic), Option<String>> {
    let by_name = |name: &str| FIGURES.iter().find(|figure| figure.name == name);
    if let Some(figure) = by_name(name) {
        return Ok((figure, Statistic::Median));
    }
    if let Some((base, last)) = name.rsplit_once('.')
        && let (Some(figure), Some(statistic)) = (by_name(base), Statistic::of(last))
    {
        return Ok((figure, statistic));
    }
    let base = name.rsplit_once('.').filter(|(_, last)| Statistic::of(last).is_some()).map_or(name, |(base, _)| base);
    let likeness = FIGURES.iter().map(|figure| (strsim::jaro_winkler(figure.name, base), figure.name));
    let nearest = likeness.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(like, _)| *like > 0.8);
    Err(nearest.map(|(_, name)| name.to_owned()))
}

/// What of several samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The middle one.
    Median,
    /// The smallest that is not below so many percent of all (nearest rank).
    Percentile(u8),
}

impl Statistic {
    fn of(word: &str) -> Option<Self> {
        match word {
            "min" => Some(Self::Min),
            "max" => Some(Self::Max),
            "median" => Some(Self::Median),
            _ => word.strip_prefix('p')?.parse().ok().filter(|p| (1..=99).contains(p)).map(Self::Percentile),
        }
    }

    /// Of samples, in any order; `None`: there are none.
    pub fn among(self, samples: &[f64]) -> Option<f64> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let percent = match self {
            Self::Min => return sorted.first().copied(),
            Self::Max => return sorted.last().copied(),
            Self::Median => 50,
            Self::Percentile(percent) => usize::from(percent),
        };
        let rank = (percent * sorted.len()).div_ceil(100).max(1);
        sorted.get(rank - 1).copied()
    }
}

/// All samples of each figure with the lines of the observations that hold them: those of all rounds where there were
/// several, else those of the steps. Of several addresses each is a sample.
pub fn samples(evidence: &Evidence) -> BTreeMap<String, (Vec<f64>, Vec<usize>)> {
    let mut found: BTreeMap<String, (Vec<f64>, Vec<usize>)> = BTreeMap::new();
    let over_rounds = evidence.observations().filter_map(|(line, seen)| match seen {
        Observation::Samples { figure, values } => Some((line, figure, values)),
        _ => None,
    });
    for (line, figure, values) in over_rounds {
        found.insert(figure.clone(), (values.clone(), vec![line]));
    }
    if !found.is_empty() {
        return found;
    }
    let mut end_us = 0;
    let mut last = None;
    for (line, seen) in evidence.observations() {
        let Observation::Probed(step) = seen else { continue };
        if step.began_us + step.took_us >= end_us {
            end_us = step.began_us + step.took_us;
            last = Some(line);
        }
        for (figure, value) in of_step(step) {
            let (values, lines) = found.entry(figure.to_owned()).or_default();
            values.push(value);
            lines.push(line);
        }
    }
    if let Some(line) = last {
        found.insert("probe.total".to_owned(), (vec![end_us as f64], vec![line]));
    }
    found
}

/// What one step measured. A step that failed measured nothing: a time-out is no time.
fn of_step(step: &Step) -> Vec<(&'static str, f64)> {
    let took = step.took_us as f64;
    let us = |value: Option<u64>| value.map(|us| us as f64);
    if step.saw.failure().is_some() {
        return Vec::new();
    }
    let some = |name, value: Option<f64>| value.map(|value| (name, value));
    match &step.saw {
        Saw::Resolve(_) => vec![("dns.resolve", took)],
        Saw::Connect(_) => vec![("tcp.connect", took)],
        Saw::Tls(it) if !it.second_look => {
            let expiry = some(
                "tls.expiry",
                it.trust.as_ref().and_then(|trust| it.chain.first()?.ends_in_s(&trust.judged_at).map(|s| s as f64)),
            );
            std::iter::once(("tls.handshake", took)).chain(expiry).collect()
        }
        Saw::Http(it) => some("http.first_byte", us(it.first_byte_us)).into_iter().collect(),
        Saw::Upgrade(it) => {
            let first = some("http.first_byte", us(it.answer.first_byte_us));
            std::iter::once(("websocket.upgrade", took)).chain(first).collect()
        }
        Saw::Ping(it) => some("websocket.rtt", us(it.rtt_us)).into_iter().collect(),
        Saw::Hello(_) => vec![("session.hello", took)],
        Saw::Stun(_) => vec![("stun.rtt", took)],
        Saw::Echo(it) => {
            let due = (it.packets_received + it.packets_lost) as f64;
            let loss = (due > 0.0).then(|| it.packets_lost as f64 / due);
            let level = it.level_heard_db.map(|heard| heard - it.level_sent_db);
            [
                some("echo.rtt", us(it.rtt_us)),
                some("echo.jitter", us(it.jitter_us)),
                some("echo.loss", loss),
                some("echo.concealed", it.concealed_fraction),
                some("echo.mouth_to_ear", it.mouth_to_ear_ms.map(|ms| ms * 1e3)),
                some("echo.level", level),
            ]
            .into_iter()
            .flatten()
            .collect()
        }
        _ => Vec::new(),
    }
}

/// As metrics of a report: the median of each figure, and its spread where there are several samples.
pub fn metrics(evidence: &Evidence) -> BTreeMap<String, Metric> {
    let mut metrics = BTreeMap::new();
    for (name, (values, _)) in samples(evidence) {
        let unit = FIGURES.iter().find(|figure| figure.name == name).map_or("", |figure| figure.unit);
        let mut put = |name: String, value: Option<f64>| {
            if let Some(value) = value {
                metrics.insert(name, Metric { value, unit: unit.to_owned() });
            }
        };
        if values.len() > 1 {
            put(format!("{name}.min"), Statistic::Min.among(&values));
            put(format!("{name}.p95"), Statistic::Percentile(95).among(&values));
            put(format!("{name}.p99"), Statistic::Percentile(99).among(&values));
            put(format!("{name}.max"), Statistic::Max.among(&values));
        }
        put(name, Statistic::Median.among(&values));
    }
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let samples: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        for (statistic, expected) in [
            (Statistic::Min, 1.0),
            (Statistic::Max, 20.0),
            (Statistic::Median, 10.0),
            (Statistic::Percentile(95), 19.0),
            (Statistic::Percentile(1), 1.0),
        ] {
            assert_eq!(statistic.among(&samples), Some(expected), "{statistic:?}");
            assert_eq!(statistic.among(&[7.0]), Some(7.0));
            assert_eq!(statistic.among(&[]), None);
        }
    }

    #[test]
    fn names_are_found_with_their_statistic_and_others_get_a_hint() {
        let found = |name| find(name).map(|(figure, statistic)| (figure.name, statistic));
        assert_eq!(found("tcp.connect"), Ok(("tcp.connect", Statistic::Median)));
        assert_eq!(found("tcp.connect.p95"), Ok(("tcp.connect", Statistic::Percentile(95))));
        assert_eq!(found("tls.expiry.min"), Ok(("tls.expiry", Statistic::Min)));
        assert_eq!(found("tcp.conect.p95"), Err(Some("tcp.connect".to_owned())));
        assert_eq!(found("tcp.connect.p0"), Err(Some("tcp.connect".to_owned())));
        assert_eq!(found("nonsense"), Err(None));
    }
}

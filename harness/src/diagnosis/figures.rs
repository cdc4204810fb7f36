//! Measured figures by name: `WHO.audio.WHAT`, `WHO.video.WHAT`, `server.mixer.WHAT`, `harness.WHAT`.

use crate::evidence::{ClientKind, Evidence, Metric, Observation, Shown};
use serde_json::Value;
use sidetone::event::Event;
use std::collections::BTreeMap;

/// All that was measured.
pub(super) fn metrics(evidence: &Evidence) -> BTreeMap<String, Metric> {
    if evidence.plan.probe.is_some() {
        return super::probed::samples::metrics(evidence);
    }
    let mut figures = BTreeMap::new();
    let mut put = |name: String, value: f64, unit: &str| {
        figures.insert(name, Metric { value, unit: unit.to_owned() });
    };
    for (_, observation) in evidence.observations() {
        of_observation(observation, &mut put);
    }
    mixer(evidence, &mut put);
    for client in evidence.plan.clients.iter().filter(|c| c.kind == ClientKind::Browser) {
        page(evidence, &client.name, &mut put);
    }
    figures
}

/// What a browser's page weighs, and how long it takes from the address to the call.
fn page(evidence: &Evidence, client: &str, put: &mut impl FnMut(String, f64, &str)) {
    let mut began_ns = None;
    for (_, _, record) in evidence.events(client) {
        match &record.event {
            Event::BrowserPageLoaded { requests, bytes, took_us, .. } => {
                put(format!("{client}.page.bytes"), *bytes as f64, "bytes");
                put(format!("{client}.page.requests"), f64::from(*requests), "count");
                put(format!("{client}.page.load"), *took_us as f64, "us");
                let began = record.monotonic_ns.checked_sub(took_us.saturating_mul(1_000));
                began_ns = began_ns.or(began);
            }
            Event::ClientJoined { .. } => {
                if let Some(began) = began_ns.take() {
                    put(format!("{client}.page.joined"), record.monotonic_ns.saturating_sub(began) as f64 / 1e3, "us");
                }
            }
            _ => {}
        }
    }
}

/// Screenshots that a browser's driver took.
pub(super) fn pictures(evidence: &Evidence) -> Vec<Shown> {
    let clients = evidence.plan.clients.iter().filter(|c| c.kind == ClientKind::Browser);
    let shots = clients.flat_map(|client| {
        evidence.events(&client.name).filter_map(move |(_, _, record)| match &record.event {
            Event::BrowserScreenshot { path, of, .. } => {
                // the driver knows the folder of the run, the report is in it
                let path = path.rsplit('/').next().unwrap_or(path).to_owned();
                Some(Shown { caption: format!("{}: {of}", client.name), path })
            }
            _ => None,
        })
    });
    shots.collect()
}

fn of_observation(observation: &Observation, put: &mut impl FnMut(String, f64, &str)) {
    match observation {
        Observation::Ready { process, after_us, .. } => put(format!("{process}.ready"), *after_us as f64, "us"),
        Observation::Resources { process, moment, rss_bytes, descriptors, .. } => {
            put(format!("{process}.rss_{moment}"), *rss_bytes as f64, "bytes");
            put(format!("{process}.descriptors_{moment}"), f64::from(*descriptors), "count");
        }
        Observation::Recording { process, seconds, rms_db, strongest_hz, tones, .. } => {
            put(format!("{process}.audio.recorded"), *seconds, "s");
            put(format!("{process}.audio.rms"), *rms_db, "dBFS");
            put(format!("{process}.audio.strongest"), *strongest_hz, "Hz");
            for tone in tones {
                put(format!("{process}.audio.tone_{:.0}", tone.hz), tone.db, "dBFS");
            }
        }
        Observation::Speech { process, correlation, delay_ms, .. } => {
            put(format!("{process}.audio.correlation"), *correlation, "");
            put(format!("{process}.audio.alignment"), *delay_ms, "ms");
        }
        Observation::Picture { process, of, ssim: Some(ssim), .. } => {
            put(format!("{process}.video.ssim_{of}"), *ssim, "");
        }
        Observation::Stats { process, stats } => of_stats(process, stats, put),
        Observation::Pressure { window_ms, cpu_some_us, run_delay_us } => {
            if let Some(some) = cpu_some_us {
                put("harness.cpu_pressure".to_owned(), *some as f64 / 1e3 / (*window_ms).max(1) as f64, "fraction");
            }
            let waited = run_delay_us.values().fold(0_u64, |sum, us| sum.saturating_add(*us));
            put("harness.run_queue_delay".to_owned(), waited as f64, "us");
        }
        Observation::Overhead { observed_ms, total_ms } => {
            put("harness.observed".to_owned(), *observed_ms as f64, "ms");
            put("harness.total".to_owned(), *total_ms as f64, "ms");
            put("harness.overhead".to_owned(), total_ms.saturating_sub(*observed_ms) as f64, "ms");
        }
        Observation::Browse { took_ms, .. } => put("server.browse".to_owned(), *took_ms as f64, "ms"),
        _ => {}
    }
}

fn of_stats(process: &str, stats: &Value, put: &mut impl FnMut(String, f64, &str)) {
    for part in stats["stats"].as_array().into_iter().flatten() {
        let number = |name: &str| part[name].as_f64();
        match (part["type"].as_str(), part["kind"].as_str()) {
            (Some("inbound-rtp"), Some("audio")) => {
                if let (Some(concealed), Some(total)) = (number("concealedSamples"), number("totalSamplesReceived")) {
                    put(format!("{process}.audio.concealed"), concealed / total.max(1.0), "fraction");
                }
                if let (Some(delay), Some(count)) = (number("jitterBufferDelay"), number("jitterBufferEmittedCount")) {
                    put(format!("{process}.audio.jitter_buffer"), delay / count.max(1.0), "s");
                }
                for (name, figure) in
                    [("packetsReceived", "packets_received"), ("packetsDiscarded", "packets_discarded")]
                {
                    if let Some(value) = number(name) {
                        put(format!("{process}.audio.{figure}"), value, "count");
                    }
                }
            }
            (Some("outbound-rtp"), Some("audio")) => {
                if let Some(sent) = number("packetsSent") {
                    put(format!("{process}.audio.packets_sent"), sent, "count");
                }
            }
            (Some("inbound-rtp"), Some("video")) => {
                let from = part["trackIdentifier"].as_str().unwrap_or_default();
                if let Some(frames) = number("framesDecoded") {
                    put(format!("{process}.video.frames_of_{from}"), frames, "count");
                }
            }
            (Some("outbound-rtp"), Some("video")) => {
                if let Some(frames) = number("framesSent") {
                    put(format!("{process}.video.frames_sent"), frames, "count");
                }
            }
            (Some("transport"), _) => {
                for (name, figure) in [("bytesSent", "bytes_sent"), ("bytesReceived", "bytes_received")] {
                    if let Some(bytes) = number(name) {
                        put(format!("{process}.{figure}"), bytes, "bytes");
                    }
                }
                if let Some(seconds) = number("currentRoundTripTime").filter(|s| *s > 0.0) {
                    put(format!("{process}.round_trip"), seconds, "s");
                }
            }
            _ => {}
        }
    }
    let callbacks = &stats["sidetone"]["callbacks"];
    if let (Some(count), Some(rate)) = (callbacks["count"].as_f64(), callbacks["perSecond"].as_f64()) {
        put(format!("{process}.audio.callbacks"), count, "count");
        put(format!("{process}.audio.callback_rate"), rate, "per second");
    }
}

fn mixer(evidence: &Evidence, put: &mut impl FnMut(String, f64, &str)) {
    let (mut ticks, mut expected, mut late, mut worst, mut work) = (0, 0, 0, 0, 0);
    for (_, _, record) in evidence.events("server") {
        if let Event::MixerStats { ticks: t, expected_ticks, late_ticks, max_lateness_us, max_work_us, .. } =
            &record.event
        {
            ticks = u64::saturating_add(ticks, *t);
            expected = u64::saturating_add(expected, *expected_ticks);
            late = u64::saturating_add(late, *late_ticks);
            worst = worst.max(*max_lateness_us);
            work = work.max(*max_work_us);
        }
    }
    if expected > 0 {
        put("server.mixer.ticks".to_owned(), ticks as f64, "count");
        put("server.mixer.ticks_of_expected".to_owned(), ticks as f64 / expected as f64, "fraction");
        put("server.mixer.late_ticks".to_owned(), late as f64, "count");
        put("server.mixer.worst_lateness".to_owned(), worst as f64, "us");
        put("server.mixer.worst_work".to_owned(), work as f64, "us");
    }
}

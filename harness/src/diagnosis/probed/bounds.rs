//! The user's thresholds.

use super::samples::{find, samples};
use crate::diagnosis::view::{View, draft};
use crate::evidence::{Bound, Check, Layer, ProbePlan, Side};
use std::time::Duration;

/// Reads `NAME=VALUE` for `--max` (`most`) and `--min`. Durations have units, a fraction may be a percentage.
///
/// # Errors
/// A name that no figure has, or a value that is none of its unit: with the remedy.
pub fn parse(text: &str, most: bool, duration: impl Fn(&str) -> Option<Duration>) -> Result<Bound, String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| format!("{text:?}: NAME=VALUE is needed, as in tcp.connect.p95=50ms"))?;
    let (figure, _) = find(name).map_err(|near| match near {
        Some(near) => format!("there is no figure {name:?}, did you mean {near:?}?"),
        None => format!("there is no figure {name:?}; there are: {}", names()),
    })?;
    let wrong = |example: &str| format!("{name}: {value:?} is no value of it; write {name}={example}");
    let seconds = |text: &str| match text.strip_suffix('d') {
        Some(days) => days.trim().parse::<f64>().ok().map(|days| days * 86_400.0),
        None => duration(text).map(|time| time.as_secs_f64()),
    };
    let value = match figure.unit {
        "us" => seconds(value).map(|s| s * 1e6).ok_or_else(|| wrong("50ms"))?,
        "s" => seconds(value).ok_or_else(|| wrong("14d"))?,
        "fraction" => match value.strip_suffix('%') {
            Some(percent) => percent.trim().parse::<f64>().ok().map(|p| p / 100.0),
            None => value.parse().ok(),
        }
        .filter(|f: &f64| (0.0..=1.0).contains(f))
        .ok_or_else(|| wrong("1%"))?,
        _ => value
            .trim_end_matches("dB")
            .trim()
            .parse()
            .ok()
            .filter(|v: &f64| v.is_finite())
            .ok_or_else(|| wrong("-6"))?,
    };
    Ok(Bound { name: name.to_owned(), most, value })
}

/// Whether a target that is probed like that can have the figure at all.
///
/// # Errors
/// That it cannot, and why.
pub fn fits(bound: &Bound, plan: &ProbePlan) -> Result<(), String> {
    let Ok((figure, _)) = find(&bound.name) else { return Ok(()) };
    if (figure.measured)(plan.speak, plan.deep) {
        return Ok(());
    }
    let how = if figure.name.starts_with("echo.") && !plan.deep { "; it needs --deep" } else { "" };
    Err(format!("{}: {} is not measured there{how}", plan.target, bound.name))
}

fn names() -> String {
    super::samples::FIGURES.iter().map(|figure| figure.name).collect::<Vec<_>>().join(", ")
}

/// One check a threshold.
pub(in crate::diagnosis) fn checks(view: &mut View<'_>) -> Vec<Check> {
    let Some(plan) = &view.evidence.plan.probe else { return Vec::new() };
    let samples = samples(view.evidence);
    let mut checks = Vec::new();
    for bound in &plan.bounds {
        let Ok((figure, statistic)) = find(&bound.name) else { continue };
        let side = if bound.most { "at most" } else { "at least" };
        let title = format!("{} {side} {}", bound.name, told(bound.value, figure.unit));
        let check = draft(format!("threshold.{}", bound.name), Layer::Harness, Side::Server, title);
        let Some((values, lines)) = samples.get(figure.name).filter(|(values, _)| !values.is_empty()) else {
            checks.push(check.unknown("not measured: the probe did not come that far", vec![]));
            continue;
        };
        let ids = lines.iter().map(|line| view.cite(*line)).collect();
        let value = statistic.among(values).unwrap_or_default();
        let kept = if bound.most { value <= bound.value } else { value >= bound.value };
        let message = match values.len() {
            1 => told(value, figure.unit),
            n => format!("{} of {n} samples", told(value, figure.unit)),
        };
        let remedy = format!("{}: compare with an earlier report", figure.about);
        checks.push(if kept { check.pass(message, ids) } else { check.fail(message, ids, remedy) });
    }
    checks
}

/// A figure for people.
pub fn told(value: f64, unit: &str) -> String {
    match unit {
        "us" if value.abs() < 1e3 => format!("{:.2} ms", value / 1e3),
        "us" if value.abs() < 1e6 => format!("{:.1} ms", value / 1e3),
        "us" => format!("{:.2} s", value / 1e6),
        "s" if value.abs() >= 86_400.0 => format!("{:.1} days", value / 86_400.0),
        "s" => format!("{value:.0} s"),
        "fraction" => format!("{:.2} %", value * 100.0),
        unit => format!("{value:.1} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<f64, String> {
        let duration = |text: &str| text.strip_suffix("ms").and_then(|n| n.parse().ok()).map(Duration::from_millis);
        parse(text, true, duration).map(|bound| bound.value)
    }

    #[test]
    fn values_have_the_unit_of_their_figure() {
        assert_eq!(read("tcp.connect.p95=50ms"), Ok(50_000.0));
        assert_eq!(read("tls.expiry=14d"), Ok(14.0 * 86_400.0));
        assert_eq!(read("echo.loss=1%"), Ok(0.01));
        assert_eq!(read("echo.level=-6"), Ok(-6.0));
        for (wrong, part) in [
            ("tcp.connect", "NAME=VALUE is needed"),
            ("tcp.conect=5ms", "did you mean \"tcp.connect\"?"),
            ("nonsense=5ms", "there are: dns.resolve"),
            ("tcp.connect=5", "write tcp.connect=50ms"),
            ("echo.loss=2", "write echo.loss=1%"),
        ] {
            assert!(read(wrong).unwrap_err().contains(part), "{wrong}: {:?}", read(wrong));
        }
    }

    #[test]
    fn figures_are_told_in_units_of_people() {
        for (value, unit, expected) in [
            (123.0, "us", "0.12 ms"),
            (12_345.0, "us", "12.3 ms"),
            (2e6, "us", "2.00 s"),
            (-172_800.0, "s", "-2.0 days"),
        ] {
            assert_eq!(told(value, unit), expected);
        }
    }
}

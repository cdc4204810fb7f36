//! Figures as people read them.

use crate::evidence::Metric;

/// A figure with its unit: scaled to where it has few digits, rounded to three significant ones.
pub fn metric(metric: &Metric) -> String {
    let value = metric.value;
    if !value.is_finite() {
        return "not a figure".to_owned();
    }
    match metric.unit.as_str() {
        "bytes" => {
            scaled(value, &[(1.0, "B"), (1024.0, "KiB"), (1024.0 * 1024.0, "MiB"), (1024.0 * 1024.0 * 1024.0, "GiB")])
        }
        "ns" => time(value),
        "us" => time(value * 1e3),
        "ms" => time(value * 1e6),
        "s" => time(value * 1e9),
        "fraction" => format!("{} %", number(value * 100.0)),
        "b/s" => scaled(value, &[(1.0, "b/s"), (1e3, "kb/s"), (1e6, "Mb/s")]),
        "count" => number(value),
        unit => format!("{} {unit}", number(value)).trim_end().to_owned(),
    }
}

/// A duration of whole milliseconds.
pub fn millis(ms: u64) -> String {
    if ms < 60_000 { time(ms as f64 * 1e6) } else { format!("{} min {} s", ms / 60_000, ms % 60_000 / 1000) }
}

/// `2026-11-22 21:30:00 UTC` of RFC 3339 in UTC; anything else stays as it is.
pub fn date(time: &str) -> String {
    match time.strip_suffix('Z').and_then(|t| t.split_once('T')) {
        Some((day, clock)) => format!("{day} {} UTC", clock.split('.').next().unwrap_or(clock)),
        None => time.to_owned(),
    }
}

/// `21:30:00.004512` of RFC 3339 in UTC; anything else stays as it is.
pub fn clock(time: &str) -> &str {
    time.strip_suffix('Z').and_then(|t| t.split_once('T')).map_or(time, |(_, clock)| clock)
}

/// Bytes in the largest binary unit below them.
pub fn bytes(count: u64) -> String {
    metric(&Metric { value: count as f64, unit: "bytes".to_owned() })
}

/// `1 check`, `2 checks`.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{} {noun}{}", grouped(&count.to_string()), if count == 1 { "" } else { "s" })
}

fn time(ns: f64) -> String {
    scaled(ns, &[(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")])
}

fn scaled(value: f64, units: &[(f64, &str)]) -> String {
    let fits = units.iter().rev().find(|(size, _)| value.abs() >= *size);
    let (size, unit) = fits
        .or_else(|| {
            if value == 0.0 {
                units.iter().find(|(_, unit)| *unit == "B").or_else(|| units.last())
            } else {
                units.first()
            }
        })
        .copied()
        .unwrap_or((1.0, ""));
    format!("{} {unit}", number(value / size))
}

/// Three significant digits, never fewer than the whole part has, without trailing zeros, thousands apart.
fn number(value: f64) -> String {
    let whole_digits = if value.abs() < 1.0 { 0.0 } else { value.abs().log10().floor() + 1.0 };
    let leading_zeros = if value == 0.0 || value.abs() >= 0.1 { 0.0 } else { -value.abs().log10().floor() - 1.0 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=9 just before")]
    let decimals = (3.0 - whole_digits + leading_zeros).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    match text {
        "-0" | "" => "0".to_owned(),
        text => grouped(text),
    }
}

fn grouped(text: &str) -> String {
    let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, fraction) = rest.split_once('.').map_or((rest, String::new()), |(w, f)| (w, format!(".{f}")));
    let mut apart = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 && whole.len() > 4 {
            apart.push(',');
        }
        apart.push(digit);
    }
    format!("{sign}{apart}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(value: f64, unit: &str) -> String {
        metric(&Metric { value, unit: unit.to_owned() })
    }

    #[test]
    fn few_digits_in_the_unit_that_fits() {
        assert_eq!(show(0.0, "fraction"), "0 %");
        assert_eq!(show(0.000_312, "fraction"), "0.0312 %");
        assert_eq!(show(1.0, "fraction"), "100 %");
        assert_eq!(show(20.04, "ms"), "20 ms");
        assert_eq!(show(0.34, "ms"), "340 µs");
        assert_eq!(show(3021.0, "ms"), "3.02 s");
        assert_eq!(show(0.0, "ms"), "0 s");
        assert_eq!(show(0.0, "bytes"), "0 B");
        assert_eq!(show(16_252_928.0, "bytes"), "15.5 MiB");
        assert_eq!(show(-512.0, "bytes"), "-512 B");
        assert_eq!(show(144_000.0, "count"), "144,000");
        assert_eq!(show(1500.0, "count"), "1500");
        assert_eq!(show(-61.27, "dB"), "-61.3 dB");
        assert_eq!(show(440.02, "Hz"), "440 Hz");
        assert_eq!(show(f64::NAN, "Hz"), "not a figure");
        assert_eq!(show(7.0, ""), "7");
        assert_eq!(date("2026-11-22T21:30:00.004512Z"), "2026-11-22 21:30:00 UTC");
        assert_eq!(clock("2026-11-22T21:30:00.004512Z"), "21:30:00.004512");
        assert_eq!((date("soon"), clock("soon")), ("soon".to_owned(), "soon"));
        assert_eq!(millis(400), "400 ms");
        assert_eq!(millis(125_900), "2 min 5 s");
    }
}

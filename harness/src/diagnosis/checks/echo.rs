//! Whether a listener hears itself, by its own tone and a control in the same windows of its recording.

use crate::evidence::OwnTone;

/// Fewer windows (of 100 ms, half of each shared with the next) say too little.
const LEAST_WINDOWS: usize = 8;
/// An echo is so much louder than the control. Of two frequencies with equal noise, one is in a tenth of the windows.
const ABOVE_DB: f64 = 10.0;

/// What the windows say.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::diagnosis) enum Echo {
    /// The own tone is not there, or fainter than it may be.
    No(String),
    /// It is there: its level in dBFS, and why it is no noise.
    Heard(f64, String),
    /// It cannot be told, and why.
    NotJudged(String),
}

/// Judges it. `whole_db`: its level over the whole recording, where noise counts for less; `most_db`: up to this level nobody hears it.
pub(in crate::diagnosis) fn judge(seen: &OwnTone, whole_db: f64, most_db: f64) -> Echo {
    let windows = seen.own_db.len().min(seen.control_db.len());
    if windows < LEAST_WINDOWS {
        return Echo::NotJudged(format!("only {windows} windows of 100 ms have a steady tone"));
    }
    let above = seen.own_db.iter().zip(&seen.control_db).filter(|(own, control)| *own - *control >= ABOVE_DB);
    let above: Vec<f64> = above.map(|(own, _)| *own).collect();
    let (own, control) = (median(&seen.own_db), median(&seen.control_db));
    let control_hz = seen.control_hz;
    let compared = format!("{control_hz:.0} Hz, which nobody sends, has {control:.1} dBFS");
    let loud = median(&above);
    let is_heard = above.len() * 3 >= windows * 2 && loud > most_db && whole_db > most_db;
    if !seen.others_steady && !is_heard {
        return Echo::NotJudged("the others' tones are nowhere steady".to_owned());
    }
    if whole_db <= most_db || above.len() * 2 < windows || loud <= most_db {
        return Echo::No(format!("its own {} Hz at {own:.1} dBFS ({compared})", seen.hz));
    }
    if !is_heard {
        let why = format!(
            "its own {} Hz stands out in {} of {windows} windows, {loud:.1} dBFS ({compared})",
            seen.hz,
            above.len()
        );
        return Echo::NotJudged(why);
    }
    Echo::Heard(loud, format!("{compared}; its own stands above it in {} of {windows} windows", above.len()))
}

fn median(levels: &[f64]) -> f64 {
    let mut sorted = levels.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(-200.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(own_db: Vec<f64>, control_db: Vec<f64>) -> OwnTone {
        OwnTone { hz: 440.0, control_hz: 330.0, others_steady: true, own_db, control_db }
    }

    #[test]
    fn an_echo_is_above_the_control_in_most_windows() {
        let quiet = vec![-76.9; 40];
        assert!(
            matches!(judge(&seen(quiet.clone(), vec![-100.0; 40]), -76.9, -81.0), Echo::Heard(db, _) if (db + 76.9).abs() < 0.01)
        );
        assert!(
            matches!(judge(&seen(quiet.clone(), vec![-78.0; 40]), -76.9, -81.0), Echo::No(_)),
            "dropouts lift both"
        );
        assert!(matches!(judge(&seen(quiet.clone(), vec![-100.0; 40]), -76.9, -70.0), Echo::No(_)), "nobody hears it");
        assert!(
            matches!(judge(&seen(quiet, vec![-100.0; 40]), -95.0, -81.0), Echo::No(_)),
            "noise is longer than a window"
        );
    }

    #[test]
    fn what_comes_and_goes_is_not_judged_and_what_is_rare_is_noise() {
        let mixed = |loud: usize| [vec![-30.0; loud], vec![-110.0; 30 - loud]].concat();
        let told = [7, 15, 20].map(|loud| judge(&seen(mixed(loud), vec![-105.0; 30]), -40.0, -81.0));
        assert!(matches!(told, [Echo::No(_), Echo::NotJudged(_), Echo::Heard(..)]), "{told:?}");
    }

    #[test]
    fn where_the_others_are_not_steady_an_echo_is_found_and_nothing_is_cleared() {
        let alone = |own| OwnTone { others_steady: false, ..seen(vec![own; 20], vec![-100.0; 20]) };
        assert!(matches!(judge(&alone(-12.0), -12.0, -81.0), Echo::Heard(..)));
        assert!(matches!(judge(&alone(-100.0), -100.0, -81.0), Echo::NotJudged(_)));
    }

    #[test]
    fn few_windows_say_nothing_either_way() {
        for db in [-20.0, -120.0] {
            assert!(matches!(judge(&seen(vec![db; 7], vec![-110.0; 7]), db, -81.0), Echo::NotJudged(_)));
        }
        assert!(matches!(judge(&seen(vec![-20.0; 9], vec![]), -20.0, -81.0), Echo::NotJudged(_)));
    }
}

//! Pictures.

use crate::diagnosis::load;
use crate::diagnosis::view::{View, draft};
use crate::evidence::{Check, ClientPlan, Layer, Observation, Side};

/// How far the hue of a received test pattern may be from its sender's, in degrees.
const HUE_TOLERANCE: f32 = 15.0;
/// The least share of a printed snapshot that must not be blank.
const INK: f64 = 0.1;
/// Exit code of a client that was connected and got nothing in time.
pub(in crate::diagnosis) const NOTHING_CAME: i32 = 6;

/// Each sees the others' pictures.
pub(super) fn pictures(view: &mut View<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    for client in view.started_clients() {
        for other in &client.sees {
            checks.push(picture_of(view, client, other));
        }
    }
    checks
}

fn picture_of<'a>(view: &mut View<'a>, client: &'a ClientPlan, other: &str) -> Check {
    let title = format!("{} sees {other}'s picture", client.name);
    let check = draft(format!("media.picture/{}/{other}", client.name), Layer::Media, Side::Path, title);
    let seen = view.first(|o| match o {
        Observation::Picture { process, of, width, height, hue, expected_hue, ssim, .. }
            if *process == client.name && of == other =>
        {
            Some(((*width, *height), *hue, *expected_hue, *ssim))
        }
        _ => None,
    });
    let remedy = "compare pictures_received and pictures_sent of the server's session.left events";
    let Some((line, ((width, height), hue, expected_hue, ssim))) = seen else {
        // the file is written at the client's end: that a client that ended well, or because nothing came, wrote none
        // means that none came
        let why = view.not_observed(&format!("the picture of {other} at {}", client.name));
        let ids: Vec<_> = why.iter().map(|(line, _)| view.cite(*line)).collect();
        let ended_well = view.first(|o| match o {
            Observation::ProcessExited { process, code: Some(0 | NOTHING_CAME), .. } if *process == client.name => {
                Some(())
            }
            _ => None,
        });
        return match (why, ended_well) {
            (Some(_), Some(_)) => {
                let failed = check.fail(format!("no picture of {other} arrived at {}", client.name), ids, remedy);
                load::unless_late(view, &client.name, failed)
            }
            (Some((_, why)), None) => check.unknown(why, ids),
            (None, _) => check.unknown("not looked at: the run ended before", ids),
        };
    };
    let ids = vec![view.cite(line)];
    let limit = view.evidence.plan.limits.ssim;
    match (hue, expected_hue, ssim) {
        (_, _, Some(ssim)) if ssim >= limit => {
            check.pass(format!("{width}x{height}, structural similarity {ssim:.3}"), ids)
        }
        (_, _, Some(ssim)) => {
            let message = format!("{width}x{height}, structural similarity {ssim:.3}, at least {limit}");
            check.fail(message, ids, "open the received picture and the sent one")
        }
        (Some(hue), Some(expected), None) => {
            let off = sidetone::video::pattern::hue_distance(hue, expected);
            if off <= HUE_TOLERANCE {
                check.pass(format!("{width}x{height}, {other}'s colour (hue {hue:.0}, expected {expected:.0})"), ids)
            } else {
                let message = format!("the picture is not {other}'s: hue {hue:.0}, expected {expected:.0}");
                check.fail(message, ids, "look for streams that are mixed up")
            }
        }
        (None, Some(expected), None) => check.fail(
            format!("the picture has no colour; hue {expected:.0} was expected"),
            ids,
            "open the received picture",
        ),
        (_, None, None) => check.unknown(format!("{width}x{height} arrived; there is nothing to compare it with"), ids),
    }
}

/// The printed snapshot shows the others.
pub(super) fn snapshots(view: &mut View<'_>) -> Vec<Check> {
    let clients: Vec<_> = view.started_clients().into_iter().filter(|c| c.snapshot).collect();
    clients.into_iter().map(|client| snapshot_of(view, client)).collect()
}

fn snapshot_of<'a>(view: &mut View<'a>, client: &'a ClientPlan) -> Check {
    let title = format!("{}'s snapshot shows {}", client.name, client.sees.join(" and "));
    let check = draft(format!("media.snapshot/{}", client.name), Layer::Media, Side::Client, title);
    let seen = view.first(|o| match o {
        Observation::Snapshot { process, tiles, ink_fraction, .. } if *process == client.name => {
            Some((tiles, *ink_fraction))
        }
        _ => None,
    });
    let Some((line, (tiles, ink))) = seen else {
        let code = view.first(|o| match o {
            Observation::ProcessExited { process, code: Some(code), .. } if *process == client.name => Some(*code),
            _ => None,
        });
        return match code {
            Some((line, code)) => {
                let ids = vec![view.cite(line)];
                let message = format!("nothing was printed (exit code {code})");
                let failed = check.fail(message, ids, "read the client's log");
                if code == NOTHING_CAME { load::unless_late(view, &client.name, failed) } else { failed }
            }
            None => check.unknown("the end of the client was not seen", vec![]),
        };
    };
    let ids = vec![view.cite(line)];
    let missing: Vec<_> = client.sees.iter().filter(|name| !tiles.contains(name)).cloned().collect();
    if !missing.is_empty() {
        let shown = if tiles.is_empty() { "nobody".to_owned() } else { tiles.join(" and ") };
        let message = format!("shows {shown}, not {}", missing.join(" and "));
        return check.fail(message, ids, "see whether the missing ones sent pictures at all");
    }
    if ink < INK {
        return check.fail(format!("only {:.0} % of it is not blank", ink * 100.0), ids, "open the printed snapshot");
    }
    check.pass(format!("shows {}; {:.0} % of it is not blank", tiles.join(" and "), ink * 100.0), ids)
}

//! What people do in a room: they talk in the chat, mute themselves, come back after the server was started again.

use crate::diagnosis::load::{self, LESS_LOAD};
use crate::diagnosis::summary::and;
use crate::diagnosis::view::{View, draft};
use crate::evidence::{Action, Check, ClientPlan, Layer, Log, LogLine, Observation, Side};
use sidetone::event::Event;

/// How soon all are back after the server is, in milliseconds: the longest pause of the back-off so early, and a connection.
const BACK_WITHIN_MS: u64 = 5_000;

/// Steps of a kind that were done, by client.
fn done(view: &View<'_>, action: Action) -> Vec<String> {
    let planned = view.evidence.plan.steps.iter().filter(|step| step.action == action);
    planned.map(|step| step.client.clone()).collect()
}

/// Others of the plan that were in.
fn others<'a>(view: &View<'a>, name: &str) -> Vec<&'a ClientPlan> {
    view.started_clients().into_iter().filter(|c| c.name != name && !c.snapshot).collect()
}

/// What a client says in the chat reaches all others.
pub(super) fn chat(view: &mut View<'_>) -> Vec<Check> {
    let speakers = done(view, Action::Say);
    let clients = view.started_clients().into_iter().filter(|c| speakers.contains(&c.name));
    clients.collect::<Vec<_>>().into_iter().map(|client| chat_of(view, client)).collect()
}

fn chat_of(view: &mut View<'_>, client: &ClientPlan) -> Check {
    let others = others(view, &client.name);
    let names: Vec<_> = others.iter().map(|c| c.name.as_str()).collect();
    let title = format!("what {} says in the chat reaches {}", client.name, and(&names));
    let check = draft(format!("session.chat/{}", client.name), Layer::Session, Side::Path, title);
    let steps = done(view, Action::Say).iter().filter(|name| **name == client.name).count();
    let said: Vec<&String> = client.says.iter().take(steps).collect();
    let (mut ids, mut missing) = (Vec::new(), Vec::new());
    for other in &others {
        let got = view.events(&other.name, |e| match e {
            Event::ClientChat { from, text } if *from == client.name => Some(text),
            _ => None,
        });
        let texts: Vec<&String> = got.iter().map(|(_, _, text)| *text).collect();
        if texts == said {
            ids.extend(got.iter().map(|(log, line, _)| view.cite_log(log, line)));
        } else {
            missing.push(format!("{} got {} of {} lines", other.name, texts.len(), said.len()));
        }
    }
    if missing.is_empty() {
        return check.pass(format!("{} lines", said.len()), ids);
    }
    check.fail(missing.join(", "), ids, "compare the chat events (client.chat) of all clients")
}

/// Who is muted is shown so to all others, and no longer when it is over.
pub(super) fn mute(view: &mut View<'_>) -> Vec<Check> {
    let muters = done(view, Action::Mute);
    let clients = view.started_clients().into_iter().filter(|c| muters.contains(&c.name));
    clients.collect::<Vec<_>>().into_iter().map(|client| mute_of(view, client, &muters)).collect()
}

fn mute_of(view: &mut View<'_>, client: &ClientPlan, muters: &[String]) -> Check {
    let others = others(view, &client.name);
    let names: Vec<_> = others.iter().map(|c| c.name.as_str()).collect();
    let title = format!("{} see when {} is muted", and(&names), client.name);
    let check = draft(format!("session.mute/{}", client.name), Layer::Session, Side::Path, title);
    let times = muters.iter().filter(|name| **name == client.name).count();
    let wanted: Vec<bool> = (0..times).map(|i| i % 2 == 0).collect();
    let (mut ids, mut wrong) = (Vec::new(), Vec::new());
    for other in &others {
        let told: Vec<(&Log, &LogLine, bool)> = view.events(&other.name, |e| match e {
            Event::ClientParticipantMuted { name, muted, .. } if *name == client.name => Some(*muted),
            _ => None,
        });
        ids.extend(told.iter().map(|(log, line, _)| view.cite_log(log, line)).collect::<Vec<_>>());
        if told.iter().map(|(_, _, muted)| *muted).collect::<Vec<_>>() != wanted {
            wrong.push(format!("{} was told {} of {} changes", other.name, told.len(), wanted.len()));
        }
    }
    if wrong.is_empty() {
        return check.pass("muted and back, as it was", ids);
    }
    check.fail(wrong.join(", "), ids, "compare the mute events (client.participant_muted) of all clients")
}

/// When the server was started again, and who that is now.
pub(in crate::diagnosis) fn restarted(view: &View<'_>) -> Option<(usize, u64)> {
    view.first(|o| match o {
        Observation::Restarted { ready_ns, .. } => Some(*ready_ns),
        _ => None,
    })
}

/// All who were in are in again after the server is, and sound plays again.
pub(super) fn resumed(view: &mut View<'_>) -> Vec<Check> {
    let Some((line, ready_ns)) = restarted(view) else { return vec![] };
    let clients: Vec<_> = view.started_clients().into_iter().filter(|c| !c.snapshot).collect();
    clients.into_iter().map(|client| resumed_one(view, client, (line, ready_ns))).collect()
}

fn resumed_one<'a>(view: &mut View<'a>, client: &'a ClientPlan, (line, ready_ns): (usize, u64)) -> Check {
    let title = format!("{} comes back by itself after the server is started again", client.name);
    let check = draft(format!("session.resumed/{}", client.name), Layer::Session, Side::Client, title);
    let after = |line: &LogLine| line.record.as_ref().map(|r| r.monotonic_ns).filter(|at| *at >= ready_ns);
    let ms = |at: u64| (at - ready_ns) / 1_000_000;
    let joined = view.events(&client.name, |e| matches!(e, Event::ClientJoined { .. }).then_some(()));
    let joined = joined.into_iter().find_map(|(log, line, ())| Some((log, line, after(line)?)));
    let mut ids = vec![view.cite(line)];
    let Some((log, line, joined_at)) = joined else {
        return check.fail("it never came back", ids, "read its log after client.disconnected");
    };
    ids.push(view.cite_log(log, line));
    let playing = view.events(&client.name, |e| matches!(e, Event::AudioPlaying { .. }).then_some(()));
    let playing = playing.into_iter().find_map(|(log, line, ())| Some((log, line, after(line)?)));
    let mut message = format!("in again {} ms after the server was ready", ms(joined_at));
    if let Some((log, line, at)) = playing {
        ids.push(view.cite_log(log, line));
        message = format!("{message}, sound plays {} ms after it", ms(at));
    } else if !client.hears.is_empty() {
        return check.fail(format!("{message}, but no sound plays again"), ids, "read its log after client.joined");
    }
    if ms(joined_at) > BACK_WITHIN_MS {
        if let Some(excuse) = load::excuse_span(view, &client.name, ready_ns, joined_at) {
            ids.extend(excuse.ids);
            return check.warn(format!("{message}; {}", excuse.words), ids, LESS_LOAD);
        }
        return check.fail(message, ids, "look at the pauses between its attempts (client.reconnecting)");
    }
    check.pass(message, ids)
}

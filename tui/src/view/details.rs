//! The selected center.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::{Tone, boxed, span};
use crate::language::{Word, age, bytes, clock, fit};
use crate::model::{Center, ConditionView, Model};

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let Some(center) = model.centers.get(model.selected) else {
        return;
    };
    let rows = usize::from(area.height.saturating_sub(2));
    let columns = usize::from(area.width.saturating_sub(2));
    let mut lines: Vec<Line<'static>> = facts(model, center)
        .into_iter()
        .map(|(tone, text)| Line::from(span(model, tone, fit(&text, columns))))
        .collect();
    lines.truncate(rows);
    let title = format!("{} {}", model.language.say(Word::Selected), center.name);
    boxed(model, frame, area, &title, lines);
}

/// What there is to say, the worst first.
fn facts(model: &Model, center: &Center) -> Vec<(Tone, String)> {
    let language = model.language;
    let mut facts = Vec::new();
    for (trouble, what) in [
        (&center.replica.trouble, Word::Replica),
        (&center.cluster.trouble, Word::Kubernetes),
    ] {
        if let Some((reason, since_us)) = trouble {
            facts.push((
                Tone::Bad,
                format!(
                    "× {} {} {}: {reason}",
                    language.say(what).to_lowercase(),
                    language.say(Word::Since),
                    clock(*since_us)
                ),
            ));
        }
    }
    let object = center.cluster.any().and_then(Option::as_ref);
    // Conditions of an answer that has gone stale are told as such.
    let mark = if center.cluster.trouble.is_some() {
        "~"
    } else {
        ""
    };
    let conditions = object.map(|object| object.conditions.as_slice());
    for condition in conditions.unwrap_or_default() {
        if !is_good(condition) {
            let (tone, symbol) = match condition.holds {
                Some(_) => (Tone::Bad, '!'),
                None => (Tone::Warning, '?'),
            };
            facts.push((
                tone,
                format!(
                    "{mark}{symbol} {} {}: {}",
                    condition.name, condition.reason, condition.message
                ),
            ));
        }
    }
    let address = center.address.as_deref().unwrap_or("?");
    let mut line = format!("{} {address}", language.say(Word::Address));
    if let Some(status) = center.replica.any() {
        line.push_str(&format!(
            " · {} {} · {} {} · {} {} · {} {}",
            language.say(Word::Since),
            clock(status.started_at_us),
            language.say(Word::Version),
            status.version,
            language.say(Word::Journal),
            bytes(status.journal_bytes),
            language.say(Word::DiskFree),
            bytes(status.disk_free_bytes),
        ));
        let operations = status.operations.as_ref();
        if let Some(running) = operations.and_then(|operations| operations.running.as_ref()) {
            let step = running.steps.last().map_or("Begin", |step| &step.name);
            let since_us = status.now_us.saturating_sub(running.began_at_us);
            facts.push((
                Tone::Warning,
                format!(
                    "! {} {} · {} · {step} ({})",
                    language.say(Word::Operation),
                    running.name,
                    running.holder,
                    age(since_us)
                ),
            ));
        }
        if let Some(lease) = &status.maintenance {
            let left_us = lease.until_us.saturating_sub(status.now_us);
            facts.push((
                Tone::Warning,
                format!(
                    "! {} {} ({})",
                    language.say(Word::Maintenance),
                    lease.holder,
                    age(left_us)
                ),
            ));
        }
    }
    facts.push((Tone::Plain, line));
    if let Some(object) = object {
        let good: Vec<&str> = object
            .conditions
            .iter()
            .filter(|condition| is_good(condition))
            .map(|condition| condition.name.as_str())
            .collect();
        facts.push((
            Tone::Plain,
            format!(
                "{mark}TradingCore {} · {} ✓ {}",
                object.name,
                language.say(Word::Conditions),
                good.join(" ")
            ),
        ));
    }
    facts
}

/// Most conditions are good news when they hold; these two are bad news.
fn is_good(condition: &ConditionView) -> bool {
    let is_bad_news = matches!(condition.name.as_str(), "Reconciling" | "Stalled");
    condition.holds == Some(!is_bad_news)
}

//! The links: what delay was set, what the leader measures, and whether data is stopped. And the
//! map of three centers.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::{Tone, boxed, row, span};
use crate::language::{Word, grouped, milliseconds, pad, width};
use crate::model::{Freshness, Link, Model, POLL_FRESH_US, REPLICA_FRESH_US};

const NAME: usize = 11;
const SET: usize = 11;
const MEASURED: usize = 10;

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let language = model.language;
    let rows = usize::from(area.height.saturating_sub(2));
    let mut lines = vec![row(
        model,
        &[
            (Tone::Dim, String::new(), NAME),
            (Tone::Dim, language.say(Word::Delay).to_owned(), SET),
            (Tone::Dim, language.say(Word::Measured).to_owned(), MEASURED),
        ],
    )];
    for (one, other) in pairs(model) {
        let link = link_between(model, &one, &other);
        let (tone, set) = link.map_or((Tone::Dim, "-".to_owned()), |link| set(model, link));
        let (measured_tone, measured) = measured(model, &one, &other);
        lines.push(row(
            model,
            &[
                (Tone::Plain, format!("{one} – {other}"), NAME),
                (tone, set, SET),
                (measured_tone, measured, MEASURED),
            ],
        ));
    }
    let clients: Vec<&Link> = model
        .links
        .iter()
        .filter(|link| !link.is_between_centers())
        .collect();
    if lines.len() + clients.len() <= rows {
        for link in clients {
            let (tone, set) = set(model, link);
            let name = format!("{} – {}", language.say(Word::Clients), link.ends().1);
            let wide_name = pad(&name, NAME.max(14));
            lines.push(Line::from(vec![
                span(model, Tone::Plain, wide_name + " "),
                span(model, tone, set),
            ]));
        }
    } else if !clients.is_empty() {
        let mut spans = vec![span(
            model,
            Tone::Dim,
            format!("{} ", language.say(Word::Clients)),
        )];
        for link in clients {
            let (tone, set) = set(model, link);
            let symbol: String = set.chars().take(1).collect();
            spans.push(span(model, Tone::Plain, format!(" {}", link.ends().1)));
            spans.push(span(model, tone, format!(" {symbol} ")));
        }
        lines.push(Line::from(spans));
    }
    boxed(model, frame, area, language.say(Word::Links), lines);
}

/// Each two centers once.
fn pairs(model: &Model) -> Vec<(String, String)> {
    let names: Vec<&str> = model.centers.iter().map(|it| it.name.as_str()).collect();
    let mut pairs = Vec::new();
    for (place, one) in names.iter().enumerate() {
        for other in &names[place + 1..] {
            pairs.push(((*one).to_owned(), (*other).to_owned()));
        }
    }
    pairs
}

fn link_between<'a>(model: &'a Model, one: &str, other: &str) -> Option<&'a Link> {
    model
        .links
        .iter()
        .find(|link| link.ends() == (one, other) || link.ends() == (other, one))
}

/// What was set on a link; `?` unless its Toxiproxy said so lately.
fn set(model: &Model, link: &Link) -> (Tone, String) {
    let Some(facts) = link.facts.fresh(model.now_us, POLL_FRESH_US) else {
        return match link.facts.freshness(model.now_us, POLL_FRESH_US) {
            Freshness::Never => (Tone::Warning, "?".to_owned()),
            Freshness::Live | Freshness::Stale { .. } => (Tone::Warning, "~ ?".to_owned()),
        };
    };
    if facts.is_cut {
        return (Tone::Bad, format!("× {}", model.language.say(Word::Cut)));
    }
    let jitter = match facts.jitter_ms {
        0 => String::new(),
        jitter_ms => format!("±{jitter_ms}"),
    };
    let figure = format!("{}{jitter} ms", facts.round_trip_ms);
    if facts.others.is_empty() {
        (Tone::Good, format!("✓ {figure}"))
    } else {
        (
            Tone::Warning,
            format!("! {figure} {}", facts.others.join(" ")),
        )
    }
}

fn measured(model: &Model, one: &str, other: &str) -> (Tone, String) {
    if let Some(us) = model.measured_round_trip_us(one, other) {
        return (Tone::Plain, milliseconds(us));
    }
    // The leader measures its own links only.
    let leads = model.leader().map(|leader| leader.center.as_str());
    match leads {
        Some(center) if center != one && center != other => (Tone::Dim, "-".to_owned()),
        _ => (Tone::Warning, "?".to_owned()),
    }
}

const BOX: usize = 20;
const GAP: usize = 20;

/// Three centers and the lines between them.
pub(super) fn draw_map(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let [a, b, c] = [0, 1, 2].map(|place| {
        let (state, lag) = state(model, place);
        (model.centers[place].name.clone(), state, lag)
    });
    let label = |one: &str, other: &str| {
        let link = link_between(model, one, other);
        let set = link.map(|link| set(model, link).1);
        let is_clear = set.as_ref().is_none_or(|set| set.starts_with('✓'));
        match (measured(model, one, other).1, set) {
            (measured, _) if is_clear && measured.ends_with("ms") => format!("✓ {measured}"),
            (_, Some(set)) => set,
            (measured, None) => measured,
        }
    };
    let top = |name: &str| {
        let name = crate::language::fit(name, 8);
        format!("┌ {name} {}┐", "─".repeat(BOX - 2 - width(&name)))
    };
    let inside = |text: &str| format!("│ {} │", pad(text, BOX - 2));
    let space = " ".repeat(GAP);
    let first = label(&a.0, &b.0);
    let line = GAP.saturating_sub(width(&first) + 2);
    let between = format!(
        "{} {first} {}",
        "─".repeat(line / 2),
        "─".repeat(line - line / 2)
    );
    let (left, right) = (label(&a.0, &c.0), label(&b.0, &c.0));
    // Columns: the left box begins at 0, its foot is at 10; the right box's foot is at 53.
    let half = 20;
    let last_name = crate::language::fit(&c.0, 8);
    let mut last_top: Vec<char> = "─".repeat(BOX).chars().collect();
    for place in [10, 15] {
        last_top[place] = '┴';
    }
    let last_rest: String = last_top[width(&last_name) + 2..].iter().collect();
    let indent = " ".repeat(21);
    let lines = [
        format!("{}{space}{}", top(&a.0), top(&b.0)),
        format!("{}{between}{}", inside(&a.1), inside(&b.1)),
        format!("{}{space}{}", inside(&a.2), inside(&b.2)),
        format!(
            "└{}┬{}┘{space}└{}┬{}┘",
            "─".repeat(9),
            "─".repeat(10),
            "─".repeat(10),
            "─".repeat(9)
        ),
        format!(
            "{}│ {}{}{right} │",
            " ".repeat(10),
            pad(&left, half),
            " ".repeat(20usize.saturating_sub(width(&right))),
        ),
        format!(
            "{}└{}┐    ┌{}┘",
            " ".repeat(10),
            "─".repeat(21),
            "─".repeat(15)
        ),
        format!("{indent}┌ {last_name} {last_rest}┐"),
        format!("{indent}{}", inside(&c.1)),
        format!("{indent}{}", inside(&c.2)),
        format!("{indent}└{}┘", "─".repeat(BOX)),
    ];
    let lines = lines
        .into_iter()
        .map(|text| Line::from(span(model, Tone::Plain, format!(" {text}"))))
        .collect();
    boxed(model, frame, area, model.language.say(Word::Map), lines);
}

/// What a center's box on the map says.
fn state(model: &Model, place: usize) -> (String, String) {
    let language = model.language;
    let center = &model.centers[place];
    let (_, heard) = super::centers::heard(model, center);
    let Freshness::Live = center.replica.freshness(model.now_us, REPLICA_FRESH_US) else {
        return (heard, String::new());
    };
    let role = center
        .replica
        .any()
        .map_or_else(|| "?".to_owned(), |it| super::centers::role(model, it).1);
    let lag = model
        .lag_entries(place)
        .map_or_else(|| "?".to_owned(), grouped);
    (
        role,
        format!("{} {lag}", language.say(Word::Lag).to_lowercase()),
    )
}

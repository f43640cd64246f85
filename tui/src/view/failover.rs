//! The last failover as a bar of legs, and the list of all changes of leader.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};

use super::{Tone, boxed, row, span, whole};
use crate::language::{Word, clock, fit, grouped, milliseconds, width};
use crate::model::{Failover, Leg, LegsSource, Model};

/// Each leg has its own pattern, so that the bar can be read without colours.
const PATTERNS: [char; 6] = ['█', '▓', '▒', '░', '▚', '═'];
const COLOURS: [Color; 6] = [
    Color::Red,
    Color::Yellow,
    Color::Magenta,
    Color::Blue,
    Color::Cyan,
    Color::Green,
];

const fn word(leg: Leg) -> Word {
    match leg {
        Leg::Detect => Word::Detect,
        Leg::Fence => Word::Fence,
        Leg::Elect => Word::Elect,
        Leg::Replay => Word::Replay,
        Leg::Reroute => Word::Reroute,
        Leg::FirstOrder => Word::FirstOrder,
    }
}

fn leg_style(model: &Model, leg: usize) -> Style {
    if model.has_colour {
        Style::default().fg(COLOURS[leg])
    } else {
        Style::default()
    }
}

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let language = model.language;
    let columns = usize::from(area.width.saturating_sub(2));
    let rows = usize::from(area.height.saturating_sub(2));
    let mut lines = match model.last_failover() {
        Some(failover) => {
            let mut lines = vec![
                summary(model, &failover, columns),
                bar(model, &failover, columns),
            ];
            lines.extend(legend(model, &failover, columns));
            let source = match failover.source {
                LegsSource::Run => Word::FromRun,
                LegsSource::Replica => Word::FromReplica,
            };
            let source = fit(language.say(source), columns);
            lines.push(Line::from(span(model, Tone::Dim, source)));
            lines
        }
        None => {
            let text = fit(language.say(Word::NoFailover), columns);
            vec![Line::from(span(model, Tone::Dim, text))]
        }
    };
    if let Some((reason, _)) = &model.report.trouble {
        lines.push(Line::from(span(
            model,
            Tone::Warning,
            fit(&format!("! {reason}"), columns),
        )));
    }
    lines.truncate(rows);
    boxed(model, frame, area, &title(model), lines);
}

/// The title carries the last planned switchover, which is the smaller news.
fn title(model: &Model) -> String {
    let language = model.language;
    let title = language.say(Word::LastFailover).to_owned();
    let Some(handover) = model.last_handover() else {
        return title;
    };
    let gap_us: u64 = handover.legs_us.iter().flatten().sum();
    format!(
        "{title} │ {}: {} → {} {} {} {}",
        language.say(Word::LastHandover),
        handover.from,
        handover.to,
        language.say(Word::Epoch).to_lowercase(),
        handover.epoch,
        milliseconds(gap_us),
    )
}

fn summary(model: &Model, failover: &Failover, columns: usize) -> Line<'static> {
    let language = model.language;
    let total = failover
        .total_us
        .map_or_else(|| "?".to_owned(), milliseconds);
    let (tone, symbol) = match failover.lost_and_doubled {
        Some((0, 0)) => (Tone::Good, '✓'),
        Some(_) => (Tone::Bad, '!'),
        None => (Tone::Warning, '?'),
    };
    let figure = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), grouped);
    let lost = figure(failover.lost_and_doubled.map(|(lost, _)| lost));
    let doubled = figure(failover.lost_and_doubled.map(|(_, doubled)| doubled));
    let parts = [
        (Tone::Plain, format!("{} → {}", failover.from, failover.to)),
        (
            Tone::Title,
            format!("  {} {total}", language.say(Word::Total)),
        ),
        (
            tone,
            format!("  {symbol} {} {lost}", language.say(Word::Lost)),
        ),
        (tone, format!("  {} {doubled}", language.say(Word::Doubled))),
        (
            Tone::Plain,
            format!(
                "  {} {}",
                language.say(Word::Epoch).to_lowercase(),
                failover.epoch
            ),
        ),
        (Tone::Plain, format!("  {}", clock(failover.at_us))),
    ];
    Line::from(whole(model, parts, columns))
}

/// How many of `columns` each leg gets: its share, and at least one if it was measured.
fn shares(legs_us: &[Option<u64>; 6], columns: usize) -> [usize; 6] {
    let total: u64 = legs_us.iter().flatten().sum();
    let measured = legs_us.iter().flatten().count();
    let free = columns.saturating_sub(measured) as u64;
    let mut shares = [0; 6];
    for (share, leg) in shares.iter_mut().zip(legs_us) {
        if let Some(us) = leg {
            let extra = u128::from(free) * u128::from(*us) / u128::from(total.max(1));
            *share = 1 + extra as usize;
        }
    }
    shares
}

fn bar(model: &Model, failover: &Failover, columns: usize) -> Line<'static> {
    let spans: Vec<Span<'static>> = shares(&failover.legs_us, columns)
        .into_iter()
        .enumerate()
        .filter(|(_, share)| *share > 0)
        .map(|(leg, share)| {
            let text: String = std::iter::repeat_n(PATTERNS[leg], share).collect();
            Span::styled(text, leg_style(model, leg))
        })
        .collect();
    Line::from(spans)
}

fn legend(model: &Model, failover: &Failover, columns: usize) -> Vec<Line<'static>> {
    let mut lines = vec![Line::default()];
    let mut used = 0;
    for (place, leg) in Leg::ALL.into_iter().enumerate() {
        let figure = failover.legs_us[place].map_or_else(|| "?".to_owned(), milliseconds);
        let text = format!(" {} {figure}   ", model.language.say(word(leg)));
        let taken = 1 + width(&text);
        if used > 0 && used + taken > columns + 3 {
            lines.push(Line::default());
            used = 0;
        }
        used += taken;
        if let Some(line) = lines.last_mut() {
            let pattern = Span::styled(PATTERNS[place].to_string(), leg_style(model, place));
            line.spans.extend([pattern, span(model, Tone::Plain, text)]);
        }
    }
    lines
}

/// The first cells that fit as a whole: a number that is cut would be another number.
fn fitting(columns: usize, mut cells: Vec<(Tone, String, usize)>) -> Vec<(Tone, String, usize)> {
    let mut left = columns;
    let fits = cells
        .iter()
        .take_while(|(_, _, taken)| {
            let fits = *taken <= left;
            left = left.saturating_sub(taken + 1);
            fits
        })
        .count();
    cells.truncate(fits);
    cells
}

/// Every change of leader that the replicas remember.
pub(super) fn draw_elections(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let language = model.language;
    let rows = usize::from(area.height.saturating_sub(3));
    let cell = |word: Word| language.say(word).to_owned();
    let columns = usize::from(area.width.saturating_sub(2));
    let mut lines = vec![row(
        model,
        &fitting(
            columns,
            vec![
                (Tone::Dim, cell(Word::Epoch), 6),
                (Tone::Dim, cell(Word::Leader), 8),
                (Tone::Dim, cell(Word::Since), 9),
                (Tone::Dim, String::new(), 10),
                (Tone::Dim, cell(Word::Fence), 9),
                (Tone::Dim, cell(Word::Elect), 9),
                (Tone::Dim, cell(Word::Replay), 9),
                (Tone::Dim, cell(Word::FirstOrder), 12),
            ],
        ),
    )];
    for (center, record) in model.elections().into_iter().take(rows) {
        let between = |from_us: u64, to_us: u64| {
            if from_us > 0 && to_us > 0 {
                milliseconds(to_us.saturating_sub(from_us))
            } else {
                "?".to_owned()
            }
        };
        let kind = match (record.planned, record.previous_leader) {
            (true, _) => Word::Planned,
            (false, 0) => Word::First,
            (false, _) => Word::Unplanned,
        };
        let plain = |text: String, columns: usize| (Tone::Plain, text, columns);
        lines.push(row(
            model,
            &fitting(
                columns,
                vec![
                    plain(record.epoch.to_string(), 6),
                    plain(center, 8),
                    plain(clock(record.elected_at_us), 9),
                    plain(cell(kind), 10),
                    plain(between(record.suspected_at_us, record.campaigned_at_us), 9),
                    plain(between(record.campaigned_at_us, record.elected_at_us), 9),
                    plain(between(record.elected_at_us, record.serving_at_us), 9),
                    plain(between(record.serving_at_us, record.first_order_at_us), 12),
                ],
            ),
        ));
    }
    boxed(model, frame, area, language.say(Word::Elections), lines);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_never_outgrows_its_line_and_shows_every_measured_leg() {
        let legs = [Some(612_300), Some(0), None, Some(17), Some(1), Some(9)];
        for columns in [5, 40, 78, 300] {
            let shares = shares(&legs, columns);
            assert!(shares.iter().sum::<usize>() <= columns, "{columns}");
            assert_eq!(shares[2], 0);
            assert!(
                legs.iter()
                    .zip(shares)
                    .all(|(leg, share)| leg.is_some() == (share > 0))
            );
        }
    }

    #[test]
    fn a_bar_of_nothing_measured_is_empty() {
        assert_eq!(shares(&[None; 6], 80), [0; 6]);
    }
}

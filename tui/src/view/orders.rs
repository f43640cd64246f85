//! Orders a second, their curve, commit latency, counts.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::symbols;
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Sparkline, SparklineBar};

use super::{Tone, framed, span, style};
use crate::language::{Word, grouped, milliseconds, width};
use crate::model::Model;

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let block = framed(model, model.language.say(Word::Orders));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    if inner.height < 3 {
        let mut line = rate(model);
        line.spans.push(span(model, Tone::Plain, "  "));
        let left = usize::from(inner.width).saturating_sub(line.width());
        line.spans.extend(latency(model, left).spans);
        frame.render_widget(Paragraph::new(line), inner);
        return;
    }
    let [head, curve, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(2),
    ])
    .areas(inner);
    let columns = usize::from(inner.width);
    frame.render_widget(Paragraph::new(rate(model)), head);
    frame.render_widget(
        Paragraph::new(vec![latency(model, columns), counts(model, columns)]),
        foot,
    );
    if model.seconds.is_empty() {
        let text = format!("({})", model.language.say(Word::Waiting));
        frame.render_widget(Paragraph::new(span(model, Tone::Dim, text)), curve);
        return;
    }
    let shown = model.seconds.len().min(columns);
    // A second of silence is drawn as `?`, an empty one as nothing.
    let bars: Vec<SparklineBar> = std::iter::repeat_n(Some(0), columns - shown)
        .chain(
            model
                .seconds
                .iter()
                .skip(model.seconds.len() - shown)
                .copied(),
        )
        .map(SparklineBar::from)
        .collect();
    let sparkline = Sparkline::default()
        .data(bars)
        .bar_set(symbols::bar::NINE_LEVELS)
        .absent_value_symbol("?")
        .style(style(model, Tone::Good))
        .absent_value_style(style(model, Tone::Warning));
    frame.render_widget(sparkline, curve);
}

fn rate(model: &Model) -> Line<'static> {
    let language = model.language;
    let (tone, figure) = model
        .orders_per_second()
        .map_or((Tone::Warning, "?".to_owned()), |rate| {
            (Tone::Title, grouped(rate))
        });
    Line::from(vec![
        span(model, tone, figure),
        span(
            model,
            Tone::Plain,
            format!(" {} ", language.say(Word::OrdersPerSecond)),
        ),
        span(model, Tone::Dim, language.say(Word::Last5s)),
    ])
}

/// Whole figures only: a number that is cut would be another number.
fn joined(parts: &[String], columns: usize) -> String {
    let mut text = String::new();
    for part in parts {
        let gap = if text.is_empty() { "" } else { "  " };
        if width(&text) + width(gap) + width(part) > columns {
            break;
        }
        text.push_str(gap);
        text.push_str(part);
    }
    text
}

fn latency(model: &Model, columns: usize) -> Line<'static> {
    let title = format!("{} ", model.language.say(Word::CommitLatency));
    let left = columns.saturating_sub(width(&title));
    let latency = model
        .leader()
        .and_then(|leader| leader.commit_latency)
        .filter(|latency| latency.count > 0);
    let text = latency.map_or_else(
        || "?".to_owned(),
        |latency| {
            let parts = [
                ("p50", latency.p50_us),
                ("p99", latency.p99_us),
                ("max", latency.max_us),
            ]
            .map(|(name, us)| format!("{name} {}", milliseconds(us)));
            joined(&parts, left)
        },
    );
    Line::from(vec![
        span(model, Tone::Dim, title),
        span(model, Tone::Plain, text),
    ])
}

fn counts(model: &Model, columns: usize) -> Line<'static> {
    let language = model.language;
    let Some(counters) = model.leader().and_then(|leader| leader.counters) else {
        return Line::from(span(model, Tone::Warning, "?"));
    };
    let parts = [
        (Word::Accepted, counters.orders_accepted),
        (Word::Rejected, counters.orders_rejected),
        (Word::Trades, counters.trades),
        (Word::OpenOrders, counters.open_orders),
        (Word::Sessions, counters.sessions),
    ]
    .map(|(word, count)| format!("{} {}", language.say(word), grouped(count)));
    Line::from(span(model, Tone::Dim, joined(&parts, columns)))
}

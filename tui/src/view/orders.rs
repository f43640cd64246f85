//! Orders a second, their curve, commit latency, counts.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::symbols;
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Sparkline, SparklineBar};

use super::{Tone, framed, span, style};
use crate::language::{Word, grouped, milliseconds};
use crate::model::Model;

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let block = framed(model, model.language.say(Word::Orders));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    if inner.height < 4 {
        let mut line = rate(model);
        line.spans.push(span(model, Tone::Plain, "  "));
        line.spans.extend(latency(model).spans);
        frame.render_widget(Paragraph::new(line), inner);
        return;
    }
    let [head, curve, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(2),
    ])
    .areas(inner);
    frame.render_widget(Paragraph::new(rate(model)), head);
    frame.render_widget(Paragraph::new(vec![latency(model), counts(model)]), foot);
    if model.seconds.is_empty() {
        let text = format!("({})", model.language.say(Word::Waiting));
        frame.render_widget(Paragraph::new(span(model, Tone::Dim, text)), curve);
        return;
    }
    let columns = usize::from(curve.width);
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

fn latency(model: &Model) -> Line<'static> {
    let text = model
        .leader()
        .and_then(|leader| leader.commit_latency)
        .filter(|latency| latency.count > 0)
        .map_or_else(
            || "?".to_owned(),
            |latency| {
                format!(
                    "p50 {} p99 {} max {}",
                    short(latency.p50_us),
                    short(latency.p99_us),
                    short(latency.max_us)
                )
            },
        );
    Line::from(vec![
        span(
            model,
            Tone::Dim,
            format!("{} ", model.language.say(Word::CommitLatency)),
        ),
        span(model, Tone::Plain, text),
    ])
}

fn short(us: u64) -> String {
    milliseconds(us).replace(' ', "")
}

fn counts(model: &Model) -> Line<'static> {
    let language = model.language;
    let Some(counters) = model.leader().and_then(|leader| leader.counters) else {
        return Line::from(span(model, Tone::Warning, "?"));
    };
    let text = [
        (Word::Accepted, counters.orders_accepted),
        (Word::Rejected, counters.orders_rejected),
        (Word::Trades, counters.trades),
        (Word::OpenOrders, counters.open_orders),
        (Word::Sessions, counters.sessions),
    ]
    .map(|(word, count)| format!("{} {}", language.say(word), grouped(count)))
    .join("  ");
    Line::from(span(model, Tone::Dim, text))
}

//! Draws the model. Pure: the same model gives the same screen.
//!
//! ```text
//!   60×16 small          80×24 standard              from 120×36 wide
//!   ┌ state ──────┐      ┌ state ───────────┐        ┌ state ─────────────────────┐
//!   │ centers     │      │ centers          │        │ centers                    │
//!   │ orders      │      │ links  │ orders  │        │ map    │ links             │
//!   │ failover    │      │ failover         │        │ orders, curve              │
//!   └ keys ───────┘      │ selected center  │        │ failover                   │
//!                        └ keys ────────────┘        │ selected │ changes         │
//!                                                    └ keys ──────────────────────┘
//! ```

mod centers;
mod details;
mod failover;
mod links;
mod orders;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};

use crate::language::{Word, clock, fit, grouped, pad, width};
use crate::model::{Model, Standing};

/// The smallest window, in columns and rows.
pub const SMALLEST: (u16, u16) = (60, 16);
const STANDARD: (u16, u16) = (80, 24);
const WIDE: (u16, u16) = (120, 36);

/// What a piece of text says, beside its words; a colour never says it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Plain,
    Title,
    Good,
    Warning,
    Bad,
    Dim,
}

fn style(model: &Model, tone: Tone) -> Style {
    let plain = Style::default();
    let coloured = |colour: Color| {
        if model.has_colour {
            plain.fg(colour)
        } else {
            plain
        }
    };
    match tone {
        Tone::Plain => plain,
        Tone::Title => plain.add_modifier(Modifier::BOLD),
        Tone::Good => coloured(Color::Green),
        Tone::Warning => coloured(Color::Yellow),
        Tone::Bad => coloured(Color::Red).add_modifier(Modifier::BOLD),
        Tone::Dim => coloured(Color::DarkGray).add_modifier(Modifier::DIM),
    }
}

fn span(model: &Model, tone: Tone, text: impl Into<String>) -> Span<'static> {
    Span::styled(text.into(), style(model, tone))
}

fn framed(model: &Model, title: &str) -> Block<'static> {
    Block::bordered()
        .border_style(style(model, Tone::Dim))
        .title(span(model, Tone::Title, format!(" {title} ")))
}

/// Draws the model on the whole frame.
pub fn view(model: &Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        return too_small(model, frame, area);
    }
    let centers_height = 3 + model.centers.len() as u16;
    if area.width >= WIDE.0 && area.height >= WIDE.1 {
        wide(model, frame, area, centers_height);
    } else if area.width >= STANDARD.0 && area.height >= STANDARD.1 {
        standard(model, frame, area, centers_height);
    } else {
        small(model, frame, area, centers_height);
    }
    if model.shows_help {
        help(model, frame, area);
    }
}

fn too_small(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let text = format!(
        "{} {}×{}",
        model.language.say(Word::TooSmall),
        SMALLEST.0,
        SMALLEST.1
    );
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
}

fn small(model: &Model, frame: &mut Frame<'_>, area: Rect, centers_height: u16) {
    let [head, centers, orders, failover, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(centers_height),
        Constraint::Length(3),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(header(model, head.width), head);
    centers::draw(model, frame, centers);
    orders::draw(model, frame, orders);
    failover::draw(model, frame, failover);
    frame.render_widget(footer(model), foot);
}

fn standard(model: &Model, frame: &mut Frame<'_>, area: Rect, centers_height: u16) {
    let [head, centers, middle, failover, details, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(centers_height),
        Constraint::Length(7),
        Constraint::Length(6),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    let [links, orders] =
        Layout::horizontal([Constraint::Length(36), Constraint::Fill(1)]).areas(middle);
    frame.render_widget(header(model, head.width), head);
    centers::draw(model, frame, centers);
    links::draw(model, frame, links);
    orders::draw(model, frame, orders);
    failover::draw(model, frame, failover);
    details::draw(model, frame, details);
    frame.render_widget(footer(model), foot);
}

fn wide(model: &Model, frame: &mut Frame<'_>, area: Rect, centers_height: u16) {
    let has_map = model.centers.len() == 3;
    let middle_height = if has_map { 12 } else { 8 };
    let [head, centers, middle, orders, failover, lower, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(centers_height),
        Constraint::Length(middle_height),
        Constraint::Fill(2),
        Constraint::Length(6),
        Constraint::Fill(2),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(header(model, head.width), head);
    centers::draw(model, frame, centers);
    if has_map {
        let [map, links] =
            Layout::horizontal([Constraint::Length(70), Constraint::Fill(1)]).areas(middle);
        links::draw_map(model, frame, map);
        links::draw(model, frame, links);
    } else {
        links::draw(model, frame, middle);
    }
    orders::draw(model, frame, orders);
    failover::draw(model, frame, failover);
    let [details, elections] =
        Layout::horizontal([Constraint::Percentage(50), Constraint::Fill(1)]).areas(lower);
    details::draw(model, frame, details);
    failover::draw_elections(model, frame, elections);
    frame.render_widget(footer(model), foot);
}

/// The whole state in one line.
fn header(model: &Model, columns: u16) -> Line<'static> {
    let language = model.language;
    let (tone, state) = match model.standing() {
        Standing::Serving { center, epoch, .. } => (
            Tone::Good,
            format!(
                "★ {} {}  {} {epoch}",
                language.say(Word::Serving),
                model.centers[center].name,
                language.say(Word::Epoch).to_lowercase(),
            ),
        ),
        Standing::Electing { epoch } => (
            Tone::Bad,
            format!(
                "! {}  {} {epoch}",
                language.say(if model.hears_quorum() {
                    Word::Electing
                } else {
                    Word::NoQuorum
                }),
                language.say(Word::Epoch).to_lowercase()
            ),
        ),
        Standing::Unknown => (Tone::Warning, format!("? {}", language.say(Word::Unknown))),
    };
    let (rpo_tone, rpo) = match model.is_rpo_zero() {
        Some(true) => (Tone::Good, Word::RpoZero),
        Some(false) => (Tone::Bad, Word::RpoAtRisk),
        None => (Tone::Warning, Word::RpoUnknown),
    };
    let lag = format!(
        "{} {}",
        language.say(Word::Lag).to_lowercase(),
        model
            .lag_entries_max()
            .map_or_else(|| "?".to_owned(), grouped)
    );
    let parts = [
        (Tone::Title, " Tricenter".to_owned()),
        (tone, format!("  {state}")),
        (rpo_tone, format!("   {}", language.say(rpo))),
        (Tone::Plain, format!("   {lag}")),
    ];
    let mut spans = whole(model, parts, usize::from(columns));
    let time = format!("{} UTC ", clock(model.now_us));
    let used: usize = spans.iter().map(Span::width).sum();
    let gap = usize::from(columns).saturating_sub(used + width(&time));
    if gap > 0 {
        spans.push(span(model, Tone::Plain, " ".repeat(gap)));
        spans.push(span(model, Tone::Dim, time));
    }
    Line::from(spans)
}

/// The first parts that fit as a whole: a number that is cut would be another number.
fn whole(
    model: &Model,
    parts: impl IntoIterator<Item = (Tone, String)>,
    columns: usize,
) -> Vec<Span<'static>> {
    let mut left = columns;
    parts
        .into_iter()
        .map_while(|(tone, text)| {
            left = left.checked_sub(width(&text))?;
            Some(span(model, tone, text))
        })
        .collect()
}

fn footer(model: &Model) -> Line<'static> {
    let language = model.language;
    let mut text = format!(
        " q {}   ? {}   Tab 1-{} {}",
        language.say(Word::KeysQuit),
        language.say(Word::KeysHelp),
        model.centers.len().min(9),
        language.say(Word::KeysCenter),
    );
    if model.dropped > 0 {
        text.push_str(&format!(
            "   ! {} {}",
            grouped(model.dropped),
            language.say(Word::Dropped)
        ));
    }
    Line::from(span(model, Tone::Dim, text))
}

fn help(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let language = model.language;
    let text = format!(
        "{}\n{}",
        language.say(Word::HelpKeys),
        language.say(Word::HelpSymbols)
    );
    let columns = text.lines().map(width).max().unwrap_or(0) as u16 + 4;
    let rows = text.lines().count() as u16 + 2;
    let [area] = Layout::vertical([Constraint::Length(rows.min(area.height))])
        .flex(ratatui::layout::Flex::Center)
        .areas(area);
    let [area] = Layout::horizontal([Constraint::Length(columns.min(area.width))])
        .flex(ratatui::layout::Flex::Center)
        .areas(area);
    // One column more on either side, or half of a wide character beneath would hide the frame.
    let cleared = area.outer(ratatui::layout::Margin::new(1, 0));
    frame.render_widget(Clear, cleared.intersection(frame.area()));
    let block =
        framed(model, language.say(Word::Help)).padding(ratatui::widgets::Padding::horizontal(1));
    frame.render_widget(Paragraph::new(text).block(block), area);
}

/// Columns of one row, each padded to its width, with a space between.
fn row(model: &Model, cells: &[(Tone, String, usize)]) -> Line<'static> {
    let spans = cells.iter().flat_map(|(tone, text, columns)| {
        [
            span(model, *tone, pad(text, *columns)),
            span(model, Tone::Plain, " "),
        ]
    });
    Line::from(spans.collect::<Vec<_>>())
}

/// Lines cut to what a box of this area can hold, in a frame.
fn boxed(model: &Model, frame: &mut Frame<'_>, area: Rect, title: &str, lines: Vec<Line<'static>>) {
    let block = framed(
        model,
        &fit(title, usize::from(area.width.saturating_sub(6))),
    );
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

#[cfg(test)]
mod tests;

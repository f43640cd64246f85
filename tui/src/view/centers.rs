//! The table of centers.

use protocol::admin::{ReplicaStatus, Role};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::{Tone, boxed, row, span};
use crate::language::{Word, age, bytes, clock, grouped, milliseconds};
use crate::model::{Center, Freshness, Model, POLL_FRESH_US, REPLICA_FRESH_US};

/// A column: its title, its width, and how its cell is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Name,
    Site,
    Replica,
    Role,
    Epoch,
    Applied,
    Lag,
    RoundTrip,
    Journal,
    Version,
    Heard,
    Kubernetes,
}

const SMALL: &[Column] = &[
    Column::Name,
    Column::Role,
    Column::Epoch,
    Column::Lag,
    Column::Heard,
    Column::Kubernetes,
];
const STANDARD: &[Column] = &[
    Column::Name,
    Column::Site,
    Column::Role,
    Column::Epoch,
    Column::Applied,
    Column::Lag,
    Column::Heard,
    Column::Kubernetes,
];
const WIDE: &[Column] = &[
    Column::Name,
    Column::Site,
    Column::Replica,
    Column::Role,
    Column::Epoch,
    Column::Applied,
    Column::Lag,
    Column::RoundTrip,
    Column::Journal,
    Column::Version,
    Column::Heard,
    Column::Kubernetes,
];

impl Column {
    const fn title(self) -> Word {
        match self {
            Self::Name => Word::Center,
            Self::Site => Word::Site,
            Self::Replica => Word::Replica,
            Self::Role => Word::Role,
            Self::Epoch => Word::Epoch,
            Self::Applied => Word::Applied,
            Self::Lag => Word::Lag,
            Self::RoundTrip => Word::Measured,
            Self::Journal => Word::Journal,
            Self::Version => Word::Version,
            Self::Heard => Word::Voice,
            Self::Kubernetes => Word::Kubernetes,
        }
    }

    const fn columns(self) -> usize {
        match self {
            Self::Name => 8,
            Self::Site => 4,
            Self::Replica | Self::Lag => 7,
            Self::Role => 12,
            Self::Epoch => 5,
            Self::Applied | Self::Version => 10,
            Self::RoundTrip => 10,
            Self::Journal => 9,
            Self::Heard => 11,
            Self::Kubernetes => 60,
        }
    }
}

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let inner = usize::from(area.width.saturating_sub(2));
    let columns = match inner {
        0..78 => SMALL,
        78..118 => STANDARD,
        _ => WIDE,
    };
    let language = model.language;
    let fixed: usize = columns
        .iter()
        .filter(|column| **column != Column::Kubernetes)
        .map(|column| column.columns() + 1)
        .sum();
    let columns_of = |column: Column| match column {
        Column::Kubernetes => column.columns().min(inner.saturating_sub(fixed)),
        other => other.columns(),
    };
    let titles: Vec<_> = columns
        .iter()
        .map(|column| {
            // The selection's mark stands before the name.
            let mark = if *column == Column::Name { "  " } else { "" };
            let title = format!("{mark}{}", language.say(column.title()).to_uppercase());
            (Tone::Dim, title, columns_of(*column))
        })
        .collect();
    let mut lines = vec![row(model, &titles)];
    for place in 0..model.centers.len() {
        let cells: Vec<_> = columns
            .iter()
            .map(|column| {
                let (tone, text) = cell(model, place, *column, columns_of(*column));
                (tone, text, columns_of(*column))
            })
            .collect();
        lines.push(row(model, &cells));
    }
    if model.centers.is_empty() {
        lines.push(Line::from(span(model, Tone::Dim, "?")));
    }
    boxed(model, frame, area, language.say(Word::Centers), lines);
}

fn cell(model: &Model, place: usize, column: Column, columns: usize) -> (Tone, String) {
    let center = &model.centers[place];
    let unknown = || (Tone::Warning, "?".to_owned());
    match column {
        Column::Name if model.selected == place => (Tone::Title, format!("› {}", center.name)),
        Column::Name => (Tone::Plain, format!("  {}", center.name)),
        Column::Site => center
            .site
            .clone()
            .map_or_else(unknown, |site| (Tone::Plain, site)),
        Column::Lag => model
            .lag_entries(place)
            .map_or_else(unknown, |lag| (Tone::Plain, grouped(lag))),
        Column::RoundTrip => model
            .progress(place)
            .filter(|progress| progress.recently_active && progress.round_trip_us > 0)
            .map_or_else(
                || (Tone::Dim, "-".to_owned()),
                |progress| (Tone::Plain, milliseconds(progress.round_trip_us)),
            ),
        Column::Heard => heard(model, center),
        Column::Kubernetes => kubernetes(model, center, columns),
        Column::Role => figure(model, center, |status| role(model, status)),
        Column::Replica => figure(model, center, |it| (Tone::Plain, it.replica.to_string())),
        Column::Epoch => figure(model, center, |it| (Tone::Plain, it.epoch.to_string())),
        Column::Applied => figure(model, center, |it| (Tone::Plain, grouped(it.applied_index))),
        Column::Journal => figure(model, center, |it| (Tone::Plain, bytes(it.journal_bytes))),
        Column::Version => figure(model, center, |it| (Tone::Plain, it.version.clone())),
    }
}

/// A figure of the replica: as it is while live, marked and dim when stale, `?` when never heard.
fn figure(
    model: &Model,
    center: &Center,
    tell: impl Fn(&ReplicaStatus) -> (Tone, String),
) -> (Tone, String) {
    let Some(status) = center.replica.any() else {
        return (Tone::Warning, "?".to_owned());
    };
    let (tone, text) = tell(status);
    match center.replica.freshness(model.now_us, REPLICA_FRESH_US) {
        Freshness::Live => (tone, text),
        Freshness::Stale { .. } | Freshness::Never => {
            let bare = text.trim_start_matches(['★', '●', '◌', '!', '?', ' ']);
            (Tone::Dim, format!("~{bare}"))
        }
    }
}

pub(super) fn role(model: &Model, status: &ReplicaStatus) -> (Tone, String) {
    let language = model.language;
    let (tone, symbol, word) = match status.role() {
        Role::Leader if status.serving => (Tone::Good, '★', Word::Leader),
        Role::Leader => (Tone::Warning, '!', Word::Leader),
        Role::Follower => (Tone::Plain, '●', Word::Follower),
        Role::Candidate => (Tone::Warning, '◌', Word::Candidate),
        Role::PreCandidate => (Tone::Warning, '◌', Word::PreCandidate),
        Role::Unspecified => return (Tone::Warning, "?".to_owned()),
    };
    (tone, format!("{symbol} {}", language.say(word)))
}

pub(super) fn heard(model: &Model, center: &Center) -> (Tone, String) {
    let language = model.language;
    match center.replica.freshness(model.now_us, REPLICA_FRESH_US) {
        Freshness::Live => (Tone::Good, format!("✓ {}", language.say(Word::Live))),
        _ if center.is_powered_off => (Tone::Bad, format!("× {}", language.say(Word::PoweredOff))),
        Freshness::Stale { age_us } => (
            Tone::Bad,
            format!("~ {} {}", age(age_us), language.say(Word::Ago)),
        ),
        Freshness::Never => (Tone::Warning, format!("? {}", language.say(Word::Never))),
    }
}

fn kubernetes(model: &Model, center: &Center, columns: usize) -> (Tone, String) {
    let language = model.language;
    if !center.has_cluster {
        return (Tone::Dim, format!("- {}", language.say(Word::NoCluster)));
    }
    if let Some((reason, since_us)) = &center.cluster.trouble {
        let since = clock(*since_us);
        let text = if columns >= 40 {
            format!("× {} {since}: {reason}", language.say(Word::Unreachable))
        } else {
            format!("× {} {since}", language.say(Word::Since))
        };
        return (Tone::Bad, text);
    }
    let object = match center.cluster.fresh(model.now_us, POLL_FRESH_US) {
        None if center.cluster.last.is_none() => return (Tone::Warning, "?".to_owned()),
        None => return (Tone::Warning, "~ ?".to_owned()),
        Some(None) => return (Tone::Warning, format!("! {}", language.say(Word::NoObject))),
        Some(Some(object)) => object,
    };
    let ready = object
        .conditions
        .iter()
        .find(|condition| condition.name == "Ready");
    match ready.and_then(|condition| condition.holds) {
        Some(true) => (Tone::Good, format!("✓ {}", language.say(Word::Ready))),
        Some(false) => {
            let reason = ready.map_or("", |condition| condition.reason.as_str());
            let text = format!("! {} {reason}", language.say(Word::NotReady));
            (Tone::Bad, text.trim_end().to_owned())
        }
        None => (
            Tone::Warning,
            format!("? {}", language.say(Word::ReadinessUnknown)),
        ),
    }
}

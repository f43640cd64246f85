//! Screens as they are drawn.

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::view;
use crate::language::{Language, width};
use crate::model::Model;
use crate::scenes;
use crate::update::{Key, Message, update};

/// The rows as a terminal shows them; each must fill exactly the screen's columns.
fn rows_of(terminal: &Terminal<TestBackend>) -> String {
    let buffer = terminal.backend().buffer();
    let columns = usize::from(buffer.area.width);
    let mut text = String::new();
    for cells in buffer.content.chunks(columns) {
        let mut row = String::new();
        let mut place = 0;
        while let Some(cell) = cells.get(place) {
            row.push_str(cell.symbol());
            // The cell behind a wide character is hidden by it.
            place += width(cell.symbol()).max(1);
        }
        assert_eq!(width(&row), columns, "{row}");
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

fn screen(model: &Model, columns: u16, rows: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| view(model, frame)).unwrap();
    terminal
}

#[test]
fn screens_in_both_languages_and_sizes() {
    for (language, name) in [(Language::English, "en"), (Language::Chinese, "zh")] {
        for (scene, model) in [
            ("healthy", scenes::healthy(language)),
            ("electing", scenes::electing(language)),
            ("dark", scenes::dark(language)),
            ("blind", scenes::blind(language)),
            ("no_data", scenes::no_data(language)),
        ] {
            for (columns, rows) in [(80, 24), (200, 60)] {
                let terminal = screen(&model, columns, rows);
                insta::assert_snapshot!(
                    format!("{scene}_{name}_{columns}x{rows}"),
                    rows_of(&terminal)
                );
            }
        }
    }
}

#[test]
fn the_smallest_screen_still_tells_the_state() {
    let terminal = screen(&scenes::dark(Language::English), 60, 16);
    insta::assert_snapshot!("dark_en_60x16", rows_of(&terminal));
}

#[test]
fn the_help_covers_the_screen() {
    for (language, name) in [(Language::English, "en"), (Language::Chinese, "zh")] {
        let mut model = scenes::healthy(language);
        update(&mut model, Message::Key(Key::Help));
        let terminal = screen(&model, 80, 24);
        insta::assert_snapshot!(format!("help_{name}"), rows_of(&terminal));
    }
}

#[test]
fn a_window_too_small_says_what_it_needs() {
    let text = rows_of(&screen(&scenes::healthy(Language::English), 40, 10));
    assert!(text.contains("window too small: need 60×16"), "{text}");
}

#[test]
fn no_size_of_window_breaks_the_screen() {
    for language in [Language::English, Language::Chinese] {
        let mut model = scenes::dark(language);
        model.shows_help = true;
        for columns in (1..=210).step_by(7) {
            for rows in (1..=64).step_by(3) {
                rows_of(&screen(&model, columns, rows));
            }
        }
    }
}

#[test]
fn without_colours_nothing_is_coloured_and_with_them_something_is() {
    use ratatui::style::Color;
    let mut model = scenes::dark(Language::English);
    let coloured = |model: &Model| {
        let terminal = screen(model, 80, 24);
        let cells = &terminal.backend().buffer().content;
        cells.iter().any(|cell| cell.fg != Color::Reset)
    };
    assert!(!coloured(&model));
    model.has_colour = true;
    assert!(coloured(&model));
}

#[test]
fn with_every_api_server_dead_the_leader_is_shown_and_kubernetes_is_not_ready() {
    let text = rows_of(&screen(&scenes::blind(Language::English), 80, 24));
    assert!(text.contains("★ serving a1"), "{text}");
    assert!(!text.contains("✓ Ready"), "{text}");
}

#[test]
fn a_lone_replica_is_not_told_as_a_failover() {
    let mut model = scenes::electing(Language::English);
    assert!(rows_of(&screen(&model, 80, 24)).contains("! FAILOVER IN PROGRESS"));
    let at_us = model.now_us;
    let reason = "refused".to_owned();
    scenes::send(
        &mut model,
        Message::ReplicaLost {
            center: 2,
            at_us,
            reason,
        },
    );
    assert!(rows_of(&screen(&model, 80, 24)).contains("! NO LEADER, NO QUORUM HEARD"));
}

#[test]
fn a_planned_move_under_way_is_told_with_its_step_and_who_runs_it() {
    use protocol::admin::{Operation, OperationStep, Operations};
    for (language, words) in [
        (
            Language::English,
            "! planned move trading/to-a2 · operator/a1 · Checked",
        ),
        (
            Language::Chinese,
            "! 计划切换 trading/to-a2 · operator/a1 · Checked",
        ),
    ] {
        let mut model = scenes::healthy(language);
        let mut status = scenes::leader(0, 3, 0);
        status.operations = Some(Operations {
            running: Some(Operation {
                name: "trading/to-a2".to_owned(),
                holder: "operator/a1".to_owned(),
                began_at_us: status.now_us,
                steps: vec![OperationStep {
                    name: "Checked".to_owned(),
                    ..OperationStep::default()
                }],
                ..Operation::default()
            }),
            ..Operations::default()
        });
        let now_us = model.now_us;
        scenes::see(&mut model, 0, now_us, status);
        let rows = rows_of(&screen(&model, 200, 60));
        assert!(rows.contains(words), "{rows}");
        let summary = crate::status::Summary::of(&model);
        assert_eq!(summary.operation.as_deref(), Some("trading/to-a2"));
    }
}

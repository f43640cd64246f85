//! The shell of the screen: takes the terminal, feeds messages to the model, draws, gives the
//! terminal back however it ends.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use futures::StreamExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;

use crate::model::Model;
use crate::update::{Effect, Key, Message, update};
use crate::view::view;
use crate::watch::{Watchers, now_us};

/// Four frames a second, and one at once on each key.
const FRAME: Duration = Duration::from_millis(250);
/// Messages taken before a frame is drawn, so that a flood cannot hold up the screen.
const MESSAGES_A_FRAME_MAX: usize = 256;

/// Shows the model until the user leaves or the process is told to end.
///
/// # Errors
/// When there is no terminal, or it cannot be read or written.
pub async fn show(mut model: Model, mut watchers: Watchers) -> anyhow::Result<()> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        bail!(
            "failed to open the screen: standard input and output must be a terminal; use \
             `tricenter status` in pipes and scripts"
        );
    }
    // Makes a panic give the terminal back before it is told.
    let mut screen = ratatui::try_init().context("failed to take the terminal")?;
    let shown = run(&mut screen, &mut model, &mut watchers).await;
    ratatui::restore();
    shown
}

async fn run(
    screen: &mut ratatui::DefaultTerminal,
    model: &mut Model,
    watchers: &mut Watchers,
) -> anyhow::Result<()> {
    let mut events = EventStream::new();
    let mut frames = tokio::time::interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut terminate = signal(SignalKind::terminate()).context("failed to await SIGTERM")?;
    let mut hang_up = signal(SignalKind::hangup()).context("failed to await SIGHUP")?;
    loop {
        let mut is_due = false;
        let message = tokio::select! {
            event = events.next() => match event {
                None => return Ok(()),
                Some(Err(error)) => return Err(error).context("failed to read the keyboard"),
                Some(Ok(event)) => {
                    is_due = true;
                    read(&event).map(Message::Key)
                }
            },
            _ = frames.tick() => {
                is_due = true;
                Some(Message::Tick { now_us: now_us(), dropped: watchers.dropped() })
            }
            message = watchers.next() => message,
            _ = terminate.recv() => return Ok(()),
            _ = hang_up.recv() => return Ok(()),
        };
        let mut effects = message.map_or_else(Vec::new, |message| update(model, message));
        for _ in 0..MESSAGES_A_FRAME_MAX {
            let Some(message) = watchers.take() else {
                break;
            };
            effects.extend(update(model, message));
        }
        for effect in effects {
            match effect {
                Effect::Quit => return Ok(()),
                Effect::WatchReplica { center, address } => {
                    watchers.watch_replica(center, address);
                }
            }
        }
        if is_due {
            screen
                .draw(|frame| view(model, frame))
                .context("failed to draw on the terminal")?;
        }
    }
}

/// What a terminal's event means, if anything. A resize means nothing but that a frame is due.
fn read(event: &Event) -> Option<Key> {
    let Event::Key(KeyEvent {
        code,
        modifiers,
        kind: KeyEventKind::Press | KeyEventKind::Repeat,
        ..
    }) = event
    else {
        return None;
    };
    match code {
        KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => Some(Key::Quit),
        KeyCode::Char('q' | 'Q') => Some(Key::Quit),
        KeyCode::Char('?') => Some(Key::Help),
        KeyCode::Esc => Some(Key::Back),
        KeyCode::Tab | KeyCode::Down | KeyCode::Right => Some(Key::Next),
        KeyCode::BackTab | KeyCode::Up | KeyCode::Left => Some(Key::Previous),
        KeyCode::Char(digit @ '1'..='9') => {
            let number = digit.to_digit(10)? as usize;
            Some(Key::Select(number - 1))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_the_help_says() {
        let press = |code, modifiers| read(&Event::Key(KeyEvent::new(code, modifiers)));
        let none = KeyModifiers::NONE;
        for (code, modifiers, meaning) in [
            (KeyCode::Char('q'), none, Some(Key::Quit)),
            (KeyCode::Char('c'), KeyModifiers::CONTROL, Some(Key::Quit)),
            (KeyCode::Char('c'), none, None),
            (KeyCode::Char('?'), none, Some(Key::Help)),
            (KeyCode::Esc, none, Some(Key::Back)),
            (KeyCode::Tab, none, Some(Key::Next)),
            (KeyCode::BackTab, KeyModifiers::SHIFT, Some(Key::Previous)),
            (KeyCode::Char('3'), none, Some(Key::Select(2))),
            (KeyCode::Char('0'), none, None),
        ] {
            assert_eq!(press(code, modifiers), meaning, "{code:?}");
        }
        assert_eq!(read(&Event::Resize(80, 24)), None);
    }
}

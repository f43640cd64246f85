//! What a long run says while it works.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// One thing that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A step begins.
    Started {
        /// What is being made.
        step: &'a str,
        /// Which of `of` this is, from 1.
        number: usize,
        /// How many steps there are.
        of: usize,
        /// How long all the rest took on an earlier run, this step included; none if unknown.
        left: Option<Duration>,
    },
    /// The step that began last is done.
    Finished {
        /// What was made.
        step: &'a str,
        /// Which of `of` this was.
        number: usize,
        /// How many steps there are.
        of: usize,
        /// How long it took.
        took: Duration,
    },
}

/// Takes note of what happens. Must not block for long.
pub trait Progress: Send + Sync {
    /// Called at each event, in order.
    fn report(&self, event: Event<'_>);
}

/// Says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn report(&self, _event: Event<'_>) {}
}

/// One line a step on standard error; on a terminal the running step's line counts its seconds.
#[derive(Default)]
pub struct Lines(Mutex<Option<Ticker>>);

impl Lines {
    /// Ready to report.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Progress for Lines {
    fn report(&self, event: Event<'_>) {
        let mut ticker = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Ends the running line first, so that two never mix.
        *ticker = None;
        match event {
            Event::Started {
                step,
                number,
                of,
                left,
            } => {
                if io::stderr().is_terminal() {
                    *ticker = Ticker::start(step, number, of, left);
                } else {
                    print(&running_line(step, number, of, Duration::ZERO, left), "\n");
                }
            }
            Event::Finished {
                step,
                number,
                of,
                took,
            } => {
                let clear = if io::stderr().is_terminal() {
                    "\r\x1b[K"
                } else {
                    ""
                };
                let line = format!("{}{}", place(step, number, of), span(took));
                print(&format!("{clear}{line}"), "\n");
            }
        }
    }
}

/// Rewrites the running step's line each second until dropped.
struct Ticker {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(step: &str, number: usize, of: usize, left: Option<Duration>) -> Option<Self> {
        let step = step.to_owned();
        let (stop, stopped) = sync_channel::<()>(0);
        let start = Instant::now();
        let tick = move || {
            loop {
                let line = running_line(&step, number, of, start.elapsed(), left);
                print(&format!("\r\x1b[K{line}"), "");
                let waited = stopped.recv_timeout(Duration::from_secs(1));
                if waited != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        // Without the thread the line is not shown, and the work goes on.
        let thread = thread::Builder::new()
            .name("progress".to_owned())
            .spawn(tick)
            .ok()?;
        Some(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
            print("\r\x1b[K", "");
        }
    }
}

fn print(line: &str, end: &str) {
    // Nobody may be reading any more; that is no reason to stop the work.
    let mut errors = io::stderr().lock();
    let _ = write!(errors, "{line}{end}");
    let _ = errors.flush();
}

fn place(step: &str, number: usize, of: usize) -> String {
    format!("[{number:>2}/{of}] {step:<24} ")
}

fn running_line(
    step: &str,
    number: usize,
    of: usize,
    elapsed: Duration,
    left: Option<Duration>,
) -> String {
    let mut line = place(step, number, of);
    if elapsed.as_secs() > 0 {
        let _ = write!(line, "{}, ", span(elapsed));
    }
    match left.map(|left| left.saturating_sub(elapsed)) {
        None => line.push_str("working; time left is not known yet"),
        Some(left) if left.is_zero() => line.push_str("working; longer than the last time"),
        Some(left) => {
            let _ = write!(line, "working; about {} left in all", span(left));
        }
    }
    line
}

/// A duration as people say it.
fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 10 {
        format!("{}.{} s", seconds, duration.subsec_millis() / 100)
    } else if seconds < 60 {
        format!("{seconds} s")
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        assert_eq!(span(Duration::from_millis(3_450)), "3.4 s");
        assert_eq!(span(Duration::from_secs(59)), "59 s");
        assert_eq!(span(Duration::from_secs(245)), "4 min 05 s");
    }

    #[test]
    fn an_unknown_time_left_is_said_to_be_unknown() {
        let line = running_line("etcd", 3, 12, Duration::from_secs(12), None);
        assert_eq!(
            line,
            "[ 3/12] etcd                     12 s, working; time left is not known yet"
        );
    }

    #[test]
    fn the_time_left_shrinks_and_never_goes_below_nothing() {
        let left = Some(Duration::from_secs(60));
        let at = |seconds| running_line("etcd", 1, 2, Duration::from_secs(seconds), left);
        assert!(at(15).ends_with("about 45 s left in all"));
        assert!(at(90).ends_with("longer than the last time"));
    }
}

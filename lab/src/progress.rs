//! What a long command says while it works: one line a step, with its place, its result and how
//! long it took; on a terminal the running step's line is alive.
//!
//! ```text
//!   [ 3/11] wide area network          0.4 s  tri-wan, 3 legs
//!   [ 4/11] centers                     12 s  a1: waiting for the API server …
//! ```

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the living line is rewritten.
const REFRESH: Duration = Duration::from_millis(200);
/// What still fits beside the place and the time on a narrow terminal.
const DETAIL_CHARACTERS_MAX: usize = 90;

/// How much is said, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// The running step's line is rewritten in place.
    Live,
    /// Finished lines only, for logs.
    Plain,
    /// Nothing but failures, which the caller reports.
    Quiet,
}

impl Style {
    /// Live on a terminal, plain otherwise, silent if asked.
    #[must_use]
    pub fn choose(quiet: bool) -> Self {
        if quiet {
            Self::Quiet
        } else if io::stderr().is_terminal() {
            Self::Live
        } else {
            Self::Plain
        }
    }
}

/// The steps of one command. Cheap to clone.
#[derive(Clone)]
pub struct Progress {
    shared: Arc<Mutex<Shared>>,
    style: Style,
}

struct Shared {
    number: usize,
    of: usize,
    out: Box<dyn Write + Send>,
}

impl Progress {
    /// For a command of `of` steps, on standard error.
    #[must_use]
    pub fn new(style: Style, of: usize) -> Self {
        Self::on(style, of, Box::new(io::stderr()))
    }

    fn on(style: Style, of: usize, out: Box<dyn Write + Send>) -> Self {
        Self {
            shared: Arc::new(Mutex::new(Shared { number: 0, of, out })),
            style,
        }
    }

    /// Adds steps that were not known at the beginning.
    pub fn expect_more(&self, steps: usize) {
        lock(&self.shared).of += steps;
    }

    /// Begins the next step.
    #[must_use]
    pub fn begin(&self, title: &str) -> Step {
        let place = {
            let mut shared = lock(&self.shared);
            shared.number += 1;
            format!(
                "[{:>2}/{}] {title:<26}",
                shared.number,
                shared.of.max(shared.number)
            )
        };
        let mut step = Step {
            progress: self.clone(),
            place,
            started: Instant::now(),
            detail: Arc::default(),
            ticker: None,
            ended: false,
        };
        if self.style == Style::Live {
            step.ticker = Ticker::start(&step);
        }
        step
    }

    /// Says something beside the steps.
    pub fn say(&self, text: &str) {
        if self.style != Style::Quiet {
            self.write(&format!("{}{text}\n", self.clear()));
        }
    }

    fn clear(&self) -> &'static str {
        if self.style == Style::Live {
            "\r\x1b[K"
        } else {
            ""
        }
    }

    fn write(&self, text: &str) {
        let mut shared = lock(&self.shared);
        // Nobody may be reading any more; that is no reason to stop the work.
        let _ = shared
            .out
            .write_all(text.as_bytes())
            .and_then(|()| shared.out.flush());
    }
}

/// One step; ends when finished or dropped.
pub struct Step {
    progress: Progress,
    place: String,
    started: Instant,
    detail: Arc<Mutex<Texts>>,
    ticker: Option<Ticker>,
    ended: bool,
}

/// What a step does now, by who does it; work that is done by one alone has no name.
type Texts = BTreeMap<&'static str, String>;

fn join(texts: &Texts) -> String {
    let one = |(who, text): (&&str, &String)| match *who {
        "" => text.clone(),
        who => format!("{who}: {text}"),
    };
    texts.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Lets work elsewhere say what a step does now. Cheap to clone. The default one is seen by nobody.
#[derive(Clone, Default)]
pub struct Detail {
    texts: Arc<Mutex<Texts>>,
    who: &'static str,
}

impl Detail {
    /// What is done at this moment.
    pub fn set(&self, text: impl Into<String>) {
        lock(&self.texts).insert(self.who, text.into());
    }
}

impl Step {
    /// A handle that says what the step does now.
    #[must_use]
    pub fn detail(&self) -> Detail {
        self.detail_of("")
    }

    /// The same for one of several who work on the step at the same time.
    #[must_use]
    pub fn detail_of(&self, who: &'static str) -> Detail {
        Detail {
            texts: self.detail.clone(),
            who,
        }
    }

    /// How long it has taken up to now.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The step succeeded; `result` says what came of it.
    pub fn finish(mut self, result: &str) {
        self.end(result);
    }

    fn end(&mut self, result: &str) {
        self.ended = true;
        self.ticker = None; // Ends the living line first, so that two never mix.
        if self.progress.style != Style::Quiet {
            let (clear, took) = (self.progress.clear(), span(self.started.elapsed()));
            let line = format!("{clear}{} {took:>9}  {result}", self.place);
            self.progress.write(&format!("{}\n", line.trim_end()));
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.ended {
            let detail = join(&lock(&self.detail));
            self.end(&format!("not finished {detail}"));
        }
    }
}

/// Rewrites the running step's line until dropped.
struct Ticker {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(step: &Step) -> Option<Self> {
        let (progress, detail) = (step.progress.clone(), step.detail.clone());
        let (place, started) = (step.place.clone(), step.started);
        let (stop, stopped) = sync_channel::<()>(0);
        let tick = move || {
            loop {
                let text: String = join(&lock(&detail))
                    .chars()
                    .take(DETAIL_CHARACTERS_MAX)
                    .collect();
                let took = span(started.elapsed());
                progress.write(&format!("\r\x1b[K{place} {took:>9}  {text}"));
                if stopped.recv_timeout(REFRESH) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        // Without the thread the line is not alive, and the work goes on.
        let thread = std::thread::Builder::new()
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
            // It ends with its channel and has no result.
            let _ = thread.join();
        }
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A duration as people say it.
#[must_use]
pub fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 10 {
        format!("{seconds}.{} s", duration.subsec_millis() / 100)
    } else if seconds < 60 {
        format!("{seconds} s")
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Screen(Arc<Mutex<Vec<u8>>>);

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            lock(&self.0).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn shown(style: Style, work: impl FnOnce(&Progress)) -> String {
        let screen = Screen::default();
        work(&Progress::on(style, 2, Box::new(screen.clone())));
        String::from_utf8(lock(&screen.0).clone()).unwrap()
    }

    #[test]
    fn a_plain_step_is_one_line_with_its_place_and_result() {
        let text = shown(Style::Plain, |progress| {
            progress.begin("bridge").finish("tri-wan");
            progress.begin("legs").finish("");
        });
        assert_eq!(
            text,
            "[ 1/2] bridge                         0.0 s  tri-wan\n\
             [ 2/2] legs                           0.0 s\n"
        );
    }

    #[test]
    fn a_step_that_is_dropped_says_where_it_was() {
        let text = shown(Style::Plain, |progress| {
            let step = progress.begin("centers");
            step.detail().set("(a1: etcd)");
        });
        assert!(
            text.trim_end().ends_with("not finished (a1: etcd)"),
            "{text}"
        );
    }

    #[test]
    fn the_living_line_is_wiped_before_the_finished_one() {
        let text = shown(Style::Live, |progress| {
            progress.begin("bridge").finish("done")
        });
        let last = text.rsplit("\r\x1b[K").next().unwrap();
        assert!(
            last.starts_with("[ 1/2] bridge") && last.ends_with("done\n"),
            "{text:?}"
        );
    }

    #[test]
    fn quiet_says_nothing() {
        assert_eq!(
            shown(Style::Quiet, |progress| progress.begin("x").finish("y")),
            ""
        );
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(span(Duration::from_millis(3_450)), "3.4 s");
        assert_eq!(span(Duration::from_secs(125)), "2 min 05 s");
    }
}

//! When commits stop waiting for another site, and when they do so again.
//!
//! ```text
//!              another site silent for degrade_after          a majority has the record
//!   Waiting ───────────────────────────────────► Degrading ───────────────────────────► Released
//!      ▲   Recover is committed, on two sites                                              │
//!      └────────────────────────── Recovering ◄────────────────────────────────────────────┘
//!                                              another site is in step for a while
//! ```
//!
//! The leader decides; both steps are records of the log. Commits still wait for two sites until the
//! record of the degradation is on a majority: so no order is answered on the strength of one site
//! before the log says so. Commits wait again from the moment that `Recover` is proposed: so that
//! record is on two sites, and all before it.

use types::{LogIndex, UnixMicros};

/// How long another site must have been in step before commits wait for it again, in milliseconds:
/// long enough that a link that comes and goes does not make the policy come and go.
const STEADY_MS: u64 = 1_000;

/// What the leader sees of the other sites' best voter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OtherSite {
    /// The last entry that it has confirmed.
    pub confirmed: LogIndex,
    /// When it was heard.
    pub heard_at: UnixMicros,
    /// It has, or is about to have, what the leader has.
    pub in_step: bool,
}

/// What is to be put in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Degrade { confirmed: LogIndex, waited_ms: u32 },
    Recover,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Degrading(LogIndex),
    Released,
    Recovering,
}

/// The leader's watch over the other sites, for one epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SiteWatch {
    stage: Stage,
    /// The last entry when it was looked at last, and when that was.
    mark: (LogIndex, UnixMicros),
    /// All that had been proposed by then is confirmed by another site.
    safe_until: UnixMicros,
    steady_since: Option<UnixMicros>,
}

impl SiteWatch {
    /// Begins with the epoch; the silence before it is not counted.
    pub(crate) fn new(degraded: bool, last: LogIndex, now: UnixMicros) -> Self {
        Self {
            stage: if degraded {
                Stage::Released
            } else {
                Stage::Waiting
            },
            mark: (last, now),
            safe_until: now,
            steady_since: None,
        }
    }

    /// Looks; says what is to be put in the log.
    pub(crate) fn look(
        &mut self,
        other: OtherSite,
        last: LogIndex,
        degrade_after_ms: u32,
        now: UnixMicros,
    ) -> Option<Verdict> {
        if other.confirmed >= self.mark.0 {
            // Heard as well: an idle log has nothing to confirm, and a dead site confirms nothing.
            let safe = self.mark.1.min(other.heard_at);
            self.safe_until = self.safe_until.max(safe);
            self.mark = (last, now);
        }
        if !other.in_step {
            self.steady_since = None;
        } else if self.steady_since.is_none() {
            self.steady_since = Some(now);
        }
        let waited_ms = now.0.saturating_sub(self.safe_until.0) / 1_000;
        let steady = self.steady_since.is_some_and(|since| {
            now.0.saturating_sub(since.0) / 1_000 >= STEADY_MS.max(u64::from(degrade_after_ms) / 2)
        });
        match self.stage {
            Stage::Waiting | Stage::Recovering if waited_ms > u64::from(degrade_after_ms) => {
                Some(Verdict::Degrade {
                    confirmed: other.confirmed,
                    waited_ms: u32::try_from(waited_ms).unwrap_or(u32::MAX),
                })
            }
            Stage::Released if steady => Some(Verdict::Recover),
            _ => None,
        }
    }

    /// The record of a verdict was put in the log as this entry.
    pub(crate) fn proposed(&mut self, verdict: Verdict, record: LogIndex, now: UnixMicros) {
        match verdict {
            Verdict::Degrade { .. } => self.stage = Stage::Degrading(record),
            Verdict::Recover => {
                self.stage = Stage::Recovering;
                self.mark = (record, now);
                self.safe_until = now;
            }
        }
    }

    /// A majority has all up to this entry on disk.
    pub(crate) fn majority_has(&mut self, index: LogIndex) {
        if let Stage::Degrading(record) = self.stage
            && index >= record
        {
            self.stage = Stage::Released;
            self.steady_since = None;
        }
    }

    /// A record of protection or policy was applied.
    pub(crate) fn applied(&mut self, degraded: bool) {
        self.stage = match (self.stage, degraded) {
            (Stage::Recovering, true) => Stage::Recovering,
            (Stage::Degrading(record), false) => Stage::Degrading(record),
            (_, true) => Stage::Released,
            (_, false) => Stage::Waiting,
        };
    }

    /// Whether commits wait for two sites.
    pub(crate) fn waits(&self) -> bool {
        self.stage != Stage::Released
    }

    /// The record whose majority is waited for.
    pub(crate) fn degrading(&self) -> Option<LogIndex> {
        match self.stage {
            Stage::Degrading(record) => Some(record),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER_MS: u32 = 500;

    fn at(ms: u64) -> UnixMicros {
        UnixMicros(ms * 1_000)
    }

    fn other(confirmed: u64, heard_ms: u64, in_step: bool) -> OtherSite {
        OtherSite {
            confirmed: LogIndex(confirmed),
            heard_at: at(heard_ms),
            in_step,
        }
    }

    #[test]
    fn a_site_that_lags_but_confirms_is_waited_for() {
        let mut watch = SiteWatch::new(false, LogIndex(10), at(0));
        for ms in (0..5_000).step_by(10) {
            // A hundred entries behind all the time.
            let seen = other(ms, ms, true);
            assert_eq!(watch.look(seen, LogIndex(ms + 100), AFTER_MS, at(ms)), None);
        }
        assert!(watch.waits());
    }

    #[test]
    fn a_silent_site_degrades_after_the_time_and_not_before() {
        let mut watch = SiteWatch::new(false, LogIndex(10), at(0));
        assert_eq!(
            watch.look(other(10, 100, true), LogIndex(20), AFTER_MS, at(100)),
            None
        );
        let silent = other(10, 100, false);
        let mut first = None;
        for ms in (110..2_000).step_by(10) {
            if let Some(verdict) = watch.look(silent, LogIndex(20), AFTER_MS, at(ms)) {
                first = Some((ms, verdict));
                break;
            }
        }
        let (ms, verdict) = first.unwrap();
        assert_eq!(ms, 510);
        let confirmed = LogIndex(10);
        assert_eq!(
            verdict,
            Verdict::Degrade {
                confirmed,
                waited_ms: 510
            }
        );
        watch.proposed(verdict, LogIndex(21), at(ms));
        // Until a majority has the record, nothing is answered on one site's strength.
        watch.majority_has(LogIndex(20));
        assert!(watch.waits());
        watch.majority_has(LogIndex(21));
        assert!(!watch.waits());
    }

    #[test]
    fn an_idle_log_degrades_when_the_other_site_is_dead() {
        let mut watch = SiteWatch::new(false, LogIndex(10), at(0));
        let dead = other(10, 0, false);
        let looked: Vec<_> = (0..100)
            .filter_map(|n| watch.look(dead, LogIndex(10), AFTER_MS, at(n * 10)))
            .collect();
        assert!(matches!(looked[0], Verdict::Degrade { .. }));
    }

    #[test]
    fn commits_wait_again_once_the_site_has_been_in_step_for_a_while() {
        let mut watch = SiteWatch::new(true, LogIndex(10), at(0));
        assert!(!watch.waits());
        let mut when = None;
        for ms in (0..3_000).step_by(10) {
            // Away for a moment in between: counted anew.
            let in_step = ms != 500;
            if let Some(verdict) =
                watch.look(other(10, ms, in_step), LogIndex(10), AFTER_MS, at(ms))
            {
                assert_eq!(verdict, Verdict::Recover);
                when = Some(ms);
                break;
            }
        }
        assert_eq!(when, Some(1_510));
        watch.proposed(Verdict::Recover, LogIndex(11), at(1_510));
        assert!(watch.waits());
        watch.applied(false);
        assert!(watch.waits());
    }

    #[test]
    fn a_site_lost_again_while_recovering_degrades_again() {
        let mut watch = SiteWatch::new(true, LogIndex(10), at(0));
        watch.proposed(Verdict::Recover, LogIndex(11), at(0));
        let silent = other(10, 0, false);
        let again = (0..100).find_map(|n| watch.look(silent, LogIndex(11), AFTER_MS, at(n * 10)));
        assert!(matches!(again, Some(Verdict::Degrade { .. })));
    }
}

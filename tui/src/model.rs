//! What is known, from whom, and how old it is. Pure data and questions about it.
//!
//! ```text
//!   replica a1 ──status──┐
//!   replica a2 ──status──┤            ┌─► standing(): who leads, is it serving
//!   replica b1 ──status──┼─► Model ───┼─► rate(), commit latency, lag
//!   API servers ─objects─┤            ├─► last_failover(): legs
//!   Toxiproxy ───delays──┤            └─► every figure with its age; no data is `?`, never good
//!   report.json ─────────┘
//! ```

use std::collections::VecDeque;

use protocol::admin::{ElectionRecord, PeerProgress, ReplicaStatus, Role};

use crate::language::Language;
use crate::report::RunReport;

/// A status older than this is stale. Replicas speak every 200 ms.
pub const REPLICA_FRESH_US: u64 = 1_500_000;
/// An answer of an API server, a Toxiproxy or the lab's folder older than this is stale. They are
/// asked every 1 to 2 s.
pub const POLL_FRESH_US: u64 = 6_000_000;
/// The window over which the rate of orders is told, in microseconds.
pub const RATE_WINDOW_US: u64 = 5_000_000;
/// How many seconds of the rate are kept for its curve.
pub const RATE_SECONDS_KEPT: usize = 240;
/// Samples kept for the rate's window; older ones make room.
const SAMPLES_MAX: usize = 512;

/// Something that a source tells again and again.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed<T> {
    /// What it told last, and when that came, in microseconds since 1970.
    pub last: Option<(T, u64)>,
    /// Why it tells nothing now, and since when.
    pub trouble: Option<(String, u64)>,
}

impl<T> Default for Observed<T> {
    fn default() -> Self {
        Self {
            last: None,
            trouble: None,
        }
    }
}

impl<T> Observed<T> {
    /// Notes what was told.
    pub fn tell(&mut self, value: T, at_us: u64) {
        self.last = Some((value, at_us));
        self.trouble = None;
    }

    /// Notes that nothing could be learned; the time of the first of several troubles stays.
    pub fn lose(&mut self, reason: String, at_us: u64) {
        let since_us = self.trouble.take().map_or(at_us, |(_, since_us)| since_us);
        self.trouble = Some((reason, since_us));
    }

    /// The value if it is younger than `fresh_us` and its source is not in trouble.
    pub fn fresh(&self, now_us: u64, fresh_us: u64) -> Option<&T> {
        if self.trouble.is_some() {
            return None;
        }
        let (value, at_us) = self.last.as_ref()?;
        (now_us.saturating_sub(*at_us) <= fresh_us).then_some(value)
    }

    /// How far the source can be believed.
    pub fn freshness(&self, now_us: u64, fresh_us: u64) -> Freshness {
        match &self.last {
            None => Freshness::Never,
            Some(_) if self.fresh(now_us, fresh_us).is_some() => Freshness::Live,
            Some((_, at_us)) => Freshness::Stale {
                age_us: now_us.saturating_sub(*at_us),
            },
        }
    }

    /// The value, however old.
    pub fn any(&self) -> Option<&T> {
        self.last.as_ref().map(|(value, _)| value)
    }
}

/// How far a source can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It speaks.
    Live,
    /// It spoke so long ago.
    Stale {
        /// The age in microseconds.
        age_us: u64,
    },
    /// It never spoke.
    Never,
}

/// One condition of a `TradingCore`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionView {
    /// Its type.
    pub name: String,
    /// `Some` when it is `True` or `False`, `None` when it is `Unknown`.
    pub holds: Option<bool>,
    /// Its reason.
    pub reason: String,
    /// Its message.
    pub message: String,
}

/// What a center's API server says of its `TradingCore`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectView {
    /// `namespace/name`.
    pub name: String,
    /// Where the spec says that each center's replica is, as (center, site, replica, `host:port`).
    pub replicas: Vec<ReplicaAddress>,
    /// Its conditions.
    pub conditions: Vec<ConditionView>,
    /// Whether the status speaks of the newest spec.
    pub is_observed: bool,
}

/// Where a replica is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaAddress {
    /// The center.
    pub center: String,
    /// Its site.
    pub site: String,
    /// The replica's number.
    pub replica: u64,
    /// `host:port` of its admin service.
    pub address: String,
}

/// One center.
#[derive(Debug, Clone, PartialEq)]
pub struct Center {
    /// Its name.
    pub name: String,
    /// Its site, once known.
    pub site: Option<String>,
    /// Where its replica is watched, `host:port`, once known.
    pub address: Option<String>,
    /// Whether a cluster was named for it.
    pub has_cluster: bool,
    /// The lab says that its power is off.
    pub is_powered_off: bool,
    /// Its replica.
    pub replica: Observed<ReplicaStatus>,
    /// Its cluster's `TradingCore`; `None` inside when the cluster answers and has no such object.
    pub cluster: Observed<Option<ObjectView>>,
}

impl Center {
    /// A center of which nothing is known yet.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            site: None,
            address: None,
            has_cluster: false,
            is_powered_off: false,
            replica: Observed::default(),
            cluster: Observed::default(),
        }
    }
}

/// What a link does to its data.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkFacts {
    /// The delay that was set, both ways together, in milliseconds.
    pub round_trip_ms: u64,
    /// How far the delay strays, in milliseconds.
    pub jitter_ms: u64,
    /// Whether data is stopped in at least one direction.
    pub is_cut: bool,
    /// Other toxics on it, by name.
    pub others: Vec<String>,
}

/// One link of the lab.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// Such as `a1-b1` or `clients-a1`.
    pub name: String,
    /// What its Toxiproxy says.
    pub facts: Observed<LinkFacts>,
}

impl Link {
    /// Whether it joins two centers rather than clients and a center.
    #[must_use]
    pub fn is_between_centers(&self) -> bool {
        !self.name.starts_with("clients-")
    }

    /// Its two ends.
    #[must_use]
    pub fn ends(&self) -> (&str, &str) {
        self.name.split_once('-').unwrap_or((&self.name, ""))
    }
}

/// The whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The time of the last tick, in microseconds since 1970.
    pub now_us: u64,
    /// The centers.
    pub centers: Vec<Center>,
    /// The lab's links; empty without a lab, then delays are what the leader measures.
    pub links: Vec<Link>,
    /// The report of the last run of the lab.
    pub report: Observed<RunReport>,
    /// Orders counted, as (received at, orders) with the newest last.
    pub samples: VecDeque<(u64, u64)>,
    /// Orders in each past second, newest last; `None` where nothing was heard.
    pub seconds: VecDeque<Option<u64>>,
    /// The second, since 1970, that `seconds` ends with.
    pub last_second: u64,
    /// The center that is shown in detail.
    pub selected: usize,
    /// Whether the help is shown.
    pub shows_help: bool,
    /// The language of the screen.
    pub language: Language,
    /// Whether colours may be used.
    pub has_colour: bool,
    /// Messages that found the queue full and were dropped.
    pub dropped: u64,
}

/// Who leads, as far as can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A leader serves.
    Serving {
        /// The place of its center in [`Model::centers`].
        center: usize,
        /// Its number.
        replica: u64,
        /// Its epoch.
        epoch: u64,
    },
    /// Replicas are heard and none of them serves: orders are not accepted now.
    Electing {
        /// The highest epoch that is heard.
        epoch: u64,
    },
    /// The last leader served, and too little is heard to tell whether it or another serves now.
    Unknown,
}

/// Where the legs of a failover were learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegsSource {
    /// The lab's report: all legs, from the fault to the first order that a client saw accepted.
    Run,
    /// The new leader's own record: from its suspicion on.
    Replica,
}

/// One part of a failover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leg {
    /// Fault to suspicion.
    Detect,
    /// Suspicion to the new epoch.
    Fence,
    /// New epoch to elected.
    Elect,
    /// Elected to serving.
    Replay,
    /// Serving to the first client logged on.
    Reroute,
    /// To the first order accepted.
    FirstOrder,
}

impl Leg {
    /// In the order in which they happen.
    pub const ALL: [Self; 6] = [
        Self::Detect,
        Self::Fence,
        Self::Elect,
        Self::Replay,
        Self::Reroute,
        Self::FirstOrder,
    ];
}

/// A change of leader taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failover {
    /// The epoch that began with it.
    pub epoch: u64,
    /// The center or replica that led before.
    pub from: String,
    /// The center or replica that leads since.
    pub to: String,
    /// When the new leader served, in microseconds since 1970.
    pub at_us: u64,
    /// Each leg in microseconds, in the order of [`Leg::ALL`]; `None` where nobody measured it.
    pub legs_us: [Option<u64>; 6],
    /// The whole, where all of it was measured.
    pub total_us: Option<u64>,
    /// Orders lost and doubled, where they were counted.
    pub lost_and_doubled: Option<(u64, u64)>,
    /// Asked for, rather than caused by silence.
    pub is_planned: bool,
    /// Who measured.
    pub source: LegsSource,
}

impl Model {
    /// A model that knows these centers and links and nothing of them.
    #[must_use]
    pub fn new(
        centers: Vec<Center>,
        links: Vec<Link>,
        language: Language,
        has_colour: bool,
        now_us: u64,
    ) -> Self {
        Self {
            now_us,
            centers,
            links,
            report: Observed::default(),
            samples: VecDeque::new(),
            seconds: VecDeque::new(),
            last_second: now_us / 1_000_000,
            selected: 0,
            shows_help: false,
            language,
            has_colour,
            dropped: 0,
        }
    }

    /// The status of a center's replica while it is live.
    #[must_use]
    pub fn live(&self, center: usize) -> Option<&ReplicaStatus> {
        self.centers
            .get(center)?
            .replica
            .fresh(self.now_us, REPLICA_FRESH_US)
    }

    fn all_live(&self) -> impl Iterator<Item = (usize, &ReplicaStatus)> {
        (0..self.centers.len()).filter_map(|center| Some((center, self.live(center)?)))
    }

    /// Who leads. A leader counts only while no live replica knows a higher epoch.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let Some(epoch) = self.all_live().map(|(_, status)| status.epoch).max() else {
            return Standing::Unknown;
        };
        let serving = self.all_live().find(|(_, status)| {
            status.serving && status.role() == Role::Leader && status.epoch == epoch
        });
        match serving {
            Some((center, status)) => Standing::Serving {
                center,
                replica: status.replica,
                epoch,
            },
            // A lone follower that still hears a leader that we do not is no failover.
            None if self.all_live().any(|(_, status)| {
                status.leader != 0 && status.role() == Role::Follower && !self.hears(status.leader)
            }) =>
            {
                Standing::Unknown
            }
            None => Standing::Electing { epoch },
        }
    }

    fn hears(&self, replica: u64) -> bool {
        self.all_live().any(|(_, status)| status.replica == replica)
    }

    /// Whether more than half of the replicas are live, without which nobody can be elected.
    #[must_use]
    pub fn hears_quorum(&self) -> bool {
        self.all_live().count() * 2 > self.centers.len()
    }

    /// The serving leader's status.
    #[must_use]
    pub fn leader(&self) -> Option<&ReplicaStatus> {
        match self.standing() {
            Standing::Serving { center, .. } => self.live(center),
            Standing::Electing { .. } | Standing::Unknown => None,
        }
    }

    /// Whether the loss of any one center would lose nothing; `None` when no leader can say so.
    #[must_use]
    pub fn is_rpo_zero(&self) -> Option<bool> {
        self.leader().map(|leader| leader.all_voters_in_step)
    }

    /// What the leader knows of a center's replica.
    #[must_use]
    pub fn progress(&self, center: usize) -> Option<&PeerProgress> {
        let name = &self.centers.get(center)?.name;
        self.leader()?
            .peers
            .iter()
            .find(|peer| &peer.center == name)
    }

    /// Entries by which a center's replica is behind the leader; `None` when nobody can say.
    #[must_use]
    pub fn lag_entries(&self, center: usize) -> Option<u64> {
        if let Standing::Serving { center: leads, .. } = self.standing()
            && leads == center
        {
            return Some(0);
        }
        self.progress(center).map(|progress| progress.lag_entries)
    }

    /// The largest lag over all centers; `None` when it is not known of each.
    #[must_use]
    pub fn lag_entries_max(&self) -> Option<u64> {
        (0..self.centers.len())
            .map(|center| self.lag_entries(center))
            .try_fold(0, |max, lag| Some(max.max(lag?)))
    }

    /// The round trip that the leader measures to a center's replica, in microseconds.
    #[must_use]
    pub fn measured_round_trip_us(&self, one: &str, other: &str) -> Option<u64> {
        let leader = self.leader()?;
        let peer = match leader.center.as_str() {
            center if center == one => other,
            center if center == other => one,
            _ => return None,
        };
        leader
            .peers
            .iter()
            .find(|progress| progress.center == peer && progress.recently_active)
            .map(|progress| progress.round_trip_us)
            .filter(|us| *us > 0)
    }

    /// Orders a second over the last 5 s; `None` without at least a second of live counts.
    #[must_use]
    pub fn orders_per_second(&self) -> Option<u64> {
        let (last_at, last) = *self.samples.back()?;
        if self.now_us.saturating_sub(last_at) > REPLICA_FRESH_US {
            return None;
        }
        let from_us = last_at.saturating_sub(RATE_WINDOW_US);
        let (first_at, first) = *self.samples.iter().find(|(at_us, _)| *at_us >= from_us)?;
        let span_us = last_at - first_at;
        (span_us >= 1_000_000)
            .then(|| (u128::from(last - first) * 1_000_000 / u128::from(span_us)) as u64)
    }

    /// Takes a count of orders into the rate. Counts are replicated state, so that of a replica
    /// that lags is smaller: it is passed over, unless nothing else was heard for a whole window,
    /// which is another log and begins anew.
    pub(crate) fn count_orders(&mut self, orders: u64, at_us: u64) {
        if let Some((last_at, last)) = self.samples.back().copied() {
            if at_us < last_at {
                return;
            }
            if orders < last {
                if at_us - last_at <= RATE_WINDOW_US {
                    return;
                }
                self.samples.clear();
            }
        }
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back((at_us, orders));
    }

    /// The samples' rate in the second that ended at `second`, in whole orders.
    pub(crate) fn orders_in_second(&self, second: u64) -> Option<u64> {
        let end_us = (second + 1) * 1_000_000;
        let before = |limit_us: u64| {
            self.samples
                .iter()
                .rev()
                .find(|(at_us, _)| *at_us <= limit_us)
        };
        let (end_at, end) = before(end_us)?;
        let (start_at, start) = before(end_us - 1_000_000)?;
        // No sample in the second itself: nothing was heard, which is not zero.
        if end_at <= start_at {
            return None;
        }
        let span_us = u128::from(end_at - start_at);
        Some((u128::from(end - start) * 1_000_000 / span_us) as u64)
    }

    fn center_of_replica(&self, replica: u64) -> String {
        self.centers
            .iter()
            .find(|center| {
                center
                    .replica
                    .any()
                    .is_some_and(|status| status.replica == replica)
            })
            .map_or_else(|| format!("#{replica}"), |center| center.name.clone())
    }

    /// Every election won that is known, each once, newest first, with the winner's center.
    #[must_use]
    pub fn elections(&self) -> Vec<(String, ElectionRecord)> {
        let mut all: Vec<(String, ElectionRecord)> = Vec::new();
        for center in &self.centers {
            let Some(status) = center.replica.any() else {
                continue;
            };
            for record in status.elections.iter().filter(|it| it.elected_at_us > 0) {
                if all.iter().all(|(_, known)| known.epoch != record.epoch) {
                    all.push((center.name.clone(), *record));
                }
            }
        }
        all.sort_by_key(|(_, record)| std::cmp::Reverse(record.epoch));
        all
    }

    /// The last change of leader that nobody asked for: from the lab's report when it is as new as
    /// any that the replicas recorded, else from the new leader's record.
    #[must_use]
    pub fn last_failover(&self) -> Option<Failover> {
        let recorded = self.recorded(false);
        let reported = self.report.any().map(RunReport::failover);
        match (reported, recorded) {
            (Some(reported), Some(recorded)) if recorded.epoch > reported.epoch => Some(recorded),
            (Some(reported), _) => Some(reported),
            (None, recorded) => recorded,
        }
    }

    /// The last change of leader that was asked for.
    #[must_use]
    pub fn last_handover(&self) -> Option<Failover> {
        self.recorded(true)
    }

    fn recorded(&self, is_planned: bool) -> Option<Failover> {
        let (to, record) = self.elections().into_iter().find(|(_, record)| {
            record.planned == is_planned && record.previous_leader != 0 && record.serving_at_us > 0
        })?;
        let between = |from_us: u64, to_us: u64| {
            (from_us > 0 && to_us > 0).then(|| to_us.saturating_sub(from_us))
        };
        let legs_us = [
            None,
            between(record.suspected_at_us, record.campaigned_at_us),
            between(record.campaigned_at_us, record.elected_at_us),
            between(record.elected_at_us, record.serving_at_us),
            None,
            between(record.serving_at_us, record.first_order_at_us),
        ];
        Some(Failover {
            epoch: record.epoch,
            from: self.center_of_replica(record.previous_leader),
            to,
            at_us: record.serving_at_us,
            legs_us,
            total_us: None,
            lost_and_doubled: None,
            is_planned,
            source: LegsSource::Replica,
        })
    }
}

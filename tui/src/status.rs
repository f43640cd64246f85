//! The same model as text or JSON, once.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::language::{age, grouped, milliseconds, pad};
use crate::model::{Freshness, Leg, Model, POLL_FRESH_US, REPLICA_FRESH_US, Standing};
use crate::update::{Effect, Message, update};
use crate::watch::{Watchers, now_us};

/// A rate needs two counts some time apart.
const WATCH_FOR: Duration = Duration::from_millis(2_500);

/// Watches for a moment, then leaves what was learned in the model.
pub async fn look(model: &mut Model, watchers: &mut Watchers) {
    let end = tokio::time::sleep(WATCH_FOR);
    tokio::pin!(end);
    loop {
        let message = tokio::select! {
            () = &mut end => break,
            message = watchers.next() => message,
        };
        let effects = message.map_or_else(Vec::new, |message| update(model, message));
        for effect in effects {
            if let Effect::WatchReplica { center, address } = effect {
                watchers.watch_replica(center, address);
            }
        }
    }
    update(
        model,
        Message::Tick {
            now_us: now_us(),
            dropped: watchers.dropped(),
        },
    );
}

/// What `tricenter status -o json` prints. A figure that nobody can tell is `null`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// `serving`, `electing` or `unknown`.
    pub standing: &'static str,
    /// The center that leads.
    pub leader_center: Option<String>,
    /// The replica that leads.
    pub leader: Option<u64>,
    /// The highest epoch heard.
    pub epoch: Option<u64>,
    /// Entries by which the slowest replica is behind.
    pub lag_entries: Option<u64>,
    /// Whether the loss of any one center would lose nothing.
    pub rpo_zero: Option<bool>,
    /// Orders a second.
    pub orders_per_second: Option<u64>,
    /// Median time from a batch's forming to its commit.
    pub commit_p50_us: Option<u64>,
    /// The 99th percentile of the same.
    pub commit_p99_us: Option<u64>,
    /// The centers.
    pub centers: Vec<CenterSummary>,
    /// The links of the lab.
    pub links: Vec<LinkSummary>,
    /// The operation that runs, as `namespace/name`.
    pub operation: Option<String>,
    /// The last change of leader that nobody asked for.
    pub last_failover: Option<FailoverSummary>,
}

/// One center.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CenterSummary {
    /// Its name.
    pub name: String,
    /// Its site.
    pub site: Option<String>,
    /// `live`, `stale` or `never` heard.
    pub heard: &'static str,
    /// How old a stale status is.
    pub age_ms: Option<u64>,
    /// What its replica said last, however old: `heard` tells whether to believe it.
    pub role: Option<String>,
    /// The epoch that its replica said last.
    pub epoch: Option<u64>,
    /// The last entry that its replica said to have applied.
    pub applied_index: Option<u64>,
    /// Entries by which it is behind, as the leader says.
    pub lag_entries: Option<u64>,
    /// The condition Ready of its `TradingCore`.
    pub ready: Option<bool>,
    /// Why its replica cannot be heard.
    pub replica_trouble: Option<String>,
    /// Why its API server cannot be heard.
    pub kubernetes_trouble: Option<String>,
}

/// One link.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LinkSummary {
    /// Its name.
    pub name: String,
    /// The round trip that is set.
    pub round_trip_ms: Option<u64>,
    /// Whether data is stopped.
    pub is_cut: Option<bool>,
}

/// The last failover.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FailoverSummary {
    /// The epoch that began with it.
    pub epoch: u64,
    /// Who led before.
    pub from: String,
    /// Who leads since.
    pub to: String,
    /// Each leg by name.
    pub legs_us: Vec<(&'static str, Option<u64>)>,
    /// The recovery time.
    pub rto_us: Option<u64>,
    /// Orders lost.
    pub lost: Option<u64>,
    /// Orders doubled.
    pub doubled: Option<u64>,
}

const fn leg_name(leg: Leg) -> &'static str {
    match leg {
        Leg::Detect => "detect",
        Leg::Fence => "fence",
        Leg::Elect => "elect",
        Leg::Replay => "replay",
        Leg::Reroute => "re-route",
        Leg::FirstOrder => "first order",
    }
}

impl Summary {
    /// What the model knows.
    #[must_use]
    pub fn of(model: &Model) -> Self {
        let leader = model.leader();
        let (standing, epoch) = match model.standing() {
            Standing::Serving { epoch, .. } => ("serving", Some(epoch)),
            Standing::Electing { epoch } => ("electing", Some(epoch)),
            Standing::Unknown => ("unknown", None),
        };
        let latency = leader
            .and_then(|leader| leader.commit_latency)
            .filter(|latency| latency.count > 0);
        Self {
            standing,
            leader_center: leader.map(|leader| leader.center.clone()),
            leader: leader.map(|leader| leader.replica),
            epoch,
            lag_entries: model.lag_entries_max(),
            rpo_zero: model.is_rpo_zero(),
            orders_per_second: model.orders_per_second(),
            commit_p50_us: latency.map(|latency| latency.p50_us),
            commit_p99_us: latency.map(|latency| latency.p99_us),
            centers: (0..model.centers.len())
                .map(|place| CenterSummary::of(model, place))
                .collect(),
            links: model
                .links
                .iter()
                .map(|link| {
                    let facts = link.facts.fresh(model.now_us, POLL_FRESH_US);
                    LinkSummary {
                        name: link.name.clone(),
                        round_trip_ms: facts.map(|facts| facts.round_trip_ms),
                        is_cut: facts.map(|facts| facts.is_cut),
                    }
                })
                .collect(),
            operation: leader
                .and_then(|leader| leader.operations.as_ref()?.running.as_ref())
                .map(|running| running.name.clone()),
            last_failover: model.last_failover().map(|failover| FailoverSummary {
                epoch: failover.epoch,
                from: failover.from,
                to: failover.to,
                legs_us: Leg::ALL
                    .into_iter()
                    .map(leg_name)
                    .zip(failover.legs_us)
                    .collect(),
                rto_us: failover.total_us,
                lost: failover.lost_and_doubled.map(|(lost, _)| lost),
                doubled: failover.lost_and_doubled.map(|(_, doubled)| doubled),
            }),
        }
    }

    /// Whether a leader serves.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.standing == "serving"
    }

    /// The same as text.
    #[must_use]
    pub fn text(&self) -> String {
        let figure = |value: Option<u64>| value.map_or_else(|| "?".to_owned(), grouped);
        let time = |value: Option<u64>| value.map_or_else(|| "?".to_owned(), milliseconds);
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{}: leader {} in {}, epoch {}, lag {}, RPO 0 {}",
            self.standing,
            figure(self.leader),
            self.leader_center.as_deref().unwrap_or("?"),
            figure(self.epoch),
            figure(self.lag_entries),
            match self.rpo_zero {
                Some(true) => "holds",
                Some(false) => "AT RISK",
                None => "?",
            },
        );
        let _ = writeln!(
            out,
            "{} orders/s, commit p50 {} p99 {}\n",
            figure(self.orders_per_second),
            time(self.commit_p50_us),
            time(self.commit_p99_us),
        );
        let _ = writeln!(
            out,
            "CENTER   SITE  ROLE          EPOCH  APPLIED     LAG     HEARD         READY"
        );
        for center in &self.centers {
            let heard = match center.age_ms {
                Some(age_ms) => format!("{} ago", age(age_ms * 1_000)),
                None => center.heard.to_owned(),
            };
            let stale = if center.heard == "live" { "" } else { "~" };
            let told = |value: Option<String>| {
                value.map_or_else(|| "?".to_owned(), |value| format!("{stale}{value}"))
            };
            let cells = [
                (center.name.clone(), 9),
                (center.site.clone().unwrap_or_else(|| "?".to_owned()), 6),
                (told(center.role.clone()), 14),
                (told(center.epoch.map(grouped)), 7),
                (told(center.applied_index.map(grouped)), 12),
                (figure(center.lag_entries), 8),
                (heard, 14),
                (
                    center
                        .ready
                        .map_or("?", |ready| if ready { "True" } else { "False" })
                        .to_owned(),
                    5,
                ),
            ];
            let line: String = cells
                .iter()
                .map(|(text, width)| pad(text, *width))
                .collect();
            let _ = writeln!(out, "{}", line.trim_end());
            for (what, trouble) in [
                ("replica", &center.replica_trouble),
                ("Kubernetes", &center.kubernetes_trouble),
            ] {
                if let Some(reason) = trouble {
                    let _ = writeln!(out, "         {what}: {reason}");
                }
            }
        }
        if let Some(running) = &self.operation {
            let _ = writeln!(out, "\nplanned move under way: {running}");
        }
        if let Some(failover) = &self.last_failover {
            let _ = writeln!(
                out,
                "\nlast failover: {} -> {}, epoch {}, RTO {}, lost {}, doubled {}",
                failover.from,
                failover.to,
                failover.epoch,
                time(failover.rto_us),
                figure(failover.lost),
                figure(failover.doubled),
            );
            for (name, us) in &failover.legs_us {
                let _ = writeln!(out, "  {name:<12} {:>12}", time(*us));
            }
        }
        out
    }
}

impl CenterSummary {
    fn of(model: &Model, place: usize) -> Self {
        let center = &model.centers[place];
        let status = center.replica.any();
        let (heard, age_ms) = match center.replica.freshness(model.now_us, REPLICA_FRESH_US) {
            Freshness::Live => ("live", None),
            Freshness::Stale { age_us } => ("stale", Some(age_us / 1_000)),
            Freshness::Never => ("never", None),
        };
        let object = center
            .cluster
            .fresh(model.now_us, POLL_FRESH_US)
            .and_then(Option::as_ref);
        let trouble = |trouble: &Option<(String, u64)>| trouble.as_ref().map(|it| it.0.clone());
        Self {
            name: center.name.clone(),
            site: center.site.clone(),
            heard,
            age_ms,
            role: status.map(|status| status.role().as_str_name().to_lowercase()),
            epoch: status.map(|status| status.epoch),
            applied_index: status.map(|status| status.applied_index),
            lag_entries: model.lag_entries(place),
            ready: object.and_then(|object| {
                object
                    .conditions
                    .iter()
                    .find(|condition| condition.name == "Ready")?
                    .holds
            }),
            replica_trouble: trouble(&center.replica.trouble),
            kubernetes_trouble: match center.cluster.fresh(model.now_us, POLL_FRESH_US) {
                Some(None) => Some("there is no TradingCore in this cluster".to_owned()),
                Some(Some(_)) | None => trouble(&center.cluster.trouble),
            },
        }
    }
}

//! What each message changes. Pure: the shell alone acts on the effects.

use protocol::admin::ReplicaStatus;

use crate::model::{LinkFacts, Model, ObjectView, RATE_SECONDS_KEPT};
use crate::report::RunReport;

/// A key that means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Leave.
    Quit,
    /// Show or hide the help.
    Help,
    /// Hide what covers the screen.
    Back,
    /// Select the next center.
    Next,
    /// Select the previous center.
    Previous,
    /// Select the center at this place, from 0.
    Select(usize),
}

/// Something that happened. Places of centers and links are those in [`Model`]; times are
/// microseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// Time passed.
    Tick {
        /// The time now.
        now_us: u64,
        /// Messages dropped so far because the queue was full.
        dropped: u64,
    },
    /// A key was pressed.
    Key(Key),
    /// A replica spoke.
    ReplicaSeen {
        /// Whose.
        center: usize,
        /// When it was heard.
        at_us: u64,
        /// What it said.
        status: Box<ReplicaStatus>,
    },
    /// A replica cannot be heard.
    ReplicaLost {
        /// Whose.
        center: usize,
        /// When it was noticed.
        at_us: u64,
        /// Why.
        reason: String,
    },
    /// An API server answered.
    ClusterSeen {
        /// Whose.
        center: usize,
        /// When.
        at_us: u64,
        /// Its `TradingCore`, if it has one.
        object: Option<Box<ObjectView>>,
    },
    /// An API server did not answer.
    ClusterLost {
        /// Whose.
        center: usize,
        /// When.
        at_us: u64,
        /// Why.
        reason: String,
    },
    /// A Toxiproxy answered.
    LinkSeen {
        /// Which link.
        link: usize,
        /// When.
        at_us: u64,
        /// What it does.
        facts: LinkFacts,
    },
    /// A Toxiproxy did not answer.
    LinkLost {
        /// Which link.
        link: usize,
        /// When.
        at_us: u64,
        /// Why.
        reason: String,
    },
    /// The lab's state was read: which centers are powered off, by name.
    PowerSeen {
        /// Their names.
        off: Vec<String>,
    },
    /// The lab's report was read.
    ReportRead {
        /// When.
        at_us: u64,
        /// The report.
        report: Box<RunReport>,
    },
    /// The lab's report is there and cannot be read.
    ReportUnreadable {
        /// When.
        at_us: u64,
        /// Why.
        reason: String,
    },
}

/// What the shell is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Leave.
    Quit,
    /// Begin to watch a replica at `host:port`.
    WatchReplica {
        /// Whose.
        center: usize,
        /// Where.
        address: String,
    },
}

/// Takes a message into the model.
pub fn update(model: &mut Model, message: Message) -> Vec<Effect> {
    match message {
        Message::Tick { now_us, dropped } => {
            // The wall clock may be set back; ages then stand still rather than grow huge.
            model.now_us = now_us;
            model.dropped = dropped;
            pass_seconds(model);
        }
        Message::Key(key) => return press(model, key),
        Message::ReplicaSeen {
            center,
            at_us,
            status,
        } => see_replica(model, center, at_us, *status),
        Message::ReplicaLost {
            center,
            at_us,
            reason,
        } => {
            if let Some(center) = model.centers.get_mut(center) {
                center.replica.lose(reason, at_us);
            }
        }
        Message::ClusterSeen {
            center,
            at_us,
            object,
        } => return see_cluster(model, center, at_us, object.map(|object| *object)),
        Message::ClusterLost {
            center,
            at_us,
            reason,
        } => {
            if let Some(center) = model.centers.get_mut(center) {
                center.cluster.lose(reason, at_us);
            }
        }
        Message::LinkSeen { link, at_us, facts } => {
            if let Some(link) = model.links.get_mut(link) {
                link.facts.tell(facts, at_us);
            }
        }
        Message::LinkLost {
            link,
            at_us,
            reason,
        } => {
            if let Some(link) = model.links.get_mut(link) {
                link.facts.lose(reason, at_us);
            }
        }
        Message::PowerSeen { off } => {
            for center in &mut model.centers {
                center.is_powered_off = off.contains(&center.name);
            }
        }
        Message::ReportRead { at_us, report } => model.report.tell(*report, at_us),
        Message::ReportUnreadable { at_us, reason } => model.report.lose(reason, at_us),
    }
    Vec::new()
}

fn press(model: &mut Model, key: Key) -> Vec<Effect> {
    let count = model.centers.len().max(1);
    match key {
        Key::Quit => return vec![Effect::Quit],
        Key::Help => model.shows_help = !model.shows_help,
        Key::Back => model.shows_help = false,
        Key::Next => model.selected = (model.selected + 1) % count,
        Key::Previous => model.selected = (model.selected + count - 1) % count,
        Key::Select(center) if center < model.centers.len() => model.selected = center,
        Key::Select(_) => {}
    }
    Vec::new()
}

fn see_replica(model: &mut Model, place: usize, at_us: u64, status: ReplicaStatus) {
    let Some(center) = model.centers.get_mut(place) else {
        return;
    };
    let counters = status.counters;
    if !status.site.is_empty() {
        center.site = Some(status.site.clone());
    }
    center.replica.tell(status, at_us);
    if let Some(counters) = counters {
        let orders = counters.orders_accepted + counters.orders_rejected;
        model.count_orders(orders, at_us);
    }
}

fn see_cluster(
    model: &mut Model,
    place: usize,
    at_us: u64,
    object: Option<ObjectView>,
) -> Vec<Effect> {
    let mut effects = Vec::new();
    // Any center's object names all replicas; one that is watched already stays as it is.
    for known in object.iter().flat_map(|object| &object.replicas) {
        let found = model
            .centers
            .iter_mut()
            .enumerate()
            .find(|(_, center)| center.name == known.center);
        if let Some((place, center)) = found {
            // The object is what all centers go by; a lab's file may spell a site otherwise.
            center.site = Some(known.site.clone());
            if center.address.is_none() {
                center.address = Some(known.address.clone());
                effects.push(Effect::WatchReplica {
                    center: place,
                    address: known.address.clone(),
                });
            }
        }
    }
    if let Some(center) = model.centers.get_mut(place) {
        center.cluster.tell(object, at_us);
    }
    effects
}

fn pass_seconds(model: &mut Model) {
    // The current second and the one before may still get samples.
    let complete = (model.now_us / 1_000_000).saturating_sub(1);
    let from = model
        .last_second
        .max(complete.saturating_sub(RATE_SECONDS_KEPT as u64));
    for second in from + 1..=complete {
        if model.seconds.len() == RATE_SECONDS_KEPT {
            model.seconds.pop_front();
        }
        model.seconds.push_back(model.orders_in_second(second));
    }
    model.last_second = model.last_second.max(complete);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;
    use crate::model::{Center, LegsSource, Standing};
    use crate::scenes::{self, SECOND_US, follower, leader, see, send, tick};

    const LANGUAGE: Language = Language::English;

    #[test]
    fn keys_select_centers_and_never_one_that_is_not_there() {
        let mut model = scenes::no_data(LANGUAGE);
        for (key, selected) in [
            (Key::Next, 1),
            (Key::Next, 2),
            (Key::Next, 0),
            (Key::Previous, 2),
            (Key::Select(1), 1),
            (Key::Select(7), 1),
        ] {
            assert!(update(&mut model, Message::Key(key)).is_empty());
            assert_eq!(model.selected, selected, "{key:?}");
        }
        assert_eq!(update(&mut model, Message::Key(Key::Quit)), [Effect::Quit]);
    }

    #[test]
    fn help_opens_and_closes() {
        let mut model = scenes::no_data(LANGUAGE);
        for (key, shown) in [
            (Key::Help, true),
            (Key::Help, false),
            (Key::Back, false),
            (Key::Help, true),
            (Key::Back, false),
        ] {
            update(&mut model, Message::Key(key));
            assert_eq!(model.shows_help, shown, "{key:?}");
        }
    }

    #[test]
    fn who_leads_follows_from_what_is_heard() {
        let now_us = scenes::START_US;
        let standing = |statuses: Vec<(usize, ReplicaStatus)>| {
            let mut model = scenes::no_data(LANGUAGE);
            for (center, status) in statuses {
                see(&mut model, center, now_us, status);
            }
            tick(&mut model, now_us);
            model.standing()
        };
        let serving = |center, epoch| Standing::Serving {
            center,
            replica: center as u64 + 1,
            epoch,
        };
        let opening = ReplicaStatus {
            serving: false,
            ..leader(1, 4, 100)
        };
        assert_eq!(standing(vec![]), Standing::Unknown);
        assert_eq!(standing(vec![(0, leader(0, 3, 100))]), serving(0, 3));
        // An old leader that has not heard yet does not count.
        assert_eq!(
            standing(vec![(0, leader(0, 3, 100)), (1, leader(1, 4, 100))]),
            serving(1, 4)
        );
        assert_eq!(
            standing(vec![(0, leader(0, 3, 100)), (1, follower(1, 0, 4, 100))]),
            Standing::Electing { epoch: 4 }
        );
        assert_eq!(
            standing(vec![(1, opening)]),
            Standing::Electing { epoch: 4 }
        );
        // A follower names a leader that we do not hear: that is our blindness, not a failover.
        assert_eq!(
            standing(vec![(1, follower(1, 1, 3, 100))]),
            Standing::Unknown
        );
    }

    #[test]
    fn nothing_old_counts_as_known() {
        let mut model = scenes::healthy(LANGUAGE);
        assert!(model.leader().is_some() && model.orders_per_second().is_some());
        assert_eq!(model.is_rpo_zero(), Some(true));
        let later_us = model.now_us + 10 * SECOND_US;
        tick(&mut model, later_us);
        assert_eq!(model.standing(), Standing::Unknown);
        assert_eq!(model.orders_per_second(), None);
        assert_eq!(model.is_rpo_zero(), None);
        assert_eq!(model.lag_entries_max(), None);
        assert_eq!(model.seconds.back(), Some(&None));
    }

    #[test]
    fn the_rate_is_that_of_five_seconds_and_ignores_replicas_that_lag() {
        let mut model = scenes::no_data(LANGUAGE);
        for step in 0..=50u64 {
            let at_us = scenes::START_US + step * 200_000;
            see(&mut model, 0, at_us, leader(0, 3, 5_000 + step * 400));
            see(&mut model, 2, at_us, follower(2, 1, 3, 4_000 + step * 400));
            tick(&mut model, at_us);
        }
        assert_eq!(model.orders_per_second(), Some(2_000));
        assert_eq!(model.seconds.back(), Some(&Some(2_000)));
    }

    #[test]
    fn a_log_begun_anew_begins_the_rate_anew() {
        let mut model = scenes::healthy(LANGUAGE);
        let base = model.now_us + 60 * SECOND_US;
        for step in 0..=10u64 {
            let at_us = base + step * 200_000;
            see(&mut model, 0, at_us, leader(0, 1, 100 + step * 20));
            tick(&mut model, at_us);
        }
        assert_eq!(model.orders_per_second(), Some(100));
    }

    #[test]
    fn the_first_of_several_troubles_keeps_its_time() {
        let mut model = scenes::no_data(LANGUAGE);
        for (at_us, reason) in [(5, "refused"), (9, "silent")] {
            let reason = reason.to_owned();
            send(
                &mut model,
                Message::ClusterLost {
                    center: 0,
                    at_us,
                    reason,
                },
            );
        }
        assert_eq!(
            model.centers[0].cluster.trouble,
            Some(("silent".to_owned(), 5))
        );
    }

    #[test]
    fn any_centers_object_tells_where_all_replicas_are_and_each_is_watched_once() {
        let mut model = scenes::no_data(LANGUAGE);
        for center in &mut model.centers {
            *center = Center::named(&center.name);
        }
        let message = || Message::ClusterSeen {
            center: 1,
            at_us: 1,
            object: Some(Box::new(scenes::addresses())),
        };
        let effects = update(&mut model, message());
        let expected: Vec<_> = (0..3)
            .map(|center| Effect::WatchReplica {
                center,
                address: format!("10.99.0.{}:30702", 11 + center),
            })
            .collect();
        assert_eq!(effects, expected);
        assert_eq!(model.centers[2].site.as_deref(), Some("B"));
        assert!(update(&mut model, message()).is_empty());
    }

    #[test]
    fn with_every_api_server_dead_trading_stays_live() {
        let model = scenes::blind(LANGUAGE);
        assert!(matches!(model.standing(), Standing::Serving { .. }));
        assert!(model.orders_per_second().is_some());
        assert!(model.centers.iter().all(|it| it.cluster.trouble.is_some()));
    }

    #[test]
    fn legs_come_from_the_run_until_a_newer_failover_was_recorded() {
        let mut model = scenes::dark(LANGUAGE);
        let failover = model.last_failover().unwrap();
        assert_eq!((failover.epoch, failover.source), (4, LegsSource::Run));
        let handover = model.last_handover().unwrap();
        assert_eq!((handover.epoch, handover.is_planned), (3, true));

        let at_us = model.now_us;
        let mut status = leader(2, 6, 200_000);
        status.elections = vec![protocol::admin::ElectionRecord {
            epoch: 6,
            suspected_at_us: at_us - 90_000,
            campaigned_at_us: at_us - 88_000,
            elected_at_us: at_us - 50_000,
            serving_at_us: at_us - 40_000,
            previous_leader: 2,
            ..Default::default()
        }];
        see(&mut model, 2, at_us, status);
        let failover = model.last_failover().unwrap();
        assert_eq!((failover.epoch, failover.source), (6, LegsSource::Replica));
        assert_eq!((failover.from.as_str(), failover.to.as_str()), ("a2", "b1"));
        assert_eq!(
            failover.legs_us,
            [None, Some(2_000), Some(38_000), Some(10_000), None, None]
        );
        assert_eq!((failover.total_us, failover.lost_and_doubled), (None, None));
    }
}

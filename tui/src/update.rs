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
            center.site.get_or_insert_with(|| known.site.clone());
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

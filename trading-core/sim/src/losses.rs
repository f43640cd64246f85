//! Disks that lose what they promised, and when they may.
//!
//! ```text
//!   struck ─► tainted ─► killed ─► started again ─► has all that there is ─► tainted no longer
//!                └── bounded: until then nothing else goes wrong ──┘
//! ```

use crate::Mode;
use crate::fault::Fault;
use crate::plan::{Undo, between};
use crate::world::{Happening, World};

/// What may not happen now is tried again so often, and so much later.
pub(crate) const TRIES: u32 = 100;
const AGAIN_US: u64 = 50_000;

/// Whether every replica is whole, up and in step, and nothing is wrong anywhere.
pub(crate) fn is_calm(world: &World) -> bool {
    let Some((_, epoch)) = world.leader() else {
        return false;
    };
    let now_us = world.now_us;
    world.network.is_fair(now_us)
        && world.nodes.values().all(|node| {
            let process = node.process.as_ref().map(|process| process.replica());
            let in_step = process.is_some_and(|replica| {
                !replica.is_unproven()
                    && replica.epoch() == epoch
                    && replica.applied_index().0 + 8 >= world.entries()
            });
            in_step
                && node.tainted.is_none()
                && node.slow_us == 0
                && node.paused_until_us <= now_us
                && !node.disk.has_plans()
        })
}

/// A disk loses something, at once or, in bounded runs, as soon as it may.
pub(crate) fn lose(world: &mut World, fault: Fault, id: u64, tries: u32) {
    let bounded = world.planner.mode == Mode::Bounded;
    let watched = world.now_us < world.planner.quiet_until_us;
    if world.planner.ended {
        return;
    }
    if watched || (bounded && !is_calm(world)) {
        if tries > 0 {
            world.later(AGAIN_US, Happening::Lose(fault, id, tries - 1));
        }
        return;
    }
    // Empty disks of a majority look like a new group to each other: that is for people (forced
    // takeover), and docs/adr/0010 says so.
    let wiped = world
        .nodes
        .iter()
        .filter(|(other, node)| **other != id && node.wiped);
    let too_many = wiped.count() as u64 >= world.replicas / 2;
    let disk = world.nodes[&id].disk.clone();
    let away_us = between(world, 10_000, 1_000_000);
    if fault == Fault::LostSyncedWrite && bounded {
        world.say(|| format!("a synced write of replica {id} will be lost"));
        taint(world, id);
        disk.lose_synced_write();
        let until_us = between(world, 5_000, 200_000);
        return world.later(until_us, Happening::Undo(Undo::Power(id)));
    }
    if fault == Fault::WipedReplica && too_many {
        return;
    }
    world.kill(id, true);
    let acted = match fault {
        Fault::LostSyncedWrite => disk.lose_earlier_write(),
        Fault::MisdirectedWrite => disk.misdirect(),
        Fault::BitRot => disk.rot(),
        _ => {
            disk.wipe();
            true
        }
    };
    world.say(|| format!("{fault:?} of replica {id}: {acted}"));
    if acted {
        taint(world, id);
        if let Some(node) = world.nodes.get_mut(&id) {
            node.wiped |= fault == Fault::WipedReplica;
        }
    }
    world.restart_in(id, away_us);
}

/// Keeps what a disk holds now, to be put back later.
pub(crate) fn keep_old_state(world: &mut World, id: u64) {
    let disk = world.nodes[&id].disk.clone();
    let in_us = between(world, 200_000, 3_000_000);
    if disk.has_copy() {
        return;
    }
    world.say(|| format!("the disk of replica {id} is copied as it is"));
    disk.keep_copy();
    world.later(in_us, Happening::PutBack(id, TRIES));
}

/// Puts an old state back. What is missing then, nobody can see before the leader speaks: so in bounded
/// runs all others must have everything, and nothing may be wrong anywhere. Unbounded runs put one file
/// back that later ones follow: there it can be seen.
pub(crate) fn put_back(world: &mut World, id: u64, tries: u32) {
    let bounded = world.planner.mode == Mode::Bounded;
    let disk = world.nodes[&id].disk.clone();
    let may = world.now_us >= world.planner.quiet_until_us
        && if bounded {
            is_calm(world) && others_hold_everything(world, id)
        } else {
            disk.has_older_segment()
        };
    if world.planner.ended || (!may && tries == 0) {
        return disk.drop_copy();
    }
    if !may {
        return world.later(AGAIN_US, Happening::PutBack(id, tries - 1));
    }
    world.kill(id, true);
    let acted = if bounded {
        disk.restore_copy()
    } else {
        disk.restore_segment()
    };
    world.say(|| format!("an old state of the disk of replica {id} is put back: {acted}"));
    if acted {
        taint(world, id);
    }
    let away_us = between(world, 10_000, 1_000_000);
    world.restart_in(id, away_us);
}

/// Whether all replicas but one have applied all that took effect anywhere. That more is on a disk says
/// nothing: it may be the end of a log that the group went past.
fn others_hold_everything(world: &World, id: u64) -> bool {
    let others = world.nodes.iter().filter(|(other, _)| **other != id);
    let mut processes = others.map(|(_, node)| node.process.as_ref());
    processes.all(|process| {
        process.is_some_and(|process| process.replica().applied_index().0 >= world.entries())
    })
}

fn taint(world: &mut World, id: u64) {
    if let Some(node) = world.nodes.get_mut(&id) {
        node.tainted = Some(node.start);
    }
}

/// Called after each turn of a tainted replica: it counts again once it has all that there is.
pub(crate) fn look_for_recovery(world: &mut World, id: u64) {
    let Some((leader, epoch)) = world.leader() else {
        return;
    };
    let entries = world.entries();
    let Some(node) = world.nodes.get_mut(&id) else {
        return;
    };
    // What a process still has in memory is no recovery: the loss shows once it has started again.
    let has_met_the_loss = node.tainted.is_some_and(|start| node.start > start);
    let recovered = has_met_the_loss
        && node.process.as_ref().is_some_and(|process| {
            let replica = process.replica();
            leader != id && replica.epoch() == epoch && replica.applied_index().0 >= entries
        });
    if recovered && !node.disk.has_plans() {
        node.tainted = None;
        node.wiped = false;
        world
            .tally
            .note("a replica that lost its promises recovered");
    }
}

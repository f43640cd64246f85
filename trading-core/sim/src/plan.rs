//! Which fault comes when: drawn from the seed, within what the mode allows.
//!
//! - *bounded*: a disk loses what it promised only while all others are whole and a leader serves,
//!   and nothing else goes wrong until it has caught up. So the cluster must always recover.
//! - *unbounded*: any fault on any replicas at once, as long as each can be seen by somebody. The
//!   cluster may stop; it must not lie.

use crate::Mode;
use crate::dice::Dice;
use crate::fault::Fault;
use crate::invariants::Seen;
use crate::losses::{TRIES, is_calm, keep_old_state, lose};
use crate::network::Weather;
use crate::node::Input;
use crate::world::{Happening, World, center_of};
use types::{Epoch, ReplicaId};

/// How a fault ends.
pub(crate) enum Undo {
    Weather,
    Links,
    Disk(u64),
    SlowProcess(u64),
    Power(u64),
    Return(u64, Epoch),
    Look(Epoch),
}

/// What a run may do, and when.
pub(crate) struct Planner {
    dice: Dice,
    enabled: Vec<Fault>,
    pub mode: Mode,
    pause_us_max: u64,
    /// Until then a follower that is away is watched, and nothing else may go wrong.
    pub quiet_until_us: u64,
    /// Until then leadership may be handed over as asked.
    transfer_until_us: u64,
    pub ended: bool,
}

impl Planner {
    pub(crate) fn new(options: crate::Options, mut dice: Dice) -> Self {
        // A run that does everything seldom gets far into anything: each leaves half of it out.
        let drawn: Vec<Fault> = Fault::ALL
            .into_iter()
            .filter(|_| dice.chance(500_000))
            .collect();
        let enabled = options.only.map_or(drawn, |only| vec![only]);
        let pause_us_max = dice.between(200_000, 2_000_000);
        Self {
            dice,
            enabled,
            mode: options.mode,
            pause_us_max,
            quiet_until_us: 0,
            transfer_until_us: 0,
            ended: false,
        }
    }
}

/// Draws the next fault, if it is time for one.
pub(crate) fn step(world: &mut World) {
    if world.planner.ended {
        return;
    }
    let pause_us_max = world.planner.pause_us_max;
    let pause_us = world.planner.dice.between(20_000, pause_us_max);
    world.later(pause_us, Happening::Plan);
    let waits = world.now_us < world.planner.quiet_until_us;
    let tainted = world.nodes.values().any(|node| node.tainted.is_some());
    if waits || (tainted && world.planner.mode == Mode::Bounded) {
        return;
    }
    match world.planner.dice.below(12) {
        0 => transfer(world),
        1 => send_away(world),
        _ => {
            let enabled = world.planner.enabled.clone();
            if let Some(fault) = world.planner.dice.pick(&enabled).copied() {
                strike(world, fault);
            }
        }
    }
}

fn any_replica(world: &mut World) -> u64 {
    let replicas = world.replicas;
    world.planner.dice.between(1, replicas)
}

pub(crate) fn between(world: &mut World, low: u64, high: u64) -> u64 {
    world.planner.dice.between(low, high)
}

fn strike(world: &mut World, fault: Fault) {
    let id = any_replica(world);
    match fault {
        Fault::MessageLoss
        | Fault::MessageDuplication
        | Fault::MessageReorder
        | Fault::MessageDelay
        | Fault::LateRequest
        | Fault::LateAnswer => weather(world, fault),
        Fault::HeldMessages => hold(world, id),
        Fault::BridgePartition | Fault::OneWayPartition | Fault::CenterCut => {
            part(world, fault, id);
        }
        Fault::ProcessKill | Fault::PowerLoss => stop(world, fault, id),
        Fault::CrashAtWrite | Fault::TornWrite | Fault::LostUnsyncedWrite => {
            let (operations, after) = (between(world, 0, 40) as u32, between(world, 0, 1) == 1);
            world.say(|| format!("power of replica {id} will fail in {operations} operations"));
            world.nodes[&id].disk.fail_power_in(operations, after);
        }
        Fault::LostSyncedWrite | Fault::MisdirectedWrite | Fault::BitRot | Fault::WipedReplica => {
            lose(world, fault, id, TRIES)
        }
        Fault::OldFileRestored => keep_old_state(world, id),
        Fault::FullDisk => {
            world.say(|| format!("the disk of replica {id} is full"));
            world.nodes[&id].disk.set_full(true);
            let lasts_us = between(world, 500_000, 4_000_000);
            world.later(lasts_us, Happening::Undo(Undo::Disk(id)));
        }
        Fault::SlowDisk => {
            let slow_us = between(world, 200, 30_000);
            world.say(|| format!("the disk of replica {id} is slow: {slow_us} µs more"));
            world.nodes[&id].disk.set_slow_us(slow_us);
            let lasts_us = between(world, 500_000, 4_000_000);
            world.later(lasts_us, Happening::Undo(Undo::Disk(id)));
        }
        Fault::SyncFailure => {
            world.say(|| format!("a sync of replica {id} will fail"));
            world.nodes[&id].disk.fail_sync();
        }
        Fault::ClockJump | Fault::ClockDrift => clock(world, fault, id),
        Fault::SlowProcess | Fault::PausedProcess => hold_up(world, fault, id),
    }
}

fn weather(world: &mut World, fault: Fault) {
    let rate = between(world, 1_000, 150_000);
    let delay_us_max = between(world, 10_000, 1_500_000);
    let weather = &mut world.network.weather;
    match fault {
        Fault::MessageLoss => weather.loss = rate,
        Fault::MessageDuplication => weather.duplication = rate,
        Fault::MessageReorder => weather.reorder = rate,
        Fault::LateRequest => weather.late_request = rate,
        Fault::LateAnswer => weather.late_answer = rate,
        _ => {
            *weather = Weather {
                delay: rate,
                delay_us_max,
                ..*weather
            }
        }
    }
    world.say(|| format!("{fault:?} at {rate} per million"));
    let lasts_us = between(world, 300_000, 5_000_000);
    world.later(lasts_us, Happening::Undo(Undo::Weather));
}

/// Holds what a replica sends, a leader's more often than not: so its last words come to followers
/// of another.
fn hold(world: &mut World, id: u64) {
    let leader = world.leader().map_or(id, |(leader, _)| leader);
    let id = if between(world, 0, 1) == 0 {
        leader
    } else {
        id
    };
    let lasts_us = between(world, 300_000, 3_000_000);
    world.say(|| format!("what replica {id} sends is held for {lasts_us} µs"));
    world.network.hold(id, world.now_us + lasts_us);
    world.later(lasts_us, Happening::Undo(Undo::Links));
}

fn part(world: &mut World, fault: Fault, id: u64) {
    let replicas = world.replicas;
    let other = any_replica(world);
    let lasts_us = between(world, 100_000, 4_000_000);
    match fault {
        Fault::CenterCut => {
            let center = |id| center_of(id, replicas);
            for member in (1..=replicas).filter(|other| center(*other) == center(id)) {
                world.network.cut(member, replicas);
            }
            world.say(|| format!("the center of replica {id} is cut off"));
        }
        _ if id == other => return,
        Fault::BridgePartition => {
            world.network.block(id, other);
            world.network.block(other, id);
            world.say(|| format!("replicas {id} and {other} do not hear each other"));
        }
        _ if between(world, 0, 1) == 0 => {
            world.network.block(id, other);
            world.say(|| format!("replica {other} does not hear replica {id}"));
        }
        _ => {
            (1..=replicas).for_each(|from| world.network.block(from, id));
            world.say(|| format!("replica {id} hears nobody, and is heard"));
        }
    }
    world.count(fault);
    world.later(lasts_us, Happening::Undo(Undo::Links));
}

fn stop(world: &mut World, fault: Fault, id: u64) {
    let all = between(world, 0, 9) == 0;
    let replicas = world.replicas;
    for id in if all { 1..=replicas } else { id..=id } {
        world.say(|| format!("{fault:?} of replica {id}"));
        world.kill(id, fault == Fault::PowerLoss);
        world.count(fault);
        let away_us = between(world, 10_000, 3_000_000);
        world.restart_in(id, away_us);
    }
}

fn clock(world: &mut World, fault: Fault, id: u64) {
    let back = between(world, 0, 1) == 0;
    let jump_us = between(world, 1_000, 30_000_000) as i64;
    let drift_ppm = between(world, 0, 40_000) as i64;
    let leads = world.leader().is_some_and(|(leader, _)| leader == id);
    if let Some(node) = world.nodes.get_mut(&id) {
        let sign = if back { -1 } else { 1 };
        if fault == Fault::ClockJump {
            node.clock.offset_us += sign * jump_us;
        } else {
            node.clock.drift_ppm = sign * drift_ppm;
        }
    }
    if leads && back && fault == Fault::ClockJump {
        world.tally.note("a clock went back under a leader");
    }
    world.say(|| format!("{fault:?} of replica {id}, back: {back}"));
    world.count(fault);
}

fn hold_up(world: &mut World, fault: Fault, id: u64) {
    let lasts_us = between(world, 50_000, 3_000_000);
    let slow_us = between(world, 1_000, 60_000);
    let until_us = world.now_us + lasts_us;
    if let Some(node) = world.nodes.get_mut(&id) {
        if fault == Fault::PausedProcess {
            node.paused_until_us = until_us;
        } else {
            node.slow_us = slow_us;
            world.later(lasts_us, Happening::Undo(Undo::SlowProcess(id)));
        }
    }
    world.say(|| format!("{fault:?} of replica {id} for {lasts_us} µs"));
    world.count(fault);
}

fn transfer(world: &mut World) {
    let to = any_replica(world);
    if let Some((leader, _)) = world.leader()
        && leader != to
    {
        world.say(|| format!("replica {leader} is asked to hand over to {to}"));
        world.planner.transfer_until_us = world.now_us + 1_000_000;
        world.arrive(leader, Input::Transfer(ReplicaId(to)));
    }
}

/// Cuts off a follower alone for many election timeouts, with nothing else wrong.
fn send_away(world: &mut World) {
    let id = any_replica(world);
    let Some((leader, epoch)) = world.leader() else {
        return;
    };
    let handed_over = world.now_us < world.planner.transfer_until_us;
    if leader == id || handed_over || !is_calm(world) {
        return;
    }
    world.say(|| format!("replica {id} is sent away"));
    world.network.cut(id, world.replicas);
    let away_us = between(world, 1_000_000, 3_000_000);
    world.planner.quiet_until_us = world.now_us + away_us + 1_500_000;
    world.later(away_us, Happening::Undo(Undo::Return(id, epoch)));
}

/// Ends a fault.
pub(crate) fn undo(world: &mut World, undo: Undo) {
    if world.planner.ended && !matches!(undo, Undo::Power(_)) {
        return;
    }
    match undo {
        Undo::Weather => world.network.weather = Weather::default(),
        Undo::Links => world.network.join(),
        Undo::Disk(id) => world.nodes[&id].disk.heal(),
        Undo::SlowProcess(id) => {
            if let Some(node) = world.nodes.get_mut(&id) {
                node.slow_us = 0;
            }
        }
        Undo::Power(id) => {
            world.say(|| format!("power of replica {id} fails"));
            world.kill(id, true);
            world.restart_in(id, 300_000);
        }
        Undo::Return(id, epoch) => {
            world.say(|| format!("replica {id} comes back"));
            world.network.join();
            world.later(1_400_000, Happening::Undo(Undo::Look(epoch)));
        }
        Undo::Look(before) => {
            let after = world.leader().map_or(Epoch(0), |(_, epoch)| epoch);
            world.see(&Seen::Returned { before, after });
        }
    }
}

/// All faults end.
pub(crate) fn end(world: &mut World) {
    world.say(|| "all faults end".into());
    world.planner.ended = true;
    world.network.heal();
    let ids: Vec<u64> = world.nodes.keys().copied().collect();
    for id in ids {
        if let Some(node) = world.nodes.get_mut(&id) {
            node.disk.heal();
            node.slow_us = 0;
            node.paused_until_us = 0;
            if node.process.is_none() {
                world.restart_in(id, 10_000);
            }
        }
    }
}

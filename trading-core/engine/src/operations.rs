//! The one operation that runs, its lease and its journal of steps, and those that ended.
//!
//! Every record may come twice: the second time it changes nothing.

use crate::Shard;
use crate::listing::MarketBook;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use types::{
    ControlOutcome, Operation, OperationBounds as Bounds, OperationKind, OperationOutcome,
    OperationRecord, OperationRefusal, OperationStep, PreferredLeader, UnixMicros,
};

/// What the log knows of operations. Replicated state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operations {
    /// The one that runs.
    pub running: Option<Operation>,
    /// Those that ended, the newest first, at most [`Bounds::ENDED_MAX`].
    pub ended: VecDeque<Operation>,
    /// Where the last operation that moved leadership put it.
    pub preferred: Option<PreferredLeader>,
}

impl<B: MarketBook> Shard<B> {
    pub(crate) fn operation(&mut self, record: &OperationRecord) -> ControlOutcome {
        let now = self.facts.context.leader_time;
        match self.facts.operations.apply(record, now) {
            Ok(()) => ControlOutcome::Done,
            Err(refusal) => {
                self.facts.counters.refused += 1;
                ControlOutcome::OperationRefused(refusal)
            }
        }
    }
}

impl Operations {
    /// Takes up a record at a time of the log.
    ///
    /// # Errors
    /// [`OperationRefusal`]; nothing has changed then.
    pub fn apply(
        &mut self,
        record: &OperationRecord,
        now: UnixMicros,
    ) -> Result<(), OperationRefusal> {
        match record {
            OperationRecord::Begin {
                name,
                kind,
                digest,
                holder,
                ttl_ms,
            } => {
                check("name", name.len(), Bounds::NAME_BYTES_MAX)?;
                check("holder", holder.len(), Bounds::NAME_BYTES_MAX)?;
                check("ttl_ms", *ttl_ms as usize, Bounds::TTL_MS_MAX as usize)?;
                self.begin(name, *kind, *digest, holder, until(now, *ttl_ms), now)
            }
            OperationRecord::Step {
                name,
                holder,
                ttl_ms,
                step,
                detail,
            } => {
                check("step", step.len(), Bounds::STEP_BYTES_MAX)?;
                check("detail", detail.len().max(1), Bounds::DETAIL_BYTES_MAX)?;
                check("ttl_ms", *ttl_ms as usize, Bounds::TTL_MS_MAX as usize)?;
                let running = self.held(name, holder)?;
                if running.steps.last().is_none_or(|last| last.name != *step) {
                    check("steps", running.steps.len() + 1, Bounds::STEPS_MAX)?;
                    running.steps.push(OperationStep {
                        name: step.clone(),
                        at: now,
                        detail: detail.clone(),
                    });
                }
                running.until = until(now, *ttl_ms);
                Ok(())
            }
            OperationRecord::End {
                name,
                holder,
                outcome,
                detail,
                preferred,
            } => {
                check("detail", detail.len().max(1), Bounds::DETAIL_BYTES_MAX)?;
                if self.ended.iter().any(|ended| ended.name == *name) {
                    return Ok(());
                }
                self.held(name, holder)?;
                self.end(*outcome, detail, now);
                if preferred.is_some() {
                    self.preferred.clone_from(preferred);
                }
                Ok(())
            }
        }
    }

    /// An operation that is remembered, running or ended.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Operation> {
        let all = self.running.iter().chain(&self.ended);
        all.into_iter().find(|operation| operation.name == name)
    }

    fn begin(
        &mut self,
        name: &str,
        kind: OperationKind,
        digest: [u8; 32],
        holder: &str,
        until: UnixMicros,
        now: UnixMicros,
    ) -> Result<(), OperationRefusal> {
        if let Some(known) = self.find(name) {
            if known.digest != digest || known.kind != kind {
                return Err(OperationRefusal::NameTaken { name: name.into() });
            }
            if known.outcome.is_some() {
                return Ok(());
            }
        }
        if let Some(running) = &mut self.running {
            if running.name == name && (running.holder == holder || is_over(running, now)) {
                holder.clone_into(&mut running.holder);
                running.until = until;
                return Ok(());
            }
            let abandoned = running.until.0 + u64::from(Bounds::ABANDONED_AFTER_MS) * 1_000;
            if running.name == name || (now.0 < abandoned && !is_beyond(running, now)) {
                return Err(held(running));
            }
            let detail = format!("its holder {} was not heard of again", running.holder);
            self.end(OperationOutcome::Abandoned, &detail, now);
        }
        self.running = Some(Operation {
            name: name.to_owned(),
            kind,
            digest,
            holder: holder.to_owned(),
            until,
            began_at: now,
            steps: Vec::new(),
            outcome: None,
            ended_at: UnixMicros(0),
        });
        Ok(())
    }

    /// The running operation, if it is this one and its holder asks.
    fn held(&mut self, name: &str, holder: &str) -> Result<&mut Operation, OperationRefusal> {
        let running = self.running.as_mut().filter(|running| running.name == name);
        let running = running.ok_or_else(|| OperationRefusal::NotRunning { name: name.into() })?;
        if running.holder == holder {
            Ok(running)
        } else {
            Err(held(running))
        }
    }

    fn end(&mut self, outcome: OperationOutcome, detail: &str, now: UnixMicros) {
        let Some(mut operation) = self.running.take() else {
            return;
        };
        operation.outcome = Some(outcome);
        operation.ended_at = now;
        // The end is always told, whatever steps there were.
        operation.steps.truncate(Bounds::STEPS_MAX - 1);
        operation.steps.push(OperationStep {
            name: "End".to_owned(),
            at: now,
            detail: detail.to_owned(),
        });
        self.ended.push_front(operation);
        self.ended.truncate(Bounds::ENDED_MAX);
    }
}

fn until(now: UnixMicros, ttl_ms: u32) -> UnixMicros {
    UnixMicros(now.0.saturating_add(u64::from(ttl_ms) * 1_000))
}

/// An end further away than any lease may last shows that the leader that granted it had a clock far
/// ahead of today's.
fn is_beyond(operation: &Operation, now: UnixMicros) -> bool {
    operation.until > until(now, Bounds::TTL_MS_MAX)
}

fn is_over(operation: &Operation, now: UnixMicros) -> bool {
    operation.until <= now || is_beyond(operation, now)
}

fn held(running: &Operation) -> OperationRefusal {
    OperationRefusal::Held {
        name: running.name.clone(),
        kind: running.kind,
        holder: running.holder.clone(),
        until: running.until,
    }
}

fn check(field: &str, found: usize, max: usize) -> Result<(), OperationRefusal> {
    if (1..=max).contains(&found) {
        return Ok(());
    }
    Err(OperationRefusal::Bounds {
        field: field.to_owned(),
        found: found as u64,
        max: max as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{CenterName, ReplicaId};

    const SECOND: u64 = 1_000_000;

    fn begin(name: &str, holder: &str) -> OperationRecord {
        OperationRecord::Begin {
            name: name.into(),
            kind: OperationKind::Switchover,
            digest: [1; 32],
            holder: holder.into(),
            ttl_ms: 10_000,
        }
    }

    fn step(name: &str, holder: &str, step: &str) -> OperationRecord {
        OperationRecord::Step {
            name: name.into(),
            holder: holder.into(),
            ttl_ms: 10_000,
            step: step.into(),
            detail: String::new(),
        }
    }

    fn end(name: &str, holder: &str) -> OperationRecord {
        OperationRecord::End {
            name: name.into(),
            holder: holder.into(),
            outcome: OperationOutcome::Succeeded,
            detail: "done".into(),
            preferred: Some(PreferredLeader {
                replica: ReplicaId(2),
                declared: CenterName::new("a1").unwrap(),
            }),
        }
    }

    fn at(second: u64) -> UnixMicros {
        UnixMicros(second * SECOND)
    }

    fn steps(operation: &Operation) -> Vec<&str> {
        operation.steps.iter().map(|s| s.name.as_str()).collect()
    }

    #[test]
    fn one_operation_runs_at_a_time_and_the_refusal_names_it() {
        let mut log = Operations::default();
        log.apply(&begin("ns/first", "a1"), at(1)).unwrap();
        let refused = log.apply(&begin("ns/second", "a2"), at(2)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "Switchover ns/first runs, held by a1 until 11000000 µs: wait until it has ended"
        );
        log.apply(&end("ns/first", "a1"), at(3)).unwrap();
        log.apply(&begin("ns/second", "a2"), at(4)).unwrap();
        assert_eq!(log.running.as_ref().unwrap().name, "ns/second");
    }

    #[test]
    fn every_record_may_come_twice() {
        let mut log = Operations::default();
        let records = [
            begin("ns/move", "a1"),
            step("ns/move", "a1", "Transfer"),
            end("ns/move", "a1"),
        ];
        for record in &records {
            log.apply(record, at(1)).unwrap();
            let once = log.clone();
            log.apply(record, at(1)).unwrap();
            assert_eq!(log, once);
        }
        // Nor does an ended one begin again.
        log.apply(&begin("ns/move", "a2"), at(100)).unwrap();
        assert_eq!(log.running, None);
        let ended = log.find("ns/move").unwrap();
        assert_eq!(ended.outcome, Some(OperationOutcome::Succeeded));
        assert_eq!(steps(ended), ["Transfer", "End"]);
        assert_eq!(log.preferred.as_ref().unwrap().replica, ReplicaId(2));
    }

    #[test]
    fn another_center_goes_on_from_the_same_step_once_the_lease_is_over() {
        let mut log = Operations::default();
        log.apply(&begin("ns/move", "a1"), at(1)).unwrap();
        log.apply(&step("ns/move", "a1", "Transfer"), at(5))
            .unwrap();
        // The step renewed it until second 15.
        assert!(log.apply(&begin("ns/move", "b1"), at(14)).is_err());
        log.apply(&begin("ns/move", "b1"), at(15)).unwrap();
        assert_eq!(steps(log.running.as_ref().unwrap()), ["Transfer"]);
        // And the first, coming back, is told.
        let late = log.apply(&step("ns/move", "a1", "Verify"), at(16));
        assert!(matches!(late, Err(OperationRefusal::Held { .. })));
    }

    #[test]
    fn the_same_name_with_another_request_is_refused() {
        let mut log = Operations::default();
        log.apply(&begin("ns/move", "a1"), at(1)).unwrap();
        let OperationRecord::Begin {
            name,
            kind,
            holder,
            ttl_ms,
            ..
        } = begin("ns/move", "a1")
        else {
            unreachable!()
        };
        let other = OperationRecord::Begin {
            name,
            kind,
            digest: [2; 32],
            holder,
            ttl_ms,
        };
        let refused = log.apply(&other, at(2)).unwrap_err();
        assert!(matches!(refused, OperationRefusal::NameTaken { .. }));
    }

    #[test]
    fn what_nobody_goes_on_with_gives_way_in_the_end() {
        let mut log = Operations::default();
        log.apply(&begin("ns/first", "a1"), at(1)).unwrap();
        assert!(log.apply(&begin("ns/second", "a2"), at(610)).is_err());
        log.apply(&begin("ns/second", "a2"), at(611)).unwrap();
        let first = log.find("ns/first").unwrap();
        assert_eq!(first.outcome, Some(OperationOutcome::Abandoned));
    }

    #[test]
    fn a_lease_of_a_leader_whose_clock_was_far_ahead_blocks_nobody() {
        let mut log = Operations::default();
        log.apply(&begin("ns/first", "a1"), at(1_000_000)).unwrap();
        log.apply(&begin("ns/second", "a2"), at(10)).unwrap();
        assert_eq!(log.running.as_ref().unwrap().name, "ns/second");
    }

    #[test]
    fn what_is_too_long_is_refused_with_the_bound() {
        let mut log = Operations::default();
        let refused = log.apply(&begin(&"x".repeat(321), "a1"), at(1));
        assert_eq!(
            refused.unwrap_err().to_string(),
            "name is 321: accepted are 1 to 320"
        );
        log.apply(&begin("ns/move", "a1"), at(1)).unwrap();
        for number in 0..Bounds::STEPS_MAX {
            let record = step("ns/move", "a1", &format!("step {number}"));
            log.apply(&record, at(2)).unwrap();
        }
        assert!(log.apply(&step("ns/move", "a1", "more"), at(2)).is_err());
        log.apply(&end("ns/move", "a1"), at(3)).unwrap();
        let ended = &log.ended[0];
        assert_eq!(ended.steps.len(), Bounds::STEPS_MAX);
        assert_eq!(ended.steps.last().unwrap().name, "End");
    }

    #[test]
    fn only_so_many_ended_operations_are_remembered() {
        let mut log = Operations::default();
        for number in 0..Bounds::ENDED_MAX + 3 {
            let name = format!("ns/{number}");
            log.apply(&begin(&name, "a1"), at(1)).unwrap();
            log.apply(&end(&name, "a1"), at(1)).unwrap();
        }
        assert_eq!(log.ended.len(), Bounds::ENDED_MAX);
        assert!(log.find("ns/0").is_none() && log.find("ns/18").is_some());
    }
}

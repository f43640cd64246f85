//! A planned move as a run's disturbance: a `Switchover`, as a person would apply one.

use super::centers::Centers;
use crate::ground::cluster::Cluster;
use crate::ground::power::now_us;
use crate::progress::Detail;
use anyhow::{Context as _, Result, ensure};
use crds::{Switchover, SwitchoverPhase, SwitchoverSpec};
use kube::api::{Api, PostParams};
use std::sync::OnceLock;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// From applied to ended; the longest deadline of a move that this asks for is shorter.
const END_LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(200);
const DEADLINE_SECONDS: u32 = 30;
const WAIT_SECONDS: u32 = 20;
/// The design's objective for a planned move.
const GAP_MS_MAX: u32 = 50;

/// One planned move.
#[derive(Debug, Default)]
pub struct PlannedMove {
    /// Where to; another center of the leader's site, or else the first other one, when not said.
    pub to: Option<String>,
    name: OnceLock<String>,
}

impl PlannedMove {
    /// A move to a center, or to one that is chosen when it begins.
    #[must_use]
    pub fn new(to: Option<String>) -> Self {
        Self {
            to,
            name: OnceLock::new(),
        }
    }

    /// Applies the `Switchover` in the leader's center. Gives back when, in microseconds since 1970.
    ///
    /// # Errors
    /// When the target leads already or is no center, or the API server refuses it.
    pub async fn begin(&self, centers: &Centers, leader: &str) -> Result<u64> {
        let to = target(centers, leader, self.to.as_deref())?;
        let at_us = now_us();
        let name = format!("lab-run-{at_us}");
        let spec = SwitchoverSpec {
            core: centers.core.clone(),
            to: to.to_owned(),
            reason: "a planned move under load, by lab run".to_owned(),
            dry_run: false,
            allow_in_auction: false,
            wait_seconds: WAIT_SECONDS,
            deadline_seconds: DEADLINE_SECONDS,
            gap_ms_max: GAP_MS_MAX,
        };
        self.api(centers, leader)
            .await?
            .create(&PostParams::default(), &Switchover::new(&name, spec))
            .await
            .with_context(|| format!("failed to apply Switchover {name} in {leader}"))?;
        // Set once: a run has one disturbance.
        let _ = self.name.set(name);
        Ok(at_us)
    }

    /// Waits until the move has ended.
    ///
    /// # Errors
    /// When it did not succeed, with what it says of itself.
    pub async fn ended(&self, centers: &Centers, leader: &str, detail: &Detail) -> Result<()> {
        let name = self
            .name
            .get()
            .context("failed to find the move: none was begun")?;
        let api = self.api(centers, leader).await?;
        let until = Instant::now() + END_LIMIT;
        loop {
            let status = api
                .get_status(name)
                .await
                .with_context(|| format!("failed to read Switchover {name} in {leader}"))?
                .status
                .unwrap_or_default();
            let said = status.message.unwrap_or_default();
            match status.phase {
                Some(SwitchoverPhase::Succeeded) => {
                    detail.set(said);
                    return Ok(());
                }
                Some(phase) => ensure!(!phase.is_final(), "the move is {}: {said}", phase.as_str()),
                None => {}
            }
            ensure!(
                Instant::now() < until,
                "the move has not ended after {} s: {said}",
                END_LIMIT.as_secs()
            );
            sleep(LOOK_EVERY).await;
        }
    }

    async fn api(&self, centers: &Centers, center: &str) -> Result<Api<Switchover>> {
        let cluster = Cluster::connect(&centers.get(center)?.kubeconfig).await?;
        Ok(Api::namespaced(cluster.client(), &centers.namespace))
    }
}

/// The center to move to: the one that was asked for, or a neighbour.
fn target<'a>(centers: &'a Centers, leader: &str, asked: Option<&str>) -> Result<&'a str> {
    let names = || centers.all.iter().map(|access| access.name.as_str());
    if let Some(asked) = asked {
        let all: Vec<&str> = names().collect();
        ensure!(
            asked != leader,
            "--to {asked} is not accepted: {asked} leads already; name one of {}",
            all.join(", ")
        );
        return names().find(|name| *name == asked).with_context(|| {
            format!(
                "--to {asked} is not accepted: the centers are {}",
                all.join(", ")
            )
        });
    }
    // Centers are named after their site: a1 and a2 stand in A.
    let site = leader.chars().next();
    names()
        .filter(|name| *name != leader)
        .min_by_key(|name| name.chars().next() != site)
        .context("failed to choose where to move: there is one center only")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::centers::Access;

    fn centers() -> Centers {
        let access = |name: &str| Access {
            name: name.to_owned(),
            administration: String::new(),
            entry: String::new(),
            kubeconfig: "kubeconfig".into(),
        };
        Centers {
            all: ["a1", "a2", "b1"].map(access).into(),
            namespace: "trading".to_owned(),
            core: "core".to_owned(),
        }
    }

    #[test]
    fn a_move_goes_to_the_leaders_neighbour_unless_another_center_is_named() {
        let centers = centers();
        assert_eq!(target(&centers, "a1", None).unwrap(), "a2");
        assert_eq!(target(&centers, "a2", None).unwrap(), "a1");
        assert_eq!(target(&centers, "b1", None).unwrap(), "a1");
        assert_eq!(target(&centers, "a1", Some("b1")).unwrap(), "b1");
    }

    #[test]
    fn a_move_to_the_leader_or_to_nowhere_is_refused_by_name() {
        let centers = centers();
        let refused = |to| target(&centers, "a1", Some(to)).unwrap_err().to_string();
        assert!(refused("a1").contains("--to a1 is not accepted: a1 leads already"));
        assert!(refused("c9").contains("the centers are a1, a2, b1"));
    }
}

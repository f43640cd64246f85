//! A fault on one victim: what is done, and to whom, as a value that can be written down.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use chaos_scenario::{Acted, Fault, PlannedFault, Proof, Victim};
use lab::ground::address_plan::Center;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::ground::Ground;
use crate::{control_plane, journal, kubernetes, limit, link, packets, power, process};

/// A fault on one victim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Strike {
    /// On a link.
    Link(link::Strike),
    /// On a center's packets.
    Packets(packets::Strike),
    /// On a process.
    Process(process::Strike),
    /// On a process' limits.
    Limit(limit::Strike),
    /// Through a Kubernetes API.
    Kubernetes(kubernetes::Strike),
    /// On a center's components.
    ControlPlane(control_plane::Strike),
    /// On a center's power.
    Power(power::Strike),
    /// On a journal.
    Journal(journal::Strike),
}

/// What must be known to take a fault back and to tell whether it acts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Inverse {
    /// Of a link.
    Link(link::Inverse),
    /// Of packets.
    Packets(packets::Inverse),
    /// Of a process.
    Process(process::Inverse),
    /// Of a limit.
    Limit(limit::Inverse),
    /// Of Kubernetes.
    Kubernetes(kubernetes::Inverse),
    /// Of components.
    ControlPlane,
    /// Of power.
    Power(power::Inverse),
    /// Of a journal.
    Journal(journal::Inverse),
}

/// What goes on while a fault lasts; ends when dropped.
#[derive(Debug, Default)]
pub struct Background {
    /// How often it struck.
    pub strikes: Arc<AtomicU64>,
    task: Option<JoinHandle<()>>,
}

impl Background {
    /// The same counter, without the work.
    #[must_use]
    pub fn counter(&self) -> Self {
        Self {
            strikes: self.strikes.clone(),
            task: None,
        }
    }

    pub(crate) fn of(strikes: Arc<AtomicU64>, task: JoinHandle<()>) -> Self {
        Self {
            strikes,
            task: Some(task),
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// The strikes of a planned fault, one a victim. `id` names what they leave on the ground.
///
/// # Errors
/// When a victim is none of the lab's.
pub fn strikes(planned: &PlannedFault, id: &str) -> Result<Vec<Strike>, Error> {
    planned
        .victims
        .iter()
        .enumerate()
        .map(|(number, victim)| strike(&planned.fault.fault, victim, &format!("{id}-{number}")))
        .collect()
}

fn strike(fault: &Fault, victim: &Victim, id: &str) -> Result<Strike, Error> {
    let unknown = |reason: String| Error::Prepare {
        fault: fault.driver().name(),
        target: victim.to_string(),
        reason,
    };
    let center = || match victim {
        Victim::Center(name) => name
            .parse::<Center>()
            .map_err(|error| unknown(error.to_string())),
        Victim::Link { .. } => Err(unknown("a link is no center".to_owned())),
    };
    Ok(match fault {
        Fault::Link { on, toxic } => {
            let Victim::Link { from, to } = victim else {
                return Err(unknown("a center is no link".to_owned()));
            };
            let found = link::Strike::new(from, to, on.traffic, on.way, *toxic, id);
            Strike::Link(found.map_err(unknown)?)
        }
        Fault::Packets {
            filter,
            traffic,
            way,
            ..
        } => Strike::Packets(packets::Strike::new(center()?, *filter, *traffic, *way, id)),
        Fault::Process {
            process, action, ..
        } => Strike::Process(process::Strike {
            center: center()?,
            process: *process,
            action: *action,
        }),
        Fault::Limit { process, limit, .. } => Strike::Limit(limit::Strike {
            center: center()?,
            process: *process,
            limit: *limit,
        }),
        Fault::Kubernetes { action, .. } => Strike::Kubernetes(kubernetes::Strike {
            center: center()?,
            action: action.clone(),
            id: id.to_lowercase(),
        }),
        Fault::ControlPlane { parts, action, .. } => Strike::ControlPlane(control_plane::Strike {
            center: center()?,
            parts: parts.clone(),
            action: *action,
        }),
        Fault::Power { .. } => Strike::Power(power::Strike { center: center()? }),
        Fault::Journal { damage, .. } => Strike::Journal(journal::Strike {
            center: center()?,
            damage: *damage,
        }),
    })
}

impl Strike {
    /// The driver's name.
    #[must_use]
    pub const fn driver(&self) -> &'static str {
        match self {
            Self::Link(_) => "toxiproxy",
            Self::Packets(_) => "nftables",
            Self::Process(_) => "process",
            Self::Limit(_) => "limit",
            Self::Kubernetes(_) => "kubernetes",
            Self::ControlPlane(_) => "control plane",
            Self::Power(_) => "power",
            Self::Journal(_) => "journal",
        }
    }

    /// What it holds; no two faults hold the same.
    #[must_use]
    pub fn target(&self) -> String {
        match self {
            Self::Link(strike) => strike.target(),
            Self::Packets(strike) => strike.target(),
            Self::Process(strike) => strike.target(),
            Self::Limit(strike) => strike.target(),
            Self::Kubernetes(strike) => strike.target(),
            Self::ControlPlane(strike) => strike.target(),
            Self::Power(strike) => format!("power {}", strike.center),
            Self::Journal(strike) => format!("journal {}", strike.center),
        }
    }

    fn prepare_failed(&self) -> impl Fn(String) -> Error + '_ {
        |reason| Error::Prepare {
            fault: self.driver(),
            target: self.target(),
            reason,
        }
    }

    /// Looks at the victim and says what will take the fault back. Changes nothing.
    ///
    /// # Errors
    /// [`Error::Prepare`] when the victim is not there.
    pub async fn prepare(&self, ground: &Ground) -> Result<Inverse, Error> {
        let prepared = match self {
            Self::Link(strike) => strike.prepare().await.map(Inverse::Link),
            Self::Packets(strike) => Ok(Inverse::Packets(strike.prepare())),
            Self::Process(strike) => strike.prepare(ground).await.map(Inverse::Process),
            Self::Limit(strike) => strike.prepare(ground).await.map(Inverse::Limit),
            Self::Kubernetes(strike) => strike.prepare(ground).await.map(Inverse::Kubernetes),
            Self::ControlPlane(strike) => {
                strike.prepare(ground).await.map(|()| Inverse::ControlPlane)
            }
            Self::Power(strike) => strike.prepare(ground).map(Inverse::Power),
            Self::Journal(strike) => strike.prepare(ground).await.map(Inverse::Journal),
        };
        prepared.map_err(self.prepare_failed())
    }

    /// Makes the fault. Only after its lease is on the disk: [`crate::Leases::take`].
    ///
    /// # Errors
    /// [`Error::Apply`]; a part may have been made then, and must be taken back.
    pub async fn apply(&self, inverse: &Inverse, ground: &Ground) -> Result<Background, Error> {
        let done = match (self, inverse) {
            (Self::Link(strike), _) => strike.apply().await,
            (Self::Packets(strike), _) => strike.apply().await,
            (Self::Process(strike), Inverse::Process(inverse)) => {
                return strike
                    .apply(inverse, ground)
                    .await
                    .map_err(|reason| self.apply_failed(reason));
            }
            (Self::Limit(strike), Inverse::Limit(inverse)) => strike.apply(inverse),
            (Self::Kubernetes(strike), Inverse::Kubernetes(inverse)) => {
                strike.apply(inverse, ground).await
            }
            (Self::ControlPlane(strike), _) => strike.apply(ground).await,
            (Self::Power(strike), _) => strike.apply(ground).await,
            (Self::Journal(strike), Inverse::Journal(inverse)) => {
                strike.apply(inverse, ground).await
            }
            _ => Err(MISMATCH.to_owned()),
        };
        done.map(|()| Background::default())
            .map_err(|reason| self.apply_failed(reason))
    }

    fn apply_failed(&self, reason: String) -> Error {
        Error::Apply {
            fault: self.driver(),
            target: self.target(),
            reason,
        }
    }

    /// Looks whether the fault acts, for up to `limit`.
    pub async fn observe(
        &self,
        inverse: &Inverse,
        background: &Background,
        ground: &Ground,
        limit: Duration,
    ) -> Acted {
        let seen = match (self, inverse) {
            (Self::Link(strike), Inverse::Link(inverse)) => strike.observe(inverse, limit).await,
            (Self::Packets(strike), _) => strike.observe(limit).await,
            (Self::Process(strike), Inverse::Process(inverse)) => {
                strike.observe(inverse, background, limit).await
            }
            (Self::Limit(strike), Inverse::Limit(inverse)) => strike.observe(inverse, limit).await,
            (Self::Kubernetes(strike), Inverse::Kubernetes(inverse)) => {
                strike.observe(inverse, ground, limit).await
            }
            (Self::ControlPlane(strike), _) => strike.observe(ground, limit).await,
            (Self::Power(_), Inverse::Power(inverse)) => inverse.observe(limit).await,
            (Self::Journal(_), Inverse::Journal(inverse)) => inverse.observe(),
            _ => Err(MISMATCH.to_owned()),
        };
        match seen {
            Ok(seen) => Acted::Seen(format!("{}: {seen}", self.target())),
            Err(looked) => Acted::NotSeen(format!("{}: {looked}", self.target())),
        }
    }

    /// Takes the fault back. May be called again, and by more than one.
    ///
    /// # Errors
    /// [`Error::Recover`]; calling again may help.
    pub async fn recover(&self, inverse: &Inverse, ground: &Ground) -> Result<(), Error> {
        let done = match (self, inverse) {
            (Self::Link(strike), _) => strike.recover().await,
            (Self::Packets(strike), _) => strike.recover().await,
            (Self::Process(_), Inverse::Process(inverse)) => {
                inverse.recover();
                Ok(())
            }
            (Self::Limit(_), Inverse::Limit(inverse)) => inverse.recover(),
            (Self::Kubernetes(strike), Inverse::Kubernetes(inverse)) => {
                strike.recover(inverse, ground).await
            }
            (Self::ControlPlane(strike), _) => strike.recover(ground).await,
            (Self::Power(strike), _) => strike.recover(ground).await,
            (Self::Journal(strike), _) => strike.recover(ground).await,
            _ => Err(MISMATCH.to_owned()),
        };
        done.map_err(|reason| Error::Recover {
            fault: self.driver(),
            target: self.target(),
            reason,
        })
    }

    /// Looks whether the fault is gone, for up to `limit`.
    pub async fn prove(&self, inverse: &Inverse, ground: &Ground, limit: Duration) -> Proof {
        let proved = match (self, inverse) {
            (Self::Link(strike), _) => strike.prove().await,
            (Self::Packets(strike), _) => strike.prove().await,
            (Self::Process(strike), Inverse::Process(inverse)) => {
                strike.prove(inverse, ground, limit).await
            }
            (Self::Limit(_), Inverse::Limit(inverse)) => inverse.prove(),
            (Self::Kubernetes(strike), Inverse::Kubernetes(inverse)) => {
                strike.prove(inverse, ground, limit).await
            }
            (Self::ControlPlane(strike), _) => strike.prove(ground, limit).await,
            (Self::Power(strike), _) => strike.prove(ground),
            (Self::Journal(strike), _) => strike.prove(ground, limit).await,
            _ => Err(MISMATCH.to_owned()),
        };
        match proved {
            Ok(seen) => Proof::Gone(format!("{}: {seen}", self.target())),
            Err(seen) => Proof::Unproven(format!("{}: {seen}", self.target())),
        }
    }
}

const MISMATCH: &str = "the lease's inverse is that of another driver";

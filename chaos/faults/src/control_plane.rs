//! Parts of a center's control plane: killed and kept dead, or frozen.

use std::time::Duration;

use chaos_scenario::{ComponentAction, ControlPlanePart};
use lab::ground::address_plan::Center;
use lab::ground::components::Component;
use lab::ground::control::{self, Request};
use lab::ground::power;
use lab::ground::state::ProcessIdentity;
use lab::ground::supervisor::State;
use lab::progress::Detail;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::ground::{Ground, look_until};
use crate::process::{is_stopped, send_all};

/// Parts of one center.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Strike {
    /// The center.
    pub center: Center,
    /// The parts, in the order in which they are struck.
    pub parts: Vec<ControlPlanePart>,
    /// What is done.
    pub action: ComponentAction,
}

const fn component(part: ControlPlanePart) -> Component {
    match part {
        ControlPlanePart::Etcd => Component::Etcd,
        ControlPlanePart::ApiServer => Component::Apiserver,
        ControlPlanePart::ControllerManager => Component::ControllerManager,
        ControlPlanePart::Scheduler => Component::Scheduler,
        ControlPlanePart::Kubelet => Component::Kubelet,
        ControlPlanePart::KubeProxy => Component::KubeProxy,
        ControlPlanePart::Containerd => Component::Containerd,
    }
}

impl Strike {
    pub(crate) fn target(&self) -> String {
        format!("control plane {}", self.center)
    }

    async fn process(
        &self,
        ground: &Ground,
        part: ControlPlanePart,
    ) -> Result<Option<ProcessIdentity>, String> {
        let pid = power::component_process(ground.folder(), self.center, component(part))
            .await
            .map_err(|error| format!("{error:#}"))?;
        Ok(pid.and_then(ProcessIdentity::of))
    }

    pub(crate) async fn prepare(&self, ground: &Ground) -> Result<(), String> {
        for part in &self.parts {
            if self.process(ground, *part).await?.is_none() {
                return Err(format!("{} does not run", component(*part)));
            }
        }
        Ok(())
    }

    pub(crate) async fn apply(&self, ground: &Ground) -> Result<(), String> {
        for part in &self.parts {
            match self.action {
                ComponentAction::Stop => {
                    power::stop_component(ground.folder(), self.center, component(*part))
                        .await
                        .map_err(|error| format!("{error:#}"))?;
                }
                ComponentAction::Pause => {
                    let process = self.process(ground, *part).await?;
                    let process =
                        process.ok_or_else(|| format!("{} does not run", component(*part)))?;
                    send_all(&[process], Signal::STOP);
                }
            }
        }
        Ok(())
    }

    pub(crate) async fn observe(&self, ground: &Ground, limit: Duration) -> Result<String, String> {
        look_until(limit, || async {
            let mut seen = Vec::new();
            for part in &self.parts {
                let name = component(*part);
                let process = self.process(ground, *part).await?;
                match (self.action, process) {
                    (ComponentAction::Stop, None) => seen.push(format!("{name} is dead")),
                    (ComponentAction::Pause, Some(process)) if is_stopped(process) => {
                        seen.push(format!("{name} is frozen"));
                    }
                    _ => return Err(format!("{name} still runs")),
                }
            }
            Ok(seen.join(", "))
        })
        .await
    }

    pub(crate) async fn recover(&self, ground: &Ground) -> Result<(), String> {
        for part in self.parts.iter().rev() {
            if let Some(process) = self.process(ground, *part).await? {
                send_all(&[process], Signal::CONT);
            } else {
                power::start_component(ground.folder(), self.center, component(*part))
                    .await
                    .map_err(|error| format!("{error:#}"))?;
            }
        }
        Ok(())
    }

    pub(crate) async fn prove(&self, ground: &Ground, limit: Duration) -> Result<String, String> {
        let all: Vec<Component> = self.parts.iter().map(|part| component(*part)).collect();
        let detail = Detail::default();
        let serving = power::wait_for(ground.folder(), self.center, &all, &detail);
        tokio::time::timeout(limit, serving)
            .await
            .map_err(|_| "it does not serve again in time".to_owned())?
            .map_err(|error| format!("{error:#}"))?;
        for part in &self.parts {
            if let Some(process) = self.process(ground, *part).await?
                && is_stopped(process)
            {
                return Err(format!("{} is still frozen", component(*part)));
            }
        }
        let reply = control::ask(
            &ground.folder().control_socket(self.center),
            &Request::Status,
        )
        .await
        .map_err(|error| error.to_string())?;
        let dead = reply
            .answer
            .components
            .iter()
            .find(|it| it.state == State::Stopped);
        match dead {
            Some(dead) => Err(format!("{} is still dead", dead.component)),
            None => Ok("all serve again".to_owned()),
        }
    }
}

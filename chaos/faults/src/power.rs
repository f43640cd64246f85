//! A center's power switch.

use std::time::Duration;

use lab::ground::address_plan::Center;
use lab::ground::power::{center_off, center_on};
use lab::ground::state::ProcessIdentity;
use lab::progress::Detail;
use serde::{Deserialize, Serialize};

use crate::ground::{Ground, look_until};

/// One center.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Strike {
    /// The center.
    pub center: Center,
}

/// Who was its first process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inverse {
    /// The first process of the center's life before.
    pub first_process: ProcessIdentity,
}

impl Strike {
    fn first_process(&self, ground: &Ground) -> Result<Option<ProcessIdentity>, String> {
        let state = ground.folder().read().map_err(|error| error.to_string())?;
        let state = state.ok_or("there is no lab; `lab up` makes one")?;
        Ok(state
            .centers
            .iter()
            .find(|it| it.name == self.center)
            .and_then(|it| it.process)
            .filter(|process| process.is_alive()))
    }

    pub(crate) fn prepare(&self, ground: &Ground) -> Result<Inverse, String> {
        let first_process = self.first_process(ground)?.ok_or("it is off already")?;
        Ok(Inverse { first_process })
    }

    pub(crate) async fn apply(&self, ground: &Ground) -> Result<(), String> {
        center_off(ground.folder(), self.center)
            .await
            .map(drop)
            .map_err(|error| format!("{error:#}"))
    }

    pub(crate) async fn recover(&self, ground: &Ground) -> Result<(), String> {
        center_on(ground.folder(), self.center, &Detail::default())
            .await
            .map_err(|error| format!("{error:#}"))
    }

    pub(crate) fn prove(&self, ground: &Ground) -> Result<String, String> {
        match self.first_process(ground)? {
            Some(process) => Ok(format!("it is on, first process {}", process.pid)),
            None => Err("it is still off".to_owned()),
        }
    }
}

impl Inverse {
    pub(crate) async fn observe(&self, limit: Duration) -> Result<String, String> {
        look_until(limit, || async {
            match self.first_process.is_alive() {
                true => Err("its first process still lives".to_owned()),
                false => Ok(format!(
                    "its first process, {}, is dead",
                    self.first_process.pid
                )),
            }
        })
        .await
    }
}

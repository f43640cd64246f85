//! Takes the lab away, whole or half-built, and leaves the machine as it was.

use std::time::Duration;

use super::address_plan::Center;
use super::cgroup::{Group, Hierarchies};
use super::state::{Folder, Phase};
use super::{machine, network};
use crate::progress::Progress;

const DEATH_LIMIT: Duration = Duration::from_secs(20);

/// Removes all that the lab made. With `keep_volumes` the replicas' journals stay on disk. Removing
/// nothing is fine.
pub async fn down(folder: &Folder, keep_volumes: bool, progress: &Progress) -> anyhow::Result<()> {
    let _lock = match folder.path().exists() {
        true => Some(folder.lock("lab down")?),
        false => None,
    };
    remove(folder, keep_volumes, progress).await
}

/// The same for who holds the lab's lock already.
pub(super) async fn remove(
    folder: &Folder,
    keep_volumes: bool,
    progress: &Progress,
) -> anyhow::Result<()> {
    // A file that cannot be read stands in nobody's way: all that it tells can be seen elsewhere.
    let state = folder.read().ok().flatten();
    folder
        .update(|state| state.phase = Phase::Removing)
        .or_else(|error| match state {
            Some(_) => Err(error),
            None => Ok(()),
        })?;
    let step = progress.begin("processes");
    let hierarchies = Hierarchies::observe()?;
    let ended = hierarchies.processes(&Group::lab()).len();
    for center in Center::ALL {
        network::silence_leg(center).await?;
    }
    hierarchies.kill(&Group::lab(), DEATH_LIMIT).await?;
    step.finish(&format!("{ended} ended"));

    let step = progress.begin("network and control groups");
    for center in Center::ALL {
        network::remove_leg(center).await?;
    }
    network::remove_bridge().await?;
    hierarchies.remove(&Group::lab())?;
    if let Some(state) = &state {
        for failure in machine::restore(&state.machine_before) {
            progress.say(&failure);
        }
    }
    step.finish("");

    let step = progress.begin("files");
    folder.remove(keep_volumes)?;
    step.finish(if keep_volumes {
        "all but the volumes"
    } else {
        ""
    });
    Ok(())
}

//! Who plays which role now: from a scenario and the world to named victims. Changes nothing.

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, TimedFault};
use crate::scenario::{Scenario, ScenarioId};
use crate::target::{LinkEnd, LinkTarget, Mode, Pool, Selection};

/// A center as far as planning needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CenterFacts {
    /// Its name.
    pub name: String,
    /// Its city.
    pub site: String,
}

/// What planning knows of the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct World {
    /// All centers, in their own order.
    pub centers: Vec<CenterFacts>,
    /// The center whose replica leads.
    pub leader: String,
    /// Chooses where one of several is wanted.
    pub seed: u64,
}

/// Who is struck.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Victim {
    /// Something in a center.
    Center(String),
    /// A link, by its two ends; `clients` or a center's name.
    Link {
        /// One end.
        from: String,
        /// The other.
        to: String,
    },
}

impl std::fmt::Display for Victim {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Center(center) => formatter.write_str(center),
            Self::Link { from, to } => write!(formatter, "{from}>{to}"),
        }
    }
}

/// A fault with its victims.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedFault {
    /// The fault.
    pub fault: TimedFault,
    /// Its victims.
    pub victims: Vec<Victim>,
}

/// A scenario with all victims named.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The scenario.
    pub scenario: ScenarioId,
    /// The world it was made for.
    pub world: World,
    /// The faults.
    pub faults: Vec<PlannedFault>,
}

/// Why a scenario cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A center that is not there.
    #[error(
        "failed to plan {scenario}: fault {fault:?} names center {center:?}: accepted are {accepted}"
    )]
    UnknownCenter {
        /// The scenario.
        scenario: ScenarioId,
        /// The fault.
        fault: String,
        /// What it names.
        center: String,
        /// What there is.
        accepted: String,
    },
    /// A role that nobody plays.
    #[error("failed to plan {scenario}: fault {fault:?} wants {wanted}, and there is none")]
    Nobody {
        /// The scenario.
        scenario: ScenarioId,
        /// The fault.
        fault: String,
        /// Which role.
        wanted: String,
    },
}

/// Names the victims.
///
/// # Errors
/// [`PlanError`] when a center is not known or a role has nobody.
pub fn plan(scenario: &Scenario, world: &World) -> Result<Plan, PlanError> {
    let mut faults = Vec::new();
    for fault in &scenario.faults {
        let roles = Roles {
            scenario: &scenario.id,
            fault: &fault.name,
            world,
        };
        let victims = match &fault.fault {
            Fault::Link { on, .. } => vec![roles.link(on)?],
            Fault::Packets { of, .. }
            | Fault::Process { of, .. }
            | Fault::Limit { of, .. }
            | Fault::Kubernetes { of, .. }
            | Fault::ControlPlane { of, .. }
            | Fault::Power { of }
            | Fault::Journal { of, .. } => {
                roles.select(of)?.into_iter().map(Victim::Center).collect()
            }
        };
        faults.push(PlannedFault {
            fault: fault.clone(),
            victims,
        });
    }
    Ok(Plan {
        scenario: scenario.id.clone(),
        world: world.clone(),
        faults,
    })
}

struct Roles<'a> {
    scenario: &'a ScenarioId,
    fault: &'a str,
    world: &'a World,
}

impl Roles<'_> {
    fn nobody(&self, wanted: &str) -> PlanError {
        PlanError::Nobody {
            scenario: self.scenario.clone(),
            fault: self.fault.to_owned(),
            wanted: wanted.to_owned(),
        }
    }

    fn known(&self, center: &str) -> Result<String, PlanError> {
        let all = &self.world.centers;
        if all.iter().any(|it| it.name == center) {
            return Ok(center.to_owned());
        }
        let names: Vec<&str> = all.iter().map(|it| it.name.as_str()).collect();
        Err(PlanError::UnknownCenter {
            scenario: self.scenario.clone(),
            fault: self.fault.to_owned(),
            center: center.to_owned(),
            accepted: names.join(", "),
        })
    }

    fn followers(&self) -> Vec<String> {
        let all = self.world.centers.iter();
        all.map(|center| center.name.clone())
            .filter(|name| *name != self.world.leader)
            .collect()
    }

    fn near_follower(&self) -> Result<String, PlanError> {
        let all = &self.world.centers;
        let site = all
            .iter()
            .find(|center| center.name == self.world.leader)
            .map(|center| center.site.clone());
        let beside = all
            .iter()
            .find(|center| Some(&center.site) == site.as_ref() && center.name != self.world.leader)
            .map(|center| center.name.clone());
        beside
            .or_else(|| self.followers().into_iter().next())
            .ok_or_else(|| self.nobody("the near follower"))
    }

    fn far_follower(&self) -> Result<String, PlanError> {
        let near = self.near_follower()?;
        self.followers()
            .into_iter()
            .rfind(|name| *name != near)
            .ok_or_else(|| self.nobody("the far follower"))
    }

    fn pool(&self, pool: &Pool) -> Result<Vec<String>, PlanError> {
        Ok(match pool {
            Pool::Leader => vec![self.known(&self.world.leader)?],
            Pool::NearFollower => vec![self.near_follower()?],
            Pool::FarFollower => vec![self.far_follower()?],
            Pool::Followers => self.followers(),
            Pool::All => self
                .world
                .centers
                .iter()
                .map(|center| center.name.clone())
                .collect(),
            Pool::Named(names) => names
                .iter()
                .map(|name| self.known(name))
                .collect::<Result<_, _>>()?,
        })
    }

    fn select(&self, selection: &Selection) -> Result<Vec<String>, PlanError> {
        let pool = self.pool(&selection.pool)?;
        if pool.is_empty() {
            return Err(self.nobody("a center of its pool"));
        }
        let count = match selection.mode {
            Mode::One => 1,
            Mode::All => pool.len(),
            Mode::Fixed(count) => (count as usize).clamp(1, pool.len()),
            Mode::Percent(percent) => (pool.len() * usize::from(percent))
                .div_ceil(100)
                .clamp(1, pool.len()),
        };
        let first = usize::try_from(self.world.seed % pool.len() as u64).unwrap_or_default();
        let mut chosen: Vec<String> = (0..count)
            .map(|offset| pool[(first + offset) % pool.len()].clone())
            .collect();
        chosen.sort();
        Ok(chosen)
    }

    fn end(&self, end: &LinkEnd) -> Result<String, PlanError> {
        match end {
            LinkEnd::Clients => Ok("clients".to_owned()),
            LinkEnd::Leader => self.known(&self.world.leader),
            LinkEnd::NearFollower => self.near_follower(),
            LinkEnd::FarFollower => self.far_follower(),
            LinkEnd::Center(name) => self.known(name),
        }
    }

    fn link(&self, target: &LinkTarget) -> Result<Victim, PlanError> {
        let (from, to) = (self.end(&target.from)?, self.end(&target.to)?);
        if from == to {
            return Err(self.nobody("a link between two different ends"));
        }
        Ok(Victim::Link { from, to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::parse;
    use std::path::Path;

    fn world(leader: &str, seed: u64) -> World {
        let center = |name: &str, site: &str| CenterFacts {
            name: name.to_owned(),
            site: site.to_owned(),
        };
        World {
            centers: vec![center("a1", "A"), center("a2", "A"), center("b1", "B")],
            leader: leader.to_owned(),
            seed,
        }
    }

    fn victims(of: &str, world: &World) -> Result<Vec<String>, PlanError> {
        let text = include_str!("../tests/good.yaml").replace(
            "link: {on: {from: leader, to: nearFollower}, toxic: {latency: {latencyMs: 80}}}",
            &format!("power: {{of: {of}}}"),
        );
        let planned = plan(&parse(Path::new("x"), &text).unwrap(), world)?;
        Ok(planned.faults[0]
            .victims
            .iter()
            .map(ToString::to_string)
            .collect())
    }

    #[test]
    fn roles_follow_the_leader() {
        let near = "{pool: nearFollower}";
        assert_eq!(victims(near, &world("a1", 0)).unwrap(), ["a2"]);
        assert_eq!(victims(near, &world("a2", 0)).unwrap(), ["a1"]);
        assert_eq!(victims(near, &world("b1", 0)).unwrap(), ["a1"]);
        let far = "{pool: farFollower}";
        assert_eq!(victims(far, &world("a1", 0)).unwrap(), ["b1"]);
        assert_eq!(victims(far, &world("b1", 0)).unwrap(), ["a2"]);
    }

    #[test]
    fn the_seed_chooses_and_the_same_seed_chooses_the_same() {
        let one = "{pool: followers}";
        assert_eq!(victims(one, &world("a1", 0)).unwrap(), ["a2"]);
        assert_eq!(victims(one, &world("a1", 1)).unwrap(), ["b1"]);
        assert_eq!(victims(one, &world("a1", 1)), victims(one, &world("a1", 1)));
    }

    #[test]
    fn modes_take_so_many_and_never_more_than_there_are() {
        let all = |mode: &str| {
            victims(&format!("{{pool: all, mode: {mode}}}"), &world("a1", 0))
                .unwrap()
                .len()
        };
        assert_eq!(all("all"), 3);
        assert_eq!(all("{fixed: 2}"), 2);
        assert_eq!(all("{fixed: 9}"), 3);
        assert_eq!(all("{percent: 34}"), 2);
        assert_eq!(all("{percent: 1}"), 1);
    }

    #[test]
    fn a_center_that_is_not_there_is_told_which_there_are() {
        let error = victims("{pool: {named: [c9]}}", &world("a1", 0)).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("\"c9\": accepted are a1, a2, b1"),
            "{error}"
        );
    }

    #[test]
    fn a_link_goes_between_two_ends() {
        let scenario = parse(Path::new("x"), include_str!("../tests/good.yaml")).unwrap();
        let planned = plan(&scenario, &world("a2", 0)).unwrap();
        assert_eq!(planned.faults[0].victims[0].to_string(), "a2>a1");
    }
}

//! The loss of a whole site as a run's disturbance, and the way out of it: a `Takeover` that two people
//! approve, and the site's return.
//!
//! ```text
//!  a1, a2 off ─► Takeover (Form) in b1 ─► two Approvals ─► b1 serves alone
//!                                                              │
//!            group of three ◄─ Takeover (Rejoin) each ◄─ a1, a2 on
//! ```
//!
//! The people are users of the API server that the lab's administrator speaks for, as an identity
//! provider would name them.

use super::centers::Centers;
use crate::ground::address_plan::Center;
use crate::ground::cluster::Cluster;
use crate::ground::power::{self, now_us};
use crate::ground::state::Folder;
use crate::progress::Detail;
use anyhow::{Context as _, Result, ensure};
use crds::conditions::reasons;
use crds::{
    Approval, ApprovalSpec, RequestKind, RequestReference, Takeover, TakeoverAction, TakeoverPhase,
    TakeoverSpec, TakeoverStatus,
};
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, PostParams};
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Longer than a takeover's own deadline, with the silence before it.
const END_LIMIT: Duration = Duration::from_secs(150);
/// From the site's loss until a takeover is no longer refused.
const TAKEN_UP_LIMIT: Duration = Duration::from_secs(60);
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(200);
const DEADLINE_SECONDS: u32 = 120;
const APPROVAL_WAIT_SECONDS: u32 = 120;
const APPROVAL_VALID_SECONDS: u32 = 600;
/// Who asks, and who approves. The one who asks may not approve.
const ASKS: &str = "lab-run-asks";
const APPROVE: [&str; 2] = ["lab-run-approves-1", "lab-run-approves-2"];

/// The loss of a site of two centers.
pub struct SiteLoss {
    folder: Folder,
    /// How long the survivor's checks must have passed before anything is done, in seconds.
    silence_seconds: u32,
}

impl SiteLoss {
    /// In the lab's own centers.
    #[must_use]
    pub fn new(folder: Folder, silence_seconds: u32) -> Self {
        Self {
            folder,
            silence_seconds,
        }
    }

    /// A takeover asked for while all is well must be refused.
    ///
    /// # Errors
    /// When it is not.
    pub async fn ask_by_mistake(&self, centers: &Centers, leader: &str) -> Result<()> {
        let (lost, survivor) = site(leader)?;
        let takeover = self.ask(centers, survivor, &lost).await?;
        let status = wait(centers, survivor, &takeover, has_ended).await?;
        ensure!(
            status.phase == Some(TakeoverPhase::Refused)
                && status.reason.as_deref() == Some(reasons::QUORUM_EXISTS),
            "a takeover asked for while a quorum serves is {}, not refused for it: {}",
            status.phase.map_or("unseen", |phase| phase.as_str()),
            status.message.unwrap_or_default()
        );
        Ok(())
    }

    /// Takes the leader's site away and asks for the takeover, which two people approve. Gives back when
    /// the first center fell silent, in microseconds since 1970.
    ///
    /// # Errors
    /// When the leader's site has not two centers, or an API server refuses what it should take.
    pub async fn begin(&self, centers: &Centers, leader: &str) -> Result<u64> {
        let (lost, survivor) = site(leader)?;
        let [first, second] = lost;
        let at_us = power::center_off(&self.folder, first).await?;
        power::center_off(&self.folder, second).await?;
        let (takeover, digest) = self.ask_until_taken_up(centers, survivor, &lost).await?;
        for person in APPROVE {
            self.approve(centers, survivor, person, &takeover, &digest)
                .await?;
        }
        Ok(at_us)
    }

    /// Asks again while it is refused: the survivor still hears its dead leader for a moment, and a
    /// request is answered for good.
    async fn ask_until_taken_up(
        &self,
        centers: &Centers,
        survivor: Center,
        lost: &[Center],
    ) -> Result<(String, String)> {
        let until = Instant::now() + TAKEN_UP_LIMIT;
        loop {
            let takeover = self.ask(centers, survivor, lost).await?;
            let status = wait(centers, survivor, &takeover, |status| {
                status.digest.is_some() || has_ended(status)
            })
            .await?;
            let said = status.message.unwrap_or_default();
            if status.phase != Some(TakeoverPhase::Refused) {
                let digest = status.digest.with_context(|| {
                    format!("failed to have Takeover {takeover} approved: it has no digest: {said}")
                })?;
                return Ok((takeover, digest));
            }
            ensure!(
                Instant::now() < until,
                "Takeover {takeover} is refused {} s after the site was lost: {said}",
                TAKEN_UP_LIMIT.as_secs()
            );
            sleep(ASK_AGAIN_AFTER).await;
        }
    }

    /// Gives the site its power back, one center after the other, and lets their replicas join again.
    ///
    /// # Errors
    /// When a center does not come up, or its replica is not taken in.
    pub async fn restore(&self, centers: &Centers, leader: &str, detail: &Detail) -> Result<()> {
        let (lost, _) = site(leader)?;
        for center in lost {
            detail.set(format!("{center} gets its power back"));
            power::center_on(&self.folder, center, detail).await?;
        }
        come_back(centers, detail).await
    }

    async fn ask(&self, centers: &Centers, survivor: Center, lost: &[Center]) -> Result<String> {
        let spec = TakeoverSpec {
            lost: lost.iter().map(ToString::to_string).collect(),
            silence_seconds: self.silence_seconds,
            ..request(centers, survivor, TakeoverAction::Form)
        };
        apply(centers, survivor, spec).await
    }

    async fn approve(
        &self,
        centers: &Centers,
        center: Center,
        person: &str,
        takeover: &str,
        digest: &str,
    ) -> Result<()> {
        let requests: Api<Takeover> = api(centers, center, person).await?;
        let request = requests.get(takeover).await?;
        let spec = ApprovalSpec {
            request: RequestReference {
                kind: RequestKind::Takeover,
                name: takeover.to_owned(),
                uid: request.uid().unwrap_or_default(),
            },
            digest: digest.to_owned(),
            approver: person.to_owned(),
            reason: "the site was seen to be off".to_owned(),
            valid_seconds: APPROVAL_VALID_SECONDS,
        };
        let name = format!("{takeover}-{person}");
        let api: Api<Approval> = api(centers, center, person).await?;
        api.create(&PostParams::default(), &Approval::new(&name, spec))
            .await
            .with_context(|| format!("failed to apply Approval {name} in {center}"))?;
        Ok(())
    }
}

/// Brings to its end what runs have begun, this one or one that was killed: a takeover that is under way
/// is waited for, and replicas of a site that was taken over join again. The site's power must be on.
///
/// # Errors
/// When an API server does not answer, or a replica is not taken in.
pub async fn come_back(centers: &Centers, detail: &Detail) -> Result<()> {
    for survivor in Center::ALL {
        let asked: Api<Takeover> = api(centers, survivor, ASKS).await?;
        for takeover in asked.list(&ListParams::default()).await? {
            if !is_ours(&takeover, TakeoverAction::Form) {
                continue;
            }
            let name = takeover.name_any();
            detail.set(format!("waiting for the end of Takeover {name}"));
            let formed = wait(centers, survivor, &name, has_ended).await?;
            if formed.phase != Some(TakeoverPhase::Succeeded) {
                continue;
            }
            for lost in &takeover.spec.lost {
                let lost: Center = lost
                    .parse()
                    .with_context(|| format!("failed to find {lost} among the lab's centers"))?;
                detail.set(format!("{lost}'s replica joins again"));
                join_again(centers, lost, &takeover).await?;
            }
        }
    }
    Ok(())
}

/// Lets a center's replica join the group that a takeover formed, unless it has.
async fn join_again(centers: &Centers, center: Center, formed_by: &Takeover) -> Result<()> {
    let asked: Api<Takeover> = api(centers, center, ASKS).await?;
    let has_joined = asked
        .list(&ListParams::default())
        .await?
        .iter()
        .any(|earlier| {
            let phase = earlier.status.as_ref().and_then(|status| status.phase);
            is_ours(earlier, TakeoverAction::Rejoin)
                && phase == Some(TakeoverPhase::Succeeded)
                && earlier.creation_timestamp() >= formed_by.creation_timestamp()
        });
    if has_joined {
        return Ok(());
    }
    let spec = request(centers, center, TakeoverAction::Rejoin);
    let takeover = apply(centers, center, spec).await?;
    let status = wait(centers, center, &takeover, has_ended).await?;
    ensure!(
        status.phase == Some(TakeoverPhase::Succeeded),
        "{center}'s replica did not join again: {}",
        status.message.unwrap_or_default()
    );
    Ok(())
}

fn is_ours(takeover: &Takeover, action: TakeoverAction) -> bool {
    takeover.spec.requested_by == ASKS && takeover.spec.action == action
}

fn has_ended(status: &TakeoverStatus) -> bool {
    status.phase.is_some_and(TakeoverPhase::is_final)
}

fn request(centers: &Centers, center: Center, action: TakeoverAction) -> TakeoverSpec {
    TakeoverSpec {
        core: centers.core.clone(),
        action,
        center: center.to_string(),
        lost: Vec::new(),
        requested_by: ASKS.to_owned(),
        reason: "the loss of a site under load, by lab run".to_owned(),
        dry_run: false,
        silence_seconds: 0,
        approval_wait_seconds: APPROVAL_WAIT_SECONDS,
        deadline_seconds: DEADLINE_SECONDS,
    }
}

/// Applies a request in the center's own cluster, and gives back its name.
async fn apply(centers: &Centers, center: Center, spec: TakeoverSpec) -> Result<String> {
    let name = format!("lab-run-{}-{center}", now_us());
    let api: Api<Takeover> = api(centers, center, ASKS).await?;
    api.create(&PostParams::default(), &Takeover::new(&name, spec))
        .await
        .with_context(|| format!("failed to apply Takeover {name} in {center}"))?;
    Ok(name)
}

/// Waits until a takeover's status is as wanted.
async fn wait(
    centers: &Centers,
    center: Center,
    name: &str,
    is_wanted: impl Fn(&TakeoverStatus) -> bool,
) -> Result<TakeoverStatus> {
    let api: Api<Takeover> = api(centers, center, ASKS).await?;
    let until = Instant::now() + END_LIMIT;
    loop {
        let takeover = api.get_status(name).await;
        let takeover =
            takeover.with_context(|| format!("failed to read Takeover {name} in {center}"))?;
        let status = takeover.status.unwrap_or_default();
        if is_wanted(&status) {
            return Ok(status);
        }
        ensure!(
            Instant::now() < until,
            "Takeover {name} in {center} is {} after {} s: {}",
            status.phase.map_or("unseen", |phase| phase.as_str()),
            END_LIMIT.as_secs(),
            status.message.unwrap_or_default()
        );
        sleep(LOOK_EVERY).await;
    }
}

async fn api<K>(centers: &Centers, center: Center, person: &str) -> Result<Api<K>>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
    K::DynamicType: Default,
{
    let kubeconfig: &Path = &centers.get(&center.to_string())?.kubeconfig;
    let cluster = Cluster::connect_as(kubeconfig, person).await?;
    Ok(Api::namespaced(cluster.client(), &centers.namespace))
}

/// The two centers of the leader's site, and the one that survives it.
fn site(leader: &str) -> Result<([Center; 2], Center)> {
    let of_site: Vec<Center> = Center::ALL
        .into_iter()
        .filter(|center| center.name().chars().next() == leader.chars().next())
        .collect();
    let survivor = Center::ALL.into_iter().find(|it| !of_site.contains(it));
    match (of_site[..].try_into(), survivor) {
        (Ok(lost), Some(survivor)) => Ok((lost, survivor)),
        _ => anyhow::bail!(
            "failed to lose the leader's site: {leader} leads, which is alone in its site; move the \
             leader first: lab run --fault planned-move --to a1"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_site_of_the_leader_goes_and_the_other_site_survives() {
        for leader in ["a1", "a2"] {
            let (lost, survivor) = site(leader).unwrap();
            assert_eq!(lost.map(|it| it.to_string()), ["a1", "a2"]);
            assert_eq!(survivor.to_string(), "b1");
        }
        let refused = site("b1").unwrap_err().to_string();
        assert!(refused.contains("move the leader first"), "{refused}");
    }
}

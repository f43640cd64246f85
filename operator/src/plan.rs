//! What to do next to the running core: hand leadership back, or restart this center's replica.
//! Pure, one step at a time; whatever it needs to remember stands in the core or in the object.
//!
//! ```text
//!  own pod outdated ─► others in step? ─► lease ─► leader elsewhere? ─► delete pod ─► caught up ─► release
//!                          no: wait      no: ask     no: transfer                      no: wait
//!  leader not in the primary center, all well for afterSeconds ─► transfer (primary's operator only)
//! ```

use jiff::{SignedDuration, Timestamp};

use crds::HandBackPolicy;

use crate::observe::PodFacts;
use crate::validate::Placement;
use crate::view::{Leader, View};

/// How long a restart may hold the maintenance lease. It ends by itself if its holder is lost.
pub const LEASE_MS: u32 = 180_000;

/// The name under which a center's operator holds the lease.
#[must_use]
pub fn holder(center: &str) -> String {
    format!("operator/{center}")
}

/// Why leadership is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Back to the primary center.
    HandBack,
    /// Away from a replica that is to be restarted.
    BeforeRestart,
}

/// The one thing to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Rest,
    /// Ask the leader to hand leadership to a replica.
    Transfer {
        /// The replica that shall lead.
        to: u64,
        /// Why.
        why: Move,
    },
    /// Ask for the maintenance lease over this center's replica.
    AcquireLease,
    /// Delete this center's pod, if it is still this one.
    DeletePod {
        /// The pod's uid.
        uid: String,
    },
    /// Give the lease back.
    ReleaseLease,
}

/// Where this center's replica is in a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restart {
    /// The pod is what was asked for.
    NotNeeded,
    /// It is not, and must wait.
    Waiting(String),
    /// It is being restarted.
    Running,
}

/// What was decided, and what is to be remembered in the object's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The one thing to do now.
    pub step: Step,
    /// Where this center's replica is in a restart.
    pub restart: Restart,
    /// Since when hand-back has been possible.
    pub hand_back_ready_since: Option<Timestamp>,
}

/// What a decision rests on.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// This center's place in the object.
    pub placed: &'a Placement<'a>,
    /// What the replicas said.
    pub view: &'a View,
    /// This center's replica pod; none when it does not exist.
    pub pod: Option<&'a PodFacts>,
    /// Since when hand-back has been possible, as remembered.
    pub hand_back_ready_since: Option<Timestamp>,
    /// Now.
    pub now: Timestamp,
}

/// Decides.
#[must_use]
pub fn plan(situation: &Situation<'_>) -> Plan {
    let rest = Plan {
        step: Step::Rest,
        restart: Restart::NotNeeded,
        hand_back_ready_since: None,
    };
    if situation.placed.spec().paused {
        return rest;
    }
    match restart(situation) {
        (Restart::NotNeeded, Step::Rest) => hand_back(situation, rest),
        (restart, step) => Plan {
            step,
            restart,
            hand_back_ready_since: None,
        },
    }
}

fn restart(situation: &Situation<'_>) -> (Restart, Step) {
    let Situation { placed, view, .. } = *situation;
    let own = placed.own.replica;
    let mine = holder(&placed.own.name);
    let holds = view
        .lease()
        .is_some_and(|lease| lease.holder == mine && lease.replica == own);
    let Some(pod) = situation.pod else {
        // Between two pods of a restart, or before the first.
        let restart = if holds {
            Restart::Running
        } else {
            Restart::NotNeeded
        };
        return (restart, Step::Rest);
    };
    if pod.deleting {
        return (Restart::Running, Step::Rest);
    }
    if !pod.outdated {
        return match (holds, view.in_step(own), pod.ready) {
            (false, _, _) => (Restart::NotNeeded, Step::Rest),
            (true, Some(true), true) => (Restart::Running, Step::ReleaseLease),
            (true, _, _) => (Restart::Running, Step::Rest),
        };
    }
    let waiting = |why: String| (Restart::Waiting(why), Step::Rest);
    if view.leader_status().is_none() {
        return waiting("no leader could be asked".to_owned());
    }
    if let Some((one, other)) = view.divergence() {
        return waiting(format!("replicas {one} and {other} differ in content"));
    }
    // This center's own replica may be down: it is what a restart may heal.
    let late: Vec<String> = placed
        .spec()
        .centers
        .iter()
        .filter(|center| center.replica != own && view.in_step(center.replica) != Some(true))
        .map(|center| center.name.clone())
        .collect();
    if !late.is_empty() {
        return waiting(format!("not in step: {}", late.join(", ")));
    }
    if let Some(operation) = view.running_operation() {
        return waiting(format!(
            "{} runs, held by {}",
            operation.name, operation.holder
        ));
    }
    match view.lease() {
        None => {
            return (
                Restart::Waiting("asking for the lease".to_owned()),
                Step::AcquireLease,
            );
        }
        Some(lease) if !holds => {
            return waiting(format!("{} holds the maintenance lease", lease.holder));
        }
        Some(_) => {}
    }
    if view.leader_replica() == Some(own) {
        let step = successor(placed, view).map_or(Step::Rest, |to| Step::Transfer {
            to,
            why: Move::BeforeRestart,
        });
        return (Restart::Running, step);
    }
    (
        Restart::Running,
        Step::DeletePod {
            uid: pod.uid.clone(),
        },
    )
}

/// Who leads while this center's replica is away: the primary, else one of this site, else anyone.
fn successor(placed: &Placement<'_>, view: &View) -> Option<u64> {
    let spec = placed.spec();
    let primary = view.primary_center(spec);
    spec.centers
        .iter()
        .filter(|center| center.replica != placed.own.replica)
        .min_by_key(|center| {
            (
                center.name != primary,
                center.site != placed.own.site,
                center.replica,
            )
        })
        .map(|center| center.replica)
}

fn hand_back(situation: &Situation<'_>, rest: Plan) -> Plan {
    let Situation { placed, view, .. } = *situation;
    let spec = placed.spec();
    let own = placed.own.replica;
    let is_ours = placed.own.name == view.primary_center(spec)
        && spec.hand_back.policy == HandBackPolicy::Automatic;
    let Leader::Known(leader) = *view.leader() else {
        return rest;
    };
    if !is_ours || leader == own {
        return rest;
    }
    let Some(status) = view.leader_status() else {
        return rest;
    };
    let is_safe = view.running_operation().is_none()
        && status.serving
        && status.all_voters_in_step
        && view.lease().is_none()
        && view.divergence().is_none()
        && view.in_step(own) == Some(true)
        && view.content_agrees(leader, own) == Some(true)
        && situation.pod.is_some_and(|pod| pod.ready);
    if !is_safe {
        return rest;
    }
    let since = situation.hand_back_ready_since.unwrap_or(situation.now);
    let wait = SignedDuration::from_secs(i64::from(spec.hand_back.after_seconds));
    let step = if situation.now.duration_since(since) >= wait {
        Step::Transfer {
            to: own,
            why: Move::HandBack,
        }
    } else {
        Step::Rest
    };
    Plan {
        step,
        hand_back_ready_since: Some(since),
        ..rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::{tests::core, validate};
    use crate::view::tests::{changed, group, silent};
    use crds::TradingCore;
    use protocol::admin::MaintenanceLease;

    fn pod(outdated: bool) -> PodFacts {
        PodFacts {
            name: "core-replica-0".to_owned(),
            uid: "pod-1".to_owned(),
            outdated,
            ready: true,
            deleting: false,
        }
    }

    struct Case {
        core: TradingCore,
        center: &'static str,
        view: View,
        pod: Option<PodFacts>,
        since: Option<i64>,
    }

    impl Case {
        /// All is well and a1, the primary, leads.
        fn new(center: &'static str, view: View) -> Self {
            Self {
                core: core(),
                center,
                view,
                pod: Some(pod(false)),
                since: None,
            }
        }

        fn outdated(mut self) -> Self {
            self.pod = Some(pod(true));
            self
        }

        fn since(mut self, second: i64) -> Self {
            self.since = Some(second);
            self
        }

        /// The plan at second 1,000.
        fn plan(&self) -> Plan {
            plan(&Situation {
                placed: &validate(&self.core, self.center).unwrap(),
                view: &self.view,
                pod: self.pod.as_ref(),
                hand_back_ready_since: self
                    .since
                    .map(|second| Timestamp::from_second(second).unwrap()),
                now: Timestamp::from_second(1_000).unwrap(),
            })
        }

        fn step(&self) -> Step {
            self.plan().step
        }
    }

    fn healthy(leader: u64) -> View {
        View::of(group(leader))
    }

    fn leased(leader: u64, holder: &str, replica: u64) -> View {
        changed(leader, leader, |status| {
            status.maintenance = Some(MaintenanceLease {
                replica,
                holder: holder.to_owned(),
                until_us: u64::MAX,
            });
        })
    }

    const HAND_BACK: Step = Step::Transfer {
        to: 1,
        why: Move::HandBack,
    };

    #[test]
    fn nothing_is_done_when_all_is_well() {
        for center in ["a1", "a2", "b1"] {
            assert_eq!(Case::new(center, healthy(1)).step(), Step::Rest);
        }
    }

    #[test]
    fn leadership_goes_back_after_the_time_and_not_before() {
        let case = Case::new("a1", healthy(2));
        let first = case.plan();
        assert_eq!(first.step, Step::Rest);
        assert_eq!(first.hand_back_ready_since.unwrap().as_second(), 1_000);
        assert_eq!(Case::new("a1", healthy(2)).since(881).step(), Step::Rest);
        assert_eq!(Case::new("a1", healthy(2)).since(880).step(), HAND_BACK);
    }

    #[test]
    fn only_the_primarys_operator_hands_back() {
        for center in ["a2", "b1"] {
            assert_eq!(Case::new(center, healthy(2)).since(0).step(), Step::Rest);
        }
    }

    #[test]
    fn the_wait_begins_anew_after_any_doubt() {
        let doubts: [(&str, View); 7] = [
            (
                "a voter is missing",
                changed(2, 2, |status| status.all_voters_in_step = false),
            ),
            (
                "the leader does not serve",
                changed(2, 2, |status| status.serving = false),
            ),
            (
                "the primary is behind",
                changed(2, 2, |status| status.peers[0].lag_entries = 501),
            ),
            (
                "the content differs",
                changed(2, 1, |status| status.hash_points[0].hash = vec![0]),
            ),
            (
                "nothing to compare",
                changed(2, 1, |status| {
                    status.applied_index = 90_000;
                    status.hash_points[0].index = 89_088;
                }),
            ),
            ("the leader is silent", silent(2, &[2])),
            ("maintenance of another", leased(2, "operator/b1", 3)),
        ];
        for (doubt, view) in doubts {
            let plan = Case::new("a1", view).since(0).plan();
            assert_eq!(plan.step, Step::Rest, "{doubt}");
            assert_eq!(plan.hand_back_ready_since, None, "{doubt}");
        }
    }

    #[test]
    fn manual_hand_back_and_pause_are_respected() {
        let mut case = Case::new("a1", healthy(2)).since(0);
        case.core.spec.hand_back.policy = HandBackPolicy::Manual;
        assert_eq!(case.step(), Step::Rest);
        let mut case = Case::new("a1", healthy(2)).since(0);
        case.core.spec.paused = true;
        assert_eq!(case.step(), Step::Rest);
        let mut case = Case::new("a2", healthy(1)).outdated();
        case.core.spec.paused = true;
        assert_eq!(case.step(), Step::Rest);
    }

    #[test]
    fn a_restart_begins_with_the_lease() {
        assert_eq!(
            Case::new("a2", healthy(1)).outdated().step(),
            Step::AcquireLease
        );
    }

    #[test]
    fn a_restart_waits_for_the_others() {
        let waits: [(&str, View); 4] = [
            (
                "another is behind",
                changed(1, 1, |status| status.peers[1].lag_entries = 501),
            ),
            (
                "another is silent",
                changed(1, 1, |status| status.peers[1].recently_active = false),
            ),
            ("no leader could be asked", silent(1, &[1])),
            ("another holds the lease", leased(1, "operator/b1", 3)),
        ];
        for (why, view) in waits {
            let plan = Case::new("a2", view).outdated().plan();
            assert_eq!(plan.step, Step::Rest, "{why}");
            assert!(matches!(plan.restart, Restart::Waiting(_)), "{why}");
        }
    }

    #[test]
    fn a_replica_that_is_down_itself_may_be_restarted() {
        let view = changed(1, 1, |status| status.peers[0].recently_active = false);
        assert_eq!(Case::new("a2", view).outdated().step(), Step::AcquireLease);
    }

    #[test]
    fn a_leader_hands_over_before_its_pod_goes() {
        let view = leased(1, "operator/a1", 1);
        assert_eq!(
            Case::new("a1", view).outdated().step(),
            Step::Transfer {
                to: 2,
                why: Move::BeforeRestart
            }
        );
        // b1's site has no other center, so leadership goes to the primary.
        let view = leased(3, "operator/b1", 3);
        assert_eq!(
            Case::new("b1", view).outdated().step(),
            Step::Transfer {
                to: 1,
                why: Move::BeforeRestart
            }
        );
    }

    #[test]
    fn the_pod_goes_only_under_the_lease() {
        let case = Case::new("a2", leased(1, "operator/a2", 2)).outdated();
        assert_eq!(
            case.step(),
            Step::DeletePod {
                uid: "pod-1".to_owned()
            }
        );
    }

    #[test]
    fn the_lease_is_given_back_when_the_replica_has_caught_up_and_not_before() {
        let mut case = Case::new("a2", leased(1, "operator/a2", 2));
        assert_eq!(case.step(), Step::ReleaseLease);
        case.pod = Some(PodFacts {
            ready: false,
            ..pod(false)
        });
        assert_eq!(case.step(), Step::Rest);
        case.pod = None;
        assert_eq!(case.plan().restart, Restart::Running);
        assert_eq!(case.step(), Step::Rest);
    }

    #[test]
    fn a_pod_that_is_going_is_left_alone() {
        let mut case = Case::new("a2", leased(1, "operator/a2", 2));
        case.pod = Some(PodFacts {
            deleting: true,
            ..pod(true)
        });
        assert_eq!(case.step(), Step::Rest);
    }

    #[test]
    fn the_first_boot_needs_no_lease() {
        let mut case = Case::new("a2", silent(1, &[1, 2, 3]));
        case.pod = None;
        assert_eq!(case.plan().restart, Restart::NotNeeded);
    }

    #[test]
    fn the_primary_is_restarted_before_leadership_goes_back() {
        let case = Case::new("a1", healthy(2)).outdated().since(0);
        assert_eq!(case.step(), Step::AcquireLease);
    }

    #[test]
    fn two_operators_never_delete_under_one_lease() {
        // Whoever holds the lease, at most one of the three deletes.
        for held in ["operator/a1", "operator/a2", "operator/b1"] {
            let replica = match held {
                "operator/a1" => 1,
                "operator/a2" => 2,
                _ => 3,
            };
            for leader in 1..=3 {
                let deleting = ["a1", "a2", "b1"]
                    .into_iter()
                    .filter(|center| {
                        let case = Case::new(center, leased(leader, held, replica)).outdated();
                        matches!(case.step(), Step::DeletePod { .. })
                    })
                    .count();
                assert!(deleting <= 1, "{held}, leader {leader}");
            }
        }
    }
}

//! Publishes `FpgaCard` objects and their events. What is written is pure; the loop only sends it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use card_health::{CardAddress, Judgement, Link, Reason, State};
use crds::conditions::{self, Finding, HEALTHY, READY, STALLED};
use crds::{
    ConditionStatus, FpgaCard, FpgaCardFinding, FpgaCardLink, FpgaCardState, FpgaCardStatus,
};
use jiff::Timestamp;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource as _};
use serde_json::json;
use tokio::sync::watch;

use crate::watch::{Cards, Snapshot};

/// The field manager of all that the agent applies, and the source of its events.
pub const FIELD_MANAGER: &str = "tricenter-card-agent";
/// Figures are written so often while the state stays as it is.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// One question to the API server; then the next card has its turn.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// Time between two looks for what is due.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Findings written of one card.
const FINDINGS_MAX: usize = 32;

/// What a card's object is called.
#[must_use]
pub fn object_name(node: &str, address: &CardAddress) -> String {
    format!("{node}-{}", address.dashed())
}

fn state(state: State) -> FpgaCardState {
    match state {
        State::Healthy => FpgaCardState::Healthy,
        State::Degraded => FpgaCardState::Degraded,
        State::Failing => FpgaCardState::Failing,
        State::Offline => FpgaCardState::Offline,
    }
}

fn link(link: Link) -> FpgaCardLink {
    FpgaCardLink {
        speed_mts: link.speed_mts,
        width: link.width,
    }
}

/// The conditions' findings: without a judgement nothing is known.
fn findings(judgement: Option<&Judgement>) -> Vec<Finding> {
    let Some(it) = judgement else {
        let unknown = |type_| {
            let text = "the card was never read";
            Finding::new(
                type_,
                ConditionStatus::Unknown,
                Reason::NoData.as_str(),
                text,
            )
        };
        return vec![unknown(READY), unknown(HEALTHY)];
    };
    let say = |type_, holds: bool| {
        let status = if holds {
            ConditionStatus::True
        } else {
            ConditionStatus::False
        };
        Finding::new(type_, status, it.reason.as_str(), it.text.clone())
    };
    let mut findings = vec![
        say(READY, it.state.is_usable()),
        say(HEALTHY, it.state == State::Healthy),
    ];
    if !it.state.is_usable() {
        findings.push(say(STALLED, true));
    }
    findings
}

/// The status of a card, from what is known of it and from its conditions so far.
#[must_use]
pub fn status(
    snapshot: &Snapshot,
    before: Option<&FpgaCardStatus>,
    generation: i64,
    now: Timestamp,
) -> FpgaCardStatus {
    let judgement = snapshot.judgement.as_ref();
    let reading = snapshot.reading.clone().unwrap_or_default();
    let statistics = reading.statistics;
    let before = before.map_or(&[][..], |it| &it.conditions);
    let uncorrectable = reading.nonfatal_errors.zip(reading.fatal_errors);
    FpgaCardStatus {
        observed_generation: Some(generation),
        state: judgement.map(|it| state(it.state)),
        reason: judgement.map(|it| it.reason.as_str().to_owned()),
        message: judgement.map(|it| it.text.clone()),
        since: judgement.map(|_| snapshot.since.to_string()),
        read_at: snapshot.read_at.map(|at| at.to_string()),
        findings: judgement
            .iter()
            .flat_map(|it| it.findings.iter().take(FINDINGS_MAX))
            .map(|it| FpgaCardFinding {
                state: state(it.state),
                reason: it.reason.as_str().to_owned(),
                message: it.text.clone(),
            })
            .collect(),
        driver: reading.driver,
        manager_state: reading.manager_state,
        bitstream: reading.bitstream,
        temperature_millidegrees: reading.temperature_millidegrees,
        power_milliwatts: reading.power_milliwatts,
        voltage_millivolts: reading.voltage_millivolts,
        link: reading.link.map(link),
        link_best: reading.link_best.map(link),
        correctable_errors: reading.correctable_errors,
        uncorrectable_errors: uncorrectable.map(|(nonfatal, fatal)| nonfatal + fatal),
        ecc_corrected: statistics.map(|it| it.ecc_corrected),
        ecc_uncorrected: statistics.map(|it| it.ecc_uncorrected),
        clock_locked: statistics.map(|it| it.is_clock_locked),
        ptp_locked: statistics.map(|it| it.is_ptp_locked),
        decode_latency_p99_ns: statistics.and_then(|it| it.latency.p99_ns()),
        messages: statistics.map(|it| it.messages),
        drops: statistics.map(|it| it.drops),
        compared: Some(snapshot.compared.compared),
        mismatches: Some(snapshot.compared.mismatches),
        conditions: conditions::update(before, &findings(judgement), generation, &now.to_string()),
    }
}

/// What is told as an event when a card's state or reason changed.
#[must_use]
pub fn event(before: Option<(State, Reason)>, now: &Judgement) -> Option<Event> {
    if before == Some((now.state, now.reason)) || (before.is_none() && now.state == State::Healthy)
    {
        return None;
    }
    let is_normal = now.state == State::Healthy;
    Some(Event {
        type_: if is_normal {
            EventType::Normal
        } else {
            EventType::Warning
        },
        reason: now.reason.as_str().to_owned(),
        note: Some(format!("the card is {}: {}", now.state, now.text)),
        action: now.state.as_str().to_owned(),
        secondary: None,
    })
}

/// The cards that the cluster knows of this node: a card that went while the agent was down is told
/// as gone too.
///
/// # Errors
/// What the API server said, or that it did not answer.
pub async fn known(client: Client, node: &str) -> Result<Vec<CardAddress>> {
    let api: Api<FpgaCard> = Api::all(client);
    let everything = ListParams::default();
    let listed = tokio::time::timeout(ANSWER_WAIT, api.list(&everything));
    let listed = listed.await.context("the API server did not answer")??;
    let ours = listed
        .items
        .into_iter()
        .filter(|card| card.spec.node == node);
    Ok(ours
        .filter_map(|card| card.spec.address.parse().ok())
        .collect())
}

#[derive(Debug, Default)]
struct Written {
    judged: Option<(State, Reason)>,
    told: Option<(State, Reason)>,
    at: Option<Instant>,
}

/// Publishes the cards of one node.
pub struct Publisher {
    api: Api<FpgaCard>,
    recorder: Recorder,
    node: String,
    written: BTreeMap<CardAddress, Written>,
}

impl Publisher {
    /// A publisher that has written nothing.
    #[must_use]
    pub fn new(client: Client, node: String) -> Self {
        let reporter = Reporter {
            controller: FIELD_MANAGER.to_owned(),
            instance: Some(node.clone()),
        };
        Self {
            api: Api::all(client.clone()),
            recorder: Recorder::new(client, reporter),
            node,
            written: BTreeMap::new(),
        }
    }

    /// Writes what is due, until the cards are watched no more. What the API server refuses is tried
    /// again; it holds up nothing else.
    pub async fn run(mut self, cards: watch::Receiver<Cards>) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let now = cards.borrow().clone();
            self.round(&now).await;
            if cards.has_changed().is_err() {
                return;
            }
        }
    }

    /// Writes what is due of these cards.
    pub async fn round(&mut self, cards: &Cards) {
        for (address, snapshot) in cards {
            let judged = snapshot.judgement.as_ref().map(|it| (it.state, it.reason));
            let written = self.written.get(address);
            let is_fresh = written.is_some_and(|it| {
                it.judged == judged && it.at.is_some_and(|at| at.elapsed() < AGAIN_AFTER)
            });
            if is_fresh {
                continue;
            }
            let sent = tokio::time::timeout(ANSWER_WAIT, self.write(address, snapshot)).await;
            match sent {
                Ok(Ok(())) => {
                    let written = self.written.entry(address.clone()).or_default();
                    (written.judged, written.at) = (judged, Some(Instant::now()));
                }
                Ok(Err(error)) => tracing::warn!(card = %address, "failed to publish: {error:#}"),
                Err(_) => tracing::warn!(card = %address, "failed to publish: no answer in time"),
            }
        }
    }

    async fn write(&mut self, address: &CardAddress, snapshot: &Snapshot) -> Result<()> {
        let name = object_name(&self.node, address);
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let head = json!({
            "apiVersion": FpgaCard::api_version(&()),
            "kind": FpgaCard::kind(&()),
            "metadata": {"name": name, "labels": {"tricenter.dev/node": self.node}},
        });
        let mut object = head.clone();
        object["spec"] = json!({"node": self.node, "address": address.as_str()});
        let stored = self
            .api
            .patch(&name, &parameters, &Patch::Apply(&object))
            .await;
        let stored = stored.with_context(|| format!("failed to apply FpgaCard {name}"))?;
        let generation = stored.metadata.generation.unwrap_or_default();
        let mut patch = head;
        let now = Timestamp::now();
        patch["status"] =
            serde_json::to_value(status(snapshot, stored.status.as_ref(), generation, now))?;
        self.api
            .patch_status(&name, &parameters, &Patch::Apply(&patch))
            .await
            .with_context(|| format!("failed to write the status of FpgaCard {name}"))?;
        let told = &mut self.written.entry(address.clone()).or_default().told;
        if let Some(judgement) = &snapshot.judgement {
            let event = event(*told, judgement);
            *told = Some((judgement.state, judgement.reason));
            if let Some(event) = event
                && let Err(error) = self.recorder.publish(&event, &stored.object_ref(&())).await
            {
                // An event is a courtesy: that one could not be told changes nothing.
                tracing::warn!(card = %address, %error, "failed to publish an event");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use card_health::{CrossCheckCounts, Reading};

    fn snapshot(state: Option<(State, Reason)>) -> Snapshot {
        Snapshot {
            reading: Some(Reading::default()),
            judgement: state.map(|(state, reason)| Judgement {
                state,
                reason,
                text: "because".to_owned(),
                since_ms: 0,
                findings: Vec::new(),
            }),
            since: Timestamp::UNIX_EPOCH,
            read_at: None,
            compared: CrossCheckCounts::default(),
            beat: 1,
            unread: 0,
        }
    }

    fn conditions_of(state: Option<(State, Reason)>) -> Vec<(String, ConditionStatus)> {
        let status = status(&snapshot(state), None, 1, Timestamp::UNIX_EPOCH);
        status
            .conditions
            .into_iter()
            .map(|it| (it.type_, it.status))
            .collect()
    }

    #[test]
    fn conditions_follow_the_state_and_without_data_are_unknown() {
        use ConditionStatus::{False, True, Unknown};
        let pair = |type_: &str, status| (type_.to_owned(), status);
        assert_eq!(
            conditions_of(None),
            [pair(READY, Unknown), pair(HEALTHY, Unknown)]
        );
        assert_eq!(
            conditions_of(Some((State::Degraded, Reason::Slow))),
            [pair(READY, True), pair(HEALTHY, False)]
        );
        assert_eq!(
            conditions_of(Some((State::Offline, Reason::CardMissing))),
            [
                pair(READY, False),
                pair(HEALTHY, False),
                pair(STALLED, True)
            ]
        );
    }

    #[test]
    fn a_card_that_was_well_from_the_start_makes_no_event() {
        let well = snapshot(Some((State::Healthy, Reason::AsItShouldBe)))
            .judgement
            .unwrap();
        let hot = snapshot(Some((State::Failing, Reason::TooHot)))
            .judgement
            .unwrap();
        assert!(event(None, &well).is_none());
        assert!(event(Some((State::Failing, Reason::TooHot)), &hot).is_none());
        let told = event(Some((State::Healthy, Reason::AsItShouldBe)), &hot).unwrap();
        assert_eq!(
            (told.reason.as_str(), told.action.as_str()),
            ("TooHot", "Failing")
        );
        assert!(event(Some((State::Failing, Reason::TooHot)), &well).is_some());
    }
}

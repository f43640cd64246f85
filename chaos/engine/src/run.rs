//! One run: performs the effects of the pure experiment and tells it what happened.
//!
//! ```text
//!                  ┌────────── Experiment::update(event) ─► effects ──────────┐
//!   fault tasks ───┤                                                          ├─► apply, observe, recover
//!   clock, 200 ms ─┼─► events                                                 ├─► read probes
//!   red button ────┘                                                          └─► conclude
//! ```

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use chaos_faults::lease::{Lease, end, now_unix_ms};
use chaos_faults::{Background, Ground, Leases, Strike, keeper, strike::Inverse, strikes};
use chaos_scenario::{
    AbortCondition, Acted, CenterFacts, Effect, Event, Experiment, LoadProfile, NamedProbe, Phase,
    Plan, Probe, Proof, Reading, Scenario, TradingPhase, When, World, plan,
};
use client::admin::AdminConnection;
use history::{History, first_contact};
use lab::ground::address_plan::Center;
use lab::ground::power::now_us;
use lab::progress::Detail;
use lab::run::centers::{Centers, Watch};
use lab::run::clients::{self, Clients, Offer};
use lab::run::judge::{self, machine};
use lab::run::legs::Moments;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use types::{Control, Epoch, Phase as MarketPhase, PhaseScope};

use crate::button::Announcement;
use crate::evidence::{EVIDENCE_FORMAT, Evidence, Leaders, Look, Orders};
use crate::probes::{Sight, longest_silence_ms};
use crate::residue::residue;

/// How long the system may take to be well before anything is done.
const BASELINE_LIMIT: Duration = Duration::from_secs(60);
/// Orders flow undisturbed for at least so long, so that a rate and a latency are known.
const BASELINE_TIME: Duration = Duration::from_millis(2_500);
/// How long the system may take to be well again after the last fault is gone.
const AFTER_LIMIT: Duration = Duration::from_secs(120);
/// Replicas apply the last entries within this.
const EQUAL_LIMIT: Duration = Duration::from_secs(30);
/// Taking one fault back; a center's boot is the longest.
const RECOVER_LIMIT: Duration = Duration::from_secs(120);
/// Applying one fault.
const APPLY_LIMIT: Duration = Duration::from_secs(20);
/// What is still being applied when it is taken back has so long to end by itself.
const GIVE_UP_LIMIT: Duration = Duration::from_secs(2);
/// Beyond a fault's end, when the keeper takes over.
const KEEPER_MARGIN: Duration = Duration::from_secs(30);
/// Reading the log and replaying it.
const JUDGE_LIMIT: Duration = Duration::from_secs(240);
const TICK: Duration = Duration::from_millis(200);
/// Looks kept of a run; at one a half second this is over half an hour.
const LOOKS_MAX: usize = 4_096;
const OBSERVE_MS_MIN: u64 = 1_500;

/// What a run needs besides the scenario.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The lab.
    pub ground: Ground,
    /// The program that is started as a keeper.
    pub keeper: PathBuf,
    /// Where histories go.
    pub folder: PathBuf,
    /// Chooses victims and orders.
    pub seed: u64,
}

/// Looks who is there and who leads. Changes nothing.
///
/// # Errors
/// When nobody leads within 30 s.
pub async fn look_at_world(centers: &Centers, watch: &Watch, seed: u64) -> Result<World> {
    let leader = watch
        .wait_for(Duration::from_secs(30), "a leader that serves", |seen| {
            seen.leader().cloned()
        })
        .await?;
    let facts = centers.all.iter().map(|access| CenterFacts {
        site: access
            .name
            .parse::<Center>()
            .map(|center| center.site().name().to_owned())
            .unwrap_or_default(),
        name: access.name.clone(),
    });
    Ok(World {
        centers: facts.collect(),
        leader: leader.center,
        seed,
    })
}

/// What clients offer in a scenario.
#[must_use]
pub fn offer(scenario: &Scenario, seed: u64) -> Offer {
    let (processes, sessions_per_process, per_second) = match (scenario.phase, scenario.load) {
        (TradingPhase::OpeningBurst, _) | (_, LoadProfile::Burst) => (2, 8, 800),
        (_, LoadProfile::Calm) => (2, 2, 100),
        (_, LoadProfile::Usual) => (2, 4, 200),
        (_, LoadProfile::Crowd) => (2, 200, 200),
    };
    Offer {
        processes,
        sessions_per_process,
        per_second,
        seed,
    }
}

const fn market_phase(phase: TradingPhase) -> MarketPhase {
    match phase {
        TradingPhase::CallAuction => MarketPhase::OpeningCall,
        TradingPhase::LunchBreak => MarketPhase::LunchBreak,
        TradingPhase::ClosingAuction => MarketPhase::ClosingCall,
        TradingPhase::OpeningBurst | TradingPhase::Continuous => MarketPhase::Continuous,
    }
}

/// A fault in force on one victim.
struct Held {
    strike: Strike,
    inverse: Inverse,
    lease: Lease,
    path: PathBuf,
    background: Background,
}

/// One fault: what is in force of it, and the task that applies it.
#[derive(Default)]
struct FaultTask {
    held: Arc<Mutex<Vec<Held>>>,
    applying: Option<JoinHandle<()>>,
}

/// Runs one scenario to its verdict. Says what it does through `say`. `stop` ends it early when it
/// turns true; every fault is taken back even so.
///
/// # Errors
/// When it could not be carried out at all: no lab, no leader, no load, leases that cannot be written.
pub async fn run(
    scenario: &Scenario,
    settings: &Settings,
    mut stop: watch::Receiver<bool>,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<Evidence> {
    let began = Instant::now();
    let began_at = jiff::Timestamp::now().to_string();
    let ground = &settings.ground;
    let _announcement = Announcement::new(ground, scenario.id.as_str())?;
    let leases = Leases::open(&ground.leases_folder())?;
    let swept = leases.sweep(ground, RECOVER_LIMIT).await?;
    for one in &swept {
        say(&format!("swept {}: {:?}", one.target, one.proof));
    }
    ensure!(
        swept.iter().all(|one| matches!(one.proof, Proof::Gone(_))),
        "failed to begin: faults of an earlier run are still there; `tricenter chaos stop --all` tries again"
    );
    let left = residue(ground).await;
    ensure!(
        left.is_empty(),
        "failed to begin: the ground is not clean: {}",
        left.join("; ")
    );

    let centers = Centers::of_lab(ground.folder());
    let watch = centers.watch();
    let offer = offer(scenario, settings.seed);
    set_phase(&centers, &watch, market_phase(scenario.phase)).await?;
    clients::prepare(&centers, &offer).await?;
    let world = look_at_world(&centers, &watch, settings.seed).await?;
    let planned = plan(scenario, &world)?;
    let clients = Clients::start(&centers, &offer, &settings.folder).await?;

    let (sender, receiver) = mpsc::channel(64);
    let mut runner = Runner {
        scenario,
        ground: ground.clone(),
        keeper: settings.keeper.clone(),
        leases,
        centers,
        watch,
        clients: Some(clients),
        histories: Vec::new(),
        offer,
        plan: planned,
        experiment: Experiment::new(scenario),
        faults: scenario
            .faults
            .iter()
            .map(|_| FaultTask::default())
            .collect(),
        sender,
        began,
        injected: None,
        ordered_us: Vec::new(),
        ended_us: 0,
        leaders: Leaders::default(),
        orders: Orders::default(),
        silence_ms: None,
        timeline: Vec::new(),
        log: Vec::new(),
        acknowledged: (0, Instant::now()),
        say,
    };
    let verdict = runner.drive(receiver, &mut stop).await;
    if market_phase(scenario.phase) != MarketPhase::Continuous {
        set_phase(&runner.centers, &runner.watch, MarketPhase::Continuous).await?;
    }
    let verdict = verdict?;
    Ok(runner.evidence(verdict, began_at))
}

async fn set_phase(centers: &Centers, watch: &Watch, phase: MarketPhase) -> Result<()> {
    let leader = watch
        .wait_for(BASELINE_LIMIT, "a leader that serves", |seen| {
            seen.leader().cloned()
        })
        .await?;
    let connection = AdminConnection::connect(&centers.get(&leader.center)?.administration).await?;
    let control = Control::SetPhase {
        scope: PhaseScope::All,
        phase,
    };
    let answer = connection.control(&control).await?;
    ensure!(
        answer.done,
        "failed to set the phase: {} ({})",
        answer.text,
        answer.code
    );
    Ok(())
}

struct Runner<'a> {
    scenario: &'a Scenario,
    ground: Ground,
    keeper: PathBuf,
    leases: Leases,
    centers: Centers,
    watch: Watch,
    clients: Option<Clients>,
    histories: Vec<History>,
    offer: Offer,
    plan: Plan,
    experiment: Experiment,
    faults: Vec<FaultTask>,
    sender: mpsc::Sender<Event>,
    began: Instant,
    /// When the injection began, by both clocks.
    injected: Option<(Instant, u64)>,
    /// When each fault was ordered, in microseconds since 1970 UTC.
    ordered_us: Vec<u64>,
    ended_us: u64,
    leaders: Leaders,
    orders: Orders,
    silence_ms: Option<u64>,
    timeline: Vec<Look>,
    log: Vec<(u64, String)>,
    /// The last count of acknowledged orders, and when it changed.
    acknowledged: (u64, Instant),
    say: &'a (dyn Fn(&str) + Send + Sync),
}

impl Runner<'_> {
    fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        (self.say)(&text);
        let at_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.log.push((at_ms, text));
    }

    fn since_injection_ms(&self) -> u64 {
        self.injected.map_or(0, |(at, _)| {
            u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX)
        })
    }

    async fn drive(
        &mut self,
        mut receiver: mpsc::Receiver<Event>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<chaos_scenario::Verdict> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut open = self.experiment.update(Event::Begin);
        let mut stops = true;
        loop {
            while !open.is_empty() {
                let effect = open.remove(0);
                if let Effect::Conclude(verdict) = effect {
                    return Ok(verdict);
                }
                let events = tokio::select! {
                    events = self.perform(effect) => events?,
                    () = stopped(stop), if stops => {
                        stops = false;
                        vec![Event::Stop("the red button or an interrupt".to_owned())]
                    }
                };
                for event in events {
                    let more = self.tell(event);
                    open.extend(more);
                }
            }
            let event = tokio::select! {
                event = receiver.recv() => event.context("failed to hear from the faults")?,
                () = stopped(stop), if stops => {
                    stops = false;
                    Event::Stop("the red button or an interrupt".to_owned())
                }
                _ = ticks.tick() => {
                    open.extend(self.tick().await);
                    continue;
                }
            };
            open.extend(self.tell(event));
        }
    }

    fn tell(&mut self, event: Event) -> Vec<Effect> {
        match &event {
            Event::Applied(fault) => self.note(format!("applied {:?}", self.name(*fault))),
            Event::NotApplied(fault, why) => {
                self.note(format!("could not apply {:?}: {why}", self.name(*fault)));
            }
            Event::Observed(_, Acted::Seen(what)) => self.note(format!("seen to act: {what}")),
            Event::Observed(_, Acted::NotSeen(what)) => {
                self.note(format!("not seen to act: {what}"))
            }
            Event::Recovered(_, Proof::Gone(what)) => self.note(format!("gone: {what}")),
            Event::Recovered(_, Proof::Unproven(what)) => {
                self.note(format!("NOT PROVED GONE: {what}"))
            }
            Event::Stop(why) => self.note(format!("stopped early: {why}")),
            _ => {}
        }
        let before = self.experiment.phase;
        let effects = self.experiment.update(event);
        if self.experiment.phase != before {
            let phase = format!("{:?}", self.experiment.phase);
            self.note(phase.to_lowercase());
        }
        effects
    }

    fn name(&self, fault: usize) -> String {
        self.scenario.faults[fault].name.clone()
    }

    /// What is done five times a second while anything goes on.
    async fn tick(&mut self) -> Vec<Effect> {
        let (Some(_), Some(clients)) = (self.injected, &self.clients) else {
            return Vec::new();
        };
        let at_ms = self.since_injection_ms();
        let (_, acknowledged, in_flight) = clients.totals();
        let look = Look {
            at_ms,
            per_second: clients.rate(),
            in_flight,
            p99_us: clients.latency().map_or(0, |latency| latency.p99_us),
        };
        let is_due = self
            .timeline
            .last()
            .is_none_or(|last| at_ms >= last.at_ms + 500);
        if is_due && self.timeline.len() < LOOKS_MAX {
            self.timeline.push(look);
        }
        if acknowledged != self.acknowledged.0 {
            self.acknowledged = (acknowledged, Instant::now());
        }
        let mut effects = Vec::new();
        let met = self
            .scenario
            .abort_when
            .iter()
            .find_map(|condition| match *condition {
                AbortCondition::NothingAcknowledgedFor { ms } => {
                    let silent = self.acknowledged.1.elapsed();
                    (silent > Duration::from_millis(ms))
                        .then(|| format!("nothing was acknowledged for {} ms", silent.as_millis()))
                }
                AbortCondition::InFlightAbove { requests } => {
                    (in_flight > requests).then(|| format!("{in_flight} requests are in flight"))
                }
            });
        if let Some(met) = met {
            effects.extend(self.tell(Event::Stop(met)));
        }
        if matches!(
            self.experiment.phase,
            Phase::Injecting | Phase::Observing | Phase::Recovering
        ) {
            let continuous = self.probes_of(When::Continuous);
            if !continuous.is_empty() {
                let readings = self.read_all(&continuous).await;
                effects.extend(self.tell(Event::Read(When::Continuous, readings)));
            }
        }
        effects.extend(self.tell(Event::Clock { at_ms }));
        effects
    }

    fn probes_of(&self, when: When) -> Vec<(usize, NamedProbe)> {
        self.experiment
            .probes_of(when)
            .map(|(index, probe)| (index, probe.clone()))
            .collect()
    }

    async fn read_all(&self, probes: &[(usize, NamedProbe)]) -> Vec<(usize, Reading)> {
        let Some(clients) = &self.clients else {
            return Vec::new();
        };
        let sight = Sight {
            centers: &self.centers,
            watch: &self.watch,
            clients,
            offered: self.offer.per_second,
            epoch_before: self.leaders.epoch_before,
        };
        let mut readings = Vec::new();
        for (index, probe) in probes {
            readings.push((*index, sight.read(&probe.probe).await));
        }
        readings
    }

    /// Reads until all hold, or the time is over; then what was read last.
    async fn read_until_held(
        &self,
        probes: &[(usize, NamedProbe)],
        limit: Duration,
    ) -> Vec<(usize, Reading)> {
        let until = Instant::now() + limit;
        loop {
            let readings = self.read_all(probes).await;
            let all_hold = readings
                .iter()
                .all(|(_, reading)| matches!(reading, Reading::Holds(_)));
            if all_hold || Instant::now() >= until {
                return readings;
            }
            sleep(TICK).await;
        }
    }

    async fn perform(&mut self, effect: Effect) -> Result<Vec<Event>> {
        match effect {
            Effect::ReadBaseline => self.baseline().await,
            Effect::Apply(fault) => {
                self.ordered_us.push(now_us());
                self.apply(fault)?;
                Ok(Vec::new())
            }
            Effect::Observe(fault) => {
                self.observe(fault);
                Ok(Vec::new())
            }
            Effect::Recover(fault) => {
                self.recover(fault);
                Ok(Vec::new())
            }
            Effect::Read(When::After) => self.verify().await,
            Effect::Read(when) => {
                let readings = self.read_all(&self.probes_of(when)).await;
                Ok(vec![Event::Read(when, readings)])
            }
            Effect::Conclude(_) => Ok(Vec::new()),
        }
    }

    async fn baseline(&mut self) -> Result<Vec<Event>> {
        self.note("baseline: orders flow, waiting until all is well");
        let flowing = Instant::now();
        let probes = self.probes_of(When::Before);
        let mut readings = self.read_until_held(&probes, BASELINE_LIMIT).await;
        if let Some(left) = BASELINE_TIME.checked_sub(flowing.elapsed()) {
            sleep(left).await;
            readings = self.read_until_held(&probes, BASELINE_LIMIT).await;
        }
        if let Some(leader) = self.watch.leader() {
            // The roles were given out before the load began; a leader that moved since makes them wrong.
            let world = look_at_world(&self.centers, &self.watch, self.plan.world.seed).await?;
            self.plan = plan(self.scenario, &world)?;
            self.leaders.before = leader.center;
            self.leaders.epoch_before = leader.epoch;
        }
        for planned in &self.plan.faults.clone() {
            let victims: Vec<String> = planned.victims.iter().map(ToString::to_string).collect();
            self.note(format!(
                "victims of {:?}: {}",
                planned.fault.name,
                victims.join(", ")
            ));
        }
        self.acknowledged.1 = Instant::now();
        self.injected = Some((Instant::now(), now_us()));
        Ok(vec![Event::Baseline(readings)])
    }

    fn apply(&mut self, fault: usize) -> Result<()> {
        let planned = &self.plan.faults[fault];
        let id = format!("{}-{fault}", self.scenario.id).to_lowercase();
        let strikes = strikes(planned, &id)?;
        let lasts = Duration::from_millis(planned.fault.duration_ms) + KEEPER_MARGIN;
        let deadline_unix_ms = now_unix_ms() + u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
        let (scenario, name) = (self.scenario.id.to_string(), planned.fault.name.clone());
        let (ground, leases, keeper) = (
            self.ground.clone(),
            self.leases.clone(),
            self.keeper.clone(),
        );
        let (held, sender) = (self.faults[fault].held.clone(), self.sender.clone());
        let applying = tokio::spawn(async move {
            let mut held = held.lock().await;
            let mut applied = Ok(());
            for strike in strikes {
                let lease_of = |inverse: &Inverse| Lease {
                    scenario: scenario.clone(),
                    fault: name.clone(),
                    target: strike.target(),
                    strike: strike.clone(),
                    inverse: inverse.clone(),
                    deadline_unix_ms,
                    engine_pid: std::process::id(),
                };
                applied = apply_one(&strike, &ground, &leases, &keeper, lease_of, &mut held).await;
                if applied.is_err() {
                    break;
                }
            }
            let event = match applied {
                Ok(()) => Event::Applied(fault),
                Err(error) => Event::NotApplied(fault, error.to_string()),
            };
            // The engine ends only after it heard of every fault.
            let _ = sender.send(event).await;
        });
        self.faults[fault].applying = Some(applying);
        Ok(())
    }

    fn observe(&self, fault: usize) {
        let planned = &self.plan.faults[fault];
        let left = planned
            .fault
            .end_ms()
            .saturating_sub(self.since_injection_ms());
        // A moment is left for the probes that are read at the fault's end.
        let limit = Duration::from_millis(left.saturating_sub(500).max(OBSERVE_MS_MIN));
        let ground = self.ground.clone();
        let (held, sender) = (self.faults[fault].held.clone(), self.sender.clone());
        tokio::spawn(async move {
            // A copy, so that taking the fault back waits for nobody.
            let all: Vec<(Strike, Inverse, Background)> = held
                .lock()
                .await
                .iter()
                .map(|one| {
                    (
                        one.strike.clone(),
                        one.inverse.clone(),
                        one.background.counter(),
                    )
                })
                .collect();
            let (mut seen, mut not_seen) = (Vec::new(), Vec::new());
            for (strike, inverse, background) in &all {
                match strike.observe(inverse, background, &ground, limit).await {
                    Acted::Seen(what) => seen.push(what),
                    Acted::NotSeen(what) => not_seen.push(what),
                }
            }
            let acted = match not_seen.is_empty() && !seen.is_empty() {
                true => Acted::Seen(seen.join("; ")),
                false => Acted::NotSeen(not_seen.join("; ")),
            };
            let _ = sender.send(Event::Observed(fault, acted)).await;
        });
    }

    fn recover(&mut self, fault: usize) {
        let ground = self.ground.clone();
        let (held, sender) = (self.faults[fault].held.clone(), self.sender.clone());
        let applying = self.faults[fault].applying.take();
        tokio::spawn(async move {
            // One that is still being applied is given a moment and then given up: its lease is
            // there already, and taking it back takes back what there is of it.
            if let Some(mut applying) = applying
                && timeout(GIVE_UP_LIMIT, &mut applying).await.is_err()
            {
                applying.abort();
            }
            let all = std::mem::take(&mut *held.lock().await);
            let mut ends = tokio::task::JoinSet::new();
            for one in all {
                let ground = ground.clone();
                ends.spawn(async move {
                    drop(one.background);
                    end(&one.path, &one.lease, &ground, RECOVER_LIMIT).await
                });
            }
            let (mut gone, mut unproven) = (Vec::new(), Vec::new());
            while let Some(ended) = ends.join_next().await {
                match ended {
                    Ok(Proof::Gone(what)) => gone.push(what),
                    Ok(Proof::Unproven(what)) => unproven.push(what),
                    Err(error) => unproven.push(error.to_string()),
                }
            }
            let proof = match unproven.is_empty() {
                true if gone.is_empty() => Proof::Gone("nothing of it was applied".to_owned()),
                true => Proof::Gone(gone.join("; ")),
                false => Proof::Unproven(unproven.join("; ")),
            };
            let _ = sender.send(Event::Recovered(fault, proof)).await;
        });
    }

    /// Waits until all is well, ends the load, and holds histories against the log.
    async fn verify(&mut self) -> Result<Vec<Event>> {
        let probes = self.probes_of(When::After);
        let now: Vec<_> = probes
            .iter()
            .filter(|(_, it)| !it.probe.needs_the_end() && it.probe != Probe::EqualStates {})
            .cloned()
            .collect();
        let mut readings = self.read_until_held(&now, AFTER_LIMIT).await;
        self.ended_us = now_us();
        self.note("the load ends; histories are held against the log");
        self.finish_load().await?;
        let equal = self
            .watch
            .wait_for(EQUAL_LIMIT, "equal states on all replicas", |seen| {
                seen.equal_at(self.centers.all.len())
            })
            .await;
        let judged = timeout(
            JUDGE_LIMIT,
            judge::judge(
                &self.centers,
                &self.watch,
                &self.histories,
                &Detail::default(),
            ),
        )
        .await;
        let from_us = self.injected.map_or(0, |(_, at_us)| at_us);
        let any_answer = self.scenario.phase == TradingPhase::LunchBreak;
        self.silence_ms = longest_silence_ms(&self.histories, from_us, self.ended_us, any_answer);
        let witness = match judged {
            Ok(Ok(judged)) => self.take_in(&judged.verdict),
            Ok(Err(error)) => Reading::NoData(format!("{error:#}")),
            Err(_) => Reading::NoData(format!(
                "the log was not read within {} s",
                JUDGE_LIMIT.as_secs()
            )),
        };
        for (index, probe) in &probes {
            let reading = match probe.probe {
                Probe::EqualStates {} => match &equal {
                    Ok(at) => Reading::Holds(format!("equal at entry {at}")),
                    Err(error) => Reading::Broken(format!("{error:#}")),
                },
                Probe::Witness {} => witness.clone(),
                Probe::LongestSilence { ms_max } => match self.silence_ms {
                    None => Reading::NoData("no order was accepted since the injection".to_owned()),
                    Some(ms) if ms <= ms_max => Reading::Holds(format!("{ms} ms at most")),
                    Some(ms) => Reading::Broken(format!("{ms} ms, allowed are {ms_max} ms")),
                },
                _ => continue,
            };
            readings.push((*index, reading));
        }
        let left = residue(&self.ground).await;
        if !left.is_empty() {
            self.experiment
                .failures
                .push(format!("left behind: {}", left.join("; ")));
        }
        Ok(vec![Event::Read(When::After, readings)])
    }

    fn take_in(&mut self, verdict: &history::Verdict) -> Reading {
        self.orders = Orders {
            offered_per_second: self.offer.per_second,
            sent: verdict.sent,
            acknowledged: verdict.acknowledged,
            rejected: verdict.rejected,
            unknown: verdict.unknown,
            lost: verdict.lost,
            doubled: verdict.doubled,
            contradictions: verdict.contradictions,
        };
        let said = format!(
            "{} acknowledged, {} lost, {} doubled, {} contradicted",
            verdict.acknowledged, verdict.lost, verdict.doubled, verdict.contradictions
        );
        if verdict.acknowledged == 0 {
            return Reading::NoData("no order was acknowledged".to_owned());
        }
        if verdict.lost > self.scenario.expected.rpo_orders_max
            || verdict.doubled + verdict.contradictions > 0
        {
            return Reading::Broken(format!("{said}: {}", verdict.findings.join("; ")));
        }
        match verdict.unverifiable {
            0 => Reading::Holds(said),
            count => Reading::NoData(format!("{count} answers are older than the kept log")),
        }
    }

    async fn finish_load(&mut self) -> Result<()> {
        if let Some(clients) = self.clients.take() {
            self.histories = clients.stop(&Detail::default()).await?;
        }
        Ok(())
    }

    fn evidence(mut self, verdict: chaos_scenario::Verdict, began_at: String) -> Evidence {
        let after = self.watch.leader();
        if let Some(after) = &after {
            self.leaders.after.clone_from(&after.center);
            self.leaders.epoch_after = after.epoch;
        }
        let moments = self.moments();
        Evidence {
            format: EVIDENCE_FORMAT,
            scenario: self.scenario.clone(),
            plan: self.plan,
            began_at,
            took_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            verdict,
            experiment: self.experiment,
            leaders: self.leaders,
            longest_silence_ms: self.silence_ms,
            legs: moments.and_then(|moments| moments.legs().ok()),
            moments,
            orders: self.orders,
            timeline: self.timeline,
            log: self.log,
            machine: machine(),
        }
    }

    /// The moments of the first failover after the injection. Its fault is the last one that was
    /// ordered before anybody missed the leader.
    fn moments(&self) -> Option<Moments> {
        let before = self.leaders.epoch_before;
        let election =
            (before + 1..=self.leaders.epoch_after).find_map(|epoch| self.watch.election(epoch))?;
        let fault_at_us = fault_before(&self.ordered_us, election.suspected_at_us)?;
        let first = first_contact(&self.histories, Epoch(election.epoch));
        Some(Moments {
            fault_at_us,
            suspected_at_us: election.suspected_at_us,
            campaigned_at_us: election.campaigned_at_us,
            elected_at_us: election.elected_at_us,
            serving_at_us: election.serving_at_us,
            rerouted_at_us: first.logged_on_at.map_or(0, |at| at.0),
            first_order_at_us: first.accepted_at.map_or(0, |at| at.0),
        })
    }
}

/// The last fault that was ordered before a leader was missed; none when it was missed before any.
fn fault_before(ordered_us: &[u64], suspected_at_us: u64) -> Option<u64> {
    let earlier = ordered_us.iter().filter(|at_us| **at_us <= suspected_at_us);
    earlier.max().copied()
}

/// One victim: look, write the lease, arm the keeper, and only then apply.
async fn apply_one(
    strike: &Strike,
    ground: &Ground,
    leases: &Leases,
    keeper: &std::path::Path,
    lease_of: impl Fn(&Inverse) -> Lease,
    held: &mut Vec<Held>,
) -> Result<(), chaos_faults::Error> {
    let inverse = strike.prepare(ground).await?;
    let lease = lease_of(&inverse);
    let path = leases.take(&lease)?;
    // From here on it is ours to take back, whatever happens.
    held.push(Held {
        strike: strike.clone(),
        inverse: inverse.clone(),
        lease,
        path: path.clone(),
        background: Background::default(),
    });
    keeper::arm(keeper, &path).await?;
    let applying = timeout(APPLY_LIMIT, strike.apply(&inverse, ground)).await;
    let background = applying.map_err(|_| chaos_faults::Error::Apply {
        fault: strike.driver(),
        target: strike.target(),
        reason: format!("it was not done within {} s", APPLY_LIMIT.as_secs()),
    })??;
    if let Some(last) = held.last_mut() {
        last.background = background;
    }
    Ok(())
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Without a sender nobody will ever press the button.
    if stop.wait_for(|is_stopped| *is_stopped).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failover_is_counted_from_the_fault_that_came_before_it() {
        assert_eq!(fault_before(&[1_000, 3_000, 9_000], 3_700), Some(3_000));
        assert_eq!(fault_before(&[1_000], 900), None, "it was no fault of ours");
        assert_eq!(fault_before(&[], 900), None);
    }

    #[test]
    fn a_burst_offers_more_whatever_the_profile() {
        let text = include_str!("../../scenario/tests/good.yaml");
        let offered = |text: &str| {
            let scenario = chaos_scenario::parse(std::path::Path::new("x"), text).unwrap();
            offer(&scenario, 1).per_second
        };
        assert_eq!(offered(text), 200);
        assert_eq!(
            offered(&text.replace("phase: continuous", "phase: openingBurst")),
            800
        );
        assert_eq!(offered(&text.replace("load: usual", "load: calm")), 100);
    }
}

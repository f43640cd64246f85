//! Reads the cards again and again, and keeps what is thought of each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use card_health::{
    Card, CardAddress, CrossCheck, CrossCheckCounts, Judge, Judgement, Reading, Sample,
};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::configuration::Configuration;
use crate::kernel::{KernelCard, discover};

/// How often new cards are looked for.
const DISCOVER_EVERY: Duration = Duration::from_secs(5);
/// Cards of one node that are watched; further ones are told of and left alone.
const CARDS_MAX: usize = 64;

/// What is known of one card.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The last reading that came.
    pub reading: Option<Reading>,
    /// What is thought; nothing before the first reading.
    pub judgement: Option<Judgement>,
    /// Since when it is in this state, by the wall clock.
    pub since: Timestamp,
    /// When the last reading came.
    pub read_at: Option<Timestamp>,
    /// Samples compared.
    pub compared: CrossCheckCounts,
    /// Rounds so far.
    pub beat: u64,
    /// Rounds in which no reading came in time.
    pub unread: u64,
}

/// All cards of the node.
pub type Cards = BTreeMap<CardAddress, Snapshot>;

/// What a reading gives, with the card that gave it.
type Answer = (Box<dyn Card>, Reading, Vec<Sample>);

/// One card with its judge.
struct Watcher {
    address: CardAddress,
    began: Instant,
    every: Duration,
    judge: Judge,
    cross_check: CrossCheck,
    card: Option<Box<dyn Card>>,
    under_way: Option<JoinHandle<Answer>>,
    snapshot: Snapshot,
}

impl Watcher {
    fn new(card: Box<dyn Card>, configuration: &Configuration, began: Instant) -> Self {
        Self {
            address: card.address().clone(),
            began,
            every: Duration::from_millis(configuration.read_every_ms),
            judge: Judge::new(configuration.health.clone()),
            cross_check: CrossCheck::default(),
            card: Some(card),
            under_way: None,
            snapshot: Snapshot {
                reading: None,
                judgement: None,
                since: Timestamp::now(),
                read_at: None,
                compared: CrossCheckCounts::default(),
                beat: 0,
                unread: 0,
            },
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// One reading, or none where the device hangs: a reading under way is waited for in the next
    /// round, never started twice.
    async fn round(&mut self) {
        if let Some(mut card) = self.card.take() {
            self.under_way = Some(tokio::task::spawn_blocking(move || {
                let (reading, samples) = (card.read(), card.samples());
                (card, reading, samples)
            }));
        }
        let answer = match &mut self.under_way {
            Some(handle) => tokio::time::timeout(self.every, handle).await.ok(),
            None => None,
        };
        let now_ms = self.now_ms();
        match answer {
            Some(Ok((card, reading, samples))) => {
                (self.card, self.under_way) = (Some(card), None);
                let mismatch = self.cross_check.check(&samples);
                self.judge.judge(now_ms, &reading, mismatch.as_ref());
                self.snapshot.reading = Some(reading);
                self.snapshot.read_at = Some(Timestamp::now());
            }
            // A reader that panicked took the card with it: from now on nothing is read, and told.
            Some(Err(error)) => {
                tracing::error!(card = %self.address, %error, "failed to read the card");
                self.under_way = None;
                self.snapshot.unread += 1;
                self.judge.no_reading(now_ms);
            }
            None => {
                self.snapshot.unread += 1;
                self.judge.no_reading(now_ms);
            }
        }
        self.settle();
    }

    fn settle(&mut self) {
        let before = self
            .snapshot
            .judgement
            .as_ref()
            .map(|it| (it.state, it.reason));
        let judgement = self.judge.judgement().cloned();
        if let Some(now) = &judgement
            && before != Some((now.state, now.reason))
        {
            if before.map(|it| it.0) != Some(now.state) {
                self.snapshot.since = Timestamp::now();
            }
            tracing::info!(card = %self.address, state = %now.state, reason = %now.reason, text = now.text);
        }
        self.snapshot.judgement = judgement;
        self.snapshot.compared = self.cross_check.counts();
        self.snapshot.beat += 1;
    }
}

async fn watch_one(mut watcher: Watcher, cards: watch::Sender<Cards>) {
    let mut rounds = tokio::time::interval(watcher.every);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        watcher.round().await;
        let (address, snapshot) = (watcher.address.clone(), watcher.snapshot.clone());
        cards.send_modify(|cards| {
            cards.insert(address, snapshot);
        });
    }
}

/// Watches the node's cards until the future is dropped: those that are expected, those that the
/// cluster knew (`known`), and those that are found.
pub async fn watch_cards(
    root: PathBuf,
    configuration: Configuration,
    known: Vec<CardAddress>,
    cards: watch::Sender<Cards>,
) {
    let began = Instant::now();
    let mut watched = BTreeMap::new();
    let mut first: Vec<CardAddress> = [configuration.expected.clone(), known].concat();
    let mut looks = tokio::time::interval(DISCOVER_EVERY);
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        looks.tick().await;
        let found = find(&root, &configuration).await;
        for address in first.drain(..).chain(found) {
            if watched.contains_key(&address) {
                continue;
            }
            if watched.len() >= CARDS_MAX {
                tracing::warn!(card = %address, "left alone: {CARDS_MAX} cards are watched already");
                continue;
            }
            tracing::info!(card = %address, "watched from now on");
            let card = Box::new(KernelCard::new(&root, address.clone()));
            let watcher = Watcher::new(card, &configuration, began);
            watched.insert(address, tasks.spawn(watch_one(watcher, cards.clone())));
        }
    }
}

async fn find(root: &Path, configuration: &Configuration) -> Vec<CardAddress> {
    let (root, models) = (root.to_owned(), configuration.models.clone());
    let found = tokio::task::spawn_blocking(move || discover(&root, &models)).await;
    match found {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            tracing::warn!(%error, "failed to look for cards");
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}

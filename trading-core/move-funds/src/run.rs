//! Brings one movement to its end.

use crate::config::Config;
use crate::leader::{Leader, NoAnswer};
use crate::movement::{Impossible, Known, Movement, Next, next};
use protocol::admin::LookUpTransfersRequest;
use serde::Serialize;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use types::{AccountId, Money, ShardId, TransferId};

/// Between a replica that did not answer and the next one.
const PAUSE: Duration = Duration::from_millis(100);
/// A leader that lost its group and does not know it yet knows it after this time: election timeouts
/// are at most 900 ms by default. What looks impossible must look so again behind it.
const STALE_TIME: Duration = Duration::from_millis(1_000);

/// A movement that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// The number.
    pub transfer: u64,
    /// Whose funds.
    pub account: u64,
    /// How much, in 1/10,000 yuan.
    pub amount: i64,
    /// Where they left.
    pub from_shard: u16,
    /// Where they went.
    pub to_shard: u16,
    /// Records of this run that a leader said it had committed; 0 when an earlier run did it all.
    pub records: u32,
}

/// A movement that has begun and is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct UnderWay {
    /// Its number.
    pub transfer: u64,
    /// Whose funds.
    pub account: u64,
    /// How much, in 1/10,000 yuan.
    pub amount: i64,
    /// Where they go.
    pub to_shard: u32,
}

/// What a shard tells of the movements from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// The shard.
    pub shard: u16,
    /// The entry of its log up to which this is told.
    pub applied_index: u64,
    /// The least number that a new movement may have.
    pub next_transfer: u64,
    /// Each is brought to its end by a run with the same numbers.
    pub under_way: Vec<UnderWay>,
}

/// Why a movement is not over. It can be run again in every case.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The shard is not in the configuration.
    #[error("shard {shard} is not accepted: the configuration names no such shard")]
    UnknownShard {
        /// Which.
        shard: ShardId,
    },
    /// The movement leads nowhere.
    #[error("{field} {value} is not accepted: {accepted}")]
    Unsound {
        /// The argument.
        field: &'static str,
        /// Its value.
        value: String,
        /// What would be accepted.
        accepted: &'static str,
    },
    /// It cannot be.
    #[error(transparent)]
    Impossible(#[from] Impossible),
    /// A shard refused a step.
    #[error("shard {shard} refused to {step} transfer {transfer}: {code}: {text}")]
    Refused {
        /// The shard.
        shard: ShardId,
        /// The step.
        step: Next,
        /// The number.
        transfer: TransferId,
        /// The reason's code.
        code: u32,
        /// The reason.
        text: String,
    },
    /// The shard did not answer in time.
    #[error("shard {shard} did not answer within {after_s} s: {last}: run this again")]
    NoAnswer {
        /// The shard.
        shard: ShardId,
        /// How long was tried.
        after_s: u64,
        /// What stood in the way last.
        last: String,
    },
    /// The movement was not brought to its end in time.
    #[error(
        "transfer {transfer} is not over after {after_s} s: {last}: run this again with the same \
         number"
    )]
    NotInTime {
        /// The number.
        transfer: TransferId,
        /// How long was tried.
        after_s: u64,
        /// What stood in the way last.
        last: String,
    },
}

/// Moves the funds, or takes up a movement that an earlier run began; gives up after `patience`.
///
/// # Errors
/// [`MoveError`]. Nothing is lost: run it again with the same number.
pub async fn run(
    config: &Config,
    movement: &Movement,
    patience: Duration,
) -> Result<Moved, MoveError> {
    check(movement)?;
    let mut mover = Mover {
        movement,
        from: leader_of(config, movement.from)?,
        to: leader_of(config, movement.to)?,
        records: 0,
        doubted: None,
    };
    let until = Instant::now() + patience;
    loop {
        let pause = match mover.step().await? {
            Stepped::Over => break,
            Stepped::Done => continue,
            Stepped::Unsure(pause, last) if Instant::now() + pause > until => {
                return Err(MoveError::NotInTime {
                    transfer: movement.transfer,
                    after_s: patience.as_secs(),
                    last,
                });
            }
            Stepped::Unsure(pause, last) => {
                tracing::info!(last, "looking again");
                pause
            }
        };
        sleep(pause).await;
    }
    Ok(Moved {
        transfer: movement.transfer.0,
        account: movement.account.0,
        amount: movement.amount.0,
        from_shard: movement.from.0,
        to_shard: movement.to.0,
        records: mover.records,
    })
}

fn leader_of(config: &Config, shard: ShardId) -> Result<Leader<'_>, MoveError> {
    let replicas = config.replicas_of(shard);
    replicas
        .map(|replicas| Leader::new(&config.cluster, shard, replicas))
        .ok_or(MoveError::UnknownShard { shard })
}

/// What is under way from a shard; gives up after `patience`.
///
/// # Errors
/// [`MoveError::UnknownShard`] and [`MoveError::NoAnswer`].
pub async fn list(
    config: &Config,
    shard: ShardId,
    patience: Duration,
) -> Result<Listed, MoveError> {
    let mut leader = leader_of(config, shard)?;
    let until = Instant::now() + patience;
    let known = loop {
        match leader.look_up(LookUpTransfersRequest::default()).await {
            Ok(known) => break known,
            Err(no_answer) if Instant::now() + PAUSE > until => {
                return Err(MoveError::NoAnswer {
                    shard,
                    after_s: patience.as_secs(),
                    last: no_answer.to_string(),
                });
            }
            Err(_) => sleep(PAUSE).await,
        }
    };
    let under_way = known.under_way.iter().map(|it| UnderWay {
        transfer: it.transfer,
        account: it.account,
        amount: it.amount,
        to_shard: it.to_shard,
    });
    Ok(Listed {
        shard: shard.0,
        applied_index: known.applied_index,
        next_transfer: known.last_begun.saturating_add(1),
        under_way: under_way.collect(),
    })
}

fn check(movement: &Movement) -> Result<(), MoveError> {
    let unsound = |field, value: String, accepted| {
        Err(MoveError::Unsound {
            field,
            value,
            accepted,
        })
    };
    if movement.transfer == TransferId(0) {
        return unsound("transfer", "0".into(), "numbers begin at 1");
    }
    if movement.account == AccountId(0) {
        return unsound("account", "0".into(), "numbers begin at 1");
    }
    if movement.amount <= Money(0) {
        let value = movement.amount.to_string();
        return unsound("amount", value, "use more than 0");
    }
    if movement.from == movement.to {
        let value = movement.to.to_string();
        return unsound("to_shard", value, "name another shard than from_shard");
    }
    Ok(())
}

struct Mover<'a> {
    movement: &'a Movement,
    from: Leader<'a>,
    to: Leader<'a>,
    records: u32,
    /// What was impossible or refused at the last look: believed when it comes twice.
    doubted: Option<Next>,
}

enum Stepped {
    /// The movement is over.
    Over,
    /// A record is committed.
    Done,
    /// Look again after a pause.
    Unsure(Duration, String),
}

impl Mover<'_> {
    /// Looks, decides, and puts at most one record into a log.
    async fn step(&mut self) -> Result<Stepped, MoveError> {
        let known = match self.look().await {
            Ok(known) => known,
            Err(no_answer) => return Ok(Stepped::Unsure(PAUSE, no_answer.to_string())),
        };
        let step = next(self.movement, &known);
        if let Next::Impossible(reason) = step {
            if self.doubted == Some(step) {
                return Err(reason.into());
            }
            self.doubted = Some(step);
            return Ok(Stepped::Unsure(STALE_TIME, reason.to_string()));
        }
        let Some((shard, record)) = self.movement.record(step) else {
            tracing::info!(transfer = self.movement.transfer.0, "the movement is over");
            return Ok(Stepped::Over);
        };
        tracing::info!(transfer = self.movement.transfer.0, %step, %shard, "sending");
        let leader = if shard == self.movement.from {
            &mut self.from
        } else {
            &mut self.to
        };
        let answer = match leader.put(&record).await {
            Ok(answer) => answer,
            // It may be in the log, now or later: the next look tells, and a second one does no harm.
            Err(no_answer) => return Ok(Stepped::Unsure(PAUSE, no_answer.to_string())),
        };
        if answer.done {
            self.records += 1;
            self.doubted = None;
            let index = answer.log_index;
            tracing::info!(transfer = self.movement.transfer.0, %step, %shard, index, "committed");
            return Ok(Stepped::Done);
        }
        // Another run with this number may have been faster: then the next look finds another step.
        if self.doubted == Some(step) {
            return Err(MoveError::Refused {
                shard,
                step,
                transfer: self.movement.transfer,
                code: answer.code,
                text: answer.text,
            });
        }
        self.doubted = Some(step);
        Ok(Stepped::Unsure(STALE_TIME, answer.text))
    }

    /// What both leaders know of the movement, the receiver first: what has arrived was under way.
    async fn look(&mut self) -> Result<Known, NoAnswer> {
        let Movement {
            transfer,
            account,
            from,
            ..
        } = *self.movement;
        let at_receiver = LookUpTransfersRequest {
            transfer: transfer.0,
            from_shard: from.0.into(),
            account: account.0,
        };
        let at_sender = LookUpTransfersRequest {
            account: account.0,
            ..LookUpTransfersRequest::default()
        };
        let receiver = self.to.look_up(at_receiver).await?;
        let sender = self.from.look_up(at_sender).await?;
        let mut under_way = sender.under_way.iter();
        let shard = |number: u32| ShardId(u16::try_from(number).unwrap_or(u16::MAX));
        Ok(Known {
            under_way: under_way
                .find(|it| it.transfer == transfer.0)
                .map(|it| (AccountId(it.account), Money(it.amount), shard(it.to_shard))),
            last_begun: TransferId(sender.last_begun),
            arrived: receiver
                .arrived
                .map(|it| (AccountId(it.account), Money(it.amount))),
            is_forgotten: receiver.is_forgotten,
            is_account_open: [sender.is_account_open, receiver.is_account_open],
        })
    }
}

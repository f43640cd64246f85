//! The commands that do one thing and end: on data directories while no replica runs on them, and
//! between shards that run.

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use serde::Serialize;
use server::clock::now;
use server::config::ReplicaConfig;
use server::takeover::form::{Approved, form};
use server::takeover::plan::{Plan, plan};
use server::takeover::{apply, come_back, rejoin, salvage, survey};
use std::path::{Path, PathBuf};
use std::time::Duration;
use types::{AccountId, Money, ShardId, TransferId};

/// One step of a forced takeover. Each prints one JSON object.
#[derive(Subcommand)]
pub enum Takeover {
    /// Shows what survived, what may be lost, and the digest to approve
    Plan {
        #[command(flatten)]
        survivors: Survivors,
    },
    /// Makes the survivor with the newest log the whole group
    Apply {
        #[command(flatten)]
        survivors: Survivors,
        /// The plan's digest, as it was approved
        #[arg(long)]
        digest: String,
    },
    /// Lists the requests that only a lost replica has
    Salvage {
        /// The lost replica's data directory, or where `rejoin` kept its files
        #[arg(long)]
        lost: PathBuf,
        /// A data directory of the new group
        #[arg(long)]
        survivor: PathBuf,
    },
    /// Keeps a replica's files aside and empties its directory, so that it joins the new group
    Rejoin {
        /// The replica's configuration, JSON
        #[arg(long)]
        config: PathBuf,
    },
    /// `plan` and `apply` in one for an operator that has had it approved; may be run again
    Form {
        /// The survivor's configuration, JSON
        #[arg(long)]
        config: PathBuf,
        /// The generation to be formed, as it was approved
        #[arg(long)]
        generation: u64,
        /// A replica that counts as lost, as it was approved; again for each
        #[arg(long = "lost", required = true)]
        lost: Vec<u64>,
        /// The log must reach to here
        #[arg(long)]
        last_index_min: u64,
        /// Forms nothing from this time on, microseconds since 1970
        #[arg(long)]
        not_after_us: Option<u64>,
        /// Where the answer is written too
        #[arg(long)]
        result: Option<PathBuf>,
    },
    /// `salvage` and `rejoin` in one, against the running leader, for an operator; may be run again
    ComeBack {
        /// The replica's configuration, JSON
        #[arg(long)]
        config: PathBuf,
        /// The leader of the group that was formed, `host:port` of its administration
        #[arg(long)]
        leader: String,
        /// Where the answer is written too
        #[arg(long)]
        result: Option<PathBuf>,
    },
}

/// A movement of funds. Prints one JSON object when it is over.
#[derive(clap::Args)]
pub struct MoveFunds {
    /// The shards and the order addresses of their replicas, JSON
    #[arg(long)]
    config: PathBuf,
    /// The movement's number, greater than all before it from this shard; the same when run again
    #[arg(long)]
    transfer: u64,
    /// The shard that the funds leave
    #[arg(long)]
    from_shard: u16,
    /// The shard that they go to
    #[arg(long)]
    to_shard: u16,
    /// Whose funds
    #[arg(long)]
    account: u64,
    /// How much, in yuan, with at most four decimals
    #[arg(long)]
    amount_yuan: String,
    /// How long to try, in seconds: 1 to 3600
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    patience_s: u64,
}

/// Moves funds, or takes up what an earlier run began.
///
/// # Errors
/// Why it is not over; run again with the same number, it goes on.
pub fn move_funds(wanted: &MoveFunds) -> Result<()> {
    let config: move_funds::Config = configuration::read(&wanted.config)?;
    let amount = read_yuan(&wanted.amount_yuan).with_context(|| {
        format!(
            "--amount-yuan {} is not accepted: use an amount such as 1250 or 1250.5, with at most \
             four decimals",
            wanted.amount_yuan
        )
    })?;
    let movement = move_funds::Movement {
        transfer: TransferId(wanted.transfer),
        account: AccountId(wanted.account),
        amount,
        from: ShardId(wanted.from_shard),
        to: ShardId(wanted.to_shard),
    };
    let patience = Duration::from_secs(wanted.patience_s);
    print(&runtime()?.block_on(move_funds::run(&config, &movement, patience))?)
}

/// What is under way from a shard. Prints one JSON object.
#[derive(clap::Args)]
pub struct ListTransfers {
    /// The shards and the order addresses of their replicas, JSON
    #[arg(long)]
    config: PathBuf,
    /// The shard that funds have left
    #[arg(long)]
    from_shard: u16,
    /// How long to try, in seconds: 1 to 3600
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    patience_s: u64,
}

/// Lists what is under way.
///
/// # Errors
/// When the shard has no leader that answers.
pub fn list_transfers(asked: &ListTransfers) -> Result<()> {
    let config: move_funds::Config = configuration::read(&asked.config)?;
    let patience = Duration::from_secs(asked.patience_s);
    let listed = move_funds::list(&config, ShardId(asked.from_shard), patience);
    print(&runtime()?.block_on(listed)?)
}

/// Money of a decimal number of yuan; `None` where it is none, or too fine or great.
fn read_yuan(text: &str) -> Option<Money> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_plain =
        |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_plain(whole) || !is_plain(fraction) || fraction.len() > 4 {
        return None;
    }
    let fraction: i64 = format!("{fraction:0<4}").parse().ok()?;
    let whole: i64 = whole.parse().ok()?;
    whole.checked_mul(10_000)?.checked_add(fraction).map(Money)
}

/// Where to look for survivors.
#[derive(clap::Args)]
pub struct Survivors {
    /// The configuration of a survivor whose data directory is on this machine; again for each
    #[arg(long = "config", required = true)]
    configs: Vec<PathBuf>,
    /// A running survivor elsewhere, `host:port` of its administration; again for each
    #[arg(long = "process")]
    processes: Vec<String>,
}

/// Runs a step.
///
/// # Errors
/// Why it cannot be done; nothing was changed then, unless the text says otherwise.
pub fn takeover(step: Takeover) -> Result<()> {
    match step {
        Takeover::Plan { survivors } => print(&survivors.plan()?.0),
        Takeover::Apply { survivors, digest } => {
            let (plan, configs) = survivors.plan()?;
            let base = configs.iter().find(|config| config.replica == plan.base);
            let base = base.context("the base was found without its configuration")?;
            apply::apply(&plan, &digest, base)?;
            print(&plan)
        }
        Takeover::Salvage { lost, survivor } => print(&salvage::salvage(&lost, &survivor)?),
        Takeover::Rejoin { config } => {
            let (config, _) = ReplicaConfig::read(&config)?;
            let folder = &config.data_directory;
            print(&rejoin::rejoin(folder, config.journal_options(), now().0)?)
        }
        Takeover::Form {
            config,
            generation,
            lost,
            last_index_min,
            not_after_us,
            result,
        } => {
            let (config, _) = ReplicaConfig::read(&config)?;
            let approved = Approved {
                generation,
                lost,
                last_index_min,
                not_after_us,
            };
            let formed = runtime()?.block_on(form(&config, &approved, now().0))?;
            tell(&formed, result.as_deref())
        }
        Takeover::ComeBack {
            config,
            leader,
            result,
        } => {
            let (config, _) = ReplicaConfig::read(&config)?;
            let done = come_back::come_back(&config, &leader, now().0);
            tell(&runtime()?.block_on(done)?, result.as_deref())
        }
    }
}

impl Survivors {
    fn plan(&self) -> Result<(Plan, Vec<ReplicaConfig>)> {
        let runtime = runtime()?;
        let read = self.configs.iter().map(|path| ReplicaConfig::read(path));
        let read: Result<Vec<_>, _> = read.collect();
        let configs: Vec<ReplicaConfig> = read?.into_iter().map(|(config, _)| config).collect();
        let Some(first) = configs.first() else {
            bail!("no configuration is given");
        };
        let (cluster, shard) = (first.cluster.clone(), first.shard);
        if configs
            .iter()
            .any(|c| c.cluster != cluster || c.shard != shard)
        {
            bail!(
                "the configurations are not of one shard: give those of {cluster}, shard {shard}"
            );
        }
        let mut found = Vec::new();
        for config in &configs {
            found.push(runtime.block_on(survey::of_directory(config))?);
        }
        for address in &self.processes {
            found.push(runtime.block_on(survey::of_process(address))?);
        }
        let plan = plan(&cluster, shard, found).context("nothing survived that could be a base")?;
        Ok((plan, configs))
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to make the runtime")
}

/// Prints it, and writes it where a kubelet looks for it.
fn tell(what: &impl Serialize, result: Option<&Path>) -> Result<()> {
    if let Some(path) = result {
        std::fs::write(path, serde_json::to_vec(what)?)
            .with_context(|| format!("failed to write {}", path.display()))?;
    }
    print(what)
}

fn print(what: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string_pretty(what)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yuan_are_read_to_the_last_digit() {
        for (text, amount) in [
            ("0", Some(0)),
            ("12", Some(120_000)),
            ("12.5", Some(125_000)),
            ("0.0001", Some(1)),
            ("922337203685477.5807", Some(i64::MAX)),
            ("922337203685477.5808", None),
            ("1.00001", None),
            ("-1", None),
            ("1.", None),
            (".5", None),
            ("1e3", None),
            ("", None),
        ] {
            assert_eq!(read_yuan(text), amount.map(Money), "{text:?}");
        }
    }
}

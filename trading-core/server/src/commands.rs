//! The commands that work on data directories while no replica runs on them.

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use serde::Serialize;
use server::clock::now;
use server::config::ReplicaConfig;
use server::takeover::form::{Approved, form};
use server::takeover::plan::{Plan, plan};
use server::takeover::{apply, come_back, rejoin, salvage, survey};
use std::path::{Path, PathBuf};

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

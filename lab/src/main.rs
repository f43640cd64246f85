//! `lab`: three real centers on one machine, from one command.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use lab::ground::address_plan::{Center, Direction, Link};
use lab::ground::cgroup::Group;
use lab::ground::components::Component;
use lab::ground::links::{Delay, LinkControl};
use lab::ground::state::{self, CenterState, Folder, LabState, Phase};
use lab::ground::{self, Extent, Outcome, images, init, materials, power, status};
use lab::load;
use lab::progress::{Detail, Progress, Style};
use lab::run::centers::Centers;
use lab::run::clients::Offer;
use lab::run::fault::Destroyer;
use lab::run::planned_move::PlannedMove;
use lab::run::report::Verdict;
use lab::run::site_loss::{self, SiteLoss};
use lab::run::{self, Options, judge};
use lab_parts::Stop;
use tokio::signal::unix::{SignalKind, signal};

/// The exit code of a command that was interrupted.
const INTERRUPTED: u8 = 130;
/// The exit code of `lab status` when there is no lab or it is not whole.
const NOT_WHOLE: u8 = 3;

/// Three real centers on one machine: Kubernetes clusters, the links between them, and what can be
/// done to both.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Say nothing but failures
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Builds the lab, lets orders flow, destroys the leader's center, and tells what it cost
    Run(RunArguments),
    /// The order load by itself
    Load {
        #[command(subcommand)]
        command: LoadCommand,
    },
    /// Builds the lab, or what is missing of it, and waits until it is ready
    Up {
        /// Only the three clusters and their links, without operators and trading core
        #[arg(long)]
        ground_only: bool,
    },
    /// Builds our images anew and rolls them out on a running lab
    Deploy,
    /// Removes all that the lab made
    Down {
        /// Keep the replicas' journals on disk
        #[arg(long)]
        keep_volumes: bool,
    },
    /// Tells what of the lab runs and what is broken; exits with 3 unless all is whole
    Status {
        /// Form of the output
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Switches a center's power or control plane
    Center {
        #[command(subcommand)]
        command: CenterCommand,
    },
    /// Shows, slows, cuts and heals links
    Link {
        #[command(subcommand)]
        command: LinkCommand,
    },
    /// Runs kubectl on a center
    Kubectl {
        /// Which: a1, a2 or b1
        center: Center,
        /// kubectl's own arguments, after --
        #[arg(last = true, required = true)]
        arguments: Vec<String>,
    },
    /// Prints a component's log
    Logs {
        /// Which: a1, a2 or b1
        center: Center,
        /// Such as kubelet or apiserver
        component: Component,
    },
    /// Prints what is on the machine that a lab could leave behind
    Footprint,
    #[command(hide = true)]
    CenterLaunch { center: Center, spec: PathBuf },
    #[command(hide = true)]
    CenterInit { spec: PathBuf },
    #[command(hide = true)]
    CenterImages { list: PathBuf },
    #[command(hide = true)]
    InGroup {
        group: OwnGroup,
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
}

#[derive(Args, Clone)]
struct RunArguments {
    /// Orders a second, over all clients
    #[arg(long, default_value_t = 400)]
    rate: u64,
    /// Client processes
    #[arg(long, default_value_t = 4)]
    processes: usize,
    /// Sessions in each of them
    #[arg(long, default_value_t = 4)]
    sessions: usize,
    /// How long orders flow before the center is destroyed
    #[arg(long, default_value_t = 10)]
    steady_seconds: u64,
    /// Seed of the orders
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The run fails when trading is back later than this; 5000 if left out, 60000 for a site's loss
    #[arg(long)]
    rto_ms_max: Option<u64>,
    /// What is done to the leader
    #[arg(long, value_enum, default_value_t = FaultChoice::CenterPower)]
    fault: FaultChoice,
    /// Where a planned move goes; without it, to the leader's neighbour
    #[arg(long, value_name = "CENTER")]
    to: Option<String>,
    /// Where the result is written as JSON; in the lab's folder if left out
    #[arg(long)]
    report: Option<PathBuf>,
    /// A cluster of your own, CENTER=FILE, instead of the lab's; repeat it for each center. There
    /// the trading pods of the leader's center are deleted, not the center
    #[arg(long = "kubeconfig", value_parser = pair::<PathBuf>)]
    kubeconfigs: Vec<(String, PathBuf)>,
    /// Where clients reach a center's entry, CENTER=HOST:PORT; for each --kubeconfig
    #[arg(long = "entry", value_parser = pair::<String>)]
    entries: Vec<(String, String)>,
    /// Namespace of the `TradingCore` on clusters of your own
    #[arg(long, default_value = "trading")]
    namespace: String,
    /// Its name
    #[arg(long, default_value = "core")]
    core: String,
}

/// How long the surviving site must have heard nothing before a takeover begins.
const SILENCE_SECONDS: u32 = 5;

#[derive(Clone, Copy, ValueEnum)]
enum FaultChoice {
    /// Its center loses its link, then its power
    CenterPower,
    /// Every API server and etcd is killed, and some time later the leader's process
    LeaderProcess,
    /// Nothing is lost: a Switchover moves the leader to another center
    PlannedMove,
    /// Both centers of its site lose their power; the other site takes over by a Takeover that two
    /// people approve, and the site comes back
    SiteLoss,
}

impl FaultChoice {
    /// Above this recovery time the run has failed, in milliseconds, unless told otherwise. A takeover
    /// waits for silence and for people.
    const fn rto_ms_max(self) -> u64 {
        match self {
            Self::SiteLoss => 60_000,
            Self::CenterPower | Self::LeaderProcess | Self::PlannedMove => 5_000,
        }
    }
}

#[derive(Subcommand)]
enum LoadCommand {
    /// One client process
    Client(load::Arguments),
    /// Lists what the load trades and opens its accounts
    Prepare {
        /// A replica's orders address, HOST:PORT; repeat it for the others
        #[arg(long = "replica", required = true)]
        replicas: Vec<String>,
        /// First account
        #[arg(long)]
        account: u64,
        /// How many
        #[arg(long, default_value_t = 1)]
        accounts: u64,
    },
    /// Holds histories of clients against the leader's log; exits with 1 unless all is well
    Check {
        /// The leader's orders address, HOST:PORT
        #[arg(long)]
        leader: String,
        /// What clients wrote down
        #[arg(required = true)]
        histories: Vec<PathBuf>,
    },
}

fn pair<T: From<String>>(text: &str) -> Result<(String, T), String> {
    match text.split_once('=') {
        Some((center, value)) if !center.is_empty() && !value.is_empty() => {
            Ok((center.to_owned(), T::from(value.to_owned())))
        }
        _ => Err("use CENTER=VALUE, such as a1=/path/to/file".to_owned()),
    }
}

#[derive(Subcommand)]
enum CenterCommand {
    /// Power off: the center falls silent and all in it ends at once; its disk stays
    Off {
        /// Which: a1, a2 or b1
        center: Center,
    },
    /// Power on: boots the same disk
    On {
        /// Which: a1, a2 or b1
        center: Center,
    },
    /// Kills scheduler, controllers, API server and etcd; pods go on
    KillControlPlane {
        /// Which: a1, a2 or b1
        center: Center,
    },
    /// Kills a pod's processes as a crash does; the kubelet starts them again
    KillPod {
        /// Which: a1, a2 or b1
        center: Center,
        /// The pod's namespace
        namespace: String,
        /// The pod
        pod: String,
    },
    /// Starts the control plane again
    StartControlPlane {
        /// Which: a1, a2 or b1
        center: Center,
    },
}

#[derive(Subcommand)]
enum LinkCommand {
    /// Shows all links
    Status,
    /// Sets the delay of a link
    Delay {
        /// One end: a1, a2, b1 or clients
        one: String,
        /// The other end
        other: String,
        /// Round trip, in ms
        round_trip_ms: u32,
        /// How far it strays, in ms
        #[arg(long, default_value_t = 0)]
        jitter_ms: u32,
    },
    /// Swallows all data, silently
    Cut {
        /// One end: a1, a2, b1 or clients
        one: String,
        /// The other end
        other: String,
        /// Only what flows from the first to the second
        #[arg(long)]
        one_way: bool,
    },
    /// Ends cuts; delays stay
    Heal {
        /// One end: a1, a2, b1 or clients
        one: String,
        /// The other end
        other: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Table,
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
enum OwnGroup {
    Links,
    Clients,
    ImageStore,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let style = Style::choose(arguments.quiet);
    match run(arguments.command, style) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lab: {}", told_once(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes, without those whose text the one before carries already.
fn told_once(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if told.is_empty() {
            told = cause;
        } else if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
}

fn run(command: Command, style: Style) -> anyhow::Result<ExitCode> {
    // These become other programs, or live in a process of their own, without a runtime of ours.
    let command = match command {
        Command::CenterLaunch { center, spec } => {
            init::launch(center, &spec)?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::CenterInit { spec } => {
            init::run(&spec)?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::CenterImages { list } => {
            images::import(&list)?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::InGroup { group, command } => {
            let group = match group {
                OwnGroup::Links => Group::links(),
                OwnGroup::Clients => Group::clients(),
                OwnGroup::ImageStore => Group::image_store(),
            };
            let (program, rest) = command.split_first().context("failed to run nothing")?;
            init::enter_and_exec(&group, program.as_ref(), rest)?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::Kubectl { center, arguments } => {
            return kubectl(center, &arguments);
        }
        other => other,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(run_async(command, style));
    // Blocking work that was stopped ends by itself, and nobody waits for it.
    runtime.shutdown_background();
    result
}

async fn run_async(command: Command, style: Style) -> anyhow::Result<ExitCode> {
    let folder = Folder::from_environment();
    match command {
        Command::Run(arguments) => return run_all(&folder, arguments, style).await,
        Command::Load { command } => return load(command).await,
        Command::Up { ground_only } => {
            let extent = match ground_only {
                true => Extent::Ground,
                false => Extent::Whole,
            };
            return up(&folder, extent, style).await;
        }
        Command::Deploy => {
            anyhow::ensure!(
                matches!(folder.read()?, Some(state) if state.phase == Phase::Up),
                "failed to deploy: there is no running lab; `lab up` makes one"
            );
            return up(&folder, Extent::Whole, style).await;
        }
        Command::Down { keep_volumes } => {
            require_root()?;
            ground::down(&folder, keep_volumes, &Progress::new(style, 3)).await?;
        }
        Command::Status { output } => return show_status(&folder, output).await,
        Command::Center { command } => center(&folder, command, style).await?,
        Command::Link { command } => link(&folder, command).await?,
        Command::Logs { center, component } => {
            let path = folder
                .disk(center)
                .join("log")
                .join(format!("{component}.log"));
            let text = std::fs::read(&path).with_context(|| {
                format!(
                    "failed to read {}; `lab status` tells whether there is a lab",
                    path.display()
                )
            })?;
            print(&text)?;
        }
        Command::Footprint => {
            for line in ground::footprint().await? {
                print(format!("{line}\n").as_bytes())?;
            }
        }
        Command::CenterLaunch { .. }
        | Command::CenterInit { .. }
        | Command::CenterImages { .. }
        | Command::InGroup { .. }
        | Command::Kubectl { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn require_root() -> anyhow::Result<()> {
    anyhow::ensure!(
        std::fs::metadata("/proc/self").is_ok_and(|own| {
            use std::os::unix::fs::MetadataExt as _;
            own.uid() == 0
        }),
        "failed to change the lab: not root; run this again with sudo"
    );
    Ok(())
}

/// `lab up`; Ctrl-C removes what was begun, but leaves a lab that stood before.
async fn up(folder: &Folder, extent: Extent, style: Style) -> anyhow::Result<ExitCode> {
    let started = std::time::Instant::now();
    let progress = Progress::new(style, ground::up::STEPS);
    let stop = Stop::default();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let outcome = tokio::select! {
        outcome = ground::up(folder, extent, &progress, &stop) => {
            let is_others_work = |error: &anyhow::Error| {
                matches!(error.downcast_ref(), Some(state::Error::Locked { .. }))
            };
            if outcome.as_ref().is_err_and(|error| !is_others_work(error))
                && matches!(folder.read(), Ok(Some(_)))
            {
                progress.say(
                    "what was built is left for a look at its logs; `lab up` goes on or builds it \
                     anew, `lab down` removes it",
                );
            }
            Some(outcome?)
        },
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
    };
    let took = lab::progress::span(started.elapsed());
    match outcome {
        Some(Outcome::Built) => progress.say(&format!("the lab is up, after {took}")),
        Some(Outcome::Mended) => progress.say(&format!("the lab is whole again, after {took}")),
        Some(Outcome::WasUp) => progress.say(&format!("the lab was up already ({took})")),
        None => {
            stop.stop();
            match folder.read() {
                Ok(Some(state)) if state.phase == Phase::Building => {
                    progress.say("interrupted: what was begun is removed");
                    ground::down(folder, false, &Progress::new(style, 3)).await?;
                }
                Ok(None) => progress.say("interrupted: nothing was begun"),
                _ => progress.say("interrupted: the lab stands as `lab status` tells"),
            }
            return Ok(ExitCode::from(INTERRUPTED));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn load(command: LoadCommand) -> anyhow::Result<ExitCode> {
    match command {
        LoadCommand::Client(arguments) => {
            let filter = tracing_subscriber::EnvFilter::try_from_default_env();
            tracing_subscriber::fmt()
                .with_writer(std::io::stderr)
                .with_ansi(false)
                .with_env_filter(filter.unwrap_or_else(|_| "info".into()))
                .init();
            load::run(arguments).await?;
        }
        LoadCommand::Prepare {
            replicas,
            account,
            accounts,
        } => load::prepare(&replicas, account, accounts).await?,
        LoadCommand::Check { leader, histories } => {
            let histories: anyhow::Result<Vec<_>> =
                histories.iter().map(|path| read(path)).collect();
            let judged = judge::judge_at(&leader, &histories?, &Detail::default()).await?;
            print(format!("{}\n", serde_json::to_string_pretty(&judged.verdict)?).as_bytes())?;
            if !judged.verdict.is_clean() {
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> anyhow::Result<history::History> {
    let failed = || format!("failed to read {}", path.display());
    let file = std::fs::File::open(path).with_context(failed)?;
    history::read_history(std::io::BufReader::new(file)).with_context(failed)
}

fn planned_move(arguments: &RunArguments) -> Destroyer {
    Destroyer::PlannedMove(PlannedMove::new(arguments.to.clone()))
}

/// `lab run`; Ctrl-C ends the load and gives back what was destroyed.
async fn run_all(
    folder: &Folder,
    arguments: RunArguments,
    style: Style,
) -> anyhow::Result<ExitCode> {
    let options = Options {
        offer: Offer {
            processes: arguments.processes,
            sessions_per_process: arguments.sessions,
            per_second: arguments.rate,
            seed: arguments.seed,
        },
        steady: Duration::from_secs(arguments.steady_seconds),
        rto_ms_max: arguments.rto_ms_max.unwrap_or(arguments.fault.rto_ms_max()),
        folder: folder.path().to_owned(),
    };
    run::validate(&options)?;
    if let Some(to) = &arguments.to
        && !matches!(arguments.fault, FaultChoice::PlannedMove)
    {
        anyhow::bail!("--to {to} is not accepted here: only --fault planned-move goes to a center");
    }
    let own_clusters = !arguments.kubeconfigs.is_empty();
    let report_path = arguments
        .report
        .clone()
        .unwrap_or_else(|| folder.path().join("report.json"));
    let stop = Stop::default();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let progress = Progress::new(style, run::STEPS);
    let whole = async {
        let (centers, destroyer) = if own_clusters {
            folder.create()?;
            let kubeconfigs = arguments.kubeconfigs.iter().cloned().collect();
            let entries = arguments.entries.iter().cloned().collect();
            let (namespace, core) = (&arguments.namespace, &arguments.core);
            let centers = Centers::of_clusters(&kubeconfigs, &entries, namespace, core).await?;
            let destroyer = match arguments.fault {
                FaultChoice::PlannedMove => planned_move(&arguments),
                FaultChoice::CenterPower | FaultChoice::LeaderProcess => Destroyer::Clusters,
                FaultChoice::SiteLoss => anyhow::bail!(
                    "--fault site-loss is not accepted with --kubeconfig: only the lab's centers can be \
                     powered off"
                ),
            };
            (centers, destroyer)
        } else {
            end_what_was_left(folder, style).await?;
            let building = Progress::new(style, ground::up::STEPS);
            ground::up(folder, Extent::Whole, &building, &stop).await?;
            let destroyer = match arguments.fault {
                FaultChoice::CenterPower => Destroyer::CenterPower(folder.clone()),
                FaultChoice::LeaderProcess => Destroyer::LeaderProcess(folder.clone()),
                FaultChoice::PlannedMove => planned_move(&arguments),
                FaultChoice::SiteLoss => {
                    Destroyer::SiteLoss(SiteLoss::new(folder.clone(), SILENCE_SECONDS))
                }
            };
            (Centers::of_lab(folder), destroyer)
        };
        // Nobody takes the lab away, or builds at it, while it is measured.
        let _lock = folder.lock("lab run")?;
        run::run(&centers, &destroyer, &options, &progress).await
    };
    let finished = tokio::select! {
        finished = whole => Some(finished),
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
    };
    let Some(finished) = finished else {
        stop.stop();
        progress.say("interrupted");
        match folder.read() {
            Ok(Some(state)) if state.phase == Phase::Building => {
                progress.say("what was begun of the lab is removed");
                ground::down(folder, false, &Progress::new(style, 3)).await?;
            }
            Ok(Some(state)) if !own_clusters => {
                progress.say("the load has ended; what was taken away is given back");
                restore(folder, &state, style).await?;
            }
            _ => {}
        }
        return Ok(ExitCode::from(INTERRUPTED));
    };
    let report = match finished {
        Ok(report) => report,
        Err(error) => {
            // Whatever was taken away before it failed is given back.
            if let Ok(Some(state)) = folder.read()
                && state.phase == Phase::Up
                && !own_clusters
                && let Err(left) = restore(folder, &state, style).await
            {
                progress.say(&format!("not given back: {left:#}; `lab up` mends the lab"));
            }
            return Err(error);
        }
    };
    run::write_report(&report, &report_path)?;
    print(report.table().as_bytes())?;
    print(format!("  written to {}\n", report_path.display()).as_bytes())?;
    Ok(match report.verdict {
        Verdict::Passed => ExitCode::SUCCESS,
        Verdict::Failed | Verdict::Inconclusive => ExitCode::FAILURE,
    })
}

/// A run that was killed may have left centers off, or replicas aside, without which the lab is never
/// whole.
async fn end_what_was_left(folder: &Folder, style: Style) -> anyhow::Result<()> {
    let Some(state) = folder.read()?.filter(|state| state.phase == Phase::Up) else {
        return Ok(());
    };
    let _lock = folder.lock("lab run")?;
    let is_alive = |center: &CenterState| center.process.is_some_and(|process| process.is_alive());
    let centers = Centers::of_lab(folder);
    if state.centers.iter().all(is_alive)
        && site_loss::come_back(&centers, &Detail::default())
            .await
            .is_ok()
    {
        return Ok(());
    }
    restore(folder, &state, style).await
}

/// Powers on what an interrupted run left off, and ends what it began.
async fn restore(folder: &Folder, state: &LabState, style: Style) -> anyhow::Result<()> {
    for center in &state.centers {
        if center.process.is_none_or(|process| !process.is_alive()) {
            let step = Progress::new(style, 1).begin(&format!("power on {}", center.name));
            power::center_on(folder, center.name, &step.detail()).await?;
            step.finish("all components serve");
        }
        let step = Progress::new(style, 1).begin(&format!("control plane of {}", center.name));
        power::start_control_plane(folder, center.name, &step.detail()).await?;
        step.finish("serves");
    }
    if state.phase == Phase::Up {
        let step = Progress::new(style, 1).begin("takeovers");
        site_loss::come_back(&Centers::of_lab(folder), &step.detail()).await?;
        step.finish("none is under way, and no replica stands aside");
    }
    Ok(())
}

async fn show_status(folder: &Folder, output: Output) -> anyhow::Result<ExitCode> {
    let status = status::observe(folder).await?;
    let text = match (&status, output) {
        (None, Output::Table) => "there is no lab; `lab up` makes one\n".to_owned(),
        (Some(status), Output::Table) => status.table(),
        (status, Output::Json) => serde_json::to_string_pretty(status)? + "\n",
    };
    print(text.as_bytes())?;
    Ok(match status {
        Some(status) if status.is_whole() => ExitCode::SUCCESS,
        _ => ExitCode::from(NOT_WHOLE),
    })
}

async fn center(folder: &Folder, command: CenterCommand, style: Style) -> anyhow::Result<()> {
    require_root()?;
    let progress = Progress::new(style, 1);
    match command {
        CenterCommand::Off { center } => {
            let step = progress.begin(&format!("power off {center}"));
            power::center_off(folder, center).await?;
            step.finish("dark");
        }
        CenterCommand::On { center } => {
            let step = progress.begin(&format!("power on {center}"));
            power::center_on(folder, center, &step.detail()).await?;
            step.finish("all components serve");
        }
        CenterCommand::KillControlPlane { center } => {
            let step = progress.begin(&format!("control plane of {center}"));
            power::stop_control_plane(folder, center).await?;
            step.finish("killed; pods go on");
        }
        CenterCommand::KillPod {
            center,
            namespace,
            pod,
        } => {
            let step = progress.begin(&format!("pod {pod} of {center}"));
            power::kill_container(folder, center, &namespace, &pod).await?;
            step.finish("killed");
        }
        CenterCommand::StartControlPlane { center } => {
            let step = progress.begin(&format!("control plane of {center}"));
            power::start_control_plane(folder, center, &step.detail()).await?;
            step.finish("serves");
        }
    }
    Ok(())
}

async fn link(folder: &Folder, command: LinkCommand) -> anyhow::Result<()> {
    let find = |one: &str, other: &str| -> anyhow::Result<(Link, Direction)> {
        let direction = Direction {
            from: one.parse()?,
            to: other.parse()?,
        };
        let link = Link::of(direction)
            .with_context(|| format!("failed to find a link between {one} and {other}"))?;
        Ok((link, direction))
    };
    match command {
        LinkCommand::Status => {
            let status = status::observe(folder).await?;
            let status = status.context("there is no lab; `lab up` makes one")?;
            for link in &status.links {
                print(format!("{}\n", link.text()).as_bytes())?;
            }
        }
        LinkCommand::Delay {
            one,
            other,
            round_trip_ms,
            jitter_ms,
        } => {
            let (link, _) = find(&one, &other)?;
            let delay = Delay::new(round_trip_ms, jitter_ms)?;
            LinkControl::new(link)?.set_delay(delay).await?;
        }
        LinkCommand::Cut {
            one,
            other,
            one_way,
        } => {
            let (link, direction) = find(&one, &other)?;
            let direction = one_way.then_some(direction);
            LinkControl::new(link)?.cut(direction).await?;
        }
        LinkCommand::Heal { one, other } => {
            let (link, _) = find(&one, &other)?;
            LinkControl::new(link)?.heal(None).await?;
        }
    }
    Ok(())
}

fn kubectl(center: Center, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let folder = Folder::from_environment();
    let kubeconfig = folder.kubeconfig(center);
    anyhow::ensure!(
        kubeconfig.exists(),
        "failed to find {}: there is no lab; `lab up` makes one",
        kubeconfig.display()
    );
    let program = materials::kubectl(&Detail::default(), &Stop::default())?;
    let error = std::process::Command::new(program)
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .args(arguments)
        .exec();
    Err(error).context("failed to run kubectl")
}

fn print(text: &[u8]) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("failed to write to standard output"),
    }
}

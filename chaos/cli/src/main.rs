//! `tricenter chaos`: the chaos lab on the command line.
//!
//! `tricenter chaos …` becomes this program, which is beside it. It is one of its own because it reads
//! and replays the core's log, which the terminal UI must not be able to do.
//!
//! Exit codes: 0 all passed; 1 something failed; 2 it could not be done, or the catalog is bad;
//! 3 inconclusive; 130 stopped early.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use chaos_engine::{Evidence, Settings, button, evidence, report};
use chaos_faults::{Ground, keeper};
use chaos_scenario::{
    Entry, Family, Proof, Scenario, ScenarioId, Verdict, lint, plan, read_folder,
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use lab::ground::state::Folder;
use lab::run::centers::Centers;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

const FAILED: u8 = 1;
const NOT_DONE: u8 = 2;
const INCONCLUSIVE: u8 = 3;
const STOPPED: u8 = 130;
/// The red button's time.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Chaos experiments on the lab.
#[derive(Debug, Parser)]
#[command(name = "tricenter chaos", version, arg_required_else_help = true)]
struct Arguments {
    /// The folder of the scenarios
    #[arg(
        long,
        global = true,
        value_name = "FOLDER",
        default_value = "chaos/scenarios"
    )]
    catalog: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the catalog
    List {
        /// Only this family, such as NET
        #[arg(long)]
        family: Option<String>,
        /// Form of the output
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Shows one scenario
    Show {
        /// Such as NET-001
        id: String,
    },
    /// Names the victims that a run would have now; changes nothing
    Plan {
        /// Such as NET-001
        id: String,
        /// Chooses where one of several is wanted
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Checks the whole catalog
    Lint,
    /// Runs scenarios on the lab, one after the other
    Run(RunArguments),
    /// The red button: ends every experiment and takes every fault back
    Stop {
        /// All of them; there is no other way
        #[arg(long, required = true)]
        all: bool,
    },
    /// Writes a report over the runs in a folder
    Report {
        /// Where the evidence is
        #[arg(long, default_value = "target/chaos")]
        from: PathBuf,
        /// Where report.md and junit.xml go
        #[arg(long, default_value = "target/chaos")]
        into: PathBuf,
    },
    #[command(hide = true)]
    Keeper { lease: PathBuf },
}

#[derive(Debug, Args)]
struct RunArguments {
    /// Which, such as NET-001; the file of one works too
    ids: Vec<String>,
    /// The whole catalog
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// A whole family, such as NET
    #[arg(long, conflicts_with = "ids")]
    family: Option<String>,
    /// Leave out those whose evidence is there already
    #[arg(long)]
    resume: bool,
    /// Where evidence goes
    #[arg(long, default_value = "target/chaos")]
    into: PathBuf,
    /// Chooses victims and orders
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Stop after so many failures; 0 never does
    #[arg(long, default_value_t = 0)]
    failures_max: usize,
    /// Begin nothing new after so many minutes; 0 never does
    #[arg(long, default_value_t = 0)]
    minutes_max: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match perform(arguments).await {
        Ok(code) => code,
        Err(error) => {
            // Standard error may be closed; the exit code still tells.
            let _ = writeln!(std::io::stderr(), "tricenter chaos: {error:#}");
            ExitCode::from(NOT_DONE)
        }
    }
}

async fn perform(arguments: Arguments) -> Result<ExitCode> {
    let catalog = arguments.catalog.as_path();
    let ground = Ground::new(Folder::from_environment());
    match arguments.command {
        Command::List { family, output } => list(catalog, family.as_deref(), output),
        Command::Show { id } => show(&find(catalog, &id)?),
        Command::Plan { id, seed } => show_plan(&find(catalog, &id)?, &ground, seed).await,
        Command::Lint => check(catalog),
        Command::Run(run) => run_all(catalog, ground, run).await,
        Command::Stop { .. } => stop(&ground).await,
        Command::Report { from, into } => write_report(catalog, &from, &into),
        Command::Keeper { lease } => {
            keeper::keep(lease, &ground, |text| {
                // Whoever waits for this line may be gone; the fault still must be taken back.
                let _ = writeln!(std::io::stdout(), "{text}");
            })
            .await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("failed to write to standard output"),
    }
}

/// The catalog, if every file of it can be read.
fn entries(catalog: &Path) -> Result<Vec<Entry>> {
    let (entries, errors) = read_folder(catalog)?;
    match errors.first() {
        None => Ok(entries),
        Some(error) => bail!(
            "{error} ({} bad files in all; `tricenter chaos lint` lists them)",
            errors.len()
        ),
    }
}

fn find(catalog: &Path, id: &str) -> Result<Scenario> {
    if id.ends_with(".yaml") {
        let text = std::fs::read_to_string(id).with_context(|| format!("failed to read {id}"))?;
        return Ok(chaos_scenario::parse(Path::new(id), &text)?);
    }
    let entries = entries(catalog)?;
    let found = entries
        .iter()
        .find(|entry| entry.scenario.id.as_str() == id);
    match found {
        Some(entry) => Ok(entry.scenario.clone()),
        None => bail!(
            "failed to find scenario {id:?} in {}; `tricenter chaos list` names the {} there are",
            catalog.display(),
            entries.len()
        ),
    }
}

fn of_family(entries: Vec<Entry>, family: Option<&str>) -> Result<Vec<Entry>> {
    let Some(family) = family else {
        return Ok(entries);
    };
    let known: BTreeSet<Family> = entries.iter().map(|entry| entry.scenario.family).collect();
    ensure!(
        known.iter().any(|it| it.name() == family),
        "failed to find family {family:?}: accepted are {}",
        known
            .iter()
            .map(|it| it.name())
            .collect::<Vec<_>>()
            .join(", ")
    );
    Ok(entries
        .into_iter()
        .filter(|entry| entry.scenario.family.name() == family)
        .collect())
}

fn list(catalog: &Path, family: Option<&str>, output: Output) -> Result<ExitCode> {
    let entries = of_family(entries(catalog)?, family)?;
    match output {
        Output::Json => {
            let all: Vec<&Scenario> = entries.iter().map(|entry| &entry.scenario).collect();
            print(&(serde_json::to_string_pretty(&all)? + "\n"))?;
        }
        Output::Text => {
            let mut text = String::new();
            for Entry { scenario, .. } in &entries {
                let mut drivers: Vec<&str> = scenario
                    .faults
                    .iter()
                    .map(|fault| fault.fault.driver().name())
                    .collect();
                drivers.dedup();
                text.push_str(&format!(
                    "{:<10} {:<15} {:<24} {}\n",
                    scenario.id,
                    scenario.phase.name(),
                    drivers.join("+"),
                    scenario.title
                ));
            }
            text.push_str(&format!("{} scenarios\n", entries.len()));
            print(&text)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(scenario: &Scenario) -> Result<ExitCode> {
    print(&(serde_json::to_string_pretty(scenario)? + "\n"))?;
    Ok(ExitCode::SUCCESS)
}

async fn show_plan(scenario: &Scenario, ground: &Ground, seed: u64) -> Result<ExitCode> {
    let centers = Centers::of_lab(ground.folder());
    let watch = centers.watch();
    let world = chaos_engine::look_at_world(&centers, &watch, seed)
        .await
        .context("failed to plan without a lab whose core serves; `lab up` makes one")?;
    let planned = plan(scenario, &world)?;
    let mut text = format!(
        "{}: {}\n  the leader is in {}\n",
        scenario.id, scenario.title, world.leader
    );
    for fault in &planned.faults {
        let victims: Vec<String> = fault.victims.iter().map(ToString::to_string).collect();
        text.push_str(&format!(
            "  {:>6} to {:>6} ms  {:<14} {:<28} {}\n",
            fault.fault.start_after_ms,
            fault.fault.end_ms(),
            fault.fault.fault.driver().name(),
            fault.fault.name,
            victims.join(", ")
        ));
    }
    text.push_str("  nothing was changed\n");
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn check(catalog: &Path) -> Result<ExitCode> {
    let (entries, errors) = read_folder(catalog)?;
    let findings = lint(&entries, &BTreeSet::new());
    let mut text = String::new();
    for error in &errors {
        text.push_str(&format!("{error}\n"));
    }
    for finding in &findings {
        text.push_str(&format!("{finding}\n"));
    }
    let bad = errors.len() + findings.len();
    text.push_str(&format!("{} scenarios, {bad} findings\n", entries.len()));
    print(&text)?;
    ensure!(
        !entries.is_empty(),
        "failed to find a scenario in {}",
        catalog.display()
    );
    Ok(match bad {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(NOT_DONE),
    })
}

fn evidence_path(into: &Path, id: &ScenarioId) -> PathBuf {
    into.join(format!("{id}.json"))
}

async fn run_all(catalog: &Path, ground: Ground, arguments: RunArguments) -> Result<ExitCode> {
    let scenarios: Vec<Scenario> = if arguments.all || arguments.family.is_some() {
        of_family(entries(catalog)?, arguments.family.as_deref())?
            .into_iter()
            .map(|entry| entry.scenario)
            .collect()
    } else {
        let ids = arguments.ids.iter();
        ids.map(|id| find(catalog, id)).collect::<Result<_>>()?
    };
    ensure!(
        !scenarios.is_empty(),
        "failed to run nothing: name scenarios, or use --all or --family"
    );
    for scenario in &scenarios {
        let entry = Entry {
            file: PathBuf::from(format!("{}.yaml", scenario.id)),
            scenario: scenario.clone(),
        };
        if let Some(finding) = lint(&[entry], &BTreeSet::new()).first() {
            bail!("failed to run a scenario that is not sound: {finding}");
        }
    }
    std::fs::create_dir_all(&arguments.into)
        .with_context(|| format!("failed to create {}", arguments.into.display()))?;
    // Nobody takes the lab away, or builds at it, meanwhile.
    let _lock = ground.folder().lock("tricenter chaos run")?;
    let settings = Settings {
        ground,
        keeper: std::env::current_exe().context("failed to find this program's own file")?,
        folder: arguments.into.join("work"),
        seed: arguments.seed,
    };
    std::fs::create_dir_all(&settings.folder)?;
    let stop = listen()?;
    let began = std::time::Instant::now();
    let (mut verdicts, mut not_done) = (Vec::new(), 0);
    let total = scenarios.len();
    for (number, scenario) in scenarios.iter().enumerate() {
        let path = evidence_path(&arguments.into, &scenario.id);
        if arguments.resume && path.exists() {
            continue;
        }
        let minutes = began.elapsed().as_secs() / 60;
        if arguments.minutes_max > 0 && minutes >= arguments.minutes_max {
            eprintln!("time is over: {} scenarios were not begun", total - number);
            break;
        }
        eprintln!(
            "[{}/{total}] {} {}",
            number + 1,
            scenario.id,
            scenario.title
        );
        match run_one(scenario, &settings, stop.clone()).await {
            Ok(evidence) => {
                evidence::write(&evidence, &path)?;
                tell(&evidence)?;
                verdicts.push(evidence.verdict);
            }
            Err(error) => {
                not_done += 1;
                print(&format!("{:<10} not carried out: {error:#}\n", scenario.id))?;
            }
        }
        if *stop.borrow() {
            return Ok(ExitCode::from(STOPPED));
        }
        let failures = verdicts.iter().filter(|it| **it == Verdict::Failed).count();
        if arguments.failures_max > 0 && failures >= arguments.failures_max {
            eprintln!("{failures} failures: stopped, as --failures-max says");
            break;
        }
    }
    Ok(code(&verdicts, not_done))
}

fn code(verdicts: &[Verdict], not_done: usize) -> ExitCode {
    let any = |wanted: Verdict| verdicts.contains(&wanted);
    if any(Verdict::Failed) {
        ExitCode::from(FAILED)
    } else if not_done > 0 {
        ExitCode::from(NOT_DONE)
    } else if any(Verdict::Inconclusive) || any(Verdict::Aborted) {
        ExitCode::from(INCONCLUSIVE)
    } else {
        ExitCode::SUCCESS
    }
}

async fn run_one(
    scenario: &Scenario,
    settings: &Settings,
    stop: watch::Receiver<bool>,
) -> Result<Evidence> {
    let began = std::time::Instant::now();
    let say = move |text: &str| {
        let seconds = began.elapsed().as_secs_f64();
        // Progress that nobody reads any more is no reason to stop.
        let _ = writeln!(std::io::stderr(), "  {seconds:>6.1} s  {text}");
    };
    chaos_engine::run(scenario, settings, stop, &say).await
}

fn tell(evidence: &Evidence) -> Result<()> {
    let silence = evidence
        .longest_silence_ms
        .map_or_else(|| "no data".to_owned(), |ms| format!("{ms} ms"));
    let mut text = format!(
        "{:<10} {:<12} silence {silence}, {} acknowledged, {} lost, {} doubled, {} s\n",
        evidence.scenario.id,
        format!("{:?}", evidence.verdict),
        evidence.orders.acknowledged,
        evidence.orders.lost,
        evidence.orders.doubled,
        evidence.took_ms / 1_000
    );
    for reason in evidence
        .experiment
        .failures
        .iter()
        .chain(&evidence.experiment.doubts)
    {
        text.push_str(&format!("           - {reason}\n"));
    }
    print(&text)
}

/// Turns true at the first Ctrl-C or SIGTERM.
fn listen() -> Result<watch::Receiver<bool>> {
    let (sender, receiver) = watch::channel(false);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        eprintln!("stopping: every fault is taken back first");
        sender.send_replace(true);
        // Kept open, so that whoever listens later still hears it.
        sender.closed().await;
    });
    Ok(receiver)
}

async fn stop(ground: &Ground) -> Result<ExitCode> {
    let pressed = button::stop_all(ground, STOP_LIMIT).await?;
    let mut text = match &pressed.stopped {
        Some(scenario) => format!("{scenario} was asked to stop\n"),
        None => "no experiment runs\n".to_owned(),
    };
    let mut all_gone = true;
    for lease in &pressed.leases {
        match &lease.proof {
            Proof::Gone(how) => text.push_str(&format!("gone: {how}\n")),
            Proof::Unproven(why) => {
                all_gone = false;
                text.push_str(&format!(
                    "not confirmed within {} s: {}: {why}\n",
                    STOP_LIMIT.as_secs(),
                    lease.target
                ));
            }
        }
    }
    text.push_str(&format!(
        "{} leases, {} ms\n",
        pressed.leases.len(),
        pressed.took_ms
    ));
    print(&text)?;
    Ok(match all_gone {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(FAILED),
    })
}

fn write_report(catalog: &Path, from: &Path, into: &Path) -> Result<ExitCode> {
    let mut runs = Vec::new();
    let files =
        std::fs::read_dir(from).with_context(|| format!("failed to read {}", from.display()))?;
    for file in files.flatten() {
        if file.path().extension().is_some_and(|it| it == "json") {
            runs.push(evidence::read(&file.path())?);
        }
    }
    ensure!(
        !runs.is_empty(),
        "failed to find evidence in {}",
        from.display()
    );
    // One that was run more than once is told as often, in the order of time.
    runs.sort_by(|one, other| {
        let key = |run: &Evidence| (run.scenario.id.clone(), run.began_at.clone());
        key(one).cmp(&key(other))
    });
    let known: Vec<(ScenarioId, String)> = entries(catalog)?
        .into_iter()
        .map(|entry| (entry.scenario.id, entry.scenario.title))
        .collect();
    std::fs::create_dir_all(into)?;
    for (name, text) in [
        ("report.md", report::markdown(&runs, &known)),
        ("junit.xml", report::junit(&runs)),
    ] {
        let path = into.join(name);
        std::fs::write(&path, text)
            .with_context(|| format!("failed to write {}", path.display()))?;
        print(&format!("{}\n", path.display()))?;
    }
    let count = report::Count::of(&runs);
    print(&format!(
        "{} passed, {} failed, {} inconclusive, {} aborted\n",
        count.passed, count.failed, count.inconclusive, count.aborted
    ))?;
    Ok(ExitCode::SUCCESS)
}

//! `tricenter`: the terminal UI and its one-shot twin.

mod takeover_command;

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use crds::{SwitchoverSpec, SwitchoverStatus};
use tui::language::Language;
use tui::planned_move;
use tui::sources::{FOLDER_DEFAULT, FOLDER_VARIABLE, Sources};
use tui::status::{Summary, look};
use tui::watch::{Watchers, connect_cluster, now_us};

/// Looks at a trading core over three centers.
#[derive(Debug, Parser)]
#[command(name = "tricenter", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The live screen: centers, links, leader, orders, the last failover.
    Tui {
        #[command(flatten)]
        of: Of,
        /// The language of the screen [default: that of the locale]
        #[arg(long, value_enum)]
        lang: Option<Language>,
    },
    /// The same once, as text. Ends with 0 when a leader serves, with 1 when none does.
    Status {
        #[command(flatten)]
        of: Of,
        /// The form of the output
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Chaos experiments on the lab: list, show, plan, lint, run, stop, report.
    #[command(disable_help_flag = true)]
    Chaos {
        /// What the chaos program is told; --help lists it
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Moves a core's leader to another center on purpose, and tells what it cost. Ends with 0 when it
    /// was moved (or a dry run would move it), 3 when it was refused, 4 when it failed
    Switchover {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        wanted: Wanted,
        /// The form of the output
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Forms a core's group anew out of one center's replica, when a site is lost and no quorum is left.
    /// Two other people must approve what may lose orders. Ends like switchover
    Takeover {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        wanted: takeover_command::Wanted,
        /// The form of the output
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Approves a takeover, exactly as it is shown
    Approve {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        given: takeover_command::Given,
        /// The form of the output
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// The planned moves so far, the newest first.
    History {
        #[command(flatten)]
        of: Of,
        /// The namespace of the core
        #[arg(short, long, default_value = "trading")]
        namespace: String,
        /// The center in whose cluster to look [default: the first that answers]
        #[arg(long)]
        center: Option<String>,
        /// The form of the output
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
}

/// The program that `tricenter chaos` becomes; it is beside this one. It replays the core's log, which
/// this program must not be able to do, so the two are not one.
const CHAOS_PROGRAM: &str = "tricenter-chaos";

/// Becomes the chaos program.
fn become_chaos(arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    let own = std::env::current_exe().context("failed to find this program's own file")?;
    let program = own.with_file_name(CHAOS_PROGRAM);
    anyhow::ensure!(
        program.is_file(),
        "failed to find {}: `cargo build --package chaos-cli` makes it",
        program.display()
    );
    let error = std::process::Command::new(&program).args(arguments).exec();
    Err(error).with_context(|| format!("failed to run {}", program.display()))
}

/// A move, as it is asked for.
#[derive(Debug, clap::Args)]
struct Wanted {
    /// The TradingCore whose leader moves
    core: String,
    /// The center that shall lead
    #[arg(long)]
    to: String,
    /// Why, for those who read it later
    #[arg(long)]
    reason: String,
    /// The namespace of the core
    #[arg(short, long, default_value = "trading")]
    namespace: String,
    /// The center in whose cluster to ask for it [default: the first that answers]
    #[arg(long)]
    center: Option<String>,
    /// The move's own name [default: where to and when]
    #[arg(long)]
    name: Option<String>,
    /// Make the checks and tell what would happen; change nothing
    #[arg(long)]
    dry_run: bool,
    /// Move even while a call auction runs
    #[arg(long)]
    allow_in_auction: bool,
    /// How long checks that do not pass may be waited for, in seconds
    #[arg(long, default_value_t = 0)]
    wait_seconds: u32,
    /// Do not ask for the core's name to be typed
    #[arg(long)]
    yes: bool,
}

/// What to look at; the lab on this machine when nothing is given.
#[derive(Debug, clap::Args)]
struct Of {
    /// A center and the kubeconfig of its cluster; once for each center
    #[arg(long, value_name = "CENTER=FILE")]
    kubeconfig: Vec<String>,
    /// The lab's state folder
    #[arg(long, value_name = "FOLDER", env = FOLDER_VARIABLE, default_value = FOLDER_DEFAULT)]
    lab_state: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

impl Wanted {
    fn spec(&self) -> SwitchoverSpec {
        SwitchoverSpec {
            core: self.core.clone(),
            to: self.to.clone(),
            reason: self.reason.clone(),
            dry_run: self.dry_run,
            allow_in_auction: self.allow_in_auction,
            wait_seconds: self.wait_seconds,
            deadline_seconds: 30,
            gap_ms_max: 50,
        }
    }

    /// Whoever moves trading types its name first. A dry run moves nothing.
    fn confirm(&self) -> anyhow::Result<()> {
        if self.yes || self.dry_run {
            return Ok(());
        }
        let stdin = std::io::stdin();
        anyhow::ensure!(
            stdin.is_terminal(),
            "failed to ask for a confirmation: standard input is no terminal; give --yes to go on \
             without"
        );
        write!(
            std::io::stderr(),
            "This moves the leader of {} to {}. Type the core's name to go on: ",
            self.core,
            self.to
        )?;
        let mut typed = String::new();
        stdin.read_line(&mut typed)?;
        anyhow::ensure!(
            typed.trim() == self.core,
            "{:?} is not {}: nothing was moved",
            typed.trim(),
            self.core
        );
        Ok(())
    }
}

/// How long an API server may take to answer at all.
const ANSWER_WAIT: std::time::Duration = std::time::Duration::from_secs(3);

/// The cluster to ask: the named center's, or the first that answers.
async fn cluster(of: &Of, center: Option<&str>) -> anyhow::Result<kube::Client> {
    let sources = Sources::find(&of.kubeconfig, &of.lab_state)?;
    let known: Vec<&str> = sources.centers.iter().map(|it| it.name.as_str()).collect();
    if let Some(center) = center {
        anyhow::ensure!(
            known.contains(&center),
            "--center: {center} is not known; accepted are {}",
            known.join(", ")
        );
    }
    let mut failures = Vec::new();
    for source in &sources.centers {
        if center.is_some_and(|center| center != source.name) {
            continue;
        }
        let answered = async {
            let client = connect_cluster(&source.kubeconfig).await?;
            let version = tokio::time::timeout(ANSWER_WAIT, client.apiserver_version()).await;
            match version {
                Ok(Ok(_)) => Ok(client),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("no answer within {} s", ANSWER_WAIT.as_secs())),
            }
        };
        match answered.await {
            Ok(client) => return Ok(client),
            Err(why) => failures.push(format!("{}: {why}", source.name)),
        }
    }
    anyhow::bail!("failed to reach a cluster: {}", failures.join("; "))
}

async fn switchover(of: &Of, wanted: &Wanted, output: Output) -> anyhow::Result<ExitCode> {
    let client = cluster(of, wanted.center.as_deref()).await?;
    wanted.confirm()?;
    let name = wanted.name.clone();
    let name = name.unwrap_or_else(|| {
        planned_move::name_for(&wanted.to, wanted.dry_run, jiff::Timestamp::now())
    });
    let spec = wanted.spec();
    let asked = planned_move::ask(client.clone(), &wanted.namespace, &name, spec).await?;
    let patience = u64::from(asked.spec.wait_seconds) + u64::from(asked.spec.deadline_seconds) + 10;
    let say = |status: &SwitchoverStatus| {
        // Standard error may be closed; the outcome is told all the same.
        let _ = writeln!(std::io::stderr(), "{}", planned_move::progress(status));
    };
    let patience = std::time::Duration::from_secs(patience);
    let status = planned_move::follow(client, &wanted.namespace, &name, patience, say).await?;
    let text = match output {
        Output::Text => planned_move::text(&name, &asked.spec, &status),
        Output::Json => serde_json::to_string_pretty(&status)? + "\n",
    };
    std::io::stdout().write_all(text.as_bytes())?;
    let code = status.phase.map_or(5, planned_move::exit_code);
    Ok(ExitCode::from(code))
}

/// Nothing to look at, or no terminal to show it on.
const NOTHING_TO_SHOW: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.command).await {
        Ok(code) => code,
        Err(error) => {
            // Standard error may be closed; the exit code still tells.
            let _ = writeln!(std::io::stderr(), "{error:#}");
            ExitCode::from(NOTHING_TO_SHOW)
        }
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Tui { of, lang } => {
            let sources = Sources::find(&of.kubeconfig, &of.lab_state)?;
            let language =
                lang.unwrap_or_else(|| Language::from_locale(|name| std::env::var(name).ok()));
            let has_colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            let model = sources.model(language, has_colour, now_us());
            tui::terminal::show(model, Watchers::start(&sources)).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Status { of, output } => {
            let sources = Sources::find(&of.kubeconfig, &of.lab_state)?;
            let mut model = sources.model(Language::English, false, now_us());
            look(&mut model, &mut Watchers::start(&sources)).await;
            let summary = Summary::of(&model);
            let text = match output {
                Output::Text => summary.text(),
                Output::Json => serde_json::to_string_pretty(&summary)? + "\n",
            };
            std::io::stdout().write_all(text.as_bytes())?;
            Ok(ExitCode::from(u8::from(!summary.is_serving())))
        }
        Command::Chaos { arguments } => become_chaos(&arguments),
        Command::Switchover { of, wanted, output } => switchover(&of, &wanted, output).await,
        Command::Takeover { of, wanted, output } => wanted.run(&of, output).await,
        Command::Approve { of, given, output } => given.run(&of, output).await,
        Command::History {
            of,
            namespace,
            center,
            output,
        } => {
            let client = cluster(&of, center.as_deref()).await?;
            let moves = planned_move::moves(client, &namespace).await?;
            let text = match output {
                Output::Text => planned_move::table(&moves),
                Output::Json => serde_json::to_string_pretty(&moves)? + "\n",
            };
            std::io::stdout().write_all(text.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

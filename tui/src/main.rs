//! `tricenter`: the terminal UI and its one-shot twin.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use tui::language::Language;
use tui::sources::{FOLDER_DEFAULT, FOLDER_VARIABLE, Sources};
use tui::status::{Summary, look};
use tui::watch::{Watchers, now_us};

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
        Command::Chaos { arguments } => become_chaos(&arguments),
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
    }
}

//! The arguments of `tricenter takeover` and `tricenter approve`, and what they do.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use crds::{TakeoverAction, TakeoverSpec, TakeoverStatus};
use tui::forced_move;
use tui::language::Language;

use crate::{Of, Output, cluster};

/// A takeover, as it is asked for.
#[derive(Debug, clap::Args)]
pub struct Wanted {
    /// The TradingCore that is formed anew
    core: String,
    /// The center whose replica becomes the group, or comes back; asked for in its own cluster
    #[arg(long)]
    center: String,
    /// A center that is gone: powered off, or cut off from every client; again for each
    #[arg(
        long = "lost",
        required_unless_present = "rejoin",
        conflicts_with = "rejoin"
    )]
    lost: Vec<String>,
    /// Let the replica of a returned center join the group that was formed; its log is kept aside
    #[arg(long)]
    rejoin: bool,
    /// Why, for those who read it later
    #[arg(long)]
    reason: String,
    /// The namespace of the core
    #[arg(short, long, default_value = "trading")]
    namespace: String,
    /// The request's own name [default: what, who and when]
    #[arg(long)]
    name: Option<String>,
    /// Make the checks and tell what would happen; change nothing
    #[arg(long)]
    dry_run: bool,
    /// How long the checks must have passed without a break, in seconds
    #[arg(long, default_value_t = 30)]
    silence_seconds: u32,
    /// How long approvals are waited for, in seconds
    #[arg(long, default_value_t = 3_600)]
    approval_wait_seconds: u32,
    /// How long it may take once it has begun, in seconds
    #[arg(long, default_value_t = 300)]
    deadline_seconds: u32,
    /// Do not ask for the core's name to be typed
    #[arg(long)]
    yes: bool,
    /// The language of what is told [default: that of the locale]
    #[arg(long, value_enum)]
    lang: Option<Language>,
}

/// An approval, as it is given.
#[derive(Debug, clap::Args)]
pub struct Given {
    /// The Takeover that is approved
    name: String,
    /// The center in whose cluster it was asked for
    #[arg(long)]
    center: String,
    /// Why, for those who read it later
    #[arg(long)]
    reason: String,
    /// The namespace of the request
    #[arg(short, long, default_value = "trading")]
    namespace: String,
    /// How long it holds, in seconds
    #[arg(long, default_value_t = 900)]
    valid_seconds: u32,
    /// Do not ask for the request's name to be typed
    #[arg(long)]
    yes: bool,
    /// The language of what is told [default: that of the locale]
    #[arg(long, value_enum)]
    lang: Option<Language>,
}

fn language(chosen: Option<Language>) -> Language {
    chosen.unwrap_or_else(|| Language::from_locale(|name| std::env::var(name).ok()))
}

/// Whoever does this types a name first.
fn confirm(question: &str, name: &str) -> anyhow::Result<()> {
    let stdin = std::io::stdin();
    anyhow::ensure!(
        stdin.is_terminal(),
        "failed to ask for a confirmation: standard input is no terminal; give --yes to go on without"
    );
    write!(std::io::stderr(), "{question}")?;
    let mut typed = String::new();
    stdin.read_line(&mut typed)?;
    anyhow::ensure!(
        typed.trim() == name,
        "{:?} is not {name}: nothing was done",
        typed.trim()
    );
    Ok(())
}

impl Wanted {
    fn spec(&self, requested_by: String) -> TakeoverSpec {
        TakeoverSpec {
            core: self.core.clone(),
            action: if self.rejoin {
                TakeoverAction::Rejoin
            } else {
                TakeoverAction::Form
            },
            center: self.center.clone(),
            lost: self.lost.clone(),
            requested_by,
            reason: self.reason.clone(),
            dry_run: self.dry_run,
            silence_seconds: self.silence_seconds,
            approval_wait_seconds: self.approval_wait_seconds,
            deadline_seconds: self.deadline_seconds,
        }
    }

    /// Asks, and follows it to its end.
    pub async fn run(&self, of: &Of, output: Output) -> anyhow::Result<ExitCode> {
        let language = language(self.lang);
        let client = cluster(of, Some(&self.center)).await?;
        let spec = self.spec(forced_move::who_am_i(client.clone()).await?);
        if !self.yes && !self.dry_run {
            let question = forced_move::question_before_asking(language, spec.action);
            confirm(question, &self.core)?;
        }
        let name = self.name.clone();
        let name = name.unwrap_or_else(|| forced_move::name_for(&spec, jiff::Timestamp::now()));
        forced_move::ask(client.clone(), &self.namespace, &name, spec).await?;
        writeln!(std::io::stderr(), "Takeover {}/{name}", self.namespace)?;
        let seconds = [
            self.silence_seconds,
            self.approval_wait_seconds,
            self.deadline_seconds,
            30,
        ];
        let patience = Duration::from_secs(seconds.into_iter().map(u64::from).sum());
        let say = |status: &TakeoverStatus| {
            // Standard error may be closed; the outcome is told all the same.
            let _ = writeln!(std::io::stderr(), "{}", forced_move::progress(status));
        };
        let namespace = &self.namespace;
        forced_move::follow(client.clone(), namespace, &name, patience, say).await?;
        let ended = forced_move::read(client, namespace, &name).await?;
        let text = match output {
            Output::Text => forced_move::text(language, &ended),
            Output::Json => serde_json::to_string_pretty(&ended)? + "\n",
        };
        std::io::stdout().write_all(text.as_bytes())?;
        let phase = ended.status.and_then(|status| status.phase);
        Ok(ExitCode::from(phase.map_or(5, forced_move::exit_code)))
    }
}

impl Given {
    /// Shows what is approved, asks, and approves it.
    pub async fn run(&self, of: &Of, output: Output) -> anyhow::Result<ExitCode> {
        let language = language(self.lang);
        let client = cluster(of, Some(&self.center)).await?;
        let takeover = forced_move::read(client.clone(), &self.namespace, &self.name).await?;
        let person = forced_move::who_am_i(client.clone()).await?;
        let spec = forced_move::approval(&takeover, &person, &self.reason, self.valid_seconds)?;
        write!(
            std::io::stderr(),
            "{}",
            forced_move::text(language, &takeover)
        )?;
        if !self.yes {
            let question = forced_move::question_before_approving(language);
            confirm(question, &self.name)?;
        }
        let given = forced_move::approve(client, &self.namespace, spec).await?;
        let text = match output {
            Output::Text => format!(
                "{} {} {}\n",
                given.metadata.name.as_deref().unwrap_or_default(),
                given.spec.approver,
                given.spec.digest
            ),
            Output::Json => serde_json::to_string_pretty(&given)? + "\n",
        };
        std::io::stdout().write_all(text.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}

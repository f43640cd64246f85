//! `lab-parts`: checks, builds and shows the real parts of the lab.

use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use lab_parts::{
    CacheDir, Entry, Image, Lines, Part, Parts, Purpose, Stop, check, install_packages,
};

/// How long the work may take to end after Ctrl-C, before the program ends anyway.
const STOP_WAIT: Duration = Duration::from_secs(3);
/// The exit code of a program that was interrupted.
const INTERRUPTED: i32 = 130;

/// The real parts of the lab: Kubernetes, etcd, CoreDNS, Envoy Gateway, Envoy, Toxiproxy, Helm.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Says what is missing for building or for the lab, all of it, and how to get it
    Check {
        /// What is to be done
        #[arg(long = "for", value_enum, default_value_t = For::Lab)]
        purpose: For,
        /// Install missing Debian packages (as root)
        #[arg(long)]
        install: bool,
    },
    /// Builds what is not in the cache yet
    Build {
        /// Parts, separated by commas; all if left out
        #[arg(long, value_delimiter = ',')]
        only: Vec<Part>,
    },
    /// Makes the images and Envoy Gateway's manifests, building their parts first
    Images,
    /// Lists every part
    List {
        /// Form of the output
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Prints the path of one part's binary, building it first if need be
    Path {
        /// The part
        part: Part,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum For {
    Build,
    Lab,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Table,
    Json,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab-parts: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<()> {
    let cache = CacheDir::from_environment()?;
    match command {
        Command::Check { purpose, install } => run_check(&cache, *purpose, *install),
        Command::Build { only } => {
            let parts = if only.is_empty() {
                Part::ALL.to_vec()
            } else {
                only.clone()
            };
            Parts::open(cache)?.build(&parts, &Lines::new(), &stop_on_interrupt()?)?;
            Ok(())
        }
        Command::Images => run_images(cache),
        Command::List { output } => run_list(&Parts::open(cache)?.list(), *output),
        Command::Path { part } => {
            let parts = Parts::open(cache)?;
            let built = parts.build(&[*part], &Lines::new(), &stop_on_interrupt()?)?;
            print(&format!("{}\n", built.path(*part)?.display()))
        }
    }
}

fn run_check(cache: &CacheDir, purpose: For, install: bool) -> Result<()> {
    let purpose = match purpose {
        For::Build => Purpose::Build,
        For::Lab => Purpose::Lab,
    };
    if install {
        let installed = install_packages(purpose)?;
        if !installed.is_empty() {
            eprintln!("installed: {}", installed.join(" "));
        }
    }
    // Without Go nothing is known to be built, and the missing Go is among what is found.
    let missing = Parts::open(cache.clone())
        .map_or_else(|_| Part::ALL.to_vec(), |parts| parts.missing(&Part::ALL));
    let found = check(purpose, cache, &missing);
    for one in &found {
        eprintln!("missing: {one}");
    }
    if found.is_empty() {
        print("nothing is missing\n")
    } else {
        bail!("{} missing", found.len())
    }
}

fn run_images(cache: CacheDir) -> Result<()> {
    let parts: Vec<Part> = Image::ALL
        .iter()
        .map(|image| image.part())
        .chain([Part::Helm])
        .collect();
    let stop = stop_on_interrupt()?;
    let built = Parts::open(cache)?.build(&parts, &Lines::new(), &stop)?;
    for image in Image::ALL {
        let archive = built.image(image)?;
        print(&format!(
            "{} {}\n",
            archive.reference,
            archive.path.display()
        ))?;
    }
    let manifests = built.envoy_gateway_manifests(&stop)?;
    print(&format!(
        "{}\n{}\n",
        manifests.crds.display(),
        manifests.gateway.display()
    ))
}

fn run_list(entries: &[Entry], output: Output) -> Result<()> {
    if let Output::Json = output {
        return print(&format!("{}\n", serde_json::to_string_pretty(entries)?));
    }
    print(&format!(
        "{:<24} {:<8} {:>8} {:>6}  PATH\n",
        "PART", "VERSION", "MIB", "S"
    ))?;
    for Entry {
        name,
        version,
        path,
        note,
        ..
    } in entries
    {
        let (size, seconds, place) = match note {
            Some(note) => (
                (note.size_bytes >> 20).to_string(),
                note.seconds.to_string(),
                path.display().to_string(),
            ),
            None => ("-".to_owned(), "-".to_owned(), "(not built)".to_owned()),
        };
        print(&format!(
            "{name:<24} {version:<8} {size:>8} {seconds:>6}  {place}\n"
        ))?;
    }
    Ok(())
}

/// Ends the work on Ctrl-C or a request to terminate. The cache is sound whenever we end: what
/// runs is killed, and what is half made is not an entry.
fn stop_on_interrupt() -> Result<Stop> {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = Stop::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to prepare for Ctrl-C")?;
    let (mut interrupt, mut terminate) = {
        let _in_runtime = runtime.enter();
        (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        )
    };
    let on_signal = stop.clone();
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            on_signal.stop();
            // The work ends the process long before this, unless it waits for somebody else.
            tokio::time::sleep(STOP_WAIT).await;
        });
        std::process::exit(INTERRUPTED);
    });
    Ok(stop)
}

fn print(text: &str) -> Result<()> {
    io::stdout()
        .write_all(text.as_bytes())
        .context("failed to write to standard output")
}

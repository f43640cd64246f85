//! The program as an SRE has it, on the running lab: the red button, and an engine that dies halfway.
//!
//! Needs root and a lab that is up (`lab up`).

#![cfg(feature = "e2e")]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A fault that stays for a minute unless somebody takes it back.
const LONG: &str = "
id: NET-901
title: The near link is slow for a minute
family: NET
component: link
scope: link
phase: continuous
mechanism: latency for a test of the button
hypothesis: It ends when it is told to.
steadyState: [SS-SAFE]
faults:
  - name: slow
    durationMs: 60000
    fault: {link: {on: {from: leader, to: nearFollower}, toxic: {latency: {latencyMs: 40}}}}
  - name: stopped
    durationMs: 60000
    fault: {process: {of: {pool: farFollower}, process: replica, action: {pause: {}}}}
expected: {behaviour: b, rtoMsMax: 60000, rpoOrdersMax: 0, leader: any}
";

fn chaos(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tricenter-chaos"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// An engine in whose run both faults have been seen to act.
fn running(folder: &Path) -> Child {
    let scenario = folder.join("NET-901.yaml");
    std::fs::write(&scenario, LONG).unwrap();
    let into = folder.join("out");
    let mut child = chaos(&[
        "run",
        scenario.to_str().unwrap(),
        "--into",
        into.to_str().unwrap(),
    ])
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut seen = 0;
    let mut said = String::new();
    while seen < 2 {
        let line = lines
            .next()
            .unwrap_or_else(|| panic!("it ended early: {said}"))
            .unwrap();
        seen += usize::from(line.contains("seen to act") && !line.contains("not seen"));
        said.push_str(&line);
    }
    // Its progress must find a reader, or it would wait for one.
    std::thread::spawn(move || lines.for_each(drop));
    child
}

fn leases() -> usize {
    let folder = lab::ground::state::Folder::from_environment();
    let leases = folder.path().join("chaos/leases");
    std::fs::read_dir(leases).map_or(0, |entries| {
        entries
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|it| it == "json"))
            .count()
    })
}

#[test]
fn the_red_button_ends_everything_within_five_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = running(folder.path());
    assert_eq!(leases(), 2);
    let pressed = Instant::now();
    let output = chaos(&["stop", "--all"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("NET-901 was asked to stop"), "{text}");
    assert_eq!(leases(), 0, "{text}");
    assert!(
        pressed.elapsed() < Duration::from_secs(5),
        "{:?}",
        pressed.elapsed()
    );
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let evidence = std::fs::read_to_string(folder.path().join("out/NET-901.json")).unwrap();
    assert!(evidence.contains("\"verdict\": \"Aborted\""), "{evidence}");
}

#[test]
fn the_next_start_takes_back_what_a_killed_engine_left() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = running(folder.path());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(leases(), 2, "a killed engine takes nothing back");
    // The same scenario again, stopped once it has begun: its start has swept.
    let mut again = running(folder.path());
    let stopped = chaos(&["stop", "--all"]).status().unwrap();
    assert!(stopped.success());
    again.wait().unwrap();
    assert_eq!(leases(), 0);
}

#[test]
fn a_keeper_takes_a_fault_back_when_everybody_else_is_dead() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("NET-901.yaml");
    let mut child = running(folder.path());
    assert!(scenario.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(leases(), 2);
    // The fault's minute and the keeper's margin of half a minute.
    let until = Instant::now() + Duration::from_secs(110);
    while leases() > 0 {
        assert!(Instant::now() < until, "the leases are still there");
        std::thread::sleep(Duration::from_millis(200));
    }
}

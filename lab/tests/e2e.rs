//! The lab as a user has it: its program, three real centers, real orders.
//!
//! Each test makes what it needs and can be run alone; the last one leaves nothing behind.

#![cfg(feature = "e2e")]
#![allow(clippy::unwrap_used, clippy::panic)]

use serde_json::Value;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// What was on the machine before any lab.
static BEFORE: OnceLock<String> = OnceLock::new();

fn lab(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn succeeds(arguments: &[&str]) {
    let status = lab(arguments).status().unwrap();
    assert!(status.success(), "lab {}: {status}", arguments.join(" "));
}

fn footprint() -> String {
    let output = lab(&["footprint"]).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn there_is_no_lab() -> bool {
    let output = lab(&["status"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).contains("there is no lab")
}

fn remember_the_machine() {
    if there_is_no_lab() {
        BEFORE.get_or_init(footprint);
    }
}

/// A run, and its report.
fn run(fault: &str) -> Value {
    remember_the_machine();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let path = path.to_str().unwrap();
    let status = lab(&["run", "--fault", fault, "--report", path]).status();
    let text = std::fs::read_to_string(path).unwrap_or_else(|_| "null".to_owned());
    let report: Value = serde_json::from_str(&text).unwrap();
    assert!(status.unwrap().success(), "lab run: {report:#}");
    report
}

fn holds(report: &Value) {
    holds_within(report, 5_000_000);
}

fn holds_within(report: &Value, rto_us_max: u64) {
    assert_eq!(report["verdict"], "Passed", "{report:#}");
    assert_eq!(report["orders"]["lost"], 0);
    assert_eq!(report["orders"]["doubled"], 0);
    assert!(report["orders"]["acknowledged"].as_u64().unwrap() > 1_000);
    // A planned move may wait for its checks, while orders are served.
    let took = match report["fault"]["kind"].as_str() {
        Some("PlannedMove") => &report["longest_silence_us"],
        _ => &report["legs"]["rto_us"],
    };
    let rto_us = took.as_u64().unwrap();
    assert!(rto_us > 0 && rto_us <= rto_us_max, "RTO {rto_us} µs");
    assert_ne!(report["fault"]["old_leader"], report["fault"]["new_leader"]);
    assert!(
        report["recovery"]["hashes_equal_at_index"]
            .as_u64()
            .unwrap()
            > 0
    );
}

#[test]
fn a_center_lost_under_load_costs_no_order_and_trading_is_back_within_five_seconds() {
    holds(&run("center-power"));
}

#[test]
fn a_killed_leader_fails_over_with_every_control_plane_dead() {
    let report = run("leader-process");
    assert_eq!(report["fault"]["kind"], "LeaderProcessWithoutControlPlanes");
    holds(&report);
}

fn planned_move() -> Value {
    let report = run("planned-move");
    assert_eq!(report["fault"]["kind"], "PlannedMove");
    assert!(report["longest_silence_us"].as_u64().unwrap() > 0);
    holds(&report);
    report
}

#[test]
fn a_lost_site_is_taken_over_by_the_other_and_trading_moves_there_and_back_without_a_lost_order() {
    // Wherever the leader was, it is in the site of two centers then.
    planned_move();
    let report = run("site-loss");
    assert_eq!(report["fault"]["kind"], "SitePowerOff");
    assert_eq!(report["fault"]["new_center"], "b1");
    // Silence, two people's approval, fence, form, serve.
    holds_within(&report, 60_000_000);
    let back = planned_move();
    assert_eq!(back["fault"]["center"], "b1");
    assert_eq!(back["fault"]["new_center"], "a1");
}

#[test]
fn removing_the_lab_leaves_nothing_behind() {
    if BEFORE.get().is_none() {
        succeeds(&["down"]);
        remember_the_machine();
        succeeds(&["up", "--ground-only"]);
    }
    succeeds(&["down"]);
    assert_eq!(&footprint(), BEFORE.get().unwrap());
    assert!(there_is_no_lab());
}

//! What is wrong in a file is told with the file, the place, the value and what is accepted.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the whole file is a test; clippy knows only functions marked as one"
)]

use std::path::PathBuf;

fn shipped() -> Vec<(PathBuf, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../rules/data");
    ["beijing.yaml", "calendar.yaml", "conduct.yaml"]
        .map(|name| {
            (
                PathBuf::from(name),
                std::fs::read_to_string(folder.join(name)).unwrap(),
            )
        })
        .to_vec()
}

/// The error of the shipped files with one text replaced in one of them.
fn error_with(file: &str, old: &str, new: &str) -> String {
    let mut files = shipped();
    let (_, text) = files
        .iter_mut()
        .find(|(name, _)| name.ends_with(file))
        .unwrap();
    assert!(text.contains(old), "{file} has no {old:?}");
    *text = text.replacen(old, new, 1);
    rules_file::join(&files).unwrap_err().to_string()
}

#[test]
fn each_mistake_is_told_with_its_place_and_value() {
    for (file, old, new, told) in [
        // Values that cannot be read, by path, line and column.
        (
            "beijing.yaml",
            "tick: \"0.01\"",
            "tick: \"0,01\"",
            ["markets[0].trading[0].tick", "\"0,01\"", "line 13"],
        ),
        (
            "beijing.yaml",
            "up: 30%",
            "up: 30",
            ["ordinary.up", "\"30\"", "percentage"],
        ),
        (
            "beijing.yaml",
            "tick:",
            "tic:",
            ["markets[0].trading[0]", "`tic`", "`tick`"],
        ),
        (
            "beijing.yaml",
            "outside: Reject",
            "outside: Refuse",
            ["cage.outside", "Refuse", "`Hold`"],
        ),
        (
            "beijing.yaml",
            "at: 09:15",
            "at: 9:15",
            ["schedule[0].at", "9:15", "\"09:15\""],
        ),
        (
            "beijing.yaml",
            "430000-430999",
            "430999-430000",
            ["codes[0]", "430999-430000", "600000-605999"],
        ),
        (
            "beijing.yaml",
            "rules_format: 1",
            "rules_format: 2",
            ["rules_format", "2", "use 1"],
        ),
        // Values that can be read and cannot be.
        (
            "beijing.yaml",
            "tick: \"0.01\"",
            "tick: \"0\"",
            ["markets[0].trading[0].tick", "0 is", "0.0001"],
        ),
        (
            "beijing.yaml",
            "minimum: 100, step: 1",
            "minimum: 100, step: 7",
            ["trading[0].lot", "steps of 7", "step of 1"],
        ),
        (
            "beijing.yaml",
            "at: 09:20",
            "at: 09:10",
            ["trading[0].schedule", "out of order", "ascend"],
        ),
        (
            "beijing.yaml",
            "from: 20211115 #",
            "from: 20211131 #",
            ["trading[0].from", "20211131", "date that exists"],
        ),
        (
            "beijing.yaml",
            "sell_min: 95%",
            "sell_min: 105%",
            ["cage", "105%", "at most 100%"],
        ),
        (
            "beijing.yaml",
            "limit: 1000000",
            "limit: 99",
            ["size_max.limit", "99", "lot's minimum"],
        ),
        (
            "beijing.yaml",
            "from: 20220429",
            "from: 20211115",
            ["fees[1].from", "20211115", "after the edition"],
        ),
        (
            "beijing.yaml",
            "stamp_duty: 0.1%",
            "stamp_duty: 11%",
            ["fees[0].stamp_duty", "11%", "0% to 10%"],
        ),
        (
            "beijing.yaml",
            "430000-430999",
            "830000-830999",
            ["codes[1]", "830000-839999", "no other range"],
        ),
        (
            "calendar.yaml",
            "from: 20260215",
            "from: 20260101",
            ["holidays[1]", "20260101", "ascending"],
        ),
        (
            "calendar.yaml",
            "half_days: []",
            "half_days: [20270101]",
            ["half_days[0]", "20270101", "inside"],
        ),
        (
            "conduct.yaml",
            "per_second_warn: 300",
            "per_second_warn: 0",
            [
                "conduct[0].order_rate.per_second_warn",
                "0 is",
                "at least 1",
            ],
        ),
        (
            "conduct.yaml",
            "ratio_warn: 50%",
            "ratio_warn: 99%",
            ["conduct[0].cancels.ratio", "99%", "at most the block"],
        ),
    ] {
        let error = error_with(file, old, new);
        assert!(error.starts_with(&format!("{file}: ")), "{error}");
        for part in told {
            assert!(error.contains(part), "{part:?} is missing: {error}");
        }
    }
}

#[test]
fn files_that_contradict_one_another_are_refused() {
    let half_day = error_with("calendar.yaml", "half_days: []", "half_days: [20261231]");
    assert!(half_day.contains("half_day_schedule"), "{half_day}");
    let mut files = shipped();
    files.push(files[1].clone());
    let twice = rules_file::join(&files).unwrap_err().to_string();
    assert!(twice.starts_with("calendar: found in"), "{twice}");
    let mut files = shipped();
    files.push((PathBuf::from("again.yaml"), files[0].1.clone()));
    let twice = rules_file::join(&files).unwrap_err().to_string();
    assert!(twice.contains("markets[1].securities"), "{twice}");
    let none = rules_file::join(&shipped()[..2]).unwrap_err().to_string();
    assert!(none.starts_with("conduct: found in []"), "{none}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = rules_file::read(&[PathBuf::from("/nowhere/rules.yaml")]).unwrap_err();
    assert!(error.to_string().contains("/nowhere/rules.yaml"), "{error}");
}

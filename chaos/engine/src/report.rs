//! Reports over many runs: Markdown for people, JUnit XML for machines. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chaos_scenario::{Acted, Proof, Reading, ScenarioId, Verdict};

use crate::evidence::{Evidence, Look};

/// How many came out how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Passed.
    pub passed: usize,
    /// Failed.
    pub failed: usize,
    /// Inconclusive.
    pub inconclusive: usize,
    /// Aborted.
    pub aborted: usize,
}

impl Count {
    /// Counts verdicts.
    pub fn of<'a>(runs: impl IntoIterator<Item = &'a Evidence>) -> Self {
        let mut count = Self::default();
        for run in runs {
            match run.verdict {
                Verdict::Passed => count.passed += 1,
                Verdict::Failed => count.failed += 1,
                Verdict::Inconclusive => count.inconclusive += 1,
                Verdict::Aborted => count.aborted += 1,
            }
        }
        count
    }

    /// All of them.
    #[must_use]
    pub const fn all(self) -> usize {
        self.passed + self.failed + self.inconclusive + self.aborted
    }
}

/// What so many runs without a failure show: with 95 % confidence a failure is rarer than this, in
/// thousandths (the rule of three). None when nothing can be said.
#[must_use]
pub fn failures_rarer_than_permille(count: Count) -> Option<u64> {
    let conclusive = count.passed as u64;
    (count.failed == 0 && conclusive >= 3).then(|| 3_000_u64.div_ceil(conclusive))
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ").replace('|', "\\|")
}

fn milliseconds(ms: Option<u64>) -> String {
    ms.map_or_else(|| "no data".to_owned(), |ms| format!("{ms} ms"))
}

/// The report. `catalog` names every scenario there is, so that those that did not run are told too.
#[must_use]
pub fn markdown(runs: &[Evidence], catalog: &[(ScenarioId, String)]) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let mut line = |text: &str| {
        let _ = writeln!(out, "{text}");
    };
    line("# Chaos in the lab: what was run, and how it came out\n");
    let count = Count::of(runs);
    let first = runs.iter().min_by_key(|run| &run.began_at);
    let last = runs.iter().max_by_key(|run| &run.began_at);
    if let (Some(first), Some(last)) = (first, last) {
        let machine = &last.machine;
        line(&format!(
            "{} runs from {} to {}, on {} processors with {} MiB, kernel {}. Written by \
             `tricenter chaos report`; the figures are as they were measured.\n",
            runs.len(),
            first.began_at,
            last.began_at,
            machine.processors,
            machine.memory_mib,
            machine.kernel
        ));
    }
    let distinct: BTreeSet<&ScenarioId> = runs.iter().map(|run| &run.scenario.id).collect();
    line(&format!(
        "{} distinct scenarios of {} in the catalog were run.\n",
        distinct.len(),
        catalog.len()
    ));
    line(&format!(
        "**{} passed, {} failed, {} inconclusive, {} aborted.**\n",
        count.passed, count.failed, count.inconclusive, count.aborted
    ));
    match failures_rarer_than_permille(count) {
        Some(permille) => line(&format!(
            "No run failed. By the rule of three, {} conclusive runs only show, with 95 % confidence, \
             that fewer than {permille} in 1,000 such runs fail.\n",
            count.passed
        )),
        None => line("With failures, or with too few runs, no bound can be given.\n"),
    }
    let (acknowledged, lost, doubled) = runs.iter().fold((0, 0, 0), |sum, run| {
        (
            sum.0 + run.orders.acknowledged,
            sum.1 + run.orders.lost,
            sum.2 + run.orders.doubled,
        )
    });
    line(&format!(
        "Over all runs clients saw {acknowledged} requests acknowledged; {lost} lost, {doubled} doubled.\n"
    ));
    line("| family | runs | passed | failed | inconclusive | aborted |");
    line("| --- | --- | --- | --- | --- | --- |");
    let mut families: BTreeMap<&str, Vec<&Evidence>> = BTreeMap::new();
    for run in runs {
        families
            .entry(run.scenario.family.name())
            .or_default()
            .push(run);
    }
    for (family, runs) in &families {
        let count = Count::of(runs.iter().copied());
        line(&format!(
            "| {family} | {} | {} | {} | {} | {} |",
            count.all(),
            count.passed,
            count.failed,
            count.inconclusive,
            count.aborted
        ));
    }
    line("\n| scenario | verdict | silence | allowed | failover (RTO) | lost | what |");
    line("| --- | --- | --- | --- | --- | --- | --- |");
    for run in runs {
        let rto = run.legs.map_or_else(
            || "–".to_owned(),
            |legs| format!("{} ms", legs.rto_us / 1_000),
        );
        line(&format!(
            "| [{id}](#{anchor}) | {:?} | {} | {} ms | {rto} | {} | {} |",
            run.verdict,
            milliseconds(run.longest_silence_ms),
            run.scenario.expected.rto_ms_max,
            run.orders.lost,
            one_line(&run.scenario.title),
            id = run.scenario.id,
            anchor = run.scenario.id.as_str().to_lowercase(),
        ));
    }
    let not_run: Vec<&(ScenarioId, String)> = catalog
        .iter()
        .filter(|(id, _)| runs.iter().all(|run| run.scenario.id != *id))
        .collect();
    if !not_run.is_empty() {
        line("\n## Not run yet\n");
        for (id, title) in not_run {
            line(&format!("- {id}: {title}"));
        }
    }
    for run in runs {
        line("");
        line(&page(run));
    }
    out
}

fn page(run: &Evidence) -> String {
    let mut out = String::new();
    let scenario = &run.scenario;
    let mut line = |text: String| {
        let _ = writeln!(out, "{text}");
    };
    line(format!("## {}\n", scenario.id));
    line(format!(
        "**{}** — {:?}, {} s\n",
        scenario.title,
        run.verdict,
        run.took_ms / 1_000
    ));
    line(format!(
        "{} {}\n",
        scenario.hypothesis, scenario.expected.behaviour
    ));
    for planned in &run.plan.faults {
        let victims: Vec<String> = planned.victims.iter().map(ToString::to_string).collect();
        line(format!(
            "- {} ({}) on {}, from {} to {} ms",
            planned.fault.name,
            planned.fault.fault.driver().name(),
            victims.join(", "),
            planned.fault.start_after_ms,
            planned.fault.end_ms()
        ));
    }
    for fault in &run.experiment.faults {
        let acted = match &fault.acted {
            Some(Acted::Seen(what)) => format!("seen: {what}"),
            Some(Acted::NotSeen(what)) => format!("not seen: {what}"),
            None => "not observed".to_owned(),
        };
        let gone = match &fault.proof {
            Some(Proof::Gone(what)) => format!("gone: {what}"),
            Some(Proof::Unproven(what)) => format!("not proved gone: {what}"),
            None => "never taken back".to_owned(),
        };
        line(format!("  - {}: {acted}. {gone}.", fault.name));
    }
    line(format!(
        "\nleader {} (epoch {}) → {} (epoch {}); {} requests acknowledged, {} rejected, {} unknown, \
         {} lost, {} doubled; longest silence {}\n",
        run.leaders.before,
        run.leaders.epoch_before,
        run.leaders.after,
        run.leaders.epoch_after,
        run.orders.acknowledged,
        run.orders.rejected,
        run.orders.unknown,
        run.orders.lost,
        run.orders.doubled,
        milliseconds(run.longest_silence_ms),
    ));
    if let Some(legs) = run.legs {
        let legs: Vec<String> = legs
            .named()
            .iter()
            .map(|(name, us)| format!("{name} {} ms", us / 1_000))
            .collect();
        line(format!("legs: {}\n", legs.join(", ")));
    }
    line("| probe | when | looks | said |\n| --- | --- | --- | --- |".to_owned());
    for (index, probe) in run.experiment.probes.iter().enumerate() {
        let record = run
            .experiment
            .readings
            .get(&index)
            .cloned()
            .unwrap_or_default();
        let said = match (&record.first_broken, &record.last) {
            (Some(broken), _) if probe.when == chaos_scenario::When::Continuous => {
                format!("broken: {broken}")
            }
            (_, Some(Reading::Holds(seen))) => seen.clone(),
            (_, Some(Reading::Broken(seen))) => format!("broken: {seen}"),
            (_, Some(Reading::NoData(why))) => format!("no data: {why}"),
            (_, None) => "never read".to_owned(),
        };
        line(format!(
            "| {} | {:?} | {} | {} |",
            one_line(&probe.name),
            probe.when,
            record.looks,
            one_line(&said)
        ));
    }
    line(format!(
        "\n```text\n{}```",
        plot(&run.timeline, scenario.end_ms())
    ));
    for failure in &run.experiment.failures {
        line(format!("- failed: {}", one_line(failure)));
    }
    for doubt in &run.experiment.doubts {
        line(format!("- not known: {}", one_line(doubt)));
    }
    if let Some(by) = &run.experiment.stopped_by {
        line(format!("- stopped by: {}", one_line(by)));
    }
    out
}

/// Orders a second over time, one column a look, with the fault's time marked below.
#[must_use]
pub fn plot(looks: &[Look], fault_end_ms: u64) -> String {
    const HEIGHT: u64 = 4;
    const WIDTH: usize = 100;
    let step = looks.len().div_ceil(WIDTH).max(1);
    let shown: Vec<&Look> = looks.iter().step_by(step).collect();
    let highest = shown
        .iter()
        .map(|look| look.per_second)
        .max()
        .unwrap_or(0)
        .max(1);
    let mut out = String::new();
    for row in (1..=HEIGHT).rev() {
        let label = if row == HEIGHT {
            highest.to_string()
        } else {
            String::new()
        };
        let cells: String = shown
            .iter()
            .map(|look| {
                let height = (look.per_second * HEIGHT).div_ceil(highest);
                if height >= row { '█' } else { ' ' }
            })
            .collect();
        let _ = writeln!(out, "{label:>6} {}", cells.trim_end());
    }
    let fault: String = shown
        .iter()
        .map(|look| {
            if look.at_ms < fault_end_ms {
                '▒'
            } else {
                '·'
            }
        })
        .collect();
    let _ = writeln!(out, "{:>6} {fault}", "fault");
    out
}

fn escaped(text: &str) -> String {
    text.chars()
        // What XML 1.0 cannot hold at all.
        .filter(|letter| !letter.is_control() || matches!(letter, '\n' | '\t'))
        .flat_map(|letter| match letter {
            '&' => "&amp;".chars().collect::<Vec<_>>(),
            '<' => "&lt;".chars().collect(),
            '>' => "&gt;".chars().collect(),
            '"' => "&quot;".chars().collect(),
            other => vec![other],
        })
        .collect()
}

/// The same as JUnit XML: inconclusive and aborted runs are errors, never passes and never skipped.
#[must_use]
pub fn junit(runs: &[Evidence]) -> String {
    let count = Count::of(runs);
    let took_ms: u64 = runs.iter().map(|run| run.took_ms).sum();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"chaos\" tests=\"{}\" \
         failures=\"{}\" errors=\"{}\" time=\"{}.{:03}\">\n",
        runs.len(),
        count.failed,
        count.inconclusive + count.aborted,
        took_ms / 1_000,
        took_ms % 1_000
    );
    for run in runs {
        let _ = write!(
            out,
            "  <testcase classname=\"chaos.{}\" name=\"{} {}\" time=\"{}.{:03}\"",
            run.scenario.family.name(),
            run.scenario.id,
            escaped(&run.scenario.title),
            run.took_ms / 1_000,
            run.took_ms % 1_000
        );
        let experiment = &run.experiment;
        let (element, said) = match run.verdict {
            Verdict::Passed => {
                out.push_str("/>\n");
                continue;
            }
            Verdict::Failed => ("failure", experiment.failures.join("\n")),
            Verdict::Inconclusive => ("error", experiment.doubts.join("\n")),
            Verdict::Aborted => ("error", experiment.stopped_by.clone().unwrap_or_default()),
        };
        let _ = writeln!(
            out,
            ">\n    <{element} message=\"{:?}\">{}</{element}>\n  </testcase>",
            run.verdict,
            escaped(&said)
        );
    }
    out.push_str("</testsuite>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn green_runs_show_only_what_the_rule_of_three_allows() {
        let passed = |passed, failed| Count {
            passed,
            failed,
            ..Count::default()
        };
        assert_eq!(failures_rarer_than_permille(passed(60, 0)), Some(50));
        assert_eq!(failures_rarer_than_permille(passed(60, 1)), None);
        assert_eq!(failures_rarer_than_permille(passed(0, 0)), None);
    }

    #[test]
    fn a_plot_shows_the_gap_and_the_fault() {
        let look = |at_ms, per_second| Look {
            at_ms,
            per_second,
            in_flight: 0,
            p99_us: 0,
        };
        let text = plot(&[look(0, 200), look(500, 0), look(1_000, 100)], 600);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "   200 █");
        assert_eq!(lines[3], "       █ █");
        assert_eq!(lines[4], " fault ▒▒·");
    }

    #[test]
    fn what_xml_cannot_hold_is_escaped_or_left_out() {
        assert_eq!(escaped("a<b>\"&\u{1b}[31m"), "a&lt;b&gt;&quot;&amp;[31m");
    }

    #[test]
    fn an_empty_report_says_that_nothing_can_be_said() {
        let text = markdown(&[], &[]);
        assert!(text.contains("no bound can be given"), "{text}");
        assert!(junit(&[]).contains("tests=\"0\""));
    }
}

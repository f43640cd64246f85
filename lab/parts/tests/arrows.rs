//! Dependencies between members point one way, as docs/ARCHITECTURE.md draws them.
//!
//! ```text
//!   cargo metadata ──► Graph (normal dependencies) ──► broken(&graph) ──► must be empty
//! ```
//!
//! Only normal dependencies count: what tests and build scripts need does not ship.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the whole file is a test; clippy knows only functions marked as one"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Which members a member may name in its own manifest.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("book", &["types"]),
    ("rules", &["types"]),
    ("rules-file", &["types", "rules"]),
    ("surveillance", &["types", "rules"]),
    ("engine", &["types", "book", "rules", "surveillance"]),
    ("journal", &["types"]),
    ("replica", &["types", "journal", "engine"]),
    ("protocol", &["types"]),
    ("client", &["types", "protocol"]),
    (
        "gateway",
        &["types", "protocol", "client", "configuration", "probes"],
    ),
    (
        "move-funds",
        &["types", "protocol", "client", "configuration"],
    ),
    ("fix", &["types"]),
    ("drop-copy", &["types", "engine", "fix"]),
    (
        "fix-gateway",
        &[
            "types",
            "protocol",
            "client",
            "fix",
            "drop-copy",
            "configuration",
            "probes",
        ],
    ),
    (
        "server",
        &[
            "types",
            "book",
            "engine",
            "journal",
            "replica",
            "protocol",
            "configuration",
            "gateway",
            "move-funds",
            "fix-gateway",
            "marketdata",
            "marketdata-udp",
            "marketdata-from-log",
            "reference-feed",
            "probes",
        ],
    ),
    ("history", &["types", "engine", "protocol"]),
    (
        "fuzz-targets",
        &[
            "types",
            "rules",
            "rules-file",
            "engine",
            "journal",
            "replica",
            "protocol",
            "history",
            "fix",
            "marketdata",
        ],
    ),
    (
        "sim",
        &[
            "types", "engine", "journal", "replica", "protocol", "client", "history",
        ],
    ),
    ("marketdata", &["types"]),
    ("marketdata-udp", &["types", "marketdata", "probes"]),
    (
        "marketdata-from-log",
        &["types", "book", "engine", "marketdata"],
    ),
    (
        "reference-feed",
        &[
            "types",
            "client",
            "configuration",
            "marketdata",
            "marketdata-udp",
            "probes",
        ],
    ),
    ("probes", &[]),
    ("configuration", &[]),
    ("bench", &["types", "engine", "protocol", "client"]),
    ("crds", &[]),
    ("operator", CONTROL_PLANE),
    ("tui", CONTROL_PLANE),
    ("card-health", &["marketdata"]),
    ("card-simulated", &["card-health", "marketdata"]),
    ("card-agent", &["card-health", "crds", "probes"]),
    ("card-takeover", &["card-health", "marketdata"]),
    ("toxiproxy-client", &[]),
    ("chaos-scenario", &[]),
    (
        "chaos-faults",
        &["chaos-scenario", "toxiproxy-client", "lab"],
    ),
    (
        "chaos-engine",
        &[
            "types",
            "client",
            "history",
            "toxiproxy-client",
            "lab",
            "chaos-scenario",
            "chaos-faults",
        ],
    ),
    (
        "chaos-cli",
        &["lab", "chaos-scenario", "chaos-faults", "chaos-engine"],
    ),
    ("lab-parts", &[]),
    (
        "lab",
        &[
            "types",
            "protocol",
            "client",
            "history",
            "crds",
            "toxiproxy-client",
            "lab-parts",
        ],
    ),
];

const CONTROL_PLANE: &[&str] = &["crds", "client", "protocol", "types", "toxiproxy-client"];

/// What may not be reached at all, however far, and from where.
const MAY_NOT_REACH: &[(&[&str], &[&str])] = &[
    (&["operator", "tui"], CORE_INSIDE),
    (
        &[
            "engine",
            "book",
            "rules",
            "surveillance",
            "types",
            "marketdata",
        ],
        NETWORK,
    ),
    // What an experiment is has no client and no clock.
    (&["chaos-scenario"], NETWORK),
    // Nor has what is thought of a card.
    (&["card-health"], NETWORK),
    // Rules reach the engine in their compact form: no file format does.
    (&["engine"], &["serde_yaml"]),
    (
        &["replica", "fix", "drop-copy"],
        &["tokio", "tonic", "hyper", "reqwest", "mio"],
    ),
];
const CORE_INSIDE: &[&str] = &["engine", "book", "journal", "replica", "server"];
const NETWORK: &[&str] = &[
    "tokio",
    "tonic",
    "hyper",
    "reqwest",
    "mio",
    "futures-util",
    "socket2",
    "kube",
];
/// Nothing under `trading-core/` reaches these.
const KUBERNETES: &[&str] = &[
    "kube",
    "kube-client",
    "kube-core",
    "kube-runtime",
    "kube-derive",
    "k8s-openapi",
];

/// Packages by name, each with its normal dependencies.
#[derive(Debug, Clone, Default)]
struct Graph {
    dependencies: BTreeMap<String, BTreeSet<String>>,
    members: BTreeSet<String>,
    core_members: BTreeSet<String>,
}

impl Graph {
    /// A way from `from` to `to`, if there is one, with both ends.
    fn way(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut open = vec![from];
        while let Some(here) = open.pop() {
            if here == to {
                let mut way = vec![to.to_owned()];
                let mut place = to;
                while let Some(before) = came_from.get(place) {
                    way.insert(0, (*before).to_owned());
                    place = before;
                }
                return Some(way);
            }
            for next in self.dependencies.get(here).into_iter().flatten() {
                if next != from && !came_from.contains_key(next.as_str()) {
                    came_from.insert(next, here);
                    open.push(next);
                }
            }
        }
        None
    }
}

/// Every arrow that points the wrong way, in words.
fn broken(graph: &Graph) -> Vec<String> {
    let mut findings = Vec::new();
    for member in &graph.members {
        let Some((_, allowed)) = MAY_NAME.iter().find(|(name, _)| name == member) else {
            findings.push(format!("{member} is not in the table of members"));
            continue;
        };
        for named in graph.dependencies.get(member).into_iter().flatten() {
            if graph.members.contains(named) && !allowed.contains(&named.as_str()) {
                findings.push(format!("{member} names {named}"));
            }
        }
    }
    for (member, _) in MAY_NAME {
        if !graph.members.contains(*member) {
            findings.push(format!("{member} is in the table and is no member"));
        }
    }
    let mut forbid = |from: &str, to: &str| {
        if let Some(way) = graph.way(from, to) {
            findings.push(format!("{from} reaches {to}: {}", way.join(" -> ")));
        }
    };
    for (sources, targets) in MAY_NOT_REACH {
        for from in *sources {
            targets.iter().for_each(|to| forbid(from, to));
        }
    }
    for from in &graph.core_members {
        KUBERNETES.iter().for_each(|to| forbid(from, to));
    }
    findings
}

fn stdout_of(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The workspace as cargo resolves it for this machine.
fn workspace() -> Graph {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let version = stdout_of(Command::new("rustc").arg("-vV").current_dir(&root));
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap();
    // Without a platform it would want the sources of every other platform too.
    let metadata = stdout_of(
        Command::new(env!("CARGO"))
            .args([
                "metadata",
                "--format-version=1",
                "--locked",
                "--filter-platform",
            ])
            .arg(host)
            .current_dir(&root),
    );
    read(&serde_json::from_str(&metadata).unwrap())
}

fn read(metadata: &Value) -> Graph {
    let list = |value: &Value| value.as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = list(&metadata["packages"]);
    let mut graph = Graph::default();
    let member_ids: BTreeSet<String> = list(&metadata["workspace_members"])
        .iter()
        .map(text)
        .collect();
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for package in &packages {
        let (id, name) = (text(&package["id"]), text(&package["name"]));
        // A package of the registry may be called as a member is: `lab` is a library of colours.
        let is_namesake = packages.iter().any(|other| {
            other["name"] == package["name"] && member_ids.contains(&text(&other["id"]))
        }) && !member_ids.contains(&id);
        if member_ids.contains(&id) {
            graph.members.insert(name.clone());
        }
        let name = if is_namesake {
            format!("{name} of the registry")
        } else {
            name
        };
        names.insert(id, name);
    }
    let root = text(&metadata["workspace_root"]);
    for package in &packages {
        let manifest = text(&package["manifest_path"]);
        if manifest.starts_with(&format!("{root}/trading-core/")) {
            graph.core_members.insert(text(&package["name"]));
        }
    }
    for node in list(&metadata["resolve"]["nodes"]) {
        let normal = list(&node["deps"]).into_iter().filter(|dependency| {
            list(&dependency["dep_kinds"])
                .iter()
                .any(|kind| kind["kind"].is_null())
        });
        // Two versions of a package count as one: none of them may be reached.
        graph
            .dependencies
            .entry(names[node["id"].as_str().unwrap()].clone())
            .or_default()
            .extend(normal.map(|dependency| names[dependency["pkg"].as_str().unwrap()].clone()));
    }
    graph
}

#[test]
fn every_arrow_of_the_workspace_points_inwards() {
    let graph = workspace();
    assert_eq!(broken(&graph), Vec::<String>::new());
}

#[test]
fn the_graph_that_is_judged_is_the_real_one() {
    let graph = workspace();
    // Arrows that exist, direct and far: a graph that was read wrongly would lack them.
    assert!(graph.core_members.contains("engine"));
    assert!(graph.way("server", "tokio").is_some());
    assert!(graph.way("operator", "kube-client").is_some());
    assert!(graph.way("history", "book").is_some());
    assert!(!graph.core_members.contains("operator"));
}

/// The real graph with one more arrow.
fn with_arrow(graph: &Graph, from: &str, to: &str) -> Vec<String> {
    let mut graph = graph.clone();
    graph
        .dependencies
        .entry(from.to_owned())
        .or_default()
        .insert(to.to_owned());
    broken(&graph)
}

#[test]
fn each_kind_of_wrong_arrow_is_found() {
    let graph = workspace();
    for (from, to, finding) in [
        ("types", "book", "types names book"),
        ("crds", "types", "crds names types"),
        ("operator", "engine", "operator reaches engine"),
        ("tui", "server", "tui reaches book"),
        ("client", "journal", "tui reaches journal"),
        ("lab", "engine", "lab names engine"),
        ("engine", "tokio", "engine reaches tokio: engine -> tokio"),
        (
            "book",
            "socket2",
            "engine reaches socket2: engine -> book -> socket2",
        ),
        ("journal", "k8s-openapi", "journal reaches k8s-openapi"),
        ("raft", "kube", "server reaches kube"),
    ] {
        let findings = with_arrow(&graph, from, to);
        assert!(
            findings.iter().any(|found| found.starts_with(finding)),
            "{from} -> {to}: {findings:?}"
        );
    }
}

#[test]
fn a_member_that_nobody_placed_is_found() {
    let mut graph = workspace();
    graph.members.insert("newcomer".to_owned());
    assert_eq!(broken(&graph), ["newcomer is not in the table of members"]);
}

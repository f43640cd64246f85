//! What a chaos experiment is, and how one goes: types, checks and a state machine without I/O.
//!
//! ```text
//!   *.yaml ─► read (names file, field, value) ─► Scenario ─► lint ─► plan(world) ─► victims
//!                                                   │
//!                                 Experiment::update(event) ─► effects, and one verdict
//! ```
//!
//! Nothing here has a client, a clock or randomness. The faults are performed by `chaos-faults`, the
//! effects of an experiment by `chaos-engine`.

mod catalog;
mod experiment;
mod fault;
mod lint;
mod plan;
mod probe;
mod scenario;
mod target;

pub use catalog::{CatalogError, Entry, parse, read_folder};
pub use experiment::{
    Acted, Effect, Event, Experiment, FaultRecord, Phase, Proof, Reading, Verdict, When,
};
pub use fault::{
    ComponentAction, ControlPlanePart, Driver, Fault, JournalDamage, KubernetesAction, Limit,
    LinkToxic, PacketFilter, PacketTraffic, PacketWay, ProcessAction, Signal, TimedFault,
};
pub use lint::{Finding, lint};
pub use plan::{CenterFacts, Plan, PlanError, PlannedFault, Victim, World, plan};
pub use probe::{AbortCondition, NamedProbe, Probe};
pub use scenario::{
    Expected, Family, LeaderExpectation, LoadProfile, Scenario, ScenarioId, Scope, SteadyState,
    TradingPhase,
};
pub use target::{LinkEnd, LinkTarget, LinkTraffic, LinkWay, Mode, Pool, ProcessKind, Selection};

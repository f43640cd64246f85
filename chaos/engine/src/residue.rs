//! What a fault could leave behind, looked for on the ground itself and not in our own books.

use chaos_faults::Ground;
use lab::ground::address_plan::{Center, Link};
use lab::ground::cgroup::{Group, Hierarchies};
use lab::ground::control::{self, Request};
use lab::ground::invocation::Invocation;
use lab::ground::supervisor::State;
use toxiproxy_client::Toxiproxy;

/// Everything of a fault that is found; empty on clean ground. What could not be looked at is in the
/// list too: not knowing is not clean.
pub async fn residue(ground: &Ground) -> Vec<String> {
    let mut found = Vec::new();
    for link in Link::ALL {
        found.extend(of_link(link).await);
    }
    for center in Center::ALL {
        found.extend(of_packets(center).await);
        found.extend(of_components(ground, center).await);
    }
    found.extend(stopped_processes());
    found
}

async fn of_link(link: Link) -> Vec<String> {
    let listed = match Toxiproxy::new(link.api_address()) {
        Ok(server) => server.proxies().await,
        Err(error) => Err(error),
    };
    let proxies = match listed {
        Ok(proxies) => proxies,
        Err(error) => return vec![format!("link {link} could not be looked at: {error}")],
    };
    let mut found = Vec::new();
    for proxy in proxies.into_values() {
        if !proxy.enabled {
            found.push(format!("proxy {} is switched off", proxy.name));
        }
        let ours = proxy
            .toxics
            .iter()
            .filter(|it| it.name.starts_with("chaos-"));
        found.extend(ours.map(|toxic| format!("toxic {} on {}", toxic.name, proxy.name)));
    }
    found
}

async fn of_packets(center: Center) -> Vec<String> {
    let namespace = format!("--net=/run/netns/{}", center.network_namespace());
    let call = Invocation::new("nsenter", [namespace.as_str(), "nft", "list", "tables"]);
    match call.perform().await {
        Ok(listed) => listed
            .lines()
            .filter(|line| line.contains("tricenter_chaos_"))
            .map(|line| format!("packet filter of {center}: {}", line.trim()))
            .collect(),
        Err(error) => vec![format!(
            "packets of {center} could not be looked at: {error}"
        )],
    }
}

async fn of_components(ground: &Ground, center: Center) -> Vec<String> {
    match control::ask(&ground.folder().control_socket(center), &Request::Status).await {
        Ok(reply) => reply
            .answer
            .components
            .iter()
            .filter(|it| it.state == State::Stopped)
            .map(|it| format!("{} of {center} is stopped", it.component))
            .collect(),
        Err(error) => vec![format!("{center} could not be asked: {error}")],
    }
}

/// Processes of the lab that a signal stopped.
fn stopped_processes() -> Vec<String> {
    let Ok(hierarchies) = Hierarchies::observe() else {
        return vec!["control groups could not be looked at".to_owned()];
    };
    hierarchies
        .processes(&Group::lab())
        .into_iter()
        .filter(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ")
                .is_some_and(|(_, after)| after.starts_with('T'))
        })
        .map(|pid| format!("process {pid} is stopped"))
        .collect()
}

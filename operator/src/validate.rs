//! From an object to this center's place in it, or the reason why there is none. Pure.
//!
//! Admission refuses most contradictions already; what it cannot know (which center this is) or
//! does not see (ports in addresses) is refused here.

use crds::{Center, CenterAddresses, ExposureType, TradingCore, TradingCoreSpec};
use kube::ResourceExt;

use crate::names::{Component, ORDERS_PORT, REPLICATION_PORT, component_name};

/// Why nothing is made of an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The object is for other centers.
    #[error(
        "failed to find center {center} in spec.centers: accepted are {listed}; list it, or remove \
         the object from this cluster"
    )]
    CenterNotListed {
        /// This operator's center.
        center: String,
        /// The names there are.
        listed: String,
    },
    /// An address has no usable port.
    #[error("failed to read {field} {value:?}: accepted is host:port with a port from 1 to 65535")]
    Address {
        /// Which field.
        field: String,
        /// What it says.
        value: String,
    },
    /// A Service of type NodePort without its ports.
    #[error(
        "failed to expose the replica: spec.exposure.type is NodePort, which needs {field}; set it"
    )]
    NodePort {
        /// The missing field.
        field: &'static str,
    },
    /// The object has no namespace, which the API server never lets happen.
    #[error("failed to place the object: it has no namespace")]
    NoNamespace,
}

/// An object as one center sees it.
#[derive(Debug, Clone, Copy)]
pub struct Placement<'a> {
    /// The object.
    pub core: &'a TradingCore,
    /// The namespace it is in.
    pub namespace: &'a str,
    /// This center.
    pub own: &'a Center,
}

impl<'a> Placement<'a> {
    /// What the object asks for.
    #[must_use]
    pub fn spec(&self) -> &'a TradingCoreSpec {
        &self.core.spec
    }

    /// Where `to` is reached from this center.
    #[must_use]
    pub fn addresses(&self, to: &Center) -> CenterAddresses {
        addresses(self.core, self.namespace, &self.own.name, to)
    }
}

/// Where `to` is reached from `from`: by the route that is listed; in one's own center by the
/// Service before the replica, which needs no way out and back; else by the center's own addresses.
#[must_use]
pub fn addresses(core: &TradingCore, namespace: &str, from: &str, to: &Center) -> CenterAddresses {
    let route = core
        .spec
        .routes
        .iter()
        .find(|route| route.from == from && route.to == to.name);
    if let Some(route) = route {
        return CenterAddresses {
            replication: route.replication.clone(),
            orders: route.orders.clone(),
        };
    }
    if from == to.name {
        let service = component_name(&core.name_any(), Component::Replica);
        return CenterAddresses {
            replication: format!("{service}.{namespace}.svc:{REPLICATION_PORT}"),
            orders: format!("{service}.{namespace}.svc:{ORDERS_PORT}"),
        };
    }
    to.addresses.clone()
}

/// The port of a `host:port`.
#[must_use]
pub fn port(address: &str) -> Option<u16> {
    let (host, port) = address.rsplit_once(':')?;
    port.parse()
        .ok()
        .filter(|port| *port != 0 && !host.is_empty())
}

/// Finds this center in the object and checks what admission does not.
///
/// # Errors
/// The first thing that is wrong.
pub fn validate<'a>(core: &'a TradingCore, center: &str) -> Result<Placement<'a>, Refusal> {
    let spec = &core.spec;
    let namespace = core
        .metadata
        .namespace
        .as_deref()
        .ok_or(Refusal::NoNamespace)?;
    let own = spec
        .centers
        .iter()
        .find(|listed| listed.name == center)
        .ok_or_else(|| Refusal::CenterNotListed {
            center: center.to_owned(),
            listed: spec
                .centers
                .iter()
                .map(|listed| listed.name.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        })?;
    let of_centers = spec.centers.iter().flat_map(|listed| {
        let field = format!("spec.centers[{}].addresses", listed.name);
        [
            (
                format!("{field}.replication"),
                &listed.addresses.replication,
            ),
            (format!("{field}.orders"), &listed.addresses.orders),
        ]
    });
    let of_routes = spec.routes.iter().flat_map(|route| {
        let field = format!("spec.routes[{} to {}]", route.from, route.to);
        [
            (format!("{field}.replication"), &route.replication),
            (format!("{field}.orders"), &route.orders),
        ]
    });
    for (field, value) in of_centers.chain(of_routes) {
        if port(value).is_none() {
            return Err(Refusal::Address {
                field,
                value: value.clone(),
            });
        }
    }
    if spec.exposure.type_ == ExposureType::NodePort {
        for (field, value) in [
            (
                "spec.exposure.replicationNodePort",
                spec.exposure.replication_node_port,
            ),
            (
                "spec.exposure.ordersNodePort",
                spec.exposure.orders_node_port,
            ),
        ] {
            if value.is_none() {
                return Err(Refusal::NodePort { field });
            }
        }
    }
    Ok(Placement {
        core,
        namespace,
        own,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The lab's object.
    pub(crate) fn core() -> TradingCore {
        let text = include_str!("../../lab/trading-core.yaml");
        let objects: Vec<serde_json::Value> = crds::yaml::read_all(text).unwrap();
        let mut core: TradingCore = serde_json::from_value(
            objects
                .into_iter()
                .find(|object| object["kind"] == "TradingCore")
                .unwrap(),
        )
        .unwrap();
        core.metadata.uid = Some("3f6c0d3e-0000-4000-8000-000000000001".to_owned());
        core.metadata.generation = Some(1);
        core
    }

    #[test]
    fn the_labs_object_is_accepted_in_each_center() {
        let core = core();
        for center in ["a1", "a2", "b1"] {
            assert_eq!(validate(&core, center).unwrap().own.name, center);
        }
    }

    #[test]
    fn a_center_that_is_not_listed_is_told_which_are() {
        let error = validate(&core(), "c1").unwrap_err().to_string();
        assert!(
            error.contains("c1") && error.contains("a1, a2, b1"),
            "{error}"
        );
    }

    #[test]
    fn a_port_out_of_range_is_refused_by_name() {
        let mut core = core();
        core.spec.routes[0].orders = "10.99.0.1:99999".to_owned();
        let error = validate(&core, "a1").unwrap_err().to_string();
        assert!(
            error.contains("spec.routes[a1 to a2].orders") && error.contains("99999"),
            "{error}"
        );
    }

    #[test]
    fn addresses_follow_routes_then_the_service_then_the_center() {
        let mut core = core();
        let placed = validate(&core, "a1").unwrap();
        let [a1, a2, _] = placed.spec().centers.as_slice() else {
            unreachable!("the lab has three centers")
        };
        assert_eq!(placed.addresses(a1).orders, "core-replica.trading.svc:7002");
        assert_eq!(placed.addresses(a2).replication, "10.99.0.1:17121");
        core.spec.routes.clear();
        let placed = validate(&core, "a1").unwrap();
        assert_eq!(
            placed.addresses(&placed.spec().centers[1]).replication,
            "10.99.0.12:30701"
        );
    }
}

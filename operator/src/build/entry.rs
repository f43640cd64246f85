//! The entry: Gateway and GRPCRoute, and with Envoy Gateway the policies that keep it from ending
//! long streams.

use kube::ResourceExt;
use serde_json::json;

use super::{Kind, Object, Offers, object};
use crate::names::{self, Component, GATEWAY_PORT};
use crate::validate::Placement;

pub(super) fn build(placed: &Placement<'_>, offers: Offers) -> Vec<Object> {
    if !offers.gateway_api {
        return Vec::new();
    }
    let core = placed.core.name_any();
    let entry = &placed.spec().entry;
    let mut objects = vec![
        object(
            placed,
            Kind::Gateway,
            &core,
            json!({"spec": {
                "gatewayClassName": entry.gateway_class_name,
                "listeners": [{
                    "name": "grpc",
                    "protocol": "HTTP",
                    "port": entry.port,
                    "allowedRoutes": {"namespaces": {"from": "Same"}},
                }],
            }}),
        ),
        object(
            placed,
            Kind::GrpcRoute,
            &core,
            json!({"spec": {
                "parentRefs": [{"name": core, "sectionName": "grpc"}],
                "rules": [{"backendRefs": [{
                    "name": names::component_name(&core, Component::Gateway),
                    "port": GATEWAY_PORT,
                }]}],
            }}),
        ),
    ];
    if offers.envoy_gateway {
        // A trading session is one stream that may be silent for hours.
        objects.push(object(
            placed,
            Kind::BackendTrafficPolicy,
            &core,
            json!({"spec": {
                "targetRefs": [{
                    "group": "gateway.networking.k8s.io", "kind": "GRPCRoute", "name": core,
                }],
                "timeout": {"http": {
                    "requestTimeout": "0s", "maxStreamDuration": "0s", "streamIdleTimeout": "0s",
                }},
            }}),
        ));
        objects.push(object(
            placed,
            Kind::ClientTrafficPolicy,
            &core,
            json!({"spec": {
                "targetRefs": [{
                    "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": core,
                }],
                "timeout": {"http": {"requestReceivedTimeout": "0s", "streamIdleTimeout": "0s"}},
            }}),
        ));
    }
    objects
}

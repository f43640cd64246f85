//! The publisher against a real API server, with the rights that the chart gives the agent.

use std::process::Command;

use card_agent::publish::{Publisher, known, object_name};
use card_health::{Reason, State};
use crds::conditions::{self, HEALTHY, READY, STALLED};
use crds::{ConditionStatus, FpgaCard, FpgaCardState};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::{Client, Config};
use lab_parts::apiserver::ApiServer;
use lab_parts::{CacheDir, Part, Parts, Quiet, Stop};
use serde_json::{Value, json};

use crate::world::{PATIENCE, address, cards};

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/helm/tricenter");
const AGENT: &str = "system:serviceaccount:tricenter-system:tricenter-card-agent";

async fn client_of(kubeconfig: &str) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .unwrap();
    Client::try_from(config).unwrap()
}

/// The chart with cards, applied; gives the server, its administrator and the agent.
async fn start() -> (ApiServer, Client, Client) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (server, text) = tokio::task::spawn_blocking(|| {
        let parts = Parts::open(CacheDir::from_environment().unwrap()).unwrap();
        let wanted = [Part::Etcd, Part::KubeApiserver, Part::Helm];
        let built = parts.build(&wanted, &Quiet, &Stop::default()).unwrap();
        let rendered = Command::new(built.path(Part::Helm).unwrap())
            .args(["template", "tricenter", CHART, "--include-crds"])
            .args(["--namespace", "tricenter-system", "--set"])
            .arg("center=a1,createNamespace=true,cards.enabled=true")
            .output()
            .unwrap();
        assert!(
            rendered.status.success(),
            "{}",
            String::from_utf8_lossy(&rendered.stderr)
        );
        let server = ApiServer::start_from(&built).unwrap();
        (server, String::from_utf8(rendered.stdout).unwrap())
    })
    .await
    .unwrap();
    let admin = client_of(server.kubeconfig()).await;
    let agent = client_of(&server.kubeconfig_of(AGENT, None).unwrap()).await;
    let mut objects: Vec<Value> = crds::yaml::read_all(&text).unwrap();
    // Namespaces first, as Helm itself does it.
    objects.sort_by_key(|object| object["kind"] != "Namespace");
    for object in objects {
        apply(&admin, &object).await;
    }
    let served = async {
        while Api::<FpgaCard>::all(admin.clone())
            .list(&ListParams::default())
            .await
            .is_err()
        {
            // Discovery cannot be watched.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, served).await.unwrap();
    (server, admin, agent)
}

async fn apply(client: &Client, object: &Value) {
    let version = object["apiVersion"].as_str().unwrap();
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let kind = GroupVersionKind::gvk(group, version, object["kind"].as_str().unwrap());
    let resource = ApiResource::from_gvk(&kind);
    let api: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let name = object["metadata"]["name"].as_str().unwrap();
    let parameters = PatchParams::apply("card-agent-test").force();
    api.patch(name, &parameters, &Patch::Apply(object))
        .await
        .unwrap_or_else(|error| panic!("failed to apply {} {name}: {error}", kind.kind));
}

#[tokio::test]
async fn a_card_is_published_with_its_conditions_and_each_change_is_an_event() {
    let (_server, admin, agent) = start().await;
    let api: Api<FpgaCard> = Api::all(admin.clone());
    let name = object_name("n1", &address());
    let mut publisher = Publisher::new(agent.clone(), "n1".to_owned());

    publisher
        .round(&cards(State::Healthy, Reason::AsItShouldBe))
        .await;
    let well = api.get_status(&name).await.unwrap();
    let status = well.status.clone().unwrap();
    assert_eq!(status.state, Some(FpgaCardState::Healthy));
    assert_eq!(status.temperature_millidegrees, Some(61_000));
    assert_eq!(status.observed_generation, well.metadata.generation);
    assert_eq!(
        conditions::status_of(&status.conditions, READY),
        Some(ConditionStatus::True)
    );
    let managers = well.metadata.managed_fields.unwrap();
    assert!(
        managers
            .iter()
            .all(|it| it.manager.as_deref() == Some("tricenter-card-agent"))
    );
    assert_eq!(known(agent.clone(), "n1").await.unwrap(), [address()]);
    assert_eq!(known(agent, "n2").await.unwrap(), []);

    publisher
        .round(&cards(State::Failing, Reason::TooHot))
        .await;
    let status = api.get_status(&name).await.unwrap().status.unwrap();
    for (type_, expected) in [
        (READY, ConditionStatus::False),
        (HEALTHY, ConditionStatus::False),
        (STALLED, ConditionStatus::True),
    ] {
        assert_eq!(
            conditions::status_of(&status.conditions, type_),
            Some(expected),
            "{type_}"
        );
    }
    publisher
        .round(&cards(State::Healthy, Reason::AsItShouldBe))
        .await;
    let status = api.get_status(&name).await.unwrap().status.unwrap();
    assert_eq!(conditions::status_of(&status.conditions, STALLED), None);
    let events = Api::<Event>::all(admin)
        .list(&ListParams::default())
        .await
        .unwrap();
    let told: Vec<_> = events
        .items
        .iter()
        .filter(|event| event.regarding.as_ref().and_then(|it| it.name.as_deref()) == Some(&name))
        .map(|event| (event.type_.clone().unwrap(), event.reason.clone().unwrap()))
        .collect();
    assert!(
        told.contains(&("Warning".to_owned(), "TooHot".to_owned())),
        "{told:?}"
    );
    assert!(
        told.contains(&("Normal".to_owned(), "AsItShouldBe".to_owned())),
        "{told:?}"
    );

    // A card is where it is, and an address is in the kernel's form.
    let moved = json!({"spec": {"node": "n2"}});
    let error = api
        .patch(&name, &PatchParams::default(), &Patch::Merge(moved))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("a card is where it is"),
        "{error}"
    );
    let mut other = FpgaCard::new("other", well.spec.clone());
    other.spec.address = "81:00.0".to_owned();
    let error = api
        .create(&PostParams::default(), &other)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("spec.address"), "{error}");
}

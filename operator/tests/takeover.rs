//! Forced takeovers and their approvals against a real API server, with the rights that the chart gives
//! the operator. The replicas are scripted; the test is the kubelet and the command on the disk.
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use crds::{Approval, Takeover, request_digest};
use world::*;

/// Everybody may do all here, so that what is refused is refused by the policy or a rule.
async fn person(name: &str) -> Client {
    let server = &shared().server;
    let kubeconfig = server.kubeconfig_of(name, Some("system:masters")).unwrap();
    client_of(&kubeconfig).await
}

fn takeover(name: &str, requested_by: &str) -> Value {
    json!({
        "apiVersion": "tricenter.dev/v1alpha1", "kind": "Takeover", "metadata": {"name": name},
        "spec": {
            "core": "core", "center": "a1", "lost": ["a2", "b1"], "requestedBy": requested_by,
            "reason": "the others burn", "silenceSeconds": 0,
        },
    })
}

fn approval(name: &str, approver: &str, digest: &str) -> Value {
    json!({
        "apiVersion": "tricenter.dev/v1alpha1", "kind": "Approval", "metadata": {"name": name},
        "spec": {
            "request": {"kind": "Takeover", "name": "all-is-lost", "uid": "1"},
            "digest": digest, "approver": approver, "reason": "seen it",
        },
    })
}

async fn create<K>(who: &str, namespace: &str, object: Value) -> kube::Result<K>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::Serialize
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(person(who).await, namespace);
    let object = serde_json::from_value(object).unwrap();
    api.create(&PostParams::default(), &object).await
}

// ---------------------------------------------------------------------------------------------
// Admission

#[tokio::test]
async fn who_approves_and_who_asks_is_who_the_api_server_says() {
    let world = World::new("who").await;
    let digest = "0".repeat(64);
    let given = approval("given", "anna", &digest);
    create::<Approval>("anna", &world.namespace, given)
        .await
        .unwrap();
    let forged = approval("forged", "bela", &digest);
    let refused = create::<Approval>("anna", &world.namespace, forged).await;
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("spec.approver: bela is not who sends this; accepted is anna"),
        "{refused}"
    );
    let asked = takeover("all-is-lost", "carl");
    create::<Takeover>("carl", &world.namespace, asked)
        .await
        .unwrap();
    let forged = takeover("forged", "carl");
    let refused = create::<Takeover>("anna", &world.namespace, forged).await;
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("spec.requestedBy: carl is not who sends this; accepted is anna"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_request_and_an_approval_cannot_change() {
    let world = World::new("immutable").await;
    let namespace = &world.namespace;
    let asked: Takeover = create("carl", namespace, takeover("all-is-lost", "carl"))
        .await
        .unwrap();
    let given: Approval = create(
        "anna",
        namespace,
        approval("given", "anna", &"0".repeat(64)),
    )
    .await
    .unwrap();
    let takeovers: Api<Takeover> = Api::namespaced(world.admin.clone(), namespace);
    let (asked_name, given_name) = (asked.name_any(), given.name_any());
    let plain = PatchParams::default();
    let patch = Patch::Merge(json!({"spec": {"lost": ["b1"]}}));
    let refused = takeovers.patch(&asked_name, &plain, &patch);
    let refused = refused.await.unwrap_err().to_string();
    assert!(
        refused.contains("what people approve is this request"),
        "{refused}"
    );
    let approvals: Api<Approval> = Api::namespaced(world.admin.clone(), namespace);
    let patch = Patch::Merge(json!({"spec": {"validSeconds": 3600}}));
    let refused = approvals.patch(&given_name, &plain, &patch);
    let refused = refused.await.unwrap_err().to_string();
    assert!(refused.contains("spec cannot change"), "{refused}");
}

#[tokio::test]
async fn nonsense_is_refused_at_the_door() {
    let world = World::new("nonsense").await;
    for (field, value, text) in [
        ("lost", json!(["a1"]), "spec.lost names spec.center"),
        ("lost", json!([]), "Form needs the centers that are gone"),
        ("action", json!("Rejoin"), "Rejoin has none"),
        ("reason", json!(""), "spec.reason"),
        ("deadlineSeconds", json!(1), "spec.deadlineSeconds"),
        ("approvalWaitSeconds", json!(0), "spec.approvalWaitSeconds"),
    ] {
        let mut asked = takeover("bad", "carl");
        asked["spec"][field] = value;
        let refused = create::<Takeover>("carl", &world.namespace, asked).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(text), "{field}: {refused}");
    }
    for (field, value) in [
        ("digest", json!("abc")),
        ("validSeconds", json!(86_400)),
        ("reason", json!("")),
    ] {
        let mut given = approval("bad", "anna", &"0".repeat(64));
        given["spec"][field] = value;
        let refused = create::<Approval>("anna", &world.namespace, given).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(&format!("spec.{field}")), "{refused}");
    }
}

#[tokio::test]
async fn a_digest_computed_from_what_was_sent_is_that_of_what_is_stored() {
    let world = World::new("digest").await;
    let sent = takeover("all-is-lost", "carl");
    let sent: Takeover = serde_json::from_value(sent).unwrap();
    let stored: Takeover = create("carl", &world.namespace, takeover("all-is-lost", "carl"))
        .await
        .unwrap();
    let uid = stored.uid().unwrap();
    let of = |object: &Takeover| {
        let (kind, name) = (crds::RequestKind::Takeover, object.name_any());
        request_digest(kind, &world.namespace, &name, &uid, &object.spec)
    };
    assert_eq!(of(&sent), of(&stored), "defaults are part of a request");
}

//! `Approval`: one person's word for one exact request.
//!
//! ```text
//!   request (kind, namespace, name, uid, spec) ──canonical JSON──► SHA-256 ──► spec.digest
//!   API server's own user info ──admission policy──► spec.approver       creation time ──► its end
//! ```
//! The policy in the chart refuses an Approval whose `spec.approver` is not who sends it. The operator
//! judges it again before each step; an Approval alone does nothing.

use std::fmt::Write as _;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// One person's word for one exact request, given by its digest. It ends by itself and counts once. The
/// object cannot change: delete it to take it back.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[kube(
    group = "tricenter.dev",
    version = "v1alpha1",
    kind = "Approval",
    plural = "approvals",
    category = "tricenter",
    namespaced,
    status = "ApprovalStatus",
    derive = "PartialEq",
    doc = "One person's word for one exact request, given by its digest. It ends by itself and counts once. The object cannot change: delete it to take it back.",
    validation = Rule::new("self.spec == oldSelf.spec")
        .message("spec cannot change: delete the Approval to take it back, and give another one"),
    printcolumn(name = "Kind", type_ = "string", json_path = ".spec.request.kind", description = "The kind of the request"),
    printcolumn(name = "Request", type_ = "string", json_path = ".spec.request.name", description = "The request"),
    printcolumn(name = "Approver", type_ = "string", json_path = ".spec.approver", description = "Who gives it, as the API server knows them"),
    printcolumn(name = "Used", type_ = "string", json_path = ".status.usedAt", description = "When it was used"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Time since it was given")
)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalSpec {
    /// The object that is approved, in the Approval's namespace.
    pub request: RequestReference,
    /// SHA-256 of the request as it is approved, in hex: of its kind, namespace, name, uid and spec, as
    /// canonical JSON. The request's own status.digest has it.
    #[schemars(regex(pattern = r"^[0-9a-f]{64}$"))]
    pub digest: String,
    /// Who gives it: the user name by which the API server knows the sender. Another one is refused.
    #[schemars(length(min = 1, max = 253))]
    pub approver: String,
    /// Why, for those who read it later.
    #[schemars(length(min = 1, max = 512))]
    pub reason: String,
    /// How long it holds from when the API server took it, in seconds.
    #[serde(default = "valid_seconds")]
    #[schemars(range(min = 60, max = 3600))]
    pub valid_seconds: u32,
}

fn valid_seconds() -> u32 {
    900
}

/// Which object is approved.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestReference {
    /// The kind of the object.
    pub kind: RequestKind,
    /// The name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its uid: another object of the same name is another request.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
}

/// The kinds that can be approved.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
pub enum RequestKind {
    /// A forced move after a site is lost.
    Takeover,
}

impl RequestKind {
    /// The word in the object.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Takeover => "Takeover",
        }
    }
}

/// What became of an approval.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct ApprovalStatus {
    /// The uid of the request that used it. Used once, it counts for nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_by: Option<String>,
    /// When it was used, by the operator's clock (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_at: Option<String>,
}

/// SHA-256 of a request, in hex. Over canonical JSON (keys in order, no spaces), so that whoever
/// computes it comes to the same.
#[must_use]
pub fn request_digest(
    kind: RequestKind,
    namespace: &str,
    name: &str,
    uid: &str,
    spec: &impl Serialize,
) -> String {
    let request = json!({
        "kind": kind.as_str(), "namespace": namespace, "name": name, "uid": uid,
        // Our specs always have a form in JSON.
        "spec": serde_json::to_value(spec).unwrap_or_default(),
    });
    let mut text = String::new();
    write_canonical(&request, &mut text);
    let mut digest = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        // Writing to a String cannot fail.
        let _ = write!(digest, "{byte:02x}");
    }
    digest
}

/// Keys in the order of their bytes, whatever order the map keeps.
fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| key.as_str());
            text.push('{');
            for (position, (key, value)) in fields.into_iter().enumerate() {
                let comma = if position == 0 { "" } else { "," };
                let _ = write!(text, "{comma}{}:", Value::from(key.as_str()));
                write_canonical(value, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (position, item) in items.iter().enumerate() {
                text.push_str(if position == 0 { "" } else { "," });
                write_canonical(item, text);
            }
            text.push(']');
        }
        plain => {
            let _ = write!(text, "{plain}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, uid: &str, spec: &Value) -> String {
        request_digest(RequestKind::Takeover, "trading", name, uid, spec)
    }

    #[test]
    fn a_digest_is_over_every_part_of_the_request() {
        let spec = json!({"core": "core", "lost": ["a1", "a2"]});
        let digest = of("b1-takes-over", "1", &spec);
        assert_eq!(digest.len(), 64);
        assert_eq!(digest, of("b1-takes-over", "1", &spec));
        assert_ne!(digest, of("b1-takes-over", "2", &spec), "another object");
        assert_ne!(digest, of("other", "1", &spec));
        let changed = json!({"core": "core", "lost": ["a1"]});
        assert_ne!(digest, of("b1-takes-over", "1", &changed));
    }

    #[test]
    fn canonical_json_has_its_keys_in_order_and_no_spaces() {
        let mut text = String::new();
        let value: Value =
            serde_json::from_str(r#"{"b": [1, {"z": "\"", "a": null}], "a": true}"#).unwrap();
        write_canonical(&value, &mut text);
        assert_eq!(text, r#"{"a":true,"b":[1,{"a":null,"z":"\""}]}"#);
    }
}

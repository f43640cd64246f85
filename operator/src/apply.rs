//! Applies objects server-side under one field manager.
//!
//! An object that was applied a moment ago in the same form is not sent again: what somebody else
//! changed in between is put right when its time is over, at the latest.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};

use crate::build::{Kind, Object, digest};
use crate::names::FIELD_MANAGER;

/// After this time an object is applied again even if it is the same.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// Objects that are remembered: a few hundred cores.
const REMEMBERED_MAX: usize = 8_192;

/// An object that could not be applied.
#[derive(Debug, thiserror::Error)]
#[error("failed to apply {} {name}: {source}", kind.parts().2)]
pub struct ApplyError {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// What the API server said.
    pub source: kube::Error,
}

#[derive(Debug)]
struct Remembered {
    digest: String,
    generation: i64,
    at: Instant,
}

/// What was applied, and when.
#[derive(Debug, Default)]
pub struct Memory(Mutex<BTreeMap<(Kind, String, String), Remembered>>);

/// One applied object as the API server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its kind.
    pub kind: Kind,
    /// Its generation, which moves with what is asked for; 0 for kinds without one.
    pub generation: i64,
}

impl Memory {
    fn entries(&self) -> std::sync::MutexGuard<'_, BTreeMap<(Kind, String, String), Remembered>> {
        // Whoever panicked left a map of whole entries.
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Forgets everything of a namespace, so that all of it is applied again.
    pub fn forget(&self, namespace: &str) {
        self.entries().retain(|key, _| key.1 != namespace);
    }
}

/// Applies the objects in their order. The first failure ends it, for later ones may need earlier
/// ones.
///
/// # Errors
/// The object that failed, with what the API server said.
pub async fn apply(
    client: &Client,
    memory: &Memory,
    namespace: &str,
    objects: &[Object],
) -> Result<Vec<Applied>, ApplyError> {
    let parameters = PatchParams::apply(FIELD_MANAGER)
        .force()
        .validation_strict();
    let mut applied = Vec::with_capacity(objects.len());
    for object in objects {
        let key = (object.kind, namespace.to_owned(), object.name.clone());
        let digest = digest(&object.value.to_string());
        let known = memory
            .entries()
            .get(&key)
            .filter(|known| known.digest == digest && known.at.elapsed() < AGAIN_AFTER)
            .map(|known| known.generation);
        let generation = match known {
            Some(generation) => generation,
            None => {
                let api: Api<DynamicObject> =
                    Api::namespaced_with(client.clone(), namespace, &object.kind.api_resource());
                let stored = api
                    .patch(&object.name, &parameters, &Patch::Apply(&object.value))
                    .await
                    .map_err(|source| ApplyError {
                        kind: object.kind,
                        name: object.name.clone(),
                        source,
                    })?;
                let generation = stored.metadata.generation.unwrap_or_default();
                let mut entries = memory.entries();
                if entries.len() >= REMEMBERED_MAX {
                    entries.clear();
                }
                entries.insert(
                    key,
                    Remembered {
                        digest,
                        generation,
                        at: Instant::now(),
                    },
                );
                generation
            }
        };
        applied.push(Applied {
            kind: object.kind,
            generation,
        });
    }
    Ok(applied)
}

//! Operations that move or change a core, on the wire.

use crate::admin;
use crate::bad_field::{BadField, from_one};
use types::{
    CenterName, Operation, OperationKind, OperationOutcome, OperationRecord, OperationStep,
    PreferredLeader, ReplicaId, UnixMicros,
};

/// Code of a record about an operation that had no effect.
pub const OPERATION_REFUSED: u32 = 910;

/// A record about an operation as it goes over the wire.
pub(crate) fn request(record: &OperationRecord) -> admin::control_request::Body {
    use admin::control_request::Body;
    match record.clone() {
        OperationRecord::Begin {
            name,
            kind,
            digest,
            holder,
            ttl_ms,
        } => Body::BeginOperation(admin::BeginOperation {
            name,
            kind: write_kind(kind),
            digest: digest.to_vec(),
            holder,
            ttl_ms,
        }),
        OperationRecord::Step {
            name,
            holder,
            ttl_ms,
            step,
            detail,
        } => Body::RecordStep(admin::RecordStep {
            name,
            holder,
            ttl_ms,
            step,
            detail,
        }),
        OperationRecord::End {
            name,
            holder,
            outcome,
            detail,
            preferred,
        } => Body::EndOperation(admin::EndOperation {
            name,
            holder,
            outcome: write_outcome(Some(outcome)),
            detail,
            preferred: preferred.as_ref().map(write_preferred),
        }),
    }
}

/// Reads the beginning of an operation.
pub(crate) fn read_begin(begin: &admin::BeginOperation) -> Result<OperationRecord, BadField> {
    Ok(OperationRecord::Begin {
        name: begin.name.clone(),
        kind: read_kind("begin_operation.kind", begin.kind)?,
        digest: read_digest("begin_operation.digest", &begin.digest)?,
        holder: begin.holder.clone(),
        ttl_ms: begin.ttl_ms,
    })
}

/// Reads a step.
pub(crate) fn read_step(step: &admin::RecordStep) -> OperationRecord {
    OperationRecord::Step {
        name: step.name.clone(),
        holder: step.holder.clone(),
        ttl_ms: step.ttl_ms,
        step: step.step.clone(),
        detail: step.detail.clone(),
    }
}

/// Reads the end of an operation.
pub(crate) fn read_end(end: &admin::EndOperation) -> Result<OperationRecord, BadField> {
    let field = "end_operation.outcome";
    let outcome = read_outcome(field, end.outcome)?;
    Ok(OperationRecord::End {
        name: end.name.clone(),
        holder: end.holder.clone(),
        outcome: outcome
            .ok_or_else(|| BadField::missing(field, "use SUCCEEDED, FAILED or ABANDONED"))?,
        detail: end.detail.clone(),
        preferred: end.preferred.as_ref().map(read_preferred).transpose()?,
    })
}

/// An operation as it goes over the wire.
#[must_use]
pub fn operation(operation: &Operation) -> admin::Operation {
    let steps = operation.steps.iter().map(|step| admin::OperationStep {
        name: step.name.clone(),
        at_us: step.at.0,
        detail: step.detail.clone(),
    });
    admin::Operation {
        name: operation.name.clone(),
        kind: write_kind(operation.kind),
        digest: operation.digest.to_vec(),
        holder: operation.holder.clone(),
        until_us: operation.until.0,
        began_at_us: operation.began_at.0,
        steps: steps.collect(),
        outcome: write_outcome(operation.outcome),
        ended_at_us: operation.ended_at.0,
    }
}

/// Reads an operation.
///
/// # Errors
/// [`BadField`] with what is accepted: the replica is of another version.
pub fn read_operation(operation: &admin::Operation) -> Result<Operation, BadField> {
    let steps = operation.steps.iter().map(|step| OperationStep {
        name: step.name.clone(),
        at: UnixMicros(step.at_us),
        detail: step.detail.clone(),
    });
    Ok(Operation {
        name: operation.name.clone(),
        kind: read_kind("operation.kind", operation.kind)?,
        digest: read_digest("operation.digest", &operation.digest)?,
        holder: operation.holder.clone(),
        until: UnixMicros(operation.until_us),
        began_at: UnixMicros(operation.began_at_us),
        steps: steps.collect(),
        outcome: read_outcome("operation.outcome", operation.outcome)?,
        ended_at: UnixMicros(operation.ended_at_us),
    })
}

/// Where leadership belongs, as it goes over the wire.
#[must_use]
pub fn write_preferred(preferred: &PreferredLeader) -> admin::PreferredLeader {
    admin::PreferredLeader {
        replica: preferred.replica.0,
        declared: preferred.declared.to_string(),
    }
}

/// Reads where leadership belongs.
///
/// # Errors
/// [`BadField`] with what is accepted.
pub fn read_preferred(preferred: &admin::PreferredLeader) -> Result<PreferredLeader, BadField> {
    let declared = CenterName::new(&preferred.declared)
        .map_err(|error| BadField::new("preferred.declared", error.to_string()))?;
    Ok(PreferredLeader {
        replica: ReplicaId(from_one("preferred.replica", preferred.replica)?),
        declared,
    })
}

fn write_kind(kind: OperationKind) -> i32 {
    match kind {
        OperationKind::Switchover => admin::OperationKind::Switchover.into(),
    }
}

fn read_kind(field: &'static str, kind: i32) -> Result<OperationKind, BadField> {
    match admin::OperationKind::try_from(kind) {
        Ok(admin::OperationKind::Switchover) => Ok(OperationKind::Switchover),
        _ => Err(BadField::new(
            field,
            format!("{kind} is not accepted: use SWITCHOVER"),
        )),
    }
}

fn write_outcome(outcome: Option<OperationOutcome>) -> i32 {
    match outcome {
        None => admin::OperationOutcome::Running,
        Some(OperationOutcome::Succeeded) => admin::OperationOutcome::Succeeded,
        Some(OperationOutcome::Failed) => admin::OperationOutcome::Failed,
        Some(OperationOutcome::Abandoned) => admin::OperationOutcome::Abandoned,
    }
    .into()
}

fn read_outcome(field: &'static str, outcome: i32) -> Result<Option<OperationOutcome>, BadField> {
    Ok(match admin::OperationOutcome::try_from(outcome) {
        Ok(admin::OperationOutcome::Running) => None,
        Ok(admin::OperationOutcome::Succeeded) => Some(OperationOutcome::Succeeded),
        Ok(admin::OperationOutcome::Failed) => Some(OperationOutcome::Failed),
        Ok(admin::OperationOutcome::Abandoned) => Some(OperationOutcome::Abandoned),
        Err(_) => {
            let text = format!("{outcome} is not accepted: use 0 to 3");
            return Err(BadField::new(field, text));
        }
    })
}

fn read_digest(field: &'static str, digest: &[u8]) -> Result<[u8; 32], BadField> {
    digest.try_into().map_err(|_| {
        let text = format!(
            "{} bytes are not accepted: use the 32 of a SHA-256",
            digest.len()
        );
        BadField::new(field, text)
    })
}

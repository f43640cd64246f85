//! Tells people what happened, as Events of the object.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder};

use crate::status::Notice;

/// What the API server accepts as an event's note.
const NOTE_BYTES_MAX: usize = 1_024;

/// Publishes notices. An event is a courtesy: that one could not be told changes nothing.
pub async fn announce(
    recorder: &Recorder,
    reference: &ObjectReference,
    notices: impl IntoIterator<Item = Notice>,
) {
    for notice in notices {
        let event = Event {
            type_: if notice.is_warning {
                EventType::Warning
            } else {
                EventType::Normal
            },
            reason: notice.reason.to_owned(),
            note: Some(cut(&notice.text, NOTE_BYTES_MAX).to_owned()),
            action: notice.action,
            secondary: None,
        };
        if let Err(error) = recorder.publish(&event, reference).await {
            tracing::warn!(%error, reason = notice.reason, "failed to publish an event");
        }
    }
}

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

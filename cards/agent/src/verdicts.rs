//! Tells the decoder on this node, by a file for each card, whether it may be used.

use std::io;
use std::path::Path;

use card_health::Verdict;
use tokio::sync::watch;

use crate::watch::Cards;

/// Writes the file of each card whenever it was read, until the cards are watched no more. Each file
/// is replaced whole.
pub async fn tell(folder: &Path, mut cards: watch::Receiver<Cards>) {
    while cards.changed().await.is_ok() {
        let now = cards.borrow_and_update().clone();
        for (address, snapshot) in now {
            let verdict = Verdict::new(address, snapshot.judgement.as_ref(), snapshot.beat);
            if let Err(error) = write(folder, &verdict) {
                tracing::error!(card = %verdict.address, %error, "failed to write the verdict");
            }
        }
    }
}

fn write(folder: &Path, verdict: &Verdict) -> io::Result<()> {
    let name = verdict.address.dashed();
    let new = folder.join(format!(".{name}.new"));
    std::fs::write(&new, serde_json::to_vec(verdict)?)?;
    std::fs::rename(new, folder.join(format!("{name}.json")))
}

//! How the lab speaks with a center's first process: one line of JSON there, one back, over a Unix
//! socket on the center's disk.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use super::components::Component;
use super::supervisor::ComponentStatus;

/// The socket's path below the center's disk.
pub const SOCKET: &str = "control.sock";
/// More than any line of ours.
const LINE_BYTES_MAX: u64 = 64 * 1024;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What the lab may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ask", content = "component")]
pub enum Request {
    /// How are all?
    Status,
    /// Run this component.
    Start(Component),
    /// Kill this component and leave it dead.
    Stop(Component),
}

/// How a center answers, to every request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// All components after the request was taken in.
    pub components: Vec<ComponentStatus>,
}

/// Why a center did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens: the center is off or only just starting.
    #[error("failed to reach the center at {path}: {source}; is it powered on?")]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It took too long.
    #[error("failed to hear from the center at {path} within {} s", ANSWER_TIMEOUT.as_secs())]
    Silent {
        /// The socket.
        path: PathBuf,
    },
    /// It said something else.
    #[error("failed to read the answer of the center at {path}: {source}")]
    Unreadable {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// An answer and who gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The center's first process, as the host numbers it.
    pub pid: Option<i32>,
    /// What it said.
    pub answer: Answer,
}

/// Asks the center whose socket this is.
pub async fn ask(socket: &Path, request: &Request) -> Result<Reply, Error> {
    let path = || socket.to_owned();
    tokio::time::timeout(ANSWER_TIMEOUT, exchange(socket, request))
        .await
        .map_err(|_| Error::Silent { path: path() })?
}

async fn exchange(socket: &Path, request: &Request) -> Result<Reply, Error> {
    let unreachable = |source| Error::Unreachable {
        path: socket.to_owned(),
        source,
    };
    let unreadable = |source| Error::Unreadable {
        path: socket.to_owned(),
        source,
    };
    let mut stream = UnixStream::connect(socket).await.map_err(unreachable)?;
    let pid = stream.peer_cred().map_err(unreachable)?.pid();
    let mut line = serde_json::to_string(request).map_err(unreadable)?;
    line.push('\n');
    stream
        .write_all(line.as_bytes())
        .await
        .map_err(unreachable)?;
    let answer = read_line(&mut stream).await.map_err(unreachable)?;
    let answer = serde_json::from_str(&answer).map_err(unreadable)?;
    Ok(Reply { pid, answer })
}

/// Reads one line of bounded length.
pub async fn read_line(stream: &mut UnixStream) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES_MAX))
        .read_line(&mut line)
        .await?;
    Ok(line)
}

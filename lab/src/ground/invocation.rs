//! A call of a system program as a value, and the one place that performs it.

use std::fmt;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Hardly a call of ours takes more than a second; this only bounds a machine in trouble.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// One call: no shell, arguments as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    program: String,
    arguments: Vec<String>,
    input: String,
    time_limit: Duration,
}

impl Invocation {
    /// A call with these arguments.
    pub fn new<S: Into<String>>(
        program: impl Into<String>,
        arguments: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            input: String::new(),
            time_limit: TIME_LIMIT,
        }
    }

    /// Gives the call more time than the usual 30 s.
    #[must_use]
    pub fn within(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// Feeds this to the program's standard input.
    #[must_use]
    pub fn with_input(self, input: impl Into<String>) -> Self {
        Self {
            input: input.into(),
            ..self
        }
    }

    /// Performs the call and returns what it printed.
    pub async fn perform(&self) -> Result<String, Error> {
        let failed = |source| Error::Start {
            call: self.to_string(),
            source,
        };
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that ends before it read all says why in its exit status.
            let _ = stdin.write_all(self.input.as_bytes()).await;
        }
        let output = tokio::time::timeout(self.time_limit, child.wait_with_output())
            .await
            .map_err(|_| Error::TimeLimit {
                call: self.to_string(),
                seconds: self.time_limit.as_secs(),
            })?
            .map_err(failed)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Error::Status {
            call: self.to_string(),
            status: output.status.to_string(),
            message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }
}

impl fmt::Display for Invocation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.program, self.arguments.join(" "))
    }
}

/// A call that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program is missing or cannot be run.
    #[error("failed to run `{call}`: {source}; is the program installed?")]
    Start {
        /// What was called.
        call: String,
        /// Why it did not start.
        source: std::io::Error,
    },
    /// It said no.
    #[error("failed to run `{call}` ({status}): {message}")]
    Status {
        /// What was called.
        call: String,
        /// How it ended.
        status: String,
        /// What it wrote to its error output.
        message: String,
    },
    /// It did not end.
    #[error("failed to run `{call}`: it did not end within {seconds} s")]
    TimeLimit {
        /// What was called.
        call: String,
        /// How long it had.
        seconds: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failing_call_says_what_it_printed() {
        let call = Invocation::new("sh", ["-c", "echo nothing here >&2; exit 3"]);
        let error = call.perform().await.unwrap_err().to_string();
        assert!(
            error.contains("nothing here") && error.contains("exit status: 3"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn input_reaches_the_program() {
        let printed = Invocation::new("cat", ["-"])
            .with_input("to and fro")
            .perform()
            .await;
        assert_eq!(printed.unwrap(), "to and fro");
    }
}

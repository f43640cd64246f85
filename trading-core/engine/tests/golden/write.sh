#!/usr/bin/env bash
# Writes the golden log, snapshot and hash anew. Only for a new log or snapshot format: otherwise a
# changed hash means that old logs would be decided otherwise than they were.
set -euo pipefail
cd "$(dirname "$0")"
# Only the test that writes: the other would read the log at the same time.
WRITE_GOLDEN=1 cargo test --package engine --test golden an_old_log

#!/usr/bin/env bash
# Writes the golden log, snapshot and hash of one folder anew. Only for what no released version has
# written yet: otherwise a changed hash means that old logs would be decided otherwise than they were.
set -euo pipefail
cd "$(dirname "$0")"
WRITE_GOLDEN="${1:?give the folder: plain, checked or whole}" cargo test --package engine --test golden

#!/usr/bin/env bash
# Every test. Those of training compute on one core beside those that start no servers; those with real peers
# wait for minutes and have both cores to themselves. Arguments: the virtual environment, and that of training.
set -euo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
OMP_NUM_THREADS=1 "$2/bin/python" -m pytest tests/training > "$log" 2>&1 &
training=$!
failed=0
"$1/bin/pytest" --ignore=tests/training -m "not system" || failed=1
wait "$training" || failed=1
cat "$log"
"$1/bin/pytest" --ignore=tests/training -m system || failed=1
exit "$failed"

#!/usr/bin/env bash
# Every test, on two cores: those with real peers wait much, and run beside all others.
# Arguments: the virtual environment, and that of training.
set -euo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$1/bin/pytest" --ignore=tests/training -m system > "$log" 2>&1 &
peers=$!
failed=0
OMP_NUM_THREADS=1 "$2/bin/python" -m pytest tests/training || failed=1
"$1/bin/pytest" --ignore=tests/training -m "not system" || failed=1
wait "$peers" || failed=1
cat "$log"
exit "$failed"

#!/usr/bin/env bash
# Pin every requirement with hashes and without any address: one file a role.
# Needs uv (pip install uv). Run after changing pyproject.toml.
set -euo pipefail
cd "$(dirname "$0")/.."
lock() { # name, extras...
  local name=$1; shift
  local args=()
  for extra in "$@"; do args+=(--extra "$extra"); done
  uv pip compile pyproject.toml "${args[@]}" --universal --python-version 3.11 --generate-hashes --no-header \
    --no-annotate --quiet -o "requirements/$name.lock"
}
lock service service
lock worker-cpu worker-cpu
lock worker-gpu worker-gpu
lock dev service worker-cpu phantom evaluation dev

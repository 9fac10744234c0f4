#!/usr/bin/env bash
# Make the training environment: torch and onnx on top of the pinned packages of .venv, which stays free of both.
set -euo pipefail
cd "$(dirname "$0")/.."
base=${1:-.venv}
venv=${2:-.venv-training}

[ -x "$base/bin/python" ] || { echo "no environment in $base, expected one made by scripts/setup.sh" >&2; exit 1; }
[ -x "$venv/bin/python" ] || "$base/bin/python" -m venv "$venv"
site='import sysconfig; print(sysconfig.get_path("purelib"))'
# addsitedir, not the bare path: metserve itself is installed there by a .pth file.
echo "import site; site.addsitedir('$("$base/bin/python" -c "$site")')" \
  >"$("$venv/bin/python" -c "$site")/base-environment.pth"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements/training.txt

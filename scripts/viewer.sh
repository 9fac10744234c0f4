#!/usr/bin/env bash
# The OHIF viewer as its makers publish it, into .tools/ohif. The system tests load results into it.
set -euo pipefail
cd "$(dirname "$0")/.."
version=3.13.2
digest=sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA==
target=.tools/ohif
[ "$(cat "$target/VERSION" 2>/dev/null)" = "$version" ] && exit 0

command -v npm >/dev/null || { echo "scripts/viewer.sh needs npm to fetch @ohif/app $version" >&2; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm pack --silent --pack-destination "$folder" "@ohif/app@$version" >/dev/null
archive="$folder/ohif-app-$version.tgz"
found=sha512-$(openssl dgst -sha512 -binary "$archive" | base64 -w0)
[ "$found" = "$digest" ] || { echo "@ohif/app $version has digest $found, expected $digest" >&2; exit 1; }
rm -rf "$target"
mkdir -p "$target"
tar -xzf "$archive" -C "$target" --strip-components=1
# Pathology and speech are not needed, and are the half of it.
rm -rf "$target/dist/ort"
echo "$version" > "$target/VERSION"

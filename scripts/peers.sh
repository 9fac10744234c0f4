#!/usr/bin/env bash
# Debian packages the tests use as real peers and judges. Nothing is started here: the tests do that.
set -euo pipefail
declare -A package_of=(
  [Orthanc]=orthanc [storescu]=dcmtk [dciodvfy]=dicom3tools [redis-server]=redis-server [docker-compose]=docker-compose
  [plastimatch]=plastimatch [java]=default-jre-headless [chromium]=chromium [npm]=npm
)
missing=()
for program in "${!package_of[@]}"; do
  command -v "$program" >/dev/null || missing+=("${package_of[$program]}")
done
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
compgen -G '/usr/share/orthanc/plugins/*DicomWeb*' >/dev/null || missing+=(orthanc-dicomweb)
[ -e /usr/share/java/pixelmed.jar ] || missing+=(libpixelmed-java)
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"
else
  echo "the system tests need these Debian packages: ${missing[*]}" >&2
  echo "install them (apt-get install ${missing[*]}), or run the other tests alone: .venv/bin/pytest -m 'not system'" >&2
  exit 1
fi

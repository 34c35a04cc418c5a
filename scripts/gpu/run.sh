#!/bin/sh
# Runs a command in the unpacked project, with the packed Node.js first on the path:
#   .gpu/run.sh node build/bench/gpu/main.js --out DIR
# Unpacks once for each archive; a second call on the same machine starts at once.
set -eu

hash=@HASH@
packed=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
place=${TMPDIR:-/tmp}/auxstream-gpu-$hash

if [ $# -eq 0 ]; then
  echo "Name the command to run: .gpu/run.sh node build/bench/gpu/smoke.js" >&2
  exit 2
fi
if [ "$(uname -s) $(uname -m)" != "Linux x86_64" ]; then
  echo "This was packed for Linux on x86_64, not for $(uname -s) on $(uname -m)." >&2
  exit 1
fi

if [ ! -d "$place" ]; then
  # Unpacked elsewhere and then moved, so that the folder is always complete.
  part=$(mktemp -d "$place.XXXXXX")
  for archive in "$packed"/*.tar.xz; do
    xz -dc "$archive" | tar -C "$part" -xf -
  done
  mv -T "$part" "$place" 2>/dev/null || rm -rf "$part"
fi

PATH=$place/bin:$PATH
export PATH
cd "$place"
exec "$@"

#!/bin/sh
# Adds its part of an archive to the others. Once all parts are there, unpacks the archive and prints its folder:
#   AUXSTREAM_TEST_LLAMA=$(.gpu-beside/part-1/join.sh)
set -eu

count=@COUNT@
own=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
place=${TMPDIR:-/tmp}/auxstream-beside-@HASH@

if [ ! -d "$place/unpacked" ]; then
  mkdir -p "$place"
  cp "$own"/piece-* "$place"
  there=$(find "$place" -name 'piece-*' | wc -l)
  if [ "$there" -lt "$count" ]; then
    echo "$there of $count parts are there." >&2
    exit
  fi
  # Unpacked elsewhere and then moved, so that the folder is always complete.
  rm -rf "$place/part"
  mkdir "$place/part"
  cat "$place"/piece-* | xz -dc | tar -C "$place/part" -xf -
  mv "$place/part" "$place/unpacked"
  rm "$place"/piece-*
fi
echo "$place/unpacked"

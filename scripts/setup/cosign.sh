#!/bin/sh
# Prints the path of cosign: the one on PATH, or one built from its Go module into the user's cache.
set -eu
version=v3.1.3

if command -v cosign; then exit 0; fi

directory="${XDG_CACHE_HOME:-$HOME/.cache}/offsite-tuning/cosign-$version"
if [ ! -x "$directory/cosign" ]; then
  if ! command -v go >/dev/null; then
    echo "cosign is not on PATH and there is no Go to build it: install either" >&2
    exit 1
  fi
  mkdir -p "$directory"
  # Built beside and renamed: a build that was cut off leaves nothing that looks done.
  GOBIN="$directory/build.$$" GOFLAGS=-trimpath CGO_ENABLED=0 \
    nice -n 10 go install -ldflags '-s -w' "github.com/sigstore/cosign/v3/cmd/cosign@$version" >&2
  mv "$directory/build.$$/cosign" "$directory/cosign"
  rmdir "$directory/build.$$"
fi
echo "$directory/cosign"

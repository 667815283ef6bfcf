#!/bin/sh
# Prints the path of a nats-server: the one on PATH, or one built from its Go module into the user's cache.
set -eu
version=v2.14.5

if command -v nats-server; then exit 0; fi

directory="${XDG_CACHE_HOME:-$HOME/.cache}/offsite-tuning/nats-server-$version"
if [ ! -x "$directory/nats-server" ]; then
  if ! command -v go >/dev/null; then
    echo "nats-server is not on PATH and there is no Go to build it: install either" >&2
    exit 1
  fi
  mkdir -p "$directory"
  # Built beside and renamed: a build that was cut off leaves nothing that looks done.
  GOBIN="$directory/build.$$" GOFLAGS=-trimpath go install "github.com/nats-io/nats-server/v2@$version" >&2
  mv "$directory/build.$$/nats-server" "$directory/nats-server"
  rmdir "$directory/build.$$"
fi
echo "$directory/nats-server"

#!/bin/sh
# Prints the path of versitygw, the S3 server of the tests: the one on PATH, or one built from its Go module into the user's cache.
set -eu
version=v1.8.0

if command -v versitygw; then exit 0; fi

directory="${XDG_CACHE_HOME:-$HOME/.cache}/offsite-tuning/versitygw-$version"
if [ ! -x "$directory/versitygw" ]; then
  if ! command -v go >/dev/null; then
    echo "versitygw is not on PATH and there is no Go to build it: install either" >&2
    exit 1
  fi
  mkdir -p "$directory"
  # Built beside and renamed: a build that was cut off leaves nothing that looks done.
  GOBIN="$directory/build.$$" GOFLAGS=-trimpath go install "github.com/versity/versitygw/cmd/versitygw@$version" >&2
  mv "$directory/build.$$/versitygw" "$directory/versitygw"
  rmdir "$directory/build.$$"
fi
echo "$directory/versitygw"

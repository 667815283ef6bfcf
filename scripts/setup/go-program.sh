#!/bin/sh
# Prints the path of a Go program: the one on PATH, or one built from its Go module into the user's cache.
# go-program.sh NAME VERSION PACKAGE [LINKER FLAGS]
set -eu
name=$1 version=$2 package=$3 flags=${4:--s -w}

if command -v "$name"; then exit 0; fi

directory="${XDG_CACHE_HOME:-$HOME/.cache}/offsite-tuning/$name-$version"
if [ ! -x "$directory/$name" ]; then
  if ! command -v go >/dev/null; then
    echo "$name is not on PATH and there is no Go to build it: install either" >&2
    exit 1
  fi
  mkdir -p "$directory"
  # By one process: others would take the machine from it.
  exec 9>"$directory/lock"
  if command -v flock >/dev/null; then flock 9; fi
fi
if [ ! -x "$directory/$name" ]; then
  # Built beside and renamed: a build that was cut off leaves nothing that looks done.
  GOBIN="$directory/build.$$" GOFLAGS=-trimpath CGO_ENABLED=0 \
    nice -n 10 go install -ldflags "$flags" "$package@$version" >&2
  mv "$directory/build.$$/$name" "$directory/$name"
  rmdir "$directory/build.$$"
fi
echo "$directory/$name"

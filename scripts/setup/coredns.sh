#!/bin/sh
# Prints the path of CoreDNS with the plugins of test/support/cluster/coredns, built from Go modules into the user's cache.
set -eu
cd "$(dirname "$0")/../../test/support/cluster/coredns"
version=$(sed -nE 's,^require github.com/coredns/coredns (v[0-9.]+).*$,\1,p' go.mod)

directory="${XDG_CACHE_HOME:-$HOME/.cache}/offsite-tuning/coredns-$version"
if [ ! -x "$directory/coredns" ]; then
  if ! command -v go >/dev/null; then
    echo "there is no Go to build CoreDNS: install Go 1.26 or newer" >&2
    exit 1
  fi
  echo "setup: CoreDNS $version from Go modules" >&2
  mkdir -p "$directory"
  # Built beside and renamed: a build that was cut off leaves nothing that looks done.
  CGO_ENABLED=0 nice -n 10 go build -trimpath -o "$directory/coredns.$$" \
    -ldflags "-s -w -X github.com/coredns/coredns/coremain.GitCommit=module" . >&2
  mv "$directory/coredns.$$" "$directory/coredns"
fi
echo "$directory/coredns"

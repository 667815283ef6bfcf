#!/bin/sh
# Makes sure that Node 20 or newer and npm are there: those of the machine, else Debian's where it is new enough.
set -eu

major() { node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0; }
fail() {
  echo "setup: Node 20 or newer and npm are needed ($1): get them from nodejs.org or your package manager" >&2
  exit 1
}

if [ "$(major)" -ge 20 ] && command -v npm >/dev/null; then exit 0; fi

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  fail "found: $(node --version 2>/dev/null || echo none)"
fi
apt-get update -qq
offered=$(apt-cache policy nodejs | sed -n 's/^ *Candidate: \([0-9][0-9]*\).*/\1/p')
[ "${offered:-0}" -ge 20 ] || fail "apt offers ${offered:-none}"
echo "setup: Node ${offered} from apt"
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq nodejs npm >/dev/null
[ "$(major)" -ge 20 ] || fail "found: $(node --version 2>/dev/null || echo none)"

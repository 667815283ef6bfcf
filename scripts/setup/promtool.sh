#!/bin/sh
# Prints the path of promtool, Prometheus's own rule tester: the one on PATH, or out of Debian's package prometheus, unpacked
# into the user's cache (installing it would start a service).
set -eu

if command -v promtool; then exit 0; fi

directory="${XDG_CACHE_HOME:-$HOME/.cache}/offsite-tuning/promtool"
if [ ! -x "$directory/usr/bin/promtool" ]; then
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "promtool is not on PATH, and there is no apt to get it: install Prometheus" >&2
    exit 1
  fi
  work="$directory.$$"
  mkdir -p "$work/packages"
  trap 'rm -rf "$work"' EXIT
  # The lists may never have been fetched; only root can fetch them.
  if [ "$(id -u)" -eq 0 ] && ! apt-cache show prometheus >/dev/null 2>&1; then apt-get update -qq >&2; fi
  (cd "$work/packages" && apt-get download -qq -o APT::Sandbox::User=root prometheus >&2)
  dpkg-deb --fsys-tarfile "$work"/packages/prometheus_*.deb | tar x -C "$work" ./usr/bin/promtool
  rm -rf "$work/packages" "$directory"
  mv "$work" "$directory"
fi
echo "$directory/usr/bin/promtool"

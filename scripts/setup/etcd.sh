#!/bin/sh
# Prints the path of etcd: the one in KUBEBUILDER_ASSETS, on PATH, or out of Debian's package etcd-server, unpacked into
# the user's cache (installing it would start a service).
set -eu

if [ -x "${KUBEBUILDER_ASSETS:-}/etcd" ]; then
  echo "$KUBEBUILDER_ASSETS/etcd"
  exit 0
fi
if command -v etcd; then exit 0; fi

directory="${XDG_CACHE_HOME:-$HOME/.cache}/offsite-tuning/etcd"
if [ ! -x "$directory/usr/bin/etcd" ]; then
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "etcd is not in KUBEBUILDER_ASSETS nor on PATH, and there is no apt to get it: install etcd, or setup-envtest's programs" >&2
    exit 1
  fi
  work="$directory.$$"
  mkdir -p "$work/packages"
  trap 'rm -rf "$work"' EXIT
  # The lists may never have been fetched; only root can fetch them.
  if [ "$(id -u)" -eq 0 ] && ! apt-cache show etcd-server >/dev/null 2>&1; then apt-get update -qq >&2; fi
  (cd "$work/packages" && apt-get download -qq -o APT::Sandbox::User=root etcd-server >&2 && dpkg-deb -x etcd-server_*.deb ..)
  rm -rf "$work/packages" "$directory"
  mv "$work" "$directory"
fi
echo "$directory/usr/bin/etcd"

#!/bin/sh
# debian-files.sh NAME PACKAGE FILE...: prints the directory that has FILEs (paths from the root) of a Debian package, unpacked into
# the user's cache under NAME; nothing is installed, and no service is started.
set -eu

name="$1"
package="$2"
shift 2

directory="${XDG_CACHE_HOME:-$HOME/.cache}/offsite-tuning/$name"
complete=yes
for file in "$@"; do [ -f "$directory$file" ] || complete=no; done
if [ "$complete" = no ]; then
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "$name is not there, and there is no apt to get it with ($package): install it" >&2
    exit 1
  fi
  work="$directory.$$"
  mkdir -p "$work/packages"
  trap 'rm -rf "$work"' EXIT
  # The lists may never have been fetched; only root can fetch them.
  if [ "$(id -u)" -eq 0 ] && ! apt-cache show "$package" >/dev/null 2>&1; then apt-get update -qq >&2; fi
  (cd "$work/packages" && apt-get download -qq -o APT::Sandbox::User=root "$package" >&2)
  for file in "$@"; do
    # With the file of its version, where it is a link to that.
    dpkg-deb --fsys-tarfile "$work/packages/${package}"_*.deb | tar x -C "$work" --wildcards ".$file*"
  done
  rm -rf "$work/packages" "$directory"
  mv "$work" "$directory"
fi
echo "$directory"

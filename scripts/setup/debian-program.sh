#!/bin/sh
# debian-program.sh PROGRAM PACKAGE: prints the path of PROGRAM: the one on PATH, or out of a Debian package, unpacked into the
# user's cache (installing it would start a service).
set -eu

program="$1"
package="$2"
if command -v "$program"; then exit 0; fi

directory="${XDG_CACHE_HOME:-$HOME/.cache}/offsite-tuning/$program"
if [ ! -x "$directory/usr/bin/$program" ]; then
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "$program is not on PATH, and there is no apt to get it: install it" >&2
    exit 1
  fi
  work="$directory.$$"
  mkdir -p "$work/packages"
  trap 'rm -rf "$work"' EXIT
  # The lists may never have been fetched; only root can fetch them.
  if [ "$(id -u)" -eq 0 ] && ! apt-cache show "$package" >/dev/null 2>&1; then apt-get update -qq >&2; fi
  (cd "$work/packages" && apt-get download -qq -o APT::Sandbox::User=root "$package" >&2)
  dpkg-deb --fsys-tarfile "$work/packages/${package}"_*.deb | tar x -C "$work" "./usr/bin/$program"
  rm -rf "$work/packages" "$directory"
  mv "$work" "$directory"
fi
echo "$directory/usr/bin/$program"

#!/bin/sh
# Prints the directory of SwiftShader, a Vulkan device in software, with its loader: out of Debian's chromium-common, unpacked
# into the user's cache. Nothing is installed.
set -eu

directory="${XDG_CACHE_HOME:-$HOME/.cache}/offsite-tuning/software-gpu"
files="vk_swiftshader_icd.json libvk_swiftshader.so libvulkan.so.1"
if [ ! -f "$directory/vk_swiftshader_icd.json" ]; then
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "there is no apt to get the software GPU (chromium-common) with" >&2
    exit 1
  fi
  work="$directory.$$"
  mkdir -p "$work/packages"
  trap 'rm -rf "$work"' EXIT
  # The lists may never have been fetched; only root can fetch them.
  if [ "$(id -u)" -eq 0 ] && ! apt-cache show chromium-common >/dev/null 2>&1; then apt-get update -qq >&2; fi
  (cd "$work/packages" && apt-get download -qq -o APT::Sandbox::User=root chromium-common >&2)
  # shellcheck disable=SC2086
  dpkg-deb --fsys-tarfile "$work"/packages/chromium-common_*.deb |
    tar x -C "$work" --strip-components=4 $(printf './usr/lib/chromium/%s ' $files)
  rm -rf "$work/packages" "$directory"
  mv "$work" "$directory"
fi
echo "$directory"

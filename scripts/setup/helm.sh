#!/bin/sh
# Prints the path of Helm 3: the one on PATH, or one built from its Go module into the user's cache.
set -eu
version=v3.22.0
# The Kubernetes that rendering without a cluster pretends to talk to: what this Helm's client-go is made for.
minor=37

if command -v helm; then exit 0; fi

directory="${XDG_CACHE_HOME:-$HOME/.cache}/offsite-tuning/helm-$version"
if [ ! -x "$directory/helm" ]; then
  if ! command -v go >/dev/null; then
    echo "helm is not on PATH and there is no Go to build it: install either" >&2
    exit 1
  fi
  mkdir -p "$directory"
  module=helm.sh/helm/v3
  flags="-s -w -X $module/internal/version.version=$version"
  for package in chartutil lint/rules; do
    flags="$flags -X $module/pkg/$package.k8sVersionMajor=1 -X $module/pkg/$package.k8sVersionMinor=$minor"
  done
  # Built beside and renamed: a build that was cut off leaves nothing that looks done.
  GOBIN="$directory/build.$$" GOFLAGS=-trimpath CGO_ENABLED=0 \
    nice -n 10 go install -ldflags "$flags" "$module/cmd/helm@$version" >&2
  mv "$directory/build.$$/helm" "$directory/helm"
  rmdir "$directory/build.$$"
fi
echo "$directory/helm"

#!/bin/sh
# Prints the path of Helm 3.
set -eu
version=v3.22.0
# The Kubernetes that rendering without a cluster pretends to talk to: what this Helm's client-go is made for.
minor=37

module=helm.sh/helm/v3
flags="-s -w -X $module/internal/version.version=$version"
for package in chartutil lint/rules; do
  flags="$flags -X $module/pkg/$package.k8sVersionMajor=1 -X $module/pkg/$package.k8sVersionMinor=$minor"
done
exec sh "$(dirname "$0")/go-program.sh" helm $version $module/cmd/helm "$flags"

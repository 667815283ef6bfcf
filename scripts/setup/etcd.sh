#!/bin/sh
# Prints the path of etcd: the one in KUBEBUILDER_ASSETS (setup-envtest's programs), or any other.
set -eu

if [ -x "${KUBEBUILDER_ASSETS:-}/etcd" ]; then
  echo "$KUBEBUILDER_ASSETS/etcd"
  exit 0
fi
exec sh "$(dirname "$0")/debian-program.sh" etcd etcd-server

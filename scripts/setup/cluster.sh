#!/bin/sh
# Makes sure that everything that the tests run beside Node is there, so that no test waits for a build; on a machine that
# has none of it that takes about ten minutes on two processors.
set -eu
cd "$(dirname "$0")"

{
  ./etcd.sh
  ./kubernetes.sh kube-apiserver kube-controller-manager kube-scheduler kubectl
  ./helm.sh
  ./nats-server.sh
  ./promtool.sh
  ./software-gpu.sh
  ./vulkan-loader.sh
  # A real node needs root on Linux; without it the tests that need one are skipped and say so.
  if [ "$(uname -s)" = Linux ] && [ "$(id -u)" -eq 0 ]; then
    ./node-packages.sh
    ./kubernetes.sh kubelet kube-proxy
    ./coredns.sh
  fi
} >/dev/null

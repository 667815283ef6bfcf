#!/bin/sh
# Makes sure that a Linux machine has what a real node needs beside Kubernetes: a container runtime, network plugins and
# the kernel's tools, from Debian's packages.
set -eu

plugins=/usr/lib/cni/ptp
is_complete() {
  for program in containerd ctr runc iptables conntrack nsenter unshare ip openssl; do
    command -v "$program" >/dev/null || return 1
  done
  [ -x "$plugins" ]
}

if is_complete; then exit 0; fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "a node needs root and containerd, ctr, runc, the CNI plugins in /usr/lib/cni, iptables, conntrack, iproute2, util-linux and openssl" >&2
  exit 1
fi
echo "setup: containerd and its kin from apt" >&2
apt-get update -qq >&2
# RUNLEVEL=1: no package starts its service; the cluster has daemons of its own.
RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends containerd runc \
  containernetworking-plugins iptables conntrack iproute2 util-linux openssl >/dev/null
is_complete || {
  echo "apt installed the packages, but not all programs are there" >&2
  exit 1
}

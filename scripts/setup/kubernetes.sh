#!/bin/sh
# Prints the path of each Kubernetes program that is asked for, one a line: the one in KUBEBUILDER_ASSETS (as
# setup-envtest lays them), else one built from Go modules into the user's cache. The versions stand in
# test/support/cluster/kubernetes/go.mod.  kubernetes.sh kube-apiserver kubectl ...
set -eu
cd "$(dirname "$0")/../../test/support/cluster/kubernetes"
version=$(sed -nE 's,^.*k8s.io/kubernetes (v[0-9.]+).*$,\1,p' go.mod)
directory="${XDG_CACHE_HOME:-$HOME/.cache}/offsite-tuning/kubernetes-$version"

build() {
  if ! command -v go >/dev/null; then
    echo "$1 is not in KUBEBUILDER_ASSETS and there is no Go to build it: install Go 1.26 or newer, or setup-envtest's programs" >&2
    exit 1
  fi
  echo "setup: $1 $version from Go modules (minutes when nothing is cached)" >&2
  component=k8s.io/component-base/version
  minor=${version#v*.}
  mkdir -p "$directory"
  # Built beside and renamed: a build that was cut off leaves nothing that looks done.
  CGO_ENABLED=0 nice -n 10 go build -trimpath -o "$directory/$1.$$" -ldflags "-s -w -X $component.gitVersion=$version \
    -X $component.gitMajor=1 -X $component.gitMinor=${minor%%.*} -X $component.gitTreeState=clean" \
    "k8s.io/kubernetes/cmd/$1" >&2
  mv "$directory/$1.$$" "$directory/$1"
}

for program in "$@"; do
  if [ -x "${KUBEBUILDER_ASSETS:-}/$program" ]; then
    echo "$KUBEBUILDER_ASSETS/$program"
    continue
  fi
  if [ ! -x "$directory/$program" ]; then
    mkdir -p "$directory"
    # One build at a time; whoever waited finds the program there.
    exec 9>"$directory/.lock"
    if command -v flock >/dev/null; then flock 9; fi
    if [ ! -x "$directory/$program" ]; then build "$program"; fi
    exec 9>&-
  fi
  echo "$directory/$program"
done

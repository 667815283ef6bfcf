#!/bin/sh
# Prints the path of cosign.
set -eu
version=v3.1.3
exec sh "$(dirname "$0")/go-program.sh" cosign $version github.com/sigstore/cosign/v3/cmd/cosign

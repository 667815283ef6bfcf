#!/bin/sh
# Prints the path of versitygw, the S3 server of the tests.
set -eu
version=v1.8.0
exec sh "$(dirname "$0")/go-program.sh" versitygw $version github.com/versity/versitygw/cmd/versitygw

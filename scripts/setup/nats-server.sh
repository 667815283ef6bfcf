#!/bin/sh
# Prints the path of a nats-server.
set -eu
version=v2.14.5
exec sh "$(dirname "$0")/go-program.sh" nats-server $version github.com/nats-io/nats-server/v2

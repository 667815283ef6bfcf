#!/bin/sh
# Prints the path of promtool, Prometheus's own rule tester.
set -eu
exec sh "$(dirname "$0")/debian-program.sh" promtool prometheus

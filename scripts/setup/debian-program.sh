#!/bin/sh
# debian-program.sh PROGRAM PACKAGE: prints the path of PROGRAM: the one on PATH, or out of a Debian package (installing it would
# start a service).
set -eu

program="$1"
package="$2"
if command -v "$program"; then exit 0; fi

directory="$(sh "$(dirname "$0")/debian-files.sh" "$program" "$package" "/usr/bin/$program")"
echo "$directory/usr/bin/$program"

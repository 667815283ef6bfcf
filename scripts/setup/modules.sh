#!/bin/sh
# Installs the npm packages of package-lock.json, unless exactly these are there.
set -eu
cd "$(dirname "$0")/../.."

if node scripts/setup/modules-current.mjs; then exit 0; fi

echo "setup: npm packages"
npm ci --no-audit --no-fund --loglevel=error >/dev/null || {
  echo "setup: npm ci failed (see above): is the npm registry reachable?" >&2
  exit 1
}

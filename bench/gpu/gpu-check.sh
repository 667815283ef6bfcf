#!/bin/sh
# Runs the check on this machine's GPU, without a network: a table here, and gpu-results.json and gpu-results.md beside this file.
# PYTHON: a Python with torch, for the peer. CUDA_PROVIDER: a folder with onnxruntime's libonnxruntime_providers_*.so.
set -eu
cd "$(dirname "$0")"

say() { echo "gpu-check: $1" >&2; }

if [ "$(uname -s)-$(uname -m)" != Linux-x86_64 ]; then
  say "this archive is for Linux on x86_64, not for $(uname -s) on $(uname -m)"
  exit 1
fi
node=$PWD/bin/node
if ! "$node" --version >/dev/null 2>&1; then
  say "the Node of this archive does not run here (it needs glibc 2.28 and libstdc++): $("$node" --version 2>&1 | head -n 1)"
  exit 1
fi

# The rest is packed as only Node can read it.
if [ ! -f app/complete ]; then
  for part in engine check; do
    "$node" -e 'process.stdin.pipe(zlib.createBrotliDecompress()).pipe(process.stdout)' <$part.tar.br | tar xf -
  done
  : >app/complete
fi

# The loader of the machine, where it has one: it knows where the driver's files lie.
if ! { ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null; } | grep -q 'libvulkan\.so\.1 .*x86-64'; then
  LD_LIBRARY_PATH=$PWD/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
fi

# CUDA: the provider's library comes with onnxruntime's Python package, cuBLAS and cuDNN with torch's.
PYTHON=${PYTHON:-python3}
packages=$("$PYTHON" -c 'import site, sys; print("\n".join(site.getsitepackages() + sys.path))' 2>/dev/null || true)
if [ -z "${CUDA_PROVIDER:-}" ]; then
  for folder in $packages; do
    [ ! -f "$folder/onnxruntime/capi/libonnxruntime_providers_cuda.so" ] || CUDA_PROVIDER=$folder/onnxruntime/capi
  done
fi
if [ -n "${CUDA_PROVIDER:-}" ]; then
  for library in "$CUDA_PROVIDER"/libonnxruntime_providers_*.so; do
    ln -sf "$library" app/node_modules/onnxruntime-node/bin/napi-v6/linux/x64/
  done
  for folder in $packages; do
    for libraries in "$folder"/nvidia/*/lib; do
      [ ! -d "$libraries" ] || LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$libraries
    done
  done
else
  say "cuda is not tried with a library of its own: give CUDA_PROVIDER=folder of libonnxruntime_providers_cuda.so"
fi
export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:-}" PYTHON ORT_DISABLE_TELEMETRY=1

exec "$node" app/bench/gpu/check.mjs --out "$PWD" "$@"

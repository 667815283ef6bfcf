#!/bin/sh
# Builds images with Docker, or with buildah where there is no Docker:  build.sh [--archive] NAME...
# NAME: operator, worker, worker-webgpu, worker-cuda, nats, pause. --archive also prints the path of each image's archive, one a line.
# BASE=image puts operator and worker on another base, WEBGPU_BASE=image worker-webgpu (it then brings Vulkan's loader),
# CUDA_BASE=image worker-cuda, NATS_BASE=image nats. CUDA_FROM=packages makes worker-cuda of PyPI's CUDA, feed of its maker's.
# ARCH=arm64 builds operator, worker and nats for linux/arm64 (amd64 without it). REVISION=commit goes into a label.
set -eu
cd "$(dirname "$0")/../.."
PATH="$PWD/node_modules/.bin:$PATH"

chart_version=$(sed -n 's/^appVersion: //p' charts/offsite-tuning/Chart.yaml)
arch=${ARCH:-amd64}
out=.offsite/images
if [ "$arch" != amd64 ]; then out=$out/$arch; fi
archive=
if [ "${1:-}" = --archive ]; then
  archive=yes
  shift
fi
locks="${XDG_CACHE_HOME:-$HOME/.cache}/offsite-tuning"
mkdir -p "$out" "$locks"
# One build at a time, also from several checkouts: the names of images are the machine's.
exec 9>"$locks/images.lock"
if command -v flock >/dev/null; then flock 9; fi

fail() {
  echo "images: $1" >&2
  exit 1
}

case $arch in
  amd64) node_arch=x64 ;;
  arm64) node_arch=arm64 ;;
  *) fail "ARCH must be amd64 or arm64" ;;
esac

if docker info >/dev/null 2>&1; then
  tool=docker
else
  tool=buildah
  if ! command -v buildah >/dev/null; then
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null || fail "neither Docker nor buildah works here: install either"
    echo "images: buildah from apt" >&2
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends buildah >/dev/null
  fi
fi

# Whether worker-cuda is made of package registries alone: as CUDA_FROM says, and where no base can be pulled.
of_packages=
if [ "${CUDA_FROM:-}" = packages ] || { [ $tool = buildah ] && [ -z "${CUDA_FROM:-}${CUDA_BASE:-}" ]; }; then of_packages=yes; fi

# onnxruntime's CUDA libraries by its own installer, into a copy: the checkout's own package stays for the CPU.
add_cuda_libraries() {
  package=node_modules/onnxruntime-node
  locked=$(node -p "require('./$package/package.json').version")
  rm -rf "$1/cuda"
  mkdir -p "$1/cuda"
  if [ -n "$of_packages" ]; then
    add_cuda_packages "$1" "$locked"
    return
  fi
  installed=$(mktemp -d)
  npm install --prefix "$installed" --no-save --ignore-scripts --silent "onnxruntime-node@$locked" >&2
  (cd "$installed" && ONNXRUNTIME_NODE_INSTALL=cuda12 node $package/script/install.js >&2) ||
    fail "onnxruntime-node $locked could not download its CUDA libraries (see above): is its feed reachable? CUDA_FROM=packages takes PyPI's"
  cp "$installed/$package"/bin/napi-v6/linux/x64/* "$1/app/$package/bin/napi-v6/linux/x64/"
  rm -rf "$installed"
}

# The same library out of PyPI's wheels, with the CUDA 13 and cuDNN 9 that it was built for.
add_cuda_packages() {
  command -v python3 >/dev/null && python3 -m pip --version >/dev/null 2>&1 || fail "worker-cuda out of packages needs python3 with pip"
  wheels="$locks/cuda-wheels-$2"
  mkdir -p "$wheels"
  python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
    --find-links "$wheels" --dest "$wheels" "onnxruntime-gpu==$2" 'nvidia-cuda-runtime~=13.0' 'nvidia-cublas~=13.0' \
    'nvidia-cuda-nvrtc~=13.0' 'nvidia-cufft~=12.0' 'nvidia-curand~=10.0' 'nvidia-cudnn-cu13~=9.0' >&2
  unpacked=$(mktemp -d)
  for wheel in "$wheels"/*.whl; do python3 -m zipfile -e "$wheel" "$unpacked"; done
  for library in cuda shared; do
    mv "$unpacked/onnxruntime/capi/libonnxruntime_providers_$library.so" "$1/app/node_modules/onnxruntime-node/bin/napi-v6/linux/x64/"
  done
  find "$unpacked/nvidia" -name '*.so*' -exec mv -t "$1/cuda" {} +
  rm -rf "$unpacked"
}

# Vulkan's loader, and what NVIDIA's driver wants beside it also without a display.
vulkan_packages="libvulkan1 libegl1 libglvnd0 libx11-6 libxext6 libxcb1 libxau6 libxdmcp6 libbsd0 libmd0"

# They come from Debian's packages, unless the given base has them.
add_vulkan_libraries() {
  rm -rf "$1/libraries"
  mkdir -p "$1/libraries/usr"
  if [ -n "${WEBGPU_BASE:-}" ]; then return; fi
  command -v dpkg-deb >/dev/null && command -v apt-get >/dev/null ||
    fail "worker-webgpu takes Vulkan's loader from Debian's packages: where there is no apt give WEBGPU_BASE=, a base that has libvulkan1"
  if [ "$(id -u)" -eq 0 ] && ! apt-cache show libvulkan1 >/dev/null 2>&1; then apt-get update -qq >&2; fi
  packages=$(mktemp -d)
  (cd "$packages" && apt-get download -qq -o APT::Sandbox::User=root $vulkan_packages >&2)
  for package in "$packages"/*.deb; do dpkg-deb -x "$package" "$1/libraries"; done
  rm -rf "$packages" "$1"/libraries/usr/share/doc "$1"/libraries/usr/share/man "$1"/libraries/usr/share/lintian
}

stage() {
  context="$out/$1"
  case $1 in
    operator | worker)
      node scripts/images/stage.ts "$1" "$context" "$node_arch"
      ;;
    worker-webgpu)
      [ "$arch" = amd64 ] || fail "worker-webgpu is built for amd64 only: onnxruntime has no webgpu for others"
      node scripts/images/stage.ts worker "$context" "$node_arch"
      add_vulkan_libraries "$context"
      ;;
    worker-cuda)
      [ "$arch" = amd64 ] || fail "worker-cuda is built for amd64 only"
      node scripts/images/stage.ts worker "$context" "$node_arch"
      add_cuda_libraries "$context"
      ;;
    nats)
      mkdir -p "$context"
      [ "$arch" = amd64 ] || fail "the public image nats is there for $arch"
      cp "$(scripts/setup/nats-server.sh)" "$context/nats-server"
      ;;
    pause)
      mkdir -p "$context"
      command -v go >/dev/null || fail "there is no Go to build the pause program"
      CGO_ENABLED=0 GOOS=linux GOARCH="$arch" go build -trimpath -ldflags '-s -w' -o "$context/pause" images/pause/main.go
      ;;
    *) fail "there is no image $1: operator, worker, worker-webgpu, worker-cuda, nats or pause" ;;
  esac
}

# What an image is called: a name, and the version of what is in it.
reference() {
  case $1 in
    nats) echo "offsite-nats:$(sed -n 's/^version=v//p' scripts/setup/nats-server.sh)" ;;
    pause) echo offsite-pause:1 ;;
    *) echo "offsite-$1:$chart_version$([ "$arch" = amd64 ] || echo "-$arch")" ;;
  esac
}

# What names the content of an image that was built; "none" before.
image_id() {
  case $tool in
    docker) docker image inspect --format '{{.Id}}' "$1" 2>/dev/null || echo none ;;
    buildah) buildah inspect --type image --format '{{.FromImageID}}' "docker.io/library/$1" 2>/dev/null || echo none ;;
  esac
}

# The base to build on; nothing where the Dockerfile's own is right.
base() {
  case $1 in
    operator | worker) given=${BASE:-} ;;
    worker-webgpu) given=${WEBGPU_BASE:-${BASE:-}} ;;
    worker-cuda)
      given=${CUDA_BASE:-}
      # Packages bring CUDA themselves.
      if [ -n "$of_packages" ]; then given=${given:-${BASE:-}}; fi
      if [ -n "$of_packages" ] && [ $tool = docker ]; then given=${given:-gcr.io/distroless/nodejs24-debian12:nonroot}; fi
      ;;
    nats) given=${NATS_BASE:-} ;;
    *) given= ;;
  esac
  if [ -n "$given" ]; then
    echo "$given"
  elif [ $tool = buildah ]; then
    case $1 in
      operator | worker | worker-webgpu)
        [ "$arch" = amd64 ] || fail "without Docker an image for $arch needs BASE=, a base for it with Node at /nodejs/bin/node"
        scripts/images/base.sh node
        ;;
      worker-cuda) if [ -n "$of_packages" ]; then scripts/images/base.sh node; fi ;;
      nats) scripts/images/base.sh cc ;;
    esac
  fi
}

build() {
  dockerfile="images/$1/Dockerfile"
  # Apart from its use: `set` would hide that there is none.
  base=$(base "$1")
  name=$1 reference=$(reference "$1")
  # worker-cuda takes Node out of another image than its base, where that has none.
  node=
  if [ "$1" = worker-cuda ] && [ -n "$of_packages" ]; then node=$base; fi
  set -- ${base:+--build-arg "BASE=$base"} ${node:+--build-arg "NODE=$node"} \
    --label "org.opencontainers.image.version=${reference##*:}" \
    ${REVISION:+--label "org.opencontainers.image.revision=$REVISION"}
  stamp=$(
    {
      echo "$tool $reference $*"
      cat "$dockerfile"
      tar --sort=name --mtime=@0 --owner=0 --group=0 -C "$out/$name" -cf - .
    } | sha256sum | cut -d' ' -f1
  )
  if [ "$(cat "$out/$name.stamp" 2>/dev/null)" = "$stamp $(image_id "$reference")" ]; then return; fi
  rm -f "$out/$name.stamp" "$out/$name.tar"
  echo "images: $reference" >&2
  case $tool in
    docker) docker build --quiet --platform "linux/$arch" --tag "$reference" --file "$dockerfile" "$@" "$out/$name" >&2 ;;
    buildah) buildah bud --quiet --layers --isolation chroot --platform "linux/$arch" --tag "docker.io/library/$reference" --file "$dockerfile" "$@" "$out/$name" >&2 ;;
  esac
  echo "$stamp $(image_id "$reference")" >"$out/$name.stamp"
}

export_archive() {
  file="$out/$1.tar"
  if [ ! -f "$file" ]; then
    case $tool in
      docker) docker save --output "$file.part" "$(reference "$1")" ;;
      buildah)
        name="docker.io/library/$(reference "$1")"
        buildah push --quiet "$name" "docker-archive:$PWD/$file.part:$name"
        ;;
    esac
    mv "$file.part" "$file"
  fi
  echo "$PWD/$file"
}

for name in "$@"; do
  stage "$name"
  build "$name"
  if [ -n "$archive" ]; then export_archive "$name"; fi
done

#!/usr/bin/env bash
# Builds MinkowskiEngine 0.5.4 from its source on PyPI and installs it beside pointseg, for `engine: minkowski`.
# A build takes about 7 minutes on two idle cores; its wheel is kept, so that another environment with the same
# Python and torch installs in seconds. Safe to run again: it does nothing where MinkowskiEngine already runs.
#
#   scripts/install_minkowski.sh [--rebuild]   build anew even where it runs or a wheel is kept
#
#   VENV=.venv             the environment
#   MINKOWSKI_CUDA=0|1     for CPUs only, or for CUDA too; default: CUDA where torch sees a GPU. The CUDA build
#                          edits the source (scripts/patch_minkowski.py) and needs nvcc
#   MAX_JOBS=N             compilers at a time, 1-2 GB of memory each; default: the number of cores
#   XDG_CACHE_HOME=FOLDER  wheels lie in FOLDER/pointseg/minkowski; default: ~/.cache
set -euo pipefail
cd "$(dirname "$0")/.."

VERSION=0.5.4
SHA256=b1879c00d0b0b1d30ba622cce239886a7e3c78ee9da1064cdfe2f64c2ab15f94
VENV=$(realpath -m "${VENV:-.venv}")
PYTHON_BIN=$VENV/bin/python
say() { printf '\033[1m[minkowski]\033[0m %s\n' "$*"; }
fail() {
  printf '[minkowski] %s\n' "$*" >&2
  exit 2
}
pip() { "$PYTHON_BIN" -m pip --disable-pip-version-check "$@"; }

rebuild=no
case "${1:-}" in
  "") ;;
  --rebuild) rebuild=yes ;;
  *) fail "unknown option $1; the only one is --rebuild" ;;
esac

[ -x "$PYTHON_BIN" ] || fail "there is no environment in $VENV. Make one with: make setup (or name it: VENV=...)"
"$PYTHON_BIN" -c 'import torch, setuptools' 2>/dev/null ||
  fail "torch and setuptools must be in $VENV before MinkowskiEngine is built for them. Install with: make setup"
cuda=${MINKOWSKI_CUDA:-$("$PYTHON_BIN" -c 'import torch; print(int(torch.cuda.is_available()))')}
if [ "$cuda" = 1 ] && ! "$PYTHON_BIN" -c 'import sys, torch; sys.exit(torch.version.cuda is None)'; then
  fail "the torch in $VENV is built for CPUs only. Install a CUDA build of it (TORCH_INDEX in README.md), or MINKOWSKI_CUDA=0"
fi

# One small convolution; prints nothing and fails where MinkowskiEngine does not run as it should.
runs() {
  "$PYTHON_BIN" - "$cuda" <<'PY'
import sys

import torch

from pointseg.sparse import Grid, SparseConv3d, SparseTensor, using_engine
from pointseg.sparse.backends.minkowski import MinkowskiBackend

cuda = sys.argv[1] == "1"
reason = MinkowskiBackend().unavailable(torch.device("cuda" if cuda else "cpu"))
if reason:
    sys.exit(reason)
# A build for CUDA may be made on a machine without a GPU: there only its import can be tried.
device = "cuda" if cuda and torch.cuda.is_available() else "cpu"
if device == "cuda" or not cuda:
    grid = Grid(torch.zeros(1, 4, dtype=torch.int32, device=device))
    layer = SparseConv3d(2, 3, 3).to(device)
    with using_engine("minkowski"):
        out = layer(SparseTensor(torch.ones(1, 2, device=device), grid)).features
    torch.testing.assert_close(out, layer.kernel[13].sum(dim=0, keepdim=True))
PY
}

if [ "$rebuild" = no ] && runs 2>/dev/null; then
  say "MinkowskiEngine already runs in $VENV"
  exit 0
fi

# Compiled code fits one Python, one torch and one set of GPUs.
key=$("$PYTHON_BIN" - "$cuda" <<'PY'
import os
import platform
import sys

import torch

parts = [sys.implementation.cache_tag, platform.system().lower(), platform.machine(), f"torch{torch.__version__}"]
if sys.argv[1] == "1":
    seen = [f"{a}.{b}" for a, b in map(torch.cuda.get_device_capability, range(torch.cuda.device_count()))]
    wanted = os.environ.get("TORCH_CUDA_ARCH_LIST") or ";".join(sorted(set(seen))) or "default"
    parts += ["cuda", wanted.replace(";", "_").replace(" ", "_")]
print("-".join(parts))
PY
)
# Another patch makes another wheel.
if [ "$cuda" = 1 ]; then
  key=$key-$(sha256sum scripts/patch_minkowski.py | cut -c1-8)
fi
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pointseg/minkowski/$VERSION-$key
wheel=$(ls "$cache"/*.whl 2>/dev/null | head -n 1 || true)

check_tools() {
  local cxx=${CXX:-${CC:-c++}}
  command -v "$cxx" >/dev/null ||
    fail "no C++ compiler ($cxx). On Debian or Ubuntu: sudo apt-get install g++; or name one: CXX=..."
  local probe=$work/probe
  printf '#include <Python.h>\nint main() { return 0; }\n' >"$probe.cpp"
  "$cxx" -c "$probe.cpp" -o "$probe.o" \
    -I"$("$PYTHON_BIN" -c 'import sysconfig; print(sysconfig.get_path("include"))')" 2>/dev/null ||
    fail "the headers of Python are missing. On Debian or Ubuntu: sudo apt-get install python3-dev"
  printf '#include <cblas.h>\nint main() { return cblas_idamax(0, 0, 1) != 0; }\n' >"$probe.cpp"
  if ! "$cxx" "$probe.cpp" -o "$probe" -lopenblas 2>"$probe.log"; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
      say "installing libopenblas-dev"
      export DEBIAN_FRONTEND=noninteractive
      apt-get update -qq && apt-get install -y -qq --no-install-recommends libopenblas-dev >/dev/null || true
    fi
    "$cxx" "$probe.cpp" -o "$probe" -lopenblas 2>"$probe.log" ||
      fail "OpenBLAS with its headers is missing. On Debian or Ubuntu: sudo apt-get install libopenblas-dev"
  fi
  if [ "$cuda" = 1 ] && ! command -v "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc" >/dev/null &&
    ! command -v nvcc >/dev/null; then
    fail "no nvcc. Install CUDA's toolkit in torch's version and set CUDA_HOME, or build with MINKOWSKI_CUDA=0"
  fi
}

build() {
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  check_tools
  # Its setup.py runs `pip uninstall MinkowskiEngine` whatever it is asked for; here that does nothing.
  mkdir "$work/bin"
  printf '#!/bin/sh\nexit 0\n' >"$work/bin/pip"
  chmod +x "$work/bin/pip"

  say "fetching the source"
  # pip asks setup.py for the metadata, and setup.py looks for a BLAS by a module that NumPy no longer has
  # unless it is told. Where the package wheel is installed, older releases of pip tell it nothing but by PEP 517.
  printf 'MinkowskiEngine==%s --hash=sha256:%s --config-settings="%s" --config-settings="%s"\n' \
    "$VERSION" "$SHA256" --global-option=--blas=openblas --global-option=--cpu_only >"$work/wanted.txt"
  PIP_USE_PEP517=1 PATH=$work/bin:$PATH pip download --no-deps --no-binary MinkowskiEngine --no-build-isolation \
    --require-hashes -d "$work" -r "$work/wanted.txt" >"$work/fetch.log" 2>&1 || {
    tail -n 20 "$work/fetch.log" >&2
    fail "the source of MinkowskiEngine $VERSION could not be fetched; is a package index within reach?"
  }
  tar -xzf "$work/MinkowskiEngine-$VERSION.tar.gz" -C "$work"

  local options=(--blas=openblas)
  if [ "$cuda" = 1 ]; then
    "$PYTHON_BIN" scripts/patch_minkowski.py "$work/MinkowskiEngine-$VERSION"
    options+=(--force_cuda)
  else
    options+=(--cpu_only)
  fi
  say "compiling for ${key#*-}: about 7 minutes on two idle cores"
  mkdir -p "$cache"
  # setup.py deletes build/ in its working folder, which is the temporary one.
  if ! (cd "$work/MinkowskiEngine-$VERSION" &&
    PATH=$work/bin:$VENV/bin:$PATH MAX_JOBS=${MAX_JOBS:-$(nproc)} \
      "$PYTHON_BIN" setup.py bdist_wheel "${options[@]}" --dist-dir "$work/dist") >"$cache/build.log" 2>&1; then
    grep -E 'error|Error|Killed' "$cache/build.log" | tail -n 10 >&2 || true
    fail "the compilation failed; all of it is in $cache/build.log. Out of memory? Try MAX_JOBS=1"
  fi
  # The wheel appears in one step, so that a stopped build leaves none behind.
  rm -f "$cache"/*.whl
  local built
  built=$(ls "$work"/dist/*.whl)
  cp "$built" "$cache/.part" && mv "$cache/.part" "$cache/$(basename "$built")"
  wheel=$cache/$(basename "$built")
}

if [ "$rebuild" = yes ] || [ -z "$wheel" ]; then
  build
else
  say "taking the kept wheel $wheel"
fi
pip install --quiet --no-deps --no-index --force-reinstall "$wheel"
runs || fail "MinkowskiEngine is installed but does not run. Build it anew: scripts/install_minkowski.sh --rebuild"
say "ready: engine: minkowski"

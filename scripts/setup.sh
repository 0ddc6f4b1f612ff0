#!/usr/bin/env bash
# Makes .venv and installs the pinned dependencies. Safe to run again: it does nothing when nothing changed.
#
#   PYTHON=python3.12     the interpreter to use (3.11 or newer; found by itself otherwise)
#   TORCH_INDEX=URL       where torch comes from; default: the index pip is set up with
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=${VENV:-.venv}
say() { printf '\033[1m[setup]\033[0m %s\n' "$*"; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
    if command -v "$candidate" >/dev/null 2>&1 &&
      "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "pointseg needs Python 3.11 or newer; none was found. Install one, or name it: make setup PYTHON=..." >&2
  exit 2
}

make_venv() {
  local python
  python=$(find_python)
  say "making $VENV with $("$python" --version)"
  if ! "$python" -m venv "$VENV"; then
    # Debian and Ubuntu ship Python without venv.
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
      apt-get update -qq && apt-get install -y -qq python3-venv
      "$python" -m venv --clear "$VENV"
    else
      echo "Python's venv module is missing. On Debian or Ubuntu: sudo apt-get install python3-venv" >&2
      exit 2
    fi
  fi
}

# What was installed is remembered by the files that decide it, so that the second run is instant.
wanted=$(cat pyproject.toml setup.py constraints.txt scripts/setup.sh scripts/torch_requirement.sh pointseg/sparse/native/*.[ch] | sha256sum | cut -d' ' -f1)-${TORCH_INDEX:-default}
stamp=$VENV/.pointseg-installed
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
  exit 0
fi

[ -x "$VENV/bin/python" ] || make_venv
pip() { "$VENV/bin/python" -m pip --disable-pip-version-check "$@"; }

torch_version=$(sed -n 's/^torch==//p' constraints.txt)
if [ -z "${TORCH_INDEX:-}" ] && ! command -v nvidia-smi >/dev/null 2>&1; then
  say "no NVIDIA driver seen; if the torch below turns out to be a CUDA build of several GB, see TORCH_INDEX in README.md"
fi
say "installing torch $torch_version${TORCH_INDEX:+ from $TORCH_INDEX}"
# First and alone, so that nothing that follows pulls in a second build of it.
torch_wanted=$(bash scripts/torch_requirement.sh "$torch_version" "${TORCH_INDEX:-}")
pip install --quiet ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$torch_wanted"

say "installing pointseg and its dependencies (constraints.txt)"
pip install --quiet -c constraints.txt setuptools
pip install --quiet -c constraints.txt --no-build-isolation -e '.[dev,docs,las,images,efficientnet,slurm]'

# The GPU kernels are tested on CPUs in Triton's interpreter. A CUDA build of torch brings its own Triton, and
# demands that version: never a second one beside it.
if ! "$VENV/bin/python" -c 'import triton' 2>/dev/null; then
  triton_version=$(sed -n 's/^# triton==//p' constraints.txt)
  say "installing triton $triton_version, in which the GPU kernels are tested"
  pip install --quiet --no-deps "triton==$triton_version" ||
    say "Triton has no build for this machine; the tests of the GPU kernels are skipped"
fi

say "installing Open3D"
if ! pip install --quiet -c constraints.txt --no-build-isolation -e '.[view]'; then
  say "Open3D has no build for this machine; pictures are drawn by pointseg's own renderer instead"
fi
bash scripts/install_system_libs.sh || say "system libraries for Open3D are incomplete; going on without its pictures"

echo "$wanted" >"$stamp"
say "ready: $("$VENV/bin/python" -c 'import torch; print("torch", torch.__version__, "| CUDA", torch.cuda.is_available())')"

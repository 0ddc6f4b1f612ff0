#!/usr/bin/env bash
# Proves the GPU kernels right on this machine's GPU, then measures them. Needs nothing from the network and ends
# in less than nine minutes; exit code 1 if a result was wrong or a section failed.
#
#   scripts/gpu_check.sh [--out FILE.json]     on a CUDA device
#   scripts/gpu_check.sh --smoke               the script itself, on any machine, in a minute
#
#   PYTHON=python3     the interpreter; default .venv/bin/python where there is one
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${PYTHON:-}" ]; then
  PYTHON=python3
  [ -x .venv/bin/python ] && PYTHON=.venv/bin/python
fi
# From a checkout that is not installed, too.
export PYTHONPATH="$PWD:$PWD/scripts${PYTHONPATH:+:$PYTHONPATH}"
exec timeout 535 "$PYTHON" -m gpu_check "$@"

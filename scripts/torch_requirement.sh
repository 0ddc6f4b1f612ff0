#!/usr/bin/env bash
# What pip is asked for: the pinned torch, in the build that an index is for.
#
#   scripts/torch_requirement.sh 2.13.0 https://download.pytorch.org/whl/cu130    ->    torch==2.13.0+cu130
#
# Without the build's name pip would take any build of that version that is installed already for the one asked for.
set -euo pipefail
version=$1 index=${2:-}
build=$(basename "${index%/}")
case $build in
  cpu | cu[0-9]* | rocm[0-9]* | xpu) echo "torch==$version+$build" ;;
  *) echo "torch==$version" ;;
esac

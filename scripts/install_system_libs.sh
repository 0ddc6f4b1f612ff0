#!/usr/bin/env bash
# Installs the system libraries that Open3D needs to draw: libusb, OpenGL/EGL, the Vulkan loader and a software
# driver for machines without a GPU. As root on Debian or Ubuntu it installs them; otherwise it prints the
# command. Everything of pointseg but the Open3D picture and window works without them, so it never fails.
set -uo pipefail

say() { printf '\033[1m[system libraries]\033[0m %s\n' "$*"; }

if [ "$(uname -s)" != Linux ]; then
  exit 0
fi
if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-query >/dev/null 2>&1; then
  say "not Debian or Ubuntu; for Open3D's picture, install: libusb 1.0, libGL, libEGL, libgomp, Vulkan loader, Mesa drivers"
  exit 0
fi

packages=(libusb-1.0-0 libgl1 libegl1 libgomp1 libgl1-mesa-dri libvulkan1 mesa-vulkan-drivers)
missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null || true)
  [[ $state == ii* ]] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi

install="apt-get install -y --no-install-recommends ${missing[*]}"
if [ "$(id -u)" != 0 ]; then
  say "Open3D's picture needs a few system libraries; install them with:"
  printf '    sudo apt-get update && sudo %s\n' "$install"
  exit 0
fi

say "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086  # the command is a list of words
if apt-get update -qq && $install -qq >/dev/null; then
  say "installed"
else
  say "they could not be installed; pictures are drawn by pointseg's own renderer. By hand: apt-get update && $install"
fi
exit 0

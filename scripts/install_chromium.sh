#!/usr/bin/env bash
# Installs Chromium, in which the tests look at the pages. As root on Debian or Ubuntu it installs it, within a few
# minutes or not at all; otherwise it prints the command. Without it those tests are skipped, so it never fails.
set -uo pipefail

say() { printf '\033[1m[chromium]\033[0m %s\n' "$*"; }

for program in "${POINTSEG_CHROMIUM:-}" chromium chromium-browser google-chrome; do
  if [ -n "$program" ] && command -v "$program" >/dev/null 2>&1; then
    exit 0
  fi
done
if ! command -v apt-get >/dev/null 2>&1 || ! command -v timeout >/dev/null 2>&1; then
  say "not Debian or Ubuntu; install Chromium and name it in POINTSEG_CHROMIUM, or the browser tests are skipped"
  exit 0
fi
install="apt-get install -y --no-install-recommends chromium"
if [ "$(id -u)" != 0 ]; then
  say "the browser tests need it; install it with: sudo apt-get update && sudo $install"
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
# Where no package server answers, apt tries again and again.
patience=(-o Acquire::Retries=0 -o Acquire::http::Timeout=10 -o Acquire::https::Timeout=10)
if timeout 60 apt-get update -qq "${patience[@]}" >/dev/null 2>&1 &&
  timeout 180 $install -qq "${patience[@]}" >/dev/null 2>&1; then
  say "installed"
else
  say "it could not be installed; the browser tests are skipped. By hand: apt-get update && $install"
fi
exit 0

#!/usr/bin/env bash
# Makes .venv with Athanor (editable) and the tools of its tests. With uv where there is one, else with pip.
set -euo pipefail
python="${1:-}"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ -z "$python" ]]; then
  echo "no Python between 3.11 and 3.13 on PATH: install one (Debian: apt install python3 python3-venv)" >&2
  exit 1
fi
wanted=".[test,dev]"
# The web UI is built by a step of its own, in the working tree; an editable install needs no second build.
export ATHANOR_SKIP_UI=1

install_python_venv() {  # Debian splits the venv module off; take it where this user may
  [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null || return 1
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends python3-venv </dev/null
}

if command -v uv >/dev/null; then
  [[ -x .venv/bin/python ]] || uv venv --quiet --python "$(command -v "$python")" .venv
  if uv pip install --quiet --compile-bytecode --python .venv/bin/python -e "$wanted"; then
    exit 0
  fi
  echo "uv could not install; trying pip" >&2
fi
if [[ ! -x .venv/bin/python ]]; then
  "$python" -m venv .venv || { rm -rf .venv; install_python_venv && "$python" -m venv .venv; }
fi
.venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip --upgrade >/dev/null
.venv/bin/python -m pip install --quiet -e "$wanted"

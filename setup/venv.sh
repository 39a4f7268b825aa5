#!/bin/sh
# Make .venv with the pinned packages. Arguments: the Python to use, an index to take torch from (or nothing).
set -eu
python=$1
index=$2
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo none)
if [ "$version" != 3.11 ]; then
    echo "twinlab needs Python 3.11, $python is $version." >&2
    echo "Install it (Debian 12: apt-get install python3 python3-venv; elsewhere pyenv or conda) and call: make PYTHON=python3.11 …" >&2
    exit 1
fi
echo "== set-up: .venv with the packages of requirements.lock"
start=$(date +%s)
"$python" -m venv .venv || { echo "No venv module: apt-get install python3-venv" >&2; exit 1; }
.venv/bin/pip install --quiet --disable-pip-version-check "pip>=25"  # older ones do not see every new package
[ -z "$index" ] || .venv/bin/pip install --quiet --disable-pip-version-check --index-url "$index" "$(grep '^torch==' requirements.lock)"
.venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements.lock
.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
# JupyterLab would ask to rebuild itself for an old extension that open3d's dependency dash brings
mkdir -p .venv/etc/jupyter/labconfig
echo '{"buildCheck": false, "buildAvailable": false}' >.venv/etc/jupyter/labconfig/page_config.json
touch .venv/ready
echo "== set-up: $(($(date +%s) - start)) s"

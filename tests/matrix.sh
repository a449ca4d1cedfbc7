#!/usr/bin/env bash
# The Strands tests with one release of strands-agents, in an environment of its own: tests/matrix.sh RELEASE|newest
# (from the wheel in build/matrix, which `make matrix` builds).
set -euo pipefail
cd "$(dirname "$0")/.."
release=$1
wheel=$(echo "$PWD"/build/matrix/*.whl)
environment=build/matrix/strands-$release
"${PYTHON:-python3}" -m venv "$environment"
"$environment/bin/pip" install -q --upgrade 'pip>=25.1'
[ "$release" = newest ] && requirement=strands-agents || requirement="strands-agents==$release"
"$environment/bin/pip" install -q "$wheel[strands]" "$requirement" 'aiohttp>=3.10' --group test
echo "== strands-agents $("$environment/bin/python" -c 'from importlib.metadata import version; print(version("strands-agents"))')"
"$environment/bin/python" -m pytest -q tests/voice/strands
rm -rf "$environment"

#!/usr/bin/env bash
# Strands' own tests of the installed release, with our classes in place of theirs: tests/strands_suite/run.sh [pytest option ...]
# Their source is downloaded into build/, never kept here.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=$PWD/.venv/bin/python
release=$("$python" -c 'from importlib.metadata import version; print(version("strands-agents"))')
place=build/strands_suite/$release
if [ ! -d "$place" ]; then
  "$python" -m pip download -q --no-deps --no-binary strands-agents -d build/strands_suite "strands-agents==$release"
  mkdir -p "$place.new"
  # Without the outermost conftest.py, which wants boto3 and moto.
  tar -xzf "build/strands_suite/strands_agents-$release.tar.gz" -C "$place.new" --strip-components=3 --wildcards \
    '*/tests/strands/bidi/*'
  mv "$place.new" "$place"
fi
echo "== Strands' own tests, strands-agents $release"
PYTHONPATH=tests/strands_suite "$python" -m pytest -q -c /dev/null --rootdir "$place" -p drop_in -p no:cacheprovider \
  -o asyncio_mode=auto -o asyncio_default_fixture_loop_scope=function -o xfail_strict=true \
  --timeout 20 -rx --tb=short "$@" \
  "$place/bidi/models/openai/test_realtime.py" "$place/bidi/io/test_audio.py"

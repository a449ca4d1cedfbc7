#!/usr/bin/env bash
# Strands' own tests of the installed release, with our classes in place of theirs: tests/strands_suite/run.sh [pytest option ...]
# Their source is downloaded into build/, never kept here.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=$PWD/.venv/bin/python
release=$("$python" -c 'from importlib.metadata import version; print(version("strands-agents"))')
place=$PWD/build/strands_suite/$release
if [ ! -d "$place/tests_integ" ]; then
  "$python" -m pip download -q --no-deps --no-binary strands-agents -d build/strands_suite "strands-agents==$release"
  rm -rf "$place" "$place.new" && mkdir -p "$place.new"
  # Without the conftest.py files that want boto3, moto and an account.
  tar -xzf "build/strands_suite/strands_agents-$release.tar.gz" -C "$place.new" --strip-components=1 --wildcards \
    --exclude '*/tests_integ/bidi/conftest.py' \
    '*/tests/strands/bidi/*' '*/tests_integ/__init__.py' '*/tests_integ/bidi/*' '*/tests_integ/resources/yellow.png'
  mv "$place.new" "$place"
fi
export PYTHONPATH=$PWD/tests/strands_suite
options=(-q -c /dev/null -p no:cacheprovider -o asyncio_mode=auto -o asyncio_default_fixture_loop_scope=function --tb=short)

echo "== Strands' own tests, strands-agents $release"
"$python" -m pytest "${options[@]}" --rootdir "$place/tests/strands" -p drop_in -o xfail_strict=true --timeout 20 -rx "$@" \
  "$place/tests/strands/bidi/models/openai/test_realtime.py" "$place/tests/strands/bidi/io/test_audio.py"

echo "== Strands' own integration tests, against the local server"
"$python" -m pytest "${options[@]}" --rootdir "$place" -p integration --timeout 60 --show-capture=no \
  -k 'not bedrock_nova_sonic and not gemini' --ignore "$place/tests_integ/bidi/models" "$@" "$place/tests_integ/bidi"

#!/usr/bin/env bash
# Makes an environment with every port of the lock file, checks them all, and writes the reports, the page and the picture.
# Needs Python 3.11 or later, g++ and about 5 GB in FOLDER. A second run in the same FOLDER does not install again.
set -euo pipefail
folder=$(realpath -m "${1:?usage: bash docs/field/run.sh FOLDER}")
cd "$(dirname "$0")/../.."

past=(pytorch-optimizer==3.10.1)
python="$folder/bin/python"
test -x "$python" || python3 -m venv "$folder"
"$python" -m pip install --quiet --no-deps --requirement docs/field/requirements.txt
"$python" -m pip install --quiet --no-deps .
for release in "${past[@]}"; do
    target="$folder/past/${release/==/-}"
    test -d "$target" || "$python" -m pip install --quiet --no-deps --target "$target" "$release"
done

export PATH="$folder/bin:$PATH" TORCH_EXTENSIONS_DIR="$folder/extensions"
unset PYTHONPATH
python -m docs.field run --out docs/field/reports --past "$folder/past"
python -m docs.field page --reports docs/field/reports --docs docs

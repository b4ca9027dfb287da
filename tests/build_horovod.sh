#!/bin/bash
# Builds Horovod into the environment $1, for torch and gloo. Its last release (2023) asks for
# C++14, which today's torch refuses, so its build files are set to C++17.
set -e
environment=$(realpath "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"$environment/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps \
  --no-build-isolation --no-binary horovod horovod==0.28.1
tar -xzf horovod-0.28.1.tar.gz
cd horovod-0.28.1
find . -name CMakeLists.txt -not -path '*/flatbuffers/*' -not -path '*/eigen/*' -print0 |
  xargs -0 sed -i -E 's/CMAKE_CXX_STANDARD 14\)/CMAKE_CXX_STANDARD 17)/; s/-std=c\+\+(11|14)/-std=c++17/g'
export PATH="$environment/bin:$PATH"
export HOROVOD_WITH_PYTORCH=1 HOROVOD_WITHOUT_TENSORFLOW=1 HOROVOD_WITHOUT_MXNET=1
export HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 MAKEFLAGS=-j2
nice -n 15 python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps .

#!/bin/sh
# install.sh PIP [cuda|cpu]: install the locked dependencies of the app with this pip; cpu: with a PyTorch without CUDA.
set -eu
here=$(dirname "$0") pip=$1 variant=${2:-cuda}
case $variant in
cuda) "$pip" install --quiet --requirement "$here/../requirements.txt" ;;
cpu)
    # PyTorch's own index has these wheels. It is not that of the lock, which therefore cannot have their hashes
    index=${PYTORCH_CPU_INDEX:-https://download.pytorch.org/whl/cpu}
    # without bytecode, a sixth of the size: Python writes that of the modules it imports
    "$pip" install --quiet --no-compile --no-deps --index-url "$index" \
        $(grep -oE '^(torch|torchvision)==[0-9.]+' "$here/../requirements.txt")
    "$pip" install --quiet --no-compile --requirement "$here/cpu.txt"
    ;;
*)
    echo "install.sh: $variant is neither cpu nor cuda" >&2
    exit 1
    ;;
esac

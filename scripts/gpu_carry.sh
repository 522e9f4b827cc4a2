#!/usr/bin/env bash
# Gathers what a bare GPU machine without package registries lacks into one folder that git ignores: header-only libraries
# (of CUTLASS what the kernels include), GoogleTest's source, a static utf8proc and, for the comparison, the diffusers
# wheel. scripts/gpu_check.sh reads it there.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'EOT'
Usage: scripts/gpu_carry.sh [--no-peer] [--help] [FOLDER]

  FOLDER     where to gather (default .carry); what it held is replaced
  --no-peer  leave the diffusers wheel out, which needs a Python registry

Run this where scripts/setup.sh has run, copy the checkout with the folder to the GPU machine, and run
scripts/gpu_check.sh there. Exit code: 0 gathered, 1 something is missing here, 2 bad usage.
EOT
}

folder=.carry peer=yes
for argument in "$@"; do
  case "$argument" in
    --no-peer) peer=no ;;
    --help|-h) usage; exit 0 ;;
    -*) echo "gpu_carry: unknown argument '$argument'; see scripts/gpu_carry.sh --help" >&2; exit 2 ;;
    *) folder=$argument ;;
  esac
done

diffusers_version=0.42.0
cutlass=${REHYAT_CUTLASS_INCLUDE:-.deps/cutlass/include}
include=${REHYAT_INCLUDE:-/usr/include}
googletest=${REHYAT_GOOGLETEST:-/usr/src/googletest/googletest}

# Only a folder that an earlier call made, or an empty one, is replaced.
mark=$folder/.gathered
if [ -e "$folder" ] && [ ! -e "$mark" ] && [ -n "$(ls -A "$folder")" ]; then
  echo "gpu_carry: $folder holds files that this script did not gather; name an empty folder or remove it" >&2
  exit 1
fi
rm -rf "$folder"
mkdir -p "$folder"
: > "$mark"

take() {  # take SOURCE TARGET PACKAGE
  if [ ! -e "$1" ]; then
    echo "gpu_carry: found no $1, expected it from the package $3; run scripts/setup.sh first" >&2
    exit 1
  fi
  mkdir -p "$(dirname "$folder/$2")"
  cp -RL "$1" "$folder/$2"
}

take "$include/CLI" CLI libcli11-dev
take "$include/nlohmann" nlohmann nlohmann-json3-dev
take "$include/xxhash.h" xxhash.h libxxhash-dev
take "$googletest/include" googletest/include libgtest-dev
take "$googletest/src" googletest/src libgtest-dev
take "$include/utf8proc.h" utf8proc/utf8proc.h libutf8proc-dev
library=$(find /usr/lib /usr/local/lib -name libutf8proc.a -print -quit 2>/dev/null)
take "${library:-/usr/lib/libutf8proc.a}" utf8proc/libutf8proc.a libutf8proc-dev
# CuTe and what lies under it; not the library's own products, nor the instructions of sparse ones: 20 MB that nothing
# here includes.
if [ -e "$cutlass/cutlass/version.h" ]; then
  take "$cutlass/cute" cute nvidia-cutlass
  take "$cutlass/cutlass" cutlass nvidia-cutlass
  rm -rf "$folder"/cutlass/{conv,epilogue,experimental,gemm,transform}
  find "$folder/cute" -name '*sparse*' -delete
else
  echo "gpu_carry: found no CUTLASS in $cutlass, so the kernels of Hopper GPUs will be left out there" >&2
fi

if [ "$peer" = yes ]; then
  if python3 -m pip download -q --no-deps -d "$folder" "diffusers==$diffusers_version"; then
    :
  else
    echo "gpu_carry: pip could not fetch diffusers $diffusers_version; without it, --no-peer" >&2
    exit 1
  fi
fi
echo "gpu_carry: $(du -sh "$folder" | cut -f1) in $folder"

#!/usr/bin/env bash
# Installs what the build needs on Debian 12 or Ubuntu 24.04 and newer: distribution packages, and libtorch into .deps/.
# Safe to run again: what is there already is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'EOT'
Usage: scripts/setup.sh [--cpu | --cuda] [--list] [--help]

  --cpu    libtorch for CPUs (about 0.5 GB to download)
  --cuda   libtorch with its CUDA libraries and NCCL (about 3 GB to download)
  --list   only say what is missing; install nothing
  default  --cuda where nvidia-smi finds a GPU, --cpu elsewhere

Packages are installed with apt-get, through sudo where you are not root.
EOT
}

flavour=auto
list_only=no
for argument in "$@"; do
  case "$argument" in
    --cpu) flavour=cpu ;;
    --cuda) flavour=cuda ;;
    --list) list_only=yes ;;
    --help|-h) usage; exit 0 ;;
    *) echo "setup: unknown argument '$argument'; see scripts/setup.sh --help" >&2; exit 2 ;;
  esac
done
if [ "$flavour" = auto ]; then
  if command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -q GPU; then flavour=cuda; else flavour=cpu; fi
fi

# libtorch 2.11.0 and the two CUDA libraries that its CPU half links against.
torch_version=2.11.0
wheels="torch==$torch_version nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85"
packages="build-essential cmake ninja-build ccache git pkg-config ca-certificates unzip python3 python3-pip
  libopenmpi-dev openmpi-bin libhdf5-dev libyaml-cpp-dev libspdlog-dev libcli11-dev nlohmann-json3-dev libxxhash-dev
  libavformat-dev libavcodec-dev libavutil-dev libswscale-dev libsentencepiece-dev libutf8proc-dev libgtest-dev libbenchmark-dev"

say() { printf 'setup: %s\n' "$*"; }

missing_packages() {
  local package
  for package in $packages; do
    # A tool that is on PATH from elsewhere serves as well as the package.
    case "$package" in
      cmake|git|unzip|python3) command -v "$package" >/dev/null 2>&1 && continue ;;
      ninja-build) command -v ninja >/dev/null 2>&1 && continue ;;
      python3-pip) python3 -m pip --version >/dev/null 2>&1 && continue ;;
    esac
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || printf '%s ' "$package"
  done
}

install_packages() {
  local missing as_root=""
  if ! command -v apt-get >/dev/null 2>&1; then
    say "this is not Debian or Ubuntu; make sure that these packages' counterparts are installed:" "$packages"
    return
  fi
  missing=$(missing_packages)
  if [ -z "$missing" ]; then
    say "packages: all there"
    return
  fi
  if [ "$list_only" = yes ]; then
    say "packages missing: $missing"
    return
  fi
  if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null 2>&1 && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
      as_root=sudo
    else
      say "no right to install packages; ask an administrator to run: apt-get install $missing" >&2
      exit 1
    fi
  fi
  say "packages: installing $missing"
  $as_root apt-get update -qq
  # env, because sudo does not hand the variable on.
  # shellcheck disable=SC2086
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

install_libtorch() {
  local target=.deps/libtorch stamp=".deps/libtorch/stamp" wanted="$torch_version $flavour" part=".deps/part.$$"
  if [ -f "$stamp" ]; then
    case "$(cat "$stamp")" in
      "$wanted"|"$torch_version cuda") say "libtorch: $(cat "$stamp") is there"; return ;;
    esac
  fi
  # A Python installation that already holds this very version needs no second copy.
  if python3 - "$torch_version" <<'EOT' 2>/dev/null
import importlib.metadata as m, sys
sys.exit(0 if m.version("torch").split("+")[0] == sys.argv[1] else 1)
EOT
  then
    say "libtorch: $torch_version of the Python installation is used"
    return
  fi
  if [ "$list_only" = yes ]; then
    say "libtorch missing: $wanted"
    return
  fi
  if [ "$(uname -sm)" != "Linux x86_64" ]; then
    say "libtorch: found $(uname -sm), but packages are pinned for Linux x86_64 only; install torch==$torch_version yourself and" \
      "configure with -DREHYAT_LIBTORCH=DIR" >&2
    exit 1
  fi
  say "libtorch: downloading $wanted into $target"
  rm -rf .deps/part.*
  mkdir -p "$part/wheels" "$part/tree"
  if [ "$flavour" = cuda ]; then
    python3 -m pip install -q --no-compile --disable-pip-version-check --target "$part/tree" "torch==$torch_version"
  else
    # shellcheck disable=SC2086
    python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.11 \
      --implementation cp --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 \
      --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 -d "$part/wheels" $wheels
    unzip -q "$part"/wheels/torch-*.whl 'torch/include/*' 'torch/lib/libtorch_cpu.so' 'torch/lib/libc10.so' \
      'torch/lib/libgomp*' 'torch-*/LICENSE*' -d "$part/tree" || [ $? -eq 11 ]
    for wheel in "$part"/wheels/nvidia_*.whl; do unzip -q -o "$wheel" 'nvidia/*/lib/*' -d "$part/tree"; done
  fi
  printf '%s\n' "$wanted" > "$part/tree/stamp"
  rm -rf "$target"
  mv "$part/tree" "$target"
  rm -rf "$part"
}

install_packages
install_libtorch
say "done"

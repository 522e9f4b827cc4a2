#!/usr/bin/env bash
# Installs what the build needs on Debian 12 or Ubuntu 24.04 and newer: distribution packages, and libtorch and, for the
# kernels of Hopper GPUs, CUTLASS's headers into .deps/.
# Safe to run again: what is there already is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'EOT'
Usage: scripts/setup.sh [--cpu | --cuda] [--list] [--help]

  --cpu    libtorch for CPUs (about 0.5 GB to download)
  --cuda   libtorch with its CUDA libraries and NCCL (about 3 GB to download); the build also needs nvcc 12.4 or newer
  --list   only say what is missing; install nothing (exit code 1 when something required is)
  default  --cuda where nvidia-smi finds a GPU and nvcc is there, --cpu elsewhere

Packages are installed with apt-get, through sudo where you are not root. libtorch needs no rights, nor do CUTLASS's
headers (6 MB to download), which are fetched where nvcc is.
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
say() { printf 'setup: %s\n' "$*"; }

have_nvcc() { command -v nvcc >/dev/null 2>&1 || [ -x /usr/local/cuda/bin/nvcc ] || [ -x "${CUDA_HOME:-/nonexistent}/bin/nvcc" ]; }
if [ "$flavour" = auto ]; then
  flavour=cpu
  if command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -q GPU; then
    if have_nvcc; then
      flavour=cuda
    else
      say "there is a GPU but no nvcc, so the build would be for CPUs: install the CUDA Toolkit 12.4 or newer and run this again"
    fi
  fi
elif [ "$flavour" = cuda ] && ! have_nvcc; then
  say "no nvcc on PATH: until the CUDA Toolkit 12.4 or newer is installed, the build is for CPUs whatever libtorch can do"
fi

# libtorch 2.11.0 and the two CUDA libraries that its CPU half links against.
torch_version=2.11.0
wheels="torch==$torch_version nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85"
required="build-essential cmake ninja-build git pkg-config ca-certificates unzip python3 python3-pip
  libopenmpi-dev openmpi-bin libhdf5-dev libyaml-cpp-dev libspdlog-dev libcli11-dev nlohmann-json3-dev libxxhash-dev
  libutf8proc-dev"
# Without these the build leaves something out and says so.
optional="ccache libavformat-dev libavcodec-dev libavutil-dev libswscale-dev libsentencepiece-dev libgtest-dev
  libbenchmark-dev"

missing_of() {
  local package
  for package in $1; do
    # A tool that is on PATH from elsewhere serves as well as the package.
    case "$package" in
      cmake|git|unzip|python3|ccache) command -v "$package" >/dev/null 2>&1 && continue ;;
      ninja-build) command -v ninja >/dev/null 2>&1 && continue ;;
      python3-pip) python3 -m pip --version >/dev/null 2>&1 && continue ;;
      libopenmpi-dev) command -v mpicxx >/dev/null 2>&1 && continue ;;
      openmpi-bin) command -v mpirun >/dev/null 2>&1 && continue ;;
    esac
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || printf '%s ' "$package"
  done
}

incomplete=no
install_packages() {
  local needed wanted as_root=""
  if ! command -v apt-get >/dev/null 2>&1; then
    say "this is not Debian or Ubuntu; make sure that these packages' counterparts are installed:" $required $optional
    return
  fi
  needed=$(missing_of "$required")
  wanted=$(missing_of "$optional")
  if [ -z "$needed$wanted" ]; then
    say "packages: all there"
    return
  fi
  if [ "$list_only" = yes ]; then
    [ -z "$needed" ] || { say "packages missing: $needed"; incomplete=yes; }
    [ -z "$wanted" ] || say "optional packages missing: $wanted"
    return
  fi
  if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null 2>&1 && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
      as_root=sudo
    elif [ -z "$needed" ]; then
      say "no right to install packages; the build goes on without these optional ones: $wanted"
      return
    else
      say "no right to install packages; ask an administrator to run: apt-get install $needed$wanted" >&2
      incomplete=yes
      return
    fi
  fi
  say "packages: installing $needed$wanted(a few minutes)"
  $as_root apt-get update -qq
  # env, because sudo does not hand the variable on.
  # shellcheck disable=SC2086
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $needed $wanted >/dev/null
}

install_libtorch() {
  local target=.deps/libtorch stamp=".deps/libtorch/stamp" wanted="$torch_version $flavour" part=".deps/part.$$"
  if [ -f "$stamp" ]; then
    case "$(cat "$stamp")" in
      "$wanted"|"$torch_version cuda") say "libtorch: $(cat "$stamp") is there"; return ;;
    esac
  fi
  # A Python installation that already holds this very version needs no second copy.
  if python3 - "$torch_version" "$flavour" <<'EOT' 2>/dev/null
import importlib.metadata as m, importlib.util as u, os, sys
lib = os.path.join(u.find_spec("torch").submodule_search_locations[0], "lib")
gpu = os.path.exists(os.path.join(lib, "libtorch_cuda.so"))
sys.exit(0 if m.version("torch").split("+")[0] == sys.argv[1] and (gpu or sys.argv[2] == "cpu") else 1)
EOT
  then
    say "libtorch: $torch_version of the Python installation is used"
    return
  fi
  if [ "$list_only" = yes ]; then
    say "libtorch missing: $wanted"
    incomplete=yes
    return
  fi
  if [ "$(uname -sm)" != "Linux x86_64" ]; then
    say "libtorch: found $(uname -sm), but packages are pinned for Linux x86_64 only; install torch==$torch_version yourself and" \
      "configure with -DREHYAT_LIBTORCH=DIR" >&2
    exit 1
  fi
  say "libtorch: downloading $wanted into $target"
  local quiet=-q
  if [ -t 1 ]; then quiet=""; fi  # a terminal gets pip's progress bars
  rm -rf .deps/part.*
  mkdir -p "$part/wheels" "$part/tree"
  if [ "$flavour" = cuda ]; then
    python3 -m pip install $quiet --no-compile --disable-pip-version-check --target "$part/tree" "torch==$torch_version"
  else
    # shellcheck disable=SC2086
    python3 -m pip download $quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.11 \
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

# Optional, like some packages: without it the build leaves out the kernels that are Hopper's alone, and says so.
cutlass_version=4.2.0.0
install_cutlass() {
  local target=.deps/cutlass part=".deps/cutlass.part.$$" quiet=-q
  if [ "$(cat "$target/stamp" 2>/dev/null)" = "$cutlass_version" ]; then
    say "CUTLASS: $cutlass_version is there"
    return
  fi
  if ! have_nvcc; then
    say "CUTLASS: not needed without nvcc"
    return
  fi
  if [ "$list_only" = yes ]; then
    say "optional headers missing: CUTLASS $cutlass_version"
    return
  fi
  say "CUTLASS: downloading the headers of $cutlass_version into $target"
  if [ -t 1 ]; then quiet=""; fi
  rm -rf .deps/cutlass.part.*
  mkdir -p "$part/tree"
  if python3 -m pip download $quiet --disable-pip-version-check --no-deps --only-binary=:all: -d "$part" \
    "nvidia-cutlass==$cutlass_version" &&
    unzip -q "$part"/nvidia_cutlass-*.whl 'cutlass_library/source/include/*' '*/LICENSE*' -d "$part/unpacked"; then
    mv "$part/unpacked/cutlass_library/source/include" "$part/tree/include"
    find "$part/unpacked" -name 'LICENSE*' -exec cp {} "$part/tree/" ';'
    printf '%s\n' "$cutlass_version" > "$part/tree/stamp"
    rm -rf "$target"
    mv "$part/tree" "$target"
  else
    say "CUTLASS: could not be fetched; the build goes on without it" >&2
  fi
  rm -rf "$part"
}

install_downloads() {
  install_libtorch
  install_cutlass
}

# The download waits for nothing but pip and unzip: where they are there already, it runs beside the packages.
if [ "$list_only" = no ] && python3 -m pip --version >/dev/null 2>&1 && command -v unzip >/dev/null 2>&1; then
  install_downloads & download=$!
  trap 'kill "$download" 2>/dev/null || true' EXIT  # where the packages fail, nobody waits for the download
  install_packages
  wait "$download"
  trap - EXIT
else
  install_packages
  if command -v python3 >/dev/null 2>&1; then install_downloads; fi
fi
if [ "$incomplete" = yes ]; then
  say "something required is missing" >&2
  exit 1
fi
say "done"

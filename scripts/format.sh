#!/usr/bin/env bash
# Formats every C++ and CUDA source of the project with clang-format 14, the version that .clang-format was tuned for
# (other versions disagree about details).
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'EOT'
Usage: scripts/format.sh [--check] [FILE ...]

  --check  change nothing; list what is not formatted and exit with 1
  FILE     only these (default: every .h, .cpp, .cu and .cuh that git does not ignore)

Exit code: 0 formatted, 1 not formatted (--check), 2 bad usage, 3 clang-format 14 is not installed.
EOT
}

check=no files=()
for argument in "$@"; do
  case "$argument" in
    --check) check=yes ;;
    --help|-h) usage; exit 0 ;;
    -*) echo "format: unknown argument '$argument'; see scripts/format.sh --help" >&2; exit 2 ;;
    *) files+=("$argument") ;;
  esac
done

tool=""
for candidate in clang-format-14 clang-format; do
  if command -v "$candidate" >/dev/null 2>&1 && "$candidate" --version | grep -q 'version 14\.'; then
    tool=$candidate
    break
  fi
done
if [ -z "$tool" ]; then
  echo "format: clang-format 14 was not found: install clang-format-14 (apt-get) or clang-format==14.0.6 (pip)" >&2
  exit 3
fi

if [ ${#files[@]} -eq 0 ]; then
  # Tracked and new files; a tracked file that was deleted is not there to be formatted.
  while IFS= read -r -d '' file; do
    if [ -f "$file" ]; then files+=("$file"); fi
  done < <(git ls-files -z --cached --others --exclude-standard -- '*.h' '*.cpp' '*.cu' '*.cuh')
fi
if [ ${#files[@]} -eq 0 ]; then
  echo "format: no sources found"
  exit 0
fi

if [ "$check" = yes ]; then
  unformatted=0
  for file in "${files[@]}"; do
    if ! "$tool" --dry-run --Werror "$file" >/dev/null 2>&1; then
      echo "format: $file is not formatted" >&2
      unformatted=$((unformatted + 1))
    fi
  done
  if [ "$unformatted" -gt 0 ]; then
    echo "format: $unformatted of ${#files[@]} files are not formatted; run scripts/format.sh" >&2
    exit 1
  fi
  echo "format: ${#files[@]} files are formatted"
else
  "$tool" -i "${files[@]}"
  echo "format: ${#files[@]} files formatted"
fi

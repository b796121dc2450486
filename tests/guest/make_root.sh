#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Fetches what the guests need into one folder, without touching the host: QEMU with the vfio-user
# client (Debian 13's backports; Debian 12's QEMU is too old), busybox, the kernels 6.12 and 6.1. apt
# resolves and checks them against an empty system in FOLDER/apt; the packages are unpacked and never
# installed, no script of theirs runs, and no right of root is needed.
#
#   usage: make_root.sh FOLDER
#
# Leaves FOLDER/root (the packages of Debian 13), FOLDER/qemu (starts the QEMU in it) and
# FOLDER/kernel-VERSION/{vmlinux,modules/}. Made again when this file changes. Exit status 3 and one
# line that says why: the packages cannot be had here.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$1" || exit 1
folder=$(cd "$1" && pwd)
apt=$folder/apt
log=$folder/log
stamp=$(sha256sum <"${BASH_SOURCE[0]}")

[[ -f $folder/stamp && $(<"$folder/stamp") == "$stamp" ]] && exit 0

unavailable() {
  [[ -s $log ]] && tail -n 3 "$log" >&2
  printf 'guests: %s\n' "$*"
  exit 3
}

for tool in apt-get dpkg-deb xz zstd; do
  command -v "$tool" >/dev/null || unavailable "no $tool here"
done

# The host's own mirror of Debian; its settings for proxies hold as well, since apt reads them.
mirror=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)' 2>/dev/null |
  awk -F'|' '$1 == "Debian" && $2 == "Debian" && $3 == "main" { print $4; exit }')
# Where no list has been fetched yet, nothing says whose an entry is: the first that is no security one.
[[ -n $mirror ]] || mirror=$(apt-get indextargets --format '$(COMPONENT)|$(REPO_URI)' 2>/dev/null |
  awk -F'|' '$1 == "main" && $2 !~ /security/ { print $2; exit }')
[[ -n $mirror ]] || unavailable "apt knows no mirror of Debian here"

rm -rf "$apt" "$folder/root" "$folder"/kernel-* "$folder/stamp"
mkdir -p "$apt"/{etc,debs,lists/partial,cache/archives/partial} "$folder/root"
: >"$apt/status"
: >"$log"
for suite in trixie trixie-backports bookworm; do
  printf 'deb %s %s main\n' "$mirror" "$suite"
done >"$apt/etc/sources.list"

# Backports count in full, since a new QEMU asks for new firmware; Debian 12 for its kernel only.
cat >"$apt/etc/preferences" <<'TEXT'
Package: *
Pin: release n=trixie-backports
Pin-Priority: 500

Package: *
Pin: release n=bookworm
Pin-Priority: 50
TEXT

# With nothing of the host but its settings and keys.
apt_options=(
  -o Dir::State="$apt" -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/status"
  -o Dir::Cache="$apt/cache" -o Dir::Etc::sourcelist="$apt/etc/sources.list"
  -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferences="$apt/etc/preferences"
  -o Dir::Etc::preferencesparts=/dev/null -o APT::Sandbox::User="$(id -un)"
  -o APT::Architecture=amd64 -o APT::Architectures=amd64 -o APT::Install-Recommends=false
  -o APT::Update::Post-Invoke-Success= -o DPkg::Post-Invoke= -o Debug::NoLocking=1
  -o Acquire::Retries=3 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30)
apt_get() { apt-get -q -y "${apt_options[@]}" "$@" >>"$log" 2>&1 </dev/null; }

apt_get update --error-on=any || unavailable "the package lists of Debian 13 cannot be had from $mirror"
apt_get install --download-only qemu-system-x86 busybox-static ||
  unavailable "QEMU for Debian 13 cannot be downloaded"
for package in "$apt"/cache/archives/*.deb; do
  dpkg-deb -x "$package" "$folder/root" 2>>"$log" || unavailable "cannot unpack ${package##*/}"
done

# QEMU runs with the libraries it came with, so it needs neither a chroot nor anything of the host.
cat >"$folder/qemu" <<'TEXT'
#!/bin/sh
root=$(dirname "$(readlink -f "$0")")/root
libraries=$root/usr/lib/x86_64-linux-gnu
QEMU_MODULE_DIR=$libraries/qemu exec "$root/usr/lib64/ld-linux-x86-64.so.2" \
  --library-path "$libraries" "$root/usr/bin/qemu-system-x86_64" \
  -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" -L "$root/usr/lib/ipxe/qemu" "$@"
TEXT
chmod +x "$folder/qemu"
"$folder/qemu" -machine q35 -device help 2>>"$log" </dev/null | grep -q '"vfio-user-pci"' ||
  unavailable "this QEMU ($("$folder/qemu" --version 2>&1 | head -n 1)) has no vfio-user-pci"

# unpack_kernel IMAGE TO: the ELF file inside a bzImage, which QEMU starts by its PVH entry, sparing
# the guest seconds of decompression under emulation. What follows the compressed stream is no error.
unpack_kernel() {
  local at
  at=$(LC_ALL=C grep -aobP -m1 '\x28\xb5\x2f\xfd' "$1" | head -n 1 | cut -d: -f1)
  if [[ -n $at ]]; then
    tail -c "+$((at + 1))" "$1" | zstd -qdc >"$2" 2>/dev/null
  fi
  if [[ ! -s $2 ]]; then
    at=$(LC_ALL=C grep -aobP -m1 '\xfd7zXZ\x00' "$1" | head -n 1 | cut -d: -f1)
    [[ -n $at ]] && tail -c "+$((at + 1))" "$1" | xz -qdc --single-stream >"$2" 2>/dev/null
  fi
  [[ $(head -c 4 "$2") == $'\x7fELF' ]]
}

# The packages of the kernels are not installed, which would ask for boot loaders and the like.
for version in 6.12 6.1; do
  package=$(apt-cache "${apt_options[@]}" show linux-image-amd64 2>>"$log" |
    sed -n "s/^Depends: \(linux-image-${version//./\\.}[.-][^ ,]*\).*/\1/p" | head -n 1)
  [[ -n $package ]] || unavailable "there is no kernel $version"
  (cd "$apt/debs" && apt_get download "$package") || unavailable "$package cannot be downloaded"
  to=$folder/kernel-$version
  mkdir -p "$to/modules" "$to/unpacked"
  dpkg-deb --fsys-tarfile "$apt/debs/$package"_*.deb | tar -x -C "$to/unpacked" --wildcards \
    './boot/vmlinuz-*' '*/drivers/virtio/*' '*/drivers/block/virtio_blk.ko*' \
    '*/drivers/iommu/virtio-iommu.ko*' 2>>"$log"
  find "$to/unpacked" -name '*.ko*' -exec mv -t "$to/modules" {} +
  find "$to/modules" -name '*.xz' -exec xz -d {} +
  unpack_kernel "$to"/unpacked/boot/vmlinuz-* "$to/vmlinux" ||
    unavailable "cannot unpack the kernel of $package"
  rm -rf "$to/unpacked" "$apt/debs/$package"_*.deb
done

rm -rf "$apt"
printf '%s\n' "$stamp" >"$folder/stamp"

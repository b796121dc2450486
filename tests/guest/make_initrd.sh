#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Packs the init script beside this file with busybox and a kernel's modules.
#
#   usage: make_initrd.sh FOLDER VERSION      FOLDER as make_root.sh left it; writes
#                                             FOLDER/kernel-VERSION/initrd
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$(cd "$1" && pwd)
kernel=$folder/kernel-$2
busybox=$folder/root/usr/bin/busybox

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/{bin,modules,dev,proc,sys,tmp}
cp "$busybox" "$tree/bin/busybox"
cp "$here/init" "$tree/init"
chmod +x "$tree/init"
for module in virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci \
  virtio-iommu virtio_blk; do
  [[ ! -f $kernel/modules/$module.ko ]] || cp "$kernel/modules/$module.ko" "$tree/modules/"
done
# Not compressed: unpacking it would be the guest's work, under emulation.
(cd "$tree" && find . | "$busybox" cpio -o -H newc 2>/dev/null) >"$kernel/initrd.new"
mv "$kernel/initrd.new" "$kernel/initrd"

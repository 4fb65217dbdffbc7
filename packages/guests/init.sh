#!/bin/sh
# The guest's first process: /init of the initramfs. Kernel command-line words it knows are listed in README.md.
bb=/bin/busybox
export PATH=/sbin:/usr/sbin:/bin:/usr/bin HOME=/ TERM=linux
$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mount -t devtmpfs devtmpfs /dev
$bb mkdir -p /dev/pts
$bb mount -t devpts devpts /dev/pts
$bb --install -s

exec_word= nonce= modules= cols= rows= init= root= types= flags= mode=rw rooted=
for word in $(cat /proc/cmdline); do
  case $word in
    vm.exec=*) exec_word=${word#vm.exec=} ;;
    vm.nonce=*) nonce=${word#vm.nonce=} ;;
    vm.modules=*) modules=${word#vm.modules=} ;;
    vm.cols=*) cols=${word#vm.cols=} ;;
    vm.rows=*) rows=${word#vm.rows=} ;;
    init=*) init=${word#init=} ;;
    root=*) root=${word#root=} ;;
    rootfstype=*) types=${word#rootfstype=} ;;
    rootflags=*) flags=,${word#rootflags=} ;;
    ro | rw) mode=$word ;;
    --) break ;;
  esac
done

load() {
  for name; do
    [ ! -f "/lib/modules/$name.ko" ] || insmod "/lib/modules/$name.ko"
  done
}

# Virtio is modular in Debian's cloud kernels, and loading it costs a plain boot time it need not spend:
# a transport is loaded when the ACPI tables or PCI show one, a driver when the transport shows its device.
has_mmio() { for device in /sys/bus/acpi/devices/LNRO0005:*; do [ -e "$device" ] && return; done; return 1; }
has_pci() {
  for vendor in /sys/bus/pci/devices/*/vendor; do
    [ -e "$vendor" ] && read -r id <"$vendor" && [ "$id" = 0x1af4 ] && return
  done
  return 1
}
transports=
if [ "$modules" = 1 ] || has_mmio; then transports=virtio_mmio; fi
if [ "$modules" = 1 ] || has_pci; then
  transports="$transports virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci"
fi
if [ "$modules" != 0 ] && [ -n "$transports" ]; then
  load virtio_ring virtio $transports
  ids=" $(cat /sys/bus/virtio/devices/*/device 2>/dev/null | tr '\n' ' ')"
  case "$modules$ids" in 1*|*" 0x0002 "*) load virtio_blk ;; esac
  case "$modules$ids" in 1*|*" 0x0004 "*) load virtio-rng ;; esac
  case "$modules$ids" in 1*|*" 0x0003 "*) load virtio_console ;; esac
fi

# A TD's reports and quotes: /sys/kernel/config/tsm/report.
if [ "$modules" != 0 ] && [ -f /lib/modules/tdx-guest.ko ] && grep -qw tdx_guest /proc/cpuinfo; then
  load configfs tsm tdx-guest
  mount -t configfs configfs /sys/kernel/config
fi

if [ -n "$exec_word" ]; then
  # From the begin mark on, the serial line carries the command's bytes and nothing else.
  dmesg -n 1
  stty -F /dev/ttyS0 raw -echo -opost
  case $((${#exec_word} % 4)) in 2) exec_word=$exec_word== ;; 3) exec_word=$exec_word= ;; esac
  command=$(echo "$exec_word" | tr '_-' '/+' | base64 -d)
  printf '\001VM-EXEC-BEGIN\002' >/dev/ttyS0
  { (cd / && exec sh -c "$command" </dev/null 2>&1); echo $? >/.exec-status; } | cat >/dev/ttyS0
  read -r status </.exec-status
  sync
  printf '\001VM-EXEC-END %s %s\002' "$nonce" "$status" >/dev/ttyS0
  stty -F /dev/ttyS0 raw # waits until the line has drained
  poweroff -f
fi

# A person pastes faster than programs read: the line must be able to make him wait.
stty -F /dev/ttyS0 crtscts
[ -z "$cols" ] || stty -F /dev/ttyS0 cols "$cols"
[ -z "$rows" ] || stty -F /dev/ttyS0 rows "$rows"
# Follows the size of the window, also in the root that is gone to.
if [ -n "$rows" ] && [ -x /vm-agent ]; then /vm-agent & fi

kinds() { [ -n "$types" ] && echo "$types" | tr , ' ' || { echo ext4 && sed -n 's/^\t//p' /proc/filesystems; }; }
# Links of a root are absolute in that root, so whether they lead anywhere here says nothing.
has() { for path; do { [ -e "/mnt/$path" ] || [ -L "/mnt/$path" ]; } && found=/$path && return; done; return 1; }
is_root() { has bin/sh usr/bin/sh && { [ -n "$init" ] || has sbin/init etc/init bin/init init; }; }

# Mounts what device $1 holds on /mnt if that is a Linux root. It is looked at without writing anything, its journal included.
try_root() {
  for kind in $(kinds); do
    case $kind in ext3 | ext4) look=ro,noload ;; *) look=ro ;; esac
    mount -t "$kind" -o "$look$flags" "$1" /mnt 2>/dev/null || continue
    is_root || { umount /mnt && return 1; }
    umount /mnt && mount -t "$kind" -o "$mode$flags" "$1" /mnt
    return
  done
  return 1
}

# The root of root=, or that of the first disk or of one of its partitions.
find_root() {
  case $root in
    none) return 1 ;;
    ?*) try_root "$root" ;;
    *) for device in /dev/vda /dev/vda[0-9]*; do [ -b "$device" ] && try_root "$device" && return; done; return 1 ;;
  esac
}

# A disk that holds none of the file systems tried is nothing to be told of.
read -r level rest </proc/sys/kernel/printk
dmesg -n 1
find_root && rooted=1
dmesg -n "$level"
if [ -n "$rooted" ]; then
  for path in dev proc sys; do mount --move "/$path" "/mnt/$path"; done
  exec switch_root /mnt "${init:-$found}"
fi
case $root in
  "" | none) ;;
  *)
    echo "ALERT! root=$root is no device with a Linux root on it." >/dev/console
    [ -z "$init" ] || exit 1 # the kernel takes this for the end
    ;;
esac
[ ! -x "$init" ] || exec "$init"
exec setsid cttyhack sh -i

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

exec_word= nonce= modules= cols= rows=
for word in $(cat /proc/cmdline); do
  case $word in
    vm.exec=*) exec_word=${word#vm.exec=} ;;
    vm.nonce=*) nonce=${word#vm.nonce=} ;;
    vm.modules=*) modules=${word#vm.modules=} ;;
    vm.cols=*) cols=${word#vm.cols=} ;;
    vm.rows=*) rows=${word#vm.rows=} ;;
  esac
done

load() {
  for name; do
    [ ! -f "/lib/modules/$name.ko" ] || insmod "/lib/modules/$name.ko"
  done
}

# Virtio is modular in Debian's cloud kernels, and loading it costs a plain boot time it need not spend:
# the transport is loaded when the ACPI tables show one, a driver when the transport shows its device.
has_virtio() { for device in /sys/bus/acpi/devices/LNRO0005:*; do [ -e "$device" ] && return; done; return 1; }
if [ "$modules" != 0 ] && { [ "$modules" = 1 ] || has_virtio; }; then
  load virtio_ring virtio virtio_mmio
  ids=" $(cat /sys/bus/virtio/devices/*/device 2>/dev/null | tr '\n' ' ')"
  case "$modules$ids" in 1*|*" 0x0002 "*) load virtio_blk ;; esac
  case "$modules$ids" in 1*|*" 0x0004 "*) load virtio-rng ;; esac
  case "$modules$ids" in 1*|*" 0x0003 "*) load virtio_console ;; esac
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

[ -z "$cols" ] || stty -F /dev/ttyS0 cols "$cols"
[ -z "$rows" ] || stty -F /dev/ttyS0 rows "$rows"
exec setsid cttyhack sh -i

#!/bin/sh
# sh compile-loop.sh SECONDS FILL: every turn writes another C program, compiles it and runs it: five processes, an executable
# that never was before, and as much code of cc1, as and ld as there is. First FILL MiB of memory are touched and given
# back, so that what grows afterwards is not the guest's. Prints `T turns`; the guest's clock says when it is over.
dmesg -n 1
export PATH=/usr/bin:/bin
mount -t tmpfs tmpfs /tmp
cd /tmp || exit 1
dd if=/dev/zero of=fill bs=1M count="$2" 2>/dev/null
rm fill
uptime() { read -r up rest </proc/uptime; seconds=${up%.*}; }
uptime
end=$((seconds + $1)) turn=0
echo "T 0"
while [ "$seconds" -lt "$end" ]; do
  turn=$((turn + 1)) name=f$((turn * 7919 % 1000003))
  cat >a.c <<EOF
int $name[] = {$turn, 2, 3};
int main(void) { unsigned s = 0; for (int i = 0; i < 99999; i++) s += $name[i % 3]; return s != 33333u * ($turn + 5u); }
EOF
  if gcc -O1 a.c -o a && ./a; then echo "T $turn"; else echo "FAILED $turn"; fi
  uptime
done
poweroff -f

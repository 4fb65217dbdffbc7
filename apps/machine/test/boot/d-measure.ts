import { readFileSync } from "node:fs";
import { ensureGuests } from "@vm/guests";
import { createMachine, type MachineOptions, MemoryDisk, OverlayDisk } from "../../src/index.js";
import { described, differing, encoded, goneOn, printed, standing } from "../boundaries.js";
const guests = await ensureGuests();
const TYPED = [
  "for k in 1 2 3; do (dd if=/dev/zero of=/dev/vda bs=4k count=40 seek=$((k*40)) conv=fsync; sha256sum /dev/vda) & done; wait",
  "cat /proc/interrupts; date; od -An -tx4 -N16 /dev/urandom; cat /proc/uptime",
  "poweroff -f",
];
const disk = () => new OverlayDisk(new MemoryDisk(1<<20));
const optionsOf = (): MachineOptions => ({ cpus: 2, memory: 192 << 20, clock: "icount", seed: 7, disks: [disk()], pci: true,
  kernel: readFileSync(guests.kernel("6.12")), initrd: readFileSync(guests.initrd("6.12")) });
let t = performance.now();
const lap = (w: string) => { const n = performance.now(); console.log(w, Math.round(n - t)); t = n; };
const m = await createMachine(optionsOf());
m.console.write(TYPED.join("\n") + "\n");
const text = printed(m);
const end = await m.run();
console.log(end, m.stats().instructions); lap("whole");
const total = m.stats().instructions;
const out = text(); console.log(out.length, out.indexOf("dd if"), out.slice(-300));
const a = await createMachine(optionsOf());
a.console.write(TYPED.join("\n") + "\n");
const at = printed(a);
let prev: any = null;
for (let k = 1; k <= 12; k++) {
  const n = Math.floor(total * (0.55 + k * 0.001));
  const s = await standing(a, n);
  const tx = at();
  lap(`A ${n} pages ${s.snapshot.memory.pages.length}`);
  const d = described(s.snapshot, tx); lap("describe");
  if (prev) {
    const b = await goneOn(prev, n, { disks: [disk()] }); lap("B");
    console.log(differing(d, b));
  }
  prev = encoded(s.snapshot); lap("encode");
  s.release();
}
a.stop(); await a.run();

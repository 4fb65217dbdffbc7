/**
 * Emission speed: the same synthetic region (loads, arithmetic, flags, a loop and exits, as a JIT would emit it) built by this package,
 * against copying the finished bytes one at a time into a plain Uint8Array, the least any builder has to do, and against what the engine does
 * with them when a module is made (each round gets bytes it has not seen, for engines keep what they compiled). Prints CPU time per byte, best of several rounds, and the ratios.
 */
import { type Expr, i32, i64, type Local, ModuleBuilder } from "../src/index.js";

const ROUNDS = 15;
const BLOCKS = 400;

function region(seed = 0): Uint8Array<ArrayBuffer> {
  const m = new ModuleBuilder();
  m.importMemory("env", "memory", { min: 1, max: 65536 });
  const slow = m.importFunction("env", "slow", ["i32", "i64"], "i32");
  const f = m.function(["i32"], "i32");
  const cpu = f.param<"i32">(0);
  const left = f.local("i32");
  const regs = Array.from({ length: 16 }, () => f.local("i64"));
  const reg = (k: number): Local<"i64"> => regs[k & 15] as Local<"i64">;
  for (const [k, r] of regs.entries()) f.set(r, i64.load(cpu, 8 * k));
  f.block((exit) => {
    f.loop((again) => {
      for (let k = 0; k < BLOCKS; k++) {
        f.scope(() => {
          const address = f.let("i64", i64.add(reg(k), i64.const(16 * k)));
          const entry = f.let(
            "i32",
            i32.add(i32.load(cpu, 0x10c), i32.and(i32.shr_u(i32.wrap_i64(address), i32.const(8)), i32.const(0x3ff0))),
          );
          f.if(i64.ne(i64.and(i64.add(address, i64.const(7)), i64.const(-4096)), i64.load(entry)), () => {
            f.brIf(i32.eqz(f.call(slow, i32.const(k), address)), exit);
          });
          const value: Expr<"i64"> = i64.load(i32.add(i32.wrap_i64(address), i32.load(entry, 8)));
          const sum = f.let("i64", i64.add(reg(k + 3), value));
          f.store("i64.store", cpu, i64.xor(i64.xor(reg(k + 3), sum), address), 0xa8);
          f.store("i64.store", cpu, sum, 0xa0);
          f.set(reg(k + 5), sum);
        });
      }
      f.brIf(i32.gt_s(f.tee(left, i32.sub(left, i32.const(BLOCKS))), i32.const(0)), again);
    });
  });
  for (const [k, r] of regs.entries()) f.store("i64.store", cpu, r, 8 * k);
  f.value(i32.add(left, i32.const(0x10000000 + seed)));
  m.exportFunction("run", f);
  return m.bytes();
}

/** Nanoseconds of CPU time of one call, best of `ROUNDS` rounds of `repeat` calls. */
function best(repeat: number, round: () => void): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < ROUNDS; i++) {
    const start = process.cpuUsage();
    for (let r = 0; r < repeat; r++) round();
    const { user, system } = process.cpuUsage(start);
    least = Math.min(least, ((user + system) * 1000) / repeat);
  }
  return least;
}

const bytes = region();
const target = new Uint8Array(bytes.length);
let sink = 0;
const copy = best(200, () => {
  for (let k = 0; k < bytes.length; k++) target[k] = bytes[k] as number;
  sink += target[100] as number;
});
const emit = best(20, () => {
  sink += region().length;
});
const fresh = Array.from({ length: ROUNDS }, (_, seed) => region(seed + 1));
const compile = best(1, () => {
  sink += WebAssembly.Module.exports(new WebAssembly.Module(fresh.pop() as Uint8Array<ArrayBuffer>)).length;
});

const row = (name: string, ns: number): string =>
  `${name.padEnd(34)}${(ns / bytes.length).toFixed(2).padStart(9)} ns/byte${(ns / emit).toFixed(3).padStart(9)}x`;
console.log(`${bytes.length} bytes; ratios against the builder`);
console.log(row("builder", emit));
console.log(row("bytes copied one at a time", copy));
console.log(row("WebAssembly.Module", compile));
if (sink === 0) throw new Error("nothing was emitted");

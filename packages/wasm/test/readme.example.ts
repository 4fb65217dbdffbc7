import { i32, ModuleBuilder } from "@vm/wasm";

const m = new ModuleBuilder();
const f = m.function(["i32"], "i32");
const n = f.param<"i32">(0);
const sum = f.local("i32");
f.loop((again) => {
  f.set(sum, i32.add(sum, n));
  f.brIf(f.tee(n, i32.sub(n, i32.const(1))), again);
});
f.value(sum);
m.exportFunction("sum", f);
const { instance } = await WebAssembly.instantiate(m.bytes());
console.log((instance.exports as { sum: (n: number) => number }).sum(100));

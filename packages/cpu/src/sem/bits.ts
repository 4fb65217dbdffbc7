import { i64, select } from "@vm/wasm";
import type { Ctx, I64, Local64, Row, Size } from "./ctx.js";
import { signExtend } from "./widths.js";

const k = (value: number): I64 => i64.const(value);
const WIDE: readonly Size[] = [2, 4, 8];

/**
 * BT and friends. CF becomes the selected bit; ZF stays, the other flags are undefined and stay too. A register bit offset into
 * memory selects any bit relative to the operand: `bitString` rows move the address by whole operands first (SDM vol. 2, BT).
 */
const bitTest = (name: string, change: ((a: Local64, mask: Local64) => I64) | null): Row[] => {
  const emit = (c: Ctx): void => {
    const a = c.get(0);
    const at = c.f.let("i64", i64.and(c.get(1), k(8 * c.size - 1)));
    if (change !== null) {
      const mask = c.f.let("i64", i64.shl(k(1), at));
      c.set(0, change(a, mask));
    }
    c.flags.setCarry(i64.and(i64.shr_u(a, at), k(1)));
  };
  return [
    {
      name,
      sizes: WIDE,
      forms: ["rr", "ri", "mi"],
      modify: change !== null,
      reads: change === null,
      bitString: true,
      emit,
    },
  ];
};

/**
 * BSF/BSR. A zero source leaves the destination unchanged, all 64 bits of it, and PF set; else PF is that of the index. SF, AF, OF and CF
 * are 0 (undefined in the manual; recorded from Intel's and AMD's processors, which agree).
 */
const scan = (name: string, index: (c: Ctx, a: Local64) => I64): Row => ({
  name,
  sizes: WIDE,
  forms: ["rr", "rm"],
  emit: (c) => {
    const a = c.get(1);
    const words = c.flags.rewrite();
    words.setFr(k(0));
    c.if(i64.ne(a, k(0)), () => {
      const at = c.f.let("i64", index(c, a));
      c.set(0, at);
      // Not zero, whatever the index.
      words.setFr(i64.or(at, k(0x100)));
    });
    words.setFa(k(0));
  },
});

/** TZCNT/LZCNT: CF = source was zero, ZF = result is zero, the others 0 (PF, SF, AF and OF are undefined in the manual). */
const count = (name: string, index: (c: Ctx, a: Local64) => I64): Row => ({
  name,
  sizes: WIDE,
  forms: ["rr", "rm"],
  emit: (c) => {
    const a = c.get(1);
    const zero = c.f.let("i32", i64.eqz(a));
    const r = c.f.let("i64", select(zero, k(8 * c.size), index(c, a)));
    c.set(0, r);
    c.flags.compare(i64.eqz(r), zero);
  },
});

const leading = (c: Ctx, a: Local64): I64 => i64.sub(i64.clz(a), k(64 - 8 * c.size));

export const BITS: readonly Row[] = [
  ...bitTest("bt", null),
  ...bitTest("bts", (a, mask) => i64.or(a, mask)),
  ...bitTest("btr", (a, mask) => i64.and(a, i64.xor(mask, k(-1)))),
  ...bitTest("btc", (a, mask) => i64.xor(a, mask)),
  scan("bsf", (_, a) => i64.ctz(a)),
  scan("bsr", (_, a) => i64.sub(k(63), i64.clz(a))),
  count("tzcnt", (_, a) => i64.ctz(a)),
  count("lzcnt", leading),
  {
    name: "popcnt",
    sizes: WIDE,
    forms: ["rr", "rm"],
    emit: (c) => {
      const r = c.f.let("i64", i64.popcnt(c.get(1)));
      c.set(0, r);
      // ZF of the source, every other flag 0; PF is 0, so a parity byte of 1 stands for "not zero".
      const words = c.flags.rewrite();
      words.setFa(select(i64.eqz(r), k(0x100), k(0)));
      words.setFr(i64.extend_i32_u(i64.ne(r, k(0))));
    },
  },
  {
    // Address of the operand that holds bit `op1` of the bit string at the memory operand, as a step of its own.
    name: "bitaddr",
    sizes: WIDE,
    forms: ["mr"],
    emit: (c) => {
      const shift = c.size === 2 ? 4 : c.size === 4 ? 5 : 6;
      const units = i64.shr_s(signExtend(c.get(1), c.size), k(shift));
      c.setEaTmp(i64.add(c.linear(), i64.shl(units, k(shift - 3))));
    },
  },
  {
    name: "adcx",
    sizes: [4, 8],
    forms: ["rr"],
    modify: true,
    emit: (c) => addCarryOnly(c, 0),
  },
  {
    name: "adox",
    sizes: [4, 8],
    forms: ["rr"],
    modify: true,
    emit: (c) => addCarryOnly(c, 11),
  },
];

/** ADCX (flag bit 0) and ADOX (flag bit 11): an addition that reads and writes one flag only. */
function addCarryOnly(c: Ctx, flag: 0 | 11): void {
  const a = c.get(0);
  const b = c.get(1);
  const cf = c.f.let("i64", c.flags.carry());
  const of = c.f.let("i64", c.flags.overflow());
  const sum = c.f.let("i64", i64.add(i64.add(a, b), flag === 0 ? cf : of));
  const vector = i64.or(i64.and(a, b), i64.and(i64.or(a, b), i64.xor(sum, k(-1))));
  const out = c.f.let("i64", i64.and(i64.shr_u(vector, k(8 * c.size - 1)), k(1)));
  c.set(0, sum);
  if (flag === 0) c.flags.setCarryOverflow(out, of);
  else c.flags.setCarryOverflow(cf, out);
}

import type { Vcpu } from "@vm/cpu";
import type { World } from "./world.js";

/** Places in the state block (packages/cpu/src/state.ts): MXCSR, then XMM registers, x87 registers, control, status and tag words. */
const BLOCK_RANGES = [
  [0x1a0, 4],
  [0x200, 0x185],
] as const;

/** Everything architectural about a world, as parts with a name each, so that a difference says where it is. */
export type Digest = Readonly<Record<string, string>>;

export function digest(world: World): Digest {
  const parts: Record<string, string> = { memory: hash(world.frames) };
  world.vcpus.forEach((vcpu, id) => {
    for (const [name, value] of Object.entries(registers(vcpu))) parts[`vcpu ${id} ${name}`] = value;
    parts[`vcpu ${id} devices`] = String(world.devices[id]?.trace);
  });
  return parts;
}

function registers(vcpu: Vcpu): Record<string, string> {
  const half = (value: number): string => (value >>> 0).toString(16).padStart(8, "0");
  const general = Array.from({ length: 16 }, (_, r) => half(vcpu.regHi(r)) + half(vcpu.regLo(r)));
  const { ripLo, ripHi } = vcpu;
  return {
    general: general.join(" "),
    rip: half(ripHi) + half(ripLo),
    rflags: half(vcpu.rflags),
    control: [vcpu.cr0, vcpu.cr2Hi, vcpu.cr2Lo, vcpu.paging.cr3Hi, vcpu.paging.cr3Lo, vcpu.cr4, vcpu.efer]
      .map(half)
      .join(" "),
    tables: JSON.stringify([vcpu.gdtr, vcpu.idtr, vcpu.ldtr, vcpu.tr]),
    segments: JSON.stringify(vcpu.segments),
    debug: [...vcpu.dr].map(half).join(" "),
    msrs: JSON.stringify([[...vcpu.msrs].sort(([a], [b]) => a - b), vcpu.tscOffset, vcpu.tscAdjust]),
    units: BLOCK_RANGES.map(([at, length]) => hash(vcpu.bytes(at, length))).join(" "),
    activity: JSON.stringify([vcpu.activity, vcpu.retired]),
  };
}

/** Two multiplicative hashes of 32 bits over words. */
export function hash(bytes: Uint8Array): string {
  let [a, b] = [0x811c9dc5, 0x9747b28c];
  const words = bytes.byteOffset % 4 === 0 ? bytes.length >> 2 : 0;
  const whole = new Int32Array(bytes.buffer, words > 0 ? bytes.byteOffset : 0, words);
  for (let k = 0; k < words; k++) {
    const word = whole[k] as number;
    a = Math.imul(a ^ word, 0x01000193);
    b = (Math.imul(b, 31) + word) | 0;
  }
  for (let k = 4 * words; k < bytes.length; k++) a = Math.imul(a ^ (bytes[k] as number), 0x01000193);
  return `${(a >>> 0).toString(16)}${(b >>> 0).toString(16)}`;
}

/** Names of the parts that differ. */
export const differing = (a: Digest, b: Digest): readonly string[] =>
  Object.keys(a).filter((name) => a[name] !== b[name]);

import type { Random } from "../random.js";

const HEADER = 24;
const TYPE = 12;
/** Kinds, with the bytes behind a type that has `n` of whatever it has. */
const KINDS: readonly (readonly [kind: number, extra: (n: number) => number])[] = [
  [1, () => 4],
  [2, () => 0],
  [3, () => 12],
  [4, (n) => 12 * n],
  [4, (n) => 12 * n],
  [5, (n) => 12 * n],
  [6, (n) => 8 * n],
  [8, () => 0],
  [8, () => 0],
  [9, () => 0],
  [10, () => 0],
  [12, () => 0],
  [13, (n) => 8 * n],
  [15, (n) => 12 * n],
  [18, () => 0],
  [19, (n) => 12 * n],
];
/** Names there are; each type and member has one of them, or none. */
export const NAMES = ["task_struct", "cred", "pid", "comm", "tasks", "mm", "x"] as const;

/** Type information of about `count` types whose references lead anywhere, also to themselves. Well-formed otherwise. */
export function randomTypes(random: Random, count: number, padding = 0): Uint8Array<ArrayBuffer> {
  const text = `\0${NAMES.join("\0")}\0`;
  const names = [0, 0, ...NAMES.map((name) => text.indexOf(`\0${name}\0`) + 1)];
  const strings = new TextEncoder().encode(text);
  const shapes = Array.from({ length: count }, () => {
    const [kind, extra] = random.pick(KINDS);
    const n = random.below(random.chance(2) ? 300 : 6);
    return { kind, n, size: TYPE + extra(n) };
  });
  const length = shapes.reduce((sum, { size }) => sum + size, 0);
  const view = new DataView(new ArrayBuffer(HEADER + length + strings.length + padding));
  view.setUint32(0, 0x0001eb9f, true);
  [HEADER, 0, length, length, strings.length + padding].forEach(
    (each, k) => void view.setUint32(4 + 4 * k, each, true),
  );
  let at = HEADER;
  for (const { kind, n, size } of shapes) {
    view.setUint32(at, random.pick(names), true);
    view.setUint32(at + 4, (kind << 24) | n | (random.chance(10) ? 1 << 31 : 0), true);
    view.setUint32(at + 8, 1 + random.below(count), true);
    for (let more = at + TYPE; more < at + size; more += 4)
      view.setUint32(more, (more - at - TYPE) % 12 === 0 ? random.pick(names) : random.below(count + 2), true);
    at += size;
  }
  new Uint8Array(view.buffer).set(strings, at);
  return new Uint8Array(view.buffer);
}

/** Changes a few of the bytes, or words to telling values. */
export function spoil(bytes: Uint8Array<ArrayBuffer>, random: Random, from = 0, to = bytes.length): void {
  const view = new DataView(bytes.buffer);
  for (let k = 1 + random.below(5); k > 0; k--) {
    const at = from + random.below(to - from - 4);
    if (random.chance(50)) bytes[at] = random.word() & 0xff;
    else view.setUint32(at & ~3, random.pick([0, 1, 0xffffffff, 0x7fffffff, 1 << 24, 0x10000, random.word()]), true);
  }
}

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Command, ERRNO, MapFlag, MapType } from "../../src/index.js";
import { Caller } from "./caller.js";
import { GENERATION, KERNEL_CALLS, RunningKernel } from "./running-kernel.js";
import { type Buffer, type Patch, type Script, ScriptRun, type Step, slotAt } from "./script.js";
import { storageTypes } from "./storage-types.js";

const TYPES = storageTypes([65407, 65408]);
const { EINVAL, ENOENT, EBADF, EPERM, E2BIG, EEXIST, ENOTSUPP, EOPNOTSUPP, ENOTSOCK } = ERRNO;

/** 6.1 knows no lists and trees, and freezes what has locks. */
const OLD = GENERATION === "6.1";

interface Parts {
  readonly fields: Readonly<Record<number, number | bigint>>;
  readonly patches?: readonly Patch[];
  readonly buffers?: readonly Buffer[];
}

function call(about: string, command: number, { fields, patches = [], buffers = [] }: Parts): Step {
  const attr = new Uint8Array(152);
  const view = new DataView(attr.buffer);
  for (const [at, value] of Object.entries(fields))
    if (typeof value === "number") view.setUint32(Number(at), value >>> 0, true);
    else view.setBigUint64(Number(at), value, true);
  return { kind: "call", command, size: 152, attr, patches, buffers, outputs: [], about };
}

const fd = (of: number, at = 0): Patch => ({ at, kind: "F", of });
const bytes = (...words: number[]): Uint8Array => new Uint8Array(Uint32Array.from(words).buffer);

/** Steps about storage of one kind, with what the statements of the specification say comes of each. Step 0 loads types, 1 and 2 make maps. */
function statements(type: number, owner: number): readonly (readonly [Step, number])[] {
  const other = owner === -1 ? -2 : -1;
  const [update, lookup, remove] = [Command.MapUpdateElem, Command.MapLookupElem, Command.MapDeleteElem];
  const create = (about: string, change: Record<number, number> = {}): Step => {
    const plain = { 0: type, 4: 4, 8: 4, 16: MapFlag.NoPrealloc, 52: TYPES.int, 56: TYPES.int };
    return call(about, Command.MapCreate, { fields: { ...plain, ...change }, patches: [fd(0, 48)] });
  };
  const element = (about: string, command: number, map: number, key: number, flags = 0n, words = [5, 6]): Step =>
    call(about, command, {
      fields: {
        8: BigInt(slotAt(0)),
        ...(command === remove ? {} : { 16: BigInt(slotAt(1)) }),
        ...(flags === 0n ? {} : { 24: flags }),
      },
      patches: [fd(map)],
      buffers: [
        { bytes: bytes(0), shown: 0, patches: [fd(key)] },
        { bytes: bytes(...words), shown: 8 },
      ],
    });
  const batch = (command: number): Step =>
    call(`S9: batch ${command}`, command, {
      fields: { 8: BigInt(slotAt(2)), 16: BigInt(slotAt(0)), 24: BigInt(slotAt(1)), 32: 1 },
      patches: [fd(1, 36)],
    });
  const freeze = (map: number): Step => call("S12: freeze", Command.MapFreeze, { fields: {}, patches: [fd(map)] });
  return [
    [
      call("types", Command.BtfLoad, {
        fields: { 0: BigInt(slotAt(0)), 16: TYPES.bytes.length },
        buffers: [{ bytes: TYPES.bytes, shown: 0 }],
      }),
      1,
    ],
    [create("S1: as it should be"), 1],
    [create("S6: with a lock", { 8: 8, 56: TYPES.locked }), 1],
    [create("S1: with CLONE", { 16: MapFlag.NoPrealloc | MapFlag.Clone }), 1],
    ...[0, MapFlag.Clone, ...[MapFlag.Rdonly, MapFlag.RdonlyProg, MapFlag.NumaNode].map((flag) => flag | 1)].map(
      (flags) => [create(`S1: flags ${flags}`, { 16: flags }), -EINVAL] as const,
    ),
    [create("S1: keys of 8 bytes", { 4: 8, 52: TYPES.long }), -EINVAL],
    [create("S1: values of no bytes", { 8: 0 }), -EINVAL],
    [create("S1: max_entries", { 12: 1 }), -EINVAL],
    [create("S2: no type of keys", { 52: 0 }), -EINVAL],
    [create("S2: no type of values", { 56: 0 }), -EINVAL],
    [create("S2: keys without a sign", { 52: TYPES.unsigned }), 1],
    [create("S2: keys that are a structure", { 52: TYPES.four }), -EINVAL],
    [create("S2: a type of values of another size", { 56: TYPES.long }), -EINVAL],
    [create("S3: the largest value", { 8: 65407, 56: TYPES.array(65407) }), 1],
    [create("S3: larger", { 8: 65408, 56: TYPES.array(65408) }), -E2BIG],
    [create("S6: a timer", { 8: 16, 56: TYPES.timed }), -EOPNOTSUPP],
    [create("S6: a list", { 8: 24, 56: TYPES.listed }), OLD ? 1 : -EOPNOTSUPP],
    [create("S6: a tree", { 8: 24, 56: TYPES.tree }), OLD ? 1 : -EOPNOTSUPP],
    [element("S7: missing", lookup, 1, owner), -ENOENT],
    [element("S7: no descriptor", lookup, 1, -4), -EBADF],
    // Whatever is open has an inode.
    ...(type === MapType.InodeStorage
      ? []
      : [
          [
            element("S7: another's descriptor", lookup, 1, other),
            type === MapType.SkStorage ? -ENOTSOCK : -EBADF,
          ] as const,
        ]),
    [element("S8: EXIST", update, 1, owner, 2n), -ENOENT],
    [element("S8: NOEXIST", update, 1, owner, 1n), 0],
    [element("S8: NOEXIST again", update, 1, owner, 1n), -EEXIST],
    [element("S8: both", update, 1, owner, 3n), -EINVAL],
    [element("S8: more", update, 1, owner, 8n), -EINVAL],
    [element("S8: F_LOCK without a lock", update, 1, owner, 4n), -EINVAL],
    [element("S8: F_LOCK", update, 2, owner, 4n), 0],
    [element("S8: F_LOCK in place", update, 2, owner, 6n, [9, 7]), 0],
    [element("S8: the lock reads 0", lookup, 2, owner, 4n, [1, 1]), 0],
    [element("S9: next key", Command.MapGetNextKey, 1, owner), -ENOTSUPP],
    [element("S9: take", Command.MapLookupAndDeleteElem, 1, owner), -ENOTSUPP],
    ...[Command.MapLookupBatch, Command.MapLookupAndDeleteBatch, Command.MapUpdateBatch, Command.MapDeleteBatch].map(
      (command) => [batch(command), -ENOTSUPP] as const,
    ),
    [element("S9: delete", remove, 1, owner), 0],
    [element("S9: delete again", remove, 1, owner), -ENOENT],
    [freeze(1), 0],
    [element("S12: update of a frozen map", update, 1, owner), -EPERM],
    [freeze(2), OLD ? 0 : -ENOTSUPP],
    [element("S12: update of one with a lock", update, 2, owner), OLD ? -EPERM : 0],
  ];
}

describe.skipIf(KERNEL_CALLS === 0)("the running kernel", () => {
  let kernel: RunningKernel;
  beforeAll(() => {
    kernel = new RunningKernel();
  });
  afterAll(() => kernel.dispose());

  test.each([
    ["tasks", MapType.TaskStorage, -1],
    ["sockets", MapType.SkStorage, -2],
    ["inodes", MapType.InodeStorage, -3],
    ...(OLD ? [] : [["cgroups", MapType.CgrpStorage, -5] as const]),
  ] as const)("answers as is recorded about storage of %s, and so do we", (_name, type, owner) => {
    const rows = statements(type, owner);
    const script: Script = rows.map(([step]) => step);
    const [theirs = []] = kernel.ask([script]);
    const ours = new ScriptRun(new Caller({ generation: GENERATION, cpus: kernel.cpus })).run(script);
    const said = rows.map(([step, status]) => `${step.kind === "call" ? step.about : ""}: ${status}`);
    const of = (outcomes: readonly { readonly status: number }[]) =>
      rows.map(([step], k) => `${step.kind === "call" ? step.about : ""}: ${outcomes[k]?.status}`);
    expect(of(theirs)).toEqual(said);
    expect(of(ours)).toEqual(said);
    expect(ours).toEqual(theirs);
  });
});

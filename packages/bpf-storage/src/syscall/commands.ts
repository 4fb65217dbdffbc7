import type { Generation } from "../storage/storage-helpers.js";

/** Commands of bpf(2) (`enum bpf_cmd`, linux/bpf.h). */
export const Command = {
  ...({ MapCreate: 0, MapLookupElem: 1, MapUpdateElem: 2, MapDeleteElem: 3, MapGetNextKey: 4, ProgLoad: 5 } as const),
  ...({ ObjPin: 6, ObjGet: 7, ProgAttach: 8, ProgDetach: 9, ProgTestRun: 10, ProgGetNextId: 11 } as const),
  ...({ MapGetNextId: 12, ProgGetFdById: 13, MapGetFdById: 14, ObjGetInfoByFd: 15, ProgQuery: 16 } as const),
  ...({ RawTracepointOpen: 17, BtfLoad: 18, BtfGetFdById: 19, TaskFdQuery: 20, MapLookupAndDeleteElem: 21 } as const),
  ...({ MapFreeze: 22, BtfGetNextId: 23, MapLookupBatch: 24, MapLookupAndDeleteBatch: 25 } as const),
  ...({ MapUpdateBatch: 26, MapDeleteBatch: 27, LinkCreate: 28, LinkUpdate: 29, LinkGetFdById: 30 } as const),
  ...({
    LinkGetNextId: 31,
    EnableStats: 32,
    IterCreate: 33,
    LinkDetach: 34,
    ProgBindMap: 35,
    TokenCreate: 36,
  } as const),
} as const;
export type Command = (typeof Command)[keyof typeof Command];

/** Bytes of `union bpf_attr`; what a caller gives beyond must be zeros. */
export const ATTRIBUTE_BYTES: Readonly<Record<Generation, number>> = { "6.1": 144, "6.12": 152 };

/** Bytes that a command looks at, by generation: all behind them must be zeros (`CMD##_LAST_FIELD`, kernel/bpf/syscall.c). */
type Used = Readonly<Record<Generation, number>>;

const both = (bytes: number): Used => ({ "6.1": bytes, "6.12": bytes });
const used = (before: number, now: number): Used => ({ "6.1": before, "6.12": now });

/** Where the attributes of each command end. */
export const USED: ReadonlyMap<Command, Used> = new Map<Command, Used>([
  [Command.MapCreate, used(72, 80)],
  [Command.MapLookupElem, both(32)],
  [Command.MapUpdateElem, both(32)],
  [Command.MapDeleteElem, both(16)],
  [Command.MapGetNextKey, both(24)],
  [Command.ProgLoad, used(140, 148)],
  [Command.ObjPin, used(16, 20)],
  [Command.ObjGet, used(16, 20)],
  [Command.ProgAttach, used(20, 32)],
  [Command.ProgDetach, used(12, 32)],
  [Command.ProgTestRun, both(76)],
  [Command.ProgGetNextId, both(8)],
  [Command.MapGetNextId, both(8)],
  [Command.ProgGetFdById, both(4)],
  [Command.MapGetFdById, both(12)],
  [Command.ObjGetInfoByFd, both(16)],
  [Command.ProgQuery, used(40, 64)],
  [Command.RawTracepointOpen, used(12, 24)],
  [Command.BtfLoad, used(28, 40)],
  [Command.BtfGetFdById, both(4)],
  [Command.TaskFdQuery, both(48)],
  [Command.MapLookupAndDeleteElem, both(32)],
  [Command.MapFreeze, both(4)],
  [Command.BtfGetNextId, both(8)],
  [Command.MapLookupBatch, both(56)],
  [Command.MapLookupAndDeleteBatch, both(56)],
  [Command.MapUpdateBatch, both(56)],
  [Command.MapDeleteBatch, both(56)],
  [Command.LinkCreate, used(48, 60)],
  [Command.LinkUpdate, both(16)],
  [Command.LinkGetFdById, both(4)],
  [Command.LinkGetNextId, both(8)],
  [Command.EnableStats, both(4)],
  [Command.IterCreate, both(8)],
  [Command.LinkDetach, both(4)],
  [Command.ProgBindMap, both(12)],
  [Command.TokenCreate, used(0, 8)],
]);

/** Commands that a generation does not have: they are EINVAL. */
export const exists = (command: Command, generation: Generation): boolean =>
  command !== Command.TokenCreate || generation !== "6.1";

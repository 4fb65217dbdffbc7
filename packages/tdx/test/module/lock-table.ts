import { type Lock, TryLock } from "../../src/module/try-lock.js";
import { Host, MIB, PAGE, SCRATCH } from "./host.js";
import { TdHost, Tdh } from "./td-host.js";

/** A TD in the middle of everything, and what leaves lock of it. */
export class Scene {
  readonly host = new Host().bringUp();
  readonly td: TdHost;
  readonly spare = this.host.alloc();
  /** A vCPU that waits for ADDCX and INIT. */
  readonly raw = this.host.alloc();

  constructor(state: "initialized" | "runnable") {
    this.td = new TdHost(this.host)
      .build({ attributes: 1n })
      .addVcpu()
      .addPage(0)
      .addTables(2 * MIB, 2);
    this.host.must(Tdh.VpCreate, { rcx: this.raw, rdx: this.td.tdr });
    if (state === "runnable") this.td.finalize();
  }

  /** The lock of a page. */
  page(hpa: number): Lock {
    const entry = this.host.module.state.pamt.entry(hpa, 0);
    if (entry === undefined) throw new Error("no PAMT");
    return entry;
  }

  readonly locks = {
    TDR: () => this.page(this.td.tdr),
    TDVPR: () => this.page(this.td.vps[0]?.tdvpr ?? 0),
    RAW: () => this.page(this.raw),
    PAGE: () => this.page(this.spare),
    MAPPED: () => this.page(this.td.pages.get(0) ?? 0),
    TABLE: () => this.page(this.td.tables[2] ?? 0),
    OP_STATE: () => this.td.td.opStateLock,
    SEPT_TREE: () => this.td.td.septLock,
    ENTRY: () => this.entry(0, 0),
    ENTRY_1: () => this.entry(PAGE, 0),
    ENTRY_2M: () => this.entry(0, 1),
    ENTRY_FREE: () => this.entry(2 * MIB, 1),
    EPOCH: () => this.td.td.epoch.lock,
    KOT: () => this.host.module.state.kot.lock,
    WBCACHE: () => this.host.module.state.writeBacks[0]?.lock ?? new TryLock(),
  };

  entry(gpa: number, level: number): Lock {
    const entry = this.td.td.sept?.find(gpa, level);
    if (entry?.level !== level) throw new Error("no entry");
    return entry;
  }
}

export type LockName = keyof Scene["locks"];
/** The lock, E or S as the leaf takes it, and the operand that it answers with when it cannot. */
export type Row = readonly [LockName, "E" | "S", number];
const TDR = 128;
const [RCX, RDX, R8] = [1, 2, 8];
const OP_STATE = 172;
const SEPT_TREE = 146;
const EPOCH = 169;
const KOT = 186;
const WBCACHE = 188;
const shared: readonly Row[] = [
  ["TDR", "S", RDX],
  ["OP_STATE", "S", OP_STATE],
];
const vcpu: readonly Row[] = [
  ["TDVPR", "S", RCX],
  ["TDR", "S", TDR],
  ["OP_STATE", "S", OP_STATE],
];

/** Every leaf that locks anything, with what it locks in this order. */
export const LEAVES: readonly [string, number, (scene: Scene) => object, "initialized" | "runnable", readonly Row[]][] =
  [
    [
      "TDH.MNG.CREATE",
      Tdh.MngCreate,
      ({ spare }) => ({ rcx: spare, rdx: 18 }),
      "runnable",
      [
        ["PAGE", "E", RCX],
        ["KOT", "E", KOT],
      ],
    ],
    ["TDH.MNG.KEY.CONFIG", Tdh.MngKeyConfig, ({ td }) => ({ rcx: td.tdr }), "runnable", [["TDR", "E", RCX]]],
    [
      "TDH.MNG.ADDCX",
      Tdh.MngAddCx,
      ({ td, spare }) => ({ rcx: spare, rdx: td.tdr }),
      "runnable",
      [
        ["TDR", "E", RDX],
        ["PAGE", "E", RCX],
      ],
    ],
    ["TDH.MNG.INIT", Tdh.MngInit, ({ td }) => ({ rcx: td.tdr, rdx: SCRATCH }), "runnable", [["TDR", "E", RCX]]],
    [
      "TDH.MNG.VPFLUSHDONE",
      Tdh.VpFlushDone,
      ({ td }) => ({ rcx: td.tdr }),
      "runnable",
      [
        ["TDR", "E", RCX],
        ["KOT", "E", KOT],
      ],
    ],
    ["TDH.MNG.KEY.FREEID", Tdh.KeyFreeId, ({ td }) => ({ rcx: td.tdr }), "runnable", [["TDR", "E", RCX]]],
    [
      "TDH.MNG.RD",
      Tdh.MngRd,
      ({ td }) => ({ rcx: td.tdr }),
      "runnable",
      [
        ["TDR", "S", RCX],
        ["OP_STATE", "S", OP_STATE],
      ],
    ],
    [
      "TDH.MNG.WR",
      Tdh.MngWr,
      ({ td }) => ({ rcx: td.tdr }),
      "runnable",
      [
        ["TDR", "S", RCX],
        ["OP_STATE", "S", OP_STATE],
      ],
    ],
    [
      "TDH.VP.CREATE",
      Tdh.VpCreate,
      ({ td, spare }) => ({ rcx: spare, rdx: td.tdr }),
      "initialized",
      [...shared, ["PAGE", "E", RCX]],
    ],
    [
      "TDH.VP.ADDCX",
      Tdh.VpAddCx,
      ({ raw, spare }) => ({ rcx: spare, rdx: raw }),
      "initialized",
      [
        ["RAW", "E", RDX],
        ["TDR", "S", TDR],
        ["OP_STATE", "S", OP_STATE],
        ["PAGE", "E", RCX],
      ],
    ],
    [
      "TDH.VP.INIT",
      Tdh.VpInit,
      ({ raw }) => ({ rcx: raw }),
      "initialized",
      [
        ["RAW", "E", RCX],
        ["TDR", "S", TDR],
        ["OP_STATE", "S", OP_STATE],
      ],
    ],
    ["TDH.VP.RD", Tdh.VpRd, ({ td }) => ({ rcx: td.vps[0]?.tdvpr }), "runnable", vcpu],
    ["TDH.VP.WR", Tdh.VpWr, ({ td }) => ({ rcx: td.vps[0]?.tdvpr }), "runnable", vcpu],
    [
      "TDH.VP.ENTER",
      Tdh.VpEnter,
      ({ td }) => ({ rcx: td.vps[0]?.tdvpr }),
      "runnable",
      [...vcpu, ["EPOCH", "S", EPOCH]],
    ],
    [
      "TDH.VP.FLUSH",
      Tdh.VpFlush,
      ({ td }) => ({ rcx: td.vps[0]?.tdvpr }),
      "runnable",
      [
        ["TDVPR", "E", RCX],
        ["TDR", "S", TDR],
      ],
    ],
    [
      "TDH.MEM.SEPT.ADD",
      Tdh.SeptAdd,
      ({ td, spare }) => ({ rcx: 2 * MIB + 1, rdx: td.tdr, r8: spare }),
      "runnable",
      [...shared, ["SEPT_TREE", "S", SEPT_TREE], ["ENTRY_FREE", "E", RCX], ["PAGE", "E", R8]],
    ],
    [
      "TDH.MEM.SEPT.RD",
      Tdh.SeptRd,
      ({ td }) => ({ rcx: 0, rdx: td.tdr }),
      "runnable",
      [...shared, ["SEPT_TREE", "S", SEPT_TREE], ["ENTRY", "E", RCX]],
    ],
    [
      "TDH.MEM.SEPT.REMOVE",
      Tdh.SeptRemove,
      ({ td }) => ({ rcx: 1, rdx: td.tdr }),
      "runnable",
      [...shared, ["SEPT_TREE", "E", SEPT_TREE], ["ENTRY_2M", "E", RCX], ["TABLE", "E", RCX]],
    ],
    [
      "TDH.MEM.PAGE.ADD",
      Tdh.PageAdd,
      ({ td, spare }) => ({ rcx: PAGE, rdx: td.tdr, r8: spare, r9: SCRATCH }),
      "initialized",
      [
        ["TDR", "E", RDX],
        ["PAGE", "E", R8],
      ],
    ],
    [
      "TDH.MEM.PAGE.AUG",
      Tdh.PageAug,
      ({ td, spare }) => ({ rcx: PAGE, rdx: td.tdr, r8: spare }),
      "runnable",
      [...shared, ["SEPT_TREE", "S", SEPT_TREE], ["ENTRY_1", "E", RCX], ["PAGE", "E", R8]],
    ],
    [
      "TDH.MEM.PAGE.REMOVE",
      Tdh.PageRemove,
      ({ td }) => ({ rcx: 0, rdx: td.tdr }),
      "initialized",
      [...shared, ["SEPT_TREE", "S", SEPT_TREE], ["ENTRY", "E", RCX], ["MAPPED", "E", RCX]],
    ],
    [
      "TDH.MEM.PAGE.RELOCATE",
      Tdh.PageRelocate,
      ({ td, spare }) => ({ rcx: 0, rdx: td.tdr, r8: spare }),
      "initialized",
      [...shared, ["SEPT_TREE", "S", SEPT_TREE], ["ENTRY", "E", RCX], ["MAPPED", "E", RCX], ["PAGE", "E", R8]],
    ],
    [
      "TDH.MEM.PAGE.PROMOTE",
      Tdh.PagePromote,
      ({ td }) => ({ rcx: 1, rdx: td.tdr }),
      "initialized",
      [...shared, ["SEPT_TREE", "S", SEPT_TREE], ["ENTRY_2M", "E", RCX], ["TABLE", "E", RCX], ["ENTRY", "E", RCX]],
    ],
    [
      "TDH.MEM.PAGE.DEMOTE",
      Tdh.PageDemote,
      ({ td, spare }) => ({ rcx: 1, rdx: td.tdr, r8: spare }),
      "initialized",
      [...shared, ["SEPT_TREE", "S", SEPT_TREE], ["ENTRY_2M", "E", RCX]],
    ],
    [
      "TDH.MEM.RANGE.BLOCK",
      Tdh.RangeBlock,
      ({ td }) => ({ rcx: 0, rdx: td.tdr }),
      "runnable",
      [...shared, ["SEPT_TREE", "E", SEPT_TREE], ["ENTRY", "E", RCX]],
    ],
    [
      "TDH.MEM.RANGE.UNBLOCK",
      Tdh.RangeUnblock,
      ({ td }) => ({ rcx: 0, rdx: td.tdr }),
      "runnable",
      [...shared, ["SEPT_TREE", "E", SEPT_TREE], ["ENTRY", "E", RCX]],
    ],
    [
      "TDH.MEM.TRACK",
      Tdh.Track,
      ({ td }) => ({ rcx: td.tdr }),
      "runnable",
      [
        ["TDR", "S", RCX],
        ["OP_STATE", "S", OP_STATE],
        ["EPOCH", "E", EPOCH],
      ],
    ],
    [
      "TDH.MEM.RD",
      Tdh.MemRd,
      ({ td }) => ({ rcx: 0, rdx: td.tdr }),
      "runnable",
      [...shared, ["SEPT_TREE", "S", SEPT_TREE], ["ENTRY", "E", RCX]],
    ],
    [
      "TDH.MEM.WR",
      Tdh.MemWr,
      ({ td }) => ({ rcx: 0, rdx: td.tdr }),
      "runnable",
      [...shared, ["SEPT_TREE", "S", SEPT_TREE], ["ENTRY", "E", RCX]],
    ],
    ["TDH.MR.EXTEND", Tdh.MrExtend, ({ td }) => ({ rcx: 0, rdx: td.tdr }), "initialized", [["TDR", "E", RDX]]],
    ["TDH.MR.FINALIZE", Tdh.MrFinalize, ({ td }) => ({ rcx: td.tdr }), "initialized", [["TDR", "E", RCX]]],
    ["TDH.PHYMEM.PAGE.RDMD", Tdh.PageRdMd, ({ spare }) => ({ rcx: spare }), "runnable", [["PAGE", "S", RCX]]],
    [
      "TDH.PHYMEM.PAGE.RECLAIM",
      Tdh.PageReclaim,
      ({ td }) => ({ rcx: td.pages.get(0) }),
      "runnable",
      [
        ["MAPPED", "E", RCX],
        ["TDR", "S", TDR],
      ],
    ],
    ["TDH.PHYMEM.PAGE.WBINVD", Tdh.PageWbInvd, ({ spare }) => ({ rcx: spare }), "runnable", [["PAGE", "S", RCX]]],
    [
      "TDH.PHYMEM.CACHE.WB",
      Tdh.CacheWb,
      () => ({ rcx: 0 }),
      "runnable",
      [
        ["WBCACHE", "E", WBCACHE],
        ["KOT", "S", KOT],
      ],
    ],
  ];

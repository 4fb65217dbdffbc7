// What leaves do in which states, against the tables that were extracted from Intel's module.
import { describe, expect, it } from "vitest";
import { SEAMCALLS } from "../../src/module/leaves/table.js";
import type { SeptEntry } from "../../src/module/sept.js";
import { isLeafState, publicState, SeptState } from "../../src/module/sept-state.js";
import { OpState } from "../../src/module/td.js";
import { dataText, HAS_DATA, WITHOUT_DATA } from "../data.js";
import { Host, MIB, PAGE, SCRATCH } from "./host.js";
import { TdHost, Tdh } from "./td-host.js";

type Lists = Record<string, string[]>;
const json = (name: string) => JSON.parse(dataText(`tdx-module-tables/${name}.json`));
/** `EXPORTED_DIRTY` -> `ExportedDirty` */
const camel = (name: string) =>
  name.toLowerCase().replace(/(^|_)([a-z])/g, (_all, _line, letter: string) => letter.toUpperCase());
const intelName = (name: string) => `TDH_${name.slice(4).replaceAll(".", "_")}`;
/** States of the secure EPT that L1 has, by Intel's names. */
const l1States = (encoding: Record<string, number>) =>
  Object.entries(encoding).filter(([name]) => !name.startsWith("L2_"));

describe.skipIf(!HAS_DATA)(`leaves and states of Intel's module 1.5.01${WITHOUT_DATA}`, () => {
  it("secure EPT: the encoding of every state, and what hosts are told of it", () => {
    const { encoding, flags } = json("sept");
    for (const [name, code] of l1States(encoding)) {
      const state = SeptState[camel(name).replace(/w$/, "W") as keyof typeof SeptState];
      expect([name, state]).toEqual([name, code]);
      expect([name, publicState(state)]).toEqual([name, flags[name].public_state]);
    }
  });

  it("op_states: those that a leaf works in, as far as a module without migration has them", () => {
    const allowed: Lists = json("leaves").allowedOpStates;
    for (const { name, states } of SEAMCALLS.values()) {
      if (states === undefined) continue;
      const theirs = (allowed[intelName(name)] ?? []).map((state) => OpState[camel(state) as keyof typeof OpState]);
      expect([name, ...states]).toEqual([name, ...theirs.filter((state) => state <= OpState.Runnable)]);
    }
  });

  const host = new Host().bringUp();
  const leaves: readonly [string, number, Levels][] = [
    ["TDH_MEM_SEPT_ADD", Tdh.SeptAdd, "large"],
    ["TDH_MEM_SEPT_RD", Tdh.SeptRd, "any"],
    ["TDH_MEM_SEPT_REMOVE", Tdh.SeptRemove, "large"],
    ["TDH_MEM_PAGE_ADD", Tdh.PageAdd, "small"],
    ["TDH_MEM_PAGE_AUG", Tdh.PageAug, "any"],
    ["TDH_MEM_PAGE_REMOVE", Tdh.PageRemove, "any"],
    ["TDH_MEM_PAGE_RELOCATE", Tdh.PageRelocate, "small"],
    ["TDH_MEM_PAGE_PROMOTE", Tdh.PagePromote, "large"],
    ["TDH_MEM_PAGE_DEMOTE", Tdh.PageDemote, "large"],
    ["TDH_MEM_RANGE_BLOCK", Tdh.RangeBlock, "any"],
    ["TDH_MEM_RANGE_UNBLOCK", Tdh.RangeUnblock, "any"],
    ["TDH_MEM_RD", Tdh.MemRd, "small"],
    ["TDH_MEM_WR", Tdh.MemWr, "small"],
    ["TDH_MR_EXTEND", Tdh.MrExtend, "small"],
  ];

  it.each(leaves)(
    "%s: works on entries of the states that Intel's works on, and on no others",
    (name, leaf, levels) => {
      const { encoding, seamcallAllowed } = json("sept") as {
        encoding: Record<string, number>;
        seamcallAllowed: Lists;
      };
      const td = new TdHost(host).build({ attributes: 1n }).addVcpu();
      try {
        // Leaves for small pages only cannot be asked about tables.
        const states = l1States(encoding).filter(([, code]) => levels !== "small" || !isNonLeaf(code));
        const works = states.filter(([, code]) => tryState(td, leaf, code, levels)).map(([state]) => state);
        expect(works.toSorted()).toEqual((seamcallAllowed[name] ?? []).toSorted());
      } finally {
        td.freeKey();
      }
    },
  );
});

/** Levels of entries that a leaf takes: 4 KiB, from 2 MiB on, or both. */
type Levels = "small" | "large" | "any";
const isNonLeaf = (state: SeptState) => state === SeptState.NlMapped || state === SeptState.NlBlocked;
const REFUSED = /^(EPT_ENTRY_STATE_INCORRECT|GPA_RANGE_ALREADY_BLOCKED|EPT_ENTRY_NOT_PRESENT|EPT_WALK_FAILED)/;
/** What guests may do in a state: nothing, all, or all but write. */
const rightsOf = (state: SeptState) =>
  state === SeptState.Mapped || state === SeptState.ExportedDirty
    ? 7
    : isLeafState(state) && (state & 0x1c) === 4
      ? 5
      : 0;
let next = 0;

/** Whether a leaf works on an entry that is in `state`. */
function tryState(td: TdHost, leaf: number, state: SeptState, levels: Levels): boolean {
  const { host, tdr } = td;
  const level = levels === "large" || isNonLeaf(state) ? 1 : 0;
  const gpa = 2 * MIB * next++;
  td.addTables(gpa, level === 1 && !isNonLeaf(state) ? 2 : 1);
  if (isLeafState(state)) {
    const page = host.alloc(level === 1 ? 2 * MIB : PAGE);
    host.must(Tdh.PageAug, { rcx: gpa + level, rdx: tdr, r8: page });
  }
  const entry = td.td.sept?.find(gpa, level) as SeptEntry;
  if (state === SeptState.Removed) entry.clear(state);
  else if (state !== SeptState.Free) entry.setState(state, state === SeptState.NlMapped ? 7 : rightsOf(state));
  const isAddress = [Tdh.MemRd, Tdh.MemWr, Tdh.MrExtend].some((known) => known === leaf);
  const r8 = host.alloc(leaf === Tdh.PageAug && level === 1 ? 2 * MIB : PAGE);
  const rdx = leaf === Tdh.SeptAdd ? BigInt(tdr) | 1n : BigInt(tdr);
  const { text } = host.call(leaf, { rcx: isAddress ? gpa : gpa + level, rdx, r8, r9: SCRATCH });
  return !REFUSED.test(text);
}

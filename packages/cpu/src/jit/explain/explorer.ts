import { ModuleBuilder } from "@vm/wasm";
import type { CodePage } from "../../code/cache.js";
import type { Gfn } from "../../units.js";
import type { Block, Target } from "../blocks.js";
import type { Jit } from "../jit.js";
import { observe, type RegionPlan, type RegionTally } from "../observer.js";
import { importForRegions, writeRegion } from "../region.js";
import { addressAt, CodeReader, ordinal } from "./code-reader.js";
import type {
  ExplainedBlock,
  ExplainedExit,
  ExplainedInstruction,
  ExplainedRegion,
  ExplainedWay,
  Explanation,
  RegionState,
} from "./explanation.js";
import { type CountedExit, Tally } from "./tally.js";

/** Regions that are kept in mind. */
const MAX_SEEN = 64;

/** A region that contains the address. */
interface Seen {
  readonly plan: RegionPlan;
  readonly tally: Tally;
  /** Of the code cache when it was made. */
  readonly generation: number;
  /** By block, as it was then. */
  readonly instructions: readonly (readonly ExplainedInstruction[])[];
}

/** Looks on at what becomes of the code at one linear address, in whatever address space. */
export class RegionExplorer {
  readonly address: bigint;
  readonly #jit: Jit;
  readonly #reader: CodeReader;
  readonly #seen: Seen[] = [];
  #forgotten = 0;
  #refused = 0;

  /**
   * Regions of `jit` that contain the address count from now on what happens in them; nothing may have been executed yet.
   * @param address 64 bits, unsigned
   */
  constructor(jit: Jit, address: bigint) {
    this.address = address;
    this.#jit = jit;
    this.#reader = new CodeReader(jit);
    observe(jit, {
      planned: (m, plan) => this.#planned(m, plan),
      refused: (page, offset, va) => this.#refuse(page, offset, va),
    });
  }

  #planned(m: ModuleBuilder, plan: RegionPlan): RegionTally | null {
    const { shape, number, va } = plan;
    if (!shape.blocks.some((block) => this.#isIn(block, va))) return null;
    const instructions = shape.blocks.map((block) => this.#instructions(block, va));
    const tally = new Tally(m, `tally ${number}`, shape.entries.length, shape.blocks.length);
    this.#seen.push({ plan, tally, generation: this.#jit.code.generation, instructions });
    if (this.#seen.length > MAX_SEEN) this.#forget();
    return tally;
  }

  #refuse(page: CodePage, offset: number, va: bigint): void {
    if (va === this.#va && addressAt(va, offset) === this.#reader.landing(page, va, this.#offset).address)
      this.#refused++;
  }

  /**
   * What is known by now.
   * @param gfn frame that is mapped at the address; null if none is
   */
  explain(gfn: Gfn | null): Explanation {
    const page = gfn === null ? null : this.#jit.code.known(gfn, 64);
    return {
      address: this.address,
      regions: this.#seen.map((seen) => this.#region(seen)),
      forgotten: this.#forgotten,
      refused: this.#refused,
      now: page === null ? null : this.#reader.landing(page, this.#va, this.#offset),
    };
  }

  /** Page offset of the address. */
  get #offset(): number {
    return Number(this.address & 0xfffn);
  }

  /** Linear address of its page. */
  get #va(): bigint {
    return this.address & ~0xfffn;
  }

  #isIn({ page, pieces }: Block, va: bigint): boolean {
    if (addressAt(va, page.distance) !== this.#va) return false;
    const at = this.#offset;
    return pieces.some(({ offset, instance: { insn } }) => offset <= at && at < offset + insn.len);
  }

  #instructions({ page, pieces }: Block, va: bigint): ExplainedInstruction[] {
    const base = addressAt(va, page.distance);
    return pieces.map(({ offset }) => this.#reader.instruction(page.code, base, offset) as ExplainedInstruction);
  }

  /** Of those that cannot be entered any more, the oldest; the oldest of all if there is none. */
  #forget(): void {
    const idle = this.#seen.findIndex((seen) => this.#state(seen) !== "used");
    this.#seen.splice(Math.max(idle, 0), 1);
    this.#forgotten++;
  }

  #state({ plan: { shape, number }, generation }: Seen): RegionState {
    const [first] = shape.blocks;
    if (generation !== this.#jit.code.generation || !first?.page.code.alive) return "dropped";
    const { heads } = this.#reader;
    const leads = shape.entries.map(({ head }) => heads.region(head));
    if (leads.includes(number)) return "used";
    return leads[0] === 0 ? "evicted" : "replaced";
  }

  #region(seen: Seen): ExplainedRegion {
    const { plan, tally, instructions } = seen;
    const { shape, number, wide, va } = plan;
    const { heads } = this.#reader;
    const state = this.#state(seen);
    const current = state !== "dropped";
    const [entered, executed] = [tally.entries, tally.blocks];
    return {
      number: ordinal(number),
      wide,
      state,
      successor: state === "replaced" ? ordinal(heads.region(shape.entries[0]?.head as number)) : null,
      entries: shape.entries.map(({ block, head }, k) => {
        const left = current ? heads.entriesLeft(head, number) : -1;
        return { block, entered: entered[k] as number, left: left < 0 ? null : left };
      }),
      blocks: shape.blocks.map(
        (block, k): ExplainedBlock => ({
          address: addressAt(va, block.page.distance + block.offset),
          executed: executed[k] as number,
          instructions: instructions[k] as readonly ExplainedInstruction[],
          ways: this.#ways(block, plan),
        }),
      ),
      exits: tally.exits.map(([exit, count]) => explainExit(exit, count, seen)).sort((a, b) => b.count - a.count),
      wasm: () => {
        const m = new ModuleBuilder();
        m.exportFunction("0", writeRegion(m, importForRegions(m), shape, number).f);
        return m.bytes();
      },
    };
  }

  #ways(block: Block, plan: RegionPlan): ExplainedWay[] {
    const { end } = block;
    const way = (when: ExplainedWay["when"], target: Target): ExplainedWay => this.#way(when, target, block, plan);
    switch (end.kind) {
      case "next":
        return [way("next", end.next)];
      case "branch":
        return [way("taken", end.taken), ...(end.next === null ? [] : [way("else", end.next)])];
      case "call":
        return [end.to === null ? ELSEWHERE : way("taken", end.to), way("back", { to: "block", block: end.back })];
      case "return":
        return [...end.candidates.map((number) => way("found", { to: "block", block: number })), ELSEWHERE];
      case "jump":
        return [ELSEWHERE];
    }
  }

  #way(when: ExplainedWay["when"], target: Target, { page, pieces }: Block, { shape, va }: RegionPlan): ExplainedWay {
    if (target.to === "block") {
      const block = shape.blocks[target.block] as Block;
      return {
        when,
        block: target.block,
        address: addressAt(va, block.page.distance + block.offset),
        landing: null,
      };
    }
    const last = pieces[pieces.length - 1] as Block["pieces"][number];
    const { insn } = last.instance;
    const next = last.offset + insn.len;
    const offset = target.to === "link" ? next + (insn.immLo | 0) : next;
    const base = addressAt(va, page.distance);
    const inside = offset >= 0 && offset < 4096 && page.code.alive;
    return {
      when,
      block: null,
      address: addressAt(base, offset),
      landing: inside ? this.#reader.landing(page.code, base, offset) : null,
    };
  }
}

const ELSEWHERE: ExplainedWay = { when: "elsewhere", block: null, address: null, landing: null };

function explainExit({ kind, block, offset }: CountedExit, count: number, seen: Seen): ExplainedExit {
  const all = seen.instructions[block] as readonly ExplainedInstruction[];
  const { pieces } = seen.plan.shape.blocks[block] as Block;
  const at = offset === null ? all.length - 1 : pieces.findIndex((piece) => piece.offset === offset);
  return { kind, block, instruction: all[at] as ExplainedInstruction, count };
}

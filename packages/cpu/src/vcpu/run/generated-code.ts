import type { HelperResult, Miss, RunExit } from "../../calls.js";
import type { CodeCache, CodePage, CrossSite } from "../../code/cache.js";
import type { Jit, RegionCallees } from "../../jit/jit.js";
import { CALLS_PER_LOOK } from "../../ports.js";
import * as R from "../../record.js";
import * as S from "../../state.js";
import type { VcpuContext } from "../context/context.js";
import type { HelperSite } from "../context/helper.js";
import type { PendingEvents } from "../events/pending-events.js";
import { undefinedOpcode } from "../helpers/common.js";
import { tscForbidden } from "../helpers/system/system.js";
import type { Fetcher } from "../memory/fetch.js";
import type { Misses } from "../memory/misses.js";
import { Operands } from "../outside/operands.js";
import { executeOutside } from "../outside/outside.js";
import { MSR } from "../registers/constants.js";
import type { Halves } from "../registers/halves.js";
import { u64 } from "../registers/u64.js";
import { HELPERS } from "./helpers.js";

export interface GeneratedCodeDesc {
  /** The compiled interpreter, shared by all vCPUs. */
  readonly interpreter: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly code: CodeCache;
  readonly events: PendingEvents;
  readonly misses: Misses;
  readonly fetcher: Fetcher;
  /** Makes regions; null if everything is interpreted. */
  readonly jit: Jit | null;
}

/** What was read last. */
const stamp: Halves = { lo: 0, hi: 0 };

/** A table for code that never enters a region. */
const noRegions = (): WebAssembly.Table => new WebAssembly.Table({ element: "anyfunc", initial: 1 });

/** Generated code as the run loop has it: it is entered here, and calls out to here for what it cannot do. */
export class GeneratedCode {
  readonly #vcpu: VcpuContext;
  readonly #code: CodeCache;
  readonly #fetcher: Fetcher;
  readonly #jit: Jit | null;
  readonly #records: DataView;
  readonly #run: (cpu: number) => RunExit;
  /** Calls out until the host looks. */
  #calls = CALLS_PER_LOOK;

  constructor(vcpu: VcpuContext, { interpreter, memory, code, events, misses, fetcher, jit }: GeneratedCodeDesc) {
    this.#vcpu = vcpu;
    this.#code = code;
    this.#fetcher = fetcher;
    this.#jit = jit;
    this.#records = new DataView(memory.buffer);
    const operands = new Operands(vcpu);
    const instance = new WebAssembly.Instance(interpreter, {
      vm: {
        memory,
        miss: (): Miss => {
          this.called();
          return misses.miss();
        },
        raise: () => events.raiseFromCode(vcpu.i32(S.RAISE)),
        helper: (record: number) => this.#helper(record),
        outside: (record: number) => {
          this.called();
          return executeOutside(operands, vcpu.i32(S.OUTSIDE_OP), record) ? 1 : 0;
        },
        fetch: (lo: number, hi: number) => {
          this.called();
          return fetcher.fetch(lo, hi);
        },
        link: fetcher.link,
        hot: (head: number) => this.#hot(head),
        timestamp: (cpu: number) => (jit?.timestamp(cpu) ? 1 : 0),
        regions: jit?.modules.table ?? noRegions(),
      },
    });
    const exports = instance.exports as unknown as RegionCallees & { run: (cpu: number) => RunExit };
    this.#run = exports.run;
    jit?.provide(vcpu.base, exports, () => this.#timestamp());
  }

  /** Makes regions of what has been hot for a while. */
  compile(): void {
    const { heads } = this.#fetcher;
    if (heads !== null) this.#jit?.settle(heads);
  }

  /** Executes as many instructions as `BUDGET` says, from `PC` on. */
  run(): RunExit {
    return this.#run(this.#vcpu.base);
  }

  /** Something was done outside generated code. */
  called(): void {
    if (--this.#calls > 0) return;
    this.#calls = CALLS_PER_LOOK;
    this.#vcpu.ports.host?.look();
  }

  /** A region reads the counter. False: the interpreter must, because the host is to look first, or because it is not allowed. */
  #timestamp(): boolean {
    const vcpu = this.#vcpu;
    if (this.#calls <= 1 || tscForbidden(vcpu)) return false;
    this.#calls--;
    vcpu.tsc(stamp);
    vcpu.setI32(S.STAMP, stamp.lo);
    vcpu.setI32(S.STAMP + 4, stamp.hi);
    vcpu.setI32(S.STAMP_AUX, vcpu.msr(MSR.TSC_AUX)[0]);
    return true;
  }

  /** The record that was left last accesses the stack. */
  get onStack(): boolean {
    return (this.#records.getUint16(this.#vcpu.i32(S.REC) + R.R_AUX2, true) & R.AUX2_STACK) !== 0;
  }

  /** A head has become hot. @returns the record to go on with */
  #hot(head: number): number {
    this.called();
    const { heads } = this.#fetcher;
    if (this.#jit === null || heads === null) return head;
    const vcpu = this.#vcpu;
    const lo = vcpu.i32(S.PAGE_VA);
    const hi = vcpu.i32(S.PAGE_VA + 4);
    this.#jit.wish(heads, head, u64(lo, hi), (distance) => this.#pageAt(lo, hi, distance));
    return head;
  }

  /** The code page that is executed at `distance` from `hi:lo`, if it has been lately. */
  #pageAt(lo: number, hi: number, distance: number): CodePage | null {
    const { tlb, tlbBases } = this.#vcpu;
    const sum = (lo >>> 0) + distance;
    const low = sum | 0;
    const high = (hi + Math.floor(sum / 0x100000000)) | 0;
    const map = tlb.entryValue(tlbBases.tlb[2], low, high);
    const page = map === 0 ? undefined : this.#code.pageOfMap(map);
    return page?.alive ? page : null;
  }

  #helper(record: number): HelperResult {
    this.called();
    const site = this.#code.site(this.#records.getInt32(record + R.R_IMM, true)) as HelperSite | CrossSite;
    if ((site as HelperSite).helper === undefined && "page" in site) return this.#fetcher.cross(site);
    return this.#call(record, site as HelperSite);
  }

  #call(record: number, site: HelperSite): HelperResult {
    const vcpu = this.#vcpu;
    vcpu.counts.helper++;
    // The address of this instruction, for the helper and for what it raises.
    vcpu.setI32(S.PC, vcpu.i32(S.PAGE_VA) + this.#records.getUint16(record + R.R_OFF, true));
    vcpu.setI32(S.PC + 4, vcpu.i32(S.PAGE_VA + 4));
    vcpu.loadRip();
    site.helper ??= HELPERS.get(site.name) ?? undefinedOpcode;
    return site.helper(vcpu, site);
  }
}

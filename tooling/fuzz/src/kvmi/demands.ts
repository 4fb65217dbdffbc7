import {
  type CommandName,
  type CommandSpec,
  type Dialect,
  DialectIndex,
  header,
  type Requests,
  vcpuHeader,
} from "@vm/kvmi";
import { concat } from "../bytes.js";
import type { Random } from "../random.js";

/** Entries of the largest SET_PAGE_ACCESS. */
const ENTRIES = 510;
const ENTRY = 16;
const PAGE = 4096n;
/** Beyond all memory. */
const FAR = 0x100000;

/** Commands that a tool may repeat for ever, each asking for something more, or for something large. */
export class Demands {
  readonly #index: DialectIndex;
  readonly #random: Random;
  readonly #vcpus: number;
  /** Those of the dialect at hand. */
  readonly #kinds: readonly (() => Uint8Array)[];
  #gfn = FAR;
  #seq = 0;

  constructor(dialect: Dialect, random: Random, vcpus: number) {
    this.#index = new DialectIndex(dialect);
    this.#random = random;
    this.#vcpus = vcpus;
    const more: readonly (readonly [CommandName, () => Uint8Array])[] = [
      ["setPageAccess", () => this.#pages()],
      ["controlCodeBreakpoint", () => this.#message("controlCodeBreakpoint", { gva: this.#address(), enable: 1 })],
      ["controlMsr", () => this.#message("controlMsr", { enable: 1, msr: this.#gfn++ % 0x2000 })],
      ["createEptView", () => this.#message("createEptView", {})],
      ["setEptView", () => this.#message("setEptView", { view: random.below(5) })],
      ["destroyEptView", () => this.#message("destroyEptView", { view: random.below(5000) })],
      ["changeGfn", () => this.#message("changeGfn", { view: 0, old_gfn: BigInt(this.#gfn++), new_gfn: 0x300n })],
      ["allocGfn", () => this.#message("allocGfn", { gfn: BigInt(this.#gfn++) })],
      ["freeGfn", () => this.#message("freeGfn", { gfn: BigInt(FAR + random.below(2000)) })],
      ["getNextAvailableGfn", () => this.#message("getNextAvailableGfn", {})],
      ["getVersion", () => this.#message("getVersion", {})],
      ["getXsave", () => this.#message("getXsave", {})],
      ["translateGva", () => this.#message("translateGva", { gva: this.#address() })],
      ["readPhysical", () => this.#message("readPhysical", { gpa: 0x300000n, size: this.#size(4096) })],
      ["pause", () => this.#message("pause", { wait: 0, vcpu: random.below(vcpus) })],
      ["setEventFilter", () => this.#message("setEventFilter", noFilter(random))],
      ["getRegisters", () => this.#registers()],
    ];
    this.#kinds = more.filter(([name]) => this.#index.commandNamed(name) !== undefined).map(([, make]) => make);
  }

  /** One of them over and over, up to about `size` bytes. */
  batch(size: number): { readonly bytes: Uint8Array; readonly messages: number } {
    const make = this.#random.pick(this.#kinds);
    const parts: Uint8Array[] = [];
    for (let total = 0; total < size; total += parts.at(-1)?.length ?? 0) parts.push(make());
    return { bytes: concat(parts), messages: parts.length };
  }

  #address(): bigint {
    return BigInt(this.#gfn++) * PAGE + BigInt(this.#random.below(4096));
  }

  /** Sizes are of 16 bits in v12, of 64 elsewhere. */
  #size(bytes: number): bigint {
    return (this.#index.dialect.name === "v12" ? bytes : BigInt(bytes)) as bigint;
  }

  #pages(): Uint8Array {
    const tail = new DataView(new ArrayBuffer(ENTRIES * ENTRY));
    for (let k = 0; k < ENTRIES; k++) {
      tail.setBigUint64(k * ENTRY, BigInt(this.#gfn++) * PAGE, true);
      tail.setUint8(k * ENTRY + 8, this.#random.below(8));
    }
    return this.#message("setPageAccess", { view: 0, count: ENTRIES }, new Uint8Array(tail.buffer));
  }

  #registers(): Uint8Array {
    const nmsrs = this.#random.below(500);
    const tail = new Uint32Array(nmsrs).fill(0x174);
    return this.#message("getRegisters", { nmsrs }, new Uint8Array(tail.buffer));
  }

  #message<K extends CommandName>(name: K, request: Requests[K], tail = new Uint8Array(0)): Uint8Array {
    const spec = this.#index.commandNamed(name) as CommandSpec<K>;
    const head = spec.vcpuHeader ? vcpuHeader.encode({ vcpu: this.#random.below(this.#vcpus) }) : new Uint8Array(0);
    const payload = concat([head, spec.request.encode(request), tail]);
    return concat([header.encode({ id: spec.id, size: payload.length, seq: this.#seq++ }), payload]);
  }
}

function noFilter(random: Random): Requests["setEventFilter"] {
  const value = BigInt(random.word());
  return {
    flags: random.below(17),
    events: random.word(),
    cr3: value,
    rip_from: value,
    rip_to: value,
    value_mask: value,
    value_equals: value,
  };
}

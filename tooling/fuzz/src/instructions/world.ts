import {
  type ApicPort,
  type BusPort,
  CodeCache,
  CpuidTable,
  generateInterpreter,
  Jit,
  type JitOptions,
  Vcpu,
} from "@vm/cpu";
import { Mmu } from "@vm/mmu";
import { Random } from "../random.js";
import { Devices } from "./devices.js";
import type { Image } from "./image.js";
import * as L from "./layout.js";
import { startIn } from "./start.js";

let interpreter: WebAssembly.Module | undefined;
let shared: WebAssembly.Memory | undefined;

/** One memory for all worlds, one after the other: each takes gigabytes of the host's address space. */
function cleared(): WebAssembly.Memory {
  const pages = L.HOST_BYTES / 65536;
  shared ??= new WebAssembly.Memory({ initial: pages, maximum: pages });
  new Uint8Array(shared.buffer).fill(0);
  return shared;
}

const GUARD_BYTE = 0xa5;
const INTACT = Buffer.alloc(Math.max(...L.guards.map(([from, to]) => to - from)), GUARD_BYTE);

/** A machine about to run a random stream. Everything in it follows from the image. Only one world is alive at a time. */
export class World {
  readonly vcpus: readonly Vcpu[];
  readonly devices: readonly Devices[];
  readonly mmu: Mmu;
  readonly code: CodeCache;
  readonly #memory: Uint8Array;

  /** @param regions how regions are made of the code; null to interpret all of it */
  constructor({ seed, mode, low, upper }: Image, cpus: number, regions: JitOptions | null = null) {
    const memory = cleared();
    this.#memory = new Uint8Array(memory.buffer);
    for (const [from, to] of L.guards) this.#memory.fill(GUARD_BYTE, from, to);
    this.mmu = new Mmu({ memory, arenaStart: L.ARENA_AT, arenaEnd: L.ARENA_END });
    this.mmu.setMemslot({ slot: 0, gpa: 0, size: L.RAM });
    this.mmu.setMemslot({ slot: 1, gpa: L.UPPER_RAM, size: L.UPPER_BYTES });
    this.mmu.setMemslot({ slot: 2, gpa: L.READ_ONLY, size: L.READ_ONLY_BYTES, readonly: true });
    this.mmu.setMemslot({ slot: 3, gpa: L.HIGH_RAM, size: L.HIGH_BYTES });
    this.mmu.write(0, low);
    this.mmu.write(L.UPPER_RAM, upper);
    this.code = new CodeCache(memory, L.CACHE_AT, L.CACHE_END);
    interpreter ??= new WebAssembly.Module(generateInterpreter());
    const module = interpreter;
    const engine = regions === null ? {} : { jit: new Jit(memory, this.code, regions) };
    this.devices = Array.from({ length: cpus }, (_, id) => new Devices(seed + id));
    this.vcpus = this.devices.map((devices, id) => {
      const vcpu: Vcpu = new Vcpu({
        id,
        memory,
        base: L.block(id),
        code: this.code,
        interpreter: module,
        ...engine,
        bootstrap: true,
        ports: {
          mmu: this.mmu,
          bus: devices satisfies BusPort,
          apic: devices satisfies ApicPort,
          clock: { tsc: () => vcpu.retired },
          entropy: { random: () => devices.random() },
          cpuid: new CpuidTable(),
        },
      });
      return vcpu;
    });
    this.mmu.onInvalidate(() => {
      for (const vcpu of this.vcpus) vcpu.tlb.flush();
    });
    this.mmu.onHostWrite((gfn) => this.code.drop(gfn));
    const random = new Random(seed ^ 0x3c6ef372);
    for (const vcpu of this.vcpus) startIn(vcpu, mode, random);
  }

  /** The device writes memory: what was decoded there is void. */
  hostWrite(gpa: number, value: number): void {
    this.mmu.writeU32(gpa, value);
  }

  /** The first guard byte that has changed, or -1. */
  brokenGuard(): number {
    for (const [from, to] of L.guards) {
      const guard = this.#memory.subarray(from, to);
      if (INTACT.compare(guard, 0, guard.length, 0, guard.length) !== 0)
        return from + guard.findIndex((byte) => byte !== GUARD_BYTE);
    }
    return -1;
  }

  /** Guest frames. */
  get frames(): Uint8Array {
    return this.#memory.subarray(L.ARENA_AT, L.ARENA_END);
  }
}

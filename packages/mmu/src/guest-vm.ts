import { Lockdep, Task } from "@vm/lockdep";
import { FrameArena } from "./arena.js";
import { Page } from "./bits.js";
import { AttributeMap, MemoryAttribute } from "./gmem/attribute-map.js";
import { Mm } from "./gmem/mm.js";
import { GmemPageSource } from "./gmem/page-source.js";
import { UserMemoryNotifier } from "./gmem/user-notifier.js";
import type { Vm } from "./gmem/vm.js";
import { VmLocks } from "./kvm/locks.js";
import { type KvmParams, kvmParams } from "./kvm/params.js";
import { Listeners } from "./listeners.js";
import { Memslots } from "./memslots.js";
import type { ExternalPageTable, PrivateMemory } from "./tdp/external.js";
import { TdpMmu } from "./tdp/tdp-mmu.js";
import type { Gfn } from "./units.js";
import { Views } from "./views.js";

export interface GuestVmOptions {
  /** Allocated once at its final size; it must never grow. */
  readonly memory: WebAssembly.Memory;
  /** First byte for guest frames; a multiple of 4096, not 0. */
  readonly arenaStart: number;
  /** One past the last byte for guest frames; a multiple of 4096. */
  readonly arenaEnd: number;
  /** Physical address bits of the guest (CPUID.80000008H:EAX[7:0]), 32..52. Default 40. */
  readonly maxPhyAddr?: number;
  /** Default: there is none. */
  readonly privateMemory?: PrivateMemory;
  readonly kvm?: Partial<KvmParams>;
  /** Validator of the locks. Default: they are not validated. */
  readonly lockdep?: Lockdep;
}

/** The memory of one guest with what KVM has for it: memslots, attributes, second-level page tables, and the host process that it is mapped in. */
export class GuestVm implements Vm {
  readonly maxPhyAddr: number;
  readonly privateMemory: PrivateMemory | null;
  /** Page tables of private memory that are not ours. */
  readonly external: ExternalPageTable | null;
  /** From this guest frame on, addresses have the shared bit. */
  readonly sharedFrom: number;
  readonly params: KvmParams;
  readonly locks: VmLocks;
  /** Who does things without a task of its own. */
  readonly host: Task;
  readonly mm: Mm;
  readonly attributes: AttributeMap;
  readonly slots: Memslots;
  readonly views = new Views();
  readonly source: GmemPageSource;
  readonly target: TdpMmu;
  readonly invalidated = new Listeners<[gfn: Gfn, pages: number, replaced: boolean]>();

  /** @throws RangeError for `maxPhyAddr`, ArenaError for the arena's range */
  constructor(options: GuestVmOptions) {
    const { memory, arenaStart, arenaEnd, maxPhyAddr = 40, lockdep = new Lockdep({ enabled: false }) } = options;
    if (!Number.isInteger(maxPhyAddr) || maxPhyAddr < 32 || maxPhyAddr > 52) {
      throw new RangeError(`maxPhyAddr ${maxPhyAddr} is not an integer in 32..52`);
    }
    this.maxPhyAddr = maxPhyAddr;
    const { privateMemory = null } = options;
    this.privateMemory = privateMemory;
    const split = privateMemory !== "attributes" ? privateMemory : null;
    this.external = split?.external ?? null;
    this.sharedFrom = split?.sharedFrom ?? Number.POSITIVE_INFINITY;
    const maxGfn = 2 ** maxPhyAddr / Page.Size;
    const arena = new FrameArena(memory, arenaStart, arenaEnd);
    this.params = kvmParams(options.kvm);
    this.locks = new VmLocks(lockdep);
    this.host = new Task(lockdep, "host");
    this.mm = new Mm(lockdep, arena);
    this.attributes = new AttributeMap(maxGfn, MemoryAttribute.None);
    this.slots = new Memslots(arena, maxGfn, (gfn, pages) => this.target.changed(gfn, pages));
    this.source = new GmemPageSource(this);
    this.target = new TdpMmu(this);
    this.mm.register(new UserMemoryNotifier(this));
  }

  get hasPrivateMem(): boolean {
    return this.privateMemory !== null;
  }
}

/** What must be true whenever all tasks have stopped. */
import { FIRST_GFN, PAGES, type TdHost } from "./host.js";
import { FRAMES, PAGE } from "./platform.js";

const NO_ENTRY = 0;
const LEVEL_4K = 0;
/** Bits of an SPTE. */
const RWX = 7;

export class Model {
  /** What the guest has written to private memory. */
  readonly secrets = new Set<number>();
  #stamp = 0;
  #opState = 0;
  readonly #words: Uint32Array;

  constructor(readonly host: TdHost) {
    this.#words = new Uint32Array(host.platform.memory.buffer);
  }

  /** A value that no page has had. */
  newStamp(): number {
    return ++this.#stamp;
  }

  check(): void {
    const { host } = this;
    for (const problem of host.problems) throw new Error(problem);
    for (const bug of host.kvm.bugs) throw new Error(bug);
    if (host.kvm.waitForSeptZap) throw new Error("vCPUs are kept out of the guest, and nobody removes a page");
    const owners = new Map<number, number>();
    for (let index = 0; index < PAGES; index++) this.#checkPage(index, owners);
    this.#checkFrames();
    this.#checkTd();
    for (const { leave, cpu } of host.vcpus) if (leave !== null) this.#checkInside(cpu.tlb);
  }

  /** KVM's mirror, the secure EPT and the guest_memfd agree, and what is mapped as private is. */
  #checkPage(index: number, owners: Map<number, number>): void {
    const { host } = this;
    const gfn = FIRST_GFN + index;
    const secure = this.frameOf(gfn);
    const mirrored = this.#mirrored(gfn);
    if (secure !== mirrored)
      throw new Error(`guest frame ${gfn} is ${secure} in the secure EPT and ${mirrored} for KVM`);
    if (secure === NO_ENTRY) return;
    const gmem = host.gmem.inode.peek(index)?.pfn;
    if (secure !== gmem) throw new Error(`guest frame ${gfn} is mapped to ${secure}; page ${index} is ${gmem}`);
    if (!host.isPrivate(index)) throw new Error(`page ${index} is shared, and in the secure EPT`);
    if (!host.platform.module.isPrivate(secure * PAGE)) throw new Error(`frame ${secure} of the TD is the host's`);
    const other = owners.get(secure);
    if (other !== undefined) throw new Error(`frame ${secure} is mapped at ${other} and ${gfn}`);
    owners.set(secure, gfn);
  }

  /** The frame that the secure EPT has for a guest frame, accepted or not; 0 without one. */
  frameOf(gfn: number): number {
    const entry = this.host.td?.sept?.find(gfn * PAGE, LEVEL_4K);
    return entry?.level === LEVEL_4K && entry.isLeaf ? entry.hpa / PAGE : NO_ENTRY;
  }

  #mirrored(gfn: number): number {
    const { target } = this.host.mmu.vm;
    const lo = target.pages.u32[target.mirror?.find(gfn) ?? 0] ?? 0;
    return (lo & RWX) === 0 ? NO_ENTRY : lo >>> 12;
  }

  /** What a guest had for itself, no host can read. */
  #checkFrames(): void {
    for (let frame = 1; frame <= FRAMES; frame++) {
      const word = this.#words[frame * (PAGE / 4)] ?? 0;
      if (this.secrets.has(word) && !this.host.platform.module.isPrivate(frame * PAGE))
        throw new Error(`the host can read in frame ${frame} what the guest has written`);
    }
  }

  /** The module counts all pages of the TD, and the TD never goes back. */
  #checkTd(): void {
    const { td, kvm } = this.host;
    if (td === undefined || kvm.isDead) return;
    let leaves = 0;
    for (let index = 0; index < PAGES; index++) if (this.frameOf(FIRST_GFN + index) !== NO_ENTRY) leaves++;
    const control = kvm.vcpus.reduce(
      (sum, { tdcx, tdvpr }) => sum + tdcx.length + (tdvpr === null ? 0 : 1),
      kvm.tdcs.length,
    );
    const pages = control + kvm.sept.tables + kvm.sept.leaves;
    if (td.chldcnt !== pages || leaves !== kvm.sept.leaves)
      throw new Error(
        `the TD has ${td.chldcnt} pages and ${leaves} leaves; KVM gave ${pages}, ${kvm.sept.leaves} of them leaves`,
      );
    if (td.opState < this.#opState) throw new Error(`the TD was in state ${this.#opState} and is in ${td.opState}`);
    this.#opState = td.opState;
  }

  /** Who is in the guest uses no page that is not there any more, and no TD that is gone. */
  #checkInside(tlb: ReadonlyMap<number, number>): void {
    if (this.host.td === undefined) throw new Error("a vCPU is in the guest of a TD that is gone");
    for (const [gfn, frame] of tlb) {
      const now = this.frameOf(gfn);
      if (frame !== now) throw new Error(`a vCPU in the guest has guest frame ${gfn} at ${frame}, which is ${now}`);
    }
  }
}

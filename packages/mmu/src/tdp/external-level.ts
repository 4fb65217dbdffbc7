import { ExitFlag, Licence, Status } from "../access.js";
import type { Gfn } from "../units.js";
import type { ExternalWalk } from "./external.js";
import { TdpLevel, type TdpLevelVm } from "./level.js";

/**
 * The processor's side where private memory is translated by somebody else's page tables (the S-EPT of a TD). The mirror of them is KVM's record, which no
 * processor walks: a page is there when the external table says so. What it does not map is never mapped in the middle of an instruction; the guest is left,
 * so that whoever runs it can ask for the page.
 *
 * Shared memory is for data: an address with the shared bit in an instruction fetch, or as the place of a page table, has a reserved bit set.
 */
export class ExternalLevel extends TdpLevel {
  readonly #external: ExternalWalk;
  readonly #sharedFrom: number;

  constructor(vm: TdpLevelVm, external: ExternalWalk) {
    super(vm);
    this.#external = external;
    this.#sharedFrom = vm.sharedFrom;
  }

  override resolve(seeming: number, want: number): Status {
    if (seeming >= this.#sharedFrom) return want === Licence.Fetch ? Status.Fault : super.resolve(seeming, want);
    const pfn = this.#external.walk(seeming, want);
    if (pfn <= 0) return this.#violation(pfn);
    this.pfn = pfn;
    this.licence = Licence.All;
    this.gfn = seeming;
    return Status.Ok;
  }

  #violation(answer: number): Status {
    this.flags = answer < 0 ? ExitFlag.Private | ExitFlag.Pending : ExitFlag.Private;
    return Status.Exit;
  }

  override table(seeming: Gfn): number {
    if (seeming >= this.#sharedFrom) return this.#refuse(Status.Fault);
    const pfn = this.#external.walk(seeming, Licence.Read);
    if (pfn > 0) return pfn;
    this.gfn = seeming;
    return this.#refuse(this.#violation(pfn));
  }

  #refuse(status: Status): number {
    this.refused = status;
    return -2;
  }

  override mayMark(seeming: Gfn): boolean {
    return this.#external.walk(seeming, Licence.Write) > 0;
  }
}

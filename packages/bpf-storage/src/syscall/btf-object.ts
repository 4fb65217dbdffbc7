import type { Btf } from "../btf/btf.js";
import { verifierBtf } from "../verifier/btf-adapter.js";
import type { VerifierBtf } from "../verifier/btf-port.js";
import { Counted } from "./objects.js";

/** Type information that was loaded (BPF_BTF_LOAD), or the kernel's own. */
export class BtfObject extends Counted {
  readonly kind = "btf";
  /** As the verifier asks for it: one object, by which its pointers are compared. */
  readonly shapes: VerifierBtf;

  /**
   * @param name of the kernel's, `vmlinux`; empty of what was loaded
   * @param release nobody holds it any more
   */
  constructor(
    readonly id: number,
    readonly btf: Btf,
    readonly name: string,
    readonly release: (self: BtfObject) => void,
  ) {
    super();
    this.shapes = verifierBtf(btf);
  }

  get isKernel(): boolean {
    return this.name !== "";
  }

  /** Lines of fdinfo. */
  describe(): string {
    return `btf_id:\t${this.id}\n`;
  }

  protected gone(): void {
    this.release(this);
  }
}

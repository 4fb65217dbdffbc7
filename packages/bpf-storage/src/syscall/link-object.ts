import type { Attachment, AttachPoint } from "./attach-point.js";
import { Counted } from "./objects.js";
import type { ProgramObject } from "./program-object.js";

/** `enum bpf_link_type` */
export const LinkType = { raw_tracepoint: 1, tracing: 2, cgroup: 3, iter: 4, xdp: 6, perf_event: 7 } as const;

/** A program's attachment, which ends when nobody holds the link. */
export class LinkObject extends Counted {
  readonly kind = "link";
  #attached = true;

  /** @param program is held @param release nobody holds the link any more */
  constructor(
    readonly id: number,
    readonly point: AttachPoint,
    public program: ProgramObject,
    readonly attachment: Attachment,
    readonly release: (self: LinkObject) => void,
  ) {
    super();
  }

  /** The program is attached no more, though the link is there. */
  detach(): void {
    if (!this.#attached) return;
    this.#attached = false;
    this.attachment.detach();
  }

  /** Another program in the place of the first. @returns 0 or a negative errno */
  replace(program: ProgramObject): number {
    const status = this.attachment.replace?.(program.program) ?? 0;
    if (status < 0) return status;
    this.program.put();
    this.program = program.hold();
    return 0;
  }

  /** Lines of fdinfo. */
  describe(): string {
    const { tag } = this.program.details;
    const hex = Array.from(tag, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return `link_type:\t${this.point.kind}\nlink_id:\t${this.id}\nprog_tag:\t${hex}\nprog_id:\t${this.program.id}\n`;
  }

  protected gone(): void {
    this.detach();
    this.program.put();
    this.release(this);
  }
}

import type { EventName, EventSpec } from "../dialect/dialect.js";
import type { DialectIndex } from "../dialect/index.js";
import type { EventFilter } from "../filter.js";
import type { VcpuPort, VmPort } from "../ports.js";
import type { Gpa } from "../units.js";
import type { Masks } from "./masks.js";

/** How errors of commands without replies are treated (CONTROL_CMD_RESPONSE); null: replies are sent. */
export type Silence = { readonly withEvent: boolean } | null;

/** A vCPU as commands of the VM know it. */
export interface SessionVcpu {
  readonly port: VcpuPort;
  /** Asks for one PAUSE event. False: too many wait. */
  pause(): boolean;
}

/** One hook as commands and vCPUs know it. */
export interface Session {
  readonly vm: VmPort;
  readonly index: DialectIndex;
  readonly masks: Masks;
  readonly vcpus: readonly SessionVcpu[];
  /** VM events that are enabled. */
  readonly vmEvents: Set<EventName>;
  /** VM_CONTROL_CLEANUP: undo everything when the tool goes. */
  cleanup: boolean;
  /** Replies of commands are not sent (CONTROL_CMD_RESPONSE). */
  silence: Silence;
  /** Events that need not cross the connection, as the owner of the machine says. */
  readonly filter: EventFilter | null;
  /** The same, as the tool says. */
  toolFilter: EventFilter | null;
  /** A vCPU has as many jobs as may wait, or no longer has. */
  crowded(crowded: boolean): void;
  /** Does a job of a vCPU. */
  carry(job: () => void): void;
  /** Has `work` done behind the reply of the command that is being carried out. */
  afterReply(work: () => void): void;
  /** Whether memory within one page can be read and written now; if not, the command answers `LATER`. */
  reaches(gpa: Gpa, size: number): boolean;
  /** A reply with room for `size` bytes of data. */
  replyWith(size: number): DataView;
  /** Sends one event; returns its sequence number, null if the hook has ended. `fill` writes the state of the vCPU. */
  sendEvent(spec: EventSpec, specific: object, fill?: (view: DataView) => void, vcpu?: number): number | null;
  /** A reply said CRASH. */
  crash(vcpu: number): void;
}

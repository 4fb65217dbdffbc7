import type { BpfProgram } from "../runtime/program.js";

/** What a program is to be attached to, by the kinds of links (`enum bpf_link_type`). */
export type AttachPoint =
  /** A tracepoint, by its name (`sys_enter`). */
  | { readonly kind: "raw_tracepoint"; readonly name: string; readonly cookie: bigint }
  /** A function of the kernel or a hook of the LSM, by its name; `attachType` says how. */
  | {
      readonly kind: "tracing";
      readonly target: string;
      readonly attachType: number;
      readonly cookie: bigint;
    }
  /** A perf event, by its descriptor. */
  | { readonly kind: "perf_event"; readonly fd: number; readonly cookie: bigint }
  /** A cgroup, by its descriptor. */
  | { readonly kind: "cgroup"; readonly fd: number; readonly attachType: number }
  /** An iterator, by what it goes over (`task`), and what of (`union bpf_iter_link_info`). */
  | { readonly kind: "iter"; readonly target: string; readonly info: Uint8Array }
  /** A network device. */
  | { readonly kind: "xdp"; readonly ifindex: number; readonly flags: number };

/** A program that is attached. */
export interface Attachment {
  /** It runs no more. */
  readonly detach: () => void;
  /** Another program in its place; absent where a link keeps its program. @returns 0 or a negative errno */
  readonly replace?: (program: BpfProgram) => number;
  /** BPF_LINK_DETACH may detach it while its link is there. Default: false, as of what is traced. */
  readonly detachable?: boolean;
  /** Of an iterator: a new descriptor to read from; or a negative errno. */
  readonly iterate?: () => number;
  /** Of a cgroup: its id. */
  readonly cgroupId?: bigint;
}

/** Attaches a program. @returns a negative errno where there is no such thing, or it takes no programs */
export type AttachPort = (point: AttachPoint, program: BpfProgram) => Attachment | number;

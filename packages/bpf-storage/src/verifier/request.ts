import type { Errno } from "../errors.js";
import type { Insn } from "../isa/insn.js";
import type { MapType } from "../uapi/map-types.js";
import type { AttachType, ProgramType } from "../uapi/program-types.js";
import type { VerifierBtf } from "./btf-port.js";
import type { State } from "./state.js";

/** What the value of a map holds besides plain bytes. */
export interface MapField {
  readonly kind:
    | "bpf_spin_lock"
    | "bpf_timer"
    | "bpf_wq"
    | "kptr_unref"
    | "kptr_ref"
    | "kptr_percpu"
    | "bpf_list_head"
    | "bpf_rb_root"
    | "bpf_refcount";
  /** Bytes from the start of the value. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
  /** What a kptr points to, or what a list or tree consists of. */
  readonly target?: { readonly btf: VerifierBtf; readonly id: number };
  /** Of a list or tree: where in its elements the node is, bytes. */
  readonly nodeOffset?: number;
}

/** What an object of the program holds besides plain bytes: what maps hold, and its nodes in lists and trees. */
export interface ObjectField extends Omit<MapField, "kind"> {
  readonly kind: MapField["kind"] | "bpf_list_node" | "bpf_rb_node";
}

/** A map, as far as the verifier looks at it. */
export interface VerifierMap {
  readonly type: MapType;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  /** Flags of creation (`MapFlag`). */
  readonly flags: number;
  /** What the types of the value say it holds; undefined for a map without type information. */
  readonly fields?: readonly MapField[];
  /** Name, for messages. */
  readonly name?: string;
  /** What the maps in a map of maps look like. */
  readonly inner?: VerifierMap;
  /** The contents of a map that neither programs nor the loader can change any more: loads from it are constants. */
  readonly frozen?: Uint8Array;
  /** A map of one element whose value can be addressed by programs. Default: arrays. */
  readonly directValue?: boolean;
}

/** What a tracing program is attached to. */
export interface AttachTarget {
  /** Name of the function, the tracepoint (without `btf_trace_`), the hook (with `bpf_lsm_`) or the iterator. */
  readonly name: string;
  /** FUNC_PROTO in the kernel's BTF; of a tp_btf, its first parameter (`void *__data`) does not count. */
  readonly proto: number;
  /** Of struct_ops programs: the struct of functions of which `name` is a member. */
  readonly struct?: string;
}

export interface FunctionInfo {
  /** Index of the first instruction. */
  readonly insn: number;
  /** FUNC in the BTF of the program. */
  readonly type: number;
  /** The loader took it for static although its type says that it is global (hidden functions). Default: what the type says. */
  readonly isStatic?: boolean;
}

/** A program to verify. */
export interface VerifyRequest {
  readonly insns: readonly Insn[];
  readonly type: ProgramType;
  readonly expectedAttachType?: AttachType | number;
  readonly attachTo?: AttachTarget;
  /**
   * The map that a loader named by this number, in the instruction at `pc`, or undefined for a number that is none (EBADF).
   * @throws {BpfError} what the program is then refused with
   */
  readonly maps: (fd: number, pc: number) => VerifierMap | undefined;
  readonly kernelBtf?: VerifierBtf;
  readonly programBtf?: VerifierBtf;
  readonly funcInfo?: readonly FunctionInfo[];
  /** Whether the license is compatible with the GPL. Default: true. */
  readonly gpl?: boolean;
  readonly sleepable?: boolean;
  /** BPF_F_STRICT_ALIGNMENT. Default: false. */
  readonly strictAlignment?: boolean;
  /** 0 writes nothing but errors and statistics, 1 the instructions, 2 all states as well. Default: 0. */
  readonly logLevel?: 0 | 1 | 2;
  /**
   * Behaviour of linux 5.13 to 6.1 (1), 6.2 to 6.18 (2, the default) or later (3); so far all verify as 2, but for the order in which 1
   * asks what a program is attached to.
   */
  readonly generation?: 1 | 2 | 3;
  /** Whether a path ends where an earlier one covers it. Default: true; tests of soundness look at every path. */
  readonly prune?: boolean;
  /** Which way of an open branch is followed first; verdicts do not depend on it. Default: the one that does not jump, as in the kernel. */
  readonly jumpFirst?: boolean;
  /** Called before each verified instruction with the state that is claimed, and the registers of each frame (bits) that
   * some path may still read: for tests that look for concrete counterexamples. */
  readonly observe?: (pc: number, state: State, live: (frame: number) => number) => void;
}

export interface VerifyStats {
  /** Instructions looked at, over all paths. */
  readonly processed: number;
  /** States kept. */
  readonly states: number;
  /** Most states kept at once. */
  readonly peakStates: number;
}

/** What the engine needs to know of one subprogram. */
export interface SubprogramInfo {
  /** First instruction. */
  readonly start: number;
  /** Bytes of stack, rounded up to 8. */
  readonly stackDepth: number;
}

/** The verdict. Of a program that is refused, `insns` is as it came. */
export interface Verdict {
  readonly accepted: boolean;
  readonly errno: Errno | undefined;
  /** Text as the kernel writes it. */
  readonly log: string;
  /** With loads that may fault marked as probe loads (modes 0x20 and, sign extending, 0x40). */
  readonly insns: readonly Insn[];
  readonly subprograms: readonly SubprogramInfo[];
  readonly usedMaps: readonly VerifierMap[];
  /** Bytes of the context that the program may touch: a syscall program is not run with less. */
  readonly contextSize: number;
  /**
   * Bytes of buffers of unknown size that the program may touch: of keys (`rdonly`) and values (`rdwr`) that an iterator shows, and of what
   * a writable raw tracepoint gives. Whoever attaches the program refuses it where there are less.
   */
  readonly bufferAccess: { readonly rdonly: number; readonly rdwr: number; readonly tracepoint: number };
  /** Calls of storage helpers that may allocate sleeping (hidden fifth argument GFP_KERNEL): pcs. */
  readonly sleepingAllocations: readonly number[];
  readonly stats: VerifyStats;
}

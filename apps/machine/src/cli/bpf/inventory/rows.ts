/** What is known of a program, as plain data. */
export interface ProgramRow {
  readonly id: number;
  /** `enum bpf_prog_type` */
  readonly type: number;
  readonly name: string;
  /** Sixteen hexadecimal digits. */
  readonly tag: string;
  readonly gpl: boolean;
  /** Runs that were begun, and those that were not because it was running already. */
  readonly runs: number;
  readonly misses: number;
  /** Seconds since 1970. */
  readonly loadedAt: number;
  /** Bytes of its instructions. */
  readonly xlated: number;
  /** Whether it runs as WebAssembly of its own. */
  readonly jited: boolean;
  /** Bytes. */
  readonly memlock: number;
  /** Of the maps that it uses. */
  readonly maps: readonly number[];
  readonly btf: number | null;
}

/** A function of a program begins. */
export interface FunctionRow {
  /** Instruction. */
  readonly pc: number;
  /** Of its FUNC in the program's BTF. */
  readonly type: number;
}

/** A line of the source begins. */
export interface LineRow {
  /** Instruction. */
  readonly pc: number;
  /** Places in the strings of the program's BTF. */
  readonly text: number;
  readonly file: number;
  readonly line: number;
  readonly column: number;
}

/** What is known of a map. */
export interface MapRow {
  readonly id: number;
  /** `enum bpf_map_type` */
  readonly type: number;
  readonly name: string;
  readonly flags: number;
  /** Bytes. */
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  /** Bytes; null where the system does not tell. */
  readonly memlock: number | null;
  readonly frozen: boolean;
  /** What the programs of an array of programs are like. */
  readonly owner: { readonly type: number; readonly jited: boolean } | null;
  readonly btf: number | null;
  /** Types of keys and values in that BTF; 0: unknown. */
  readonly keyType: number;
  readonly valueType: number;
}

/** An element of a map; bytes are in hexadecimal. */
export interface ElementRow {
  /** Empty in a queue or a stack. */
  readonly key: string;
  /** In storage of tasks, in the place of a key: the address of the task. */
  readonly task?: string;
  /** One, or one of each CPU. */
  readonly values: readonly string[];
}

/** What is known of type information. */
export interface BtfRow {
  readonly id: number;
  /** The kernel's is `vmlinux`; null: it has none. */
  readonly name: string | null;
  /** Bytes. */
  readonly size: number;
  readonly programs: readonly number[];
  readonly maps: readonly number[];
  readonly kernel: boolean;
}

/** A program's attachment to an event. */
export interface LinkRow {
  readonly id: number;
  readonly kind: "raw_tracepoint" | "tracing" | "perf_event";
  readonly program: number;
  /** `enum bpf_prog_type` of the program, and its `enum bpf_attach_type`. */
  readonly programType: number;
  readonly attachType: number;
  /** A tracepoint, or a function of the kernel. */
  readonly target: string;
  /** Of a perf_event: what it is. */
  readonly event: "tracepoint" | "kprobe" | "kretprobe" | null;
}

/** What a request is answered with, as JSON. BTF and instructions are in base64. */
export type Reply =
  | { readonly programs: readonly ProgramRow[] }
  | { readonly maps: readonly MapRow[] }
  | { readonly btfs: readonly BtfRow[] }
  | { readonly links: readonly LinkRow[] }
  | XlatedReply
  | ElementsReply
  | { readonly types: string }
  | { readonly error: string };

/** The instructions of a program. */
export interface XlatedReply {
  readonly functions: readonly FunctionRow[];
  readonly lines: readonly LineRow[];
  /** Maps are named by their ids. */
  readonly insns: string;
  readonly btf: string | null;
}

/** What is in a map. */
export interface ElementsReply {
  readonly map: MapRow;
  readonly elements: readonly ElementRow[];
  readonly btf: string | null;
}

import { ProgramType } from "../uapi/program-types.js";
import type { Kind } from "./reg.js";

/**
 * Which fields of its context each kind of program may load and store. Offsets and lengths are bytes, of the structs of linux/bpf.h;
 * what is allowed is that of the is_valid_access functions of linux 6.12 (net/core/filter.c, kernel/trace/bpf_trace.c, kernel/bpf/cgroup.c).
 */
export interface Field {
  readonly at: number;
  readonly length: number;
  /**
   * Sizes of loads; `narrow` loads may be smaller than a field of 4 bytes, `first` ones too if they are of its first bytes, `any` ones may
   * cross fields of the same row.
   */
  readonly load: "narrow" | "first" | "narrow8" | "any" | "none" | readonly number[];
  /** Sizes of stores. Default: none. */
  readonly store?: "any" | readonly number[];
  /** What a load gives. Default: a number. */
  readonly gives?: Kind;
  readonly nullable?: boolean;
  /** Only programs of these attach types. */
  readonly attach?: readonly number[];
  /** Stores are only for programs of these attach types. */
  readonly storeAttach?: readonly number[];
  /** Least size of a load. */
  readonly least?: number;
}

const W = [4] as const;
const Q = [8] as const;

const packet = (at: number, gives: Kind, size: 4 | 8 = 4): Field => ({ at, length: size, load: [size], gives });

/** struct __sk_buff: rows that all kinds of programs share; each kind says what else it may do. */
interface SkbRules {
  readonly store: readonly string[];
  readonly hide: readonly string[];
  readonly packet: boolean;
}

const SKB: readonly (readonly [name: string, field: Field])[] = [
  ["head", { at: 0, length: 8, load: "narrow" }],
  ["mark", { at: 8, length: 4, load: "narrow" }],
  ["queue_mapping", { at: 12, length: 4, load: "narrow" }],
  ["protocol", { at: 16, length: 16, load: "narrow" }],
  ["priority", { at: 32, length: 4, load: "narrow" }],
  ["ifindex", { at: 36, length: 8, load: "narrow" }],
  ["tc_index", { at: 44, length: 4, load: "narrow" }],
  ["cb", { at: 48, length: 20, load: "any" }],
  ["hash", { at: 68, length: 4, load: "narrow" }],
  ["tc_classid", { at: 72, length: 4, load: "narrow" }],
  ["data", packet(76, "pkt")],
  ["data_end", packet(80, "pkt_end")],
  ["napi_id", { at: 84, length: 4, load: "narrow" }],
  ["family", { at: 88, length: 4, load: "narrow" }],
  ["addresses", { at: 92, length: 40, load: W }],
  ["ports", { at: 132, length: 8, load: "narrow" }],
  ["data_meta", packet(140, "pkt_meta")],
  ["tstamp", { at: 152, length: 8, load: Q }],
  ["wire_len", { at: 160, length: 4, load: "narrow" }],
  ["gso_segs", { at: 164, length: 4, load: "narrow" }],
  ["sk", { at: 168, length: 8, load: Q, gives: "sock_common", nullable: true }],
  ["gso_size", { at: 176, length: 4, load: "narrow" }],
  ["tstamp_type", { at: 180, length: 1, load: [1] }],
  ["hwtstamp", { at: 184, length: 8, load: Q }],
];

const skb = ({ store, hide, packet: direct }: SkbRules): readonly Field[] =>
  SKB.filter(([name]) => !hide.includes(name)).map(([name, field]) => {
    const stores = name === "cb" ? "any" : name === "tstamp" ? Q : W;
    const gives = field.gives !== undefined && field.gives !== "sock_common" && !direct ? "scalar" : field.gives;
    return { ...field, ...(gives === undefined ? {} : { gives }), ...(store.includes(name) ? { store: stores } : {}) };
  });

const SOCKET_NAMES = ["family", "addresses", "ports"];

/** struct bpf_sock, as the context of cgroup/sock programs; socket pointers use the same rows without attach types. */
const POST_BIND4 = [12];
const POST_BIND6 = [13];
const CREATE_RELEASE = [2, 34];
export const SOCK_COMMON_FIELDS: readonly Field[] = [
  { at: 0, length: 4, load: W },
  { at: 4, length: 4, load: "first" },
  { at: 24, length: 20, load: "narrow" },
  { at: 44, length: 4, load: "first" },
  { at: 48, length: 2, load: [1, 2, 4] },
  { at: 52, length: 20, load: "narrow" },
  { at: 72, length: 8, load: "first" },
];
export const SOCK_FIELDS: readonly Field[] = [
  { at: 8, length: 8, load: "first" },
  { at: 16, length: 8, load: W },
  ...SOCK_COMMON_FIELDS,
];
const CGROUP_SOCK: readonly Field[] = [
  { at: 0, length: 4, load: W, store: W, attach: CREATE_RELEASE },
  { at: 4, length: 12, load: "first" },
  { at: 16, length: 8, load: W, store: W, attach: CREATE_RELEASE },
  { at: 24, length: 4, load: "narrow", attach: POST_BIND4 },
  { at: 28, length: 16, load: "narrow", attach: POST_BIND6 },
  { at: 44, length: 4, load: "first", attach: [12, 13] },
  { at: 48, length: 2, load: [1, 2, 4] },
  { at: 52, length: 20, load: "narrow" },
  { at: 72, length: 8, load: "first" },
];

/** struct bpf_tcp_sock. */
export const TCP_SOCK_FIELDS: readonly Field[] = [
  { at: 0, length: 80, load: W },
  { at: 80, length: 16, load: Q },
  { at: 96, length: 16, load: W },
];
/** struct bpf_xdp_sock. */
export const XDP_SOCK_FIELDS: readonly Field[] = [{ at: 0, length: 4, load: W }];

const XDP: readonly Field[] = [
  packet(0, "pkt"),
  packet(4, "pkt_end"),
  packet(8, "pkt_meta"),
  { at: 12, length: 8, load: W },
  { at: 20, length: 4, load: W, attach: [33] },
];

const V4 = [8, 10, 29, 31, 14, 19];
const V6 = [9, 11, 30, 32, 15, 20];
const SOCK_ADDR: readonly Field[] = [
  { at: 0, length: 4, load: W },
  { at: 4, length: 4, load: "narrow", store: W, attach: V4 },
  { at: 8, length: 16, load: "narrow8", store: [4, 8], attach: V6 },
  { at: 24, length: 4, load: "narrow", store: W },
  { at: 28, length: 12, load: W },
  { at: 40, length: 4, load: "narrow", store: W, attach: [14] },
  { at: 44, length: 16, load: "narrow8", store: [4, 8], attach: [15] },
  { at: 64, length: 8, load: Q, gives: "sock" },
];

const SOCK_OPS: readonly Field[] = [
  { at: 0, length: 4, load: W },
  { at: 4, length: 4, load: W, store: W },
  { at: 8, length: 156, load: W },
  { at: 164, length: 4, load: W, store: W },
  { at: 168, length: 16, load: Q },
  { at: 184, length: 8, load: Q, gives: "sock", nullable: true },
  packet(192, "pkt", 8),
  packet(200, "pkt_end", 8),
  { at: 208, length: 4, load: W },
  { at: 212, length: 4, load: "first" },
  { at: 216, length: 8, load: Q },
];

const SK_MSG: readonly Field[] = [
  packet(0, "pkt", 8),
  packet(8, "pkt_end", 8),
  { at: 16, length: 56, load: W },
  { at: 72, length: 8, load: Q, gives: "sock" },
];

const SK_LOOKUP: readonly Field[] = [
  { at: 0, length: 8, load: Q, gives: "sock", nullable: true },
  { at: 8, length: 28, load: "narrow" },
  { at: 36, length: 2, load: [1, 2, 4] },
  { at: 38, length: 2, load: [1, 2] },
  { at: 40, length: 28, load: "narrow" },
];

const SK_REUSEPORT: readonly Field[] = [
  packet(0, "pkt", 8),
  packet(8, "pkt_end", 8),
  { at: 16, length: 4, load: "narrow" },
  { at: 20, length: 4, load: "narrow", least: 2 },
  { at: 24, length: 8, load: "narrow" },
  { at: 32, length: 4, load: W },
  { at: 40, length: 8, load: Q, gives: "sock" },
  { at: 48, length: 8, load: Q, gives: "sock_common", nullable: true },
];

const SOCKOPT: readonly Field[] = [
  { at: 0, length: 8, load: Q, gives: "sock" },
  packet(8, "pkt", 8),
  packet(16, "pkt_end", 8),
  { at: 24, length: 8, load: W, store: W, storeAttach: [22] },
  { at: 32, length: 4, load: W, store: W },
  { at: 36, length: 4, load: W, store: W, attach: [21] },
];

/** The table of each kind of program; kinds without one have rules of their own (tracing). */
export const CONTEXTS: ReadonlyMap<ProgramType, readonly Field[]> = new Map<ProgramType, readonly Field[]>([
  [
    ProgramType.SocketFilter,
    skb({
      store: ["cb"],
      hide: [
        "tc_classid",
        "data",
        "data_meta",
        "data_end",
        "tstamp",
        "wire_len",
        "hwtstamp",
        "tstamp_type",
        ...SOCKET_NAMES,
      ],
      packet: false,
    }),
  ],
  ...([ProgramType.SchedCls, ProgramType.SchedAct] as const).map((type): [ProgramType, readonly Field[]] => [
    type,
    skb({
      store: ["mark", "tc_index", "priority", "tc_classid", "cb", "tstamp", "queue_mapping"],
      hide: SOCKET_NAMES,
      packet: true,
    }),
  ]),
  [
    ProgramType.CgroupSkb,
    skb({
      store: ["mark", "priority", "cb", "tstamp"],
      hide: ["tc_classid", "data_meta", "wire_len", "tstamp_type"],
      packet: true,
    }),
  ],
  ...([ProgramType.LwtIn, ProgramType.LwtOut, ProgramType.LwtXmit, ProgramType.LwtSeg6local] as const).map(
    (type): [ProgramType, readonly Field[]] => [
      type,
      skb({
        store: ["mark", "priority", "cb"],
        hide: ["tc_classid", "data_meta", "tstamp", "wire_len", "hwtstamp", "tstamp_type", ...SOCKET_NAMES],
        packet: true,
      }),
    ],
  ),
  [
    ProgramType.SkSkb,
    skb({
      store: ["tc_index", "priority"],
      hide: ["tc_classid", "data_meta", "tstamp", "wire_len", "hwtstamp", "tstamp_type", "mark"],
      packet: true,
    }),
  ],
  [
    ProgramType.FlowDissector,
    [packet(76, "pkt"), packet(80, "pkt_end"), { at: 144, length: 8, load: Q, gives: "flow_keys" }],
  ],
  [ProgramType.Xdp, XDP],
  [ProgramType.CgroupSock, CGROUP_SOCK],
  [ProgramType.CgroupSockAddr, SOCK_ADDR],
  [ProgramType.SockOps, SOCK_OPS],
  [ProgramType.SkMsg, SK_MSG],
  [ProgramType.SkLookup, SK_LOOKUP],
  [ProgramType.SkReuseport, SK_REUSEPORT],
  [ProgramType.CgroupSockopt, SOCKOPT],
  [
    ProgramType.CgroupDevice,
    [
      { at: 0, length: 4, load: "narrow" },
      { at: 4, length: 8, load: W },
    ],
  ],
  [
    ProgramType.CgroupSysctl,
    [
      { at: 0, length: 4, load: "narrow" },
      { at: 4, length: 4, load: "narrow", store: W },
    ],
  ],
  [
    ProgramType.PerfEvent,
    [
      { at: 0, length: 168, load: Q },
      { at: 168, length: 16, load: [1, 2, 4, 8] },
    ],
  ],
]);

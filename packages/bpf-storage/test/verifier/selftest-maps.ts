import type { Insn } from "../../src/isa/insn.js";
import { MapFlag, MapType } from "../../src/uapi/map-types.js";
import type { VerifierMap } from "../../src/verifier/request.js";
import { kptrBtf } from "./selftest-btf.js";
import type { SelfTest } from "./selftests.js";

/** The maps that test_verifier makes for its cases (do_test_fixup), as the verifier sees them. */

const map = (
  type: MapType,
  keySize: number,
  valueSize: number,
  maxEntries: number,
  more: Partial<VerifierMap> = {},
): VerifierMap => ({
  ...{ type, keySize, valueSize, maxEntries, flags: 0 },
  ...more,
});

const LOCK = { kind: "bpf_spin_lock", offset: 4, size: 4 } as const;
const kptr = (kind: "kptr_unref" | "kptr_ref", offset: number, id: number) =>
  ({ kind, offset, size: 8, target: { btf: kptrBtf, id } }) as const;

/** struct test_val with index 28 and foo[6] 0xabcdef12, as update_map writes it. */
const TEST_VALUE = (() => {
  const bytes = new Uint8Array(48);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 28, true);
  view.setUint32(28, 0xabcdef12, true);
  return bytes;
})();

/** By name of the fixup. */
export const FIXUP_MAPS: Readonly<Record<string, VerifierMap>> = {
  map_hash_8b: map(MapType.Hash, 8, 8, 1, { flags: MapFlag.NoPrealloc }),
  map_hash_48b: map(MapType.Hash, 8, 48, 1, { flags: MapFlag.NoPrealloc }),
  map_hash_16b: map(MapType.Hash, 8, 16, 1, { flags: MapFlag.NoPrealloc }),
  map_array_48b: map(MapType.Array, 4, 48, 1),
  map_sockmap: map(MapType.Sockmap, 4, 4, 1),
  map_sockhash: map(MapType.Sockhash, 4, 4, 1),
  map_xskmap: map(MapType.Xskmap, 4, 4, 1),
  map_stacktrace: map(MapType.StackTrace, 4, 8, 1),
  prog1: map(MapType.ProgArray, 4, 4, 4),
  prog2: map(MapType.ProgArray, 4, 4, 8),
  map_in_map: map(MapType.ArrayOfMaps, 4, 4, 1, { inner: map(MapType.Array, 4, 4, 1) }),
  cgroup_storage: map(MapType.CgroupStorage, 16, 64, 0),
  percpu_cgroup_storage: map(MapType.PercpuCgroupStorage, 16, 64, 0),
  map_spin_lock: map(MapType.Array, 4, 8, 1, { fields: [LOCK] }),
  map_array_ro: map(MapType.Array, 4, 48, 1, { flags: MapFlag.RdonlyProg, frozen: TEST_VALUE }),
  map_array_wo: map(MapType.Array, 4, 48, 1, { flags: MapFlag.WronlyProg }),
  map_array_small: map(MapType.Array, 4, 1, 1),
  sk_storage_map: map(MapType.SkStorage, 4, 8, 0, { flags: MapFlag.NoPrealloc, fields: [LOCK] }),
  map_event_output: map(MapType.PerfEventArray, 4, 4, 1),
  map_reuseport_array: map(MapType.ReuseportSockarray, 4, 8, 1),
  map_ringbuf: map(MapType.Ringbuf, 0, 0, 4096),
  map_timer: map(MapType.Array, 4, 16, 1, { fields: [{ kind: "bpf_timer", offset: 0, size: 16 }] }),
  map_kptr: map(MapType.Array, 4, 24, 1, {
    fields: [kptr("kptr_unref", 0, 1), kptr("kptr_ref", 8, 1), kptr("kptr_ref", 16, 2)],
  }),
};

/** First of the numbers that stand for the maps. */
const FD = 1000;
const NAMES = Object.keys(FIXUP_MAPS);

export const mapByFd = (fd: number): VerifierMap | undefined => FIXUP_MAPS[NAMES[fd - FD] ?? ""];

/** The program with numbers of maps put in where the case says so. */
export const withMaps = (test: SelfTest, insns: readonly Insn[]): Insn[] => {
  const out = [...insns];
  for (const [name, places] of Object.entries(test.fixups))
    for (const at of places) {
      const insn = out[at];
      if (insn !== undefined) out[at] = { ...insn, imm: FD + NAMES.indexOf(name) };
    }
  return out;
};

import { helperName, helperText } from "../helpers/prototypes.js";
import { MapType } from "../uapi/map-types.js";
import { AttachType, ProgramType } from "../uapi/program-types.js";
import type { Env } from "./env.js";
import { Helper } from "./helper-traits.js";
import type { VerifierMap } from "./request.js";

/** Which kinds of maps go with which helpers. Source: linux 6.12, check_map_func_compatibility. */

const byName = (...names: string[]): ReadonlySet<string> => new Set(names);

const RINGBUF = byName(
  ...["ringbuf_output", "ringbuf_reserve", "ringbuf_query"],
  ...["ringbuf_reserve_dynptr", "ringbuf_submit_dynptr", "ringbuf_discard_dynptr"],
);
const STORAGE = (kind: string): ReadonlySet<string> =>
  byName(`${kind}_storage_get`, `${kind}_storage_delete`, "kptr_xchg");
const EVENTS = byName("perf_event_read", "perf_event_output", "skb_output", "perf_event_read_value", "xdp_output");

/** Maps that only some helpers take. */
const TAKES: ReadonlyMap<MapType, ReadonlySet<string>> = new Map<MapType, ReadonlySet<string>>([
  [MapType.ProgArray, byName("tail_call")],
  [MapType.PerfEventArray, EVENTS],
  [MapType.Ringbuf, RINGBUF],
  [MapType.UserRingbuf, byName("user_ringbuf_drain")],
  [MapType.StackTrace, byName("get_stackid")],
  [MapType.CgroupArray, byName("skb_under_cgroup", "current_task_under_cgroup")],
  [MapType.CgroupStorage, byName("get_local_storage")],
  [MapType.PercpuCgroupStorage, byName("get_local_storage")],
  [MapType.Devmap, byName("redirect_map", "map_lookup_elem")],
  [MapType.DevmapHash, byName("redirect_map", "map_lookup_elem")],
  [MapType.Cpumap, byName("redirect_map")],
  [MapType.Xskmap, byName("redirect_map", "map_lookup_elem")],
  [MapType.ArrayOfMaps, byName("map_lookup_elem")],
  [MapType.HashOfMaps, byName("map_lookup_elem")],
  [
    MapType.Sockmap,
    byName("sk_redirect_map", "sock_map_update", "msg_redirect_map", "sk_select_reuseport", "map_lookup_elem"),
  ],
  [
    MapType.Sockhash,
    byName("sk_redirect_hash", "sock_hash_update", "msg_redirect_hash", "sk_select_reuseport", "map_lookup_elem"),
  ],
  [MapType.ReuseportSockarray, byName("sk_select_reuseport")],
  [MapType.Queue, byName("map_peek_elem", "map_pop_elem", "map_push_elem")],
  [MapType.Stack, byName("map_peek_elem", "map_pop_elem", "map_push_elem")],
  [MapType.SkStorage, STORAGE("sk")],
  [MapType.InodeStorage, STORAGE("inode")],
  [MapType.TaskStorage, STORAGE("task")],
  [MapType.CgrpStorage, STORAGE("cgrp")],
  [MapType.BloomFilter, byName("map_peek_elem", "map_push_elem")],
]);

const one = (...types: MapType[]): ReadonlySet<MapType> => new Set(types);

/** Helpers that take only some maps. */
const WANTS: ReadonlyMap<string, ReadonlySet<MapType>> = new Map([
  ["tail_call", one(MapType.ProgArray)],
  ...[...EVENTS].map((name): [string, ReadonlySet<MapType>] => [name, one(MapType.PerfEventArray)]),
  ...[...RINGBUF].map((name): [string, ReadonlySet<MapType>] => [name, one(MapType.Ringbuf)]),
  ["user_ringbuf_drain", one(MapType.UserRingbuf)],
  ["get_stackid", one(MapType.StackTrace)],
  ["current_task_under_cgroup", one(MapType.CgroupArray)],
  ["skb_under_cgroup", one(MapType.CgroupArray)],
  ["redirect_map", one(MapType.Devmap, MapType.DevmapHash, MapType.Cpumap, MapType.Xskmap)],
  ["sk_redirect_map", one(MapType.Sockmap)],
  ["msg_redirect_map", one(MapType.Sockmap)],
  ["sock_map_update", one(MapType.Sockmap)],
  ["sk_redirect_hash", one(MapType.Sockhash)],
  ["msg_redirect_hash", one(MapType.Sockhash)],
  ["sock_hash_update", one(MapType.Sockhash)],
  ["get_local_storage", one(MapType.CgroupStorage, MapType.PercpuCgroupStorage)],
  ["sk_select_reuseport", one(MapType.ReuseportSockarray, MapType.Sockmap, MapType.Sockhash)],
  ["map_pop_elem", one(MapType.Queue, MapType.Stack)],
  ["map_peek_elem", one(MapType.Queue, MapType.Stack, MapType.BloomFilter)],
  ["map_push_elem", one(MapType.Queue, MapType.Stack, MapType.BloomFilter)],
  ["map_lookup_percpu_elem", one(MapType.PercpuArray, MapType.PercpuHash, MapType.LruPercpuHash)],
  ...(["sk", "inode", "task", "cgrp"] as const).flatMap((kind): [string, ReadonlySet<MapType>][] => {
    const type = {
      sk: MapType.SkStorage,
      inode: MapType.InodeStorage,
      task: MapType.TaskStorage,
      cgrp: MapType.CgrpStorage,
    }[kind];
    return [
      [`${kind}_storage_get`, one(type)],
      [`${kind}_storage_delete`, one(type)],
    ];
  }),
]);

const SOCKMAP_UPDATERS: readonly ProgramType[] = [
  ...[ProgramType.SocketFilter, ProgramType.SchedCls, ProgramType.SchedAct, ProgramType.Xdp, ProgramType.SkReuseport],
  ...[ProgramType.FlowDissector, ProgramType.SkLookup],
];

const mayUpdateSockmap = (env: Env, id: number): boolean => {
  if (id !== Helper.mapUpdate && id !== Helper.mapDelete) return false;
  if (SOCKMAP_UPDATERS.includes(env.type)) return true;
  if (env.type === ProgramType.Tracing && env.attachType === AttachType.TraceIter) return true;
  if (env.type === ProgramType.SockOps && id === Helper.mapDelete) return true;
  env.say("cannot update sockmap in this context");
  return false;
};

/** Refuses a helper that does not go with the kind of map it is given. */
export const checkMapHelper = (env: Env, map: VerifierMap | undefined, id: number): void => {
  if (map === undefined) return;
  const name = helperName(id);
  const takes = TAKES.get(map.type);
  const isSockmap = map.type === MapType.Sockmap || map.type === MapType.Sockhash;
  const fits =
    (takes === undefined || takes.has(name) || (isSockmap && mayUpdateSockmap(env, id))) &&
    (WANTS.get(name)?.has(map.type) ?? true);
  if (!fits) env.fail("EINVAL", `cannot pass map_type ${map.type} into func ${helperText(id)}`);
};

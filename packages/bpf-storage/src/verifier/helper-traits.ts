import { MapType } from "../uapi/map-types.js";
import type { VerifierMap } from "./request.js";

/** What the verifier knows of single helpers, by number, besides their prototypes. Source: linux 6.12, kernel/bpf/verifier.c, net/core/filter.c. */
export const Helper = {
  mapLookup: 1,
  mapUpdate: 2,
  mapDelete: 3,
  getSmpProcessorId: 8,
  tailCall: 12,
  probeReadStr: 45,
  setsockopt: 49,
  getsockopt: 57,
  bind: 64,
  getStack: 67,
  getLocalStorage: 81,
  skLookupTcp: 84,
  skLookupUdp: 85,
  skRelease: 86,
  mapPush: 87,
  mapPop: 88,
  mapPeek: 89,
  spinLock: 93,
  spinUnlock: 94,
  skFullsock: 95,
  tcpSock: 96,
  skcLookupTcp: 99,
  skStorageGet: 107,
  skStorageDelete: 108,
  probeReadUserStr: 114,
  probeReadKernelStr: 115,
  ringbufReserve: 131,
  getTaskStack: 141,
  inodeStorageGet: 145,
  dPath: 147,
  taskStorageGet: 156,
  forEachMapElem: 164,
  snprintf: 165,
  timerSetCallback: 170,
  getFuncIp: 173,
  getAttachCookie: 174,
  findVma: 180,
  loop: 181,
  getFuncArg: 183,
  getFuncRet: 184,
  getFuncArgCnt: 185,
  kptrXchg: 194,
  dynptrFromMem: 197,
  dynptrWrite: 202,
  dynptrData: 203,
  userRingbufDrain: 209,
  cgrpStorageGet: 210,
} as const;

const SYNC_CALLBACKS: readonly number[] = [Helper.forEachMapElem, Helper.findVma, Helper.loop, Helper.userRingbufDrain];

/** Calls the function it is given, any number of times, before it returns. */
export const runsCallback = (id: number): boolean => SYNC_CALLBACKS.includes(id);

/** Keeps the function it is given for later. */
export const startsTimer = (id: number): boolean => id === Helper.timerSetCallback;

const PACKET_CHANGERS: readonly number[] = [
  ...[9, 10, 11, Helper.tailCall, 13, 18, 19, 31, 38, 39, 43, 44, 50, 54, 63, 65, 73, 74, 75, 76, 90, 91, 143],
];
/** May move the packet: pointers into it are void afterwards. */
export const changesPacket = (id: number): boolean => PACKET_CHANGERS.includes(id);

const STORAGE_GETS: readonly number[] = [
  Helper.skStorageGet,
  Helper.inodeStorageGet,
  Helper.taskStorageGet,
  Helper.cgrpStorageGet,
];
/** Takes a hidden argument that says whether it may sleep to allocate. */
export const isStorageGet = (id: number): boolean => STORAGE_GETS.includes(id);

const ACQUIRERS: readonly number[] = [
  Helper.skLookupTcp,
  Helper.skLookupUdp,
  Helper.skcLookupTcp,
  Helper.ringbufReserve,
  Helper.kptrXchg,
];
/** Lends what it returns. */
export const acquires = (id: number, map: VerifierMap | undefined): boolean =>
  ACQUIRERS.includes(id) ||
  (id === Helper.mapLookup && (map?.type === MapType.Sockmap || map?.type === MapType.Sockhash));

const CASTS: readonly number[] = [Helper.skFullsock, Helper.tcpSock, 136, 137, 138, 139, 140, 196];
/** Returns its argument as a pointer of another kind: the reference goes along. */
export const casts = (id: number): boolean => CASTS.includes(id);

const BOUNDED_RESULTS: readonly number[] = [
  Helper.getStack,
  Helper.getTaskStack,
  Helper.probeReadStr,
  Helper.probeReadKernelStr,
  Helper.probeReadUserStr,
];
/** Returns a length of at most that of its buffer, or an error. */
export const returnsLength = (id: number): boolean => BOUNDED_RESULTS.includes(id);

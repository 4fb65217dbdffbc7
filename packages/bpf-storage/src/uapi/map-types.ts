/** Numbers of the kinds of maps (`enum bpf_map_type`, linux/bpf.h). */
export const MapType = {
  ...{
    Hash: 1,
    Array: 2,
    ProgArray: 3,
    PerfEventArray: 4,
    PercpuHash: 5,
    PercpuArray: 6,
    StackTrace: 7,
    CgroupArray: 8,
  },
  ...{
    LruHash: 9,
    LruPercpuHash: 10,
    LpmTrie: 11,
    ArrayOfMaps: 12,
    HashOfMaps: 13,
    Devmap: 14,
    Sockmap: 15,
    Cpumap: 16,
  },
  ...{
    Xskmap: 17,
    Sockhash: 18,
    CgroupStorage: 19,
    ReuseportSockarray: 20,
    PercpuCgroupStorage: 21,
    Queue: 22,
    Stack: 23,
  },
  ...{ SkStorage: 24, DevmapHash: 25, StructOps: 26, Ringbuf: 27, InodeStorage: 28, TaskStorage: 29, BloomFilter: 30 },
  ...{ UserRingbuf: 31, CgrpStorage: 32, Arena: 33 },
} as const;
export type MapType = (typeof MapType)[keyof typeof MapType];

/** Flags of BPF_MAP_CREATE. */
export const MapFlag = {
  NoPrealloc: 1 << 0,
  NoCommonLru: 1 << 1,
  NumaNode: 1 << 2,
  Rdonly: 1 << 3,
  Wronly: 1 << 4,
  StackBuildId: 1 << 5,
  ZeroSeed: 1 << 6,
  RdonlyProg: 1 << 7,
  WronlyProg: 1 << 8,
  Clone: 1 << 9,
  Mmapable: 1 << 10,
  PreserveElems: 1 << 11,
  InnerMap: 1 << 12,
  Link: 1 << 13,
} as const;

/** Flags of BPF_MAP_UPDATE_ELEM and its helper. */
export const UpdateFlag = { Any: 0, NoExist: 1, Exist: 2, Lock: 4 } as const;

import { BpfError, ERRNO } from "../errors.js";
import { InfoAttr as At, type Attributes } from "./attributes.js";
import type { BtfObject } from "./btf-object.js";
import { type LinkObject, LinkType } from "./link-object.js";
import type { MapObject } from "./map-object.js";
import { fillProgramInfo, PROG_INFO_BYTES, PROG_INFO_USED } from "./program-info.js";
import type { State } from "./state.js";
import { Structure, textOf } from "./structure.js";

/** `struct bpf_map_info`, `struct bpf_btf_info` and `struct bpf_link_info` (linux/bpf.h): offsets and bytes. */
const MapInfo = {
  ...({ type: 0, id: 4, keySize: 8, valueSize: 12, maxEntries: 16, mapFlags: 20, name: 24, btfId: 64 } as const),
  ...({ btfKeyTypeId: 68, btfValueTypeId: 72, mapExtra: 80 } as const),
} as const;
const MAP_INFO_BYTES = 88;
const BtfInfo = { btf: 0, btfSize: 8, id: 12, name: 16, nameLen: 24, kernelBtf: 28 } as const;
const BTF_INFO_BYTES = 32;
const LinkInfo = {
  ...({ type: 0, id: 4, progId: 8, tpName: 16, tpNameLen: 24, attachType: 16, targetObjId: 20 } as const),
  ...({ targetBtfId: 24, cgroupId: 16, cgroupAttachType: 24, targetName: 16, targetNameLen: 24, ifindex: 16 } as const),
} as const;
const LINK_INFO_BYTES = { "6.1": 48, "6.12": 64 } as const;

/** BPF_OBJ_GET_INFO_BY_FD */
export function objectInfo(state: State, attr: Attributes): number {
  const file = state.host.file(attr.u32(At.bpfFd) | 0);
  if (file === undefined) return -ERRNO.EBADFD;
  if (file === null) return -ERRNO.EINVAL;
  const { object } = file;
  switch (object.kind) {
    case "program":
      return tell(state, attr, PROG_INFO_USED, PROG_INFO_BYTES, (info) => void fillProgramInfo(state, object, info));
    case "map":
      return tell(state, attr, MAP_INFO_BYTES, MAP_INFO_BYTES, (info) => fillMapInfo(object, info));
    case "btf":
      return tell(state, attr, BTF_INFO_BYTES, BTF_INFO_BYTES, (info) => fillBtfInfo(state, object, info));
    case "link": {
      const size = LINK_INFO_BYTES[state.generation];
      return tell(state, attr, size, size, (info) => fillLinkInfo(state, object, info));
    }
    default:
      return -ERRNO.EINVAL;
  }
}

/**
 * Reads what the caller gives, has it filled, and writes as much as the caller has room for.
 * @param used bytes that mean something: behind them there must be zeros
 * @param fill a status that it returns is told after all is written
 */
function tell(
  { memory }: State,
  attr: Attributes,
  used: number,
  whole: number,
  fill: (info: Structure) => number | undefined,
): number {
  const [address, given] = [attr.pointer(At.info), attr.u32(At.infoLen)];
  memory.checkTail(address, used, given);
  const size = Math.min(whole, given);
  const bytes = new Uint8Array(whole);
  bytes.set(memory.read(address, size));
  const status = fill(new Structure(bytes));
  if (status !== undefined && status < 0 && status !== -ERRNO.ENOSPC) return status;
  memory.write(address, bytes.subarray(0, size));
  attr.put32(At.infoLen, size);
  return status ?? 0;
}

function fillMapInfo({ map, flags, types, id }: MapObject, info: Structure): undefined {
  const { type, keySize, valueSize, maxEntries, name, extra = 0n } = map.desc;
  info.bytes.fill(0);
  info.set32(MapInfo.type, type);
  info.set32(MapInfo.id, id);
  info.set32(MapInfo.keySize, keySize);
  info.set32(MapInfo.valueSize, valueSize);
  info.set32(MapInfo.maxEntries, maxEntries);
  info.set32(MapInfo.mapFlags, flags);
  info.setName(MapInfo.name, name);
  info.set64(MapInfo.mapExtra, extra);
  if (types === null) return;
  info.set32(MapInfo.btfId, types.btf.id);
  info.set32(MapInfo.btfKeyTypeId, types.key);
  info.set32(MapInfo.btfValueTypeId, types.value);
}

function fillBtfInfo({ memory }: State, object: BtfObject, info: Structure): number {
  const { bytes } = object.btf;
  info.set32(BtfInfo.id, object.id);
  memory.write(info.u64(BtfInfo.btf), bytes.subarray(0, Math.min(bytes.length, info.u32(BtfInfo.btfSize))));
  info.set32(BtfInfo.btfSize, bytes.length);
  info.set32(BtfInfo.kernelBtf, object.isKernel ? 1 : 0);
  const [address, room] = [info.u64(BtfInfo.name), info.u32(BtfInfo.nameLen)];
  if ((address === 0) !== (room === 0)) return -ERRNO.EINVAL;
  info.set32(BtfInfo.nameLen, object.name.length);
  return tellName({ memory }, address, room, object.name);
}

/** Writes a name where there is room for it; if there is not enough, its beginning. @returns 0 or -ENOSPC */
function tellName({ memory }: Pick<State, "memory">, address: number, room: number, name: string): number {
  if (address === 0) return 0;
  memory.write(address, textOf(name.slice(0, room - 1)));
  return room > name.length ? 0 : -ERRNO.ENOSPC;
}

function fillLinkInfo(state: State, link: LinkObject, info: Structure): number {
  const { point, program, id } = link;
  info.set32(LinkInfo.type, LinkType[point.kind]);
  info.set32(LinkInfo.id, id);
  info.set32(LinkInfo.progId, program.id);
  const named = (addressAt: number, lengthAt: number, name: string): number => {
    const [address, room] = [info.u64(addressAt), info.u32(lengthAt)];
    if ((address === 0) !== (room === 0)) throw new BpfError("EINVAL", "a name without a length, or the other way");
    info.set32(lengthAt, name.length + 1);
    const status = tellName(state, address, room, name);
    // Nothing more is told then.
    if (status !== 0) throw new BpfError("ENOSPC", `${room} bytes for ${name}`);
    return 0;
  };
  switch (point.kind) {
    case "raw_tracepoint":
      return named(LinkInfo.tpName, LinkInfo.tpNameLen, point.name);
    case "iter":
      return named(LinkInfo.targetName, LinkInfo.targetNameLen, point.target);
    case "tracing":
      info.set32(LinkInfo.attachType, point.attachType);
      info.set32(LinkInfo.targetObjId, state.kernelBtf?.id ?? 0);
      info.set32(LinkInfo.targetBtfId, program.details.attachTo?.id ?? 0);
      return 0;
    case "cgroup":
      info.set64(LinkInfo.cgroupId, link.attachment.cgroupId ?? 0n);
      info.set32(LinkInfo.cgroupAttachType, point.attachType);
      return 0;
    case "xdp":
      info.set32(LinkInfo.ifindex, point.ifindex);
      return 0;
    default:
      return 0;
  }
}

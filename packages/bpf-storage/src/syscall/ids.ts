import { BpfError } from "../errors.js";
import { MapFlag } from "../uapi/map-types.js";
import { IdAttr as At, type Attributes } from "./attributes.js";
import type { SyscallObject } from "./file.js";
import { accessOf } from "./map-create.js";
import type { ObjectTable } from "./objects.js";
import type { State } from "./state.js";

const ID_MOST = 0x7fffffff;

/** BPF_PROG_GET_NEXT_ID and its kin. */
export function nextId(state: State, attr: Attributes, table: ObjectTable<{ readonly id: number }>): number {
  const id = attr.u32(At.id);
  if (id >= ID_MOST) throw new BpfError("EINVAL", `id ${id}: expected less than ${ID_MOST}`);
  state.need("CAP_SYS_ADMIN");
  attr.put32(At.nextId, table.after(id));
  return 0;
}

/** BPF_MAP_GET_FD_BY_ID */
export function mapById(state: State, attr: Attributes): number {
  const flags = attr.u32(At.openFlags);
  if ((flags & ~(MapFlag.Rdonly | MapFlag.Wronly)) !== 0)
    throw new BpfError("EINVAL", `open_flags 0x${flags.toString(16)}`);
  state.need("CAP_SYS_ADMIN");
  const access = accessOf(flags);
  return state.install(byId(state.maps, attr).holdUser(), access);
}

/** BPF_PROG_GET_FD_BY_ID, BPF_BTF_GET_FD_BY_ID and BPF_LINK_GET_FD_BY_ID */
export function objectById<T extends SyscallObject>(state: State, attr: Attributes, table: ObjectTable<T>): number {
  state.need("CAP_SYS_ADMIN");
  const object: SyscallObject = byId(table, attr);
  return state.install(object.holdUser());
}

function byId<T extends { readonly id: number }>(table: ObjectTable<T>, attr: Attributes): T {
  const id = attr.u32(At.id);
  const object = table.get(id);
  if (object === undefined) throw new BpfError("ENOENT", `no object has id ${id}`);
  return object;
}

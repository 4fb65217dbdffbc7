import { BpfError, ERRNO } from "../errors.js";
import { MapFlag } from "../uapi/map-types.js";
import { ObjAttr as At, type Attributes } from "./attributes.js";
import { ALL } from "./file.js";
import { accessOf } from "./map-create.js";
import type { State } from "./state.js";

/** `BPF_F_PATH_FD` */
const PATH_FD = 1 << 14;
/** `PATH_MAX` */
const PATH_MOST = 4096;

/** Where a relative path begins: the descriptor of a folder, or null for the working directory. @throws {BpfError} EINVAL */
function folderOf(state: State, attr: Attributes, allowed: number): number | null {
  const flags = attr.u32(At.fileFlags);
  const known = state.generation === "6.1" ? allowed : allowed | PATH_FD;
  if ((flags & ~known) !== 0) throw new BpfError("EINVAL", `file_flags 0x${flags.toString(16)}`);
  if (state.generation === "6.1") return null;
  const fd = attr.s32(At.pathFd);
  if ((flags & PATH_FD) !== 0) return fd;
  if (fd !== 0) throw new BpfError("EINVAL", `path_fd ${fd} without BPF_F_PATH_FD`);
  return null;
}

/** @throws {BpfError} EFAULT, ENOENT, ENAMETOOLONG */
function pathOf({ memory }: State, attr: Attributes): string {
  const path = memory.readString(attr.pointer(At.pathname), PATH_MOST);
  if (path === "") throw new BpfError("ENOENT", "an empty path");
  if (path.length === PATH_MOST) throw new BpfError("ENAMETOOLONG", `a path of ${PATH_MOST} bytes or more`);
  return path;
}

/** BPF_OBJ_PIN */
export function pin(state: State, attr: Attributes): number {
  const folder = folderOf(state, attr, 0);
  const object = state.pinnable(attr.u32(At.bpfFd));
  const path = pathOf(state, attr);
  const status = state.host.pin?.(path, folder, object.holdUser()) ?? -ERRNO.EPERM;
  if (status !== 0) object.putUser();
  return status;
}

/** BPF_OBJ_GET. @returns a descriptor */
export function open(state: State, attr: Attributes): number {
  if (attr.u32(At.bpfFd) !== 0) throw new BpfError("EINVAL", "a descriptor of what is to be opened");
  const folder = folderOf(state, attr, MapFlag.Rdonly | MapFlag.Wronly);
  const access = accessOf(attr.u32(At.fileFlags));
  const path = pathOf(state, attr);
  const object = state.host.pinned?.(path, folder, access) ?? -ERRNO.ENOENT;
  if (typeof object === "number") return object;
  if (object.kind === "link" && !(access.readable && access.writable)) return -ERRNO.EINVAL;
  return state.install(object.holdUser(), object.kind === "map" ? access : ALL);
}

import { BpfError } from "../errors.js";
import type { BpfRuntime } from "../runtime/runtime.js";
import type { Generation } from "../storage/storage-helpers.js";
import { BtfObject } from "./btf-object.js";
import { type Access, ALL, BpfFile, type SyscallObject } from "./file.js";
import type { Capability, SyscallHost } from "./host.js";
import type { LinkObject } from "./link-object.js";
import type { MapObject } from "./map-object.js";
import { ObjectTable } from "./objects.js";
import type { ProgramObject } from "./program-object.js";
import { UserMemory } from "./user-memory.js";

/** Bytes of type information and of instructions of all that callers have loaded, at most. */
const KEPT_MOST = 256 << 20;

/** A map with the way in which it was opened. */
export interface OpenMap {
  readonly object: MapObject;
  readonly access: Access;
}

/** All that commands share: objects by their ids, and the host. */
export class State {
  readonly memory: UserMemory;
  readonly maps = new ObjectTable<MapObject>();
  readonly dormant = new Set<MapObject>();
  readonly programs = new ObjectTable<ProgramObject>();
  readonly btfs = new ObjectTable<BtfObject>();
  readonly links = new ObjectTable<LinkObject>();
  /** The kernel's types; null if there are none. */
  readonly kernelBtf: BtfObject | null;
  #counting = 0;
  #kept = 0;

  constructor(
    readonly runtime: BpfRuntime,
    readonly host: SyscallHost,
    readonly generation: Generation,
  ) {
    this.memory = new UserMemory(host);
    this.kernelBtf = host.kernelBtf === undefined ? null : this.#keep(host.kernelBtf);
  }

  #keep(kernel: NonNullable<SyscallHost["kernelBtf"]>): BtfObject {
    const object = new BtfObject(this.btfs.nextId(), kernel, "vmlinux", () => undefined);
    this.btfs.add(object);
    return object;
  }

  /** Whether who calls may do something; CAP_SYS_ADMIN may do all. */
  can(capability: Capability): boolean {
    const { capable } = this.host;
    return capable === undefined || capable.call(this.host, capability) || capable.call(this.host, "CAP_SYS_ADMIN");
  }

  /** @throws {BpfError} EPERM */
  need(capability: Capability): void {
    if (!this.can(capability)) throw new BpfError("EPERM", `the caller has no ${capability}`);
  }

  /** A new descriptor for an object that the caller holds, and gives away. @returns it, or a negative errno: the object is let go */
  install(object: BpfFile["object"], access: Access = ALL): number {
    const file = new BpfFile(object, access);
    const fd = this.host.install(file);
    if (fd < 0) file.close();
    return fd;
  }

  /** @throws {BpfError} EBADF if there is no such descriptor, EINVAL if it is none of a map */
  map(fd: number): OpenMap {
    const { object, access } = this.#file(fd);
    if (object.kind !== "map") return notA("map", fd);
    return { object, access };
  }

  /** @throws {BpfError} EBADF, EINVAL */
  program(fd: number): ProgramObject {
    const { object } = this.#file(fd);
    return object.kind === "program" ? object : notA("program", fd);
  }

  /** @throws {BpfError} EBADF, EINVAL */
  btf(fd: number): BtfObject {
    const { object } = this.#file(fd);
    return object.kind === "btf" ? object : notA("BTF", fd);
  }

  /** @throws {BpfError} EBADF, EINVAL */
  link(fd: number): LinkObject {
    const { object } = this.#file(fd);
    return object.kind === "link" ? object : notA("link", fd);
  }

  /** A map, program or link. @throws {BpfError} EBADF, EINVAL */
  pinnable(fd: number): SyscallObject {
    const { object } = this.#file(fd);
    return object.kind === "btf" || object.kind === "stats" ? notA("map, program or link", fd) : object;
  }

  /** There are no tokens (`BPF_F_TOKEN_FD`). @throws {BpfError} EBADF, EINVAL */
  token(fd: number): never {
    this.#file(fd);
    return notA("token", fd);
  }

  #file(fd: number): BpfFile {
    // Descriptors are unsigned in attributes.
    const file = this.host.file(fd | 0);
    if (file === undefined) throw new BpfError("EBADF", `descriptor ${fd} is not open`);
    return file ?? notA("file of bpf(2)", fd);
  }

  /** Bytes are kept outside of the arena for somebody who calls, until {@link uncharge}. @throws {BpfError} ENOMEM */
  charge(bytes: number): void {
    if (this.#kept + bytes > KEPT_MOST)
      throw new BpfError("ENOMEM", `${bytes} bytes, and ${this.#kept} are kept: at most ${KEPT_MOST}`);
    this.#kept += bytes;
  }

  uncharge(bytes: number): void {
    this.#kept -= bytes;
  }

  /** Forgets maps that others do not hold any more. */
  sweep(): void {
    for (const map of this.dormant) if (!this.runtime.maps.has(map.id)) map.forget();
  }

  /** Whether runs are counted. */
  get counting(): boolean {
    return this.#counting > 0;
  }

  /** Counts runs of programs until it is let go. */
  count(): BpfFile["object"] {
    if (this.#counting++ === 0) for (const program of this.programs) program.startCounting();
    const putUser = (): void => {
      if (--this.#counting === 0) for (const program of this.programs) program.stopCounting();
    };
    return { kind: "stats", putUser };
  }
}

const notA = (what: string, fd: number): never => {
  throw new BpfError("EINVAL", `descriptor ${fd} stands for something else than a ${what}`);
};

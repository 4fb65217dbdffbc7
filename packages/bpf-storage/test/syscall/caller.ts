import {
  Arena,
  type BpfFile,
  BpfRuntime,
  BpfSyscalls,
  type Capability,
  Command,
  ERRNO,
  encodeInsns,
  type Generation,
  KERNEL_HIGH,
  type Owners,
  type RuntimeHost,
  type SyscallHost,
  type SyscallObject,
} from "../../src/index.js";
import { LD_IMM64, Pseudo } from "../../src/isa/opcodes.js";
import { assemble } from "../engine/assemble.js";

export const MEMORY = 2 << 20;
/** Where the caller's memory begins: below is nothing. */
export const START = 0x10000000;
/** An object that owns storage: a reference count, and the word for its storage. */
const OBJECT = { usage: 0, cell: 8, size: 16 } as const;

/** A number that stands for the map of a descriptor in the assembler of programs here. */
const FD_MARK = 0x4d41;
export const mapFd = (fd: number): string => `0x${((FD_MARK << 16) | fd).toString(16)}`;

export interface CallerDesc {
  readonly generation?: Generation;
  readonly cpus?: number;
  readonly capabilities?: readonly Capability[];
  readonly host?: Partial<SyscallHost>;
  readonly runtime?: Partial<RuntimeHost>;
  /** Kinds of owners that the system does not have. */
  readonly without?: readonly ("tasks" | "inodes" | "sockets" | "cgroups")[];
}

/** What a descriptor of another kind stands for: an object that owns storage. */
interface Owner {
  readonly kind: "tasks" | "inodes" | "sockets" | "cgroups";
  readonly object: number;
}

/** A process that makes system calls, and as little of a kernel as that takes. */
export class Caller {
  readonly memory = new Uint8Array(MEMORY);
  readonly arena = new Arena({ limit: 64 << 20 });
  readonly runtime: BpfRuntime;
  readonly syscalls: BpfSyscalls;
  readonly files = new Map<number, BpfFile>();
  readonly owners = new Map<number, Owner>();
  readonly pins = new Map<string, SyscallObject>();
  capabilities: ReadonlySet<Capability>;
  cpu = 0;
  #nextFd = 3;
  #top = START;

  constructor(desc: CallerDesc = {}) {
    const { generation = "6.12", cpus = 2, without = [] } = desc;
    this.capabilities = new Set(desc.capabilities ?? (["CAP_SYS_ADMIN"] as const));
    const owners = (kind: Owner["kind"]) => (without.includes(kind) ? {} : { [kind]: this.#owners(kind) });
    this.runtime = new BpfRuntime({
      arena: this.arena,
      generation,
      engine: "interpreter",
      host: {
        ...{ cpus, cpu: () => this.cpu, now: () => 0n },
        ...{ ...owners("tasks"), ...owners("inodes"), ...owners("sockets"), ...owners("cgroups") },
        perfEvent: (map, index, bytes) => this.syscalls.perfOutput(map, index, bytes),
        ...desc.runtime,
      },
    });
    this.syscalls = new BpfSyscalls(this.runtime, { ...this.#host(), ...desc.host }, generation);
  }

  /** The port: memory, descriptors, capabilities and pins. */
  #host(): SyscallHost {
    return {
      readUser: (at, size) => (this.#inside(at, size) ? this.memory.slice(at - START, at - START + size) : null),
      writeUser: (at, bytes) => {
        if (!this.#inside(at, bytes.length)) return false;
        this.memory.set(bytes, at - START);
        return true;
      },
      install: (file) => {
        this.files.set(this.#nextFd, file);
        return this.#nextFd++;
      },
      file: (fd) => this.files.get(fd) ?? (this.owners.has(fd) ? null : undefined),
      capable: (capability) => this.capabilities.has(capability),
      pin: (path, _folder, object) => {
        if (this.pins.has(path)) return -ERRNO.EEXIST;
        this.pins.set(path, object);
        return 0;
      },
      pinned: (path) => this.pins.get(path) ?? -ERRNO.ENOENT,
    };
  }

  #inside = (at: number, size: number): boolean => at >= START && at + size <= START + MEMORY;

  #owners(kind: Owner["kind"]): Owners {
    return {
      cell: (low, high) => (high === KERNEL_HIGH ? low + OBJECT.cell : 0),
      cellOffset: OBJECT.cell,
      live: (cell) => this.arena.u32(cell - OBJECT.cell + OBJECT.usage) !== 0,
      fromFd: (fd) => {
        const owner = this.owners.get(fd);
        // A descriptor of another kind is none of a task; a socket says so.
        if (owner === undefined) return -ERRNO.EBADF;
        if (owner.kind !== kind) return kind === "sockets" ? -ERRNO.ENOTSOCK : -ERRNO.EBADF;
        return this.arena.u32(owner.object + OBJECT.usage) === 0 ? -ERRNO.ENOENT : owner.object + OBJECT.cell;
      },
    };
  }

  /** A new object that owns storage. */
  object(): number {
    const object = this.arena.alloc(OBJECT.size);
    this.arena.setU32(object + OBJECT.usage, 1);
    return object;
  }

  /** A descriptor of an object. */
  open(kind: Owner["kind"], object = this.object()): number {
    this.owners.set(this.#nextFd, { kind, object });
    return this.#nextFd++;
  }

  /** The object of a descriptor. */
  objectOf = (fd: number): number => (this.owners.get(fd) as Owner).object;

  /** The object of a descriptor is freed by the kernel. */
  free(fd: number): void {
    const { object, kind } = this.owners.get(fd) as Owner;
    const types = { tasks: 29, inodes: 28, sockets: 24, cgroups: 32 } as const;
    this.runtime.release(types[kind], object + OBJECT.cell);
    this.arena.setU32(object + OBJECT.usage, 0);
  }

  close(fd: number): void {
    this.files.get(fd)?.close();
    this.files.delete(fd);
  }

  closeAll(): void {
    for (const fd of [...this.files.keys()]) this.close(fd);
    for (const object of this.pins.values()) object.putUser();
    this.pins.clear();
  }

  /** Puts bytes into the caller's memory. @returns their address */
  put(bytes: Uint8Array): number {
    const at = this.#top;
    this.#top = (at + bytes.length + 15) & ~7;
    if (this.#top > START + MEMORY) throw new RangeError("the caller's memory is full");
    this.memory.set(bytes, at - START);
    return at;
  }

  /** All that was put is forgotten. */
  reset(): void {
    this.#top = START;
  }

  room = (size: number): number => this.put(new Uint8Array(size));
  words = (...words: number[]): number => this.put(new Uint8Array(Uint32Array.from(words).buffer));
  text = (text: string): number => this.put(new TextEncoder().encode(`${text}\0`));
  bytes = (at: number, size: number): Uint8Array => this.memory.slice(at - START, at - START + size);
  u32 = (at: number): number => new DataView(this.memory.buffer).getUint32(at - START, true);
  string(at: number): string {
    const end = this.memory.indexOf(0, at - START);
    return new TextDecoder().decode(this.memory.subarray(at - START, end));
  }

  /** Makes a call. @param fields numbers of 32 bits by their offsets, of 64 bits as bigint, or bytes */
  call(command: number, fields: Readonly<Record<number, number | bigint | Uint8Array>>, size = 152): number {
    return this.at(command, this.attributes(fields, size), size);
  }

  at = (command: number, address: number, size: number): number => this.syscalls.bpf(command, address, size);

  attributes(fields: Readonly<Record<number, number | bigint | Uint8Array>>, size = 152): number {
    const bytes = new Uint8Array(size);
    const view = new DataView(bytes.buffer);
    for (const [key, value] of Object.entries(fields)) {
      const at = Number(key);
      if (typeof value === "number") view.setUint32(at, value >>> 0, true);
      else if (typeof value === "bigint") view.setBigUint64(at, value, true);
      else bytes.set(value, at);
    }
    return this.put(bytes);
  }

  mapCreate(
    type: number,
    keySize: number,
    valueSize: number,
    maxEntries: number,
    more: Record<number, number | bigint | Uint8Array> = {},
  ): number {
    return this.call(Command.MapCreate, { 0: type, 4: keySize, 8: valueSize, 12: maxEntries, ...more });
  }

  lookup = (map: number, key: number, value: number, flags = 0n): number =>
    this.call(Command.MapLookupElem, { 0: map, 8: BigInt(key), 16: BigInt(value), 24: flags });
  update = (map: number, key: number, value: number, flags = 0n): number =>
    this.call(Command.MapUpdateElem, { 0: map, 8: BigInt(key), 16: BigInt(value), 24: flags });
  remove = (map: number, key: number): number => this.call(Command.MapDeleteElem, { 0: map, 8: BigInt(key) });
  nextKey = (map: number, key: number, next: number): number =>
    this.call(Command.MapGetNextKey, { 0: map, 8: BigInt(key), 16: BigInt(next) });

  /** Loads a program in assembler; `lddw %r1, {@link mapFd}` names a map. */
  load(type: number, source: string, more: Record<number, number | bigint | Uint8Array> = {}): number {
    const insns = encodeInsns(
      assemble(source).map((insn) =>
        insn.code === LD_IMM64 && insn.imm >>> 16 === FD_MARK
          ? { ...insn, src: Pseudo.MapFd, imm: insn.imm & 0xffff }
          : insn,
      ),
    );
    return this.call(Command.ProgLoad, {
      ...{ 0: type, 4: insns.length / 8, 8: BigInt(this.put(insns)), 16: BigInt(this.text("GPL")) },
      ...more,
    });
  }

  loadBtf(bytes: Uint8Array): number {
    return this.call(Command.BtfLoad, { 0: BigInt(this.put(bytes)), 16: bytes.length });
  }
}

import type { BtfObject } from "./btf-object.js";
import type { LinkObject } from "./link-object.js";
import type { MapObject } from "./map-object.js";
import type { ProgramObject } from "./program-object.js";

/** What descriptors, pins and ids of bpf(2) stand for. */
export type SyscallObject = MapObject | ProgramObject | BtfObject | LinkObject;

/** What a file may be used for: a map may be open for reading or writing only (`BPF_F_RDONLY`, `BPF_F_WRONLY`). */
export interface Access {
  readonly readable: boolean;
  readonly writable: boolean;
}

/** As long as it is held, runs of programs are counted (BPF_ENABLE_STATS). */
export interface StatsHold {
  readonly kind: "stats";
  readonly putUser: () => void;
}

/** What /proc/self/fd calls the files of bpf(2). */
const NAMES = {
  map: "anon_inode:bpf-map",
  program: "anon_inode:bpf-prog",
  btf: "anon_inode:btf",
  link: "anon_inode:bpf_link",
} as const;

export const ALL: Access = { readable: true, writable: true };

/** An open file of bpf(2): what descriptors stand for. Copies of a descriptor (dup, fork) stand for the same file. */
export class BpfFile {
  #open = true;

  /** @param object which the caller holds, and the file from now on */
  constructor(
    readonly object: SyscallObject | StatsHold,
    readonly access: Access = ALL,
  ) {}

  /** What /proc/self/fd calls it. */
  get name(): string {
    return this.object.kind === "stats" ? "anon_inode:bpf-stats" : NAMES[this.object.kind];
  }

  /** Lines of /proc/self/fdinfo, each ended, that tell about the object. */
  get info(): string {
    return this.object.kind === "stats" ? "" : this.object.describe();
  }

  /** The last descriptor is closed. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.object.putUser();
  }
}

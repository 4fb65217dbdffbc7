import type { BpfProgram } from "../runtime/program.js";
import type { ProgramType } from "../uapi/program-types.js";
import type { AttachTarget } from "../verifier/request.js";
import type { BtfObject } from "./btf-object.js";
import type { MapObject } from "./map-object.js";
import { Counted } from "./objects.js";

/** A record of BPF_PROG_LOAD about functions or lines, as its words are. */
export interface InfoRecords {
  readonly count: number;
  readonly bytes: Uint8Array;
}

/** What is known of a program since it was loaded. */
export interface ProgramDetails {
  readonly name: string;
  readonly type: ProgramType;
  readonly attachType: number;
  /** Of the kernel's types that it is for; its number there. */
  readonly attachTo: (AttachTarget & { readonly id: number }) | null;
  readonly gpl: boolean;
  readonly sleepable: boolean;
  /** BPF_F_XDP_HAS_FRAGS */
  readonly xdpHasFrags: boolean;
  readonly uid: number;
  /** Nanoseconds. */
  readonly loadTime: bigint;
  /** First eight bytes of the digest of its instructions, of the program and of each function. */
  readonly tag: Uint8Array;
  readonly tags: readonly Uint8Array[];
  /** Instructions as the verifier left them, encoded; maps are named by their ids. */
  readonly insns: Uint8Array;
  /** Instructions that the verifier looked at. */
  readonly verified: number;
  /** Bytes of the context that a run must give. */
  readonly contextSize: number;
  readonly btf: BtfObject | null;
  readonly functions: InfoRecords;
  readonly lines: InfoRecords;
}

/** A program, as bpf(2) keeps it. It holds the maps that it uses. */
export class ProgramObject extends Counted {
  readonly kind = "program";
  readonly maps: MapObject[];
  /** Runs while they were counted, up to the last time that counting began; and where it stood then. */
  #counted = 0;
  #since: number | null = null;

  /** @param maps are held; so is the BTF @param release nobody holds the program any more */
  constructor(
    readonly id: number,
    readonly program: BpfProgram,
    readonly details: ProgramDetails,
    maps: readonly MapObject[],
    readonly release: (self: ProgramObject) => void,
  ) {
    super();
    this.maps = [...maps];
  }

  /** Runs are counted from now on (`bpf_stats_enabled_key`). */
  startCounting(): void {
    this.#since = this.program.runs;
  }

  stopCounting(): void {
    this.#counted = this.runs;
    this.#since = null;
  }

  /** Runs while they were counted. */
  get runs(): number {
    return this.#counted + (this.#since === null ? 0 : this.program.runs - this.#since);
  }

  /** Lines of fdinfo. */
  describe(): string {
    const { type, tag, verified } = this.details;
    return [
      `prog_type:\t${type}`,
      "prog_jited:\t0",
      `prog_tag:\t${Array.from(tag, (byte) => byte.toString(16).padStart(2, "0")).join("")}`,
      `memlock:\t${Math.ceil(this.details.insns.length / 4096) * 4096}`,
      `prog_id:\t${this.id}`,
      "run_time_ns:\t0",
      `run_cnt:\t${this.runs}`,
      `recursion_misses:\t${this.program.misses}`,
      `verified_insns:\t${verified}`,
      "",
    ].join("\n");
  }

  protected gone(): void {
    for (const map of this.maps) map.put();
    this.details.btf?.put();
    this.release(this);
  }
}

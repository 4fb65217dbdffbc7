import type { GuestCpu } from "./guest-cpu.js";
import type { Td } from "./td.js";

/** TDVPS.STATE. */
export enum VcpuState {
  Uninitialized = 0,
  Ready = 2,
  Active = 4,
  /** It had a triple fault and never runs again. */
  Disabled = 8,
}

/** TDVPS.LAST_TD_EXIT. */
export enum LastExit {
  AsyncFault = 0,
  AsyncTrap = 1,
  TdVmCall = 2,
}

/** What TDG.VP.VEINFO.GET answers: the last virtualisation exception, until it is taken. */
export interface VeInfo {
  valid: boolean;
  /** Basic VMX exit reason. */
  exitReason: number;
  qualification: bigint;
  gla: bigint;
  gpa: number;
  instructionLength: number;
  instructionInfo: number;
}

/** {@link TdVcpu.associatedLp} of a vCPU that no logical processor has. */
export const NOT_ASSOCIATED = -1;

/** A vCPU of a TD as the TDX module knows it (TDVPS). The registers are the {@link GuestCpu}'s. */
export class TdVcpu {
  state = VcpuState.Uninitialized;
  lastExit = LastExit.AsyncFault;
  /** Order of initialisation within the TD, from 0. */
  index = 0;
  x2ApicId = 0;
  /** TDH.VP.INIT had version 1, and so an x2APIC id. */
  hasX2ApicId = false;
  /** Physical addresses of its pages, the TDVPR first. */
  readonly pages: number[];
  /** Logical processor that may have something of it in its caches, or {@link NOT_ASSOCIATED}. */
  associatedLp = NOT_ASSOCIATED;
  /** TD epoch it was entered in last. */
  epoch = 0;
  /** Value of the host's time stamp counter at the last exit. */
  lastExitTsc = 0n;
  xfam = 0n;
  /** Whether every CPUID causes #VE, by privilege; TDG.VP.CPUIDVE.SET. */
  cpuidSupervisorVe = false;
  cpuidUserVe = false;
  /** The host's time stamp counter when the guest was first turned away by a lock that a host wants, until it is not. */
  hostPrioritySince: bigint | undefined;
  /** An NMI that the host has asked to be delivered (TDH.VP.WR PEND_NMI). */
  pendNmi = false;
  readonly veInfo: VeInfo = {
    valid: false,
    exitReason: 0,
    qualification: 0n,
    gla: 0n,
    gpa: 0,
    instructionLength: 0,
    instructionInfo: 0,
  };
  /** EPT violations on private addresses, one after the other, since an instruction was completed. */
  epfCount = 0;
  /** Addresses of those beyond the threshold. */
  readonly epfGpas: number[] = [];
  /** RIP when the vCPU was entered last. */
  entryRip = 0n;
  /** From VP.INIT on. */
  cpu: GuestCpu | undefined;
  /** Fields that only exist to be read and written, by their id. */
  readonly fields = new Map<bigint, bigint>();

  constructor(
    readonly td: Td,
    /** Physical address of its TDVPR page. */
    readonly tdvpr: number,
  ) {
    this.pages = [tdvpr];
  }
}

/** Pages that a vCPU needs, its TDVPR included. Source: TDX module 1.5, TDH.VP.ADDCX and TDH.SYS.INFO. */
export const MIN_TDVPS_PAGES = 6;
/** The most of them. */
export const MAX_TDVPS_PAGES = 15;

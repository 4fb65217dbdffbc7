import { ATTRIBUTE_SEPT_VE_DISABLE } from "../tables/attributes.js";
import type { MrtdContext } from "./measurement.js";
import type { SecureEpt } from "./sept.js";
import { TdEpoch } from "./td-epoch.js";
import type { TdVcpu } from "./td-vcpu.js";
import { TryLock } from "./try-lock.js";

/** Where a TD is between its creation and the end of its key: TDR.LIFECYCLE_STATE. Never goes back. */
export enum Lifecycle {
  HkidAssigned = 0,
  KeysConfigured = 1,
  Blocked = 2,
  Teardown = 3,
}

/** What a TD can do: TDCS.OP_STATE. From {@link OpState.LiveExport} on they are migration's, which no leaf of this module enters. */
export enum OpState {
  Uninitialized = 0,
  Initialized = 1,
  Runnable = 2,
  LiveExport = 3,
  PausedExport = 4,
  PostExport = 5,
  MemoryImport = 6,
  StateImport = 7,
  PostImport = 8,
  LiveImport = 9,
  FailedImport = 10,
}

/** Bits of TDCS.ATTRIBUTES. */
export const Attribute = {
  DEBUG: 1n << 0n,
  SEPT_VE_DISABLE: ATTRIBUTE_SEPT_VE_DISABLE,
  MIGRATABLE: 1n << 29n,
  PKS: 1n << 30n,
  PERFMON: 1n << 63n,
} as const;

/** Bits of TDCS.CONFIG_FLAGS. */
export const ConfigFlag = {
  /** Guest physical addresses have 52 bits, else 48. */
  GPAW: 1n << 0n,
  /** The guest may choose by TD_CTLS whether pending pages cause #VE. */
  FLEXIBLE_PENDING_VE: 1n << 1n,
  /** TDG.VP.VMCALL may not hand over RBP, and other exits keep the host's. */
  NO_RBP_MOD: 1n << 2n,
} as const;

/** Bits of TDCS.TD_CTLS. */
export const TdCtl = {
  /** Touching a pending page leaves the TD, and does not cause #VE. */
  PENDING_VE_DISABLE: 1n << 0n,
  /** CPUID shows the topology of the vCPUs (leaves 1, 0xB and 0x1F) instead of #VE. */
  ENUM_TOPOLOGY: 1n << 1n,
} as const;

/** EAX, EBX, ECX, EDX. */
export type CpuidValues = readonly [number, number, number, number];

/** Key of a map by CPUID leaf and subleaf; a leaf without subleaves has none. */
export function cpuidKey(leaf: number, subleaf?: number): number {
  return leaf * 0x1000 + (subleaf === undefined ? 0xfff : subleaf);
}

const SHARED_BIT_52 = 2 ** 51;
const SHARED_BIT_48 = 2 ** 47;

/** Bytes of a measurement register: a SHA-384. */
export const MEASUREMENT_BYTES = 48;
const zeroes = () => new Uint8Array(MEASUREMENT_BYTES);

/**
 * A TD as the TDX module knows it: its root (TDR) and, once enough TDCX pages were added, its control structure (TDCS). Only SEAMCALL leaves change it, except
 * what the guest may: RTMRs, NOTIFY_ENABLES and TD_CTLS.
 */
export class Td {
  // TDR.
  lifecycle = Lifecycle.HkidAssigned;
  /** Something happened that must not; nothing but teardown works any more. */
  fatal = false;
  /** 4 KiB pages that belong to the TD, except its TDR. */
  chldcnt = 0;
  /** Physical addresses of its TDCX pages. */
  readonly tdcx: number[] = [];
  /** By package: whether the key is configured there. */
  packagesConfigured = 0;
  /** 32 bytes. */
  readonly uuid = new Uint8Array(32);

  // TDCS: management.
  opState = OpState.Uninitialized;
  readonly opStateLock = new TryLock(true);
  numVcpus = 0;
  numAssociatedVcpus = 0;
  /** All vCPUs that were created, by the physical address of their TDVPR. */
  readonly vcpus = new Map<number, TdVcpu>();

  // TDCS: execution controls, from TD_PARAMS.
  attributes = 0n;
  xfam = 0n;
  maxVcpus = 0;
  numL2Vms = 0;
  msrConfigCtls = 0;
  /** 52-bit guest physical addresses; else 48. The shared bit is the highest. */
  gpaw = false;
  eptpControls = 0n;
  configFlags = 0n;
  /** Units of 25 MHz. */
  tscFrequency = 0;
  /** 48 bits of it are the fraction. */
  tscMultiplier = 0n;
  tscOffset = 0n;
  /** What IA32_ARCH_CAPABILITIES reads as. */
  archCapabilities = 0n;
  /** What CPUID answers in the TD, by {@link cpuidKey}; before what depends on the vCPU. */
  readonly cpuid = new Map<number, CpuidValues>();
  /** The guest may change these. */
  notifyEnables = 0n;
  tdCtls = 0n;
  topologyEnumConfigured = false;
  /** How long a guest may be turned away by locks that a host wants, in microseconds: HP_LOCK_TIMEOUT, 10,000 to 100,000,000. */
  hpLockTimeout = 1_000_000;

  // TDCS: the secure EPT; from MNG.INIT on.
  sept: SecureEpt | undefined;
  readonly septLock = new TryLock();
  readonly epoch = new TdEpoch();

  // TDCS: measurement.
  /** From MNG.INIT to MR.FINALIZE. */
  mrtdContext: MrtdContext | undefined;
  mrtd: Uint8Array = zeroes();
  mrConfigId: Uint8Array = zeroes();
  mrOwner: Uint8Array = zeroes();
  mrOwnerConfig: Uint8Array = zeroes();
  readonly rtmrs: readonly Uint8Array[] = [zeroes(), zeroes(), zeroes(), zeroes()];
  readonly rtmrLock = new TryLock(true);
  servTdHash: Uint8Array = zeroes();

  /**
   * @param tdr physical address of its TDR page
   * @param hkid key id of its memory
   */
  constructor(
    readonly tdr: number,
    readonly hkid: number,
  ) {}

  get isDebug(): boolean {
    return (this.attributes & Attribute.DEBUG) !== 0n;
  }

  /** Bits of a guest physical address: 48 or 52. The highest is the shared bit. */
  get gpaBits(): 48 | 52 {
    return this.gpaw ? 52 : 48;
  }

  /** The bit of a guest physical address that says shared, as its value. */
  get sharedBit(): number {
    return this.gpaw ? SHARED_BIT_52 : SHARED_BIT_48;
  }
}

/** Control pages that a TD needs. Source: TDX module 1.5, TDH.MNG.ADDCX and TDH.SYS.INFO. */
export const MIN_TDCS_PAGES = 6;
/** The most of them: as many as with three L2 VMs. */
export const MAX_TDCS_PAGES = 9;
/** Which of them holds the root of the secure EPT. */
export const SEPT_ROOT_PAGE = 3;

import type { CallRecord } from "@vm/tdx";
import type { Plugin } from "../plugin.js";

/** A SEAMCALL of the host or a TDCALL of the guest. */
export interface TdxCall extends CallRecord {
  /** Instructions that the processors, all together, have retired until then, the TDCALL itself included: one that is repeated is counted once. */
  readonly instructions: number;
}

export interface TdxOptions {
  /**
   * Firmware with TDVF metadata (OVMF for TDX) that starts the TD: it boots the kernel of the options, a bzImage, or else what it finds on a disk.
   * Default: a loader of our own starts the kernel.
   */
  readonly firmware?: Uint8Array;
  /** What firmware with Secure Boot starts the kernel by: a distribution's shim, an EFI program. */
  readonly shim?: Uint8Array;
  /** False: the firmware's variables start empty, and with them Secure Boot off. It is measured to the same MRTD, but to another RTMR0. Default true. */
  readonly secureBoot?: boolean;
  /** TD attributes; default SEPT_VE_DISABLE, without which Linux does not start. */
  readonly attributes?: bigint;
  /** 48 bytes each, which reports and quotes carry; default zeros. */
  readonly mrConfigId?: Uint8Array;
  readonly mrOwner?: Uint8Array;
  readonly mrOwnerConfig?: Uint8Array;
  /** What the platform that signs quotes is made up from; null: it has no quoting service. Default "vm". */
  readonly quoteSeed?: string | null;
  /** Told of every SEAMCALL when it has ended, also those that build the TD, and of every TDCALL as `TdGuest.onTrace` says. It must not throw. */
  readonly onTrace?: (call: TdxCall) => void;
}

/** What `tdx` makes. */
export interface TdxPlugin extends Plugin {
  readonly tdx: TdxOptions;
}

export const isTdx = (plugin: Plugin): plugin is TdxPlugin => "tdx" in plugin;

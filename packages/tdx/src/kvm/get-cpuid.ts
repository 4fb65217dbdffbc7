import type { CpuidBuffer } from "./commands.js";
import {
  CPUID_FLAG_SIGNIFICANT_INDEX,
  type CpuidEntry,
  LEAF_ADDRESS_SIZES,
  MAX_CPUID_ENTRIES,
  withGuestPhysBits,
} from "./cpuid-entry.js";
import { KvmTdxError } from "./errors.js";
import type { TdVm } from "./td-vm.js";

/** TDCS.CPUID_VALUES: leaf and subleaf are in the field id. */
const CPUID_VALUES = 0x9410_0003_0000_0000n;
const NO_SUBLEAF = 0xff;
const MAX_SUBLEAF = 0x7f;
const EXTENDED = 0x8000_0000;
/** Leaf numbers that the field id has no bits for. */
const UNREADABLE = 0x7fff_ff80;

/** KVM_TDX_GET_CPUID: what the module answers to the guest. Source: linux, tdx_vcpu_get_cpuid. @throws KvmTdxError EIO; E2BIG, and `nent` says how many there are */
export function getCpuid(vm: TdVm, buffer: CpuidBuffer): void {
  const entries: CpuidEntry[] = [];
  for (const first of [0, EXTENDED]) {
    const found = readLeaf(vm, first, MAX_CPUID_ENTRIES - entries.length);
    const last = found.at(-1);
    if (last === undefined) throw new KvmTdxError("EIO", `the module has no CPUID leaf 0x${first.toString(16)}`);
    entries.push(...found);
    for (let leaf = first + 1; leaf <= last.eax; leaf++) {
      // Beyond, nothing can be read, however high the highest leaf is said to be.
      if ((leaf & UNREADABLE) !== 0 || entries.length >= MAX_CPUID_ENTRIES) break;
      entries.push(...readLeaf(vm, leaf, MAX_CPUID_ENTRIES - entries.length));
    }
  }
  const room = buffer.nent;
  buffer.nent = entries.length;
  if (room < entries.length) throw new KvmTdxError("E2BIG", `room for ${room} CPUID entries; ${entries.length}`);
  buffer.entries = entries;
}

/** The leaf, or all its subleaves; at most `room` of them. */
function readLeaf(vm: TdVm, leaf: number, room: number): CpuidEntry[] {
  if (room <= 0) return [];
  const whole = readEntry(vm, leaf, null);
  if (whole !== null) return [whole];
  const entries: CpuidEntry[] = [];
  while (entries.length < Math.min(room, MAX_SUBLEAF + 1)) {
    const entry = readEntry(vm, leaf, entries.length);
    if (entry === null) break;
    entries.push(entry);
  }
  return entries;
}

function readEntry({ host, tdr, sharedBit }: TdVm, leaf: number, subleaf: number | null): CpuidEntry | null {
  if (tdr === null) return null;
  const { seamcalls } = host;
  const number = ((leaf & EXTENDED) !== 0 ? 1 << 16 : 0) | ((leaf & 0x7f) << 9) | ((subleaf ?? NO_SUBLEAF) << 1);
  const field = CPUID_VALUES | BigInt(number & 0x1_fffe);
  if (seamcalls.mngRd(0, tdr, field) !== 0n) return null;
  const eaxEbx = seamcalls.r8;
  if (seamcalls.mngRd(0, tdr, field + 1n) !== 0n) return null;
  const ecxEdx = seamcalls.r8;
  const eax = Number(eaxEbx & 0xffff_ffffn);
  return {
    function: leaf,
    index: subleaf ?? 0,
    flags: subleaf === null ? 0 : CPUID_FLAG_SIGNIFICANT_INDEX,
    eax: leaf === LEAF_ADDRESS_SIZES ? withGuestPhysBits(eax, Math.log2(sharedBit) + 1) : eax,
    ebx: Number(eaxEbx >> 32n),
    ecx: Number(ecxEdx & 0xffff_ffffn),
    edx: Number(ecxEdx >> 32n),
  };
}

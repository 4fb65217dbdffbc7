import type { FieldStore, MetadataStatus } from "../../metadata/access.js";
import { FieldContext } from "../../metadata/field-id.js";
import type { FieldRow } from "../../tables/fields.js";
import { Gpr } from "../gpr.js";
import { NOT_ASSOCIATED, type TdVcpu } from "../td-vcpu.js";

type Reader = (vcpu: TdVcpu, index: number) => bigint | number | undefined;
type Writer = (vcpu: TdVcpu, value: bigint) => MetadataStatus | undefined;

/** Registers by their name in the table. */
const GPRS: readonly [string, Gpr][] = [
  ["RAX", Gpr.Rax],
  ["RCX", Gpr.Rcx],
  ["RDX", Gpr.Rdx],
  ["RBX", Gpr.Rbx],
  ["RBP", Gpr.Rbp],
  ["RSI", Gpr.Rsi],
  ["RDI", Gpr.Rdi],
  ["R8", Gpr.R8],
  ["R9", Gpr.R9],
  ["R10", Gpr.R10],
  ["R11", Gpr.R11],
  ["R12", Gpr.R12],
  ["R13", Gpr.R13],
  ["R14", Gpr.R14],
  ["R15", Gpr.R15],
  ["Guest RSP", Gpr.Rsp],
];
const VE_VALID = 0xffff_ffff;
const PID_ADDRESS = "Posted-interrupt descriptor address";
const NOTIFICATION_VECTOR = "Posted-interrupt notification vector";
const POSTED_INTERRUPTS = 1n << 7n;
const VECTORS = 256n;
/** The values of VMCS fields that nobody has written yet. */
const INITIAL: Readonly<Record<string, bigint>> = { [PID_ADDRESS]: (1n << 64n) - 1n, [NOTIFICATION_VECTOR]: 0xffffn };

const READERS: Readonly<Record<string, Reader>> = {
  ...Object.fromEntries(GPRS.map(([name, gpr]) => [name, (vcpu: TdVcpu) => vcpu.cpu?.gpr.get(gpr)])),
  EXIT_REASON: ({ veInfo }) => veInfo.exitReason,
  VALID: ({ veInfo }) => (veInfo.valid ? VE_VALID : 0),
  EXIT_QUALIFICATION: ({ veInfo }) => veInfo.qualification,
  GLA: ({ veInfo }) => veInfo.gla,
  GPA: ({ veInfo }) => veInfo.gpa,
  EPTP_INDEX: () => 0,
  INSTRUCTION_LENGTH: ({ veInfo }) => veInfo.instructionLength,
  INSTRUCTION_INFORMATION: ({ veInfo }) => veInfo.instructionInfo,
  VCPU_STATE: ({ state }) => state,
  VCPU_INDEX: ({ index }) => index,
  NUM_TDVPS_PAGES: ({ pages }) => pages.length,
  ASSOC_LPID: ({ associatedLp }) => (associatedLp === NOT_ASSOCIATED ? 0xffff_ffff : associatedLp),
  VCPU_EPOCH: ({ epoch }) => epoch,
  CPUID_SUPERVISOR_VE: ({ cpuidSupervisorVe }) => (cpuidSupervisorVe ? 1 : 0),
  CPUID_USER_VE: ({ cpuidUserVe }) => (cpuidUserVe ? 1 : 0),
  LAST_EXIT_TSC: ({ lastExitTsc }) => lastExitTsc,
  PEND_NMI: ({ pendNmi }) => (pendNmi ? 1 : 0),
  XFAM: ({ xfam }) => xfam,
  LAST_TD_EXIT: ({ lastExit }) => lastExit,
  TDVPS_PAGE_PA: ({ pages }, index) => pages[index] ?? 0,
  CURR_VM: () => 0,
  "Guest RIP": ({ cpu }) => cpu?.rip,
  "Guest CR0": ({ cpu }) => cpu?.cr0,
  "Guest CR3": ({ cpu }) => cpu?.cr3,
  "Guest CR4": ({ cpu }) => cpu?.cr4,
  IA32_EFER: ({ cpu }) => cpu?.efer,
  "Time-Stamp Counter Offset": ({ td }) => td.tscOffset,
  "Time-Stamp Counter Multiplier": ({ td }) => td.tscMultiplier,
  EPTP: ({ td }) => td.eptpControls | BigInt(td.sept?.root.hpa ?? 0),
  "TD HKID": ({ td }) => td.hkid,
};

/** What only exists to be read as it was written: the host's settings of a vCPU, CPUID_CONTROL of the guest. */
const STORED: ReadonlySet<string> = new Set([
  NOTIFICATION_VECTOR,
  PID_ADDRESS,
  "Shared EPTP",
  "Pin-Based VM-Execution Controls",
  "Secondary Processor-Based VM-Execution Controls",
  "Instruction Timeout Control",
  "PLE_GAP",
  "PLE_Window",
  "CPUID_CONTROL",
]);

const WRITERS: Readonly<Record<string, Writer>> = {
  ...Object.fromEntries(
    GPRS.map(([name, gpr]): [string, Writer] => [name, ({ cpu }, value) => void cpu?.gpr.set(gpr, value)]),
  ),
  "Guest RIP": ({ cpu }, value) => {
    if (cpu === undefined) return "METADATA_FIELD_NOT_WRITABLE";
    cpu.rip = value;
    return undefined;
  },
  PEND_NMI: (vcpu, value) => {
    vcpu.pendNmi = value !== 0n;
    return undefined;
  },
  CPUID_SUPERVISOR_VE: (vcpu, value) => {
    vcpu.cpuidSupervisorVe = value !== 0n;
    return undefined;
  },
  CPUID_USER_VE: (vcpu, value) => {
    vcpu.cpuidUserVe = value !== 0n;
    return undefined;
  },
};

/** Id of an element in {@link TdVcpu.fields}. VMX's fields have one element each. */
export function storedField(row: Pick<FieldRow, "id">, index: number): bigint {
  return row.id + BigInt(index);
}

function read(vcpu: TdVcpu, row: FieldRow, index: number): bigint | MetadataStatus {
  const known = vcpu.fields.get(storedField(row, index));
  if (known !== undefined) return known;
  if (STORED.has(row.name)) return INITIAL[row.name] ?? 0n;
  const value = READERS[row.name]?.(vcpu, index);
  // The rest is the processor's, which keeps it for itself.
  return value === undefined ? "METADATA_FIELD_NOT_READABLE" : BigInt(value);
}

function stored(vcpu: TdVcpu, name: string): bigint {
  const row = STORED_ROWS.get(name);
  return (row === undefined ? undefined : vcpu.fields.get(row)) ?? INITIAL[name] ?? 0n;
}
/** VMX's encodings behind the ids of fields that others depend on. */
const STORED_ROWS = new Map([
  [NOTIFICATION_VECTOR, 0x0024_0001_0000_0002n],
  [PID_ADDRESS, 0x0024_0003_0000_2016n],
]);

function checkStored(vcpu: TdVcpu, name: string, value: bigint): MetadataStatus {
  if (name === NOTIFICATION_VECTOR && value >= VECTORS) return "METADATA_FIELD_VALUE_NOT_VALID";
  if (name !== "Pin-Based VM-Execution Controls" || (value & POSTED_INTERRUPTS) === 0n) return "SUCCESS";
  const isReady = [NOTIFICATION_VECTOR, PID_ADDRESS].every((field) => stored(vcpu, field) !== INITIAL[field]);
  return isReady ? "SUCCESS" : "TD_VMCS_FIELD_NOT_INITIALIZED";
}

/** The fields of a vCPU, for TDH.VP.RD and WR, TDG.VP.RD and WR. Source: Intel TDX module 1.5 ABI specification, "VCPU-Scope Metadata Fields". */
export function vpFields(vcpu: TdVcpu): FieldStore {
  return {
    context: FieldContext.Vp,
    read: (row, index) => read(vcpu, row, index),
    write: (row, index, value) => {
      if (STORED.has(row.name)) {
        const status = checkStored(vcpu, row.name, value);
        if (status === "SUCCESS") vcpu.fields.set(storedField(row, index), value);
        return status;
      }
      const writer = WRITERS[row.name];
      return writer === undefined ? "METADATA_FIELD_NOT_WRITABLE" : (writer(vcpu, value) ?? "SUCCESS");
    },
  };
}

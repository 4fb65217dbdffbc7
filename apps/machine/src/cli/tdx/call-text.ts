import { Gpr, OperandId, Status, statusName, TdvmcallStatus } from "@vm/tdx";
import type { TdxCall } from "../../index.js";
import { OPERANDS, type Operand, SUB_FUNCTIONS, type SubFunction } from "./operands.js";

const VP_ENTER = 0;
const VP_VMCALL = 0;
const LOW_32 = 0xffff_ffffn;
const BASIC_REASON = 0xffff;
const INSTRUCTION_COLUMN = 12;
/** Of a status. */
const DIGITS = 16;

/** Basic VMX exit reasons with which TDH.VP.ENTER comes back. Source: SDM vol. 3, appendix C. */
const EXIT_REASONS: Readonly<Record<number, string>> = {
  0: "EXCEPTION_NMI",
  1: "EXTERNAL_INTERRUPT",
  2: "TRIPLE_FAULT",
  48: "EPT_VIOLATION",
  77: "TDCALL",
};
/** Statuses of an entry that has an exit reason. */
const ENTERED: ReadonlySet<string> = new Set(["SUCCESS", "NON_RECOVERABLE_VCPU", "NON_RECOVERABLE_TD"]);
const ANSWERS = new Map<bigint, string>(Object.entries(TdvmcallStatus).map(([name, status]) => [status, name]));
const VENDOR: SubFunction = { name: "hypercall of the vendor", operands: [[Gpr.R10, "nr"]] };
const UNKNOWN: SubFunction = { name: "unknown", operands: [[Gpr.R11, "sub_function"]] };

const isEnter = ({ kind, leaf }: TdxCall): boolean => kind === "seamcall" && leaf === VP_ENTER;
const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

/** Intel's name of a leaf, or that it has none. */
export const nameOf = ({ name }: TdxCall): string => name ?? "unknown";

/** What a TDG.VP.VMCALL asks for; undefined for any other call. */
export function subFunctionOf({ kind, leaf, input }: TdxCall): SubFunction | undefined {
  if (kind !== "tdcall" || leaf !== VP_VMCALL) return undefined;
  if (input[Gpr.R10] !== 0n) return VENDOR;
  return SUB_FUNCTIONS.get(input[Gpr.R11] as bigint) ?? UNKNOWN;
}

/** Name of a status; of an entry, with the name of what ended it. */
export function statusOf(call: TdxCall): string {
  const name = statusName(call.status) ?? "unknown";
  if (!isEnter(call) || !ENTERED.has(name)) return name;
  const reason = Number(call.status & LOW_32) & BASIC_REASON;
  const how = EXIT_REASONS[reason] ?? `exit reason ${reason}`;
  return call.status >> 32n === Status.SUCCESS ? how : `${name} ${how}`;
}

/** What a host answers that enters a vCPU again after a TDVMCALL. */
export function answerOf({ input }: TdxCall): string {
  return ANSWERS.get(input[Gpr.R10] as bigint) ?? "another value";
}

/** What identifies the vCPU of a call, 0 if it is about none: its TDVPR. */
export const vcpuOf = (call: TdxCall): number =>
  isEnter(call) ? Number(BigInt.asUintN(52, call.input[Gpr.Rcx] as bigint)) : (call.tdvpr ?? 0);

/** Whether it enters a vCPU, or tried to. */
export const entersVcpu = isEnter;

/** Whether an entry got into the guest. */
export const hasEntered = ({ status }: TdxCall): boolean => ENTERED.has(statusName(status) ?? "");

/** A line about a call: instructions until then, logical processor, name, operands and status. */
export function callLine(call: TdxCall): string {
  const { instructions, lp, input, leaf, version, name } = call;
  const asked = subFunctionOf(call);
  const operands: readonly Operand[] = asked?.operands ?? OPERANDS[name ?? ""] ?? [];
  const what = name === undefined ? `leaf ${leaf}` : asked === undefined ? name : `${name}<${asked.name}>`;
  const words = operands.map(([gpr, label]) => `${label}=${hex(input[gpr] as bigint)}`);
  const start = `${`${instructions}`.padStart(INSTRUCTION_COLUMN)} LP${lp} ${what}${version === 0 ? "" : ` v${version}`}`;
  return [start, ...words, `-> ${statusOf(call)}${detail(call)}`].join(" ");
}

/** The operand that a status names, where it names one. */
function detail(call: TdxCall): string {
  const operand = Number(call.status & LOW_32);
  if (operand === 0 || isEnter(call)) return "";
  return ` (${OperandId[operand] ?? hex(operand)})`;
}

/** The same for a program. */
export function callJson(call: TdxCall): string {
  const { kind, leaf, version, name, instructions, lp, input, status } = call;
  const asked = subFunctionOf(call);
  const operands = asked?.operands ?? OPERANDS[name ?? ""] ?? [];
  return JSON.stringify({
    ...{ instructions, lp, kind, leaf, version, name: name ?? null },
    ...(asked === undefined ? {} : { subFunction: asked.name }),
    operands: Object.fromEntries(operands.map(([gpr, label]) => [label, hex(input[gpr] as bigint)])),
    status: `0x${status.toString(16).padStart(DIGITS, "0")}`,
    statusName: statusOf(call),
  });
}

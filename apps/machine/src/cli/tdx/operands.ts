import { Gpr } from "@vm/tdx";

/** An operand of a leaf: the register it is in, and what it is. */
export type Operand = readonly [gpr: Gpr, name: string];

const { Rcx, Rdx, R8, R9, R12, R13, R14, R15 } = Gpr;
const tdr: Operand = [Rcx, "tdr"];
const tdvpr: Operand = [Rcx, "tdvpr"];
/** With the level in bits 2:0. */
const gpa: Operand = [Rcx, "gpa"];
const owner: Operand = [Rdx, "tdr"];
const page: Operand = [R8, "hpa"];
const read: readonly Operand[] = [[Rdx, "field"]];
const write: readonly Operand[] = [...read, [R8, "value"], [R9, "mask"]];

/** Input operands by leaf. Source: Intel TDX module 1.5 ABI specification. */
export const OPERANDS: Readonly<Record<string, readonly Operand[]>> = {
  "TDH.VP.ENTER": [tdvpr],
  "TDH.MNG.ADDCX": [[Rcx, "tdcx"], owner],
  "TDH.MEM.PAGE.ADD": [gpa, owner, page, [R9, "source"]],
  "TDH.MEM.SEPT.ADD": [gpa, owner, page],
  "TDH.VP.ADDCX": [
    [Rcx, "tdcx"],
    [Rdx, "tdvpr"],
  ],
  "TDH.MEM.PAGE.AUG": [gpa, owner, page],
  "TDH.MEM.RANGE.BLOCK": [gpa, owner],
  "TDH.MEM.RANGE.UNBLOCK": [gpa, owner],
  "TDH.MEM.PAGE.REMOVE": [gpa, owner],
  "TDH.MEM.SEPT.REMOVE": [gpa, owner],
  "TDH.MEM.SEPT.RD": [gpa, owner],
  "TDH.MEM.TRACK": [tdr],
  "TDH.MNG.CREATE": [tdr, [Rdx, "hkid"]],
  "TDH.MNG.KEY.CONFIG": [tdr],
  "TDH.MNG.INIT": [tdr, [Rdx, "td_params"]],
  "TDH.MNG.RD": [tdr, ...read],
  "TDH.MNG.WR": [tdr, ...write],
  "TDH.MNG.VPFLUSHDONE": [tdr],
  "TDH.MNG.KEY.FREEID": [tdr],
  "TDH.MR.EXTEND": [gpa, owner],
  "TDH.MR.FINALIZE": [tdr],
  "TDH.VP.CREATE": [tdvpr, owner],
  "TDH.VP.INIT": [tdvpr, [Rdx, "rcx"], [R8, "x2apic_id"]],
  "TDH.VP.FLUSH": [tdvpr],
  "TDH.VP.RD": [tdvpr, ...read],
  "TDH.VP.WR": [tdvpr, ...write],
  "TDH.PHYMEM.PAGE.RDMD": [[Rcx, "hpa"]],
  "TDH.PHYMEM.PAGE.RECLAIM": [[Rcx, "hpa"]],
  "TDH.PHYMEM.PAGE.WBINVD": [[Rcx, "hpa"]],
  "TDH.PHYMEM.CACHE.WB": [[Rcx, "resume"]],
  "TDH.SYS.INIT": [[Rcx, "attributes"]],
  "TDH.SYS.RD": read,
  "TDH.SYS.CONFIG": [
    [Rcx, "tdmr_info"],
    [Rdx, "count"],
    [R8, "hkid"],
  ],
  "TDH.SYS.TDMR.INIT": [[Rcx, "tdmr"]],
  "TDG.MR.RTMR.EXTEND": [
    [Rcx, "data"],
    [Rdx, "rtmr"],
  ],
  "TDG.MR.REPORT": [
    [Rcx, "report"],
    [Rdx, "report_data"],
    [R8, "subtype"],
  ],
  "TDG.MR.VERIFYREPORT": [[Rcx, "report_mac"]],
  "TDG.VP.CPUIDVE.SET": [[Rcx, "flags"]],
  "TDG.MEM.PAGE.ACCEPT": [gpa],
  "TDG.MEM.PAGE.ATTR.RD": [gpa],
  "TDG.MEM.PAGE.ATTR.WR": [gpa, [Rdx, "attributes"], [R8, "flags"]],
  "TDG.VM.RD": read,
  "TDG.VM.WR": write,
  "TDG.VP.RD": read,
  "TDG.VP.WR": write,
  "TDG.SYS.RD": read,
};

/** A sub-function of TDG.VP.VMCALL. */
export interface SubFunction {
  readonly name: string;
  readonly operands: readonly Operand[];
}

const sub = (name: string, ...operands: Operand[]): SubFunction => ({ name, operands });

/** Sub-functions by R11. Source: Guest-Hypervisor Communication Interface for Intel TDX 1.5. */
export const SUB_FUNCTIONS: ReadonlyMap<bigint, SubFunction> = new Map([
  [10n, sub("Instruction.CPUID", [R12, "leaf"], [R13, "subleaf"])],
  [12n, sub("Instruction.HLT", [R12, "interrupts_blocked"])],
  [30n, sub("Instruction.IO", [R12, "size"], [R13, "write"], [R14, "port"], [R15, "value"])],
  [31n, sub("Instruction.RDMSR", [R12, "msr"])],
  [32n, sub("Instruction.WRMSR", [R12, "msr"], [R13, "value"])],
  [48n, sub("#VE.RequestMMIO", [R12, "size"], [R13, "write"], [R14, "gpa"], [R15, "value"])],
  [0x10000n, sub("GetTdVmCallInfo", [R12, "leaf"])],
  [0x10001n, sub("MapGPA", [R12, "gpa"], [R13, "size"])],
  [0x10002n, sub("GetQuote", [R12, "gpa"], [R13, "size"])],
  [0x10003n, sub("ReportFatalError", [R12, "code"])],
  [0x10004n, sub("SetupEventNotifyInterrupt", [R12, "vector"])],
]);

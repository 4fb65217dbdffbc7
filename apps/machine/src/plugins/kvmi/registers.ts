import { Seg, type SegmentCache, type Vcpu } from "@vm/cpu";
import { kvmRegs, kvmSegment, kvmSregs } from "@vm/kvmi";
import { setFlags } from "../../registers.js";

/** Where the general registers, in hardware numbering, lie in kvm_regs. */
const GENERAL = "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15"
  .split(" ")
  .map((r) => kvmRegs.offset(r));
const RIP = kvmRegs.offset("rip");
const RFLAGS = kvmRegs.offset("rflags");

/** Writes kvm_regs of a vCPU that stands between two instructions. */
export function saveRegs(cpu: Vcpu, to: DataView, at: number): void {
  for (let r = 0; r < 16; r++) {
    const place = at + (GENERAL[r] as number);
    to.setInt32(place, cpu.regLo(r), true);
    to.setInt32(place + 4, cpu.regHi(r), true);
  }
  to.setInt32(at + RIP, cpu.ripLo, true);
  to.setInt32(at + RIP + 4, cpu.ripHi, true);
  to.setInt32(at + RFLAGS, cpu.rflags, true);
}

/** Takes kvm_regs into a vCPU that stands between two instructions. */
export function loadRegs(cpu: Vcpu, from: DataView, at: number): void {
  for (let r = 0; r < 16; r++) {
    const place = at + (GENERAL[r] as number);
    cpu.setReg(r, from.getInt32(place, true), from.getInt32(place + 4, true));
  }
  setFlags(cpu, from.getInt32(at + RFLAGS, true));
  cpu.setRip(from.getInt32(at + RIP, true), from.getInt32(at + RIP + 4, true));
  cpu.loadRip();
}

/** kvm_sregs' order of segments; a number is one of the six, a name the register of that name. */
const SEGMENTS: readonly (readonly [string, Seg | "tr" | "ldtr"])[] = [
  ["cs", Seg.CS],
  ["ds", Seg.DS],
  ["es", Seg.ES],
  ["fs", Seg.FS],
  ["gs", Seg.GS],
  ["ss", Seg.SS],
  ["tr", "tr"],
  ["ldt", "ldtr"],
];
const PLACED = SEGMENTS.map(([name, which]) => ({ which, at: kvmSregs.offset(name) }));
const LIMIT = kvmSegment.offset("limit");
const SELECTOR = kvmSegment.offset("selector");
const TYPE = kvmSegment.offset("type");

const GDT = kvmSregs.offset("gdt");
const IDT = kvmSregs.offset("idt");
const CR0 = kvmSregs.offset("cr0");
const CR2 = kvmSregs.offset("cr2");
const CR3 = kvmSregs.offset("cr3");
const CR4 = kvmSregs.offset("cr4");
const CR8 = kvmSregs.offset("cr8");
const EFER = kvmSregs.offset("efer");
const APIC_BASE = kvmSregs.offset("apic_base");
const MSR_APIC_BASE = 0x1b;

/** Writes kvm_sregs. An interrupt that was accepted but not delivered does not exist here, so its bitmap is empty. */
export function saveSregs(cpu: Vcpu, to: DataView, at: number): void {
  for (let k = 0; k < PLACED.length; k++) {
    const { which, at: offset } = PLACED[k] as (typeof PLACED)[number];
    const segment = which === "tr" || which === "ldtr" ? cpu[which] : (cpu.segments[which] as SegmentCache);
    saveSegment(segment, to, at + offset);
  }
  saveTable(cpu.gdtr, to, at + GDT);
  saveTable(cpu.idtr, to, at + IDT);
  to.setInt32(at + CR0, cpu.cr0, true);
  to.setInt32(at + CR2, cpu.cr2Lo, true);
  to.setInt32(at + CR2 + 4, cpu.cr2Hi, true);
  to.setInt32(at + CR3, cpu.paging.cr3Lo, true);
  to.setInt32(at + CR3 + 4, cpu.paging.cr3Hi, true);
  to.setInt32(at + CR4, cpu.cr4, true);
  to.setInt32(at + CR8, cpu.ports.apic.cr8, true);
  to.setInt32(at + EFER, cpu.efer, true);
  const { apic } = cpu.ports;
  if (apic.readMsr(MSR_APIC_BASE)) {
    to.setInt32(at + APIC_BASE, apic.msrLo, true);
    to.setInt32(at + APIC_BASE + 4, apic.msrHi, true);
  }
}

function saveTable({ baseLo, baseHi, limit }: Vcpu["gdtr"], to: DataView, at: number): void {
  to.setInt32(at, baseLo, true);
  to.setInt32(at + 4, baseHi, true);
  to.setUint16(at + 8, limit, true);
}

/** kvm_segment out of the descriptor bits that are kept: type, S, DPL, P in 7:0, AVL, L, D/B, G in 15:12. */
function saveSegment({ baseLo, baseHi, limit, selector, attributes }: SegmentCache, to: DataView, at: number): void {
  to.setInt32(at, baseLo, true);
  to.setInt32(at + 4, baseHi, true);
  to.setUint32(at + LIMIT, limit >>> 0, true);
  to.setUint16(at + SELECTOR, selector, true);
  const present = (attributes >> 7) & 1;
  // Type, present, DPL, D/B and S, L, G, AVL and unusable: a byte each, written as halves and words.
  const dpl = (attributes >> 5) & 3;
  to.setUint16(at + TYPE, (attributes & 15) | (present << 8), true);
  const db = (attributes >> 14) & 1;
  const s = (attributes >> 4) & 1;
  const l = (attributes >> 13) & 1;
  to.setUint32(at + TYPE + 2, dpl | (db << 8) | (s << 16) | (l << 24), true);
  const g = (attributes >> 15) & 1;
  const avl = (attributes >> 12) & 1;
  to.setUint16(at + TYPE + 6, g | (avl << 8), true);
  to.setUint8(at + TYPE + 8, present ^ 1);
}

/** Address width in bytes, as the protocol has it: by CS, 8 only in long mode. */
export function addressWidth(cpu: Vcpu): number {
  return cpu.mode === 64 ? 8 : cpu.mode === 32 ? 4 : 2;
}

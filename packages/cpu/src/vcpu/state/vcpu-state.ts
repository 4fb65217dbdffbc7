import type { Activity } from "../context/context.js";
import type { Pending } from "../context/event.js";

/** A 64-bit value by its halves, each from 0 to 2^32 - 1. */
export interface Word64 {
  readonly lo: number;
  readonly hi: number;
}

/** A segment register with its hidden part (SDM vol. 3, 3.4.3). */
export interface SegmentState {
  /** 16 bits. */
  readonly selector: number;
  /** Linear address. */
  readonly base: Word64;
  /** In bytes, inclusive; 32 bits, whatever the granularity. */
  readonly limit: number;
  /** Bits 40-55 of the descriptor, shifted down by 40 (SDM vol. 3, 3.4.5); bits 8-11 are zero. Without bit 7, present, it lets nothing through. */
  readonly attributes: number;
}

/** GDTR or IDTR (SDM vol. 3, 2.4). */
export interface TableState {
  /** Linear address. */
  readonly base: Word64;
  /** In bytes, inclusive; 16 bits. */
  readonly limit: number;
}

/** An event that is delivered before the next instruction. */
export interface EventState {
  /** 0 to 255. */
  readonly vector: number;
  /** What is pushed, 32 bits; null if nothing is. */
  readonly errorCode: number | null;
  /** `software`: the gate's DPL is checked (SDM vol. 3, 6.12.1.2). */
  readonly kind: Pending["kind"];
  /** A #DB that is a fault, for DR7.GD (SDM vol. 3, 17.3.1.3). */
  readonly generalDetect: boolean;
  /** What CR2 becomes with a #PF; null: what it is. */
  readonly cr2: Word64 | null;
}

/** A model-specific register and its value. */
export interface MsrState {
  readonly number: number;
  readonly value: Word64;
}

/**
 * Everything a vCPU is, between two instructions: plain data for any codec that knows numbers, strings, booleans, arrays and byte arrays.
 * Nothing is in it that follows from the rest (privilege, TLBs, decoded code), and nothing that is behind its ports; see `Vcpu.save`.
 * Numbers without another range are 32 bits, from 0 to 2^32 - 1.
 */
export interface VcpuState {
  /** Of this description. */
  readonly version: 1;

  /** RAX RCX RDX RBX RSP RBP RSI RDI R8-R15 (SDM vol. 1, 3.4.1). */
  readonly general: readonly Word64[];
  /** Where execution goes on: an offset in CS, 32 bits outside 64-bit code (SDM vol. 1, 3.5). */
  readonly rip: Word64;
  /** Low half; the other one is zero (SDM vol. 1, 3.4.3). */
  readonly rflags: number;

  /** ES CS SS DS FS GS, in encoding order. */
  readonly segments: readonly SegmentState[];
  readonly ldtr: SegmentState;
  readonly tr: SegmentState;
  readonly gdtr: TableState;
  readonly idtr: TableState;

  /** Control registers (SDM vol. 3, 2.5); CR8 is the local APIC's. The upper halves of CR0 and CR4 are zero. */
  readonly cr0: number;
  readonly cr2: Word64;
  readonly cr3: Word64;
  readonly cr4: number;
  /** Low half; the other one is zero (SDM vol. 3, 2.6). */
  readonly xcr0: number;
  /** Rights by protection key (SDM vol. 3, 4.6.2). */
  readonly pkru: number;
  /** Number of the second-level view that translations go by, 16 bits; 0 if there is none. */
  readonly view: number;
  /** DR0-DR3, DR6, DR7 (SDM vol. 3, 17.2). */
  readonly debug: readonly Word64[];

  /** x87 control word, status word with TOP, abridged tags: bit n set if physical register n is in use (SDM vol. 1, 8.1, 10.5.1.1). */
  readonly fcw: number;
  readonly fsw: number;
  readonly ftw: number;
  /** x87 and MMX registers by physical number, 10 bytes each. FOP, FIP and FDP are not among it all: they read as zero always. */
  readonly fpr: Uint8Array;
  /** SDM vol. 1, 10.2.3. */
  readonly mxcsr: number;
  /** XMM0 to XMM15, 16 bytes each; there is no YMM and no ZMM. */
  readonly xmm: Uint8Array;

  /** IA32_EFER (SDM vol. 3, 2.2.1), low half; the other one is zero. */
  readonly efer: number;
  /** MSRs that keep what is written, all that CPUID offers (SDM vol. 4). One that is missing has its reset value. */
  readonly msrs: readonly MsrState[];
  /** What is added to the clock's TSC, in ticks, modulo 2^64: the guest's is the sum. */
  readonly tscOffset: Word64;
  /** IA32_TSC_ADJUST, in ticks (SDM vol. 3, 18.17.3). */
  readonly tscAdjust: Word64;

  /** SDM vol. 3, 25.4.2. */
  readonly activity: Activity;
  /** An interrupt ends the halt also while IF is clear: MWAIT with ECX[0] (SDM vol. 2, MWAIT). */
  readonly wakeMasked: boolean;
  /** What holds interrupts off for one instruction; MOV SS and POP SS hold debug exceptions off too (SDM vol. 3, 6.8.3). */
  readonly shadow: "none" | "sti" | "mov-ss";
  /** An NMI has come and is not delivered yet. */
  readonly nmiPending: boolean;
  /** An NMI is being handled: the next one waits for IRET (SDM vol. 3, 6.7.1). */
  readonly nmiBlocked: boolean;
  /** Null: nothing is to be delivered but what the local APIC has. */
  readonly event: EventState | null;
  /** Causes of a #DB that waits for something else to be over, as bits of DR6: B0-B3, BS. */
  readonly debugTraps: number;

  /** Instructions retired since power-on; 0 to 2^53 - 1. */
  readonly retired: number;
  /** The host has `hooks.singleStep` called after every instruction. */
  readonly singleStep: boolean;
}

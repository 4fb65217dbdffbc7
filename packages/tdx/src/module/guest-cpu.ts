/** Why the processor left TD non-root operation, as far as the TDX module does not keep it to itself. Numbers of exits are those of VMX. */
export type VmExit =
  /** TDG.VP.VMCALL: the guest's registers say what for (the mask is in RCX). */
  | { readonly reason: "tdcall" }
  | { readonly reason: "external-interrupt" }
  | { readonly reason: "nmi" }
  /** The vCPU can never run again. */
  | { readonly reason: "triple-fault" }
  | { readonly reason: "ept-violation"; readonly violation: EptViolation }
  /** A TDCALL has been turned away for a host's sake for too long: the host should do what it wanted. The guest's status is in its RAX. */
  | { readonly reason: "host-priority-busy-timeout" }
  /** Any other exit that goes to the host as it is, such as a task switch (9), INIT (3), SMI (6), a bus lock (74). */
  | {
      readonly reason: "other";
      /** Basic VMX exit reason. */
      readonly exitReason: number;
      readonly qualification?: bigint;
      readonly interruptionInfo?: number;
      /** The instruction was completed (a trap). */
      readonly trap?: boolean;
    };

/** An access of the guest that the extended page tables do not let through. */
export interface EptViolation {
  /** Guest-physical address, the shared bit included. */
  readonly gpa: number;
  readonly access: "read" | "write" | "fetch";
  /** What the TDX module adds to the exit qualification for the host; nothing if it knows nothing more. */
  readonly extended?: ExtendedQualification;
}

/** Extended exit qualification of an EPT violation. Source: TDX module ABI specification, "Extended Exit Qualification". */
export type ExtendedQualification =
  /** TDG.MEM.PAGE.ACCEPT or TDG.MEM.PAGE.ATTR.WR met an entry that it can do nothing with. */
  | {
      readonly type: "accept" | "attr-wr";
      /** Level that the guest asked for, level of the entry that was found; 0 is 4 KiB. */
      readonly requestedLevel: number;
      readonly entryLevel: number;
      /** Public state of the entry and whether it is a leaf. */
      readonly entryState: number;
      readonly entryIsLeaf: boolean;
    }
  /** A pending page that the TD does not want to be told of by #VE. */
  | { readonly type: "pending-ept-violation" };

/** Processor state that TDH.VP.INIT gives to a vCPU. What is not named is zero, segments are flat as TDX module ABI specification "Initial State of TD VCPU" has it. */
export interface InitialState {
  /** By number, {@link Gpr}. */
  readonly gprs: BigUint64Array;
  readonly rip: bigint;
  readonly rflags: bigint;
  readonly cr0: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
  readonly dr6: bigint;
  readonly dr7: bigint;
  readonly pat: bigint;
  readonly fmask: bigint;
  readonly xcr0: bigint;
  /** Limit of GDTR and IDTR, in bytes minus one. */
  readonly tableLimit: number;
}

/** The processor as the guest of one vCPU sees it: its registers, which nobody but the TDX module may look at from outside, and the means to run them. */
export interface GuestCpu {
  readonly gpr: { get(index: number): bigint; set(index: number, value: bigint): void };
  /** XMM0 to XMM15 into `to` and from `from`, 256 bytes. */
  readonly xmm: { get(to: Uint8Array): void; set(from: Uint8Array): void };
  readonly cpl: number;
  readonly cr0: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
  /** Whether the code that runs is 64-bit code (EFER.LMA and CS.L); if left out, EFER.LMA says so. */
  readonly is64Bit?: boolean;
  /** XCR0 and IA32_XSS, for the sizes that CPUID 0xD answers; if left out, 1 and 0. */
  readonly xcr0?: bigint;
  readonly xss?: bigint;
  rip: bigint;
  /** Bytes of the instruction that is being intercepted. */
  readonly instructionLength: number;
  reset(state: InitialState): void;
  /** Delivers an exception instead of the instruction that is being intercepted. */
  inject(vector: number, errorCode: number | null): void;
  /** Forgets all translations. */
  flushTlb(): void;
  /** Runs the guest until it leaves. */
  run(): VmExit;
}

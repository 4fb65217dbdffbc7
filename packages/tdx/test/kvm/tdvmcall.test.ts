import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isEmulatedMsr, isWritableMsr } from "../../src/kvm/emulated-msrs.js";
import { decodeTdvmcall, TdvmcallLeaf, TdvmcallStatus } from "../../src/kvm/tdvmcall.js";
import { Gpr } from "../../src/module/gpr.js";

const SHARED = 2 ** 47;
const S = BigInt(SHARED);
const { INVALID_OPERAND, ALIGN_ERROR, SUBFUNC_UNSUPPORTED } = TdvmcallStatus;

type Registers = Partial<Record<keyof typeof Gpr, bigint>>;

function decode(registers: Registers, sharedBit = SHARED) {
  const regs = new BigUint64Array(16);
  for (const [name, value] of Object.entries(registers)) regs[Gpr[name as keyof typeof Gpr] as number] = value;
  return decodeTdvmcall(regs, sharedBit);
}
const leaf = (leaf: TdvmcallLeaf, R12 = 0n, R13 = 0n, R14 = 0n, R15 = 0n) =>
  decode({ R11: BigInt(leaf), R12, R13, R14, R15 });

describe("well-formed TDVMCALLs", () => {
  test.each([
    [
      "hypercall of KVM's own",
      decode({ R10: 9n, R11: 1n, R12: 2n, R13: 3n, R14: 4n }),
      { kind: "hypercall", nr: 9n, args: [1n, 2n, 3n, 4n] },
    ],
    ["CPUID", leaf(TdvmcallLeaf.Cpuid, 0x4000_0000n, 5n), { kind: "cpuid", leaf: 0x4000_0000, subleaf: 5 }],
    ["HLT", leaf(TdvmcallLeaf.Hlt, 1n), { kind: "hlt", interruptsBlocked: true }],
    [
      "OUT",
      leaf(TdvmcallLeaf.Io, 1n, 1n, 0x3f8n, 0x141n),
      { kind: "io", port: 0x3f8, size: 1, write: true, value: 0x41 },
    ],
    ["IN", leaf(TdvmcallLeaf.Io, 4n, 0n, 0xcfcn), { kind: "io", port: 0xcfc, size: 4, write: false, value: 0 }],
    ["RDMSR", leaf(TdvmcallLeaf.Rdmsr, 0x1bn), { kind: "rdmsr", index: 0x1b }],
    ["WRMSR", leaf(TdvmcallLeaf.Wrmsr, 0x6e0n, 7n), { kind: "wrmsr", index: 0x6e0, value: 7n }],
    [
      "MMIO read",
      leaf(TdvmcallLeaf.Mmio, 8n, 0n, S + 0xfec0_0000n),
      { kind: "mmio", gpa: 0xfec0_0000, size: 8, write: false, value: 0n },
    ],
    [
      "MMIO write",
      leaf(TdvmcallLeaf.Mmio, 2n, 1n, S + 0x10n, 0xabcdefn),
      { kind: "mmio", gpa: 0x10, size: 2, write: true, value: 0xcdefn },
    ],
    ["GetTdVmCallInfo", leaf(TdvmcallLeaf.GetTdVmCallInfo, 1n), { kind: "info", leaf: 1 }],
    [
      "MapGPA to shared",
      leaf(TdvmcallLeaf.MapGpa, S + 0x1000n, 0x2000n),
      { kind: "map-gpa", start: SHARED + 0x1000, size: 0x2000, toPrivate: false },
    ],
    [
      "MapGPA to private",
      leaf(TdvmcallLeaf.MapGpa, 0x1000n, 0x2000n),
      { kind: "map-gpa", start: 0x1000, size: 0x2000, toPrivate: true },
    ],
    [
      "GetQuote",
      leaf(TdvmcallLeaf.GetQuote, S + 0x1000n, 0x20000n),
      { kind: "get-quote", gpa: 0x1000, size: 0x20000n },
    ],
    ["ReportFatalError", leaf(TdvmcallLeaf.ReportFatalError, 1n), { kind: "fatal-error" }],
    [
      "SetupEventNotifyInterrupt",
      leaf(TdvmcallLeaf.SetupEventNotifyInterrupt, 255n),
      { kind: "event-notify", vector: 255 },
    ],
  ])("%s", (_what, decoded, expected) => expect(decoded).toEqual(expected));
});

describe("malformed TDVMCALLs", () => {
  const top = 2n * S;
  test.each<[string, ReturnType<typeof decode>, bigint, bigint?]>([
    ["an unknown sub-function", decode({ R11: 0x10005n }), SUBFUNC_UNSUPPORTED],
    ["a sub-function above 32 bits", decode({ R11: (1n << 32n) | 30n, R12: 1n }), SUBFUNC_UNSUPPORTED],
    ["I/O of size 8", leaf(TdvmcallLeaf.Io, 8n, 0n, 0x80n), INVALID_OPERAND],
    ["I/O of size 0", leaf(TdvmcallLeaf.Io, 0n, 0n, 0x80n), INVALID_OPERAND],
    ["I/O that is neither read nor write", leaf(TdvmcallLeaf.Io, 1n, 2n, 0x80n), INVALID_OPERAND],
    ["MMIO of size 3", leaf(TdvmcallLeaf.Mmio, 3n, 0n, S), INVALID_OPERAND],
    ["MMIO whose size has bits above 32", leaf(TdvmcallLeaf.Mmio, (1n << 32n) | 1n, 0n, S), INVALID_OPERAND],
    ["MMIO in private memory", leaf(TdvmcallLeaf.Mmio, 4n, 0n, 0xfec0_0000n), INVALID_OPERAND],
    ["MMIO that begins in private memory", leaf(TdvmcallLeaf.Mmio, 8n, 0n, S - 4n), INVALID_OPERAND],
    ["MMIO beyond all addresses", leaf(TdvmcallLeaf.Mmio, 8n, 0n, top - 4n), INVALID_OPERAND],
    ["MapGPA of nothing", leaf(TdvmcallLeaf.MapGpa, 0x1000n, 0n), INVALID_OPERAND, 0x1000n],
    ["MapGPA that wraps", leaf(TdvmcallLeaf.MapGpa, 0x1000n, 2n ** 64n - 0x1000n), INVALID_OPERAND, 0x1000n],
    ["MapGPA across the shared bit", leaf(TdvmcallLeaf.MapGpa, S - 0x1000n, 0x2000n), INVALID_OPERAND, S - 0x1000n],
    ["MapGPA beyond all addresses", leaf(TdvmcallLeaf.MapGpa, top - 0x1000n, 0x2000n), INVALID_OPERAND, top - 0x1000n],
    ["MapGPA of half a page", leaf(TdvmcallLeaf.MapGpa, S, 0x800n), ALIGN_ERROR, S],
    ["MapGPA from the middle of a page", leaf(TdvmcallLeaf.MapGpa, S + 1n, 0x1000n), ALIGN_ERROR, S + 1n],
    ["MapGPA across the shared bit and unaligned", leaf(TdvmcallLeaf.MapGpa, S - 1n, 0x1000n), INVALID_OPERAND, S - 1n],
    ["GetQuote in private memory", leaf(TdvmcallLeaf.GetQuote, 0x1000n, 0x1000n), INVALID_OPERAND],
    ["GetQuote of nothing", leaf(TdvmcallLeaf.GetQuote, S, 0n), INVALID_OPERAND],
    [
      "SetupEventNotifyInterrupt with an exception's vector",
      leaf(TdvmcallLeaf.SetupEventNotifyInterrupt, 31n),
      INVALID_OPERAND,
    ],
    ["SetupEventNotifyInterrupt with vector 256", leaf(TdvmcallLeaf.SetupEventNotifyInterrupt, 256n), INVALID_OPERAND],
    ["GetTdVmCallInfo leaf 2", leaf(TdvmcallLeaf.GetTdVmCallInfo, 2n), INVALID_OPERAND],
  ])("%s", (_what, decoded, status, r11) =>
    expect(decoded).toEqual({ kind: "refused", status, ...(r11 === undefined ? {} : { r11 }) }),
  );

  test("whatever the registers hold, addresses are the guest's and numbers are exact", () => {
    const register = fc.oneof(
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.bigInt({ min: 0n, max: 0x10004n }),
      fc.constant(S),
    );
    fc.assert(
      fc.property(
        fc.array(register, { minLength: 16, maxLength: 16 }),
        fc.constantFrom(2 ** 47, 2 ** 51),
        (regs, bit) => {
          const call = decodeTdvmcall(BigUint64Array.from(regs), bit);
          if (call.kind === "map-gpa") expect(call.start + call.size).toBeLessThanOrEqual(2 * bit);
          if (call.kind === "mmio") expect(call.gpa + call.size).toBeLessThanOrEqual(bit);
          if (call.kind === "get-quote") expect(BigInt(call.gpa) + call.size).toBeLessThanOrEqual(BigInt(bit));
        },
      ),
    );
  });
});

describe("registers that KVM answers a TD for", () => {
  test.each([0x1b, 0xfe, 0x200, 0x26f, 0x2ff, 0x6e0, 0x802, 0x830, 0x83e, 0xc000_0080])("0x%x", (index) =>
    expect(isEmulatedMsr(index)).toBe(true),
  );
  test.each([0x10, 0x48, 0x808, 0x80b, 0x831, 0x83f, 0x4b56_4d00, 0xc000_0081])("not 0x%x", (index) =>
    expect(isEmulatedMsr(index)).toBe(false),
  );
  test.each([0x1b, 0x3a, 0xc000_0080])("0x%x cannot be written", (index) => expect(isWritableMsr(index)).toBe(false));
});

import { describe, expect, it } from "vitest";
import { readElement, writeElement } from "../../src/metadata/access.js";
import { NO_FIELD } from "../../src/metadata/field-id.js";
import { dumpList } from "../../src/metadata/list.js";
import { sysFields } from "../../src/module/fields/sys-fields.js";
import { tdFields } from "../../src/module/fields/td-fields.js";
import { vpFields } from "../../src/module/fields/vp-fields.js";
import { guest } from "../guest/fixture.js";

const ALL = NO_FIELD;
const NOTIFY_ENABLES = 0x9110000300000010n;
const TD_CTLS = 0x1110000300000017n;
const RTMR = 0x1310000300000040n;
const SHARED_EPTP = 0x002400030000203cn;
const NOTIFICATION_VECTOR = 0x0024000100000002n;
const PID_ADDRESS = 0x0024000300002016n;
const PIN_CONTROLS = 0x0024000200004000n;

describe("metadata access", () => {
  it("reads what the accessor may see, and says when he may not", () => {
    const { td } = guest();
    const fields = tdFields(td);
    expect(readElement(fields, 0x1110000300000001n, "guest")).toEqual({ status: "SUCCESS", value: 0x203n });
    expect(readElement(fields, NOTIFY_ENABLES, "host").status).toBe("METADATA_FIELD_NOT_READABLE");
    expect(readElement(fields, 0x1110000300ffffffn, "guest").status).toBe("METADATA_FIELD_ID_INCORRECT");
    expect(readElement(fields, RTMR | (1n << 34n), "host").status).toBe("METADATA_FIELD_ID_INCORRECT");
  });

  it("a write outside the mask changes nothing, if it does not want to", () => {
    const { td } = guest();
    const fields = tdFields(td);
    expect(writeElement(fields, NOTIFY_ENABLES, "guest", 1n, ALL)).toEqual({ status: "SUCCESS", value: 0n });
    expect(td.notifyEnables).toBe(1n);
    expect(writeElement(fields, NOTIFY_ENABLES, "guest", 2n, ALL).status).toBe("METADATA_FIELD_VALUE_NOT_VALID");
    expect(writeElement(fields, NOTIFY_ENABLES, "guest", 0n, 2n).status).toBe("METADATA_FIELD_NOT_WRITABLE");
    expect(writeElement(fields, NOTIFY_ENABLES, "host", 0n, 1n).status).toBe("METADATA_FIELD_NOT_WRITABLE");
    expect(td.notifyEnables).toBe(1n);
  });

  it("TD_CTLS: the guest may choose only what the TD is configured for", () => {
    const strict = guest().td;
    expect(writeElement(tdFields(strict), TD_CTLS, "guest", 0n, 1n).status).toBe("METADATA_FIELD_VALUE_NOT_VALID");
    expect(writeElement(tdFields(strict), TD_CTLS, "guest", 2n, 2n).status).toBe("METADATA_FIELD_VALUE_NOT_VALID");
    strict.topologyEnumConfigured = true;
    expect(writeElement(tdFields(strict), TD_CTLS, "guest", 2n, 2n).status).toBe("SUCCESS");
    expect(strict.tdCtls).toBe(3n);
    expect(writeElement(tdFields(strict), TD_CTLS, "guest", 8n, 8n).status).toBe("METADATA_FIELD_NOT_WRITABLE");
    const flexible = guest({ configFlags: 2n }).td;
    expect(writeElement(tdFields(flexible), TD_CTLS, "guest", 0n, 1n)).toEqual({ status: "SUCCESS", value: 1n });
  });

  it("HP_LOCK_TIMEOUT: the host writes all of it, 10 ms to 100 s", () => {
    const { td } = guest();
    const write = (value: bigint, mask = ALL) =>
      writeElement(tdFields(td), 0x9110000300000011n, "host", value, mask).status;
    expect(write(10_000n)).toBe("SUCCESS");
    expect(td.hpLockTimeout).toBe(10_000);
    expect([write(9_999n), write(100_000_001n)]).toEqual(Array(2).fill("METADATA_FIELD_VALUE_NOT_VALID"));
    expect(write(20_000n, 0xffffn)).toBe("METADATA_WR_MASK_NOT_VALID");
    expect(td.hpLockTimeout).toBe(10_000);
  });

  it("measurements are six elements of eight bytes each", () => {
    const { td } = guest();
    td.rtmrs[1]?.set([1, 2, 3, 4, 5, 6, 7, 8], 40);
    expect(readElement(tdFields(td), RTMR + 11n, "debug").value).toBe(0x0807060504030201n);
    expect(readElement(tdFields(td), RTMR + 24n, "debug").status).toBe("METADATA_FIELD_ID_INCORRECT");
  });

  it("CPUID values: EAX and EBX, ECX and EDX of a leaf that does not cause #VE", () => {
    const { td } = guest();
    const id = (leaf: number, subleaf: number | undefined, element = 0) =>
      0x9410000300000000n |
      BigInt(
        element |
          (subleaf === undefined ? 0x100 : subleaf << 1) |
          ((leaf & 0x7f) << 9) |
          (leaf >= 2 ** 31 ? 1 << 16 : 0),
      );
    expect(readElement(tdFields(td), id(0x21, 0), "host").value).toBe(0x65746e49_0000_0000n);
    expect(readElement(tdFields(td), id(0x21, 0, 1), "host").value).toBe(0x5844546c_20202020n);
    expect(readElement(tdFields(td), id(0x8000_0008, undefined), "host").value).toBe(0x3030n);
    expect(readElement(tdFields(td), id(6, undefined), "host").status).toBe("METADATA_FIELD_NOT_READABLE");
    expect(readElement(tdFields(td), id(2, undefined), "host").status).toBe("METADATA_FIELD_ID_INCORRECT");
  });

  it("a host sets the posted interrupts and the shared EPT of a vCPU as KVM does", () => {
    const { vcpu } = guest();
    const fields = vpFields(vcpu);
    expect(writeElement(fields, PIN_CONTROLS, "host", 0x80n, 0x80n).status).toBe("TD_VMCS_FIELD_NOT_INITIALIZED");
    expect(writeElement(fields, NOTIFICATION_VECTOR, "host", 0x100n, 0xffffn).status).toBe(
      "METADATA_FIELD_VALUE_NOT_VALID",
    );
    expect(writeElement(fields, NOTIFICATION_VECTOR, "host", 0xf2n, 0xffffn).status).toBe("SUCCESS");
    expect(writeElement(fields, PID_ADDRESS, "host", 0x1_2340n, ALL & ~0x3fn).status).toBe("SUCCESS");
    expect(writeElement(fields, PIN_CONTROLS, "host", 0x80n, 0x80n).status).toBe("SUCCESS");
    expect(writeElement(fields, SHARED_EPTP, "host", 0x55000n, 0xf_ffff_ffff_f000n).status).toBe("SUCCESS");
    expect(readElement(fields, SHARED_EPTP, "host")).toEqual({ status: "SUCCESS", value: 0x55000n });
  });

  it("a host sees no register of a TD, unless it can be debugged", () => {
    const { vcpu, cpu } = guest();
    cpu.registers[3] = 0x1234n;
    const RBX = 0x1020000300000003n;
    expect(readElement(vpFields(vcpu), RBX, "host").status).toBe("METADATA_FIELD_NOT_READABLE");
    expect(readElement(vpFields(vcpu), RBX, "debug").value).toBe(0x1234n);
    expect(writeElement(vpFields(vcpu), RBX, "debug", 7n, 0xffn)).toEqual({ status: "SUCCESS", value: 0x1234n });
    expect(cpu.registers[3]).toBe(0x1207n);
  });

  it("PEND_NMI is written by the host", () => {
    const { vcpu } = guest();
    expect(writeElement(vpFields(vcpu), 0x202000000000000bn, "host", 1n, 0xffn).status).toBe("SUCCESS");
    expect(vcpu.pendNmi).toBe(true);
  });

  it("the module says what KVM wants to know", () => {
    const { module } = guest();
    const read = (id: bigint) => readElement(sysFields(module), id, "host").value;
    expect(read(0x0a00000300000008n) & (1n << 20n), "TOPOLOGY_ENUM").not.toBe(0n);
    expect(read(0x0a00000300000008n) & (1n << 18n), "NO_RBP_MOD").not.toBe(0n);
    expect(read(0x9100000100000010n)).toBe(16n);
    expect(read(0x1900000300000000n)).toBe(0x1000_0001n);
    expect(read(0x1900000300000002n), "x87, SSE and PKRU").toBe(0x203n);
    expect(read(0x1900000300000003n)).toBe(3n);
    expect(read(0x9900000100000004n)).toBe(12n);
    expect(read(0x9900000300000400n)).toBe(0xffff_ffff_0000_0001n);
    expect(read(0x9900000300000405n)).toBe(7n);
    expect(read(0x9900000300000500n), "leaf 1 EAX and EBX").toBe(0x00ff0000_0fff3fffn);
  });
});

describe("metadata lists", () => {
  const { module } = guest();
  const list = (from: bigint, size: number) => {
    const bytes = new Uint8Array(size);
    return { ...dumpList(sysFields(module), from, "host", bytes), view: new DataView(bytes.buffer) };
  };

  it("hold every field that single reads give, in order", () => {
    const { status, next, view } = list(NO_FIELD, 4096);
    expect([status, next]).toEqual(["SUCCESS", NO_FIELD]);
    let at = 8;
    for (let k = 0; k < view.getUint16(2, true); k++) {
      const header = view.getBigUint64(at, true);
      const count = Number(((header >> 34n) & 15n) + 1n) * Number(((header >> 38n) & 511n) + 1n);
      const first = header & ~((0x1fffn << 34n) | 0n);
      for (let i = 0; i < count; i++) {
        const value = view.getBigUint64(at + 8 + 8 * i, true);
        expect(value, (first + BigInt(i)).toString(16)).toBe(
          readElement(sysFields(module), first + BigInt(i), "host").value,
        );
      }
      at += 8 + 8 * count;
    }
    expect(view.getUint16(0, true)).toBe(at);
  });

  it("go on where the one before had no room, and come to the same", () => {
    let from = NO_FIELD;
    let values = 0;
    for (let pages = 0; pages < 100; pages++) {
      const { status, next, view } = list(from, 256);
      values += (view.getUint16(0, true) - 8) / 8 - view.getUint16(2, true);
      from = next;
      if (status === "SUCCESS") break;
      expect(status).toBe("METADATA_LIST_OVERFLOW");
    }
    const whole = list(NO_FIELD, 4096).view;
    expect(values).toBe((whole.getUint16(0, true) - 8) / 8 - whole.getUint16(2, true));
  });

  it("do not begin in the middle of a field, or nowhere", () => {
    expect(list(0x9900000300000501n, 4096).status).toBe("METADATA_FIELD_ID_INCORRECT");
    expect(list(0x1234n, 4096).status).toBe("METADATA_FIELD_ID_INCORRECT");
  });
});

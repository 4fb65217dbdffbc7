import type { AcpiDesc } from "./acpi-desc.js";
import { PM_TIMER, PM1_CONTROL, PM1_EVENT } from "./acpi-pm.js";
import { ascii, HEADER, table, u16, u32, u64 } from "./acpi-table.js";

export const FADT_SIZE = 276;
export const FACS_SIZE = 64;

/** FADT flags (ACPI 6.5 table 5.10): WBINVD, no fixed power or sleep button, RESET_REG_SUP. */
const FLAGS = (1 << 0) | (1 << 4) | (1 << 5) | (1 << 10);
const HW_REDUCED_ACPI = 1 << 20;
/** TMR_VAL_EXT: the timer has 32 bits. */
const TIMER_32 = 1 << 8;
/** IAPC_BOOT_ARCH (table 5.11). */
const BOOT_ARCH = { legacyDevices: 1 << 0, noVga: 1 << 2, noRtc: 1 << 5 } as const;
const CMOS_CENTURY = 0x32;
/** Worst latencies that say there is no C2 and no C3, us. */
const NO_C2 = 101;
const NO_C3 = 1001;

/** A generic address structure for I/O ports of `bits` in all (5.2.3.2); `access` 1 is by bytes, 2 by words, 3 by double words. */
const ports = (port: number, bits: number, access: number): number[] => [1, bits, 0, access, ...u64(port)];
const portAddress = (port: number): number[] => ports(port, 8, 1);

/**
 * Fixed ACPI description table, 6.5 layout (5.2.9). Without `fixedHardware` the machine is hardware-reduced: everything such a machine
 * lacks is 0.
 */
export function fadt(desc: AcpiDesc, dsdt: number, facs: number): Uint8Array {
  const { power, fixedHardware: fixed, rtcPort } = desc;
  const body = new Uint8Array(FADT_SIZE - HEADER);
  const put = (offset: number, bytes: readonly number[]): void => body.set(bytes, offset - HEADER);
  put(40, u32(dsdt));
  put(108, [rtcPort === undefined ? 0 : CMOS_CENTURY]);
  put(
    109,
    u16(
      BOOT_ARCH.noVga |
        (rtcPort === undefined ? BOOT_ARCH.noRtc : 0) |
        (desc.legacyDevices === true ? BOOT_ARCH.legacyDevices : 0),
    ),
  );
  put(112, u32(FLAGS | (fixed === undefined ? HW_REDUCED_ACPI : TIMER_32)));
  put(116, portAddress(power.resetPort));
  put(128, [power.resetValue]);
  put(131, [5]);
  put(140, u64(dsdt));
  if (fixed === undefined) {
    if (power.sleepControlPort !== undefined) put(244, portAddress(power.sleepControlPort));
    if (power.sleepStatusPort !== undefined) put(256, portAddress(power.sleepStatusPort));
    return table("FACP", 6, body);
  }
  const [event, control, timer] = [PM1_EVENT, PM1_CONTROL, PM_TIMER].map((at) => fixed.basePort + at) as [
    number,
    number,
    number,
  ];
  put(36, u32(facs));
  put(46, u16(fixed.sci));
  put(56, u32(event));
  put(64, u32(control));
  put(76, u32(timer));
  put(88, [4, 2, 0, 4]);
  put(96, [...u16(NO_C2), ...u16(NO_C3)]);
  put(148, ports(event, 32, 2));
  put(172, ports(control, 16, 2));
  put(208, ports(timer, 32, 3));
  return table("FACP", 6, body);
}

/** Firmware ACPI control structure (5.2.10): no waking vector, no global lock held. It has no checksum. */
export function facs(): Uint8Array {
  const bytes = new Uint8Array(FACS_SIZE);
  bytes.set([...ascii("FACS"), ...u32(FACS_SIZE)]);
  bytes[32] = 2;
  return bytes;
}

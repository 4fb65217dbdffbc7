import {
  type Aml,
  device,
  eisaId,
  integer,
  interrupt,
  ioPorts,
  memory32Fixed,
  name,
  packageOf,
  resourceTemplate,
  scope,
  string,
} from "./aml.js";

/** A 16550 (PNP0501): 8 ports and an edge-triggered interrupt. */
export interface AcpiUart {
  readonly port: number;
  readonly gsi: number;
}

/** A virtio-mmio window (LNRO0005) with a level-triggered, active-high, exclusive interrupt. */
export interface AcpiVirtio {
  /** Guest-physical address below 4 GiB. */
  readonly base: number;
  /** Bytes. */
  readonly size: number;
  readonly gsi: number;
}

export interface DsdtDesc {
  readonly uarts: readonly AcpiUart[];
  /** Index port of the real-time clock (PNP0B00); absent if the machine has none. */
  readonly rtcPort?: number;
  readonly virtio: readonly AcpiVirtio[];
  /** SLP_TYP that the sleep control register takes as S5. */
  readonly s5Type: number;
}

const numbered = (prefix: string, index: number, digits: number): string =>
  prefix + index.toString(16).toUpperCase().padStart(digits, "0");

/** The body of the DSDT (without its header): the devices no bus can enumerate, and \_S5. */
export function dsdtBody(desc: DsdtDesc): Aml {
  const uarts = desc.uarts.map((uart, i) =>
    device(
      numbered("COM", i + 1, 1),
      name("_HID", eisaId("PNP0501")),
      name("_UID", integer(i + 1)),
      name("_CRS", resourceTemplate(ioPorts(uart.port, 8), interrupt(uart.gsi, "edge"))),
    ),
  );
  const rtc =
    desc.rtcPort === undefined
      ? []
      : [device("RTC", name("_HID", eisaId("PNP0B00")), name("_CRS", resourceTemplate(ioPorts(desc.rtcPort, 2))))];
  const virtio = desc.virtio.map((window, i) =>
    device(
      numbered("VR", i, 2),
      name("_HID", string("LNRO0005")),
      name("_UID", integer(i)),
      name("_CRS", resourceTemplate(memory32Fixed(window.base, window.size), interrupt(window.gsi, "level"))),
    ),
  );
  const s5 = packageOf(integer(desc.s5Type), integer(0), integer(0), integer(0));
  return [...scope("\\_SB", ...uarts, ...rtc, ...virtio), ...name("\\_S5", s5)];
}

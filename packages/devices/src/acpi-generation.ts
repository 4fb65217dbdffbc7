import {
  type Aml,
  device,
  integer,
  interrupt,
  method,
  name,
  notify,
  packageOf,
  resourceTemplate,
  string,
} from "./aml.js";

/** A virtual machine generation ID: 16 bytes that are others whenever the machine goes on from a state that may have gone on elsewhere. */
export interface AcpiGeneration {
  /** Guest-physical address of the 16 bytes, below 4 GiB, in a page that an operating system does not use. */
  readonly gpa: number;
  /** Edge-triggered interrupt that tells of a change; nobody else's. */
  readonly gsi: number;
}

/** Notify's value for a change of the device's state (Microsoft, Virtual Machine Generation ID). */
const CHANGED = 0x80;

/**
 * The device by which guests find it, and the generic event device (ACPI 6.5, 5.6.9) by which they hear of a change. Linux knows it since 5.18
 * (drivers/virt/vmgenid.c), and seeds its random generator anew then.
 */
export const generationDevices = ({ gpa, gsi }: AcpiGeneration): readonly Aml[] => [
  device(
    "VGEN",
    name("_HID", string("VMGN0001")),
    name("_CID", string("VM_Gen_Counter")),
    name("_DDN", string("VM_Gen_Counter")),
    name("ADDR", packageOf(integer(gpa), integer(0))),
  ),
  device(
    "GED",
    name("_HID", string("ACPI0013")),
    name("_UID", integer(0)),
    name("_CRS", resourceTemplate(interrupt(gsi, "edge"))),
    method("_EVT", 1, notify("VGEN", CHANGED)),
  ),
];

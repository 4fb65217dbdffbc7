import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { cachedFirmware } from "@vm/guests";
import { BODY_ENCLAVE, measureFirmware, parseEventLog, parseQuote, replayEventLog, type TdReport15 } from "@vm/tdx";
import { describe, expect, it } from "vitest";
import { createMachine, type Machine, MemoryDisk, tdx } from "../../src/index.js";
import { fatImage } from "../fat.js";
import { guests } from "./debian.js";

/** What somebody else's program has computed as MRTD of Debian's firmware; not in the repository. */
const EXPECTED = fileURLToPath(new URL("../../../../../shared/data/tdx/debian-ovmf/expected.json", import.meta.url));

const firmware = await cachedFirmware();
const kernel = guests?.kernels["6.12"];
const file = (path = ""): Uint8Array => new Uint8Array(readFileSync(path));
const REPORT = "/sys/kernel/config/tsm/report/r";
/** For a busy machine that is slow as well, ms. */
const LONG = { timeout: 1_200_000 };
const RTMRS = [0, 1, 2, 3] as const;

const output = async (machine: Machine, command: string): Promise<string> => {
  const { status, stdout, stderr } = await machine.exec(command);
  expect([stderr, status], command).toEqual(["", 0]);
  return stdout.trim();
};

/** A file of the guest's, whatever is in it. */
const bytesOf = async (machine: Machine, path: string): Promise<Uint8Array> =>
  Uint8Array.from(Buffer.from(await output(machine, `base64 ${path}`), "base64"));

async function reportOf(machine: Machine): Promise<TdReport15> {
  await output(machine, `mkdir ${REPORT} && head -c 64 /dev/zero >${REPORT}/inblob`);
  const { body } = parseQuote(await bytesOf(machine, `${REPORT}/outblob`));
  if (body.type === BODY_ENCLAVE) throw new Error("the quote is an enclave's");
  return body.report as TdReport15;
}

/** What the guest prints, until `until` is in it or it has ended. */
async function consoleUntil(machine: Machine, until: string): Promise<string> {
  let text = "";
  const seen = new Promise<void>((resolve) => {
    machine.console.onOutput((bytes) => {
      text += new TextDecoder("latin1").decode(bytes);
      if (text.includes(until)) resolve();
    });
  });
  await Promise.race([seen, machine.run()]);
  machine.stop();
  await machine.run();
  return text;
}

describe.skipIf(firmware === null || kernel === undefined)(
  `Debian's firmware for TDX, unmodified${firmware === null ? " (skipped: it could not be fetched)" : ""}`,
  () => {
    it(
      "starts Debian's kernel on two processors; MRTD is the firmware's, and its event log leads to the RTMRs",
      LONG,
      async () => {
        const image = file(firmware?.tdvf);
        const machine = await createMachine({
          ...{ kernel: file(kernel), initrd: file(guests?.initrd("6.12")), agent: true },
          ...{ cpus: 2, memory: 256 << 20, clock: "icount", disks: [new MemoryDisk(2048 * 512)] },
          plugins: [tdx({ firmware: image, secureBoot: false })],
        });
        expect(await output(machine, "dmesg | grep -o 'tdx: Guest detected'; nproc")).toBe("tdx: Guest detected\n2");
        expect(await output(machine, "cat /sys/bus/pci/devices/0000:00:01.0/device; blockdev --getsz /dev/vda")).toBe(
          "0x1042\n2048",
        );
        const { mrTd, rtMr0, rtMr1, rtMr2, rtMr3 } = await reportOf(machine);
        expect(mrTd).toEqual(measureFirmware(image).mrtd);
        const log = parseEventLog(await bytesOf(machine, "/sys/firmware/acpi/tables/data/CCEL"));
        const replay = replayEventLog(log);
        expect(RTMRS.map((index) => replay.rtmrs.get(index))).toEqual([rtMr0, rtMr1, rtMr2, rtMr3]);
        expect(replay.events.length).toBeGreaterThan(15);
        expect(replay.events.filter(({ digest }) => digest === "differs")).toEqual([]);
        machine.stop();
        await machine.run();

        const sha256 = createHash("sha256").update(image).digest("hex");
        const expected = existsSync(EXPECTED) ? JSON.parse(readFileSync(EXPECTED, "utf8")) : {};
        // Debian may have made another since.
        if (expected.sha256 === sha256) expect(Buffer.from(mrTd).toString("hex")).toBe(expected.mrtd_single_pass);
      },
    );

    it(
      "starts what is on a disk with Secure Boot: shim, GRUB and Debian's kernel, each as it is signed",
      LONG,
      async () => {
        const grub = [
          "set timeout=0",
          "linux /vmlinuz console=ttyS0 tsc=reliable random.trust_cpu=on",
          "initrd /initrd.img",
          "boot",
        ];
        const disk = new MemoryDisk(
          fatImage({
            EFI: {
              BOOT: { "BOOTX64.EFI": file(firmware?.shim), "GRUBX64.EFI": file(firmware?.grub) },
              DEBIAN: { "GRUB.CFG": new TextEncoder().encode(`${grub.join("\n")}\n`) },
            },
            VMLINUZ: file(kernel),
            "INITRD.IMG": file(guests?.initrd("6.12")),
          }),
        );
        const machine = await createMachine({
          ...{ memory: 256 << 20, clock: "icount", disks: [disk] },
          plugins: [tdx({ firmware: file(firmware?.tdvf) })],
        });
        const text = await consoleUntil(machine, "Run /init as init process");
        for (const said of [
          "Welcome to GRUB!",
          "EFI stub: UEFI Secure Boot is enabled.",
          "tdx: Guest detected",
          "secureboot: Secure boot enabled",
          "Run /init as init process",
        ])
          expect(text).toContain(said);
      },
    );
  },
);

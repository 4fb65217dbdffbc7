/** The same kernel, initramfs and command line, booted to userspace and powered off, here and under QEMU's TCG. */
import type { Guests, Series } from "@vm/guests";
import { BenchError } from "./errors.js";
import { type Measured, measure } from "./measure.js";
import { median, table } from "./numbers.js";
import type { Report } from "./report.js";
import { QEMU, QEMU_FLAGS, versionOf } from "./tools.js";
import { APPEND, type Boot, bootHere } from "./vm.js";

/** `true` in base64url: what `vm boot --exec true` asks of the guest's /init (packages/guests/README.md). */
const EXEC_TRUE = "vm.exec=dHJ1ZQ vm.nonce=0";

async function bootQemu(boot: Boot): Promise<Measured> {
  const guest = ["-kernel", boot.kernel, "-initrd", boot.initrd, "-append", `${boot.append} ${EXEC_TRUE}`];
  const measured = await measure(QEMU, [...QEMU_FLAGS, "-m", "512", ...guest]);
  if (!measured.stdout.includes("VM-EXEC-END 0 0"))
    throw new BenchError(`QEMU's guest did not reach userspace; the console ends: ${measured.stdout.slice(-500)}`);
  return measured;
}

const seconds = (value: number) => value.toFixed(2);
const megabytes = (bytes: number) => (bytes / 1e6).toFixed(0);

/** Runs the comparison and returns the report. Repetitions alternate, so that a busy spell of the host hits both sides. */
export async function benchBoot(
  guests: Guests,
  series: Series,
  repetitions: number,
  flags: readonly string[],
  say: (text: string) => void,
): Promise<Report> {
  const boot: Boot = { kernel: guests.kernel(series), initrd: guests.initrd(series), append: APPEND };
  const version = await versionOf(QEMU);
  const rows = [["run", "CPU s here", "MIPS", "RSS MB", "RAM touched", "CPU s TCG", "RSS MB", "ratio"]];
  const here: number[] = [];
  const there: number[] = [];
  const data: Record<string, number>[] = [];
  for (let run = 1; run <= repetitions; run++) {
    say(`boot ${series}, run ${run} of ${repetitions}`);
    const { measured, stats } = await bootHere(boot, "true", "host", flags);
    here.push(measured.cpuSeconds);
    const row = [
      String(run),
      seconds(measured.cpuSeconds),
      (stats.instructions / measured.cpuSeconds / 1e6).toFixed(1),
    ];
    row.push(megabytes(Math.max(stats.peakRssBytes, measured.peakRssBytes)), megabytes(stats.touchedRamBytes));
    const figures: Record<string, number> = {
      cpuSeconds: measured.cpuSeconds,
      cpuSecondsMain: stats.cpuSecondsMain,
      instructions: stats.instructions,
      peakRssBytes: stats.peakRssBytes,
      touchedRamBytes: stats.touchedRamBytes,
    };
    data.push(figures);
    if (version !== undefined) {
      const qemu = await bootQemu(boot);
      there.push(qemu.cpuSeconds);
      Object.assign(figures, { tcgCpuSeconds: qemu.cpuSeconds, tcgPeakRssBytes: qemu.peakRssBytes });
      row.push(
        seconds(qemu.cpuSeconds),
        megabytes(qemu.peakRssBytes),
        (measured.cpuSeconds / qemu.cpuSeconds).toFixed(2),
      );
    }
    rows.push(row);
  }
  const baseline =
    version === undefined
      ? `${QEMU} is not installed: no baseline`
      : `median ratio to TCG: ${(median(here) / median(there)).toFixed(2)} (${version}, machine pc, -cpu max)`;
  return {
    text: `Boot of Debian ${series} to userspace and power-off, 1 CPU, 512 MiB\n${table(rows)}\n${baseline}\n`,
    data: { series, baseline: version, runs: data, medianRatio: median(here) / median(there) },
  };
}

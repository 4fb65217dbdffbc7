import type { Command } from "commander";
import { bootOptions } from "../options.js";
import { bootTd, type TdBootFlags } from "../td/boot.js";
import { tdCommands } from "../td/commands.js";
import { type TdxTraceFlags, traceTdx } from "./trace.js";

const TD_BOOT_HELP = `
Examples:
  vm td boot
  vm td boot --exec 'dmesg | grep -i tdx'
  vm td boot --kernel vmlinuz --initrd initramfs.cpio --cpus 2
  vm td boot --firmware /usr/share/ovmf/OVMF.inteltdx.ms.fd --no-secure-boot
  vm td boot --firmware /usr/share/ovmf/OVMF.inteltdx.ms.fd --disk debian.qcow2:overlay

The kernel needs CONFIG_INTEL_TDX_GUEST. Kernel, ram disk and command line are added to the TD page by page and measured before it runs; with --firmware
only the firmware is, which measures into RTMR0 to RTMR2 what it starts, and writes an event log. What the TD does not share is read by nobody, this program's
other options included: --kvmi, --bpf and the registers after a crash are refused.
Everything is SIMULATED: it protects nothing from whoever runs this program.`;

const TDX_TRACE_HELP = `
Examples:
  vm tdx trace --exec true
  vm tdx trace --exec true --calls --output calls.txt
  vm tdx trace --kernel vmlinuz --initrd initramfs.cpio --json --output calls.json

Calls by leaf, and what they ended with by Intel's names; TDH.VP.ENTER by what ended the guest's turn; TDG.VP.VMCALL also by sub-function, with what the host
answered. With --calls: instructions that were retired until then, logical processor, name, operands and status. A call is told of when it has ended, so
what a guest does comes before the TDH.VP.ENTER that it does it in. Building a TD takes 17 calls a page.
Status: that of vm td boot.`;

/** Adds `vm td` and `vm tdx`. @param end told the status */
export function tdPrograms(program: Command, end: (status: number) => void): void {
  tdBootOptions(tdCommands(program, end).command("boot"))
    .description("boot Debian's kernel 6.12, or the Linux kernel that --kernel names, as a TD of a software TDX module")
    .addHelpText("after", TD_BOOT_HELP)
    .action(async (flags: TdBootFlags) => end(await bootTd(flags)));
  tdBootOptions(program.command("tdx").description("look into the software TDX module").command("trace"))
    .description("boot as vm td boot does, and count the SEAMCALLs and TDCALLs")
    .option("--calls", "first every call, a line each, as they happen")
    .option("--json", "as JSON; with --calls a line of it each, and the counts in the last")
    .option("-o, --output <file>", "where to write it, instead of between and behind what the guest prints")
    .addHelpText("after", TDX_TRACE_HELP)
    .action(async (flags: TdxTraceFlags) => end(await traceTdx(flags)));
}

/** The options of a machine that is a TD. */
function tdBootOptions(command: Command): Command {
  return bootOptions(command)
    .option(
      "--firmware <file>",
      "firmware for TDX (OVMF) that starts the kernel, or, with a disk and no --kernel, what is on the disk",
    )
    .option("--shim <file>", "what firmware with Secure Boot starts the kernel by: a distribution's shim")
    .option("--no-secure-boot", "firmware's variables start empty, and with them Secure Boot off");
}

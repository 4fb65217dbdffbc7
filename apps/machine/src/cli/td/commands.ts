import { type Command, Option } from "commander";
import { type MeasureFlags, measure } from "./measure.js";
import { type QuoteFlags, quoteCommand } from "./quote.js";
import { type ReplayFlags, replay } from "./replay.js";
import { type VerifyQuoteFlags, verifyCommand } from "./verify.js";

const MEASURE_HELP = `
Examples:
  vm td measure /usr/share/ovmf/OVMF.inteltdx.ms.fd
  vm td measure OVMF.fd --passes 2 --events
  vm td measure vmlinuz --initrd initramfs.cpio --append quiet --cpus 2

MRTD is what the TDX module has measured when a host has built a TD, before it runs.
Of a firmware image, a section after the other: Linux adds and measures each page before the next; kernels that distributions had before 6.16 added
all pages of a section first, which is another MRTD: --passes 2.
Of a kernel it is that of vm td boot with the same flags: kernel, ram disk, command line, our loader, and the ACPI tables, which depend on processors,
memory and the number of disks. --agent is for vm td boot --exec. On a terminal vm td boot adds an agent and the window's size, which are not in it.
Status: 0, or 2 for what is neither firmware for TDX nor a kernel.`;

const REPLAY_HELP = `
Examples:
  vm td replay /sys/firmware/acpi/tables/data/CCEL --table /sys/firmware/acpi/tables/CCEL
  vm td replay ccel.bin --quote quote.bin

The registers are those that a TD has if its log is true. Only a quote says which it really has, and only a verified one: vm td replay compares, it
does not verify. An event whose digest is not of its data, where it ought to be, is marked with !.
Status: 0; 1 if the quote has other registers, or an event other data than was measured; 2 for what cannot be used.`;

const QUOTE_HELP = `
Example:
  vm td quote --report-data 00112233 --out quote.bin --collateral-out collateral.json --root-out root.pem
  vm td verify quote.bin --collateral collateral.json --root root.pem --time "$(date +%s)"

The quote is SIMULATED and NOT SECURE, and says so: its root is made up from the seed, which is no secret. It is like a real one otherwise, so programs
that verify quotes can be tried with it if they can be told a root.
Status: 0, or 2 for what cannot be used.`;

const VERIFY_HELP = `
Examples:
  vm td verify quote.bin --collateral collateral.json --root IntelSGXRootCA.der --time 2025-06-22T00:00:00Z
  vm td verify quote.hex --collateral collateral.json --root root.pem --time 1750593600 --event-log CCEL --json

--collateral is JSON with the members pck_crl_issuer_chain, root_ca_crl, pck_crl, tcb_info_issuer_chain, tcb_info, tcb_info_signature,
qe_identity_issuer_chain, qe_identity and qe_identity_signature, as dcap-qvl has it. No root and no time is taken for granted.
A quote is accepted if its chain, signatures, collateral and identities are right at that time, and the status of what it relies on is UpToDate, or one
of --accept. With --event-log, RTMR0 to RTMR2 have to be what the log leads to.
Status: 0 if the quote is accepted, 1 if it is rejected, 2 for what cannot be used.`;

/** Adds `vm td`, and returns it. @param end told the status */
export function tdCommands(program: Command, end: (status: number) => void): Command {
  const td = program.command("td").description("what TDs are measured to, and what they say of themselves");
  td.command("measure")
    .description("print MRTD of a TD that is built of a firmware image or a kernel")
    .argument("<image>", "firmware with TDVF metadata (OVMF for TDX, TD-Shim), or a kernel, bzImage or x86-64 ELF")
    .addOption(
      new Option(
        "--passes <n>",
        "of firmware: pages of a section measured one by one (1), or after all are added",
      ).choices(["1", "2"]),
    )
    .option("--initrd <file>", "of a kernel: initial ram disk")
    .addOption(
      new Option("--unpack <who>", "of a kernel: who unpacks a bzImage, as with vm td boot").choices([
        "host",
        "guest",
        "auto",
      ]),
    )
    .option("--append <words>", "of a kernel: words added to its command line")
    .option("--memory <size>", "of a kernel: RAM (default: 512M)")
    .option("--cpus <n>", "of a kernel: processors (default: 1)")
    .option("--disks <n>", "of a kernel: disks (default: 0)")
    .option("--agent", "of a kernel: with the agent of --exec")
    .option("--events", "then what was measured, a line a section or a run of pages")
    .option("--json", "as JSON")
    .addHelpText("after", MEASURE_HELP)
    .action(async (image: string, flags: MeasureFlags) => end(await measure(image, flags)));
  td.command("replay")
    .description("print the events of a TD's log, and the RTMRs that they lead to")
    .argument("<log>", "event log: what a CCEL table points to")
    .option("--table <file>", "the CCEL table itself, to check the log against")
    .option("--quote <file>", "quote of the TD, as bytes or in hexadecimal, to compare with")
    .option("--json", "as JSON")
    .addHelpText("after", REPLAY_HELP)
    .action(async (log: string, flags: ReplayFlags) => end(await replay(log, flags)));
  td.command("quote")
    .description("make a simulated quote, and what is needed to verify it")
    .option("--report <file>", "TDREPORT that it is to say; default: a TD of nothing")
    .option("--report-data <hex>", "without --report, what the TD wants to be quoted: up to 64 bytes")
    .addOption(new Option("--version <n>", "version of the quote").choices(["4", "5"]).default("4"))
    .requiredOption("--out <file>", "where to write the quote")
    .option("--collateral-out <file>", "where to write its collateral, as JSON")
    .option("--root-out <file>", "where to write its root, in PEM")
    .option("--seed <text>", "what everything is made up from", "vm")
    .option("--time <time>", "when the collateral is current, for 30 days from that day on; default: now")
    .addHelpText("after", QUOTE_HELP)
    .action(async (flags: QuoteFlags) => end(await quoteCommand(flags)));
  td.command("verify")
    .description("say whether a quote is true, and why not")
    .argument("<quote>", "quote of a TD or of an enclave, as bytes or in hexadecimal")
    .requiredOption("--collateral <file>", "what Intel, or who else the root is of, says about its platform")
    .requiredOption("--root <file>", "the certificate that is trusted, in DER or PEM")
    .requiredOption("--time <time>", "when it has to be true: ISO 8601, or seconds since 1970")
    .option("--event-log <file>", "the TD's event log: what its CCEL table points to")
    .option("--accept <statuses>", "statuses besides UpToDate, separated by commas, as in SWHardeningNeeded,OutOfDate")
    .option("--json", "as JSON")
    .addHelpText("after", VERIFY_HELP)
    .action(async (quote: string, flags: VerifyQuoteFlags) => end(await verifyCommand(quote, flags)));
  return td;
}

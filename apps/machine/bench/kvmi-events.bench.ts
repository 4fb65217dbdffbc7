/**
 * Events a second that a tool gets and answers, in the process of the machine: writes to CR3, breakpoints, and accesses to a page. Prints the median of
 * several rounds, by the CPU time of machine and tool together.
 */
import { type Assembler, cr3, ecx, mem, rax, rdi, short } from "@vm/asm";
import type { KvmiClient } from "@vm/kvmi";
import { handlers, introspected, PAGE } from "../test/kvmi/introspected.js";

const EVENTS = 5_000;
const ROUNDS = 5;

interface Kind {
  readonly name: string;
  readonly watch: (client: KvmiClient) => Promise<unknown>;
  /** What happens {@link EVENTS} times; RAX is CR3, RDI the page. */
  readonly act: (a: Assembler) => void;
}

const KINDS: readonly Kind[] = [
  {
    name: "CR3 writes",
    watch: async (client) => {
      await client.controlEvent(0, "cr", true);
      await client.controlCr(0, 3, true);
    },
    act: (a) => a.xor(rax, 8).mov(cr3, rax),
  },
  { name: "breakpoints", watch: (client) => client.controlEvent(0, "breakpoint", true), act: (a) => a.int3() },
  {
    name: "page faults",
    watch: async (client) => {
      await client.controlEvent(0, "pf", true);
      await client.setPageAccess(new Map([[PAGE, 1]]));
    },
    act: (a) => a.mov(mem(rdi), rax),
  },
];

/** CPU seconds of one run of `EVENTS` events. */
async function run({ watch, act }: Kind): Promise<number> {
  const guest = await introspected((a) => {
    const [again, start, handler] = [a.label("again"), a.label("start"), a.label("handler")];
    a.jmp(start).bind(handler).iretq().bind(start);
    handlers(a, { 3: handler });
    a.mov(rax, cr3).mov(rdi, PAGE).mov(ecx, EVENTS).bind(again);
    act(a);
    a.dec(ecx).jnz(short(again));
  });
  await watch(guest.client);
  await guest.go();
  const began = process.cpuUsage();
  let events = 0;
  const answering = (async () => {
    for await (const event of guest.client.events) {
      event.reply();
      events++;
    }
  })();
  await guest.ended;
  const { user, system } = process.cpuUsage(began);
  await guest.client.close();
  await answering;
  if (events < EVENTS) throw new Error(`${events} events of ${EVENTS}`);
  return (user + system) / 1e6;
}

for (const kind of KINDS) {
  const seconds: number[] = [];
  for (let k = 0; k < ROUNDS; k++) seconds.push(await run(kind));
  seconds.sort((x, y) => x - y);
  const median = seconds[ROUNDS >> 1] ?? 0;
  console.log(`${kind.name.padEnd(12)} ${Math.round(EVENTS / median)} a CPU second`);
}

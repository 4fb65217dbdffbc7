import { Access, Mmu, Status } from "@vm/mmu";

const memory = new WebAssembly.Memory({ initial: 32, maximum: 32 });
const mmu = new Mmu({ memory, arenaStart: 65536, arenaEnd: 32 * 65536 });
mmu.setMemslot({ slot: 0, gpa: 0, size: 1 << 20 });
// A guest's page tables: PML4, PDPT and PD at 0x1000, 0x2000, 0x3000; one 2 MiB page, user, read-only.
mmu.writeU32(0x1000, 0x2007);
mmu.writeU32(0x2000, 0x3007);
mmu.writeU32(0x3000, 0x0085);
const controls = { cr0: 0x80010001, cr3Lo: 0x1000, cr3Hi: 0, cr4: 0x20, efer: 0x500, pkru: 0 };
if (mmu.translate(controls, 0x5678, 0, Access.User) !== Status.Ok) throw new Error("it is mapped");
console.log(`guest frame ${mmu.translation.gfn} at wasm offset ${mmu.translation.host}`);
const status = mmu.translate(controls, 0x5678, 0, Access.User | Access.Write);
console.log(status === Status.Fault ? `#PF, error code ${mmu.translation.errorCode}` : "written");

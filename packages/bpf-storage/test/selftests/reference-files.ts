import { pointer } from "./layout.js";
import type { ReferenceKernel } from "./reference-kernel.js";
import { INODE_BLOB } from "./reference-owners.js";

/** Files of the reference kernel: inodes and what leads to them, and what security modules are asked before something is done to them. */
export class ReferenceFiles {
  constructor(readonly kernel: ReferenceKernel) {}

  /** A new inode, with room for what security modules have of it. */
  makeInode(): number {
    const { objects, arena } = this.kernel;
    const inode = objects.make("inode");
    const blob = arena.alloc(INODE_BLOB.size);
    objects.point(inode, "inode.i_security", blob);
    return inode;
  }

  /** The last name and the last file of an inode are gone (`security_inode_free`). */
  freeInode(inode: number): void {
    const { kernel } = this;
    const blob = kernel.objects.follow(inode, "inode.i_security");
    kernel.release("inodes", inode);
    kernel.runtime.rcu.call(() => kernel.arena.free(blob));
    kernel.freed(inode);
  }

  /** A descriptor of a file of the inode. */
  open(inode: number): number {
    return this.kernel.open("inodes", inode);
  }

  /** A task executes the file. */
  execute(task: number, inode: number): void {
    const { kernel } = this;
    const { objects, arena } = kernel;
    kernel.run(task);
    const [file, binary] = [objects.make("file"), objects.make("linux_binprm")];
    objects.point(file, "file.f_inode", inode);
    objects.point(binary, "linux_binprm.file", file);
    kernel.fire("lsm/bprm_committed_creds", [pointer(binary)]);
    for (const at of [file, binary]) arena.free(at);
  }

  /** The name of an inode is removed. @returns 0 or a negative errno */
  unlink(inode: number): number {
    return this.#withNames([0, inode], ([directory = 0, victim = 0]) =>
      this.kernel.fire("lsm/inode_unlink", [pointer(directory), pointer(victim)]),
    );
  }

  /** An inode gets another name, which nothing had. @returns 0 or a negative errno */
  rename(inode: number): number {
    return this.#withNames([inode, 0], ([from = 0, to = 0]) =>
      this.kernel.fire("lsm/inode_rename", [0n, pointer(from), 0n, pointer(to), 0n]),
    );
  }

  /** Names of inodes while something is done; of a name that nothing has, the inode is 0. */
  #withNames(inodes: readonly number[], act: (names: readonly number[]) => number): number {
    const { objects, arena } = this.kernel;
    const names = inodes.map((inode) => {
      const name = objects.make("dentry");
      objects.point(name, "dentry.d_inode", inode);
      return name;
    });
    const result = act(names);
    for (const name of names) arena.free(name);
    return result;
  }
}

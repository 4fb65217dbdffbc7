import { GuestError } from "./errors.js";
import { exists, run } from "./process.js";

/**
 * The archive from which this machine's apt gets a suite's main component.
 *
 * @param suite its codename; default: any that is not an addition to another, as bookworm-updates is
 * @throws GuestError `no-apt` without apt-get, `no-package` where its sources name no such suite
 */
export async function debianMirror(suite?: string): Promise<string> {
  if (!(await exists("apt-get")))
    throw new GuestError("no-apt", "this machine has no apt-get, whose sources say where Debian is");
  const format = "$(CREATED_BY) $(CODENAME) $(COMPONENT) $(REPO_URI)";
  const { stdout } = await run("apt-get", ["indextargets", "--format", format]);
  const fits = (codename: string): boolean => (suite === undefined ? /^[a-z]+$/.test(codename) : codename === suite);
  for (const line of stdout.split("\n")) {
    const [kind, codename, component, uri] = line.split(" ");
    if (kind === "Packages" && fits(codename ?? "") && component === "main" && uri !== undefined) return uri;
  }
  throw new GuestError("no-package", `apt's sources on this machine do not name Debian's ${suite ?? "archive"}`);
}

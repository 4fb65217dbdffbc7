// `npm run check`: format, lint, floors, package contents, types.
import { checks } from "./_checks.mjs";
import { prepare } from "./_prepare.mjs";
import { main, progress } from "./_step.mjs";

await main(async () => {
  await prepare();
  for (const [name, check] of checks) {
    const bar = progress(name);
    const complaint = await check();
    bar.end();
    if (complaint === "") continue;
    process.stderr.write(`${complaint}\n${name}: failed\n`);
    process.exitCode = 1;
  }
});

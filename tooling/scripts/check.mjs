// `npm run check`: types, package contents, floors, format, lint.
import { runChecks } from "./_checks.mjs";
import { prepare } from "./_prepare.mjs";
import { main, progress } from "./_step.mjs";

await main(async () => {
  await prepare();
  const bar = progress("checking");
  const complaints = [];
  await runChecks((name, complaint) => {
    if (complaint !== "") complaints.push(`${complaint}\n${name}: failed\n`);
  });
  bar.end();
  process.stderr.write(complaints.join(""));
  if (complaints.length > 0) process.exitCode = 1;
});

// `node serve.mjs FOLDER HOST [PORT]`: serves the folder until it is told to end.
import { servePage } from "./server.mjs";

const [folder = ".", host = "localhost", port] = process.argv.slice(2);
try {
  const wanted = port === undefined ? {} : { port: Number(port), strict: true };
  const server = await servePage(folder, { port: 8086, host, ...wanted });
  process.stdout.write(`${server.url}\n`);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
    process.on(signal, () => void server.close().then(() => process.exit(0)));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}

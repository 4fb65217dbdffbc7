/** Calls `run` with every item, in order, at most `lanes` at a time. */
export async function inLanes(items, lanes, run) {
  const rest = items.values();
  const lane = async () => {
    for (const item of rest) await run(item);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

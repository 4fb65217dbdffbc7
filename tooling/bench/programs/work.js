// What programs in JavaScript do: code that V8 compiles while it runs, closures, maps, typed arrays, JSON, sorting.
const primes = new Uint8Array(400_000).fill(1);
for (let i = 2; i * i < primes.length; i++) if (primes[i]) for (let j = i * i; j < primes.length; j += i) primes[j] = 0;
const words = new Map();
for (let i = 0; i < 60_000; i++) {
  const word = `word${(i * 7919) % 3000}`;
  words.set(word, (words.get(word) ?? 0) + 1);
}
const points = Array.from({ length: 30_000 }, (_, i) => ({ x: (i * 7919) % 10007, name: `p${i}` }));
points.sort((a, b) => a.x - b.x || (a.name < b.name ? -1 : 1));
const copy = JSON.parse(JSON.stringify(points));
const sum = copy
  .map(({ x }) => x * 2)
  .filter((x) => x % 3 === 0)
  .reduce((a, b) => a + b, 0);
console.log(
  primes.reduce((a, b) => a + b, 0),
  words.size,
  sum,
  copy[100].name,
);

"""What Python programs do: objects, dictionaries, strings, regular expressions, JSON, big numbers, hashes."""
import hashlib
import json
import re


class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def plus(self, other):
        return Point(self.x + other.x, self.y + other.y)


total = Point(0, 0)
for i in range(60000):
    total = total.plus(Point(i, -i))
counts = {}
text = " ".join(f"word{i * 7919 % 1000}" for i in range(30000))
for word in text.split():
    counts[word] = counts.get(word, 0) + 1
found = len(re.findall(r"word(\d)\1\d?\b", text))
again = json.loads(json.dumps({"points": [[i, i * i / 3] for i in range(20000)], "counts": counts}))
power = pow(3, 20011) % 10**40
print(total.x, len(counts), found, len(again["points"]), power, hashlib.sha256(text.encode()).hexdigest())

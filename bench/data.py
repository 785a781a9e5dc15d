"""How fast `tidegate data validate` reads a file of made-up conversations in English and Chinese.

usage: python3 bench/data.py [--megabytes N] [--rounds N]
"""

import argparse
import json
import pathlib
import random
import resource
import statistics
import subprocess
import tempfile

from serving import binary

SCHEMA = {"type": "object", "required": ["messages"], "properties": {"messages": {
    "type": "array", "items": {"type": "object", "required": ["role", "content"], "properties": {
        "role": {"enum": ["user", "assistant"]}, "content": {"type": "string"}}}}}}
CHINESE = "退款需要七天快递包裹客户付款银行账户大阪仓库今天明天可以不能请问谢谢问题回答模型数据训练"


def write(path, size):
    """Writes so many bytes of lines; none repeats another."""
    draw = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(draw.choices(letters, k=draw.randint(2, 9))) for _ in range(20_000)]

    def english(count):
        return " ".join(draw.choices(words, k=count))

    written = 0
    with path.open("w", encoding="utf-8") as out:
        while written < size:
            answer = "".join(draw.choices(CHINESE, k=60)) + " " + english(60)
            line = json.dumps({"messages": [
                {"role": "user", "content": english(90)},
                {"role": "assistant", "content": answer}]}, ensure_ascii=False) + "\n"
            written += out.write(line) + 2 * 60
    return path.stat().st_size


def main():
    """Prints the median rate over the rounds, by CPU time, and the memory."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        data, schema = folder / "training.jsonl", folder / "schema.json"
        size = write(data, options.megabytes * 1_000_000)
        schema.write_text(json.dumps(SCHEMA), encoding="utf-8")
        command = [binary(), "data", "validate", "--input", data, "--schema", schema]
        rates = []
        for _ in range(options.rounds):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
            rates.append(size / used / 1e6)
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"{size / 1e6:.0f} MB: {statistics.median(rates):.0f} MB a second of CPU "
              f"({', '.join(f'{rate:.0f}' for rate in rates)}), {memory:.0f} MB of memory")


if __name__ == "__main__":
    main()

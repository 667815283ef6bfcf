"""One measurement of the gguf package: job as JSON on standard input, the median seconds of decoding a tensor as JSON out."""
import json
import statistics
import sys
import time

from gguf import GGUFReader
from gguf.quants import dequantize

job = json.load(sys.stdin)
(tensor,) = GGUFReader(job["path"]).tensors
seconds = []
for _ in range(job["rounds"] + 1):
    start = time.perf_counter()
    dequantize(tensor.data, tensor.tensor_type)
    seconds.append(time.perf_counter() - start)
print(json.dumps({"seconds": statistics.median(seconds[1:])}))

"""Writes test/fixtures/parquet: the same rows in every codec of the format, and two files that claim more than they hold.

Needs Python with pyarrow (26) and 4 GB of memory. No arguments.
"""
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

directory = pathlib.Path(__file__).parent.parent / "fixtures" / "parquet"
directory.mkdir(exist_ok=True)

rows = pa.table({
    "text": [f"row {i}: " + "words and more words " * (i % 5 + 1) for i in range(60)],
    "id": list(range(60)),
})
for codec in ["none", "snappy", "gzip", "zstd", "lz4", "brotli"]:
    for version in ["1.0", "2.0"]:
        pq.write_table(rows, directory / f"{codec}-{version[0]}.parquet", compression=codec, data_page_version=version)
    # Columns that hold nothing: pages of 0 bytes.
    nothing = {"source": pa.nulls(60, pa.string()), "tags": pa.array([[]] * 60, pa.list_(pa.string()))}
    pq.write_table(pa.table({"text": rows["text"], **nothing}), directory / f"{codec}-nothing.parquet", compression=codec)

# 20 million times one word: 80 kB.
one = pa.array(["word"]).dictionary_encode()
many = pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()).take(pa.nulls(20_000_000, pa.int64()).fill_null(0)), one.dictionary)
pq.write_table(pa.table({"text": many}), directory / "many.parquet", compression="zstd", row_group_size=1 << 25,
               data_page_size=1 << 30, store_schema=False)
# The same 300,000 times, within what a row group may have.
pq.write_table(pa.table({"text": many[:300_000]}), directory / "some.parquet", compression="zstd", row_group_size=1 << 25,
               store_schema=False)
# One text of 1.1 GB.
long = pa.array(["x" * 1_100_000_000], pa.string())
pq.write_table(pa.table({"text": long}), directory / "long.parquet", compression="zstd", compression_level=19,
               use_dictionary=False, write_statistics=False, store_schema=False)

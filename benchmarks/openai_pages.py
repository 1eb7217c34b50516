"""CPU from OpenAI's usage pages to a checked token frame, per million meter rows.

    python benchmarks/openai_pages.py [RESULTS]

Pages are made in memory (RESULTS results, default 200,000, each giving 5 to 6 meter rows) and parsed from their JSON
text first; the frame's time is what remains. Printed: CPU seconds and their ratio to parsing the same text.
"""

from __future__ import annotations

import json
import sys
import time

from finops_ai_openai.api import buckets_of
from finops_ai_openai.endpoints import ENDPOINTS
from finops_ai_openai.usage import tokens_of

from finops_ai.frames import conform
from finops_ai.providers.http import parse_json

DAY = 86_400


def page(results: int) -> bytes:
    """One page of 31 days with so many results in all."""
    per_day = results // 31 + 1
    days = [
        {
            "object": "bucket",
            "start_time": 1790812800 + day * DAY,
            "end_time": 1790812800 + (day + 1) * DAY,
            "results": [
                {
                    "object": "organization.usage.completions.result",
                    "input_tokens": 1000 + n,
                    "input_cached_tokens": n % 900,
                    "input_cache_write_tokens": n % 3,
                    "output_tokens": 50 + n % 77,
                    "num_model_requests": 1 + n % 5,
                    "project_id": f"proj_{n % 40}",
                    "user_id": f"user_{n % 300}",
                    "api_key_id": f"key_{n % 90}",
                    "model": f"gpt-{n % 12}",
                    "batch": n % 10 == 0,
                    "service_tier": "default",
                }
                for n in range(per_day)
            ],
        }
        for day in range(31)
    ]
    return json.dumps({"object": "page", "data": days, "has_more": False, "next_page": None}).encode()


def main(results: int) -> None:
    """Measure and print."""
    text = page(results)
    conform({}, source="warm-up")
    began = time.process_time()
    document = parse_json(text, "benchmark")
    parsed = time.process_time()
    buckets = buckets_of(document, "benchmark")
    columns = tokens_of(buckets, ENDPOINTS["completions"], account="org", source="api", names={})
    frame = conform(columns, source="benchmark")
    done = time.process_time()
    rows = len(frame)
    print(f"{results:,} results, {len(text) / 1e6:.0f} MB of JSON, {rows:,} meter rows")
    print(f"parse JSON      {parsed - began:6.2f} CPU s")
    print(f"frame           {done - parsed:6.2f} CPU s = {(done - parsed) / rows * 1e6:.2f} per million meter rows")
    print(f"ratio to parse  {(done - parsed) / (parsed - began):6.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)

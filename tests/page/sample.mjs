// Sample data for screenshots: a server with models that people know, in the middle of its work.

const minutesAgo = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();
const digest = (text) => text.padEnd(64, "0");

function model(name, family, parameters, quantization, size, context, minutes, ...capabilities) {
  return {
    name,
    size,
    digest: digest(Buffer.from(name).toString("hex")),
    modified_at: minutesAgo(minutes),
    capabilities,
    details: {
      format: "gguf",
      family,
      parameter_size: parameters,
      quantization_level: quantization,
      context_length: context,
    },
  };
}

export const MODELS = [
  model(
    "qwen3:8b",
    "qwen3",
    "8.2B",
    "Q4_K_M",
    5.2e9,
    40_960,
    12,
    "completion",
    "tools",
    "thinking",
  ),
  model("gemma3:12b", "gemma3", "12.2B", "Q4_K_M", 8.1e9, 131_072, 1500, "completion", "vision"),
  model(
    "qwen2.5-coder:1.5b",
    "qwen2",
    "1.5B",
    "Q4_K_M",
    9.86e8,
    32_768,
    4400,
    "completion",
    "tools",
    "insert",
  ),
  model("nomic-embed-text:latest", "nomic-bert", "137M", "F16", 2.74e8, 2048, 9000, "embedding"),
  model(
    "paddock:latest",
    "llama",
    "1.74M",
    "Q8_0",
    2.0e6,
    2048,
    20_000,
    "completion",
    "tools",
    "insert",
    "thinking",
  ),
];

const loaded = (name, size, vram, context, minutes) => ({
  ...MODELS.find((each) => each.name === name),
  size,
  size_vram: vram,
  context_length: context,
  expires_at: minutesAgo(-minutes),
});

const PS = {
  models: [
    loaded("qwen3:8b", 6.9e9, 6.9e9, 32_768, 9.6),
    loaded("nomic-embed-text:latest", 4.1e8, 0, 2048, 14.2),
  ],
  loading: [{ name: "gemma3:12b", ratio: 0.62 }],
};

const request = (id, route, name, phase, age, fields) => ({
  id,
  route: `POST ${route}`,
  model: name,
  phase,
  created_at: minutesAgo(age / 60),
  age_seconds: age,
  ...fields,
});

const QUEUE = {
  requests: [
    request("req_1", "/api/chat", "qwen3:8b", "decode", 6.2, {
      prompt_tokens: 812,
      generated_tokens: 341,
      key: "alice",
    }),
    request("req_2", "/v1/chat/completions", "qwen3:8b", "prefill", 1.4, {
      prompt_tokens: 14_208,
      ratio: 0.44,
      key: "editor",
    }),
    request("req_3", "/v1/messages", "gemma3:12b", "loading", 2.1, { ratio: 0.62 }),
  ],
};

/** Let the page see this server instead of the one it came from. */
export async function showSample(page) {
  let tokens = 0;
  let tick = 0;
  const json = (value) => (route) => route.fulfill({ json: value });
  await page.route("**/api/tags", json({ models: MODELS }));
  await page.route("**/api/ps", json(PS));
  await page.route("**/api/queue", json(QUEUE));
  await page.route("**/metrics", (route) => {
    tick += 1;
    tokens +=
      2 * (58 + 34 * Math.sin(tick / 9) + 9 * Math.sin(tick * 1.7) + (tick % 40 > 28 ? -18 : 0));
    const lines = [
      `paddock_generation_tokens_total{model="qwen3:8b"} ${tokens}`,
      'paddock_kv_cache_usage_ratio{model="qwen3:8b"} 0.47',
      'paddock_kv_cache_usage_ratio{model="nomic-embed-text:latest"} 0.06',
    ];
    return route.fulfill({ contentType: "text/plain", body: `${lines.join("\n")}\n` });
  });
}

export const QUESTION = "How do I read a large CSV file line by line in Python?";
export const THOUGHT =
  "The file is large, so it must not be read at once. The csv module iterates.";
export const ANSWER = `Use the \`csv\` module: its reader is an **iterator**, so only one row is in memory at a time.

\`\`\`python
import csv

def rows(path):
    # newline="" lets the module handle line ends itself.
    with open(path, newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)

total = sum(float(row["price"]) for row in rows("sales.csv"))
print(f"{total:.2f}")
\`\`\`

| Way | Memory | Good for |
| --- | --- | --- |
| \`csv.reader\` | one row | scripts |
| \`pandas\`, \`chunksize=\` | one chunk | statistics |
| \`polars.scan_csv\` | what the query needs | large files |

1. Open the file with \`newline=""\`.
2. Iterate; do **not** call \`list(...)\`.
`;

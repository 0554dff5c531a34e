// Usage: requests and tokens by API key and model over some days.

import { json } from "../api/client.js";
import { fill, h } from "../lib/dom.js";
import { number } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { shortName } from "../models/catalog.js";
import { optional } from "./optional.js";

/**
 * @typedef {object} UsageRow an entry of /api/usage: what one key used of one model on one day
 * @property {string} day
 * @property {string} key
 * @property {string} model
 * @property {number} requests
 * @property {number} errors
 * @property {number} prompt_tokens
 * @property {number} generated_tokens
 */

const PERIOD_MS = 15_000;
const COLUMNS = /** @type {const} */ (["requests", "errors", "prompt_tokens", "generated_tokens"]);

/** The section of the view; hidden where there is no usage. */
export class UsageSection {
  constructor() {
    this.readAt = Number.NEGATIVE_INFINITY;
    this.days = h(
      "select",
      { "aria-label": t("period"), on: { change: () => this.read() } },
      h("option", { value: 1 }, t("today")),
      h("option", { value: 7 }, t("lastDays", { count: 7 })),
      h("option", { value: 30, selected: true }, t("lastDays", { count: 30 })),
    );
    this.table = h("div", {
      class: "table card",
      tabindex: "0",
      role: "region",
      "aria-label": t("usage"),
    });
    this.element = h(
      "section",
      { hidden: true },
      h("div", { class: "section-head" }, h("h2", null, t("usage")), this.days),
      this.table,
    );
  }

  /** Read the usage again, unless it was read just now. */
  async refresh() {
    if (performance.now() - this.readAt >= PERIOD_MS) await this.read();
  }

  async read() {
    this.readAt = performance.now();
    const reply = await optional(json(`api/usage?days=${this.days.value}`));
    /** @type {UsageRow[]} */
    const rows = sums(reply?.usage ?? []);
    // It stays when the person has chosen days without any.
    this.element.hidden &&= rows.length === 0;
    fill(this.table, usageTable(rows));
  }
}

/**
 * Return the sums over the days, by key and model, the most used first.
 * @param {UsageRow[]} rows
 */
function sums(rows) {
  /** @type {Map<string, UsageRow>} */
  const found = new Map();
  for (const row of rows) {
    const id = JSON.stringify([row.key, row.model]);
    const sum = found.get(id) ?? {
      ...row,
      requests: 0,
      errors: 0,
      prompt_tokens: 0,
      generated_tokens: 0,
    };
    for (const column of COLUMNS) sum[column] += row[column];
    found.set(id, sum);
  }
  const tokens = (/** @type {UsageRow} */ row) => row.prompt_tokens + row.generated_tokens;
  return [...found.values()].sort((a, b) => tokens(b) - tokens(a) || b.requests - a.requests);
}

/** @param {UsageRow[]} rows */
function usageTable(rows) {
  const titles = [
    t("key"),
    t("model"),
    t("requests"),
    t("errors"),
    t("promptTokensHead"),
    t("generatedTokensHead"),
  ];
  const head = titles.map((title, i) =>
    h("th", { scope: "col", class: i > 1 ? "align-right" : null }, title),
  );
  const body = rows.map((row) =>
    h(
      "tr",
      null,
      h("td", null, row.key || "–"),
      h("td", null, row.model ? shortName(row.model) : "–"),
      COLUMNS.map((column) => h("td", { class: "align-right" }, number(row[column]))),
    ),
  );
  return h("table", null, h("thead", null, h("tr", null, head)), h("tbody", null, body));
}

// API keys: listed, made and revoked, by who has a key that may manage.

import { apiKey, json } from "../api/client.js";
import {
  button,
  confirmed,
  copyButton,
  field,
  iconButton,
  notify,
  openDialog,
} from "../lib/dialog.js";
import { fill, h } from "../lib/dom.js";
import { errorText } from "../lib/errors.js";
import { dateTime, number } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { icon } from "../lib/icons.js";
import { optional } from "./optional.js";

/**
 * @typedef {object} ApiKey an entry of /api/keys; times are seconds since 1970
 * @property {string} name
 * @property {string[]} scopes
 * @property {string[]} [models]
 * @property {string} [priority]
 * @property {Record<string, number>} [limits]
 * @property {number} created_at
 * @property {number} [expires_at]
 * @property {number} [revoked_at]
 */
/** @typedef {import("../lib/i18n.js").StringKey} StringKey */

/** @type {[string, StringKey][]} */
const SCOPES = [
  ["infer", "scopeInfer"],
  ["read", "scopeRead"],
  ["manage", "scopeManage"],
];
/** @type {[string, StringKey][]} */
const LIMITS = [
  ["requests_per_minute", "requestsPerMinute"],
  ["tokens_per_minute", "tokensPerMinute"],
  ["max_parallel", "maxParallel"],
];
const DAYS = [0, 7, 30, 90, 365];

/** The section of the view; hidden where keys are not used or not managed. */
export class KeysSection {
  constructor() {
    this.isRead = false;
    this.list = h("ul", { class: "list", "aria-label": t("apiKeys") });
    const add = button(t("newKey"), () => openNewKey(() => this.read()));
    this.element = h(
      "section",
      { hidden: true },
      h("div", { class: "section-head" }, h("h2", null, t("apiKeys")), add),
      this.list,
    );
  }

  /** Read the keys, once: others seldom change them. */
  async refresh() {
    if (!this.isRead && apiKey()) await this.read();
  }

  async read() {
    const reply = await optional(json("api/keys"));
    this.isRead = true;
    /** @type {ApiKey[]} */
    const keys = (reply?.keys ?? []).filter((/** @type {ApiKey} */ key) => !key.revoked_at);
    this.element.hidden = reply === null;
    fill(
      this.list,
      keys.map((key) => this.row(key)),
    );
  }

  /** @param {ApiKey} key */
  row(key) {
    return h(
      "li",
      { class: "card request-row" },
      h(
        "div",
        { class: "model-facts" },
        h(
          "div",
          { class: "row" },
          h("strong", null, key.name),
          key.scopes.map((scope) => h("span", { class: "badge" }, scopeName(scope))),
        ),
        h(
          "div",
          { class: "facts" },
          facts(key).map((fact) => h("span", null, fact)),
        ),
      ),
      iconButton("trash", t("revokeKey", { name: key.name }), () => this.revoke(key.name)),
    );
  }

  /** @param {string} name */
  async revoke(name) {
    const question = {
      title: t("revokeTitle", { name }),
      text: t("revokeText"),
      action: t("revoke"),
      danger: true,
    };
    if (!(await confirmed(question))) return;
    try {
      await json(`api/keys/${encodeURIComponent(name)}`, { method: "DELETE" });
      await this.read();
    } catch (error) {
      notify(errorText(error), "error");
    }
  }
}

/** @param {string} scope */
function scopeName(scope) {
  const known = SCOPES.find(([name]) => name === scope);
  return known ? t(known[1]) : scope;
}

/** @param {ApiKey} key */
function facts({ models, limits, created_at, expires_at }) {
  return [
    t("createdAt", { time: dateTime(created_at * 1000) }),
    expires_at ? t("validUntil", { time: dateTime(expires_at * 1000) }) : "",
    (models ?? []).join(", "),
    ...LIMITS.filter(([name]) => limits?.[name]).map(
      ([name, label]) => `${t(label)}: ${number(limits?.[name] ?? 0)}`,
    ),
  ].filter(Boolean);
}

/** @param {() => void} done */
function openNewKey(done) {
  openDialog(t("newKey"), (close) => {
    const name = h("input", {
      type: "text",
      required: true,
      autocomplete: "off",
      spellcheck: "false",
    });
    const scopes = SCOPES.map(([scope, label]) => {
      const box = h("input", { type: "checkbox", value: scope, checked: scope !== "manage" });
      return { box, element: h("label", { class: "check" }, box, t(label)) };
    });
    const models = h("input", {
      type: "text",
      placeholder: t("allModels"),
      autocomplete: "off",
      spellcheck: "false",
    });
    const days = h(
      "select",
      null,
      DAYS.map((count) =>
        h("option", { value: count }, count ? t("days", { count }) : t("forEver")),
      ),
    );
    const limits = LIMITS.map(([key, label]) => ({
      key,
      label,
      input: h("input", { type: "number", min: 0, placeholder: t("noLimit") }),
    }));
    const problem = h("div", null);
    const submit = async (/** @type {Event} */ event) => {
      event.preventDefault();
      const body = {
        name: name.value.trim(),
        scopes: scopes.filter(({ box }) => box.checked).map(({ box }) => box.value),
        models: models.value.split(/[\s,]+/).filter(Boolean),
        expires: days.value === "0" ? "" : `${days.value}d`,
        ...Object.fromEntries(limits.map(({ key, input }) => [key, input.valueAsNumber || 0])),
      };
      try {
        const { key } = await json("api/keys", { body });
        close();
        showKey(body.name, key);
        done();
      } catch (error) {
        fill(problem, h("p", { class: "error", role: "alert" }, icon("warning"), errorText(error)));
      }
    };
    return [
      h(
        "form",
        { on: { submit } },
        field(t("keyName"), name),
        h(
          "fieldset",
          null,
          h("legend", null, t("scopes")),
          h(
            "div",
            { class: "row" },
            scopes.map(({ element }) => element),
          ),
        ),
        field(t("models"), models, t("modelPatterns")),
        field(t("valid"), days),
        h(
          "div",
          { class: "grid" },
          limits.map(({ label, input }) => field(t(label), input)),
        ),
        problem,
        h(
          "div",
          { class: "dialog-actions" },
          button(t("cancel"), close),
          h("button", { class: "button primary" }, t("create")),
        ),
      ),
    ];
  });
}

/**
 * Show a new key, which nobody can see again.
 * @param {string} name
 * @param {string} key
 */
function showKey(name, key) {
  openDialog(
    t("keyMade", { name }),
    (close) => [
      h("p", null, t("keyMadeText")),
      h(
        "div",
        { class: "row key-token" },
        h("code", null, key),
        copyButton(() => key),
      ),
      h("div", { class: "dialog-actions" }, button(t("close"), close, { class: "button primary" })),
    ],
    { class: "small" },
  );
}

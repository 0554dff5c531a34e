// Settings of a conversation: system prompt, options, thinking, output format and tools.

import { field, openDialog } from "../lib/dialog.js";
import { h, uniqueId } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { parsed } from "./answer.js";

/** @typedef {import("./conversations.js").ChatSettings} ChatSettings */
/** @typedef {import("../lib/i18n.js").StringKey} StringKey */

/** @type {{name: string, label: StringKey, min: number, max: number, step: number, hint: string}[]} */
const OPTIONS = [
  { name: "temperature", label: "temperature", min: 0, max: 2, step: 0.05, hint: "0.8" },
  { name: "top_p", label: "topP", min: 0, max: 1, step: 0.05, hint: "0.9" },
  { name: "top_k", label: "topK", min: 0, max: 1000, step: 1, hint: "40" },
  { name: "repeat_penalty", label: "repeatPenalty", min: 0, max: 3, step: 0.05, hint: "1" },
  { name: "num_ctx", label: "contextLength", min: 16, max: 10_000_000, step: 1, hint: "4096" },
  { name: "num_predict", label: "maxTokens", min: -1, max: 10_000_000, step: 1, hint: "" },
  { name: "seed", label: "seed", min: 0, max: 2_147_483_647, step: 1, hint: "" },
];
const EXAMPLE_SCHEMA =
  '{"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}';
const EXAMPLE_TOOLS = `[{"type": "function", "function": {"name": "get_weather", "description": "Get the weather of a city.",
  "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]`;

/**
 * Let the person change the settings; `changed` is called with each change.
 * @param {ChatSettings} settings
 * @param {string[]} capabilities of the model
 * @param {() => void} changed
 */
export function openSettings(settings, capabilities, changed) {
  openDialog(
    t("chatSettings"),
    () => [
      systemField(settings, changed),
      h(
        "fieldset",
        null,
        h("legend", null, t("options")),
        h(
          "div",
          { class: "grid" },
          ...OPTIONS.map((option) => optionField(option, settings, changed)),
        ),
      ),
      capabilities.includes("thinking") && thinkField(settings, changed),
      formatFields(settings, changed),
      capabilities.includes("tools") && toolsField(settings, changed),
    ],
    { class: "drawer" },
  );
}

/**
 * @param {ChatSettings} settings
 * @param {() => void} changed
 */
function systemField(settings, changed) {
  const input = h("textarea", { rows: "4", placeholder: t("systemPlaceholder") });
  input.value = settings.system;
  input.addEventListener("input", () => {
    settings.system = input.value;
    changed();
  });
  return field(t("systemPrompt"), input);
}

/**
 * @param {typeof OPTIONS[number]} option
 * @param {ChatSettings} settings
 * @param {() => void} changed
 */
function optionField({ name, label, min, max, step, hint }, settings, changed) {
  const value = settings.options[name];
  const input = h("input", {
    type: "number",
    min,
    max,
    step,
    placeholder: hint || t("modelDefault"),
    value: value ?? "",
  });
  input.addEventListener("input", () => {
    if (input.value === "" || !input.checkValidity()) delete settings.options[name];
    else settings.options[name] = input.valueAsNumber;
    changed();
  });
  return field(t(label), input);
}

/**
 * @param {ChatSettings} settings
 * @param {() => void} changed
 */
function thinkField(settings, changed) {
  /** @type {[string, StringKey][]} */
  const choices = [
    ["", "modelDefault"],
    ["true", "on"],
    ["false", "off"],
    ["low", "low"],
    ["medium", "medium"],
    ["high", "high"],
  ];
  const input = select(choices, settings.think);
  input.addEventListener("change", () => {
    settings.think = input.value;
    changed();
  });
  return field(t("thinkingSetting"), input);
}

/**
 * @param {ChatSettings} settings
 * @param {() => void} changed
 */
function formatFields(settings, changed) {
  /** @type {[string, StringKey][]} */
  const choices = [
    ["", "formatText"],
    ["json", "formatJson"],
    ["schema", "formatSchema"],
  ];
  const input = select(choices, settings.format);
  const schema = jsonField(t("schema"), settings.schema, EXAMPLE_SCHEMA, (text) => {
    settings.schema = text;
    changed();
  });
  schema.hidden = settings.format !== "schema";
  input.addEventListener("change", () => {
    settings.format = /** @type {ChatSettings["format"]} */ (input.value);
    schema.hidden = settings.format !== "schema";
    changed();
  });
  return h("div", null, field(t("format"), input), schema);
}

/**
 * @param {ChatSettings} settings
 * @param {() => void} changed
 */
function toolsField(settings, changed) {
  const input = jsonField(t("tools"), settings.tools, EXAMPLE_TOOLS, (text) => {
    settings.tools = text;
    changed();
  });
  return h("div", null, input, h("small", { class: "help" }, t("toolsHelp")));
}

/**
 * A field for JSON, which tells when it is none.
 * @param {string} label
 * @param {string} value
 * @param {string} example
 * @param {(text: string) => void} changed
 */
function jsonField(label, value, example, changed) {
  const id = uniqueId("problem");
  const problem = h("small", { id, class: "problem", role: "status" });
  const input = h("textarea", {
    rows: "6",
    class: "mono",
    spellcheck: "false",
    placeholder: example,
    "aria-describedby": id,
  });
  input.value = value;
  const check = () => {
    const isBad = input.value.trim() !== "" && parsed(input.value) === undefined;
    problem.textContent = isBad ? t("noJson") : "";
    input.setAttribute("aria-invalid", String(isBad));
  };
  input.addEventListener("input", () => {
    check();
    changed(input.value);
  });
  check();
  return h("div", null, field(label, input), problem);
}

/**
 * @param {[string, StringKey][]} choices
 * @param {string} value
 */
export function select(choices, value) {
  return h(
    "select",
    null,
    ...choices.map(([key, label]) =>
      h("option", { value: key, selected: key === value }, t(label)),
    ),
  );
}

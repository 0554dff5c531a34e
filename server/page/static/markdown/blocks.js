// Markdown blocks: paragraphs, headings, lists, quotations, tables and code, as plain objects.
//
// The part of CommonMark and of GitHub's tables and task lists that models write. HTML is text.
// Every line is looked at once per level of nesting, and the levels are bounded.

/**
 * @typedef {{type: "paragraph", text: string}
 *   | {type: "heading", level: number, text: string}
 *   | {type: "code", language: string, text: string, closed: boolean}
 *   | {type: "rule"}
 *   | {type: "quote", blocks: Block[]}
 *   | {type: "list", ordered: boolean, start: number, items: ListItem[]}
 *   | {type: "table", head: string[], align: Align[], rows: string[][]}} Block
 */
/** @typedef {{checked: boolean | null, blocks: Block[]}} ListItem */
/** @typedef {"left" | "center" | "right" | ""} Align */
/** @typedef {{block: Block, source: string}} SourceBlock */

const MAX_DEPTH = 12;
const MAX_COLUMNS = 64;
const FENCE = /^ {0,3}(`{3,}|~{3,})[ \t]*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*))?$/;
const RULE = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(?:([ \t]+)(.*)|)$/;
const TASK = /^\[([ xX])\][ \t]+/;
const DELIMITERS = /^[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;

/**
 * Return the blocks of a text, each with its source, so that unchanged ones can be kept.
 * @param {string} text
 * @returns {SourceBlock[]}
 */
export function parseBlocks(text) {
  const rows = text.replace(/\r\n?/g, "\n").split("\n");
  return parse(rows, 0).map(({ block, from, to }) => ({
    block,
    source: rows.slice(from, to).join("\n"),
  }));
}

/** @typedef {{block: Block, from: number, to: number}} Span lines from `from` to before `to` */

/**
 * @param {string[]} rows
 * @param {number} depth
 * @returns {Span[]}
 */
function parse(rows, depth) {
  /** @type {Span[]} */
  const spans = [];
  let at = 0;
  while (at < rows.length) {
    if (isBlank(rows[at])) {
      at += 1;
      continue;
    }
    const [block, to] = blockAt(rows, at, depth);
    spans.push({ block, from: at, to });
    at = to;
  }
  return spans;
}

/**
 * Return the block that begins in a row, and the row after it.
 * @param {string[]} rows
 * @param {number} at
 * @param {number} depth
 * @returns {[Block, number]}
 */
function blockAt(rows, at, depth) {
  const row = rows[at];
  const fence = FENCE.exec(row);
  if (fence) return codeAt(rows, at, fence);
  const heading = HEADING.exec(row);
  if (heading) {
    const text = (heading[2] ?? "").replace(/[ \t]+#+[ \t]*$/, "").trim();
    return [{ type: "heading", level: heading[1].length, text }, at + 1];
  }
  if (RULE.test(row)) return [{ type: "rule" }, at + 1];
  if (depth < MAX_DEPTH) {
    if (QUOTE.test(row)) return quoteAt(rows, at, depth);
    const item = ITEM.exec(row);
    if (item) return listAt(rows, at, item, depth);
  }
  if (isTable(rows, at)) return tableAt(rows, at);
  return paragraphAt(rows, at, depth);
}

/** @param {string | undefined} row */
function isBlank(row) {
  return row === undefined || row.trim() === "";
}

/**
 * @param {string[]} rows
 * @param {number} at
 * @param {RegExpExecArray} fence
 * @returns {[Block, number]}
 */
function codeAt(rows, at, fence) {
  const mark = fence[1];
  const indent = rows[at].length - rows[at].trimStart().length;
  const body = [];
  let next = at + 1;
  let closed = false;
  for (; next < rows.length && !closed; next += 1) {
    const line = rows[next].trim();
    if (line.length >= mark.length && line === mark[0].repeat(line.length)) closed = true;
    else body.push(withoutIndent(rows[next], indent));
  }
  const language = fence[2].trim().split(/\s/)[0].toLowerCase();
  return [{ type: "code", language, text: body.join("\n"), closed }, next];
}

/**
 * @param {string} row
 * @param {number} columns
 */
function withoutIndent(row, columns) {
  let n = 0;
  while (n < columns && row[n] === " ") n += 1;
  return row.slice(n);
}

/**
 * @param {string[]} rows
 * @param {number} at
 * @param {number} depth
 * @returns {[Block, number]}
 */
function quoteAt(rows, at, depth) {
  const body = [];
  let next = at;
  while (next < rows.length && !isBlank(rows[next])) {
    // A line without the mark goes on with the paragraph, unless it begins another block.
    if (!QUOTE.test(rows[next]) && interrupts(rows, next)) break;
    body.push(rows[next].replace(QUOTE, ""));
    next += 1;
  }
  return [{ type: "quote", blocks: parse(body, depth + 1).map((span) => span.block) }, next];
}

/**
 * @param {string[]} rows
 * @param {number} at
 * @param {RegExpExecArray} first
 * @param {number} depth
 * @returns {[Block, number]}
 */
function listAt(rows, at, first, depth) {
  const kind = bullet(first[2]);
  const ordered = kind === "." || kind === ")";
  /** @type {ListItem[]} */
  const items = [];
  let next = at;
  while (next < rows.length) {
    const item = ITEM.exec(rows[next]);
    if (!item || bullet(item[2]) !== kind || RULE.test(rows[next])) break;
    const [body, after] = itemAt(rows, next, item);
    items.push(listItem(body, depth));
    next = after;
  }
  return [
    { type: "list", ordered, start: ordered ? Number.parseInt(first[2], 10) : 1, items },
    next,
  ];
}

/** @param {string} mark */
function bullet(mark) {
  return mark[mark.length - 1];
}

/**
 * Return the lines of an item without its mark and indent, and the row after the item.
 * @param {string[]} rows
 * @param {number} at
 * @param {RegExpExecArray} item
 * @returns {[string[], number]}
 */
function itemAt(rows, at, item) {
  const spaces = item[3] ?? "";
  const offset =
    item[1].length + item[2].length + (spaces.length > 4 ? 1 : Math.max(1, spaces.length));
  const body = [item[4] ?? ""];
  let next = at + 1;
  let blanks = 0;
  for (; next < rows.length; next += 1) {
    const row = rows[next];
    if (isBlank(row)) {
      blanks += 1;
      continue;
    }
    const indent = row.length - row.trimStart().length;
    // Models indent by two or three where the mark takes four: that still belongs to the item.
    const belongs =
      indent >= Math.min(offset, 2) && !(indent < offset && ITEM.test(row) && indent < 2);
    if (!belongs && (blanks > 0 || interrupts(rows, next) || ITEM.test(row))) break;
    for (; blanks > 0; blanks -= 1) body.push("");
    body.push(withoutIndent(row, offset));
  }
  return [body, next - (next < rows.length ? blanks : 0)];
}

/**
 * @param {string[]} body
 * @param {number} depth
 * @returns {ListItem}
 */
function listItem(body, depth) {
  const task = TASK.exec(body[0]);
  if (task) body[0] = body[0].slice(task[0].length);
  const blocks = parse(body, depth + 1).map((span) => span.block);
  return { checked: task ? task[1] !== " " : null, blocks };
}

/**
 * @param {string[]} rows
 * @param {number} at
 */
function isTable(rows, at) {
  const next = rows[at + 1];
  if (next === undefined || !rows[at].includes("|") || !next.includes("-")) return false;
  return DELIMITERS.test(next) && cells(rows[at]).length === cells(next).length;
}

/**
 * @param {string[]} rows
 * @param {number} at
 * @returns {[Block, number]}
 */
function tableAt(rows, at) {
  const head = cells(rows[at]);
  const align = cells(rows[at + 1]).map(alignment);
  const body = [];
  let next = at + 2;
  for (; next < rows.length && !isBlank(rows[next]) && rows[next].includes("|"); next += 1) {
    const row = cells(rows[next]).slice(0, head.length);
    while (row.length < head.length) row.push("");
    body.push(row);
  }
  return [{ type: "table", head, align, rows: body }, next];
}

/**
 * Return the cells of a row; `\|` and bars in code do not part them.
 * @param {string} row
 * @returns {string[]}
 */
function cells(row) {
  const text = row.trim().replace(/^\|/, "");
  const parts = [""];
  for (let i = 0; i < text.length; i += 1) {
    if (text[i] === "\\" && text[i + 1] === "|") {
      parts[parts.length - 1] += "|";
      i += 1;
    } else if (text[i] === "|" && parts.length < MAX_COLUMNS) {
      parts.push("");
    } else {
      parts[parts.length - 1] += text[i];
    }
  }
  if (parts.length > 1 && parts[parts.length - 1].trim() === "") parts.pop();
  return parts.map((part) => part.trim());
}

/**
 * @param {string} delimiter
 * @returns {Align}
 */
function alignment(delimiter) {
  const [left, right] = [delimiter.startsWith(":"), delimiter.endsWith(":")];
  if (left && right) return "center";
  if (right) return "right";
  return left ? "left" : "";
}

/**
 * @param {string[]} rows
 * @param {number} at
 * @param {number} depth
 * @returns {[Block, number]}
 */
function paragraphAt(rows, at, depth) {
  const body = [rows[at]];
  let next = at + 1;
  for (; next < rows.length && !isBlank(rows[next]); next += 1) {
    if (interrupts(rows, next, depth)) break;
    body.push(rows[next]);
  }
  const text = body.map((row) => row.trimStart()).join("\n");
  return [{ type: "paragraph", text: text.trimEnd() }, next];
}

/**
 * Return whether a row begins another block in the middle of a paragraph.
 * @param {string[]} rows
 * @param {number} at
 * @param {number} [depth]
 */
function interrupts(rows, at, depth = 0) {
  const row = rows[at];
  if (FENCE.test(row) || HEADING.test(row) || RULE.test(row) || isTable(rows, at)) return true;
  if (depth >= MAX_DEPTH) return false;
  const item = ITEM.exec(row);
  return (
    QUOTE.test(row) ||
    (item !== null && Boolean(item[4]) && (!/\d/.test(item[2]) || /^1\D/.test(item[2])))
  );
}

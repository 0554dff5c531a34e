// Markdown within a line: emphasis, code, links and bare addresses, as plain objects.
//
// Emphasis follows CommonMark's algorithm, with one change: `**` beside Chinese, Japanese or Korean
// punctuation opens and closes as people expect. All scans are linear: what is looked for ahead is
// bounded or found once.

/**
 * @typedef {{type: "text", text: string}
 *   | {type: "code", text: string}
 *   | {type: "break"}
 *   | {type: "em" | "strong" | "del", children: Inline[]}
 *   | {type: "link", url: string, children: Inline[]}} Inline
 */
/** @typedef {{mark: string, count: number, node: {type: "text", text: string}, opens: boolean, closes: boolean}} Delimiter */
/** @typedef {{at: number, isImage: boolean}} Bracket a `[` at a place of the output */

const MAX_URL = 2048;
const MAX_DEPTH = 32;
const URL_START = /https?:\/\/[^\s<>"'`\\^{|}，。；：！？、（）「」『』《》“”‘’]+/y;
const ANGLE_LINK = /<((?:https?:\/\/|mailto:)[^\s<>]{1,2048})>/y;
const ENTITY = /&(?:(amp|lt|gt|quot|apos|nbsp)|#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6}));/y;
const PUNCTUATION = /[!-/:-@[-`{-~]/;
/** @type {Record<string, string>} */
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };

/**
 * Return an address if a link may lead there, else "": only web pages and mail.
 * @param {string} text
 */
export function safeUrl(text) {
  // Browsers ignore white space and control characters in a scheme, so none may be there.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these are refused
  if (/[\u0000-\u0020\u007f-\u009f]/.test(text) || !/^(https?:\/\/|mailto:)/i.test(text)) return "";
  try {
    const url = new URL(text);
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : "";
  } catch {
    return "";
  }
}

/**
 * Return the contents of a paragraph, a heading or a cell.
 * @param {string} text
 * @returns {Inline[]}
 */
export function parseInline(text) {
  return new Scanner(text).run();
}

class Scanner {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    this.at = 0;
    /** @type {Inline[]} */
    this.out = [];
    /** @type {Bracket[]} */
    this.brackets = [];
    /** @type {Map<Inline, Delimiter>} */
    this.delimiters = new Map();
    this.backticks = backtickRuns(text);
    this.pending = "";
  }

  run() {
    while (this.at < this.text.length) this.step();
    this.flush();
    return emphasized(this.out, this.delimiters, 0);
  }

  step() {
    const { text, at } = this;
    const char = text[at];
    switch (char) {
      case "\\":
        return this.escape();
      case "`":
        return this.code();
      case "*":
      case "_":
      case "~":
        return this.delimiter(char);
      case "!":
        return text[at + 1] === "[" ? this.open(2) : this.plain(char);
      case "[":
        return this.open(1);
      case "]":
        return this.close();
      case "<":
        return this.match(ANGLE_LINK, (match) => this.link(match[1], match[1])) || this.plain(char);
      case "&":
        return this.match(ENTITY, (match) => this.entity(match)) || this.plain(char);
      case "\n":
        return this.lineBreak();
      case "h":
      case "H":
        return this.bareUrl() || this.plain(char);
      default:
        return this.plain(char);
    }
  }

  /** @param {string} text */
  plain(text) {
    this.pending += text;
    this.at += text.length;
  }

  flush() {
    if (this.pending) this.out.push({ type: "text", text: this.pending });
    this.pending = "";
  }

  /** @param {Inline} node */
  push(node) {
    this.flush();
    this.out.push(node);
  }

  /**
   * @param {RegExp} pattern sticky
   * @param {(match: RegExpExecArray) => void} found
   */
  match(pattern, found) {
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.text);
    if (!match) return false;
    found(match);
    this.at += match[0].length;
    return true;
  }

  escape() {
    const next = this.text[this.at + 1];
    if (next === "\n") {
      this.push({ type: "break" });
      this.at += 2;
    } else if (next && PUNCTUATION.test(next)) {
      this.pending += next;
      this.at += 2;
    } else {
      this.plain("\\");
    }
  }

  code() {
    const length = runLength(this.text, this.at);
    const end = this.backticks.next(length, this.at + length);
    if (end < 0) return this.plain("`".repeat(length));
    let code = this.text.slice(this.at + length, end).replace(/\n/g, " ");
    if (/^ .*[^ ].* $/.test(code)) code = code.slice(1, -1);
    this.push({ type: "code", text: code });
    this.at = end + length;
  }

  lineBreak() {
    const hard = /( {2,})$/.exec(this.pending);
    this.pending = this.pending.trimEnd();
    if (hard) this.push({ type: "break" });
    else this.pending += "\n";
    this.at += 1;
  }

  /** @param {string} mark */
  delimiter(mark) {
    const count = runLength(this.text, this.at);
    const before = this.text[this.at - 1] ?? " ";
    const after = this.text[this.at + count] ?? " ";
    this.flush();
    /** @type {{type: "text", text: string}} */
    const node = { type: "text", text: mark.repeat(count) };
    this.out.push(node);
    this.at += count;
    const [opens, closes] = flanks(mark, before, after);
    if ((opens || closes) && (mark !== "~" || count === 2)) {
      this.delimiters.set(node, { mark, count, node, opens, closes });
    }
  }

  /** @param {number} length */
  open(length) {
    this.push({ type: "text", text: this.text.slice(this.at, this.at + length) });
    this.brackets.push({ at: this.out.length - 1, isImage: length === 2 });
    this.at += length;
  }

  close() {
    const bracket = this.brackets.pop();
    const target = bracket ? linkTarget(this.text, this.at + 1) : null;
    if (!bracket || !target) return this.plain("]");
    this.flush();
    const children = this.out.splice(bracket.at).slice(1);
    const shown = emphasized(children, this.delimiters, 1);
    this.at = target.end;
    const url = safeUrl(target.url);
    // Images are not loaded: a request tells their owner that the answer was read.
    if (url)
      this.out.push({
        type: "link",
        url,
        children: shown.length ? shown : [{ type: "text", text: url }],
      });
    else for (const node of shown) this.out.push(node);
    // A link has no link inside.
    if (!bracket.isImage) this.brackets = [];
  }

  /**
   * @param {string} url
   * @param {string} shown
   */
  link(url, shown) {
    const safe = safeUrl(url);
    if (safe) this.push({ type: "link", url: safe, children: [{ type: "text", text: shown }] });
    else this.pending += shown;
  }

  /** @param {RegExpExecArray} match */
  entity([, name, decimal, hex]) {
    if (name) {
      this.pending += ENTITIES[name];
      return;
    }
    const code = decimal ? Number.parseInt(decimal, 10) : Number.parseInt(hex, 16);
    const valid = code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
    this.pending += valid ? String.fromCodePoint(code) : "\ufffd";
  }

  bareUrl() {
    if (/[\w]/.test(this.text[this.at - 1] ?? "") || this.brackets.length > 0) return false;
    URL_START.lastIndex = this.at;
    const match = URL_START.exec(this.text);
    if (!match || match[0].length > MAX_URL) return false;
    const url = trimmedUrl(match[0]);
    this.link(url, url);
    this.at += url.length;
    return true;
  }
}

/**
 * Return an address without the punctuation of the sentence around it.
 * @param {string} url
 */
function trimmedUrl(url) {
  let end = url.length;
  const open = url.split("(").length;
  let close = url.split(")").length;
  for (; end > 0; end -= 1) {
    const char = url[end - 1];
    if (char === ")" && close > open) close -= 1;
    else if (!/[.,;:!?*_~\]]/.test(char)) break;
  }
  return url.slice(0, end);
}

/**
 * @param {string} text
 * @param {number} at
 */
function runLength(text, at) {
  let end = at + 1;
  while (text[end] === text[at]) end += 1;
  return end - at;
}

/**
 * Return where runs of backticks are, so that a closing run is found without a search.
 * @param {string} text
 */
function backtickRuns(text) {
  /** @type {Map<number, number[]>} */
  const places = new Map();
  for (const match of text.matchAll(/`+/g)) {
    const runs = places.get(match[0].length) ?? [];
    runs.push(match.index);
    places.set(match[0].length, runs);
  }
  /** @type {Map<number, number>} */
  const used = new Map();
  return {
    /**
     * @param {number} length
     * @param {number} from
     */
    next(length, from) {
      const runs = places.get(length) ?? [];
      let i = used.get(length) ?? 0;
      while (i < runs.length && runs[i] < from) i += 1;
      used.set(length, i);
      return i < runs.length ? runs[i] : -1;
    },
  };
}

/**
 * Return whether a run of delimiters can open and can close.
 * @param {string} mark
 * @param {string} before
 * @param {string} after
 * @returns {[boolean, boolean]}
 */
function flanks(mark, before, after) {
  const opens = /\S/.test(after);
  const closes = /\S/.test(before);
  if (mark !== "_") return [opens, closes];
  // `snake_case` is no emphasis.
  const [wordBefore, wordAfter] = [/[\p{L}\p{N}_]/u.test(before), /[\p{L}\p{N}_]/u.test(after)];
  return [opens && !wordBefore, closes && !wordAfter];
}

/**
 * Return where the link leads whose text has just ended, or null if nothing follows.
 * @param {string} text
 * @param {number} at
 * @returns {{url: string, end: number} | null}
 */
function linkTarget(text, at) {
  if (text[at] !== "(") return null;
  const window = text.slice(at + 1, at + 1 + MAX_URL);
  const match =
    /^\s*(?:<([^<>\n]*)>|([^\s()<>]*(?:\([^\s()<>]*\)[^\s()<>]*){0,8}))(?:\s+(?:"[^"]{0,500}"|'[^']{0,500}'))?\s*\)/.exec(
      window,
    );
  return match ? { url: match[1] ?? match[2], end: at + 1 + match[0].length } : null;
}

/**
 * Return nodes with their pairs of delimiters turned into emphasis.
 * @param {Inline[]} nodes
 * @param {Map<Inline, Delimiter>} known
 * @param {number} depth
 * @returns {Inline[]}
 */
function emphasized(nodes, known, depth) {
  /** @type {{delimiter: Delimiter | null, children: Inline[]}[]} */
  const stack = [{ delimiter: null, children: [] }];
  /** @type {Map<string, number>} */
  const openers = new Map();
  const count = (/** @type {string} */ mark, /** @type {number} */ change) =>
    openers.set(mark, (openers.get(mark) ?? 0) + change);
  const top = () => stack[stack.length - 1];
  // A frame without its end is the text of its delimiter, and what followed.
  const unwind = () => {
    const { delimiter, children } = /** @type {typeof stack[number]} */ (stack.pop());
    if (delimiter) count(delimiter.mark, -1);
    if (delimiter)
      top().children.push({ type: "text", text: delimiter.mark.repeat(delimiter.count) });
    for (const child of children) top().children.push(child);
  };
  for (const node of nodes) {
    const delimiter = known.get(node);
    if (!delimiter) {
      top().children.push(node);
      continue;
    }
    if (delimiter.closes) {
      while (delimiter.count > 0 && (openers.get(delimiter.mark) ?? 0) > 0) {
        while (top().delimiter?.mark !== delimiter.mark) unwind();
        const opener = /** @type {Delimiter} */ (top().delimiter);
        const width = opener.count >= 2 && delimiter.count >= 2 ? 2 : 1;
        const { children } = /** @type {typeof stack[number]} */ (stack.pop());
        count(opener.mark, -1);
        const type = opener.mark === "~" ? "del" : width === 2 ? "strong" : "em";
        /** @type {Inline} */
        const wrapped = { type, children };
        opener.count -= width;
        delimiter.count -= width;
        if (opener.count > 0) {
          stack.push({ delimiter: opener, children: [wrapped] });
          count(opener.mark, 1);
        } else {
          top().children.push(wrapped);
        }
      }
    }
    if (delimiter.count === 0) continue;
    if (delimiter.opens && stack.length + depth < MAX_DEPTH) {
      stack.push({ delimiter, children: [] });
      count(delimiter.mark, 1);
    } else {
      top().children.push({ type: "text", text: delimiter.mark.repeat(delimiter.count) });
    }
  }
  while (stack.length > 1) unwind();
  return stack[0].children;
}

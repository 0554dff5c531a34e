// Code highlighting: comments, strings, numbers and keywords, by the look of a language's family.

import { h } from "../lib/dom.js";

/** @typedef {{comment: RegExp, string: RegExp, words: Set<string>}} Syntax */

const MAX_LENGTH = 50_000;
const SLASHES = /\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/y;
const HASH = /#[^\n]*/y;
const DASHES = /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/y;
const MARKUP = /<!--[\s\S]*?(?:-->|$)/y;
const QUOTED = /"(?:[^"\\\n]|\\[\s\S])*"?|'(?:[^'\\\n]|\\[\s\S])*'?/y;
const TEMPLATE = /"(?:[^"\\\n]|\\[\s\S])*"?|'(?:[^'\\\n]|\\[\s\S])*'?|`(?:[^`\\]|\\[\s\S])*`?/y;
const TRIPLE =
  /"""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$)|"(?:[^"\\\n]|\\[\s\S])*"?|'(?:[^'\\\n]|\\[\s\S])*'?/y;
const DOUBLE = /"(?:[^"\\\n]|\\[\s\S])*"?|'(?:[^'\\\n]|\\[\s\S])'/y;
const NUMBER = /(?:0[xX][0-9a-fA-F_]+|\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)\w*/y;
const WORD = /[\p{L}_$][\p{L}\p{N}_$]*/uy;
const SPACE = /[\s(){}[\].,;:]+/y;

const words = (/** @type {string} */ text) => new Set(text.split(" "));
const C =
  "break case char const continue default do double else enum extern false float for goto if int long return short signed sizeof static struct switch true typedef union unsigned void while NULL nullptr auto bool class delete namespace new operator private protected public template this throw try catch using virtual override";
const JS =
  "as async await break case catch class const continue default delete do else export extends false finally for from function if implements import in instanceof interface let new null of return static super switch this throw true try type typeof undefined var void while yield enum readonly";
const PYTHON =
  "and as assert async await break case class continue def del elif else except False finally for from global if import in is lambda match None nonlocal not or pass raise return True try while with yield self";
const SHELL =
  "case do done echo elif else esac exit export fi for function if in local return set then until while cd sudo";
const GO =
  "break case chan const continue default defer else fallthrough false for func go goto if import interface map nil package range return select struct switch true type var string int error bool";
const RUST =
  "as async await break const continue crate else enum extern false fn for if impl in let loop match mod move mut pub ref return self Self static struct super trait true type unsafe use where while Some None Ok Err";
const JAVA =
  "abstract boolean break byte case catch char class const continue default do double else enum extends final finally float for if implements import instanceof int interface long native new null package private protected public return short static super switch synchronized this throw throws true false try void volatile while var val fun when object override";
const SQL =
  "select from where and or not null insert into values update set delete create table drop alter join left right inner outer on group by order having limit offset as distinct union all primary key references in is like between case when then else end";

/** @type {[string, Syntax][]} */
const SYNTAXES = [
  [
    "js javascript jsx mjs ts typescript tsx",
    { comment: SLASHES, string: TEMPLATE, words: words(JS) },
  ],
  ["py python python3", { comment: HASH, string: TRIPLE, words: words(PYTHON) }],
  [
    "sh bash shell zsh console dockerfile docker makefile make",
    { comment: HASH, string: QUOTED, words: words(SHELL) },
  ],
  [
    "yaml yml toml ini conf rb ruby perl r",
    {
      comment: HASH,
      string: QUOTED,
      words: words(
        "true false null yes no def end class module if else elsif unless do while return require nil self",
      ),
    },
  ],
  ["c cpp c++ cc h hpp cs csharp objc cuda", { comment: SLASHES, string: QUOTED, words: words(C) }],
  ["go golang", { comment: SLASHES, string: TEMPLATE, words: words(GO) }],
  ["rs rust", { comment: SLASHES, string: DOUBLE, words: words(RUST) }],
  ["java kotlin kt scala swift dart php", { comment: SLASHES, string: QUOTED, words: words(JAVA) }],
  ["sql", { comment: DASHES, string: QUOTED, words: words(`${SQL} ${SQL.toUpperCase()}`) }],
  ["json jsonc json5", { comment: SLASHES, string: QUOTED, words: words("true false null") }],
  ["css scss less", { comment: SLASHES, string: QUOTED, words: words("important media import") }],
  ["html xml svg vue", { comment: MARKUP, string: QUOTED, words: words("") }],
];
const BY_NAME = new Map(
  SYNTAXES.flatMap(([names, syntax]) => names.split(" ").map((name) => [name, syntax])),
);

/**
 * Return the nodes of a text of code; in an unknown language, or a very long one, only the text.
 * @param {string} text
 * @param {string} language
 * @returns {(string | HTMLElement)[]}
 */
export function highlight(text, language) {
  const syntax = /** @type {Syntax | undefined} */ (BY_NAME.get(language));
  if (!syntax || text.length > MAX_LENGTH) return [text];
  /** @type {(string | HTMLElement)[]} */
  const nodes = [];
  let plain = "";
  let at = 0;
  while (at < text.length) {
    const [kind, token] = tokenAt(text, at, syntax);
    if (kind) {
      if (plain) nodes.push(plain);
      plain = "";
      nodes.push(h("span", { class: `code-${kind}` }, token));
    } else {
      plain += token;
    }
    at += token.length;
  }
  if (plain) nodes.push(plain);
  return nodes;
}

/**
 * @param {string} text
 * @param {number} at
 * @param {Syntax} syntax
 * @returns {[string, string]} the kind, "" for none, and the text
 */
function tokenAt(text, at, syntax) {
  const match = (/** @type {RegExp} */ pattern) => {
    pattern.lastIndex = at;
    return pattern.exec(text)?.[0];
  };
  const space = match(SPACE);
  if (space) return ["", space];
  const comment = match(syntax.comment);
  if (comment) return ["comment", comment];
  const string = match(syntax.string);
  if (string) return ["string", string];
  const word = match(WORD);
  if (word)
    return [
      syntax.words.has(word) ? "keyword" : text[at + word.length] === "(" ? "call" : "",
      word,
    ];
  const number = match(NUMBER);
  if (number) return ["number", number];
  return ["", String.fromCodePoint(/** @type {number} */ (text.codePointAt(at)))];
}
